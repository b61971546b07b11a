"""Documents ranked at Vertex AI."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given

from gateway.errors import GatewayError, UpstreamBadReply
from gateway.translate import rerank_to_vertex
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.test_rerank_call import call_of

TARGET: Final = make_target(dialect="gemini", model_id="semantic-ranker-default-004", rerank_api="vertex")
CALL: Final = call_of(query="q", documents=["a", "b"])


def test_a_call() -> None:
    """Each document is a record whose id is its place."""
    call = call_of(query="q", documents=["a", {"text": "b"}], top_n=1, priority=3)
    body, left_out = rerank_to_vertex.write(call, TARGET)
    assert json.loads(body) == {
        "model": "semantic-ranker-default-004",
        "query": "q",
        "records": [{"id": "0", "content": "a"}, {"id": "1", "content": "b"}],
        "ignoreRecordDetailsInResponse": True,
        "topN": 1,
    }
    assert left_out == ("priority",)
    assert rerank_to_vertex.path(call, TARGET) == ":rank"


def test_a_reply() -> None:
    """A score that is not written is zero; usage is not made up."""
    body, facts = rerank_to_vertex.read(
        CALL, b'{"records":[{"id":"1","score":0.9},{"id":"0"}]}', started_at_ns=0
    )
    assert json.loads(body)["results"] == [
        {"index": 1, "relevance_score": 0.9},
        {"index": 0, "relevance_score": 0.0},
    ]
    assert facts.usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"records":[{}]}',
        b'{"records":[{"id":"x","score":1}]}',
        b'{"records":[{"id":"-1","score":1}]}',
        b'{"records":[{"id":7,"score":1}]}',
        b'{"records":[{"id":"' + b"9" * 5000 + b'","score":1}]}',
        b'{"records":[{"id":"0","score":"1"}]}',
    ],
)
def test_no_reply(body: bytes) -> None:
    """What ranks no documents is no answer."""
    with pytest.raises(UpstreamBadReply):
        rerank_to_vertex.read(CALL, body, started_at_ns=0)


def test_an_error() -> None:
    """Google's, in OpenAI's shape."""
    said = b'{"error":{"code":403,"message":"No.","status":"PERMISSION_DENIED"}}'
    refusal = rerank_to_vertex.read_error(403, said)
    assert refusal is not None
    assert json.loads(refusal.body)["error"]["message"] == "No."


@given(json_of("query", "documents", "text"))
def test_any_call(value: Any) -> None:
    """Whatever is asked is written or refused."""
    for members in ({"query": value, "documents": value}, {"query": "q", "documents": value, "top_n": value}):
        try:
            body, _ = rerank_to_vertex.write(call_of(**members), TARGET)
        except GatewayError:
            continue
        assert json.loads(body)["records"]


@given(json_of("records", "id", "score", "0"))
def test_any_reply(value: Any) -> None:
    """Whatever comes is told or is no answer."""
    for whole in (value, {"records": value}, {"records": [{"id": "0", "score": value}]}):
        try:
            reply, _ = rerank_to_vertex.read(CALL, json.dumps(whole).encode(), started_at_ns=0)
        except UpstreamBadReply:
            continue
        assert isinstance(json.loads(reply)["results"], list)
