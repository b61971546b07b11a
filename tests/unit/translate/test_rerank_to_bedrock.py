"""Calls that rank documents, for models of Bedrock."""

from __future__ import annotations

import json

from gateway.translate import rerank_to_bedrock
from tests.unit.makers import make_target
from tests.unit.translate.test_rerank_call import call_of

ARN = "arn:aws:bedrock:us-east-1::foundation-model/cohere.rerank-v3-5:0"


def test_an_invocation() -> None:
    """At the model's own path, whose id may be an ARN; Cohere's wants its version told."""
    target = make_target(dialect="converse", model_id=ARN)
    call = call_of(query="q", documents=["a", {"text": "b"}], top_n=1)
    path = rerank_to_bedrock.path(call, target)
    assert path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fcohere.rerank-v3-5%3A0/invoke"
    )
    body, left_out = rerank_to_bedrock.write(call, target)
    assert json.loads(body) == {"query": "q", "documents": ["a", "b"], "top_n": 1, "api_version": 2}
    assert left_out == ()


def test_amazons_own() -> None:
    """It has no versions and cuts texts as it likes."""
    target = make_target(dialect="converse", model_id="amazon.rerank-v1:0")
    body, left_out = rerank_to_bedrock.write(
        call_of(query="q", documents=["a"], max_tokens_per_doc=9), target
    )
    assert json.loads(body) == {"query": "q", "documents": ["a"]}
    assert left_out == ("max_tokens_per_doc",)


def test_no_usage_is_told() -> None:
    """So none is made up."""
    call = call_of(query="q", documents=["a"])
    reply = b'{"results":[{"index":0,"relevance_score":0.5}]}'
    told, facts = rerank_to_bedrock.read(call, reply, started_at_ns=0)
    assert (told, facts.usage) == (reply, None)
