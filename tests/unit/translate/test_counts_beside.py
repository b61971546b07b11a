"""Counts that Bedrock has in the headers of a reply."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.endpoints.bedrock_catalogue import INVOKE
from gateway.endpoints.catalogue import EMBEDDING, RERANK
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call, Endpoint, HeaderPairs, Usage
from gateway.translate.counts_beside import with_counts_beside

HEADERS: Final[HeaderPairs] = [(b"x-amzn-bedrock-input-token-count", b"7")]
BODY: Final = b'{"object":"list","data":[{"embedding":[0.10]}],"usage":{"prompt_tokens":1,"total_tokens":1}}'


def call_of(endpoint: Endpoint) -> Call:
    return Call(endpoint, "acct/m", is_stream=False, wants_usage=False, choices=1, fields={}, body_bytes=4)


def facts_of(source: Any) -> ReplyFacts:
    return ReplyFacts("", "", (), Usage(1, None, source))


def test_embeddings() -> None:
    """They stand in the caller's body as well, and its vectors stay the digits they were."""
    body, facts = with_counts_beside(call_of(EMBEDDING), BODY, facts_of("estimated"), HEADERS)
    assert facts.usage == Usage(7, None, "provider")
    assert json.loads(body)["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert b"[0.10]" in body


def test_an_invocation() -> None:
    """Its body is the model's own and stays as it is."""
    body, facts = with_counts_beside(call_of(INVOKE), BODY, facts_of("estimated"), HEADERS)
    assert (body, facts.usage) == (BODY, Usage(7, None, "provider"))


@pytest.mark.parametrize(
    ("endpoint", "source", "headers"),
    [(EMBEDDING, "provider", HEADERS), (EMBEDDING, "estimated", []), (INVOKE, "provider", HEADERS)],
    ids=["counted", "not-counted", "invocation-counted"],
)
def test_nothing_to_add(endpoint: Endpoint, source: Any, headers: HeaderPairs) -> None:
    """What the body says comes first, and nothing is made of no headers."""
    facts = facts_of(source)
    assert with_counts_beside(call_of(endpoint), BODY, facts, headers) == (BODY, facts)


def test_ranks() -> None:
    """They are not counted in tokens."""
    facts = ObjectFacts("", "", (), None)
    assert with_counts_beside(call_of(RERANK), BODY, facts, HEADERS) == (BODY, facts)
