"""Replacing one manifest in the text of its file, everything else kept as it is: other manifests, comments.

Pure: text in, text out. What is replaced is the manifest's own text, from its first key to its last value;
comments between its fields go with it, those around it stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from gateway.config.document import Document
from gateway.config.json_text import read_json
from gateway.config.plain_data import UnreadableText
from gateway.config.yaml_text import read_yaml

_LINE_WIDTH: Final = 100


class NotReplaceable(ValueError):
    """The text does not hold the manifest any more, or cannot be read."""


class _Span(NamedTuple):
    line: int  # from 1
    column: int  # from 0
    start: int
    end: int


def replace_document(text: str, stored: Document, body: Mapping[str, Any]) -> str:
    """*text*, that of the file of *stored*, with this manifest replaced by *body*.

    Raises:
        NotReplaceable: No manifest starts there.
    """
    is_json = is_json_file(stored.file)
    try:
        plains = list(read_json(text) if is_json else read_yaml(text))
    except UnreadableText as error:
        raise NotReplaceable("the file cannot be read any more") from error
    places = [(plain.line, plain.value) for plain in plains]
    if (stored.line, stored.body) not in places:
        raise NotReplaceable("the manifest is not where it was")
    if not is_json:
        return _replace_in_yaml(text, stored.line, body)
    items = [plain.value for plain in plains]
    items[places.index((stored.line, stored.body))] = body
    return _json(items if text.lstrip().startswith("[") else items[0])


def append_document(text: str, file: Path, body: Mapping[str, Any]) -> str:
    """*text*, that of *file*, with *body* as one more manifest at its end.

    Raises:
        NotReplaceable: The text cannot be read.
    """
    if is_json_file(file):
        return _json([*_json_items(text), body])
    if not text.strip():
        return to_yaml(body)
    return f"{text.rstrip()}\n---\n{to_yaml(body)}"


def is_json_file(file: Path) -> bool:
    """Whether the loader reads *file* as JSON."""
    return file.suffix == ".json"


def to_yaml(body: Mapping[str, Any]) -> str:
    """*body* as a person would write it."""
    return str(
        yaml.safe_dump(
            dict(body), sort_keys=False, allow_unicode=True, default_flow_style=False, width=_LINE_WIDTH
        )
    )


def _replace_in_yaml(text: str, line: int, body: Mapping[str, Any]) -> str:
    span = next(span for span in _document_spans(text) if span.line == line)
    start, end = span.start, span.end
    # `--- {type: ...}` on one line: what we write is a block and needs a line of its own.
    opening = "" if span.column == 0 else "\n"
    rest = text[end:]
    new = to_yaml(body)
    return text[:start] + opening + (new.removesuffix("\n") if rest.startswith(("\n", "\r")) else new) + rest


def _document_spans(text: str) -> Iterator[_Span]:
    """Where each document's own text is, read from events: composed nodes lose where an alias stands."""
    events: list[Any] = []
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            events.append(event)
        elif isinstance(event, yaml.DocumentEndEvent):
            first = events[0].start_mark
            yield _Span(first.line + 1, first.column, first.index, _end_of(events))
            events.clear()


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
