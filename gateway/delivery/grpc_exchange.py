"""OTLP over gRPC: the bytes of a batch as they are, in a unary call. Needs the extra `grpc` (grpcio).

grpcio's own threads do the work; its futures are turned into this loop's. Generated classes are not needed,
because a request is already encoded.

Codes: https://opentelemetry.io/docs/specs/otlp/#failures and the collector's table of their HTTP twins.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # it has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs

from gateway.delivery.destination import Destination
from gateway.delivery.outcome import MAX_RETRY_AFTER_S, Answer, Outcome, Verdict, judge, plain_text
from gateway.egress import EgressRefusedError
from gateway.settings import set_default
from gateway.tls_files import NO_FILES, make_context, signature_of

METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS_METHOD: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
MISSING: Final = "type: grpc needs grpcio, which is not installed; install gateway[grpc], or set type: http"
_PORTS: Final = {"http": 4317, "https": 443}
_OK: Final = 200
_LATE: Final = "DEADLINE_EXCEEDED"
# By name, as the collector maps them; what is not here is 500.
_HTTP_STATUS: Final = {
    "CANCELLED": 503,
    _LATE: 503,
    "ABORTED": 503,
    "OUT_OF_RANGE": 503,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 503,
    # OTLP lets a client retry it only with a RetryInfo. Elastic's endpoint also sends it bare when it is
    # overloaded, as 429 over HTTP, where a retry is the rule; dropping there would lose spans for nothing.
    "RESOURCE_EXHAUSTED": 429,
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "UNIMPLEMENTED": 404,
}
# What servers say of a message that is too large: Go's and C's, Rust's (as OUT_OF_RANGE), Java's, .NET's.
_TOO_LARGE_CODES: Final = frozenset({"RESOURCE_EXHAUSTED", "OUT_OF_RANGE"})
_TOO_LARGE_TEXTS: Final = (
    "larger than max",
    "too large",
    "exceeds maximum size",
    "exceeds the maximum configured message size",
)
# grpcio's own words for a header that cannot be sent; the batch waits for a better configuration.
_UNSENDABLE: Final = "Invalid metadata"
# And for a call that found no connection to go out on.
_UNCONNECTED: Final = ("failed to connect to all addresses", "errors resolving", "DNS resolution failed")
# What stands between, and speaks no gRPC, answered with a status of HTTP; grpcio makes codes of them that say
# less (of 413 UNKNOWN).
_HTTP_ANSWER: Final = re.compile(r"Received http2 header with status: ([3-5]\d\d)")
# A stream that was broken off, of which these codes say no more than that.
_BROKEN_OFF: Final = "RST_STREAM"
_SAY_NOTHING: Final = frozenset({"CANCELLED", "UNKNOWN", "INTERNAL"})
# The endpoint has the batch, and grpcio does not take its answer.
_ANSWER_TOO_LARGE: Final = "CLIENT: Received message larger than max"
_BINARY: Final = "-bin"
_STATUS_DETAILS: Final = "grpc-status-details-bin"


def find_grpc() -> ModuleType | None:
    """grpcio, None when it is not installed."""
    # Else it writes to our log by itself, a line for each failed handshake, in a form of its own. What it
    # tells of is in the outcome.
    set_default("GRPC_VERBOSITY", "NONE")
    try:
        return importlib.import_module("grpc")
    except ImportError:
        return None


class GrpcExchange:
    """OTLP/gRPC, over a channel of its own.

    Args:
        method: Of the signal's service.
        find_proxy: Gives the proxy that leads to an endpoint, None to connect directly. grpcio would read the
            environment by itself, but not the variables in capitals, nor networks in `NO_PROXY`.
    """

    def __init__(
        self, method: str = METHOD, find_proxy: Callable[[str], str | None] = lambda _: None
    ) -> None:
        self._method = method
        self._find_proxy = find_proxy
        self._grpc = find_grpc()
        self._channel: Any = None
        self._made_for: tuple[object, ...] | None = None

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, an `ExportTraceServiceRequest`."""
        if self._grpc is None:
            return Outcome(Verdict.RETRY, None, MISSING, is_unsent=True)
        try:
            proxy = self._find_proxy(_url_of(destination.endpoint))
            call = self._call(self._grpc, destination, body, proxy)
        # ValueError: an endpoint or file that cannot be used; the batch waits for a better configuration.
        except (OSError, ValueError) as error:
            message = plain_text(f"{type(error).__name__}: {error}")
            return Outcome(Verdict.RETRY, None, destination.shown_text(message), is_unsent=True)
        try:
            await _ended(call)
        except asyncio.CancelledError:
            call.cancel()
            raise
        outcome = _outcome(call)
        if call.code().name == _LATE:
            # Its connection may be one that something between has forgotten. Calls on it would be late until
            # the system gives it up, which takes a quarter of an hour.
            await self.close()
        return replace(
            outcome,
            message=destination.shown_text(outcome.message),
            is_proxied=proxy is not None,
        )

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _call(self, grpc: ModuleType, destination: Destination, body: bytes, proxy: str | None) -> Any:
        tls = destination.tls
        # The files too, as they are: a certificate that was renewed in its place is used.
        made_for = (destination.endpoint, tls, signature_of(tls), destination.egress, proxy)
        if self._channel is None or self._made_for != made_for:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            self._channel, self._made_for = _open_channel(grpc, destination, proxy), made_for
        compression = (
            grpc.Compression.Gzip if destination.compression == "gzip" else grpc.Compression.NoCompression
        )
        return self._channel.unary_unary(self._method).future(
            body,
            timeout=destination.timeout_s,
            metadata=[_metadatum(name.lower(), value) for name, value in destination.headers.items()],
            compression=compression,
        )


def _metadatum(name: str, value: str) -> tuple[str, str | bytes]:
    """A header as gRPC takes it: those whose names end so are bytes, in Base64 where text is wanted.

    Raises:
        ValueError: It is no Base64.
    """
    if not name.endswith(_BINARY):
        return name, value
    try:
        return name, base64.b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4), validate=True)
    except ValueError:
        msg = f"the value of header {name} is not Base64, as gRPC wants it of a name that ends in {_BINARY}"
        raise ValueError(msg) from None


def target_of(endpoint: str) -> tuple[str, bool]:
    """`host:port` of an endpoint, and whether it is spoken to with TLS.

    Raises:
        ValueError: It has no host, or no port.
    """
    parts = urlsplit(_url_of(endpoint))
    if parts.hostname is None:
        raise ValueError("an endpoint without a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or _PORTS.get(parts.scheme, 443)}", parts.scheme != "http"


def _url_of(endpoint: str) -> str:
    return endpoint if "://" in endpoint else f"https://{endpoint}"


def _open_channel(grpc: ModuleType, destination: Destination, proxy: str | None) -> Any:
    target, is_secure = target_of(destination.endpoint)
    # gRPC looks names up itself, so of these only the name is known here.
    if refusal := destination.egress.refusal_of_host(target.rpartition(":")[0]):
        raise EgressRefusedError(refusal)
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),  # else a channel that is made anew has the old connection
        ("grpc.max_reconnect_backoff_ms", 10_000),
        ("grpc.enable_http_proxy", 0) if proxy is None else ("grpc.http_proxy", proxy),
    ]
    if not is_secure:
        return grpc.insecure_channel(target, options)
    files = destination.tls
    if files != NO_FILES:
        make_context(files)  # says what is wrong with a file; gRPC would only not connect
    credentials = grpc.ssl_channel_credentials(
        root_certificates=files.ca_file.read_bytes() if files.ca_file is not None else None,
        private_key=files.key_file.read_bytes() if files.key_file is not None else None,
        certificate_chain=files.cert_file.read_bytes() if files.cert_file is not None else None,
    )
    return grpc.secure_channel(target, credentials, options)


async def _ended(call: Any) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_call: Any) -> None:
        # A closed loop is one that nobody waits in any more.
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)

    call.add_done_callback(tell)
    await ended.wait()


def _outcome(call: Any) -> Outcome:
    code = call.code().name
    if code == "OK":
        # None: a success without a message, as of an endpoint that ends the call with its first headers.
        return judge(Answer(_OK, "application/x-protobuf", call.result() or b"", ""), 0.0)
    said = plain_text(call.details() or "")
    message = f"gRPC {code}: {said}" if said else f"gRPC {code}"
    if said == _UNSENDABLE:
        return Outcome(Verdict.RETRY, None, message, is_unsent=True)
    other = _outcome_without_code(code, said)
    if other is not None:
        return replace(other, message=other.message or message)
    if code in _TOO_LARGE_CODES and any(text in said.lower() for text in _TOO_LARGE_TEXTS):
        return Outcome(Verdict.TOO_LARGE, 413, message)
    status = _HTTP_STATUS.get(code, 500)
    is_answered = code != "UNAVAILABLE" or bool(call.trailing_metadata())
    is_unsent = not is_answered and said.startswith(_UNCONNECTED)
    judged = judge(Answer(status, "", b"", ""), 0.0)
    return Outcome(
        judged.verdict,
        status if is_answered and code != _LATE else None,
        message,
        retry_after_s=_retry_after_s(call.trailing_metadata() or ()),
        is_unsent=is_unsent,
    )


def _outcome_without_code(code: str, said: str) -> Outcome | None:
    """The outcome where the code is not the endpoint's, but what grpcio made of something else."""
    if _ANSWER_TOO_LARGE in said:
        return judge(Answer(_OK, "", b"", "", is_unread=True), 0.0)
    if (answered := _HTTP_ANSWER.search(said)) is not None:
        return replace(judge(Answer(int(answered[1]), "", b"", ""), 0.0), message="")
    if code in _SAY_NOTHING and _BROKEN_OFF in said:
        # Nobody knows whether the endpoint has it, as after a lost connection.
        return Outcome(Verdict.RETRY, None)
    return None


def _retry_after_s(metadata: Any) -> float:
    """The delay of a `RetryInfo`, 0.0 without one."""
    for key, value in metadata:
        if key != _STATUS_DETAILS:
            continue
        try:
            status = Status.FromString(value)
            for detail in status.details:
                info = RetryInfo()
                if detail.Unpack(info):
                    delay_s = float(info.retry_delay.seconds) + float(info.retry_delay.nanos) / 1e9
                    return min(max(0.0, delay_s), MAX_RETRY_AFTER_S)
        except DecodeError:
            return 0.0
    return 0.0
