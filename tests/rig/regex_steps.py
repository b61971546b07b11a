"""How much work a backtracking search is, counted instead of timed: on a busy machine it is the same.

A small matcher for what the patterns of this project are made of, driven by Python's own parser of them. A
step is a look at one character, or one way taken of several. It takes no shortcut, so `re` takes no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _parser as parser  # type: ignore[attr-defined] # the one reader of the language there is
from typing import Any

_CATEGORIES = {
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_SPACE": r"\s",
}


class StepCounter:
    """One pattern.

    Attributes:
        steps: Taken so far.
    """

    def __init__(self, pattern: str) -> None:
        self._nodes = _plain(parser.parse(pattern))
        self._text = ""
        self.steps = 0

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where *text* is found to match, one after another, as `re.finditer` has it."""
        self._text = text
        found, at = [], 0
        while at <= len(text):
            end = next(self._ends(self._nodes, 0, at, is_folded=False), None)
            if end is None or end == at:
                at += 1
                continue
            found.append((at, end))
            at = end
        return found

    def _ends(self, nodes: list[Any], index: int, at: int, *, is_folded: bool) -> Iterator[int]:
        """Each end that *nodes* from *index* on can have, in the order in which they are tried."""
        if index == len(nodes):
            yield at
            return
        for middle in self._ends_of_one(nodes[index], at, is_folded=is_folded):
            yield from self._ends(nodes, index + 1, middle, is_folded=is_folded)

    def _ends_of_one(self, node: Any, at: int, *, is_folded: bool) -> Iterator[int]:
        kind, value = node
        if kind == "BRANCH":
            for nodes in value:
                self.steps += 1
                yield from self._ends(nodes, 0, at, is_folded=is_folded)
        elif kind == "SUBPATTERN":
            has_flag, nodes = value
            yield from self._ends(nodes, 0, at, is_folded=is_folded or has_flag)
        elif kind in ("ASSERT", "ASSERT_NOT"):
            nodes, width = value
            if self._is_true(nodes, width, at, is_folded=is_folded) is (kind == "ASSERT"):
                yield at
        elif kind == "MAX_REPEAT":
            least, most, nodes = value
            yield from self._repeats(least, most, nodes, 0, at, is_folded=is_folded)
        elif self._fits(kind, value, at, is_folded=is_folded):
            yield at + 1

    def _is_true(self, nodes: list[Any], width: int, at: int, *, is_folded: bool) -> bool:
        self.steps += 1
        start = at - width
        if start < 0:
            return False
        return next(self._ends(nodes, 0, start, is_folded=is_folded), None) is not None

    def _repeats(
        self, least: int, most: int, nodes: list[Any], done: int, at: int, *, is_folded: bool
    ) -> Iterator[int]:
        if len(nodes) == 1 and nodes[0][0] in ("LITERAL", "NOT_LITERAL", "IN", "ANY"):
            end = at
            kind, value = nodes[0]
            while end - at < most and self._fits(kind, value, end, is_folded=is_folded):
                end += 1
            for stop in range(end, at + least - 1, -1):
                self.steps += 1
                yield stop
            return
        if done < most:
            for middle in self._ends(nodes, 0, at, is_folded=is_folded):
                if middle > at or done < least:
                    yield from self._repeats(least, most, nodes, done + 1, middle, is_folded=is_folded)
        if done >= least:
            self.steps += 1
            yield at

    def _fits(self, kind: str, value: Any, at: int, *, is_folded: bool) -> bool:
        self.steps += 1
        if at >= len(self._text):
            return False
        letter = self._text[at]
        letters = {letter, letter.lower(), letter.upper()} if is_folded else {letter}
        if kind == "IN":
            return any(value(one) for one in letters)
        return any(one == value for one in letters)


def _plain(nodes: Any) -> list[Any]:
    """The parser's tree as pairs of a kind and what the matcher needs of it."""
    return [_plain_node(str(kind), value) for kind, value in nodes]


def _plain_node(kind: str, value: Any) -> tuple[str, Any]:
    match kind:
        case "LITERAL":
            return kind, chr(value)
        case "IN":
            return kind, _is_in(value)
        case "BRANCH":
            return kind, [_plain(nodes) for nodes in value[1]]
        case "SUBPATTERN":
            return kind, (bool(value[1] & re.IGNORECASE), _plain(value[3]))
        case "ASSERT" | "ASSERT_NOT":
            direction, nodes = value
            return kind, (_plain(nodes), nodes.getwidth()[0] if direction < 0 else 0)
        case "MAX_REPEAT":
            least, most, nodes = value
            return kind, (least, int(most), _plain(nodes))
    msg = f"the matcher does not know {kind}"
    raise NotImplementedError(msg)


def _is_in(items: list[Any]) -> Any:
    is_negated = str(items[0][0]) == "NEGATE"

    def is_in(letter: str) -> bool:
        return any(_is_item(str(kind), value, letter) for kind, value in items) is not is_negated

    return is_in


def _is_item(kind: str, value: Any, letter: str) -> bool:
    match kind:
        case "LITERAL":
            return chr(value) == letter
        case "RANGE":
            first, last = value
            return chr(first) <= letter <= chr(last)
        case "CATEGORY":
            return re.fullmatch(_CATEGORIES[str(value)], letter) is not None
    return False
