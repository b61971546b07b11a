"""The same facts under TrueFoundry's own names, for dashboards that were built on them.

Their root span is our SERVER span, their Model span our CLIENT span.

Names: https://www.truefoundry.com/docs/ai-gateway/fetch-request-logs-span-attributes
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.model import Call, Endpoint, Target
from gateway.telemetry import attributes as names
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from gateway.translate.registry import find_pair

REQUEST_TYPES: Final[Mapping[str, str]] = {
    "chat": "ChatCompletion",
    "completion": "Completion",
    "embedding": "Embedding",
    "messages": "ChatCompletion",
    "count_tokens": "CountTokens",
    "responses": "CreateModelResponse",
    "generate_content": "ChatCompletion",
    "embed_content": "Embedding",
    "count_content_tokens": "CountTokens",
    "rerank": "Rerank",
    "converse": "ChatCompletion",
    "count_model_tokens": "CountTokens",
    "invoke_model": "ChatCompletion",
}
"""Their word for each endpoint, by our name of it; `CountTokens` is ours, they have none."""

_OTHER_TYPE: Final = "Passthrough"
"""Of an endpoint for which none of their words is known."""

_MODEL_SPAN: Final = "Model"
_MAX_CHARACTERS: Final = 256
_MAX_MESSAGE_CHARACTERS: Final = 1024
_NS_PER_MS: Final = 1_000_000

MAX_LIMITS: Final = 64
"""Rules on limits that are told of a call."""


def tfy_server_block(trace: CallTrace) -> bytes:
    """What repeats for a caller and a model."""
    parts = []
    if trace.endpoint is not None:
        parts.append(names.TFY_SPAN_TYPE.text(_request_type(trace.endpoint)))
    if trace.caller is not None:
        parts.append(names.TFY_SUBJECT.text(f"{trace.caller.kind}:{trace.caller.name}"))
    if trace.call is not None and trace.plan is not None:
        parts.append(names.TFY_MODEL_NAME.text(trace.call.model[:_MAX_CHARACTERS]))
    return b"".join(parts)


def _request_type(endpoint: Endpoint) -> str:
    return REQUEST_TYPES.get(endpoint.name, _OTHER_TYPE)


def tfy_server(trace: CallTrace) -> bytes:
    """What differs from call to call on the SERVER span."""
    parts = []
    if trace.plan is not None and trace.plan.route is not None:
        parts.append(names.TFY_RULES.texts([trace.plan.route.name]))
    if trace.permit is not None:
        limits = [limit for said in trace.permit.said for limit in said.held.limits]
        for key, is_budget in ((names.TFY_RATE_LIMITS, False), (names.TFY_BUDGETS, True)):
            held = dict.fromkeys(limit.rule for limit in limits if limit.is_budget is is_budget)
            if held:
                parts.append(key.texts(list(held)[:MAX_LIMITS]))
    if trace.notes.metadata:
        parts.append(names.TFY_METADATA.text(msgspec.json.encode(dict(trace.notes.metadata)).decode()))
    if trace.notes.conversation_id:
        parts.append(names.TFY_CONVERSATION_ID.text(trace.notes.conversation_id))
    if trace.is_span_error:
        parts.append(names.TFY_ERROR_TYPE.text(trace.error_type))
        parts.append(names.TFY_ERROR_MESSAGE.text(trace.error_message[:_MAX_MESSAGE_CHARACTERS]))
    return b"".join(parts)


def tfy_client_block(call: Call, target: Target) -> bytes:
    """What repeats for a target and a kind of call."""
    return b"".join(
        [
            names.TFY_SPAN_TYPE.text(_MODEL_SPAN),
            names.TFY_MODEL_ID.text(target.model_id),
            names.TFY_MODEL.text(target.name.partition("/")[2]),
            names.TFY_MODEL_FQN.text(target.name),
            names.TFY_REQUEST_URL.text(_url(call, target)),
            names.TFY_STREAMING.boolean(call.is_stream),
            names.TFY_REQUEST_TYPE.text(_request_type(call.endpoint)),
        ]
    )


def _url(call: Call, target: Target) -> str:
    """Where the call goes, or would go if the target could do it."""
    pair = find_pair(call.endpoint, target)
    return target.base_url + (pair.path(call, target) if pair is not None else call.endpoint.path)


def tfy_client(call: Call, attempt: AttemptTrace) -> bytes:
    """What differs from call to call on a CLIENT span."""
    took_ms = (attempt.end_ns - attempt.start_ns) / _NS_PER_MS
    parts = [names.TFY_LATENCY_MS.double(took_ms)]
    usage = attempt.usage
    if usage is not None:
        parts += [
            key.integer(count)
            for key, count in (
                (names.TFY_INPUT_TOKENS, usage.input_tokens),
                (names.TFY_OUTPUT_TOKENS, usage.output_tokens),
                (names.TFY_CACHE_READ_TOKENS, usage.cached_input_tokens),
                (names.TFY_CACHE_CREATION_TOKENS, usage.cache_write_input_tokens),
            )
            if count is not None
        ]
    if attempt.cost_usd is not None:
        parts.append(names.TFY_COST.double(attempt.cost_usd))
    if call.is_stream and attempt.first_chunk_ns:
        parts.append(
            names.TFY_FIRST_TOKEN_MS.double((attempt.first_chunk_ns - attempt.start_ns) / _NS_PER_MS)
        )
        tokens = usage.output_tokens if usage is not None else None
        if tokens is not None and tokens > 1:
            rest_ms = (attempt.end_ns - attempt.first_chunk_ns) / _NS_PER_MS
            parts.append(names.TFY_INTER_TOKEN_MS.double(rest_ms / (tokens - 1)))
    if attempt.error_type:
        parts.append(names.TFY_ERROR_TYPE.text(attempt.error_type))
        parts.append(names.TFY_ERROR_MESSAGE.text(attempt.error_message[:_MAX_MESSAGE_CHARACTERS]))
    return b"".join(parts)
