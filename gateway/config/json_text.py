"""JSON to plain data with line numbers.

Not read as YAML: a JSON file may be indented with tabs, and YAML 1.1 takes `1e5` for text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

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

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_FIX: Final = "Mend the JSON here; names and text stand in double quotes, and no comma follows the last item"


def _refuse_constant(name: str) -> float:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


# Reads names and scalars; objects and lists are walked here, for their lines.
_SCALAR: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def read_json(text: str) -> Iterator[PlainDocument]:
    """The manifest of *text*, or the manifests when it is a list of them.

    Raises:
        UnreadableText: It is not JSON, has a name twice, or is beyond the bounds.
    """
    if not text.strip():
        return
    reader = _Reader(text)
    value = reader.read_all()
    check_plain(value, (), reader.first_line, reader.lines)
    if isinstance(value, list):
        for index, item in enumerate(value):
            inner = {
                path[1:]: line for path, line in reader.lines.items() if path[0] == index and len(path) > 1
            }
            yield PlainDocument(item, reader.lines[(index,)], inner)
    else:
        yield PlainDocument(value, reader.first_line, reader.lines)


class _Reader:
    """One pass over the text; scalars are read by the standard library."""

    def __init__(self, text: str) -> None:
        self.lines: dict[FieldPath, int] = {}
        self.first_line = 1
        self._text = text
        self._at = 0
        self._count = 0
        self._line = 1
        self._counted_to = 0

    def read_all(self) -> Any:
        self._skip_blank()
        self.first_line = self._line_here()
        try:
            value = self._value((), 0)
        except ValueError as error:
            if isinstance(error, UnreadableText):
                raise
            raise UnreadableText(self._line_here(), "not valid JSON", _FIX) from error
        self._skip_blank()
        if self._at != len(self._text):
            raise UnreadableText(
                self._line_here(), "not valid JSON: text after the end", "Put several manifests in a list"
            )
        return value

    def _value(self, path: FieldPath, depth: int) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise too_large(self._line_here())
        if depth > MAX_DEPTH:
            raise too_deep(self._line_here())
        first = self._text[self._at : self._at + 1]
        if first == "{":
            return self._object(path, depth)
        if first == "[":
            return self._array(path, depth)
        value, self._at = _SCALAR.raw_decode(self._text, self._at)
        return value

    def _object(self, path: FieldPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while not self._closes("}", is_empty=not found):
            line = self._line_here()
            if self._text[self._at : self._at + 1] != '"':
                raise UnreadableText(line, "not valid JSON: expected a name in double quotes", _FIX)
            key, self._at = _SCALAR.raw_decode(self._text, self._at)
            here = (*path, key)
            if key in found:
                message = f"the key '{key}' is written twice (first on line {self.lines[here]})"
                raise UnreadableText(line, message, "Keep one of them", here)
            self.lines[here] = line
            self._skip_blank()
            self._expect(":")
            self._skip_blank()
            found[key] = self._value(here, depth + 1)
        return found

    def _array(self, path: FieldPath, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while not self._closes("]", is_empty=not found):
            here = (*path, len(found))
            self.lines[here] = self._line_here()
            found.append(self._value(here, depth + 1))
        return found

    def _closes(self, end: str, *, is_empty: bool) -> bool:
        """Whether the collection ends here; else stand at its next item, past the comma."""
        self._skip_blank()
        if self._text[self._at : self._at + 1] == end:
            self._at += 1
            return True
        if not is_empty:
            self._expect(",")
            self._skip_blank()
        return False

    def _expect(self, character: str) -> None:
        if self._text[self._at : self._at + 1] != character:
            raise UnreadableText(self._line_here(), f"not valid JSON: expected '{character}'", _FIX)
        self._at += 1

    def _skip_blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line
