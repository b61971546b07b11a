"""What the golden tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Compare = Callable[[Path, str], None]


@pytest.fixture
def compare(*, golden_rewrite: bool) -> Compare:
    """Holds a text against a reviewed file; as text, since a failure then shows the lines that differ."""

    def compare(file: Path, text: str) -> None:
        if golden_rewrite:
            file.write_text(text)
        assert text == file.read_text()

    return compare
