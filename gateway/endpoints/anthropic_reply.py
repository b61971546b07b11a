"""Reading a Messages reply: usage, ids, and whether a 200 is really a failure.

Anthropic counts what it read anew, what it took from its cache and what it put there apart; our `Usage` has
the sum as input, as OpenAI counts.

Shapes: https://docs.claude.com/en/api/messages , https://docs.claude.com/en/api/messages-count-tokens
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, count_of, estimate_usage, excerpt, text_of
from gateway.endpoints.usage_parts import with_parts
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Sampling, Usage

NOTHING_SPENT: Final = Usage(0, 0, "provider")
"""Of a call that no model answers: counting tokens is free."""

_MESSAGE: Final = "message"
_FALLBACK: Final = "fallback_message"
_TRIES: Final = (_MESSAGE, _FALLBACK)
_APART: Final = ("compaction", "advisor_message")
_MAX_ITERATIONS: Final = 1000

_OF_ANSWER: Final = frozenset({"output_tokens", "output_tokens_details"})
"""Counts that only the end knows."""


class MessageReply(msgspec.Struct):
    """What the gateway reads of a reply; all of it may be missing or null."""

    type: Any = None
    id: Any = None
    model: Any = None
    content: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None
    input_tokens: Any = None


_replies: Final = msgspec.json.Decoder(MessageReply)


def read_message(endpoint: Endpoint, body: bytes, *, asked_bytes: int) -> ReplyFacts:
    """Read the body of a successful whole reply.

    Args:
        endpoint: What was asked.
        body: The whole body.
        asked_bytes: Size of the call, for the estimate when the provider reports no usage.

    Raises:
        UpstreamBadReply: It is not JSON, has an error inside, or lacks what the endpoint must give.
    """
    try:
        reply = _replies.decode(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    if reply.error is not None or reply.type == "error":
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    if endpoint.name == "count_tokens":
        has_answer, usage = count_of(reply.input_tokens) is not None, NOTHING_SPENT
    else:
        # Nothing to say is an answer here: it happens after the result of a tool.
        has_answer = isinstance(reply.content, list)
        usage = read_message_usage(reply.usage) or estimate_usage(asked_bytes, len(body))
    if not has_answer:
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    reason = text_of(reply.stop_reason)
    return ReplyFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=(reason,) if reason else (),
        usage=usage,
    )


def read_message_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    read = _read_counts(usage)
    iterations = usage.get("iterations")
    if read is None or not iterations or not isinstance(iterations, list):
        return read
    return _with_iterations(read, [one for one in iterations[:_MAX_ITERATIONS] if isinstance(one, dict)])


def _with_iterations(answer: Usage, iterations: list[dict[str, Any]]) -> Usage:
    """The usage of an *answer* with what was done beside it, which Anthropic lists and does not add to it.

    That is the summary of a long conversation, what an adviser said, and what a model had said before it
    declined, so that another one took over. The counts of the answer are of that one then. A model that
    declined before its first word is not paid, as a rule.

    Rules: https://platform.claude.com/docs/en/build-with-claude/compaction ,
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool ,
    https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback
    """
    tries = [one for one in iterations if one.get("type") in _TRIES]
    answered_by = text_of(tries[-1].get("model")) if tries else ""
    has_fallen_back = has_moved_on = any(one.get("type") == _FALLBACK for one in tries)
    beside = []
    for one in iterations:
        kind, model_id, used = one.get("type"), text_of(one.get("model")), _read_counts(one)
        if used is None:
            continue
        if kind in _APART:
            beside.append(Sampling(model_id, used))
        elif kind == _MESSAGE and model_id != answered_by and (model_id or has_fallen_back):
            has_moved_on = True
            if used.output_tokens:
                beside.append(Sampling(model_id, used))
    whole = with_parts(answer, beside)
    if not has_moved_on:
        return whole
    return msgspec.structs.replace(whole, samplings=(*whole.samplings, Sampling(answered_by, answer)))


def _read_counts(usage: dict[str, Any]) -> Usage | None:
    fresh = count_of(usage.get("input_tokens"))
    output_tokens = count_of(usage.get("output_tokens"))
    if fresh is None and output_tokens is None:
        return None
    read = count_of(usage.get("cache_read_input_tokens"))
    written, for_an_hour = _written(usage)
    details = usage.get("output_tokens_details")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=output_tokens,
        source="provider",
        cached_input_tokens=read,
        reasoning_output_tokens=(
            count_of(details.get("thinking_tokens")) if isinstance(details, dict) else None
        ),
        cache_write_input_tokens=written,
        cache_write_1h_input_tokens=for_an_hour,
    )


def _written(usage: dict[str, Any]) -> tuple[int | None, int | None]:
    """Written to the cache: all of it, and what of it is kept for an hour, which costs more."""
    total = count_of(usage.get("cache_creation_input_tokens"))
    by_age = usage.get("cache_creation")
    if not isinstance(by_age, dict):
        return total, None
    for_an_hour = count_of(by_age.get("ephemeral_1h_input_tokens"))
    if total is None and for_an_hour is not None:
        total = for_an_hour + (count_of(by_age.get("ephemeral_5m_input_tokens")) or 0)
    return total, for_an_hour


def add_up_usage(first: dict[str, Any], second: object) -> dict[str, Any]:
    """The usage of a stream: it begins in `message_start` and is completed in `message_delta`.

    Both give totals, so the later number stands; null is no number, and a zero of what was asked takes
    nothing back: servers of this API that count the input at the beginning write 0 at the end.
    """
    if not isinstance(second, dict):
        return first
    return {
        **first,
        **{name: value for name, value in second.items() if _stands(first.get(name), value, name)},
    }


def _stands(earlier: object, later: object, name: str) -> bool:
    """Whether *later* takes the place of *earlier*, the count of that *name*."""
    if later is None:
        return False
    is_nothing = not any(later.values()) if isinstance(later, dict) else not later
    return not (earlier and is_nothing) or name in _OF_ANSWER
