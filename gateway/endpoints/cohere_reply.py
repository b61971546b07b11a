"""Reading a reply of Cohere's chat: usage, ids, and whether a 200 is really a failure.

Cohere counts twice: `tokens` is what the model read and wrote, `billed_units` what of that is paid, without
the tokens that Cohere itself put around the call.

Shapes: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, estimate_usage, excerpt, text_of
from gateway.endpoints.rerank_reply import whole_count
from gateway.errors import UpstreamBadReply
from gateway.model import Usage

FAILED: Final = "ERROR"
"""The finish reason of a reply that broke off by a fault of Cohere's."""


def read_cohere_chat(body: bytes, *, asked_bytes: int) -> tuple[dict[str, Any], ReplyFacts]:
    """A successful whole reply, decoded, and what it says of itself.

    Raises:
        UpstreamBadReply: It is no JSON object, failed, or has no message.
    """
    reply = find_object(body)
    if reply is None:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    reason = text_of(reply.get("finish_reason"))
    if reason == FAILED or reply.get("error") is not None:
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    if not isinstance(reply.get("message"), dict):
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    return reply, ReplyFacts(
        response_id=text_of(reply.get("id")),
        # Cohere does not say which model it was.
        response_model="",
        finish_reasons=(reason,) if reason else (),
        usage=read_cohere_usage(reply.get("usage")) or estimate_usage(asked_bytes, len(body)),
    )


def read_cohere_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    read, written = _pair(usage.get("tokens"))
    paid_read, paid_written = _pair(usage.get("billed_units"))
    if read is None and written is None:
        read, written = paid_read, paid_written
    if read is None and written is None:
        return None
    return Usage(
        input_tokens=read,
        output_tokens=written,
        source="provider",
        cached_input_tokens=whole_count(usage.get("cached_tokens")),
        billed_input_tokens=paid_read,
        billed_output_tokens=paid_written,
    )


def _pair(counts: object) -> tuple[int | None, int | None]:
    if not isinstance(counts, dict):
        return None, None
    return whole_count(counts.get("input_tokens")), whole_count(counts.get("output_tokens"))
