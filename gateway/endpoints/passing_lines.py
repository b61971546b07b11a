"""What a stream of JSON lines used that passes as it comes: those of Ollama's own API and Cohere's older one.

Each line is an object: a piece of the answer, and in the last one what was counted. Of a stream that breaks
off, or tells no count, an estimate counts: the text that came / 4, and a token at least for each line.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them. Of a line that is not
whole no more than `MAX_EVENT_BYTES` is held.

Shapes: https://github.com/ollama/ollama/blob/main/docs/api.md, https://docs.cohere.com/v1/reference/chat-stream
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_events import ObjectFacts, TypedReply, object_facts
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    MEDIA_BYTES_PER_TOKEN,
    UNREADABLE,
    estimate_usage,
    text_of,
)
from gateway.endpoints.passing_usage import PassedReply, find_usage, read_end, read_eval_counts
from gateway.endpoints.said_text import json_bytes, said_bytes
from gateway.model import Dialect, Usage
from gateway.wire.sse import MAX_EVENT_BYTES


class _Line(PassedReply):
    """What is read of a line; all of it may be missing or of another type."""

    message: Any = None
    text: Any = None
    done: Any = None
    is_finished: Any = None


_lines: Final = msgspec.json.Decoder(_Line)


class PassingLines:
    """One such stream; the interface of `passing_stream.PassingStream`."""

    def __init__(self, dialect: Dialect, asked_bytes: int) -> None:
        """Look at one stream.

        Args:
            dialect: What the account speaks on known paths; here it may be another.
            asked_bytes: Size of the call, for the estimate when the provider reports no usage.
        """
        self._dialect: Dialect = dialect
        self._asked_bytes = asked_bytes
        self._held = bytearray()
        self._is_skipping = False
        self._skipped_bytes = 0
        self._pieces = 0
        self._text_bytes = 0
        self._told = TypedReply()
        self._usage: Usage | None = None
        self._is_errand = False
        self._is_over = False
        self._is_broken = False

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            self._hold(part)
            self._end_line()
        self._hold(rest)

    def end(self) -> None:
        """Note that it has ended by itself; the last line may lack its end."""
        self._end_line()
        self._is_over = True

    def facts(self) -> ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        if self._is_errand and self._usage is None:
            return object_facts(self._told, None)
        said = max(self._pieces, self._text_bytes // BYTES_PER_TOKEN)
        said += self._skipped_bytes // MEDIA_BYTES_PER_TOKEN
        usage = self._usage or estimate_usage(self._asked_bytes, said * BYTES_PER_TOKEN)
        if self._is_broken or not self._is_over:
            usage = msgspec.structs.replace(usage, source="partial")
        return object_facts(self._told, usage)

    def _hold(self, part: bytes) -> None:
        """Hold a part of a line, unless the line is too long."""
        if not self._is_skipping and len(self._held) + len(part) <= MAX_EVENT_BYTES:
            self._held += part
            return
        self._is_skipping = True
        self._skipped_bytes += len(self._held) + len(part)
        self._held.clear()

    def _end_line(self) -> None:
        line = bytes(self._held)
        self._held.clear()
        self._is_skipping = False
        if line.strip():
            self._learn(line)

    def _learn(self, data: bytes) -> None:
        try:
            line = _lines.decode(data)
        except UNREADABLE:
            self._pieces += 1
            return
        if line.done is True or line.is_finished is True:
            self._is_over = True
        else:
            # The last line has counts, and says nothing.
            self._pieces += 1
        self._text_bytes += _said_bytes(line)
        self._is_broken = self._is_broken or line.error is not None
        # What is fetched or made (`/api/pull`, `/api/create`) tells how far it is, and of no model's answer.
        self._is_errand = line.model is None and (self._is_errand or isinstance(line.status, str))
        self._told = TypedReply(
            id=self._told.id or text_of(line.id), model=self._told.model or text_of(line.model)
        )
        usage = find_usage(self._dialect, line.usage) or read_eval_counts(line)
        self._usage = usage or read_end(bytes(line.response)) or self._usage


def _said_bytes(line: _Line) -> int:
    """How much text a line has: in its `message` where it is of a chat, else in its `response` or `text`.

    What a tool gets is an object in Ollama's, whole in one line.
    """
    response = bytes(line.response)
    said = len(response) - 2 if response.startswith(b'"') else 0
    if isinstance(line.message, dict):
        said += sum(len(text_of(line.message.get(name)).encode()) for name in ("content", "thinking"))
        said += json_bytes(line.message.get("tool_calls"))
    return said + said_bytes(line.text)
