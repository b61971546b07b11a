"""OTLP over gRPC: what goes out, and what every code becomes; and what happens without grpcio."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from gateway.delivery import grpc_exchange
from gateway.delivery.batch import Batcher, BatchLimits
from gateway.delivery.destination import Destination
from gateway.delivery.grpc_exchange import MISSING, GrpcExchange, target_of
from gateway.delivery.outcome import Outcome, Verdict
from gateway.egress import EgressRules
from tests.rig import http2_answers as http2
from tests.rig.frame_maker import make_frame, names_of
from tests.rig.http2_answers import Http2Answers
from tests.rig.requires import requires

if TYPE_CHECKING:
    from tests.rig.otlp_grpc import GrpcSink


@pytest.fixture
def sink() -> Iterator[GrpcSink]:
    from tests.rig.otlp_grpc import GrpcSink

    with GrpcSink() as sink:
        yield sink


@pytest.fixture
async def exchange() -> AsyncIterator[GrpcExchange]:
    exchange = GrpcExchange()
    yield exchange
    await exchange.close()


def body() -> bytes:
    batches = Batcher("1", BatchLimits(), {}, 0)
    batches.add(1, make_frame(1))
    return batches.take().body


def to(sink: GrpcSink, timeout_s: float = 10.0, **headers: str) -> Destination:
    endpoint = f"http://127.0.0.1:{sink.port}"
    return Destination("sink", endpoint, headers, {}, 0, protocol="grpc", timeout_s=timeout_s)


@requires("grpc")
async def test_a_call_carries_the_bytes_and_the_headers(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """Headers are metadata, whose names are lower case."""
    outcome = await exchange.post(to(sink, Authorization="ApiKey abc"), body())
    assert outcome == Outcome(Verdict.DELIVERED, 200)
    assert names_of(sink.spans()) == ["span-1"]
    assert sink.received[0].metadata["authorization"] == "ApiKey abc"


@requires("grpc")
@pytest.mark.parametrize(
    ("code", "details", "verdict", "status"),
    [
        ("UNAVAILABLE", "later", Verdict.RETRY, None),
        ("ABORTED", "", Verdict.RETRY, 503),
        ("CANCELLED", "", Verdict.RETRY, 503),
        ("OUT_OF_RANGE", "", Verdict.RETRY, 503),
        ("DATA_LOSS", "", Verdict.RETRY, 503),
        ("RESOURCE_EXHAUSTED", "request exceeded available capacity", Verdict.RETRY, 429),
        ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9 vs. 4)", Verdict.TOO_LARGE, 413),
        ("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4: 9", Verdict.TOO_LARGE, 413),
        (
            "RESOURCE_EXHAUSTED",
            "Received message exceeds the maximum configured message size.",
            Verdict.TOO_LARGE,
            413,
        ),
        (
            "OUT_OF_RANGE",
            "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes",
            Verdict.TOO_LARGE,
            413,
        ),
        ("UNAUTHENTICATED", "ApiKey prefix not found", Verdict.DENIED, 401),
        ("PERMISSION_DENIED", "unauthorized", Verdict.DENIED, 403),
        ("INVALID_ARGUMENT", "", Verdict.REFUSED, 400),
        ("UNIMPLEMENTED", "", Verdict.REFUSED, 404),
        ("INTERNAL", "", Verdict.REFUSED, 500),
    ],
)
async def test_a_code_is_judged(
    sink: GrpcSink, exchange: GrpcExchange, code: str, details: str, verdict: Verdict, status: int | None
) -> None:
    """As OTLP says, with the status of its HTTP twin."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(GrpcAnswer(code, details))
    outcome = await exchange.post(to(sink), body())
    assert outcome.verdict is verdict
    assert outcome.status == status or code == "UNAVAILABLE"
    assert outcome.message == (f"gRPC {code}: {details}" if details else f"gRPC {code}")


@requires("grpc")
async def test_the_endpoints_wish_is_heard(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """RetryInfo is gRPC's Retry-After."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(
        GrpcAnswer("RESOURCE_EXHAUSTED", "busy", retry_delay_s=1.5),
        GrpcAnswer("UNAVAILABLE", "down", retry_delay_s=99_999.0),
    )
    assert (await exchange.post(to(sink), body())).retry_after_s == 1.5
    assert (await exchange.post(to(sink), body())).retry_after_s == 300.0


@requires("grpc")
async def test_a_partial_success_is_counted(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """As over HTTP."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(GrpcAnswer(rejected_spans=1))
    assert (await exchange.post(to(sink), body())).rejected == 1


def at(server: Http2Answers) -> Destination:
    endpoint = f"http://127.0.0.1:{server.port}"
    return Destination("x", endpoint, {}, {}, 0, protocol="grpc", timeout_s=10.0)


@requires("grpc")
@pytest.mark.parametrize(
    ("answer", "verdict", "status"),
    [
        pytest.param(http2.status(204), Verdict.REFUSED, 500, id="http 204"),
        pytest.param(http2.status(301), Verdict.REFUSED, 301, id="http 301"),
        pytest.param(http2.status(401), Verdict.DENIED, 401, id="http 401"),
        pytest.param(http2.status(413), Verdict.TOO_LARGE, 413, id="http 413"),
        pytest.param(http2.status(429), Verdict.RETRY, 429, id="http 429"),
        pytest.param(http2.status(500), Verdict.REFUSED, 500, id="http 500"),
        pytest.param(http2.status(503), Verdict.RETRY, 503, id="http 503"),
        pytest.param(http2.trailers_only(8, "busy"), Verdict.RETRY, 429, id="trailers only"),
        pytest.param(http2.trailers_only(99, "odd"), Verdict.REFUSED, 500, id="a code that is none"),
        pytest.param(http2.reset(0), Verdict.RETRY, None, id="reset"),
        pytest.param(http2.reset(2), Verdict.RETRY, None, id="reset for an error"),
        pytest.param(http2.reset(8), Verdict.RETRY, None, id="reset as if cancelled"),
        pytest.param(http2.reset(11), Verdict.RETRY, 429, id="reset for calm"),
    ],
)
async def test_what_stands_between_is_judged_by_what_it_says(
    exchange: GrpcExchange, answer: http2.Frame, verdict: Verdict, status: int | None
) -> None:
    """A proxy's status is HTTP's; a stream that breaks off is a lost connection, so spans may repeat."""
    with Http2Answers(answer) as server:
        outcome = await exchange.post(at(server), body())
    assert (outcome.verdict, outcome.status, outcome.is_unsent) == (verdict, status, False)


@requires("grpc")
@pytest.mark.parametrize(
    "answer",
    [
        (http2.trailers_only(0),),
        (
            http2.headers((":status", "200"), ("content-type", "application/grpc"), ends=False),
            http2.headers(("grpc-status", "0")),
        ),
    ],
    ids=["trailers only", "headers and trailers"],
)
async def test_a_success_without_a_message_is_one(
    exchange: GrpcExchange, answer: tuple[http2.Frame, ...]
) -> None:
    """It ended the sender, which began anew each half minute with the same batch."""
    with Http2Answers(*answer) as server:
        assert await exchange.post(at(server), body()) == Outcome(Verdict.DELIVERED, 200)


@requires("grpc")
async def test_a_success_in_too_many_words_is_one(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """It is the answer that is too large for grpcio, and not what was sent."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(GrpcAnswer(rejected_spans=1, error_message="x" * 5_000_000))
    outcome = await exchange.post(to(sink), body())
    assert (outcome.verdict, outcome.message) == (Verdict.DELIVERED, "the rest of the answer cannot be read")


@requires("grpc")
async def test_an_endpoint_that_hangs_is_given_up(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """The destination's timeout holds; nobody knows whether it has the spans."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(GrpcAnswer(delay_s=30.0))
    outcome = await exchange.post(to(sink, timeout_s=0.1), body())
    assert (outcome.verdict, outcome.status, outcome.is_unsent) == (Verdict.RETRY, None, False)


@requires("grpc")
async def test_a_connection_that_is_silent_is_given_up(exchange: GrpcExchange) -> None:
    """A balancer may have forgotten it: calls on it were late for a quarter of an hour, as TCP tries on."""
    with Http2Answers(http2.trailers_only(0), silent=1) as server:
        late = await exchange.post(replace(at(server), timeout_s=0.2), body())
        assert (late.verdict, late.status, late.is_unsent) == (Verdict.RETRY, None, False)
        assert (await exchange.post(at(server), body())).verdict is Verdict.DELIVERED


@requires("grpc")
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", "http://nowhere.invalid:4317"])
async def test_nobody_there(exchange: GrpcExchange, endpoint: str) -> None:
    """The calls wait, and nobody can have got them: the next try is no repetition."""
    destination = Destination("x", endpoint, {}, {}, 0, protocol="grpc", timeout_s=10.0)
    outcome = await exchange.post(destination, body())
    assert (outcome.verdict, outcome.status, outcome.is_unsent) == (Verdict.RETRY, None, True)


@requires("grpc")
@pytest.mark.parametrize("endpoint", ["http://collector.invalid:4317", "https://collector.invalid:4317"])
async def test_a_proxy_leads_there(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that leads to any other endpoint, and not what grpcio reads of the environment by itself."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n"))
        writer.write(b"HTTP/1.1 403 No\r\n\r\n")
        await writer.drain()
        writer.close()

    urls: list[str] = []

    def find_proxy(url: str) -> str:
        urls.append(url)
        return f"http://user:canary@127.0.0.1:{port}"

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        exchange = GrpcExchange(find_proxy=find_proxy)
        destination = Destination("x", endpoint, {}, {}, 0, protocol="grpc", timeout_s=10.0)
        outcome = await exchange.post(destination, body())
        await exchange.close()
    assert urls == [endpoint]
    assert asked[0] == b"CONNECT collector.invalid:4317 HTTP/1.1\r\n"
    assert (outcome.verdict, outcome.is_unsent, outcome.is_proxied) == (Verdict.RETRY, True, True)
    assert "proxy returned response code 403" in outcome.message
    assert "canary" not in outcome.message


@requires("grpc")
async def test_without_a_proxy_there_is_none(sink: GrpcSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` with a network in it says so, which grpcio does not understand."""
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    exchange = GrpcExchange()
    outcome = await exchange.post(to(sink), body())
    await exchange.close()
    assert (outcome.verdict, outcome.is_proxied) == (Verdict.DELIVERED, False)


@requires("grpc")
async def test_an_endpoint_that_is_unavailable_may_have_them(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """There was a connection."""
    from tests.rig.otlp_grpc import GrpcAnswer

    sink.answer(GrpcAnswer("UNAVAILABLE", "later"))
    assert not (await exchange.post(to(sink), body())).is_unsent


@requires("grpc")
async def test_a_binary_header_is_base64(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """Where a name ends in `-bin`; what is none is a configuration to mend, not a crash."""
    outcome = await exchange.post(replace(to(sink), headers={"x-tenant-bin": "AP8"}), body())
    assert outcome == Outcome(Verdict.DELIVERED, 200)
    assert sink.received[0].metadata["x-tenant-bin"] == b"\x00\xff"
    outcome = await exchange.post(replace(to(sink), headers={"x-tenant-bin": "canary!"}), body())
    assert (outcome.verdict, outcome.is_unsent) == (Verdict.RETRY, True)
    assert "x-tenant-bin" in outcome.message
    assert "canary" not in outcome.message


@requires("grpc")
async def test_a_header_that_cannot_be_sent_is_not_told(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """A key with a line break is a configuration to mend, and still a secret."""
    outcome = await exchange.post(to(sink, Authorization="canary-se\ncret"), body())
    assert outcome.verdict is Verdict.RETRY
    assert "canary" not in outcome.message


@requires("grpc")
def test_grpcio_writes_nothing_to_the_log_itself() -> None:
    """What goes wrong is told once, by us. In a process of its own: grpcio asks the environment once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tried = subprocess.Popen(
            [sys.executable, "-c", _TLS_TO_PLAIN, str(listener.getsockname()[1])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"},
        )
        listener.settimeout(60.0)
        connection, _ = listener.accept()
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()
        out, err = tried.communicate(timeout=60.0)
    assert "WRONG_VERSION_NUMBER" in out
    assert err == ""


_TLS_TO_PLAIN: Final = """
import asyncio, sys
from gateway.delivery.destination import Destination
from gateway.delivery.grpc_exchange import GrpcExchange
to = Destination("a", f"https://127.0.0.1:{sys.argv[1]}", {}, {}, 0, protocol="grpc")
print(asyncio.run(GrpcExchange().post(to, b"")).message)
"""


async def test_without_grpcio_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional, and its absence names the mend."""

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert grpc_exchange.find_grpc() is None
    exchange = GrpcExchange()
    outcome = await exchange.post(Destination("x", "http://h", {}, {}, 0, protocol="grpc"), b"")
    assert (outcome.verdict, outcome.message, outcome.is_unsent) == (Verdict.RETRY, MISSING, True)
    await exchange.close()


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://host", ("host:443", True)),
        ("https://host:4317/ignored", ("host:4317", True)),
        ("http://host", ("host:4317", False)),
        ("http://[::1]:4317", ("[::1]:4317", False)),
        ("host:4317", ("host:4317", True)),
    ],
)
def test_target(endpoint: str, expected: tuple[str, bool]) -> None:
    """The scheme says whether TLS is spoken, and which port when none is written."""
    assert target_of(endpoint) == expected


def test_no_target() -> None:
    """An endpoint of a path only leads nowhere."""
    with pytest.raises(ValueError, match="host"):
        target_of("https:///v1")


@requires("grpc")
async def test_an_address_that_is_not_called(sink: GrpcSink, exchange: GrpcExchange) -> None:
    """Nothing is sent to what the endpoint says itself, also after a change of the rules."""
    assert (await exchange.post(to(sink), body())).verdict is Verdict.DELIVERED
    outcome = await exchange.post(replace(to(sink), egress=EgressRules(refuses_private=True)), body())
    assert outcome.verdict is Verdict.RETRY
    assert "egress_settings.private_addresses is refuse" in outcome.message
    assert len(sink.received) == 1
