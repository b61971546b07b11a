"""What both readers (YAML, JSON) give: plain values and the line of each; and the bounds that both keep."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.config.document import FieldPath

# A manifest of a thousand models has some 10,000 values and is 6 deep. The bounds are far above what anyone
# writes and far below what harms (libyaml's composer overflows the C stack somewhere above 5,000 levels).
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_VALUES: Final = 200_000
MAX_DEPTH: Final = 64
_INTEGERS: Final = range(-(2**63), 2**64)
"""What the encoder of the API's answers and of the kept configuration can write."""


@dataclass(frozen=True, slots=True)
class PlainDocument:
    """One document of a file.

    Attributes:
        value: Only dict, list, str, int, float, bool and None.
        line: From 1.
        lines: Line of each value inside, by its path; of a mapping's value the line of its key.
    """

    value: Any
    line: int
    lines: dict[FieldPath, int] = field(repr=False)


class UnreadableText(ValueError):
    """The text is not a document.

    Attributes:
        line: From 1.
        path: The field at fault, () when it is not one field.
        fix: What to do.
    """

    def __init__(self, line: int, message: str, fix: str, path: FieldPath = ()) -> None:
        super().__init__(message)
        self.line = line
        self.path = path
        self.fix = fix


def too_large(line: int) -> UnreadableText:
    """A document above `MAX_VALUES`."""
    return UnreadableText(
        line,
        f"the document expands to more than {MAX_VALUES:,} values",
        "Split it, or use fewer anchors and aliases",
    )


def too_deep(line: int) -> UnreadableText:
    """A document above `MAX_DEPTH`."""
    return UnreadableText(
        line, f"nested deeper than {MAX_DEPTH} levels", "No manifest needs that; flatten it"
    )


def check_plain(value: Any, path: FieldPath, line: int, lines: dict[FieldPath, int]) -> None:
    """Refuse what JSON could not carry, so that a manifest means the same wherever it is kept.

    Raises:
        UnreadableText: A number that is not finite or beyond 64 bits, broken Unicode, a type of YAML's own.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            here = lines.get((*path, key), line)
            check_plain(item, (*path, key), here, lines)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_plain(item, (*path, index), lines.get((*path, index), line), lines)
    else:
        _check_scalar(value, path, line)


def _check_scalar(value: object, path: FieldPath, line: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UnreadableText(line, "not a finite number", "Write an ordinary number", path)
    if isinstance(value, int) and value not in _INTEGERS:
        raise UnreadableText(line, "a whole number beyond 64 bits", "Quote it, or write a smaller one", path)
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise UnreadableText(
            line, "broken Unicode (half of a surrogate pair)", "Write the character itself", path
        )
    if value is not None and not isinstance(value, str | int | float):
        raise UnreadableText(
            line, f"a value of YAML type {type(value).__name__} has no use here", "Write plain text", path
        )
