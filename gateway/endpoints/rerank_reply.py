"""Reading a reply that ranks documents: usage, ids, and whether a 200 is really a failure.

Cohere counts searches (`meta.billed_units`), Jina and the servers that took over its API count tokens
(`usage`).

Shapes: https://docs.cohere.com/reference/rerank , https://api.jina.ai/redoc
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import UNREADABLE, count_of, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Usage


class RerankReply(msgspec.Struct):
    """What the gateway reads of a reply; all of it may be missing or of another type."""

    id: Any = None
    model: Any = None
    # Left undecoded: each result may have its whole document.
    results: msgspec.Raw = msgspec.Raw(b"null")
    usage: Any = None
    meta: Any = None
    error: Any = None


_replies: Final = msgspec.json.Decoder(RerankReply)
_results: Final = msgspec.json.Decoder(list[msgspec.Raw])


def read_rerank(body: bytes) -> ObjectFacts:
    """Read the body of a successful reply in Cohere's or Jina's shape.

    Raises:
        UpstreamBadReply: It is no JSON object, has an error inside, or ranks nothing.
    """
    try:
        reply = _replies.decode(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    if reply.error is not None:
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    try:
        _results.decode(reply.results)
    except UNREADABLE as error:
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    return ObjectFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=(),
        usage=read_cohere_meta(reply.meta) or read_rerank_usage(reply.usage),
    )


def read_rerank_usage(usage: object) -> Usage | None:
    """Tokens that were read: some servers tell them as the total alone."""
    if not isinstance(usage, dict):
        return None
    named = (usage.get(name) for name in ("prompt_tokens", "input_tokens", "total_tokens"))
    tokens = next((count for count in map(count_of, named) if count), None)
    return None if tokens is None else Usage(tokens, None, "provider")


def read_cohere_meta(meta: object) -> Usage | None:
    """What Cohere counts: searches, and tokens where it tells them; None when it tells neither."""
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    if not isinstance(billed, dict):
        return None
    searches, tokens = whole_count(billed.get("search_units")), whole_count(billed.get("input_tokens"))
    if searches is None and tokens is None:
        return None
    return Usage(tokens, None, "provider", search_units=searches)


def whole_count(value: object) -> int | None:
    """*value* if it can be a count; Cohere writes counts as `3.0` too."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return count_of(value)
