"""Manifests: any text is accepted whole or refused in words, and what is accepted can be put in force."""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config import Config, SecretSource
from gateway.config.accepted import dump, load
from gateway.config.check import Checked, check, check_documents
from gateway.config.document import Document
from gateway.config.document_text import (
    NotChangeable,
    NotReplaceable,
    append_document,
    append_text,
    is_json_file,
    own_text,
    remove_document,
    replace_document,
    replace_text,
    with_body,
)
from gateway.config.json_text import read_json
from gateway.config.plain_data import PlainDocument, UnreadableText
from gateway.config.yaml_edit import is_same, to_yaml
from gateway.config.yaml_text import read_yaml
from gateway.snapshot import compile_snapshot
from tests.fuzz.changes import change
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
        change(draw.choice(chosen), draw, _KNOWN, _ODD)
    return yaml.safe_dump_all(chosen, sort_keys=False)


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
        change(body, draw, _KNOWN, _ODD)
    edit, number, is_json = draw.choice(_EDITS), draw.number(3), draw.number(4) == 1
    try:
        text = draw.rest().decode()
        # What YAML cannot carry is refused before.
        (wanted,) = (each.value for each in read_yaml(to_yaml(body)))
    except (ValueError, yaml.YAMLError):
        return
    if isinstance(wanted, dict):
        _edit(edit, text, wanted, number, Path("m.json" if is_json else "m.yaml"))


def _edit(edit: _Edit, text: str, wanted: dict[str, Any], number: int, file: Path) -> None:
    """One edit of *text*: the manifest says what was wanted, and the others what they said."""
    read = read_json if is_json_file(file) else read_yaml
    try:
        plains = list(read(text))
    except UnreadableText:
        return
    values = [each.value for each in plains]
    at = number % len(plains) if plains else 0
    stored = plains[at] if plains else None
    assert is_same([each.value for each in read_yaml(with_body(text, wanted))], [wanted])
    try:
        changed, expected = edit(text, file, stored, wanted, [*values[:at], *values[at + 1 :]], at)
    except (NotChangeable, NotReplaceable):
        return
    assert is_same([each.value for each in read(changed)], expected), changed
    if is_json_file(file):
        return
    _check_comments(text, changed, plains, at)


def _check_comments(text: str, changed: str, plains: list[PlainDocument], at: int) -> None:
    """The other manifests have all of their lines, comments too."""
    for place, each in enumerate(plains):
        if place != at and isinstance(each.value, dict):
            with contextlib.suppress(NotChangeable, NotReplaceable):
                own = own_text(text, _stored(each, Path("m.yaml"))).strip()
                # Where the lines need more than they say, what is shown is written for it.
                assert own in changed or own not in text, changed


def _stored(plain: PlainDocument | None, file: Path) -> Document:
    if plain is None or not isinstance(plain.value, dict):
        raise NotReplaceable
    return Document("a-type", "a-name", plain.value, file, plain.line)


_Edited = tuple[str, list[Any]]
_Edit = Callable[[str, Path, PlainDocument | None, dict[str, Any], list[Any], int], _Edited]
"""What it makes of a text, and what that is to say; it is told the other manifests, and this one's place."""


def _replaced(
    text: str, file: Path, plain: PlainDocument | None, body: dict[str, Any], others: list[Any], at: int
) -> _Edited:
    changed = replace_document(text, _stored(plain, file), body)
    return changed, [*others[:at], body, *others[at:]]


def _replaced_as_text(
    text: str, file: Path, plain: PlainDocument | None, body: dict[str, Any], others: list[Any], at: int
) -> _Edited:
    changed = replace_text(text, _stored(plain, file), f"# own\n{to_yaml(body)}# end\n")
    return changed, [*others[:at], body, *others[at:]]


def _removed(
    text: str, file: Path, plain: PlainDocument | None, _body: dict[str, Any], others: list[Any], _at: int
) -> _Edited:
    return remove_document(text, _stored(plain, file)), others


def _appended(
    text: str, file: Path, plain: PlainDocument | None, body: dict[str, Any], others: list[Any], at: int
) -> _Edited:
    before = [] if plain is None else [*others[:at], plain.value, *others[at:]]
    return append_document(text, file, body), [*before, body]


def _appended_as_text(
    text: str, file: Path, plain: PlainDocument | None, body: dict[str, Any], others: list[Any], at: int
) -> _Edited:
    before = [] if plain is None else [*others[:at], plain.value, *others[at:]]
    return append_text(text, file, f"# own\n{to_yaml(body)}"), [*before, body]


def _own(
    text: str, file: Path, plain: PlainDocument | None, body: dict[str, Any], _others: list[Any], _at: int
) -> _Edited:
    """Not of the file, but of what is shown of it."""
    stored = _stored(plain, file)
    own = own_text(text, stored)
    assert is_same([each.value for each in read_yaml(own)], [stored.body]), own
    assert is_same([each.value for each in read_yaml(with_body(own, body))], [body])
    return text, [each.value for each in (read_json if is_json_file(file) else read_yaml)(text)]


_EDITS: Final[tuple[_Edit, ...]] = (
    *(_replaced, _replaced_as_text, _removed, _appended, _appended_as_text, _own, _replaced),
)


_ODDLY_WRITTEN: Final = (
    b"# before\ntype: a\n# in\nname: b\n# behind\n---\n# next\ntype: c\nname: d\n...\n# last\n",
    b"%YAML 1.1\n---\ntype: a\ntext: |+\n  x\n\n\n---\n{type: b, name: c}\n--- {type: d}\n",
    b"---\n---\ntype: a\r\nname: >-\r\n  b\r\n  c\r\n--- # note\r\ntype: x\r\n...\r\n",
    b"&a\ntype: a\nlist: [&b x, *b]\n---\n? type\n: 'a'\n? name\n: \"b\\n\"\n",
    b"type: a\nname: |\n  b\n---\n- type: c\n---\ntype: d\nlast: |\n  no end",
)


def _editing_seeds() -> Iterable[bytes]:
    for number, document in enumerate(_KNOWN):
        for place in range(4):
            edit = (number + place) % len(_EDITS)
            yield bytes((number, 0, place, 1, place, 3, place, edit, 0, 0)) + to_yaml(document).encode()
        as_json = json.dumps([document, document], indent=1, default=str).encode()
        yield bytes((number, 0, 0, 1, 0, 3, 0, number % len(_EDITS), 1, 1)) + as_json
    for file in _FILES:
        for number, text in enumerate(file.read_text(encoding="utf-8").split("---\n")):
            yield (
                bytes((number % 256, 1, 0, 0, 3, 1, 1, 3, 2, number % len(_EDITS), number % 3, 0))
                + text.encode()
            )
    for edit in range(len(_EDITS)):
        for number, written in enumerate(_ODDLY_WRITTEN):
            yield bytes((number, 0, 0, 1, 0, 3, 0, edit, number % 3, 0)) + written


EDITS: Final = Target(
    "edits",
    _editing,
    _editing_seeds,
    (b"# note\n", b"- ", b": ", b"'", b'"', b"|\n", b">-\n", b"\r\n", b"{", b"["),
)
