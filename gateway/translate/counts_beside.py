"""What Bedrock counted beside a whole reply, in its headers, where the body does not say it."""

from __future__ import annotations

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.invoke_reply import with_header_counts
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call, HeaderPairs
from gateway.translate.embedding_lists import with_usage


def with_counts_beside(
    call: Call, body: bytes, facts: ReplyFacts | ObjectFacts, headers: HeaderPairs
) -> tuple[bytes, ReplyFacts | ObjectFacts]:
    """The caller's *body* and the *facts*, with those counts in both."""
    if not call.endpoint.counts_tokens:
        return body, facts
    counted = with_header_counts(facts, headers)
    if call.endpoint is EMBEDDING and counted.usage is not None and counted is not facts:
        body = with_usage(body, counted.usage)
    return body, counted
