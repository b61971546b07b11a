"""What the pages show can be copied: manifests, commands, Python and JSON."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.cli import make_parser
from gateway.config import SecretSource, check
from gateway.settings import read_settings

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted([*ROOT.glob("docs/*.md"), *(ROOT / name for name in ("README.md", "deploy/README.md"))])
# Files whose heads say how they are used.
FILES: Final = sorted(
    path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")
)
_BLOCK: Final = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Of a line, or of what stands in a comment at the head of a file.
_COMMAND: Final = re.compile(
    r"(?:^ {4,}(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/)?|/bin/)gateway ([a-z-]+(?: .*)?)$", re.MULTILINE
)
_COMMENT: Final = re.compile(r"  .*| #.*| > .*|[,;)] .*|\)$")
# What says that something is left out, or is a choice: such a line is no command but tells of one.
_NO_COMMAND: Final = re.compile(r"[|\[\]]|\.\.\.|<")
# Of a piece that stands alone: what it refers to is in another one, or in the environment.
_ELSEWHERE: Final = re.compile(
    r"no provider account|no virtual account|there is no model|.* matches no (?:model|team)"
    r"|environment variable|nothing says how old this token is"
)


def blocks(language: str) -> list[tuple[str, str]]:
    """Each block of a language, with its page and line."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            indent, name, body = match.groups()
            if name == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append((f"{page.name}:{line}", re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)))
    return found


def commands() -> list[tuple[str, str]]:
    """Each command of the gateway that stands on a line of its own, with its file and line."""
    found = []
    for file in (*PAGES, *FILES):
        # A line that goes on is one with the next.
        text = re.sub(r"\\\n +", "", file.read_text(encoding="utf-8"))
        for match in _COMMAND.finditer(text):
            command = _COMMENT.sub("", match[1])
            if not _NO_COMMAND.search(command):
                found.append(
                    (f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}", command)
                )
    return found


def cases(examples: list[tuple[str, str]]) -> list[Any]:
    """Each as a case that is called by its place."""
    return [pytest.param(text, id=place) for place, text in examples]


def manifests() -> list[tuple[str, str]]:
    """The blocks that are manifests."""
    return [(place, text) for place, text in blocks("yaml") if re.search(r"^type: ", text, re.MULTILINE)]


@pytest.mark.parametrize("text", cases(manifests()))
def test_manifests_have_no_fault_of_their_own(text: str, tmp_path: Path) -> None:
    """No unknown field, no wrong value, nothing that is not in force."""
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    problems = check.check(file, strict=False, secrets=SecretSource({}, None)).problems
    assert [str(problem) for problem in problems if not _ELSEWHERE.match(problem.message)] == []


@pytest.mark.parametrize("text", cases(commands()))
def test_commands_are_understood(text: str) -> None:
    """With their arguments, as the command line takes them."""
    make_parser().parse_args(shlex.split(text))


@pytest.mark.parametrize("text", cases(blocks("python")))
def test_python_is_python(text: str) -> None:
    """What is run of it is in tests/conformance/test_docs_clients.py."""
    compile(text, "page", "exec")


@pytest.mark.parametrize("text", cases(blocks("json")))
def test_json_is_json(text: str) -> None:
    """Nothing is left out in the middle."""
    json.loads(text)


def test_an_environment_is_one(tmp_path: Path) -> None:
    """What goes into the file of a service are settings that can be used together."""
    [text] = [text for place, text in blocks("sh") if place.startswith("deploy.md")]
    environ = dict(line.split("=", 1) for line in text.splitlines())
    settings = read_settings({"config": "/m", "state-dir": str(tmp_path)}, environ)
    assert (settings.host, settings.drain_delay_s) == ("0.0.0.0", 5.0)
    assert settings.redis_url == environ["GATEWAY_REDIS_URL"]


def test_they_are_found() -> None:
    """Of each kind some."""
    assert len(commands()) > 10
    assert min(len(blocks(language)) for language in ("yaml", "python", "json")) > 5
