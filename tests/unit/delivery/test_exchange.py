"""One exchange over a real connection: what goes out, and what every kind of answer becomes."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from gateway import __version__
from gateway.delivery.batch import Batcher, BatchLimits
from gateway.delivery.destination import Destination
from gateway.delivery.exchange import HttpExchange
from gateway.delivery.outcome import Outcome, Verdict
from gateway.egress import EgressRules
from tests.rig.fast_loop import run_fast
from tests.rig.frame_maker import make_frame, names_of
from tests.rig.otlp_sink import HANG, RESET, Answer, OtlpSink, partial_success
from tests.rig.until import until_async


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


@pytest.fixture
async def exchange() -> AsyncIterator[HttpExchange]:
    exchange = HttpExchange(now_s=lambda: 0.0)
    yield exchange
    await exchange.close()


UNREAD = "the rest of the answer cannot be read"
AS_WRITTEN = b"/%7Ea/../a%2Fb//?sig=a%2Fb%3D%2C&x=%41+%20"


def body() -> bytes:
    batches = Batcher("1", BatchLimits(), {}, 0)
    batches.add(1, make_frame(1))
    return batches.take().body


def destination(endpoint: str, **headers: str) -> Destination:
    return Destination("sink", endpoint, headers, {}, 0)


async def test_a_request_is_otlp_over_http(sink: OtlpSink, exchange: HttpExchange) -> None:
    """Protobuf, gzipped, with the destination's headers, to exactly the endpoint given."""
    endpoint = f"http://127.0.0.1:{sink.port}/a%2Fb/?x=1"
    outcome = await exchange.post(destination(endpoint, Authorization="ApiKey abc"), body())
    assert outcome == Outcome(Verdict.DELIVERED, 200)
    (received,) = sink.requests()
    assert names_of(sink.spans()) == ["span-1"]
    assert received.headers["content-type"] == "application/x-protobuf"
    assert received.headers["content-encoding"] == "gzip"
    assert received.headers["authorization"] == "ApiKey abc"
    pattern = rf"tfy-llm-gateway/{re.escape(__version__)} OTel-OTLP-Exporter-Python/[0-9.]+"
    assert re.fullmatch(pattern, received.headers["user-agent"])
    assert "cookie" not in received.headers


async def test_the_endpoint_is_called_as_it_is_written(exchange: HttpExchange) -> None:
    """Not in another form that means the same, perhaps: a signature is of its bytes."""
    lines = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        endpoint = f"http://127.0.0.1:{port}{AS_WRITTEN.decode()}"
        await exchange.post(destination(endpoint), body())
    assert lines == [b"POST " + AS_WRITTEN + b" HTTP/1.1\r\n"]


async def test_a_destinations_user_agent_wins_and_its_content_type_does_not(
    sink: OtlpSink, exchange: HttpExchange
) -> None:
    """What describes the body is ours to say."""
    headers = {"user-agent": "mine", "content-type": "text/plain"}
    await exchange.post(Destination("sink", sink.traces_url, headers, {}, 0), body())
    (received,) = sink.requests()
    assert received.headers["user-agent"] == "mine"
    assert received.headers["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {"X-Policy": "x" * 60_000}), (Verdict.DELIVERED, 200, "")),
        (
            Answer(401, body=b"bad key", content_type="text/plain"),
            (Verdict.DENIED, 401, "HTTP 401: bad key"),
        ),
        (Answer(429, {"Retry-After": "7"}), (Verdict.RETRY, 429, "HTTP 429")),
        (Answer(302, {"Location": "/elsewhere"}), (Verdict.REFUSED, 302, "HTTP 302: it leads to /elsewhere")),
        (partial_success(1, "too old"), (Verdict.DELIVERED, 200, "too old")),
        (Answer(200, body=b"x" * 5_000_000), (Verdict.DELIVERED, 200, UNREAD)),
        (
            Answer(200, {"Content-Encoding": "gzip"}, gzip.compress(b"\xff" * 5_000_000)),
            (Verdict.DELIVERED, 200, UNREAD),
        ),
        (
            Answer(401, {"Content-Encoding": "gzip"}, gzip.compress(b"bad key"), "text/plain"),
            (Verdict.DENIED, 401, "HTTP 401: bad key"),
        ),
    ],
    ids=["long header", "refused", "busy", "redirect", "partial", "endless", "endless and packed", "packed"],
)
async def test_an_answer_is_judged(
    sink: OtlpSink, exchange: HttpExchange, answer: Answer, expected: tuple[Verdict, int, str]
) -> None:
    """Status, header and body of a real answer; no redirect is followed."""
    sink.answer(answer)
    outcome = await exchange.post(destination(sink.traces_url), body())
    assert (outcome.verdict, outcome.status, outcome.message) == expected
    assert outcome.retry_after_s == (7.0 if answer.status == 429 else 0.0)
    assert len(sink.requests()) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (b"200 OK", (Verdict.DELIVERED, 200, UNREAD)),
        (b"401 Unauthorized", (Verdict.DENIED, 401, "HTTP 401")),
        (b"413 Too Large", (Verdict.TOO_LARGE, 413, "HTTP 413")),
        (b"503 Busy", (Verdict.RETRY, 503, "HTTP 503")),
    ],
)
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x0a\x00",
        b"Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n" + gzip.compress(b"\x0a\x00")[:12],
        b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n\x0a\x00",
        b"Content-Length: 50\r\n\r\n\x0a\x00",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n",
    ],
    ids=["not packed", "packed in part", "packed unasked", "cut", "cut between chunks"],
)
async def test_a_status_is_an_answer_whatever_follows(
    exchange: HttpExchange, status: bytes, rest: bytes, expected: tuple[Verdict, int, str]
) -> None:
    """What a proxy garbles each time must not be sent for ever, nor keep a batch from being halved."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/x-protobuf\r\n" + rest)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await exchange.post(destination(f"http://127.0.0.1:{port}/v1/traces"), body())
    assert (outcome.verdict, outcome.status, outcome.message) == expected


def test_a_status_is_an_answer_though_its_end_never_comes() -> None:
    """The endpoint has taken the batch, or not, once it has said so."""

    async def post() -> Outcome:
        is_done = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            await is_done.wait()
            writer.close()

        exchange = HttpExchange(timeout_s=10.0)
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            outcome = await exchange.post(destination(f"http://127.0.0.1:{port}/v1/traces"), body())
            is_done.set()
            await exchange.close()
        return outcome

    outcome = run_fast(post())
    assert (outcome.verdict, outcome.status, outcome.message) == (Verdict.DELIVERED, 200, UNREAD)


async def test_a_cut_connection_is_tried_again(sink: OtlpSink, exchange: HttpExchange) -> None:
    """An answer that never came is no answer."""
    sink.answer(RESET)
    outcome = await exchange.post(destination(sink.traces_url), body())
    assert (outcome.verdict, outcome.status) == (Verdict.RETRY, None)


async def test_an_answer_that_breaks_off_within_its_head_is_none(exchange: HttpExchange) -> None:
    """Of what had come by then nothing is told: it may be anything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-Word: canary\r\nContent-")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await exchange.post(destination(f"http://127.0.0.1:{port}/v1/traces"), body())
    expected = (Verdict.RETRY, "ServerDisconnectedError: Server disconnected", False)
    assert (outcome.verdict, outcome.message, outcome.is_unsent) == expected


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 403 No\r\n\r\n", b"", None], ids=["refuses", "closes", "hangs"]
)
async def test_a_proxy_that_leads_nowhere_has_passed_nothing_on(answer: bytes | None) -> None:
    """The endpoint has nothing of it, so the next try repeats nothing."""
    is_done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await is_done.wait()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        exchange = HttpExchange(lambda _: f"http://127.0.0.1:{port}", timeout_s=0.2)
        outcome = await exchange.post(destination("https://collector.invalid/v1/traces"), body())
        is_done.set()
        await exchange.close()
    assert (outcome.verdict, outcome.status, outcome.is_unsent) == (Verdict.RETRY, None, True)
    assert outcome.is_proxied


async def test_a_connection_that_is_used_again_leads_to_the_endpoint(sink: OtlpSink) -> None:
    """What is lost on it may have been taken."""
    sink.answer(Answer(), RESET)
    exchange = HttpExchange()
    assert (await exchange.post(destination(sink.traces_url), body())).verdict is Verdict.DELIVERED
    outcome = await exchange.post(destination(sink.traces_url), body())
    await exchange.close()
    assert (outcome.verdict, outcome.is_unsent) == (Verdict.RETRY, False)


async def test_an_endpoint_that_hangs_is_given_up(sink: OtlpSink) -> None:
    """The timeout holds for the whole exchange; where it passes before anything is sent, that is said."""
    sink.answer(HANG)
    exchange = HttpExchange(timeout_s=0.05)
    outcome = await exchange.post(destination(sink.traces_url), body())
    await exchange.close()
    assert (outcome.verdict, outcome.status, outcome.message) == (
        Verdict.RETRY, None, "no answer within 0.05 s",
    )  # fmt: skip
    await until_async(lambda: outcome.is_unsent is bool(sink.unanswered()), "it to say what came of it")


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:1/v1/traces", "http://nowhere.invalid/", "not a url", "ftp://127.0.0.1/", ""],
)
async def test_an_endpoint_that_cannot_be_reached_is_tried_again(
    exchange: HttpExchange, endpoint: str
) -> None:
    """Whatever is wrong with it, the calls wait."""
    outcome = await exchange.post(destination(endpoint), body())
    assert (outcome.verdict, outcome.status) == (Verdict.RETRY, None)
    assert outcome.message


async def test_a_secret_in_the_endpoint_is_not_told(exchange: HttpExchange) -> None:
    """Whatever answers there, and although the client's error quotes the URL."""

    async def speak_no_http(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak_no_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        endpoint = f"http://me:pass-canary@127.0.0.1:{port}/v1/traces?token=query-canary"
        outcome = await exchange.post(destination(endpoint), body())
    assert outcome.verdict is Verdict.RETRY
    assert "canary" not in outcome.message
    assert "/v1/traces" in outcome.message


async def test_a_secret_at_the_end_of_a_long_answer_is_not_told(
    sink: OtlpSink, exchange: HttpExchange
) -> None:
    """Not even the part of it that a log line has room for."""
    said = b"x" * 280 + b"header-canary-canary-canary"
    sink.answer(Answer(401, body=said, content_type="text/plain"))
    outcome = await exchange.post(
        destination(sink.traces_url, Authorization="ApiKey header-canary-canary-canary"), body()
    )
    assert outcome.message == f"HTTP 401: {'x' * 280}***"


async def test_a_header_that_cannot_be_sent_does_not_tell_its_value(
    sink: OtlpSink, exchange: HttpExchange
) -> None:
    """A key with a line break in it is a configuration to mend, and still a secret."""
    outcome = await exchange.post(destination(sink.traces_url, Authorization="se\ncret"), body())
    assert outcome.verdict is Verdict.RETRY
    assert "cret" not in outcome.message
    assert sink.requests() == []


async def test_an_address_that_is_not_called(sink: OtlpSink, exchange: HttpExchange) -> None:
    """Nothing is sent there, also by name; what is said names the setting, and the batch waits."""
    for host in ("127.0.0.1", "localhost"):
        strict = replace(
            destination(f"http://{host}:{sink.port}/v1/traces"), egress=EgressRules(refuses_private=True)
        )
        outcome = await exchange.post(strict, body())
        assert outcome.verdict is Verdict.RETRY
        assert "egress_settings.private_addresses is refuse" in outcome.message
    assert sink.requests() == []
