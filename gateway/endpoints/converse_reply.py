"""Reading a reply of Bedrock's Converse: usage, why it ended, and whether a 200 is really a failure.

Bedrock counts what it read anew, what it took from its cache and what it put there apart; our `Usage` has the
sum as input, as OpenAI counts. A reply has no id, and names a model only where a prompt router chose it.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, count_of, estimate_usage, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Usage

_HOUR: Final = "1h"


class ConverseReply(msgspec.Struct, rename="camel"):
    """What the gateway reads of a reply; all of it may be missing or null."""

    output: Any = None
    stop_reason: Any = None
    usage: Any = None
    trace: Any = None


_replies: Final = msgspec.json.Decoder(ConverseReply)


def read_converse(body: bytes, *, asked_bytes: int) -> ReplyFacts:
    """Read the body of a successful whole reply.

    Args:
        body: The whole body.
        asked_bytes: Size of the call, for the estimate when Bedrock reports no usage.

    Raises:
        UpstreamBadReply: It is not JSON, or has no answer in it.
    """
    try:
        reply = _replies.decode(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    message = reply.output.get("message") if isinstance(reply.output, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    reason = text_of(reply.stop_reason)
    return ReplyFacts(
        response_id="",
        response_model=routed_model(reply.trace),
        finish_reasons=(reason,) if reason else (),
        usage=read_converse_usage(reply.usage) or estimate_usage(asked_bytes, len(body)),
    )


def routed_model(trace: object) -> str:
    """The model that a prompt router chose, "" where none did."""
    router = trace.get("promptRouter") if isinstance(trace, dict) else None
    return text_of(router.get("invokedModelId")) if isinstance(router, dict) else ""


def read_converse_usage(usage: object) -> Usage | None:
    """Bedrock's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    fresh = count_of(usage.get("inputTokens"))
    output_tokens = count_of(usage.get("outputTokens"))
    if fresh is None and output_tokens is None:
        return None
    read = count_of(usage.get("cacheReadInputTokens"))
    written = count_of(usage.get("cacheWriteInputTokens"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=output_tokens,
        source="provider",
        cached_input_tokens=read,
        cache_write_input_tokens=written,
        cache_write_1h_input_tokens=_written_for_an_hour(usage.get("cacheDetails")),
    )


def _written_for_an_hour(details: object) -> int | None:
    """What of the written is kept for an hour, which costs more."""
    found = [
        count
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and detail.get("ttl") == _HOUR
        if (count := count_of(detail.get("inputTokens"))) is not None
    ]
    return sum(found) if found else None
