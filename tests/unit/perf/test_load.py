"""perf/load.py: its bounds, and phases of load over a transport that is played by the test."""

from __future__ import annotations

import asyncio

import pytest

from perf.load import (
    MAX_CONNECTIONS,
    MAX_FAILURES,
    MAX_REQUESTS,
    MAX_SECONDS,
    Accept,
    Amount,
    LoadConnection,
    LoadResult,
    Target,
    UnsafeTargetError,
    http_target,
    run_phase,
)
from perf.payloads import REPLY

_TARGET = Target("127.0.0.1", 1, b"request", b"reply")
_GOOD = [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nreply"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://192.168.0.7:80/",
        "http://localhost.evil:1/",
        "https://127.0.0.1/",
        "127.0.0.1",
    ],
)
def test_only_loopback_is_loaded(url: str) -> None:
    """The tool cannot be pointed at somebody else's server."""
    with pytest.raises(UnsafeTargetError, match="loopback"):
        http_target(url, model="m", token="t")


def test_headers_of_a_contender_are_sent() -> None:
    """Some are told by header where to relay to."""
    target = http_target("http://127.0.0.1:1/v1", model="m", token="t", headers=("x-a: 1", "x-b: 2"))
    head, _, _ = target.request.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nx-a: 1\r\nx-b: 2")


@pytest.mark.parametrize(
    ("accept", "expected"), [pytest.param(Accept.BYTES, False), pytest.param(Accept.TEXT, True)]
)
def test_only_who_may_gives_other_bytes(accept: Accept, expected: bool) -> None:  # noqa: FBT001  a table
    """Other bytes of the same text are good only where the contender is known to write answers anew."""
    target = http_target("http://127.0.0.1:1/v1", model="m", token="t", accept=accept)
    assert target.accepts(REPLY)
    assert target.accepts(REPLY.replace(b'"created":1764000000', b'"created":1')) is expected
    assert not target.accepts(b"{}")


@pytest.mark.parametrize(
    "amount",
    [
        pytest.param(Amount(1), id="no bound"),
        pytest.param(Amount(0, requests=1), id="no connection"),
        pytest.param(Amount(MAX_CONNECTIONS + 1, requests=1), id="connections"),
        pytest.param(Amount(1, seconds=0.0), id="no time"),
        pytest.param(Amount(1, seconds=MAX_SECONDS + 1), id="seconds"),
        pytest.param(Amount(1, requests=0), id="no request"),
        pytest.param(Amount(1, requests=MAX_REQUESTS + 1), id="requests"),
    ],
)
def test_load_is_bounded(amount: Amount) -> None:
    """Too much, or without a bound, is refused."""
    with pytest.raises(UnsafeTargetError):
        amount.check()


class Server(asyncio.Transport):
    """The other end of a connection: answers each call with the same chunks, or hangs up when it has none."""

    def __init__(self, connection: LoadConnection, chunks: list[bytes]) -> None:
        super().__init__()
        self._connection, self._chunks = connection, chunks
        self.calls = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data == _TARGET.request
        self.calls += 1
        loop = asyncio.get_running_loop()
        for chunk in self._chunks:
            loop.call_soon(self._connection.data_received, chunk)
        if not self._chunks:
            loop.call_soon(self._connection.connection_lost, None)

    def abort(self) -> None:
        pass


async def _load(chunks: list[bytes], amount: Amount) -> tuple[LoadResult, list[Server]]:
    connections = [LoadConnection(_TARGET) for _ in range(amount.connections)]
    servers = [Server(connection, chunks) for connection in connections]
    for connection, server in zip(connections, servers, strict=True):
        connection.connection_made(server)
    return await run_phase(connections, amount), servers


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(_GOOD, id="in one piece"),
        pytest.param([_GOOD[0][at : at + 1] for at in range(len(_GOOD[0]))], id="byte by byte"),
        pytest.param(
            [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nre\r\n", b"3\r\nply\r\n0\r\n\r\n"],
            id="chunked",
        ),
    ],
)
async def test_as_many_calls_as_asked_for_are_sent_and_counted(chunks: list[bytes]) -> None:
    """However the answer arrives, each connection has one call open and all together keep the count."""
    result, servers = await _load(chunks, Amount(3, requests=10))
    assert (result.completed, result.failures) == (10, {})
    assert sum(server.calls for server in servers) == 10
    assert min(server.calls for server in servers) >= 1
    assert result.latency.max_ms > 0


async def test_time_ends_a_phase() -> None:
    """The bound in seconds holds without one in requests, and every sent call is waited for."""
    result, servers = await _load(_GOOD, Amount(2, seconds=0.01))
    assert result.completed == sum(server.calls for server in servers) > 0


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        pytest.param([b"HTTP/1.1 500 X\r\ncontent-length: 5\r\n\r\nreply"], "status 500: reply", id="status"),
        pytest.param([_GOOD[0].replace(b"reply", b"reqly")], "body differs", id="body"),
        pytest.param([b"no HTTP at all\r\n\r\n"], "malformed", id="malformed"),
        pytest.param([], "connection lost: closed by the server", id="closed"),
    ],
)
async def test_what_is_not_the_expected_answer_is_a_failure(chunks: list[bytes], reason: str) -> None:
    """A wrong answer never counts as a fast one."""
    result, _ = await _load(chunks, Amount(1, requests=1))
    assert result.completed == 0
    ((found, count),) = result.failures.items()
    assert reason in found
    assert count == 1


async def test_a_broken_server_ends_the_phase_early() -> None:
    """After so many failures the rest would only take time."""
    result, _ = await _load([_GOOD[0].replace(b"200", b"503")], Amount(4, requests=MAX_REQUESTS))
    assert MAX_FAILURES <= sum(result.failures.values()) <= MAX_FAILURES + 4


async def test_a_connection_that_was_lost_before_is_a_failure() -> None:
    """A phase over dead connections ends at once and does not look clean."""
    connection = LoadConnection(_TARGET)
    connection.connection_made(Server(connection, _GOOD))
    connection.connection_lost(None)
    result = await run_phase([connection], Amount(1, seconds=1.0))
    assert (result.completed, sum(result.failures.values())) == (0, 1)
