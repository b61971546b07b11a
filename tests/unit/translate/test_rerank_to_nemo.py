"""Answers of NeMo Retriever."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given

from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.translate import rerank_to_nemo
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.test_rerank_call import TARGET, call_of

CALL: Final = call_of(query="q", documents=["a", "b"])


def test_logits_become_scores() -> None:
    """A logit of 0 is one half; the order stays, and so do the tokens."""
    body = b'{"rankings":[{"index":1,"logit":2.0},{"index":0,"logit":0}],"usage":{"total_tokens":8}}'
    reply, facts = rerank_to_nemo.read(CALL, body, started_at_ns=0)
    told = json.loads(reply)
    assert [result["index"] for result in told["results"]] == [1, 0]
    assert told["results"][1]["relevance_score"] == 0.5
    assert told["usage"]["total_tokens"] == 8
    assert facts.usage == Usage(8, None, "provider")


@pytest.mark.parametrize("body", [b"{}", b"<html>", b'{"rankings":[1]}', b'{"rankings":[{"index":0}]}'])
def test_no_reply(body: bytes) -> None:
    """What has no rankings is no answer."""
    with pytest.raises(UpstreamBadReply):
        rerank_to_nemo.read(CALL, body, started_at_ns=0)


def test_where_it_is() -> None:
    """Its path is its own, below the same address."""
    assert rerank_to_nemo.path(CALL, TARGET) == "/ranking"
    body, _ = rerank_to_nemo.write(CALL, TARGET)
    assert json.loads(body)["model"] == TARGET.model_id


@given(json_of("index", "logit", "rankings", "usage"))
def test_any_reply(value: Any) -> None:
    """Whatever a server answers is told, or is no answer."""
    for whole in (value, {"rankings": value}):
        try:
            reply, _ = rerank_to_nemo.read(CALL, json.dumps(whole).encode(), started_at_ns=0)
        except UpstreamBadReply:
            continue
        assert isinstance(json.loads(reply)["results"], list)
