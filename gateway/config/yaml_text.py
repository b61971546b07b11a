"""YAML to plain data with line numbers.

Values come out as PyYAML's `SafeLoader` makes them, with one exception: dates stay text (no field of ours
is a date by type, and the accepted set is kept as JSON). Anchors, aliases and merge keys work within the
bounds of `plain_data`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from gateway.config.document import FieldPath
from gateway.config.plain_data import (
    MAX_DEPTH,
    MAX_VALUES,
    PlainDocument,
    UnreadableText,
    check_plain,
    too_deep,
    too_large,
)

_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"
_TIMESTAMP_TAG: Final = "tag:yaml.org,2002:timestamp"
# What YAML takes a bare key for when it is not text.
_OTHER_KEYS: Final = {
    "tag:yaml.org,2002:bool": "true or false",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:null": "nothing",
}
_SYNTAX_FIX: Final = (
    "Mend the YAML here; indent with spaces and quote text that holds ': ', '#', '{' or '[', or begins with "
    "'*', '&', '!', '%' or '@'"
)
_TWO_MANIFESTS_FIX: Final = "Keep one of them, or put a line '---' between two manifests"


class _ManifestLoader(yaml.CSafeLoader):
    """`CSafeLoader` without the implicit date type."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML looks for it on the class
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP_TAG]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def read_yaml(text: str) -> Iterator[PlainDocument]:
    """The documents of *text*, in order; empty ones are left out.

    Raises:
        UnreadableText: At the first document that is not readable; nothing can be said of what follows it.
    """
    try:
        _check_bounds(text)
        loader = _ManifestLoader(text)
        while loader.check_node():
            node = loader.get_node()
            document = None if node is None else _read_document(loader, node)
            if document is not None and document.value is not None:
                yield document
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = "the file holds a character that YAML does not allow"
        raise UnreadableText(line, message, "Remove control characters; save it as UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # A text that ends too early is marked behind its end.
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 1
        if "nesting depth" in (error.problem or ""):
            # libyaml has a bound of its own from 0.2.6 on, and may come to it before it tells of anything.
            raise too_deep(line) from error
        # libyaml's own words are short and about syntax only; they never quote a value.
        raise UnreadableText(line, f"not valid YAML: {error.problem}", _SYNTAX_FIX) from error


def _check_bounds(text: str) -> None:
    # Events come one by one; composing nodes recurses in C and would overflow its stack on hostile nesting.
    depth = count = 0
    for event in _events(text):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        count += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise too_deep(line)
        if count > MAX_VALUES:
            raise too_large(line)


def _events(text: str) -> Iterator[Any]:
    loader = _ManifestLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError:
        return  # told when reading gets there; what stands before it is read


def _read_document(loader: _ManifestLoader, node: yaml.Node) -> PlainDocument:
    line = node.start_mark.line + 1
    _expanded_size(node, {}, 0)
    lines: dict[FieldPath, int] = {}
    _check_node(node, (), lines)
    try:
        value = loader.construct_document(node)
    except (ValueError, OverflowError) as error:  # such as an integer of 5,000 digits
        raise UnreadableText(line, "a number cannot be read", "Quote it, or write a smaller one") from error
    check_plain(value, (), line, lines)
    return PlainDocument(value, line, lines)


def _expanded_size(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """How many values *node* holds once its aliases are written out; each node is visited once."""
    if depth > MAX_DEPTH:
        # Also what an alias inside its own anchor comes to.
        raise too_deep(node.start_mark.line + 1)
    known = sizes.get(id(node))
    if known is not None:
        return known
    size = 1 + sum(_expanded_size(child, sizes, depth + 1) for child in _children(node))
    if size > MAX_VALUES:
        raise too_large(node.start_mark.line + 1)
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_node(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int]) -> None:
    """Refuse keys that are not text or written twice, and note the line of every value."""
    if isinstance(node, yaml.MappingNode):
        _check_mapping(node, path, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.setdefault((*path, index), item.start_mark.line + 1)
            _check_node(item, (*path, index), lines)


def _check_mapping(node: yaml.MappingNode, path: FieldPath, lines: dict[FieldPath, int]) -> None:
    seen: dict[str, int] = {}
    merged: list[yaml.Node] = []
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = _key(key_node, line, path)
        if key in seen:
            message = f"the key '{key}' is written twice (first on line {seen[key]})"
            fix = _TWO_MANIFESTS_FIX if (*path, key) == ("type",) else "Keep one of them"
            raise UnreadableText(line, message, fix, (*path, key))
        seen[key] = line
        if key_node.tag == _MERGE_TAG:
            merged.append(value_node)
            continue
        lines[(*path, key)] = line
        _check_node(value_node, (*path, key), lines)
    for value_node in merged:
        # After the mapping's own keys, because these keep their own lines.
        _note_merged(value_node, path, lines)


def _note_merged(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int]) -> None:
    sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
    for source in sources:
        inner: dict[FieldPath, int] = {}
        _check_node(source, path, inner)
        for key, line in inner.items():
            lines.setdefault(key, line)


def _key(node: yaml.Node, line: int, path: FieldPath) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise UnreadableText(
            line, "a key must be text, not a list or a mapping", "Write a name before ':'", path
        )
    if node.tag not in (_TEXT_TAG, _MERGE_TAG):
        message = (
            f"the key '{node.value}' is read as {_OTHER_KEYS.get(node.tag, 'another type')}, not as text"
        )
        raise UnreadableText(line, message, f'Put it in quotes: "{node.value}"', path)
    return str(node.value)
