"""Replies of Converse: what is learned of them, and which are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.converse_reply import read_converse, read_converse_usage
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.rig.requires import requires
from tests.unit.recorded import recorded_answers

MESSAGE = {"role": "assistant", "content": [{"text": "hi"}]}


def read(reply: Any) -> ReplyFacts:
    return read_converse(json.dumps(reply).encode(), asked_bytes=400)


def test_a_whole_reply() -> None:
    """Why it ended, what it used, and which model a router chose."""
    facts = read(
        {
            "output": {"message": MESSAGE},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
            "trace": {"promptRouter": {"invokedModelId": "arn:aws:bedrock:x"}},
        }
    )
    assert facts == ReplyFacts("", "arn:aws:bedrock:x", ("end_turn",), Usage(3, 4, "provider"))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"inputTokens": 3, "outputTokens": 4}, Usage(3, 4, "provider"), id="plain"),
        pytest.param({"outputTokens": 4}, Usage(None, 4, "provider"), id="half"),
        pytest.param(
            {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 20, "cacheWriteInputTokens": 100},
            Usage(123, 4, "provider", 20, None, 100),
            id="cached",
        ),
        pytest.param(
            {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheWriteInputTokens": 100,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 60}, {"ttl": "5m", "inputTokens": 40}, None],
            },
            Usage(103, 4, "provider", None, None, 100, 60),
            id="for an hour",
        ),
        pytest.param({"inputTokens": -1, "outputTokens": "4"}, None, id="none"),
        pytest.param([], None, id="no object"),
    ],
)
def test_usage(usage: Any, expected: Usage | None) -> None:
    """Input has all of it, cached and written, as everywhere in the gateway."""
    assert read_converse_usage(usage) == expected


def test_usage_is_estimated_where_none_is_reported() -> None:
    """From sizes, and marked as that."""
    facts = read({"output": {"message": MESSAGE}, "stopReason": "end_turn"})
    assert (facts.usage.source, facts.usage.input_tokens) == ("estimated", 100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"message":"slow down"}',
        b'{"output":{"message":{"content":{}}}}',
        b'{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"}}',
    ],
)
def test_no_reply(body: bytes) -> None:
    """A 200 without an answer is a failure, which another target may mend."""
    with pytest.raises(UpstreamBadReply):
        read_converse(body, asked_bytes=1)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["output", "stopReason", "usage", "trace"]), ANY))
def test_any_reply(reply: dict[str, Any]) -> None:
    """Whatever Bedrock sends is a reply or a bad one."""
    for body in (reply, {**reply, "output": {"message": MESSAGE}}):
        try:
            read(body)
        except UpstreamBadReply:
            assert body is reply


@requires("recordings")
def test_recorded_usage(recordings: Path) -> None:
    """What is reported of each recorded reply are the numbers in it."""
    for item in recorded_answers(recordings, "bedrock-converse", is_stream=False):
        facts = read_converse(item.body, asked_bytes=1)
        reply = json.loads(item.body)
        usage = reply.get("usage")
        assert facts.finish_reasons == (reply["stopReason"],)
        if usage is None:
            assert facts.usage.source == "estimated"
        else:
            assert facts.usage == Usage(usage.get("inputTokens"), usage["outputTokens"], "provider")
