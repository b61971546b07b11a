"""Recorded answers of real providers (`requires("recordings")`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

OPENAI_SHAPED: Final = ("openai-chat", "groq-chat", "mistral-chat", "together-chat", "openrouter-chat")
"""All with streams."""

OPENAI_REPLIES: Final = ("openai-chat", "together-chat")
"""Those with whole replies too."""

GEMINI_SHAPED: Final = ("gemini-generate-content", "vertex-generate-content")


@dataclass(frozen=True)
class Recorded:
    """One answer.

    Attributes:
        name: Where it comes from.
        choices: `n` of the request.
    """

    name: str
    status: int
    is_stream: bool
    choices: int
    body: bytes


def read_recorded(folder: Path, *names: str, is_stream: bool | None = None) -> list[Recorded]:
    """The answers in each `<name>.jsonl`, of one kind where it is given; at least one."""
    found = [item for name in names for item in _read(folder / f"{name}.jsonl")]
    return _some([item for item in found if is_stream in (None, item.is_stream)])


def recorded_answers(folder: Path, *names: str, is_stream: bool) -> list[Recorded]:
    """The good ones among them."""
    return _some([item for item in read_recorded(folder, *names, is_stream=is_stream) if item.status == 200])


def recorded_of_gemini(folder: Path, *names: str, is_stream: bool) -> list[Recorded]:
    """Without the one stream that was recorded as a JSON array, for which no translated call asks."""
    found = read_recorded(folder, *(names or GEMINI_SHAPED), is_stream=is_stream)
    return _some([item for item in found if not item.body.startswith(b"[")])


def _some(found: list[Recorded]) -> list[Recorded]:
    assert found, "nothing of this kind was recorded"
    return found


def _read(file: Path) -> Iterator[Recorded]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            item: dict[str, Any] = json.loads(line)
            asked = item["request_json"] or {}
            # An AWS event stream is no text.
            binary = item.get("body_base64")
            body = base64.b64decode(binary) if binary else (item["body_text"] or "").encode()
            yield Recorded(item["id"], item["status"], item["stream"], asked.get("n") or 1, body)
