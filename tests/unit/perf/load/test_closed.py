"""perf/load/closed.py and connection.py: phases of load over a transport that is played by the test."""

from __future__ import annotations

import os
import sys

import pytest

from perf.load.__main__ import end_by_line
from perf.load.amount import MAX_REQUESTS, Amount
from perf.load.closed import ClosedPhase
from perf.load.connection import MAX_FAILURES, Connection
from perf.load.result import LoadResult
from tests.unit.perf.load.playing import GOOD, TARGET, Server, connect


async def _load(chunks: list[bytes], amount: Amount) -> tuple[LoadResult, list[Server]]:
    connections = [Connection() for _ in range(amount.connections)]
    servers = connect(connections, chunks)
    return await ClosedPhase(TARGET, connections, amount).run(), servers


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(GOOD, id="in one piece"),
        pytest.param([GOOD[0][at : at + 1] for at in range(len(GOOD[0]))], id="byte by byte"),
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
    assert result.rps == result.completed / result.elapsed_s


async def test_time_ends_a_phase() -> None:
    """The bound in seconds holds without one in requests, and every sent call is waited for."""
    result, servers = await _load(GOOD, Amount(2, seconds=0.01))
    assert result.completed == sum(server.calls for server in servers) > 0


@pytest.mark.parametrize("said", [b"end\n", b""], ids=["a line", "the end of input"])
async def test_a_line_ends_a_phase(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Before its time, and every call that was sent is waited for; that the input closes ends nothing."""
    source, sink = os.pipe()
    with os.fdopen(source) as told, os.fdopen(sink, "wb") as teller:
        monkeypatch.setattr(sys, "stdin", told)
        connections = [Connection(), Connection()]
        servers = connect(connections, GOOD)
        phase = ClosedPhase(TARGET, connections, Amount(2, seconds=60, requests=None if said else 10_000))
        end_by_line(phase)
        teller.write(said)
        teller.close()
        result = await phase.run()
    assert result.failures == {}
    assert result.completed == sum(server.calls for server in servers) > 0
    assert said or result.completed == 10_000


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        pytest.param([b"HTTP/1.1 500 X\r\ncontent-length: 5\r\n\r\nreply"], "status 500: reply", id="status"),
        pytest.param([GOOD[0].replace(b"reply", b"reqly")], "body differs", id="body"),
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
    result, _ = await _load([GOOD[0].replace(b"200", b"503")], Amount(4, requests=MAX_REQUESTS))
    assert MAX_FAILURES <= sum(result.failures.values()) <= MAX_FAILURES + 4


async def test_a_connection_that_was_lost_before_is_a_failure() -> None:
    """A phase over dead connections ends at once and does not look clean."""
    connection = Connection()
    connect([connection], GOOD)
    connection.connection_lost(None)
    result = await ClosedPhase(TARGET, [connection], Amount(1, seconds=1.0)).run()
    assert (result.completed, sum(result.failures.values())) == (0, 1)


async def test_an_answer_without_a_phase_is_nobodys() -> None:
    """What comes after the end changes nothing."""
    connection = Connection()
    (server,) = connect([connection], GOOD)
    server.answer()
    result = await ClosedPhase(TARGET, [connection], Amount(1, requests=1)).run()
    assert result.completed == 1
