"""docs/dashboard.md and the pages that lead to the dashboard say where things are, and what protects them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway.control.auth import VIEWER_MAY
from gateway.control.pages.navigation import NAVIGATION
from gateway.control.sign_in.accounts import TOKEN_PREFIX
from gateway.control.sign_in.passwords import MIN_LENGTH, hash_password
from gateway.control.sign_in.sessions import IDLE_S, LONGEST_S

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
PAGE: Final = (DOCS / "dashboard.md").read_text(encoding="utf-8")
PAGES: Final = sorted([*DOCS.glob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"])
ENTRIES: Final = {(group.title, entry.title) for group in NAVIGATION for entry in group.entries}
_GROUPS: Final = "|".join(group.title for group in NAVIGATION)
_HOUR_S: Final = 3600


def test_the_navigation_is_listed() -> None:
    """Each line of it once, in its order, and no other."""
    table = PAGE.partition("| in the navigation |")[2].partition("\n\n")[0]
    rows = re.findall(rf"^\| ({_GROUPS}) > ([^|]+) \|", table, re.MULTILINE)
    listed = [(group, title) for group, titles in rows for title in titles.split(", ")]
    assert listed == [(group.title, entry.title) for group in NAVIGATION for entry in group.entries]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_ways_lead_somewhere(page: Path) -> None:
    """`Access > Tokens` on any page is a line of the navigation; what follows it is on that page."""
    text = re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))
    titles = "|".join(sorted((title for _, title in ENTRIES), key=len, reverse=True))
    for group, way in re.findall(rf"\b({_GROUPS}) > ([A-Z][\w ]*)", text):
        found = re.match(rf"(?:{titles}|{_GROUPS})\b", way)
        assert found, (group, way)
        assert (group, found[0]) in ENTRIES or group == "AI Gateway", (group, way)


def test_what_protects_it() -> None:
    """Lengths, costs and times as the code has them."""
    said = PAGE.partition("## What protects it")[2]
    _, n, r, p, *_ = hash_password("x" * MIN_LENGTH).split("$")
    assert f"at least {MIN_LENGTH} characters" in said
    assert f"scrypt (N 2^{n}, r {r}, p {p})" in said
    assert f"after {IDLE_S / _HOUR_S:g} hours without use and after {LONGEST_S / _HOUR_S / 24:g} days" in said
    assert f"`{TOKEN_PREFIX}`" in said


def test_what_viewers_may() -> None:
    """The API's page names each path that changes something of theirs or asks with a body."""
    api = (DOCS / "control-api.md").read_text(encoding="utf-8")
    [said] = re.findall(r"A \*\*viewer\*\* reads(.*?)\*\*admin\*\*", api, re.DOTALL)
    assert set(re.findall(r"`(/api/[^`]+)`", said)) == VIEWER_MAY
