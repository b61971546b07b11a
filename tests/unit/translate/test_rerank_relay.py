"""Calls that rank documents for servers that take them as they are."""

from __future__ import annotations

import json

from gateway.model import Usage
from gateway.translate import rerank_relay
from tests.unit.makers import make_target
from tests.unit.translate.test_rerank_call import call_of


def test_bytes_pass() -> None:
    """Both ways, but for the model's name; the tokens are learned on the way."""
    call = call_of(query={"image": "x"}, documents=[{"image": "y"}], x_new=1)
    body, left_out = rerank_relay.write(call, make_target())
    assert json.loads(body) == {
        "model": "small-1",
        "query": {"image": "x"},
        "documents": [{"image": "y"}],
        "x_new": 1,
    }
    assert left_out == ()
    reply = b'{"results": [{"index": 0, "relevance_score": 1e-3}], "usage": {"total_tokens": 3}}'
    told, facts = rerank_relay.read(call, reply, started_at_ns=0)
    assert told == reply
    assert facts.usage == Usage(3, None, "provider")
