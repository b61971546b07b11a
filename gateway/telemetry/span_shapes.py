"""What the spans of plain good calls have in common, found by one look-up per call.

Pure. Most calls of a busy gateway are such: one attempt, answered well, by a caller that asks the same model
again and again. What repeats of one is its *shape*; what is left to tell are ids, times, counts and
parameters (`brief_call`). Control makes the spans of it, byte for byte those that `SpanEncoder` writes part
by part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from gateway.model import Call
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from gateway.telemetry.secrets_in_spans import SECRET_HEADERS, Secrets
from gateway.wire.brief_calls import BriefCall, ShapeParts

MAX_TEXT_CHARACTERS: Final = 1024
NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
MAX_KEPT_BYTES: Final = 64
"""Longest value of a parameter, and name of a model, that a kept part may be found by."""

MAX_KEPT_CREDENTIALS: Final = 2048
"""Most bytes of credentials that what was found of them is kept for."""

MAX_NAME_CHARACTERS: Final = 256
_CLIENT_ERROR: Final = 400


class Metadata(NamedTuple):
    """A call's metadata without what is secret: encoded for spans, and as the store's row has it."""

    part: bytes
    shown: dict[str, str]


NO_METADATA: Final = Metadata(b"", {})


class Shape:
    """What calls of one shape have in common.

    Attributes:
        parts: As frames have it.
        size_bytes: What of them is on spans.
        secrets: What must be on no span of them.
        is_routed: They have a route, so what was decided differs from call to call.
        noted: Metadata of the last such call that had little; *metadata* is what became of it.
    """

    __slots__ = ("is_routed", "metadata", "noted", "parts", "secrets", "size_bytes")

    def __init__(self, parts: ShapeParts, *, secrets: Secrets, is_routed: bool) -> None:
        self.parts = parts
        self.size_bytes = len(parts.server) + len(parts.outcome) + len(parts.client) + len(parts.reply)
        self.secrets = secrets
        self.is_routed = is_routed
        self.noted: Mapping[str, str] | None = None
        self.metadata = NO_METADATA


def brief_call(
    trace: CallTrace,
    kind: int,
    secrets: Secrets,
    conversation: bytes,
    content: bytes,
    tfy_conversation: bytes,
) -> BriefCall:
    """What a call that has a shape has to itself.

    Args:
        kind: Its number in the frame.
        conversation: Encoded. It is no part of the kind, as there are many.
        content: What was said, "" where that is not recorded.
        tfy_conversation: The conversation once more, under TrueFoundry's name.
    """
    attempt = trace.attempts[0]
    usage = attempt.usage
    if usage is None:
        read = written = cached = cache_written = reasoned = searched = None
    else:
        read, written, cached = usage.input_tokens, usage.output_tokens, usage.cached_input_tokens
        cache_written, reasoned = usage.cache_write_input_tokens, usage.reasoning_output_tokens
        searched = usage.search_units
    parent = trace.parent
    started_at_ns, start_ns, end_ns = trace.started_at_ns, trace.start_ns, trace.end_ns
    to_unix_ns = started_at_ns - start_ns
    attempt_start_ns, attempt_end_ns = attempt.start_ns, attempt.end_ns
    # As `CallTrace.overhead_ms` has it, of a call with one attempt.
    own_ns = end_ns - start_ns - trace.body_ns - trace.paused_ns - (attempt_end_ns - attempt_start_ns)
    first_chunk_ns = attempt.first_chunk_ns
    call = trace.call
    # By their places: with names it is three times slower.
    return BriefCall(
        kind,
        trace.destinations,
        trace.trace_id,
        trace.span_id,
        b"" if parent is None else parent.span_id,
        attempt.span_id,
        trace.flags,
        started_at_ns,
        end_ns + to_unix_ns,
        attempt_start_ns + to_unix_ns,
        attempt_end_ns + to_unix_ns,
        first_chunk_ns + to_unix_ns if first_chunk_ns and call is not None and call.is_stream else 0,
        max(0, own_ns),
        attempt.cost_usd,
        read,
        written,
        cached,
        cache_written,
        reasoned,
        searched,
        shown_response_id(attempt, secrets) if attempt.response_id else "",
        conversation,
        content,
        tfy_conversation,
    )


def has_shape(trace: CallTrace) -> bool:
    """Whether all that is on a call's spans is in its shape, or is an id, a time or a count."""
    attempts = trace.attempts
    telemetry = trace.telemetry
    return (
        len(attempts) == 1
        and trace.judgement is None
        and trace.plan is not None
        and (trace.parent is None or not trace.parent.state)
        and trace.status_code < _CLIENT_ERROR
        and not (trace.error_type or trace.is_cut or attempts[0].error_type or attempts[0].excerpt)
        and not telemetry.has_old_names
        and not (telemetry.captured_headers or telemetry.captured_baggage)
    )


def shape_key(trace: CallTrace, call: Call) -> tuple[object, ...]:
    """All that the shape of a call is made of; of configuration its version stands for all.

    What the caller sent as credentials is in it: they are masked in the parts, so a part that was made for
    one caller must never be on a span of another.
    """
    attempt = trace.attempts[0]
    route = trace.plan.route if trace.plan else None
    return (
        trace.config_version,
        route.name if route else None,
        None if trace.headers is None else trace.headers.raw(SECRET_HEADERS),
        trace.caller.name if trace.caller else None,
        trace.caller.kind if trace.caller else None,
        trace.caller.teams if trace.caller else None,
        trace.method,
        trace.path,
        trace.scheme,
        trace.server_address,
        trace.server_port,
        trace.peer_address,
        trace.user_agent,
        trace.status_code,
        call.model,
        call.endpoint.route,
        call.is_stream,
        attempt.target.name,
        attempt.target.model_id,
        attempt.target.base_url,
        attempt.status_code,
        attempt.response_model,
        attempt.finish_reasons,
        None if attempt.usage is None else attempt.usage.source,
    )


def route_name(trace: CallTrace) -> str | None:
    """By which route a call got its targets, None for a model that was named itself.

    A name may have a route for some calls alone, and a target may be sent something else by each route.
    """
    plan = trace.plan
    return None if plan is None or plan.route is None else plan.route.name


def may_be_kept(trace: CallTrace) -> bool:
    """Whether its shape may: nobody can fill the memory with long names, or with paths that come once."""
    sent = trace.headers.raw(SECRET_HEADERS) if trace.headers is not None else ()
    return (
        "{" not in trace.route
        and len(trace.user_agent) <= MAX_NAME_CHARACTERS
        and len(trace.attempts[0].response_model) <= MAX_KEPT_BYTES
        and are_short(sent)
    )


def are_short(sent: Sequence[bytes | None]) -> bool:
    """Whether what a caller sent as credentials is; whoever has no key may send headers of any length."""
    return sum([len(value) for value in sent if value]) <= MAX_KEPT_CREDENTIALS


def shown_response_id(attempt: AttemptTrace, secrets: Secrets) -> str:
    """The id of a reply, such as UTF-8 can carry; "" when it has none."""
    text = attempt.response_id
    for form in secrets.forms:
        if form in text:
            text = secrets.hide(text)
            break
    text = text[:MAX_TEXT_CHARACTERS]
    return text if text.isascii() else text.encode(errors="replace").decode()
