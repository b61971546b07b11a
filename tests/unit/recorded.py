"""Recorded answers of real providers (`requires("recordings")`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

OPENAI_SHAPED: Final = ("openai-chat", "groq-chat", "mistral-chat", "together-chat", "openrouter-chat")

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


def read_recorded(folder: Path, name: str) -> Iterator[Recorded]:
    """The answers in `<name>.jsonl`."""
    with (folder / f"{name}.jsonl").open() as lines:
        for line in lines:
            item: dict[str, Any] = json.loads(line)
            asked = item["request_json"] or {}
            # An AWS event stream is no text.
            binary = item.get("body_base64")
            body = base64.b64decode(binary) if binary else (item["body_text"] or "").encode()
            yield Recorded(item["id"], item["status"], item["stream"], asked.get("n") or 1, body)
