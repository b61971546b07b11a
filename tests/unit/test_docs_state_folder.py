"""docs/operations.md names everything that is kept in the state folder, and what losing it costs."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
_FOLDER: Final = re.compile(r"\b_?state_dir$")
# By way of a table that is given its file: the lock that each of its processes takes turns at.
_WITH_LOCK: Final = ("counters", "objects", "operators.json", "sessions", "sessions.json", "targets")


def documented() -> set[str]:
    """Each file or folder that the table names, `.lock` files beside others too."""
    [section] = re.findall(r"^## State folder\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    names: set[str] = set()
    for row in re.findall(r"^\| `.*$", section, re.MULTILINE):
        files, what, _ = (cell.strip() for cell in row.strip("|").split(" | ", 2))
        named = [name.partition("/")[0] for name in re.findall(r"`([^`]+)`", files)]
        # Of the database also `-wal`, which is put after its name.
        names.update(named[0] + name if name.startswith("-") else name for name in named)
        beside = re.findall(r"`([\w.]*\.lock)`", what)
        names.update(lock if lock != ".lock" else name + lock for lock in beside for name in named)
    return names


def kept() -> Iterator[tuple[str, str]]:
    """What the gateway's code puts below a folder that it calls `state_dir`, and where it does."""
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        # To parse them all takes a second, in each process that collects this.
        for node in ast.walk(ast.parse(text)) if "state_dir" in text else ():
            if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
                continue
            if _FOLDER.search(ast.unparse(node.left)):
                place = file.relative_to(ROOT).with_suffix("")
                yield _value(".".join(place.parts), ast.unparse(node.right)), str(place)


def _value(module: str, expression: str) -> str:
    """What a constant of a module is."""
    value: Any = importlib.import_module(module)
    if expression.startswith(("'", '"')):
        return str(ast.literal_eval(expression))
    for name in expression.split("."):
        value = getattr(value, name)
    return str(value)


def test_they_are_found() -> None:
    """By each of the ways in which the code names a file."""
    assert {"config", "traces.db", "counters", "operators.json"} <= {name for name, _ in kept()}


@pytest.mark.parametrize(("name", "place"), sorted(set(kept())))
def test_each_is_documented(name: str, place: str) -> None:
    """Whoever looks into the folder, copies or empties it knows what it is about."""
    assert name in documented(), f"{name} of {place}"


@pytest.mark.parametrize("name", _WITH_LOCK)
def test_locks_are_documented(name: str) -> None:
    """They lie beside the file that they are for."""
    assert f"{name}.lock" in documented()
