"""docs/operations.md: words to look for in the log are said there, and what is in force is the default."""

from __future__ import annotations

import ast
import datetime as dt
import json
import logging
import re
from pathlib import Path
from typing import Final

import pytest

from gateway.config.manifests.global_settings import TimeoutSettings
from gateway.log import JsonFormatter, TextFormatter
from gateway.settings import OPTIONS

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# Waits are told in seconds, and are written in milliseconds.
_MS: Final = 1000


def section(title: str) -> str:
    """The text below a heading, to the next one."""
    [text] = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def worth_an_alarm() -> list[str]:
    """The pieces of warnings that an operator is told to look for."""
    told = section("Logs").partition("Worth an alarm")[2]
    return re.findall(r"`([^`]+)`", told.partition("`warning`")[2])


def set_by() -> list[tuple[str, str]]:
    """Who sets a value of the table of what is in force, and the value."""
    rows = re.findall(
        r"^\| [^|]+ \| ([^|]+) \| ([^|]+) \|$", section("Limits and timeouts in force"), re.MULTILINE
    )
    return [
        (name, value)
        for value, setters in rows
        for name in re.findall(r"`((?:--|timeout_)[\w.-]+)`", setters)
    ]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """What the code can say: every text in it that is no docstring."""
    found = []
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        found += [
            node.value
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        ]
    return found


@pytest.mark.parametrize("words", worth_an_alarm())
def test_what_is_worth_an_alarm_is_said(words: str, texts: list[str]) -> None:
    """An alarm on words that nobody writes would never ring."""
    assert any(words in text for text in texts)


@pytest.mark.parametrize(("name", "value"), set_by())
def test_what_is_in_force_is_the_default(name: str, value: str) -> None:
    """The same number as the flag or field has where nothing is written."""
    if name.startswith("--"):
        [default] = [option.default for option in OPTIONS if f"--{option.flag}" == name]
        shown = float(str(default))
    else:
        limit = getattr(TimeoutSettings(), name.partition(".")[2])
        shown = 0.0 if limit is None else limit / _MS
    [number] = re.findall(r"^(?:none|[\d,.]*\d)", value)
    assert (0.0 if number == "none" else float(number.replace(",", ""))) == shown


def test_they_are_found() -> None:
    """Words of both kinds, and rows of both kinds."""
    assert len(worth_an_alarm()) > 5
    assert {"--max-body-bytes", "--max-loop-lag", "timeout_settings.gap_ms"} <= {name for name, _ in set_by()}


def test_the_rights_at_redis_are_all_that_is_told() -> None:
    """The line to copy has each command and key that the parts of the page name, and no other."""
    told, _, rest = section("Replicas").partition("    ACL SETUSER ")
    rules = rest.partition("\n\n")[0].split()
    quoted = [*re.findall(r"`([^`]+)`", told), "SELECT"]
    keys = {f"~{word}" for word in quoted if re.fullmatch(r"\{gateway:\w+\}:\*", word)}
    # What has two words is a command of a container, which rules write with a bar.
    commands = {f"+{w.lower().replace(' ', '|')}" for w in quoted if re.fullmatch(r"[A-Z]{3,}[A-Z |]*", w)}
    assert len(rules) == len(set(rules))
    assert {rule for rule in rules if rule[0] in "~+"} == keys | commands


def test_a_line_of_json_is_what_is_shown() -> None:
    """Who collects logs goes by its names; the line of text above says the same."""
    told = section("Logs")
    shown = json.loads(re.findall(r"```json log\n(.*?)```", told, re.DOTALL)[0])
    record = logging.LogRecord(shown["logger"], logging.INFO, "f", 1, shown["message"], (), None)
    moment = dt.datetime.fromisoformat(shown["time"])
    record.created, record.msecs, record.process = moment.timestamp(), moment.microsecond / 1000, shown["pid"]
    assert json.loads(JsonFormatter("supervisor").format(record)) == shown
    assert f"    {TextFormatter('supervisor').format(record)}\n" in told
