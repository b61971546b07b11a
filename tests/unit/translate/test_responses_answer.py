"""Building a response object piece by piece."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import Usage
from gateway.translate.responses_answer import Reason, ResponseAnswer, created_at_s
from tests.golden.responses_cases import read_events_of

COUNTED = Usage(10, 5, "provider", 3, 2, 1)


def begun(*custom_tools: str) -> ResponseAnswer:
    answer = ResponseAnswer({"store": False}, frozenset(custom_tools), model="a/b")
    answer.name("chatcmpl-1", "small", created_at=7)
    return answer


def kinds(answer: ResponseAnswer) -> list[str]:
    return [event["type"].removeprefix("response.") for event in answer.events]


def items(response: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["id"], item["status"]) for item in response["output"]]


def test_nothing_is_told_before_the_first_piece() -> None:
    """A target that fails before it said anything can still be left for another."""
    answer = begun()
    assert answer.take_events() == b""
    answer.text("a")
    assert kinds(answer)[:3] == ["created", "in_progress", "output_item.added"]


@pytest.mark.parametrize(
    ("upstream_id", "base"),
    [
        ("chatcmpl-1", "1"),
        ("msg_1", "1"),
        ("gen-1", "gen-1"),
        ("", "7"),
        ("x" * 200, "x" * 48),
    ],
)
def test_names(upstream_id: str, base: str) -> None:
    """Ids are made of the target's, else of the time; the first name stands."""
    answer = ResponseAnswer({}, frozenset(), model="a/b")
    answer.name(upstream_id, "", created_at=7)
    answer.name("other", "other", created_at=8)
    response = answer.end(None, COUNTED)
    assert (response["id"], response["model"], response["created_at"]) == (f"resp_{base}", "a/b", 7)
    assert response["output"][0]["id"] == f"msg_{base}_0"


@pytest.mark.parametrize(
    ("reason", "status"),
    [(None, "completed"), ("max_output_tokens", "incomplete"), ("content_filter", "incomplete")],
)
def test_end(reason: Reason | None, status: str) -> None:
    """The last event has the response; what was broken off was so in its last item."""
    answer = begun()
    answer.text("a")
    answer.call(0, "call_1", "f")
    response = answer.end(reason, COUNTED)
    assert answer.events[-1] == {
        "type": f"response.{status}",
        "response": response,
        "sequence_number": len(answer.events) - 1,
    }
    assert items(response) == [("msg_1_0", "completed"), ("fc_1_1", status)]
    assert response["incomplete_details"] == ({"reason": reason} if reason else None)
    assert response["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }


@pytest.mark.parametrize(
    ("usage", "told"),
    [(Usage(1, 1, "estimated"), None), (Usage(None, 4, "provider"), 4)],
    ids=["a guess", "half a count"],
)
def test_usage(usage: Usage, told: int | None) -> None:
    """A guess of ours is not told as the provider's count."""
    answered = begun().end(None, usage)["usage"]
    assert (answered and answered["total_tokens"]) == told


def test_one_after_the_other() -> None:
    """What begins ends what was being said; calls may come at the same time."""
    answer = begun("c")
    answer.reasoning_summary("a")
    answer.encrypted_reasoning("s")
    answer.text("b")
    answer.refusal("c")
    answer.call(0, "call_1", "f")
    answer.call(1, "", "c")
    answer.arguments(0, "{")
    answer.arguments(1, '{"input":"x"}')
    answer.arguments(0, "}")
    answer.web_search("q", [])
    answer.text("d")
    output = answer.end(None, COUNTED)["output"]
    assert [item["type"] for item in output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
        "web_search_call",
        "message",
    ]
    assert output[0]["encrypted_content"] == "s"
    assert output[2]["arguments"] == "{}"
    assert (output[3]["call_id"], output[3]["input"]) == ("call_1_3", "x")


def test_calls_by_key() -> None:
    """A second call of a key ends the first; a key without a call has none."""
    answer = begun()
    answer.call(0, "call_1", "f")
    answer.call(0, "call_2", "g")
    assert answer.call_id(0) == "call_2"
    assert answer.call_id(1) is None
    answer.close()
    assert answer.call_id(0) is None


def test_parts() -> None:
    """Text after the end of a part is a part of its own, where a text is open."""
    answer = begun()
    answer.end_part()
    answer.text("a")
    answer.end_part()
    answer.text("b")
    answer.annotate({"type": "url_citation"})
    (message,) = answer.end(None, COUNTED)["output"]
    assert [part["text"] for part in message["content"]] == ["a", "b"]
    assert message["content"][1]["annotations"] == [{"type": "url_citation"}]


def test_failure() -> None:
    """Is told as an error, then as the response that failed, with what had come."""
    answer = begun()
    answer.reasoning_text("a")
    answer.fail("server_error", "busy")
    assert kinds(answer)[-3:] == ["output_item.done", "error", "failed"]
    failed = answer.events[-1]["response"]
    assert (failed["status"], failed["error"]) == ("failed", {"code": "server_error", "message": "busy"})
    assert items(failed) == [("rs_1_0", "incomplete")]


def test_events_are_taken_once() -> None:
    """Each with its name before its data, numbered from 0."""
    answer = begun()
    answer.text("ü")
    first = answer.take_events()
    answer.end(None, COUNTED)
    events = read_events_of(first) + read_events_of(answer.take_events())
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "ü"
    assert answer.take_events() == b""
    json.dumps(events)


def test_created_at() -> None:
    """Whole seconds."""
    assert created_at_s(1_999_999_999) == 1
