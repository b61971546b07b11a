"""docs/adding-a-dialect.md names files that are there, and what is in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "adding-a-dialect.md").read_text(encoding="utf-8")
NAMED: Final[list[tuple[str, str]]] = re.findall(
    r"`((?:gateway|tests|docs)/[\w./-]+)`(?: \(((?:`\w+`(?:, )?)+)\))?", PAGE
)
"""Files, and what the page says is in them."""


@pytest.mark.parametrize(("name", "words"), NAMED)
def test_every_file(name: str, words: str) -> None:
    """It exists, and what is named behind it stands in it."""
    assert (ROOT / name).exists()
    for word in re.findall(r"\w+", words):
        assert re.search(rf"\b{word}\b", (ROOT / name).read_text(encoding="utf-8")), word


def test_they_are_found() -> None:
    """Names of tables too, and of the files of each step."""
    assert ("gateway/translate/registry.py", "`PAIRS`, `_RESPONSES`") in NAMED
    assert len({name for name, _ in NAMED if name.startswith("gateway/")}) > 25
    assert any(name == "tests/unit/translate/ways.py" for name, _ in NAMED)
