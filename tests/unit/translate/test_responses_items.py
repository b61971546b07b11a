"""The output items of a response, each with the events that OpenAI tells of it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.translate.responses_items import CustomCall, FunctionCall, Item, Message, Reasoning, Search


class Told:
    """A response that remembers what it was told, and by which index."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def tell(self, kind: str, **members: Any) -> None:
        self.events.append((kind.removeprefix("response."), members))

    def add_item(self, prefix: str, item: dict[str, Any]) -> int:
        item["id"] = f"{prefix}_0"
        return 0

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]


ANNOTATION: Final = {"type": "url_citation", "url": "https://a.test"}
LOGPROB: Final = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}


def test_message() -> None:
    """Each part is begun, told in pieces, told whole and ended; then the item is."""
    told = Told()
    message = Message(told)
    message.add("output_text", "a", [LOGPROB])
    message.add("output_text", "b")
    message.annotate(ANNOTATION)
    message.add("refusal", "no")
    message.close("incomplete")
    assert told.kinds == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]
    assert message.item == {
        "id": "msg_0",
        "type": "message",
        "status": "incomplete",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "ab", "annotations": [ANNOTATION], "logprobs": [LOGPROB]},
            {"type": "refusal", "refusal": "no"},
        ],
    }
    assert [members["content_index"] for kind, members in told.events if "part" in kind] == [0, 0, 1, 1]


def test_what_was_begun_does_not_grow() -> None:
    """The event of a beginning tells of an empty item, whatever comes before it is sent."""
    told = Told()
    message = Message(told)
    message.add("output_text", "a", [LOGPROB])
    message.close("completed")
    assert told.events[0][1]["item"]["content"] == []
    assert told.events[0][1]["item"]["status"] == "in_progress"
    assert told.events[1][1]["part"] == {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def test_annotation_before_any_text() -> None:
    """Has a text to stand at."""
    told = Told()
    message = Message(told)
    message.annotate(ANNOTATION)
    message.end_part()
    message.end_part()
    assert message.item["content"] == [
        {"type": "output_text", "text": "", "annotations": [ANNOTATION], "logprobs": []}
    ]


def test_reasoning() -> None:
    """A summary and a text have events of their own; no words are no part."""
    told = Told()
    reasoning = Reasoning(told)
    reasoning.add("summary", "")
    reasoning.add("summary", "a")
    reasoning.add("summary", "b")
    reasoning.add("content", "c")
    reasoning.close("completed")
    assert told.kinds == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert reasoning.item["summary"] == [{"type": "summary_text", "text": "ab"}]
    assert reasoning.item["content"] == [{"type": "reasoning_text", "text": "c"}]
    assert [members.get("summary_index") for _, members in told.events[1:6]] == [0] * 5


@pytest.mark.parametrize(
    ("pieces", "status", "arguments", "deltas"),
    [
        (['{"a"', "", ":1}"], "completed", '{"a":1}', ['{"a"', ":1}"]),
        ([], "completed", "{}", ["{}"]),
        (["  "], "completed", "{}", ["  ", "{}"]),
        (['{"a"'], "incomplete", '{"a"', ['{"a"']),
        ([], "incomplete", "", []),
    ],
)
def test_function_call(pieces: list[str], status: str, arguments: str, deltas: list[str]) -> None:
    """Arguments come in pieces; none at all are an empty object, unless they were broken off."""
    told = Told()
    call = FunctionCall(told, "call_1", "f")
    for piece in pieces:
        call.add(piece)
    call.close(status)
    assert [members["delta"] for kind, members in told.events if kind.endswith("delta")] == deltas
    assert told.events[-2][1]["arguments"] == arguments
    assert (call.item["arguments"], call.item["status"], call.item["id"]) == (arguments, status, "fc_0")


def test_custom_call() -> None:
    """Its text is told when the JSON around it is whole."""
    told = Told()
    call = CustomCall(told, "call_1", "c")
    call.add('{"input":')
    call.add('"x"}')
    assert told.kinds == ["output_item.added"]
    call.close("completed")
    assert told.kinds[1:] == [
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert call.item["input"] == "x"
    empty = CustomCall(told, "call_2", "c")
    empty.close("incomplete")
    assert told.kinds[-2:] == ["custom_tool_call_input.done", "output_item.done"]
    assert empty.item["input"] == ""


def test_search() -> None:
    """Is told when it has been made, with what it found."""
    told = Told()
    search = Search(told, "news", ["https://a.test"])
    search.close("completed")
    states = [f"web_search_call.{state}" for state in ("in_progress", "searching", "completed")]
    assert told.kinds == ["output_item.added", *states, "output_item.done"]
    assert search.item["action"]["sources"] == [{"type": "url", "url": "https://a.test"}]


def test_every_item_has_its_place() -> None:
    """In its events and in the output."""
    told = Told()
    item = Item(told, "x", {"id": "", "status": "in_progress"})
    item.tell("y", delta="z")
    assert told.events[-1] == ("y", {"item_id": "x_0", "output_index": 0, "delta": "z"})
