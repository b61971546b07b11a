"""Pydantic's errors in plain words, each with what to do.

No text quotes a value, because any of them could be a secret in the wrong place; what may be written there
is quoted instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import ErrorDetails

from gateway.config.document import Document, FieldPath
from gateway.config.field_meanings import meanings_of
from gateway.config.manifests.part import Part
from gateway.config.problem import Problem
from gateway.config.shape import fields_of, find_part, tags_of, written_path

_Words = tuple[str, str]
"""What is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class _Slip:
    """A value that is not what its field takes, and what pydantic knows of the difference."""

    value: object
    context: Mapping[str, Any]


def explain(error: ErrorDetails, model: type[Part], document: Document) -> Problem:
    """*error* as the person who wrote *document* can use it."""
    path, annotation, value = written_path(model, document.body, error["loc"])
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "missing":
        return document.error(path, *_missing(model, document, path))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tag = str(context["discriminator"]).strip("'")
        allowed = tags_of(annotation)
        written = value.get(tag) if isinstance(value, Mapping) else None
        if written is None:
            listed = ", ".join(allowed)
            return document.error((*path, tag), "the field is missing", f"Add '{tag}': one of {listed}")
        return document.error((*path, tag), *_one_of(allowed, written))
    words = _WORDS.get(kind)
    message, fix = words(_Slip(value, context)) if words else ("not valid here", "See docs/configuration.md")
    return document.error(path, message, fix)


def nearest(word: object, known: Iterable[str]) -> str:
    """A question for the nearest of *known*; empty when none is near."""
    # Of types only what follows the kind is compared: `provider-account/` alone makes any two of them alike.
    kind, slash, own = str(word).rpartition("/")
    names = sorted(name.removeprefix(kind + slash) for name in known if name.startswith(kind + slash))
    if not names:
        kind, slash, own, names = "", "", str(word), sorted(known)
    containing = [name for name in names if slash and own and own in name]
    beginnings = [name for name in names if own and name.startswith(own)]
    close = (
        difflib.get_close_matches(own, containing, 1, 0.0)
        or difflib.get_close_matches(own, names, 1, 0.6)
        or beginnings
    )
    return f"Did you mean '{kind}{slash}{close[0]}'?" if close else ""


def found(value: object) -> str:
    """What kind of thing *value* is, in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    names: dict[type, str] = {
        str: "text",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names[type(value)]


def _missing(model: type[Part], document: Document, path: FieldPath) -> _Words:
    *parent, name = path
    _, annotation, body = written_path(model, document.body, tuple(parent))
    part = find_part(annotation, body) if parent else model
    fields = fields_of(part) if part is not None else {}
    description = None if part is None else meanings_of(part).get(str(name))
    unknown = [key for key in body if key not in fields] if isinstance(body, Mapping) else []
    close = difflib.get_close_matches(str(name), unknown, 1, 0.6)
    if close:
        return "the field is missing", f"Rename '{close[0]}' to '{name}'"
    meaning = f": {_as_clause(description)}" if description else ""
    return "the field is missing", f"Add '{name}'{meaning}"


def _as_clause(description: str) -> str:
    first = description.split(". ", 1)[0].rstrip(".")
    return first[0].lower() + first[1:] if first[:2] != first[:2].upper() else first


def _one_of(allowed: Iterable[str], written: object) -> _Words:
    allowed = tuple(allowed)
    hint = nearest(written, allowed) if isinstance(written, str) else ""
    return f"expected one of: {', '.join(allowed)}", hint or "Write one of them"


def _literal(slip: _Slip) -> _Words:
    names = [text or number for text, number in re.findall(r"'([^']*)'|(\d+)", str(slip.context["expected"]))]
    if len(names) == 1:
        return f"expected {names[0]}", f"Write {names[0]}"
    return _one_of(names, slip.value)


def _text(slip: _Slip) -> _Words:
    is_single = isinstance(slip.value, bool | int | float)
    return (
        f"expected text, found {found(slip.value)}",
        "Put it in quotes" if is_single else "Write a piece of text",
    )


def _whole_number(slip: _Slip) -> _Words:
    is_quoted = isinstance(slip.value, str) and slip.value.strip().isdigit()
    fix = "Remove the quotes" if is_quoted else "Write a whole number"
    return f"expected a whole number, found {found(slip.value)}", fix


def _number(slip: _Slip) -> _Words:
    return f"expected a number, found {found(slip.value)}", "Write a number without quotes"


def _flag(slip: _Slip) -> _Words:
    return f"expected true or false, found {found(slip.value)}", "Write true or false without quotes"


def _list(slip: _Slip) -> _Words:
    fix = "Start each item with '- ' on a line of its own, or write [a, b]"
    return f"expected a list, found {found(slip.value)}", fix


def _mapping(slip: _Slip) -> _Words:
    fix = "Write 'key: value' lines, indented below this one"
    return f"expected a mapping, found {found(slip.value)}", fix


def _bound(words: str, key: str) -> Callable[[_Slip], _Words]:
    def explain_bound(slip: _Slip) -> _Words:
        bound = slip.context[key]
        limit = f"{words} {int(bound):,}" if bound == int(bound) else f"{words} {bound:g}"
        return f"must be {limit}", f"Write a number {limit}"

    return explain_bound


def _too_long(slip: _Slip) -> _Words:
    return f"longer than {slip.context['max_length']} characters", "Shorten it"


def _empty(_slip: _Slip) -> _Words:
    return "must not be empty", "Write a value, or remove the field"


def _ours(slip: _Slip) -> _Words:
    return str(slip.context["what"]), str(slip.context["fix"])


# Every kind that the field types in use can raise; a test reads them from the models' own schemas.
_WORDS: Final[Mapping[str, Callable[[_Slip], _Words]]] = {
    "manifest": _ours,
    "literal_error": _literal,
    "string_type": _text,
    "string_too_short": _empty,
    "string_too_long": _too_long,
    "too_short": _empty,
    "int_type": _whole_number,
    "int_parsing": _whole_number,
    "int_from_float": _whole_number,
    "float_type": _number,
    "bool_type": _flag,
    "tuple_type": _list,
    "dict_type": _mapping,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "greater_than": _bound("above", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("below", "lt"),
    "less_than_equal": _bound("at most", "le"),
}
