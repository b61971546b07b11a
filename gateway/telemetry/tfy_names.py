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
from gateway.wire.brief_calls import encode_tfy_figures

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

OTHER_TYPE: Final = "Passthrough"
"""Of an endpoint for which none of their words is known."""

_MODEL_SPAN: Final = "Model"
_MAX_CHARACTERS: Final = 256
_MAX_MESSAGE_CHARACTERS: Final = 1024

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
    return REQUEST_TYPES.get(endpoint.name, OTHER_TYPE)


def tfy_server(trace: CallTrace) -> bytes:
    """What differs from call to call on the SERVER span."""
    parts = [tfy_decision(trace, trace.notes.metadata)]
    if trace.notes.conversation_id:
        parts.append(names.TFY_CONVERSATION_ID.text(trace.notes.conversation_id))
    if trace.is_span_error:
        parts.append(names.TFY_ERROR_TYPE.text(trace.error_type))
        parts.append(names.TFY_ERROR_MESSAGE.text(trace.error_message[:_MAX_MESSAGE_CHARACTERS]))
    return b"".join(parts)


def tfy_decision(trace: CallTrace, metadata: Mapping[str, str]) -> bytes:
    """Which rules held for a call, and its *metadata* without what is secret: much the same for many."""
    parts = []
    if trace.plan is not None and trace.plan.route is not None:
        parts.append(names.TFY_RULES.texts([trace.plan.route.name]))
    if trace.permit is not None:
        limits = [limit for said in trace.permit.said for limit in said.held.limits]
        for key, is_budget in ((names.TFY_RATE_LIMITS, False), (names.TFY_BUDGETS, True)):
            held = dict.fromkeys(limit.rule for limit in limits if limit.is_budget is is_budget)
            if held:
                parts.append(key.texts(list(held)[:MAX_LIMITS]))
    if metadata:
        parts.append(names.TFY_METADATA.text(msgspec.json.encode(dict(metadata)).decode()))
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
    start_ns, first_ns = attempt.start_ns, 0
    if call.is_stream and attempt.first_chunk_ns:
        first_ns = attempt.first_chunk_ns - start_ns
    part = encode_tfy_figures(attempt.usage, attempt.end_ns - start_ns, first_ns, attempt.cost_usd)
    if attempt.error_type:
        part += names.TFY_ERROR_TYPE.text(attempt.error_type)
        part += names.TFY_ERROR_MESSAGE.text(attempt.error_message[:_MAX_MESSAGE_CHARACTERS])
    return part
