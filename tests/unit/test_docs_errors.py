"""docs/errors.md lists every error of gateway/errors.py, as it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gateway.endpoints.bedrock_error import KINDS
from gateway.errors import CLIENT_CLOSED_REQUEST, ClientDisconnected, GatewayError

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "errors.md"

# class | status | type | code | source | worth repeating | who must act
_ROW: Final = re.compile(
    r"^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| `(\w+)` \| (client|gateway|upstream) \| (yes|no) \| (.+) \|$",
    re.MULTILINE,
)


def all_errors() -> set[type[GatewayError]]:
    """Every class that a client can see, the base left out."""
    found: set[type[GatewayError]] = {GatewayError}
    while more := {child for error in found for child in error.__subclasses__()} - found:
        found |= more
    return {error for error in found - {GatewayError} if error.__module__ == "gateway.errors"}


def test_table_is_what_the_classes_say() -> None:
    """Each class has its row, with the status, type, code and source that clients rely on."""
    documented = {row[0]: row[1:6] for row in _ROW.findall(PAGE.read_text(encoding="utf-8"))}
    assert documented == {
        error.__name__: (
            str(error.status),
            error.type,
            error.code,
            error.source,
            "yes" if error.retryable else "no",
        )
        for error in all_errors()
    }


def test_a_caller_that_left_is_documented() -> None:
    """It is no class of the table, since nobody receives it; its words are on the page."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"status {CLIENT_CLOSED_REQUEST}" in page
    assert f"`{ClientDisconnected.error_type}`" in page


def test_kinds_of_aws() -> None:
    """Each status that has a kind of its own has its row."""
    rows = re.findall(r"^\| ([\d, ]+) \| `(\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {int(status): kind for statuses, kind in rows for status in statuses.split(", ")}
    assert documented == KINDS
