"""Whole Messages replies: usage, and 200s that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.endpoints.anthropic_reply import NOTHING_SPENT, add_up_usage, read_message, read_message_usage
from gateway.endpoints.catalogue import COUNT_TOKENS, MESSAGES
from gateway.errors import UpstreamBadReply
from gateway.model import Sampling, Usage
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded

GOOD: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-x",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}


def body(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def iteration(kind: str, model: str, asked: int, said: int, **more: int) -> dict[str, Any]:
    named = {"model": model} if model else {}
    return {"type": kind, **named, "input_tokens": asked, "output_tokens": said, **more}


def used(asked: int, said: int) -> Usage:
    return Usage(asked, said, "provider")


@pytest.mark.parametrize(
    ("top", "iterations", "expected", "samplings"),
    [
        pytest.param((10, 4), [iteration("message", "", 10, 4)], used(10, 4), (), id="an answer alone"),
        pytest.param(
            (10, 4),
            [iteration("message", "", 4, 3), iteration("message", "", 6, 1)],
            used(10, 4),
            (),
            id="an answer with tools between",
        ),
        pytest.param(
            (23_000, 1000),
            [iteration("compaction", "", 180_000, 3500), iteration("message", "", 23_000, 1000)],
            used(203_000, 4500),
            (Sampling("", used(180_000, 3500)),),
            id="a summary before the answer",
        ),
        pytest.param(
            (0, 0),
            [iteration("compaction", "", 5, 7, cache_read_input_tokens=100, cache_creation_input_tokens=20)],
            Usage(125, 7, "provider", 100, None, 20),
            (Sampling("", Usage(125, 7, "provider", 100, None, 20)),),
            id="a summary and no answer",
        ),
        pytest.param(
            (10, 4),
            [
                iteration("message", "", 4, 3),
                iteration("advisor_message", "claude-wise", 800, 90),
                iteration("message", "", 6, 1),
            ],
            used(810, 94),
            (Sampling("claude-wise", used(800, 90)),),
            id="an adviser",
        ),
        pytest.param(
            (412, 264),
            [
                iteration("message", "claude-strict", 535, 900),
                iteration("fallback_message", "claude-lax", 412, 264),
            ],
            used(947, 1164),
            (Sampling("claude-strict", used(535, 900)), Sampling("claude-lax", used(412, 264))),
            id="a model that declined in the middle",
        ),
        pytest.param(
            (412, 264),
            [
                iteration("message", "", 535, 0),
                iteration("message", "claude-lax", 12, 4),
                iteration("fallback_message", "claude-lax", 400, 260),
            ],
            used(412, 264),
            (Sampling("claude-lax", used(412, 264)),),
            id="one that declined before its first word is not paid",
        ),
        pytest.param(
            (412, 264),
            [iteration("fallback_message", "claude-lax", 412, 264)],
            used(412, 264),
            (Sampling("claude-lax", used(412, 264)),),
            id="another model from the start",
        ),
        pytest.param(
            (9, 3),
            [iteration("message", "claude-strict", 8, 2), iteration("message", "claude-lax", 9, 3)],
            used(17, 5),
            (Sampling("claude-strict", used(8, 2)), Sampling("claude-lax", used(9, 3))),
            id="all of them declined",
        ),
        pytest.param((10, 4), [None, {}, "x", {"type": "compaction"}], used(10, 4), (), id="nothing counted"),
        pytest.param((10, 4), "all", used(10, 4), (), id="no list"),
        pytest.param((10, 4), None, used(10, 4), (), id="null"),
    ],
)
def test_what_was_done_beside_the_answer(
    top: tuple[int, int], iterations: object, expected: Usage, samplings: tuple[Sampling, ...]
) -> None:
    """What Anthropic lists and does not add up is used and paid too, each part by its own model's rates."""
    usage = {"input_tokens": top[0], "output_tokens": top[1], "iterations": iterations}
    read = read_message_usage(usage)
    assert read is not None
    assert structs.replace(read, samplings=()) == expected
    assert read.samplings == samplings


def test_reply() -> None:
    """What is read of a good reply."""
    facts = read_message(MESSAGES, body(), asked_bytes=400)
    assert (facts.response_id, facts.response_model) == ("msg_1", "claude-x")
    assert facts.finish_reasons == ("end_turn",)
    assert facts.usage == Usage(3, 4, "provider")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {
                "input_tokens": 10,
                "cache_read_input_tokens": 200,
                "cache_creation_input_tokens": 30,
                "output_tokens": 7,
                "output_tokens_details": {"thinking_tokens": 5},
            },
            Usage(240, 7, "provider", 200, 5, 30),
            id="input is the sum of what was read, taken from the cache and put there",
        ),
        pytest.param({"input_tokens": 0, "output_tokens": 0}, Usage(0, 0, "provider"), id="zero is a count"),
        pytest.param({"output_tokens": 5}, Usage(None, 5, "provider"), id="half of it"),
        pytest.param(
            {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": None},
            Usage(1, 1, "provider"),
            id="null",
        ),
        pytest.param(
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 1,
            },
            Usage(31, 1, "provider", cache_write_input_tokens=30, cache_write_1h_input_tokens=20),
            id="kept for an hour",
        ),
        pytest.param(
            {"input_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 20}, "output_tokens": 1},
            Usage(21, 1, "provider", cache_write_input_tokens=20, cache_write_1h_input_tokens=20),
            id="only by age",
        ),
        pytest.param(
            {"input_tokens": 1, "cache_creation_input_tokens": 3, "cache_creation": [], "output_tokens": 1},
            Usage(4, 1, "provider", cache_write_input_tokens=3),
            id="ages that are none",
        ),
        pytest.param({"input_tokens": "1"}, None, id="no number"),
        pytest.param({"input_tokens": -1}, None, id="negative"),
        pytest.param(None, None, id="none"),
        pytest.param([], None, id="no object"),
    ],
)
def test_usage(usage: object, expected: Usage | None) -> None:
    """Each count once, in OpenAI's way of counting."""
    assert read_message_usage(usage) == expected


def test_usage_of_a_stream() -> None:
    """Both halves are totals; the later stands, and null is none."""
    first = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}
    second = {"output_tokens": 9, "cache_read_input_tokens": None}
    assert add_up_usage(first, second) == {**first, "output_tokens": 9}
    assert add_up_usage(first, None) == first


def test_a_zero_at_the_end_takes_no_input_back() -> None:
    """Servers of this API that count the input first write 0 last; a 0 for the answer is what it says."""
    ages = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}
    first = {"input_tokens": 10, "cache_creation_input_tokens": 7, "cache_creation": ages, "output_tokens": 1}
    second = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation": dict.fromkeys(ages, 0),
        "output_tokens": 0,
    }
    assert add_up_usage(first, second) == {**first, "output_tokens": 0}


def test_what_is_counted_at_the_end_alone() -> None:
    """Others write 0 first, and a smaller number last is the better one."""
    second = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 9}
    assert add_up_usage({"input_tokens": 0, "cache_read_input_tokens": 8}, second) == second


def test_an_empty_answer_is_one() -> None:
    """After the result of a tool there may be nothing to say."""
    assert read_message(MESSAGES, body(content=[]), asked_bytes=1).usage.output_tokens == 4


def test_no_usage_is_estimated() -> None:
    """Four bytes a token, marked as such."""
    found = read_message(MESSAGES, body(usage=None), asked_bytes=400).usage
    assert (found.input_tokens, found.source) == (100, "estimated")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<html>", "not a JSON reply"),
        (b"[]", "not a JSON reply"),
        (b"", "not a JSON reply"),
        (b"[" * 100_000, "not a JSON reply"),
        (b'{"type":"error","error":{"type":"overloaded_error"}}', "an error inside"),
        (b'{"type":"error"}', "an error inside"),
        (b"{}", "no answer in it"),
        (body(content=None), "no answer in it"),
    ],
)
def test_no_reply(data: bytes, says: str) -> None:
    """A 200 that is no answer is an error of the provider."""
    with pytest.raises(UpstreamBadReply, match=says):
        read_message(MESSAGES, data, asked_bytes=1)


def test_counting_tokens_spends_none() -> None:
    """The count is the answer, not usage."""
    facts = read_message(COUNT_TOKENS, b'{"input_tokens":2095}', asked_bytes=1)
    assert facts.usage == NOTHING_SPENT
    with pytest.raises(UpstreamBadReply, match="no answer"):
        read_message(COUNT_TOKENS, b"{}", asked_bytes=1)


@given(st.recursive(st.none() | st.integers() | st.text() | st.booleans(), st.lists).map(json.dumps))
def test_any_json(text: str) -> None:
    """Whatever a provider sends is a reply or a bad reply."""
    for data in (text.encode(), body(usage=json.loads(text)), body(content=json.loads(text))):
        try:
            read_message(MESSAGES, data, asked_bytes=1)
        except UpstreamBadReply:
            continue


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Every recorded reply is read, with the provider's own count."""
    for item in read_recorded(recordings, "anthropic-messages", is_stream=False):
        facts = read_message(MESSAGES, item.body, asked_bytes=1)
        assert facts.usage.source == "provider", item.name
        assert facts.finish_reasons, item.name
