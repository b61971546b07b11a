"""Manifests: any text is accepted whole or refused in words, and what is accepted can be put in force."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config import Config, SecretSource
from gateway.config.accepted import dump, load
from gateway.config.check import Checked, check, check_documents
from gateway.config.document import Document
from gateway.config.document_text import NotChangeable, NotReplaceable, replace_document
from gateway.config.yaml_edit import is_same, to_yaml
from gateway.config.yaml_text import read_yaml
from gateway.snapshot import compile_snapshot
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target

_ROOT: Final = Path(__file__).resolve().parents[2]
_FILES: Final = (
    *sorted((_ROOT / "deploy" / "examples").rglob("*.yaml")),
    _ROOT / "tests" / "unit" / "config" / "truefoundry_examples.yaml",
)
_SECRETS: Final = SecretSource({"KEY": "sk-1"}, None)
_ODD: Final[tuple[Any, ...]] = (
    *(None, True, 0, -1, 10**30, 1.5, float("inf"), float("nan"), "", " ", "\x00", "ü\u2028", "x" * 300, "*"),
    *(
        [],
        {},
        [[]],
        {"": ""},
        ["*"],
        "env:KEY",
        "file:x",
        "tfy-secret://a:b:c",
        "http://[::1",
        "http://x:99999",
    ),
    *("2027-02-30", "user:a@x.io", "team:ml", "a/b", "[", "(?P<", "1e400"),
)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.yaml"

        def check_input(data: bytes) -> None:
            draw = Draw(data)
            if draw.number(2):
                file.write_bytes(draw.rest())
            else:
                file.write_text(_changed(draw), encoding="utf-8", errors="surrogateescape")
            checked = check(file, strict=False, secrets=_SECRETS)
            _check_problems(checked, file)
            if checked.config is not None:
                _put_in_force(checked.config)

        yield check_input


def _check_problems(checked: Checked, file: Path) -> None:
    lines = file.read_bytes().count(b"\n") + file.read_bytes().count(b"\r") + 1
    for problem in checked.problems:
        assert problem.message
        assert 0 <= problem.line <= lines, problem
    assert (checked.config is None) == bool(checked.errors)


def _put_in_force(config: Config) -> None:
    """What is accepted goes to workers through a file."""
    again = check_documents(load(dump(config)), strict=False, secrets=_SECRETS)
    assert again.config is not None, again.errors
    assert again.config.version == config.version
    compile_snapshot(again.config, _SECRETS, version=config.version, is_loopback=True)


def _documents() -> list[Any]:
    return [
        document
        for file in _FILES
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8"))
        if document is not None
    ]


_KNOWN: Final = _documents()


def _changed(draw: Draw) -> str:
    """Some of the examples, each changed at a few places."""
    chosen = [copy.deepcopy(draw.choice(_KNOWN)) for _ in range(1 + draw.number(4))]
    for _ in range(draw.number(5)):
        _change(draw.choice(chosen), draw)
    return yaml.safe_dump_all(chosen, sort_keys=False)


def _change(at: Any, draw: Draw) -> None:
    """One value somewhere below *at* becomes an odd one, another's, or goes."""
    while isinstance(at, (dict, list)) and at:
        key = draw.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if isinstance(at[key], (dict, list)) and at[key] and draw.number(4):
            at = at[key]
            continue
        match draw.number(4):
            case 0:
                del at[key]
            case 1:
                at[key] = draw.text(32)
            case 2:
                at[key] = copy.deepcopy(draw.choice(_KNOWN))
            case _:
                at[key] = draw.choice(_ODD)
        return


def _seeds() -> Iterable[bytes]:
    for file in _FILES:
        yield b"\x01" + file.read_bytes()
    for number in range(len(_KNOWN)):
        for place in range(8):
            yield bytes((0, 0, number, 1, 0, place, 1, place, 1, place, 3, number))


MANIFESTS: Final = Target(
    "manifests",
    _checking,
    _seeds,
    (b"type: ", b"name: ", b"\n---\n", b"&a", b"*a", b"<<: ", b"!!", b"? ", b"env:KEY", b"|\n", b"{", b"["),
)


@contextlib.contextmanager
def _editing() -> Iterator[Check]:
    yield _check_editing


def _check_editing(data: bytes) -> None:
    draw = Draw(data)
    body = copy.deepcopy(draw.choice(_KNOWN))
    for _ in range(1 + draw.number(4)):
        _change(body, draw)
    number = draw.number(3)
    try:
        text = draw.rest().decode()
        plains = list(read_yaml(text))
        # What YAML cannot carry is refused before.
        (wanted,) = (each.value for each in read_yaml(to_yaml(body)))
    except (ValueError, yaml.YAMLError):
        return
    if not plains or not isinstance(wanted, dict):
        return
    at = number % len(plains)
    stored = plains[at]
    if not isinstance(stored.value, dict):
        return
    document = Document("a-type", "a-name", stored.value, Path("m.yaml"), stored.line)
    try:
        changed = replace_document(text, document, wanted)
    except (NotChangeable, NotReplaceable):
        return
    expected = [wanted if place == at else each.value for place, each in enumerate(plains)]
    assert is_same([each.value for each in read_yaml(changed)], expected), changed


def _editing_seeds() -> Iterable[bytes]:
    for number, document in enumerate(_KNOWN):
        for place in range(4):
            yield bytes((number, 0, place, 1, place, 3, place)) + to_yaml(document).encode()
    for file in _FILES:
        for number, text in enumerate(file.read_text(encoding="utf-8").split("---\n")):
            yield bytes((number % 256, 1, 0, 0, 3, 1, 1, 3, 2)) + text.encode()


EDITS: Final = Target(
    "edits",
    _editing,
    _editing_seeds,
    (b"# note\n", b"- ", b": ", b"'", b'"', b"|\n", b">-\n", b"\r\n", b"{", b"["),
)
