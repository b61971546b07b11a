"""One manifest in the text of its file: changed, replaced, added or taken out, the rest kept as it is.

Pure: text in, text out. A manifest is changed value by value where it is written plainly (`yaml_edit`), so
that its comments and layout stay; else its own text is replaced, from its first key to its last value. In a
file of JSON, which has no comments, all is written anew.

What comes out is read again: were another manifest of the file to say something else then, by a block text
whose end moved or a line end that two readers count differently, the change is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from gateway.config.document import Document
from gateway.config.json_text import read_json
from gateway.config.plain_data import PlainDocument, UnreadableText
from gateway.config.yaml_edit import NotEditable, edit_document, is_same, to_yaml
from gateway.config.yaml_text import read_yaml

# The reader that loads manifests and the one that knows places count some line ends differently.
_ODD_LINES: Final = "it has line ends that are unusual, and cannot be changed from here"
_OTHERS_CHANGE: Final = (
    "it is written in a way that cannot be changed from here, for others in it would change"
)


class NotReplaceable(ValueError):
    """The text does not hold the manifest any more, or cannot be read."""


class NotChangeable(ValueError):
    """The text is YAML that can be loaded, and is not written plainly enough to be changed."""


class _Place(NamedTuple):
    """Where one document of a YAML text stands.

    Attributes:
        line: Of its first key, from 1.
        marker: Where its `---` begins; its region where it has none.
        start: Of its region: all lines that are its own, comments too.
        end: Of its region.
    """

    line: int
    marker: int
    start: int
    end: int


def replace_document(text: str, stored: Document, body: Mapping[str, Any]) -> str:
    """*text*, that of the file of *stored*, with this manifest saying *body*.

    Raises:
        NotReplaceable: No manifest starts there.
        NotChangeable: It cannot be told where in the text it stands; so do all that follow.
    """
    plains, at = _find(text, stored)
    if is_json_file(stored.file):
        items = [plain.value for plain in plains]
        items[at] = body
        return _json(items if text.lstrip().startswith("[") else items[0])
    node = _node(text, stored.line)
    wanted = [body if index == at else plain.value for index, plain in enumerate(plains)]
    try:
        changed = edit_document(text, node, stored.body, body)
        if _says(changed, wanted):
            return changed
    except NotEditable:
        pass
    return _held(_replace_whole(text, node, body), wanted)


def replace_text(text: str, stored: Document, own: str) -> str:
    """*text* with *own*, a document of YAML, in the place of all lines of *stored*, comments too.

    Raises:
        NotReplaceable: No manifest starts there, or *own* is not one document.
    """
    body = _only(own).value
    if is_json_file(stored.file):
        return replace_document(text, stored, body)
    plains, at = _find(text, stored)
    place = _place(text, stored.line)
    new = _own_lines(own)
    opening = "" if place.start == 0 or text[place.start - 1] == "\n" else "\n"
    wanted = [body if index == at else plain.value for index, plain in enumerate(plains)]
    return _held(text[: place.start] + opening + new + text[place.end :], wanted)


def own_text(text: str, stored: Document) -> str:
    """All lines of *stored*, comments too; YAML made for it where it is JSON, or its lines alone say else.

    Raises:
        NotReplaceable: No manifest starts there.
    """
    _find(text, stored)
    if is_json_file(stored.file):
        return to_yaml(dict(stored.body))
    place = _place(text, stored.line)
    own = text[place.start : place.end].lstrip(" ").strip("\n") + "\n"
    return own if _says(own, [stored.body]) else to_yaml(dict(stored.body))


def remove_document(text: str, stored: Document) -> str:
    """*text* without the manifest *stored* and its comments; empty when it was the only one.

    Raises:
        NotReplaceable: No manifest starts there.
    """
    plains, at = _find(text, stored)
    if len(plains) == 1:
        return ""
    others = [plain.value for index, plain in enumerate(plains) if index != at]
    if is_json_file(stored.file):
        return _json(others)
    place = _place(text, stored.line)
    return _held(text[: place.marker] + text[place.end :], others)


def append_document(text: str, file: Path, body: Mapping[str, Any]) -> str:
    """*text*, that of *file*, with *body* as one more manifest at its end.

    Raises:
        NotReplaceable: The text cannot be read.
    """
    if is_json_file(file):
        return _json([*_json_items(text), body])
    return _append_lines(text, to_yaml(dict(body)), body)


def append_text(text: str, file: Path, own: str) -> str:
    """*text*, that of *file*, with *own*, a document of YAML, at its end.

    Raises:
        NotReplaceable: One of both cannot be read.
    """
    body = _only(own).value
    if is_json_file(file):
        return append_document(text, file, body)
    return _append_lines(text, _own_lines(own), body)


def with_body(text: str, body: Mapping[str, Any]) -> str:
    """*text*, one document of YAML, saying *body*; where it cannot be read or changed *body* alone."""
    try:
        plain = _only(text)
        stored = Document("", "", plain.value, Path("manifest.yaml"), plain.line)
        return replace_document(text, stored, body)
    except (NotReplaceable, NotChangeable):
        return to_yaml(dict(body))


def is_json_file(file: Path) -> bool:
    """Whether the loader reads *file* as JSON."""
    return file.suffix == ".json"


def _append_lines(text: str, lines: str, body: Any) -> str:
    try:
        values = [plain.value for plain in read_yaml(text)]
    except UnreadableText as error:
        raise NotReplaceable("the file cannot be read any more") from error
    wanted = [*values, body]
    changed = f"{text.rstrip()}\n---\n{lines}" if text.strip() else lines
    # A block text may keep the blank lines at its end.
    return changed if _says(changed, wanted) else _held(f"{text}---\n{lines}", wanted)


def _held(changed: str, wanted: Sequence[Any]) -> str:
    """*changed*, where its manifests say what is *wanted* of each.

    Raises:
        NotChangeable: They do not.
    """
    if not _says(changed, wanted):
        raise NotChangeable(_OTHERS_CHANGE)
    return changed


def _says(text: str, wanted: Sequence[Any]) -> bool:
    try:
        return is_same([plain.value for plain in read_yaml(text)], wanted)
    except UnreadableText:
        return False


def _find(text: str, stored: Document) -> tuple[list[PlainDocument], int]:
    """What *text* holds, and which of it is *stored*."""
    try:
        plains = list(read_json(text) if is_json_file(stored.file) else read_yaml(text))
    except UnreadableText as error:
        raise NotReplaceable("the file cannot be read any more") from error
    places = [(plain.line, plain.value) for plain in plains]
    if (stored.line, stored.body) not in places:
        raise NotReplaceable("the manifest is not where it was")
    return plains, places.index((stored.line, stored.body))


def _only(own: str) -> PlainDocument:
    try:
        plains = list(read_yaml(own))
    except UnreadableText as error:
        raise NotReplaceable("the text cannot be read") from error
    if len(plains) != 1:
        raise NotReplaceable("the text is not one document")
    return plains[0]


def _own_lines(own: str) -> str:
    place = _place(own, _only(own).line)
    return own[place.start : place.end].lstrip(" ").strip("\n") + "\n"


def _node(text: str, line: int) -> yaml.Node:
    for node in _read(yaml.compose_all(text, Loader=yaml.SafeLoader)):
        if node and node.start_mark.line + 1 == line:
            found: yaml.Node = node
            return found
    raise NotChangeable(_ODD_LINES)


def _read(parts: Iterator[Any]) -> Iterator[Any]:
    """*parts* of a text, from the reader that knows their places.

    It takes a little less than the one that loads manifests: no tab behind a key, for one.

    Raises:
        NotChangeable: It does not take the text.
    """
    try:
        yield from parts
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise NotChangeable(f"it is written in a way that cannot be changed from here{where}") from error


def _replace_whole(text: str, node: yaml.Node, body: Mapping[str, Any]) -> str:
    start, end = _span(text, node.start_mark.line + 1)
    # `--- {type: ...}` on one line: what we write is a block and needs a line of its own.
    opening = "" if node.start_mark.column == 0 else "\n"
    rest = text[end:]
    new = to_yaml(dict(body))
    return text[:start] + opening + (new.removesuffix("\n") if rest.startswith(("\n", "\r")) else new) + rest


def _places(text: str) -> Iterator[_Place]:
    marker = start = line = 0
    for event in _read(yaml.parse(text, Loader=yaml.SafeLoader)):
        begins, ends = event.start_mark, event.end_mark
        if isinstance(event, yaml.DocumentStartEvent):
            line = 0
            if event.explicit:
                marker, start = begins.index, _behind_marker(text, ends.index)
        elif isinstance(event, yaml.DocumentEndEvent):
            yield _Place(line, marker, start, begins.index)
            marker = start = ends.index
        elif isinstance(event, yaml.NodeEvent) and not line:
            line = begins.line + 1


def _behind_marker(text: str, index: int) -> int:
    """The next line after `---`, or what follows it on its own."""
    end = text.find("\n", index)
    rest = text[index:] if end < 0 else text[index:end]
    is_blank = not rest.strip() or rest.strip().startswith("#")
    return index if not is_blank else len(text) if end < 0 else end + 1


def _place(text: str, line: int) -> _Place:
    for place in _places(text):
        if place.line == line:
            return place
    raise NotChangeable(_ODD_LINES)


def _span(text: str, line: int) -> tuple[int, int]:
    """Where a document's own text is, read from events: composed nodes lose where an alias stands."""
    events: list[Any] = []
    for event in _read(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            events.append(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            first = events[0].start_mark
            if first.line + 1 == line:
                return first.index, _end_of(events)
            events.clear()
    raise NotReplaceable("the manifest is not where it was")


def _end_of(events: list[Any]) -> int:
    """Where the last value ends; a block's own end mark lies behind the comments that follow it."""
    end: int = 0
    is_flow: list[bool] = []
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            is_flow.append(bool(event.flow_style))
        elif not isinstance(event, yaml.CollectionEndEvent) or is_flow.pop():
            end = event.end_mark.index
    return max(end, int(events[0].start_mark.index))


def _json_items(text: str) -> list[Any]:
    if not text.strip():
        return []
    try:
        value = json.loads(text)
    except ValueError as error:
        raise NotReplaceable("the file is not valid JSON any more") from error
    return value if isinstance(value, list) else [value]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
