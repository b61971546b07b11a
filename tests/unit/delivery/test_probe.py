"""One span to a destination, over real connections, and what is said of it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from gateway.delivery.destination import Destination
from gateway.delivery.exchange import HttpExchange
from gateway.delivery.probe import Probe, ProbeResult, metrics_request, probe_all
from gateway.wire.otlp import resource_attributes
from tests.rig.otlp_sink import HANG, Answer, OtlpSink, partial_success

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = "aWQ6Y2FuYXJ5LXNlY3JldA=="
RESOURCE = resource_attributes({"service.name": "gateway", "host.name": "h"})
HTTP2_SETTINGS = bytes.fromhex("000012040000000000") + b"\0" * 18


def destination(endpoint: str, disabled: str = "", **headers: str) -> Destination:
    return Destination("d", endpoint, headers, {"service.name": "mine", "a": "b"}, 0, disabled)


async def one(target: Destination, signal: str = "traces", *, timeout_s: float = 60.0) -> ProbeResult:
    probe = Probe(target, signal, RESOURCE, lambda _: HttpExchange(timeout_s=timeout_s))
    (result,) = await probe_all([probe])
    return result


@pytest.fixture
async def answering() -> AsyncIterator[Callable[..., Awaitable[int]]]:
    """Makes a server that answers whatever is sent with these bytes; gives its port."""
    servers: list[asyncio.Server] = []

    async def make(answer: bytes, context: ssl.SSLContext | None = None) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield make
    for server in servers:
        server.close()


async def test_a_span_is_taken() -> None:
    """Named for what it is, with the destination's own headers and attributes."""
    with OtlpSink() as sink:
        result = await one(destination(sink.traces_url, Authorization=f"ApiKey {KEY}"))
        ((resource, span),) = sink.spans_with_resource()
        assert sink.requests()[0].headers["authorization"] == f"ApiKey {KEY}"
    assert (result.destination, result.signal, result.ok, result.status) == ("d", "traces", True, 200)
    assert result.latency_ms is not None
    assert (result.what, result.advice) == ("taken (HTTP 200)", "")
    assert span.name == "gateway otel test"
    assert resource["service.name"] == "mine"
    assert resource["a"] == "b"


@pytest.mark.parametrize(
    ("answer", "status", "what"),
    [
        (Answer(401, body=b"ApiKey prefix not found", content_type="text/plain"), 401, "lacks the prefix"),
        (Answer(429), 429, "limits its intake"),
        (Answer(405), 405, "nothing takes telemetry"),
        (partial_success(1, "index is closed"), 200, "index is closed"),
        (HANG, None, "did not answer in time"),
        (Answer(200, {"Date": "Mon, 01 Jan 2001 00:00:00 GMT"}), 200, "clock differs"),
    ],
    ids=["401", "429", "405", "partial", "hang", "clock"],
)
async def test_what_endpoints_say(answer: Answer, status: int | None, what: str) -> None:
    """Explained, without the key."""
    with OtlpSink() as sink:
        sink.answer(answer)
        timeout_s = 2.0 if answer is HANG else 60.0
        result = await one(destination(sink.traces_url, Authorization=KEY), timeout_s=timeout_s)
    assert result.status == status
    assert what in result.what
    assert result.advice
    assert result.ok is (what == "clock differs")
    assert KEY not in repr(result)


@pytest.mark.parametrize(
    ("endpoint", "what"),
    [("http://127.0.0.1:1/v1/traces", "nothing listens"), ("http://nowhere.invalid/v1/traces", "no address")],
)
async def test_no_endpoint(endpoint: str, what: str) -> None:
    """The address leads nowhere."""
    result = await one(destination(endpoint))
    assert (result.ok, result.status) == (False, None)
    assert what in result.what


async def test_protocols_mixed_up(answering: Callable[..., Awaitable[int]]) -> None:
    """A port of gRPC called by HTTP, a plain one by TLS."""
    port = await answering(HTTP2_SETTINGS)
    assert "speaks gRPC" in (await one(destination(f"http://127.0.0.1:{port}/v1/traces"))).what
    port = await answering(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
    assert "speaks plain HTTP" in (await one(destination(f"https://127.0.0.1:{port}/v1/traces"))).what


async def test_a_certificate_of_nobody(answering: Callable[..., Awaitable[int]], tmp_path: Path) -> None:
    """Which authority to trust is the operator's to say."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    port = await answering(b"", context)
    result = await one(destination(f"https://127.0.0.1:{port}/v1/traces"))
    assert "nobody whom this machine trusts" in result.what
    assert "tls.ca_file" in result.advice


async def test_a_destination_that_is_disabled() -> None:
    """Nothing is sent."""
    result = await one(destination("http://127.0.0.1:1", "environment variable K is not set"))
    assert (result.ok, result.latency_ms) == (False, None)
    assert "K is not set" in result.what


def test_an_empty_request_of_metrics() -> None:
    """Valid, with the resource and nothing else; the destination's own attributes win, each name is once."""
    request = ExportMetricsServiceRequest.FromString(metrics_request(destination("http://x"), RESOURCE))
    (metrics,) = request.resource_metrics
    attributes = [(one.key, one.value.string_value) for one in metrics.resource.attributes]
    assert attributes == [("host.name", "h"), ("service.name", "mine"), ("a", "b")]
    assert not metrics.scope_metrics


async def test_metrics_are_tried_too() -> None:
    """With advice for their path."""
    with OtlpSink() as sink:
        sink.answer(Answer(404))
        result = await one(destination(sink.traces_url), "metrics")
    assert (result.signal, result.status) == ("metrics", 404)
    assert "/v1/metrics" in result.advice


async def test_metrics_sent_to_the_path_of_traces() -> None:
    """An empty request is taken there, and what is to come would not be."""
    with OtlpSink() as sink:
        result = await one(destination(sink.traces_url), "metrics")
    assert not result.ok
    assert (result.status, result.what) == (200, "the endpoint has the path of another signal (HTTP 200)")
    assert "/v1/metrics" in result.advice
