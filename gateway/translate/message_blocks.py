"""Writing the stream of a message in Anthropic's dialect: its start, and its blocks one after the other.

Shapes: https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any

from gateway.translate.foreign_json import named_event


def message_start(reply_id: str, model: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """The event that begins a message.

    Args:
        reply_id: Of the message.
        model: Who answers.
        usage: What has been counted until here; None: nothing, as the real counts come last.
    """
    message: dict[str, Any] = {
        "id": reply_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0} if usage is None else usage,
    }
    return {"type": "message_start", "message": message}


class MessageBlocks:
    """The blocks of one message; at most one is open.

    Attributes:
        open: Which kind of block is, in its writer's words; "" for none.
    """

    def __init__(self) -> None:
        self.open = ""
        self._index = -1

    def within(self, kind: str, block: dict[str, Any]) -> bytes:
        """Make sure that a block of *kind* is open; *block* is how one begins."""
        return b"" if self.open == kind else self.begin(kind, block)

    def begin(self, kind: str, block: dict[str, Any]) -> bytes:
        """End what is open, and begin *block*."""
        ended = self.end()
        self._index += 1
        self.open = kind
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return ended + named_event(start)

    def delta(self, delta: dict[str, Any]) -> bytes:
        """A piece of the block that is open."""
        return named_event({"type": "content_block_delta", "index": self._index, "delta": delta})

    def end(self) -> bytes:
        """End the block that is open, if one is."""
        if not self.open:
            return b""
        self.open = ""
        return named_event({"type": "content_block_stop", "index": self._index})
