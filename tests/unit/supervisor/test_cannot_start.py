"""What ends a start, by exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway import cli
from gateway.supervisor.cannot_start import CannotStart

PAGE: Final = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", CannotStart.__subclasses__())
def test_exit_codes_are_told(reason: type[CannotStart]) -> None:
    """In the table that operators have, and where the command line says what its codes are."""
    assert f"\n| {reason.exit_code} | " in PAGE
    assert re.search(rf"\b{reason.exit_code} [a-z(]", cli.__doc__ or "")
