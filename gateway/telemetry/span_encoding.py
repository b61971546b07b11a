"""From the notes of a call to the bytes of its spans.

Pure. What is the same for every call of a caller to a model is encoded once and kept (`_Blocks`); per call
only ids, times, sizes and outcomes are written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.errors import ClientDisconnected
from gateway.model import Call, Target
from gateway.telemetry import attributes as names
from gateway.telemetry.call_trace import OTHER_METHOD, AttemptTrace, CallTrace
from gateway.wire.frames import CallSpans, SpanSegments, StoreRow
from gateway.wire.otlp import (
    HAS_IS_REMOTE,
    IS_REMOTE,
    SpanKind,
    StatusCode,
    span_event,
    span_head,
    span_status,
)

ALL_DESTINATIONS: Final = (1 << 64) - 1
NO_DESTINATION: Final = 0

_MAX_BLOCKS: Final = 4096
_INT64: Final = 1 << 63
_MAX_NUMBER_BYTES: Final = 64
_MAX_TEXT_BYTES: Final = 16 * 1024
_MAX_NAME_CHARACTERS: Final = 256
_MAX_TEXTS: Final = 16
_MAX_TEXT_CHARACTERS: Final = 1024
_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000


class SpanEncoder:
    """Makes `CallSpans`, remembering the parts that repeat."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[object, ...], bytes] = {}

    def encode(self, trace: CallTrace) -> CallSpans:
        """The spans and the store row of a call that has ended."""
        spans = [SpanSegments(self._server_span(trace), b"")]
        spans += [SpanSegments(self._client_span(trace, attempt), b"") for attempt in trace.attempts]
        mask = ALL_DESTINATIONS if trace.is_sampled else NO_DESTINATION
        return CallSpans(mask, _row(trace), spans)

    def _server_span(self, trace: CallTrace) -> bytes:
        parent = trace.parent
        parts = [
            span_head(
                trace_id=trace.trace_id,
                span_id=trace.span_id,
                parent_span_id=parent.span_id if parent else b"",
                trace_state=parent.state if parent else "",
                flags=HAS_IS_REMOTE | (IS_REMOTE if parent else 0) | trace.flags,
                name=_server_name(trace),
                kind=SpanKind.SERVER,
                start_ns=trace.started_at_ns,
                end_ns=trace.unix_ns(trace.end_ns),
            ),
            self._server_block(trace),
            names.HTTP_RESPONSE_STATUS_CODE.integer(trace.status_code),
            names.OVERHEAD_MS.double(round(trace.overhead_ms, 3)),
        ]
        if trace.peer_address:
            parts.append(names.CLIENT_ADDRESS.text(trace.peer_address))
        if trace.user_agent:
            parts.append(names.USER_AGENT.text(trace.user_agent[:_MAX_NAME_CHARACTERS]))
        if trace.endpoint is not None:
            parts.append(names.ATTEMPTS.integer(len(trace.attempts)))
        if trace.resolved_model:
            parts.append(names.MODEL_RESOLVED.text(trace.resolved_model))
        if trace.error_type and (trace.is_span_error or not trace.is_error):
            parts.append(names.ERROR_TYPE.text(trace.error_type))
        if trace.is_span_error:
            # An attempt that failed has the exception on its own span; twice would be two errors in Elastic.
            if not trace.attempts or not trace.attempts[-1].error_type:
                parts.append(_exception(trace.error_type, trace.error_message, trace.unix_ns(trace.end_ns)))
            parts.append(span_status(StatusCode.ERROR, trace.error_message[:_MAX_TEXT_CHARACTERS]))
        return b"".join(parts)

    def _server_block(self, trace: CallTrace) -> bytes:
        """What repeats for a caller, a model and a path; kept only for models that exist."""
        key = (
            trace.method,
            trace.path,
            trace.scheme,
            trace.server_address,
            trace.server_port,
            trace.caller.name if trace.caller else None,
            trace.call.model if trace.call else None,
            trace.config_version,
        )
        block = self._blocks.get(key)
        if block is None:
            block = _encode_server_block(trace)
            if trace.plan is not None:
                self._remember(key, block)
        return block

    def _client_span(self, trace: CallTrace, attempt: AttemptTrace) -> bytes:
        call, target = trace.call, attempt.target
        assert call is not None, "an attempt has a call"  # noqa: S101 - says it to the type checker
        end_ns = trace.unix_ns(attempt.end_ns)
        parts = [
            span_head(
                trace_id=trace.trace_id,
                span_id=attempt.span_id,
                parent_span_id=trace.span_id,
                trace_state=trace.parent.state if trace.parent else "",
                flags=HAS_IS_REMOTE | trace.flags,
                name=f"{call.endpoint.operation} {target.model_id}".encode(errors="replace"),
                kind=SpanKind.CLIENT,
                start_ns=trace.unix_ns(attempt.start_ns),
                end_ns=end_ns,
            ),
            self._target_block(call, target, trace.config_version),
            names.ATTEMPT.integer(attempt.number),
            _request_attributes(call),
            _reply_attributes(call, attempt),
        ]
        if attempt.error_type:
            parts.append(names.ERROR_TYPE.text(attempt.error_type))
            if attempt.error_type != ClientDisconnected.error_type:
                parts.append(_exception(attempt.error_type, attempt.error_message, end_ns))
                parts.append(span_status(StatusCode.ERROR, attempt.error_message[:_MAX_TEXT_CHARACTERS]))
        return b"".join(parts)

    def _target_block(self, call: Call, target: Target, config_version: str) -> bytes:
        key = (target.name, call.endpoint.name, call.is_stream, config_version)
        block = self._blocks.get(key)
        if block is None:
            block = _encode_target_block(call, target)
            self._remember(key, block)
        return block

    def _remember(self, key: tuple[object, ...], block: bytes) -> None:
        if len(self._blocks) >= _MAX_BLOCKS:
            self._blocks.clear()
        self._blocks[key] = block


def _server_name(trace: CallTrace) -> bytes:
    method = "HTTP" if trace.method == OTHER_METHOD else trace.method
    return f"{method} {trace.route}".rstrip().encode()


def _encode_server_block(trace: CallTrace) -> bytes:
    parts = [
        names.HTTP_REQUEST_METHOD.text(trace.method),
        names.URL_PATH.text(trace.path[:_MAX_TEXT_CHARACTERS]),
        names.URL_SCHEME.text(trace.scheme),
        names.CONFIG_VERSION.text(trace.config_version),
    ]
    if trace.route:
        parts.append(names.HTTP_ROUTE.text(trace.route))
    if trace.server_address:
        parts.append(names.SERVER_ADDRESS.text(trace.server_address))
    if trace.server_port:
        parts.append(names.SERVER_PORT.integer(trace.server_port))
    if trace.caller is not None:
        parts.append(names.CALLER.text(trace.caller.name))
    if trace.call is not None:
        parts.append(names.MODEL_ASKED.text(trace.call.model[:_MAX_NAME_CHARACTERS]))
    if trace.plan is not None:
        parts.append(names.ROUTING_CANDIDATES.texts(trace.plan.candidates))
        skipped = [{"target": skip.target, "reason": skip.reason} for skip in trace.plan.skipped]
        parts.append(names.ROUTING_SKIPPED.text(msgspec.json.encode(skipped).decode()))
    return b"".join(parts)


def _encode_target_block(call: Call, target: Target) -> bytes:
    parts = [
        names.OPERATION_NAME.text(call.endpoint.operation),
        names.PROVIDER_NAME.text(target.provider),
        names.REQUEST_MODEL.text(target.model_id),
        names.SERVER_ADDRESS.text(target.address),
        names.SERVER_PORT.integer(target.port),
        names.PEER_NAME.text(target.peer),
        names.PEER_SERVICE.text(target.peer),
        names.TARGET.text(target.name),
    ]
    if call.endpoint.name == "chat":
        parts.append(names.OPENAI_API_TYPE.text("chat_completions"))
    if call.is_stream:
        parts.append(names.REQUEST_STREAM.boolean(True))
    return b"".join(parts)


def _request_attributes(call: Call) -> bytes:
    """The parameters that the conventions name; a value of another type or size than theirs is left out."""
    fields = call.fields
    parts = []
    for name, key in names.REQUEST_DOUBLES.items():
        number = _decoded(fields, name, float, _MAX_NUMBER_BYTES)
        if number is not None and math.isfinite(number):
            parts.append(key.double(number))
    written = set()
    for name, key in names.REQUEST_INTEGERS.items():
        count = _decoded(fields, name, int, _MAX_NUMBER_BYTES)
        if count is not None and abs(count) < _INT64 and key not in written:
            written.add(key)
            parts.append(key.integer(count))
    if call.choices != 1 and abs(call.choices) < _INT64:
        parts.append(names.CHOICE_COUNT.integer(call.choices))
    stop = _decoded(fields, "stop", str | list[str], _MAX_TEXT_BYTES)
    if stop:
        parts.append(names.STOP_SEQUENCES.texts(_short([stop] if isinstance(stop, str) else stop)))
    encoding = _decoded(fields, "encoding_format", str, _MAX_TEXT_BYTES)
    if encoding is not None:
        parts.append(names.ENCODING_FORMATS.texts(_short([encoding])))
    effort = _decoded(fields, "reasoning_effort", str, _MAX_TEXT_BYTES)
    if effort is not None:
        parts.append(names.REASONING_LEVEL.text(effort[:_MAX_NAME_CHARACTERS]))
    return b"".join(parts)


def _short(texts: Sequence[str]) -> list[str]:
    return [text[:_MAX_NAME_CHARACTERS] for text in texts[:_MAX_TEXTS]]


def _decoded(fields: Mapping[str, msgspec.Raw], name: str, kind: Any, max_bytes: int) -> Any:
    """The member as *kind*; None when it is absent, of another type, or longer than *max_bytes*."""
    raw = fields.get(name)
    if raw is None or len(bytes(raw)) > max_bytes:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        return None


def _reply_attributes(call: Call, attempt: AttemptTrace) -> bytes:
    parts = []
    if attempt.response_id:
        parts.append(names.RESPONSE_ID.text(attempt.response_id[:_MAX_TEXT_CHARACTERS]))
    if attempt.response_model:
        parts.append(names.RESPONSE_MODEL.text(attempt.response_model[:_MAX_NAME_CHARACTERS]))
    if attempt.finish_reasons:
        parts.append(names.RESPONSE_FINISH_REASONS.texts(_short(attempt.finish_reasons)))
    if call.is_stream and attempt.first_chunk_ns:
        parts.append(
            names.TIME_TO_FIRST_CHUNK.double((attempt.first_chunk_ns - attempt.start_ns) / _NS_PER_S)
        )
    usage = attempt.usage
    if usage is not None:
        parts.append(names.USAGE_SOURCE.text(usage.source))
        for key, count in (
            (names.INPUT_TOKENS, usage.input_tokens),
            (names.OUTPUT_TOKENS, usage.output_tokens),
            (names.CACHE_READ_INPUT_TOKENS, usage.cached_input_tokens),
            (names.REASONING_OUTPUT_TOKENS, usage.reasoning_output_tokens),
        ):
            if count is not None:
                parts.append(key.integer(count))
    return b"".join(parts)


def _exception(error_type: str, message: str, time_ns: int) -> bytes:
    """The `exception` event, from which Elastic makes an error document."""
    text = message[:_MAX_TEXT_CHARACTERS]
    return span_event("exception", time_ns, {"exception.type": error_type, "exception.message": text})


def _row(trace: CallTrace) -> StoreRow:
    usage = trace.usage
    first = trace.attempts[-1].first_chunk_ns if trace.attempts else 0
    is_stream = trace.call is not None and trace.call.is_stream
    return StoreRow(
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        name=_server_name(trace).decode(),
        start_ns=trace.started_at_ns,
        end_ns=trace.unix_ns(trace.end_ns),
        status_code=trace.status_code,
        is_error=trace.is_error,
        error_type=trace.error_type,
        model=trace.call.model[:_MAX_NAME_CHARACTERS] if trace.call else "",
        resolved_model=trace.resolved_model,
        caller=trace.caller.name if trace.caller else "",
        attempts=len(trace.attempts),
        is_stream=is_stream,
        first_chunk_ms=(first - trace.start_ns) / _NS_PER_MS if is_stream and first else None,
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        usage_source=usage.source if usage else "",
        cost_usd=None,
    )
