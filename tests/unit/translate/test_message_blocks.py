"""The events of a message's blocks, in the order in which Anthropic sends them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.translate.message_blocks import MessageBlocks, message_start
from gateway.wire.sse import read_events

TEXT: Final = {"type": "text", "text": ""}


def told(events: bytes) -> list[dict[str, Any]]:
    """What *events* say."""
    return [msgspec.json.decode(data) for data in read_events(events)]


def test_blocks_come_one_after_the_other() -> None:
    """A block ends before the next begins, under numbers that go up."""
    blocks = MessageBlocks()
    events = blocks.within("text", TEXT) + blocks.delta({"type": "text_delta", "text": "a"})
    events += blocks.within("text", TEXT) + blocks.delta({"type": "text_delta", "text": "b"})
    assert blocks.open == "text"
    events += blocks.begin("tool", {"type": "tool_use"}) + blocks.end()
    assert blocks.open == ""
    assert [(event["type"], event["index"]) for event in told(events)] == [
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_stop", 1),
    ]


def test_nothing_ends_twice() -> None:
    """Where no block is open there is none to end."""
    blocks = MessageBlocks()
    assert blocks.end() == b""
    blocks.begin("text", TEXT)
    assert blocks.end() != b""
    assert blocks.end() == b""


def test_two_of_a_kind() -> None:
    """A new block may be of the kind that is open."""
    blocks = MessageBlocks()
    blocks.begin("tool", {"type": "tool_use"})
    kinds = [event["type"] for event in told(blocks.begin("tool", {"type": "tool_use"}))]
    assert kinds == ["content_block_stop", "content_block_start"]


def test_start() -> None:
    """Nothing has been counted unless that is said."""
    message = message_start("msg_1", "claude")["message"]
    assert message["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert (message["id"], message["model"], message["content"]) == ("msg_1", "claude", [])
    assert message_start("m", "c", {"input_tokens": 3})["message"]["usage"] == {"input_tokens": 3}
