"""Changing some members of a body, and of the objects in it; the others stay the bytes they were. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.translate.foreign_json import write_json

Members = dict[str, msgspec.Raw]

NULL: Final = b"null"
_members: Final = msgspec.json.Decoder(Members)


def raw(value: object) -> msgspec.Raw:
    """*value* as JSON."""
    return msgspec.Raw(write_json(value))


def put(members: Members, name: str, value: bytes) -> None:
    """Give a member a value; null takes the member away."""
    if value == NULL:
        members.pop(name, None)
    else:
        members[name] = msgspec.Raw(value)


def object_in(members: Mapping[str, msgspec.Raw], name: str) -> Members:
    """The members of an object in a body; none of what is no object."""
    found = members.get(name)
    if found is None:
        return {}
    try:
        return _members.decode(found)
    except (msgspec.DecodeError, RecursionError):
        return {}


def put_object(members: Members, name: str, inner: Members) -> None:
    """Write an object back, or take it away when its last member was; what was no object stays."""
    if inner:
        members[name] = raw(inner)
    elif object_in(members, name):
        del members[name]


def value_in(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    """A member decoded, None where it is absent or cannot be read."""
    found = members.get(name)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found)
    except (msgspec.DecodeError, RecursionError):
        return None
