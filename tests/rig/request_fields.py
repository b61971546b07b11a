"""Every field that a request type of an official SDK has, each as two requests that differ in it alone."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from typing_extensions import is_typeddict

_LISTS: Final = (list, Iterable, Sequence)
_UNIONS: Final = (Union, types.UnionType)
_VALUES: Final[dict[Any, tuple[Any, Any]]] = {int: (3, 4), float: (0.25, 0.5), bool: (True, False)}
_ANY: Final = ({"type": "object"}, {"type": "string"})


class Difference(NamedTuple):
    """A field by its path, such as `messages[](user).content[](image).source(url).url`.

    Attributes:
        without: A request that lacks it, or has another value of it where it cannot be left out.
        with_it: The same request with it.
    """

    path: str
    without: Any
    with_it: Any


def differences(kind: Any, *above: Any) -> Iterator[Difference]:
    """Each field of the `TypedDict` *kind* and of those below it; lists have one item.

    Args:
        kind: The type.
        above: Those around it, which are not gone into again.
    """
    if kind in above:
        return
    base = _least(kind, "")
    for name, inner in _fields(kind).items():
        for path, without, with_it in _below(inner, name, (*above, kind)):
            before = base if without is None else {**base, name: without}
            after = {**base, name: with_it}
            if before == after:
                # It cannot be left out.
                before = {**base, name: _least(inner, name, is_other=True)}
            if before != after:
                yield Difference(f"{name}{path}", before, after)


def _below(kind: Any, name: str, above: tuple[Any, ...]) -> Iterator[Difference]:
    """Each way to give a field of this type (without it: None), and then what is below."""
    kind, origin = _plain(kind)
    if origin in _UNIONS:
        for member in _members(kind):
            yield from _below(member, name, above)
    elif origin in _LISTS:
        for path, without, with_it in _below(get_args(kind)[0], name, above):
            yield Difference(f"[]{path}", None if without is None else [without], [with_it])
    elif is_typeddict(kind):
        title = _title(kind)
        least = _least(kind, name)
        if least:
            # An empty object asks for nothing.
            yield Difference(title, None, least)
        for path, without, with_it in differences(kind, *above):
            yield Difference(f"{title}.{path}", without, with_it)
    elif origin is Literal:
        for value in get_args(kind):
            yield Difference(f"={value}", None, value)
    else:
        yield Difference("", None, _least(kind, name))


def _least(kind: Any, name: str, *, is_other: bool = False) -> Any:
    """A small value of a field of this *name* and type; *is_other*: a second one, where there is one."""
    kind, origin = _plain(kind)
    if origin is Literal:
        return get_args(kind)[-1 if is_other else 0]
    if origin in _UNIONS:
        return _least(_members(kind)[0], name, is_other=is_other)
    if is_typeddict(kind):
        fields = _fields(kind).items()
        return {
            field: _least(inner, field, is_other=is_other)
            for field, inner in fields
            if _is_required(kind, inner)
        }
    if origin in _LISTS:
        return [_least(get_args(kind)[0], name, is_other=is_other)]
    values = _VALUES.get(kind, _ANY)
    if origin in (dict, Mapping):
        inner = _least(get_args(kind)[1], name)
        values = ({"one": inner}, {"other": inner})
    elif kind is str:
        values = (name, f"other {name}")
    return values[is_other]


def _plain(kind: Any) -> tuple[Any, Any]:
    origin = get_origin(kind)
    while origin in (Required, NotRequired, Annotated):
        kind = get_args(kind)[0]
        origin = get_origin(kind)
    return kind, origin


def _members(kind: Any) -> list[Any]:
    found = []
    for member in map(_plain, get_args(kind)):
        if member[1] in _UNIONS:
            found += _members(member[0])
        elif member[0] is not type(None):
            found.append(member[0])
    return found


def _fields(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _is_required(kind: Any, inner: Any) -> bool:
    """Not by `__required_keys__`: where annotations are text, that was made without reading them."""
    return get_origin(inner) is Required or (kind.__total__ and get_origin(inner) is not NotRequired)


def _title(kind: Any) -> str:
    """Which of several it is: its `type` or its `role`."""
    for name in ("type", "role"):
        inner, origin = _plain(_fields(kind).get(name))
        if origin is Literal:
            return f"({get_args(inner)[0]})"
    return ""
