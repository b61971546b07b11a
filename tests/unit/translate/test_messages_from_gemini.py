"""Events of a message from pieces of a reply; what parts become is in tests/golden/messages_to_gemini."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Usage
from gateway.translate.foreign_json import named_event
from gateway.translate.messages_from_gemini import MessageWriter, add_up, asks_for_thoughts
from tests.unit.translate.reassembly import message
from tests.unit.translate.test_messages_to_chat import make_messages_call

USAGE: Final = Usage(3, 4, "provider")
PARTS: Final[list[dict[str, Any]]] = [
    {"text": "a"},
    {"text": ""},
    {"text": "b", "thought": True},
    {"text": "c", "thoughtSignature": "sc"},
    {"functionCall": {"name": "f", "args": {"x": 1}}},
    {"functionCall": {"name": "g"}, "thoughtSignature": "sg"},
    {"inlineData": {"mimeType": "image/png", "data": "iVBO"}},
]


def piece(parts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": parts}, **more}]}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, True),
        ({"type": "adaptive"}, True),
        ({"type": "between_tools"}, True),
        ({"type": "disabled"}, False),
        (None, False),
    ],
)
def test_who_wants_thoughts(thinking: object, *, expected: bool) -> None:
    """Those who ask for them in any way."""
    assert asks_for_thoughts(thinking) is expected


@pytest.mark.parametrize("thinking", [{"type": "adaptive"}, None], ids=["asked", "unasked"])
@given(parts=st.lists(st.sampled_from(PARTS), max_size=8), cut=st.integers(0, 8))
def test_however_it_comes(thinking: object, parts: list[dict[str, Any]], cut: int) -> None:
    """All at once or in pieces it is one message, as `add_up` has it and as a client puts it together."""
    call = make_messages_call(messages=[], thinking=thinking)
    told = []
    for pieces in ([piece(parts)], [piece(parts[:cut]), piece(parts[cut:])]):
        writer = MessageWriter(call, started_at_ns=1)
        events = writer.start("r", "m", USAGE)
        for each in pieces:
            events += writer.add(each)
        events += writer.end("STOP", USAGE)
        told.append(message(b"".join(map(named_event, events))))
        told.append(add_up(events))
    assert told == [told[0]] * 4
    kinds = [block["type"] for block in told[0]["content"]]
    assert (thinking is not None) or "thinking" not in kinds
    assert kinds.count("tool_use") == sum("functionCall" in part for part in parts)


def test_no_place_for_what_is_found() -> None:
    """What the web gave is told, and cited only where the answer ends in a text."""
    grounding = {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [{"groundingChunkIndices": [0]}],
    }
    writer = MessageWriter(make_messages_call(messages=[]), started_at_ns=1)
    events = writer.start("", "", USAGE)
    events += writer.add(piece([{"functionCall": {"name": "f"}}], groundingMetadata=grounding))
    content = add_up(events + writer.end("STOP", USAGE))["content"]
    assert [block["type"] for block in content] == ["tool_use", "server_tool_use", "web_search_tool_result"]
    assert "citations" not in content[0]
