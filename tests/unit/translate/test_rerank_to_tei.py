"""Answers of Text Embeddings Inference."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given

from gateway.errors import UpstreamBadReply
from gateway.translate import rerank_to_tei
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.test_rerank_call import TARGET, call_of

CALL: Final = call_of(query="q", documents=["a", "b"])


def test_scores() -> None:
    """In the caller's words, sorted."""
    body = b'[{"index":0,"score":0.2},{"index":1,"score":0.8,"text":"b"}]'
    reply, facts = rerank_to_tei.read(CALL, body, started_at_ns=0)
    assert [result["index"] for result in json.loads(reply)["results"]] == [1, 0]
    assert facts.usage is None


@pytest.mark.parametrize("body", [b"{}", b"<html>", b"[1]", b'[{"index":0}]'])
def test_no_reply(body: bytes) -> None:
    """What is no list of ranks is no answer."""
    with pytest.raises(UpstreamBadReply):
        rerank_to_tei.read(CALL, body, started_at_ns=0)


def test_its_own_fields_win() -> None:
    """A caller that knows the server may say how texts are cut."""
    body, left_out = rerank_to_tei.write(call_of(query="q", documents=["a"], truncate=False), TARGET)
    assert json.loads(body) == {"query": "q", "texts": ["a"], "truncate": False}
    assert left_out == ()


@given(json_of("index", "score", "text"))
def test_any_reply(value: Any) -> None:
    """Whatever a server answers is told, or is no answer."""
    try:
        reply, _ = rerank_to_tei.read(CALL, json.dumps(value).encode(), started_at_ns=0)
    except UpstreamBadReply:
        return
    assert isinstance(json.loads(reply)["results"], list)
