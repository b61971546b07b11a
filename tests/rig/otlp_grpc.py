"""An OTLP/gRPC traces endpoint inside the test, on grpcio's own threads; import it only where grpcio is."""

from __future__ import annotations

import importlib
import threading
from collections import deque
from concurrent import futures
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # it has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass(frozen=True)
class GrpcAnswer:
    """How to answer one call.

    Attributes:
        code: By name; OK takes the spans.
        retry_delay_s: Of a `RetryInfo`, None for none.
        delay_s: Wait so long before the answer, or until the server stops.
    """

    code: str = "OK"
    details: str = ""
    retry_delay_s: float | None = None
    rejected_spans: int = 0
    error_message: str = ""
    delay_s: float = 0.0


@dataclass
class GrpcReceived:
    """One call: its metadata by name, and its message."""

    metadata: dict[str, str | bytes]
    request: ExportTraceServiceRequest
    code: str
    names: list[str] = field(default_factory=list)


class GrpcSink:
    """The endpoint; use it as a context manager."""

    def __init__(self, server_credentials: Any = None) -> None:
        self._grpc: Any = importlib.import_module("grpc")
        self._server = self._grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        self._answers: deque[GrpcAnswer] = deque()
        self._stopping = threading.Event()
        self.received: list[GrpcReceived] = []
        handler = self._grpc.unary_unary_rpc_method_handler(self._export)
        service, _, method = _METHOD[1:].partition("/")
        self._server.add_generic_rpc_handlers(
            [self._grpc.method_handlers_generic_handler(service, {method: handler})]
        )
        address = "127.0.0.1:0"
        self.port = (
            self._server.add_insecure_port(address)
            if server_credentials is None
            else self._server.add_secure_port(address, server_credentials)
        )

    def answer(self, *answers: GrpcAnswer) -> None:
        """Answer the next calls so, one each; after them as a healthy endpoint."""
        self._answers.extend(answers)

    def spans(self) -> list[Span]:
        """The spans of all calls that were answered with OK."""
        return [
            span
            for one in self.received
            if one.code == "OK"
            for group in one.request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.stop(0).wait(60)

    def _export(self, body: bytes, context: Any) -> bytes:
        answer = self._answers.popleft() if self._answers else GrpcAnswer()
        metadata = dict(context.invocation_metadata())
        self.received.append(GrpcReceived(metadata, ExportTraceServiceRequest.FromString(body), answer.code))
        if answer.delay_s:
            self._stopping.wait(answer.delay_s)
        if answer.code != "OK":
            code = getattr(self._grpc.StatusCode, answer.code)
            if answer.retry_delay_s is not None:
                context.set_trailing_metadata([("grpc-status-details-bin", _status_details(answer, code))])
            context.abort(code, answer.details)
        response = ExportTraceServiceResponse()
        response.partial_success.rejected_spans = answer.rejected_spans
        response.partial_success.error_message = answer.error_message
        return response.SerializeToString()


def _status_details(answer: GrpcAnswer, code: Any) -> bytes:
    delay_s = answer.retry_delay_s or 0.0
    info = RetryInfo(retry_delay=Duration(seconds=int(delay_s), nanos=int(delay_s % 1 * 1e9)))
    detail = AnyMessage()
    detail.Pack(info)
    status = Status(code=code.value[0], message=answer.details, details=[detail])
    return bytes(status.SerializeToString())
