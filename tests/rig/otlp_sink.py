"""An OTLP/HTTP traces endpoint inside the test: it records what it gets and misbehaves as it is told.

It takes protobuf and JSON; of JSON only what OTLP allows, so that whatever it records was right.

It runs in a thread with an event loop of its own, so that blocking and asynchronous tests may use it alike.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.rig.closing import close_server
from tests.rig.free_ports import free_port
from tests.rig.until import until_async

_PROTOBUF = "application/x-protobuf"
_METRICS_PATH = "/v1/metrics"
_JSON = "application/json"
_OK = 200
_CLOSING_ROUNDS = 1000


@dataclass(frozen=True)
class Received:
    """One request.

    Attributes:
        headers: By lower-case name.
        body_bytes: Size of the body, uncompressed.
        request: The body; empty when it could not be read.
        status: What was answered, 0 when nothing was.
    """

    path: str
    headers: Mapping[str, str]
    body_bytes: int
    request: ExportTraceServiceRequest
    status: int


@dataclass(frozen=True)
class ReceivedMetrics:
    """One request to `/v1/metrics`, as `Received`."""

    headers: Mapping[str, str]
    body: bytes
    request: ExportMetricsServiceRequest
    status: int

    def metrics(self) -> dict[str, Metric]:
        """By name."""
        return {
            metric.name: metric
            for group in self.request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        }


@dataclass(frozen=True)
class Answer:
    """How to answer one request; by default as a healthy endpoint does.

    Attributes:
        delay_s: Wait so long before the answer.
        is_hanging: Never answer.
        is_reset: Cut the connection instead of an answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = _PROTOBUF
    delay_s: float = 0.0
    is_hanging: bool = False
    is_reset: bool = False


def partial_success(rejected_spans: int, message: str) -> Answer:
    """An answer that takes the batch but for some spans."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected_spans
    response.partial_success.error_message = message
    return Answer(body=response.SerializeToString())


def parse_request(content_type: str, body: bytes) -> ExportTraceServiceRequest:
    """A request in either form.

    Raises:
        ValueError: It is not OTLP in that form.
    """
    if content_type == _JSON:
        return request_from_json(body)
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValueError(str(error)) from error


def request_from_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP/JSON, read strictly: only lowerCamelCase keys, integer enums, hexadecimal ids.

    Raises:
        ValueError: It is not.
    """
    document = json.loads(body)
    _check_keys(document)
    for group in document.get("resourceSpans", []):
        for scope in group.get("scopeSpans", []):
            for span in scope.get("spans", []):
                _ids_to_base64(span)
                assert isinstance(span.get("kind", 0), int)
                assert isinstance(span.get("status", {}).get("code", 0), int)
                for link in span.get("links", []):
                    _ids_to_base64(link)
    try:
        return json_format.ParseDict(document, ExportTraceServiceRequest())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from error


def _ids_to_base64(item: dict[str, Any]) -> None:
    for name, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
        if name in item:
            raw = bytes.fromhex(item[name])
            assert len(raw) == size, f"{name} of {len(raw)} bytes"
            # Of its two alphabets the one that protobuf's reader takes without a warning of Python's.
            item[name] = base64.urlsafe_b64encode(raw).decode()


def _check_keys(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _check_keys(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if "_" in key or key[:1].isupper():
                msg = f"key {key} is not lowerCamelCase"
                raise ValueError(msg)
            _check_keys(item)


def _parsed_or_empty(content_type: str, body: bytes) -> ExportTraceServiceRequest:
    try:
        return parse_request(content_type, body)
    except (ValueError, AssertionError):
        return ExportTraceServiceRequest()


HANG = Answer(is_hanging=True)
RESET = Answer(is_reset=True)


class OtlpSink:
    """The endpoint; use it as a context manager.

    Attributes:
        usual: How requests for traces are answered that no call of `answer` speaks of; may be changed while
            it runs.
    """

    def __init__(self) -> None:
        self.usual = Answer()
        self._changed = threading.Condition()
        self._received: list[Received] = []
        self._answers: deque[Answer] = deque()
        self._received_metrics: list[ReceivedMetrics] = []
        self._metrics_answers: deque[Answer] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="otlp-sink", daemon=True)
        self._runner: web.AppRunner | None = None
        self._released: asyncio.Event | None = None
        self._server: asyncio.Server | None = None
        self._connections: list[web.RequestHandler] = []
        # One that comes back has to find it free.
        self._port = free_port()
        self._arriving = 0

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._port

    @property
    def traces_url(self) -> str:
        """Where to send traces."""
        return f"http://127.0.0.1:{self._port}/v1/traces"

    @property
    def metrics_url(self) -> str:
        """Where to send metrics."""
        return f"http://127.0.0.1:{self._port}{_METRICS_PATH}"

    def answer_metrics(self, *answers: Answer) -> None:
        """Answer the next requests to `/v1/metrics` so; after them as a healthy endpoint."""
        with self._changed:
            self._metrics_answers.extend(answers)

    def metrics_requests(self) -> list[ReceivedMetrics]:
        """All requests to `/v1/metrics` so far, refused ones too."""
        with self._changed:
            return list(self._received_metrics)

    def wait_for_metrics(self, count: int, timeout_s: float = 60.0) -> list[ReceivedMetrics]:
        """The requests to `/v1/metrics`, once there are at least *count*.

        Raises:
            AssertionError: They did not come in time.
        """
        self._wait(lambda: len(self._received_metrics) >= count, timeout_s, f"{count} requests of metrics")
        return self.metrics_requests()

    def answer(self, *answers: Answer) -> None:
        """Answer the next requests so, one each; after them as a healthy endpoint."""
        with self._changed:
            self._answers.extend(answers)

    def answer_status(self, status: int, count: int = 1, **headers: str) -> None:
        """Answer the next *count* requests with *status*; headers with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer(*[Answer(status, named)] * count)

    def unanswered(self) -> int:
        """How many of the answers given to `answer` wait for their request."""
        with self._changed:
            return len(self._answers)

    def requests(self) -> list[Received]:
        """All requests so far, refused ones too."""
        with self._changed:
            return list(self._received)

    def spans(self) -> list[Span]:
        """The spans of all requests that were answered with success, in order of arrival."""
        return [span for _resource, span in self.spans_with_resource()]

    def spans_with_resource(self) -> list[tuple[dict[str, str], Span]]:
        """Like `spans`, each with its resource's string attributes."""
        return [
            ({item.key: item.value.string_value for item in group.resource.attributes}, span)
            for received in self.requests()
            if received.status == _OK
            for group in received.request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def wait_for_spans(self, count: int, timeout_s: float = 60.0) -> list[Span]:
        """The spans, once there are at least *count*.

        Raises:
            AssertionError: They did not come in time.
        """
        self._wait(lambda: len(self.spans()) >= count, timeout_s, f"{count} spans")
        return self.spans()

    def wait_for_requests(self, count: int, timeout_s: float = 60.0) -> list[Received]:
        """The requests, once there are at least *count*.

        Raises:
            AssertionError: They did not come in time.
        """
        self._wait(lambda: len(self._received) >= count, timeout_s, f"{count} requests")
        return self.requests()

    def start(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        return self

    def stop(self) -> None:
        """Stop listening; what was received stays readable."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def go_down(self) -> None:
        """Refuse connections, and cut those that are open; what was received stays."""
        asyncio.run_coroutine_threadsafe(self._go_down(), self._loop).result(60)

    def come_back(self) -> None:
        """Listen again where it did before."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _start(self) -> None:
        self._released = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await self._listen()

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._connect, "127.0.0.1", self._port)

    async def _go_down(self) -> None:
        assert self._server is not None
        await close_server(self._server)
        for transport in [item.transport for item in self._connections if item.transport is not None]:
            transport.abort()
        # What had come whole by then is among what was received when this is over.
        await until_async(lambda: not self._arriving, "requests to be recorded")

    def _connect(self) -> asyncio.BaseProtocol:
        assert self._runner is not None
        assert self._runner.server is not None
        connection = self._runner.server()
        self._connections.append(connection)
        return connection

    async def _stop(self) -> None:
        if self._released is None or self._runner is None or self._server is None:
            return
        self._released.set()  # hanging answers come to their end
        await close_server(self._server)
        await self._runner.cleanup()
        # aiohttp leaves a connection that was made just now, and one whose client left within an answer. Each
        # takes a few rounds of the loop to close its socket, one that is being accepted a few more to come.
        for _ in range(_CLOSING_ROUNDS):
            open_now = [transport for item in self._connections if (transport := item.transport) is not None]
            if not open_now and asyncio.all_tasks() == {asyncio.current_task()}:
                break
            for transport in open_now:
                transport.abort()
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._arriving += 1
        try:
            answer = await self._take(request)
        finally:
            self._arriving -= 1
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        if answer.is_hanging and self._released is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._released.wait(), 60)
        if (answer.is_reset or answer.is_hanging) and request.transport is not None:
            request.transport.abort()
        return web.Response(
            status=answer.status, headers=answer.headers, body=answer.body, content_type=answer.content_type
        )

    async def _take(self, request: web.Request) -> Answer:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":  # aiohttp's server inflates by Content-Encoding, depending on its version
            body = gzip.decompress(body)
        answer = self.decide(request, body)
        # Before the answer goes out: when the client knows its outcome, a test sees the request.
        self._record(request, body, answer)
        return answer

    def decide(self, request: web.Request, body: bytes) -> Answer:
        """The answer to a request; *body* is uncompressed. Called in the endpoint's thread."""
        with self._changed:
            is_metrics = request.path == _METRICS_PATH
            answers = self._metrics_answers if is_metrics else self._answers
            if answers:
                return answers.popleft()
            return Answer() if is_metrics else self.usual

    def _record(self, request: web.Request, body: bytes, answer: Answer) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = 0 if answer.is_hanging or answer.is_reset else answer.status
        if request.path == _METRICS_PATH:
            self._record_metrics(headers, body, status)
            return
        # One that was answered with success has to be right, any other may be anything.
        parse = parse_request if status == _OK else _parsed_or_empty
        parsed = parse(request.content_type, body)
        with self._changed:
            self._received.append(Received(request.path, headers, len(body), parsed, status))
            self._changed.notify_all()

    def _record_metrics(self, headers: Mapping[str, str], body: bytes, status: int) -> None:
        request = ExportMetricsServiceRequest()
        if headers.get("content-type") == "application/json":
            json_format.Parse(body, request)  # metrics have no ids, so OTLP's JSON is protobuf's
        else:
            request.ParseFromString(body)
        with self._changed:
            self._received_metrics.append(ReceivedMetrics(headers, body, request, status))
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    raise AssertionError(
                        f"waited {timeout_s:g} s for {what}; got {len(self._received)} requests"
                        f" with {len(self.spans())} accepted spans"
                    )
