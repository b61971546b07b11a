"""What a message says whose content is in parts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints.content_in_parts import text_in, thoughts_in

TEXT: dict[str, Any] = {"type": "text", "text": "Hello"}
THOUGHT: dict[str, Any] = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "Hm, "}, {"type": "reference", "reference_ids": [1]}, TEXT],
}


@pytest.mark.parametrize(
    ("content", "text", "thoughts"),
    [
        pytest.param("Hello", "Hello", "", id="a text"),
        pytest.param([TEXT, TEXT], "HelloHello", "", id="texts"),
        pytest.param([THOUGHT, TEXT], "Hello", "Hm, Hello", id="thoughts before"),
        pytest.param([{"type": "thinking", "thinking": "hm"}], "", "hm", id="a thought as a text"),
        pytest.param([{"type": "thinking", "thinking": 7}, {"text": None}, "x", 7], "", "", id="odd parts"),
        pytest.param(None, "", "", id="none"),
    ],
)
def test_content(content: object, text: str, thoughts: str) -> None:
    """Words and thoughts apart, each in order; what is neither adds nothing."""
    assert (text_in(content), thoughts_in(content)) == (text, thoughts)
