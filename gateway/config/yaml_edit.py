"""Changing values inside one YAML document, every other byte as it was: comments, quotes, order, indentation.

Pure: text in, text out. Not done by a library that writes the document anew from a tree with comments: such
a one settles quotes, widths and indentation by its own rules, and a commit of one changed number would touch
every line. Here the places of the values come from the parser, and only the text of what differs is replaced.

What is not written in a plain way (anchors, aliases, merge keys) raises `NotEditable`; whoever asks then
replaces the document whole.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import yaml

_LINE_WIDTH: Final = 100
_ENDLESS: Final = 1_000_000_000
_IDENTITIES: Final = ("id", "name", "target")
_MERGE_KEY: Final = "<<"
_LINE_BREAK: Final = re.compile(r"[\n\r\x85\u2028\u2029]")


class NotEditable(ValueError):
    """The document is written in a way that cannot be changed in place."""


class _Edit(NamedTuple):
    """Put *new* in the place of what stands from *start* to *end*."""

    start: int
    end: int
    new: str


def edit_document(text: str, node: yaml.Node, before: Any, after: Any) -> str:
    """*text* with the document of *node* saying *after*.

    Args:
        text: Of the whole file.
        node: The document's root, composed from *text*.
        before: What it says now.
        after: What it is to say.

    Raises:
        NotEditable: It has anchors, or is written in a way that is not handled here.
    """
    _check_plain(node, set())
    edits = sorted(_Editor(text).changes(node, before, after))
    for earlier, later in itertools.pairwise(edits):
        if later.start < earlier.end:
            raise NotEditable("two changes meet")
    line_break = "\r\n" if "\r\n" in text else "\n"
    for edit in reversed(edits):
        new = edit.new.replace("\n", line_break)
        text = text[: edit.start] + new + text[edit.end :]
    return text


def to_yaml(body: Any) -> str:
    """*body* as a person would write it."""
    dumped = yaml.safe_dump(
        body, sort_keys=False, allow_unicode=True, default_flow_style=False, width=_LINE_WIDTH
    )
    return str(dumped)


def end_of(node: yaml.Node, text: str) -> int:
    """Where the text of *node* ends; a block's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end_of(last[1] if isinstance(last, tuple) else last, text)
    start, end = node.start_mark.index, node.end_mark.index
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return start + len(text[start:end].rstrip())
    return int(end)


def is_same(one: Any, other: Any) -> bool:
    """Whether both say the same; 1, 1.0 and true do not."""
    return _comparable(one) == _comparable(other)


def _check_plain(node: yaml.Node, seen: set[int]) -> None:
    """Refuse a node that stands at two places.

    Raises:
        NotEditable: There is one, or a merge key.
    """
    if id(node) in seen:
        raise NotEditable("an alias")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == _MERGE_KEY:
                raise NotEditable("a merge key")
            _check_plain(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_plain(item, seen)


class _Editor:
    """The edits that one text needs."""

    def __init__(self, text: str) -> None:
        self._text = text

    def changes(self, node: yaml.Node, before: Any, after: Any) -> Iterator[_Edit]:
        """What makes *node* say *after*, where *node* is a root or the item of a list."""
        inner = self._inside(node, before, after)
        if inner is not None:
            yield from inner
            return
        start, end = node.start_mark.index, end_of(node, self._text)
        if start == end:
            raise NotEditable("an item that says nothing")
        indent = " " * node.start_mark.column
        yield _Edit(start, end, _written(node, after).rstrip("\n").replace("\n", f"\n{indent}"))

    def _inside(self, node: yaml.Node, before: Any, after: Any) -> list[_Edit] | None:
        """The edits inside *node*; None where it has to be replaced whole."""
        if is_same(before, after):
            return []
        if isinstance(node, yaml.MappingNode) and isinstance(after, Mapping) and after and node.value:
            return self._in_mapping(node, before, after)
        if isinstance(node, yaml.SequenceNode) and isinstance(after, list) and after and node.value:
            return self._in_sequence(node, before, after)
        return None

    def _in_mapping(
        self, node: yaml.MappingNode, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> list[_Edit] | None:
        removed = [key for key in before if key not in after]
        added = {key: value for key, value in after.items() if key not in before}
        if len(removed) == len(before) or (node.flow_style and (removed or added)):
            return None
        edits: list[_Edit] = []
        pairs = node.value
        for at, (key, value) in enumerate(pairs):
            if key.value in removed:
                following = pairs[at + 1][0].start_mark.index if at + 1 < len(pairs) else None
                edits.append(self._without_entry(key, value, following))
            else:
                old, new = before[key.value], after[key.value]
                edits += self._entry(key, value, old, new, in_brackets=bool(node.flow_style))
        if added:
            indent = " " * pairs[0][0].start_mark.column
            edits.append(self._insertion(end_of(pairs[-1][1], self._text), _indented(to_yaml(added), indent)))
        return edits

    def _entry(
        self, key: yaml.Node, value: yaml.Node, before: Any, after: Any, *, in_brackets: bool
    ) -> Iterator[_Edit]:
        """What makes the value of *key* say *after*."""
        inner = self._inside(value, before, after)
        if inner is not None:
            yield from inner
            return
        colon = self._text.index(":", key.end_mark.index) + 1
        start, end = value.start_mark.index, end_of(value, self._text)
        is_below = value.start_mark.line > key.end_mark.line and end > start
        is_block = not in_brackets and _is_block(value, after)
        if not is_below and not is_block:
            is_list = in_brackets and isinstance(after, dict | list)
            text = _in_brackets(after) if is_list else _written(value, after).rstrip("\n")
            yield _Edit(start, end, text) if end > start else _Edit(colon, colon, f" {text}")
            return
        if is_block:
            new = _indented(to_yaml(after), " " * (key.start_mark.column + 2))
        else:
            new = ""
            yield _Edit(colon, colon, f" {_written(value, after)}")
        if is_below:
            # What follows the colon on its line is a comment, and stays.
            yield _Edit(self._line_start(start), self._line_end(end), new)
        else:
            yield _Edit(colon, max(end, colon), "")
            yield self._insertion(max(end, colon), new)

    def _without_entry(self, key: yaml.Node, value: yaml.Node, following: int | None) -> _Edit:
        start = key.start_mark.index
        line_start = self._line_start(start)
        if not self._text[line_start:start].strip():
            return _Edit(line_start, self._line_end(max(end_of(value, self._text), key.end_mark.index)), "")
        # It stands behind a dash, which the next one takes over.
        if following is None:
            raise NotEditable("the only entry")
        return _Edit(start, following, "")

    def _in_sequence(
        self, node: yaml.SequenceNode, before: Sequence[Any], after: Sequence[Any]
    ) -> list[_Edit] | None:
        items = node.value
        if node.flow_style and len(before) != len(after):
            return None
        edits: list[_Edit] = []
        for from_, to, new_from, new_to in _differing(before, after):
            paired = min(to - from_, new_to - new_from)
            for offset in range(paired):
                old, new = before[from_ + offset], after[new_from + offset]
                edits += self.changes(items[from_ + offset], old, new)
            for at in range(from_ + paired, to):
                start = self._dash_of(node, items[at])
                edits.append(_Edit(start, self._line_end(end_of(items[at], self._text)), ""))
            fresh = after[new_from + paired : new_to]
            if fresh:
                column = node.start_mark.column
                new_text = _indented(to_yaml(list(fresh)), " " * column)
                place = from_ + paired
                if place:
                    edits.append(self._insertion(end_of(items[place - 1], self._text), new_text))
                else:
                    start = self._dash_of(node, items[0])
                    edits.append(_Edit(start, start, new_text))
        return edits

    def _dash_of(self, node: yaml.SequenceNode, item: yaml.Node) -> int:
        """The start of the line on which *item* begins with its dash and nothing before."""
        start = self._line_start(item.start_mark.index)
        dash = start + node.start_mark.column
        if self._text[start:dash].strip() or self._text[dash : dash + 1] != "-":
            raise NotEditable("an item that does not begin its line")
        return start

    def _insertion(self, end: int, new: str) -> _Edit:
        """Put lines below the line in which *end* stands."""
        place = self._line_end(end)
        has_break = self._text[:place].endswith("\n")
        return _Edit(place, place, new if has_break else f"\n{new.rstrip()}")

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Behind the line break that ends the line of *index*."""
        found = self._text.find("\n", index)
        return len(self._text) if found < 0 else found + 1


def _differing(before: Sequence[Any], after: Sequence[Any]) -> Iterator[tuple[int, int, int, int]]:
    """Where two lists differ: from and to in the one, from and to in the other."""
    old, new = [_identity(item) for item in before], [_identity(item) for item in after]
    for kind, *places in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        from_, to, new_from, new_to = places
        if kind != "equal":
            yield from_, to, new_from, new_to
            continue
        for at, new_at in zip(range(from_, to), range(new_from, new_to), strict=True):
            if not is_same(before[at], after[new_at]):
                yield at, at + 1, new_at, new_at + 1


def _identity(item: Any) -> str:
    """What tells the item of a list from the others, whatever else of it changes."""
    found = [item[key] for key in _IDENTITIES if key in item] if isinstance(item, Mapping) else []
    return _comparable([found[0]]) if found else _comparable(item)


def _is_block(node: yaml.Node, value: Any) -> bool:
    """Whether *value* is written on lines of its own in the place of *node*."""
    is_flow = isinstance(node, yaml.CollectionNode) and bool(node.flow_style) and bool(node.value)
    return isinstance(value, dict | list) and bool(value) and not is_flow


def _written(node: yaml.Node, value: Any) -> str:
    """*value* as it is written where *node* stands."""
    if isinstance(value, dict | list) and value:
        if isinstance(node, yaml.CollectionNode) and node.flow_style:
            return _in_brackets(value)
        return to_yaml(value)
    return _scalar(value, node.style if isinstance(node, yaml.ScalarNode) else None)


def _in_brackets(value: Any) -> str:
    """*value* on one line, as it may stand in brackets."""
    if not (isinstance(value, dict | list) and value):
        return _scalar(value, None)
    dumped = yaml.safe_dump(
        value, sort_keys=False, allow_unicode=True, default_flow_style=True, width=_ENDLESS
    )
    return str(dumped).rstrip("\n")


def _scalar(value: Any, style: str | None) -> str:
    """*value* on one line, readable inside brackets too; in the quotes of *style* if it is text."""
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    is_text = isinstance(value, str)
    quotes = style if is_text and style in ("'", '"') else None
    if is_text and _LINE_BREAK.search(value):
        quotes = '"'
    dumped = yaml.safe_dump(
        [value], allow_unicode=True, default_flow_style=True, width=_ENDLESS, default_style=quotes
    )
    return str(dumped).strip()[1:-1]


def _indented(text: str, indent: str) -> str:
    # Not `splitlines`, which knows more line breaks than YAML's writer makes.
    return "\n".join(f"{indent}{line}" if line.strip() else line for line in text.split("\n"))


def _comparable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
