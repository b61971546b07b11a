"""Links between our pages lead somewhere, and tables are whole."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    page
    for folder in ("", "docs", "docs/decisions", "deploy", "perf")
    for page in (ROOT / folder).glob("*.md")
)

_SHORTEST_TABLE: Final = 3
_MANY_LINES: Final = 300
_BELOW_HEAD: Final = re.compile(r"\|(?: *:?-+:? *\|)+")
_CELL_END: Final = re.compile(r"(?<!\\)\|")
_CODE: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")

_FILE: Final = re.compile(r"(?<![\w/.])((?:deploy|docs|gateway|perf|requirements|tests)/[\w./-]+\w)")
_PART_LINK: Final = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_files(page: Path) -> None:
    """Each relative link names a file or folder of the repository."""
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_to_headings(page: Path) -> None:
    """Where a link names a part of a page, that has a heading of this name, as GitHub makes names of them."""
    wrong = []
    for file, part in _PART_LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / file if file else page
        if "://" not in file and target.suffix == ".md" and part not in _headings(target):
            wrong.append(f"{file}#{part}")
    assert wrong == []


def _headings(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {_slug(title) for title in titles}


def _slug(title: str) -> str:
    """What GitHub calls a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_tables_are_whole(page: Path) -> None:
    """Lines of a table follow a head and are as long: what comes after an empty line is shown as text."""
    wrong = []
    for block in re.findall(r"(?:^\|.*\n?)+", _CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE):
        rows = block.splitlines()
        lengths = {len(_CELL_END.findall(row)) for row in rows}
        if len(rows) < _SHORTEST_TABLE or not _BELOW_HEAD.fullmatch(rows[1]) or len(lengths) > 1:
            wrong.append(rows[0])
    assert wrong == []


def test_every_decision_is_in_the_list() -> None:
    """The list of decisions names each page."""
    folder = ROOT / "docs" / "decisions"
    listed = set(_LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {page.name for page in folder.glob("[0-9]*.md")}


_LONG: Final = [
    page for page in PAGES if page.parent.name == "docs" and page.read_text().count("\n") > _MANY_LINES
]


@pytest.mark.parametrize("page", _LONG, ids=lambda page: page.name)
def test_long_pages_have_contents(page: Path) -> None:
    """All of their parts are linked before the first of them."""
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    linked = re.findall(r"\]\(#([^)\s]+)\)", text.partition("\n## ")[0])
    assert {_slug(title) for title in re.findall(r"^## (.*)$", text, re.MULTILINE)} <= set(linked)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_files_that_are_named_are_there(page: Path) -> None:
    """Also without a link; the history alone tells of some that were."""
    if page.name == "CHANGELOG.md":
        return
    named = set(_FILE.findall(page.read_text(encoding="utf-8")))
    assert [name for name in named if not ((ROOT / name).exists() or (page.parent / name).exists())] == []
