"""Walking a manifest's plain data along its model: which field is what, and which is none."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Union

from pydantic.fields import FieldInfo

from gateway.config.document import FieldPath
from gateway.config.manifests.issued_token import ENTRY, TEXT
from gateway.config.manifests.part import Part
from gateway.config.secrets import SecretReference

_TAGS = ("type", "metric")
_PLAIN = frozenset({str, int, float, bool, type(None)})


# What follows from the models alone is found once: a configuration may have a hundred thousand manifests.
@cache
def fields_of(part: type[Part]) -> Mapping[str, FieldInfo]:
    """The fields of *part* by the name that a manifest uses."""
    return MappingProxyType({field.alias or name: field for name, field in part.model_fields.items()})


@cache
def _parents(part: type[Part]) -> frozenset[str]:
    """The fields of *part*, by the name that a manifest uses, in which there may be parts."""
    return frozenset(name for name, field in fields_of(part).items() if _may_hold_parts(field.annotation))


@cache
def _secretive(part: type[Part]) -> tuple[tuple[str, str], ...]:
    """The attributes of *part* in which there may be secrets, each with the name that a manifest uses."""
    return tuple(
        (name, field.alias or name)
        for name, field in part.model_fields.items()
        if _may_hold_parts(field.annotation) or _may_hold(field.annotation, SecretReference)
    )


def _may_hold_parts(annotation: Any) -> bool:
    return _may_hold(annotation, Part)


def _may_hold(annotation: Any, kind: type) -> bool:
    """Whether a value of *annotation* may have one of *kind* in it; where that is not clear, it may."""
    for member in _members(annotation):
        arguments = typing.get_args(member)
        if typing.get_origin(member) in (tuple, dict, list):
            if any(_may_hold(argument, kind) for argument in arguments if argument is not ...):
                return True
        elif arguments or not isinstance(member, type):
            if typing.get_origin(member) is not typing.Literal:
                return True
        elif issubclass(member, kind):
            return True
    return False


def attribute_of(part: type[Part], key: str) -> str:
    """The Python name of the field that a manifest calls *key*."""
    return next(name for name, field in part.model_fields.items() if (field.alias or name) == key)


def find_part(annotation: Any, value: Any) -> type[Part] | None:
    """The model that *value* is read as; None when it is not read as one, or it is not clear as which."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    parts = _parts(annotation)
    if len(parts) == 1:
        return parts[0]
    return next((part for part in parts if isinstance(value, Mapping) and _tag_matches(part, value)), None)


def tags_of(annotation: Any) -> tuple[str, ...]:
    """What `type` (or `metric`) may be where one of several models is possible."""
    return tuple(tag for part in _parts(annotation) for tag in _tags(part)[1])


def item_annotation(annotation: Any) -> Any:
    """The type of the items of a list, or of the values of a mapping; None when *annotation* is neither."""
    for member in _members(annotation):
        arguments = typing.get_args(member)
        origin = typing.get_origin(member)
        if origin is tuple:
            return arguments[0]
        if origin is dict:
            return arguments[1]
    return None


def unknown_fields(
    annotation: Any, value: Any, path: FieldPath = ()
) -> Iterator[tuple[FieldPath, type[Part]]]:
    """Where *value* has fields that its model has not, and the model."""
    if not isinstance(value, list | dict) or (
        isinstance(value, list) and _PLAIN.issuperset(map(type, value))
    ):
        return
    part = find_part(annotation, value)
    if part is not None and isinstance(value, dict):
        fields, inner = fields_of(part), _parents(part)
        for key, item in value.items():
            if key in fields:
                if key in inner:
                    yield from unknown_fields(fields[key].annotation, item, (*path, key))
            else:
                yield (*path, key), part
    else:
        of_items = item_annotation(annotation)
        for step, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from unknown_fields(of_items, item, (*path, step))


def written_path(annotation: Any, value: Any, location: tuple[str | int, ...]) -> tuple[FieldPath, Any, Any]:
    """Where pydantic's *location* is in the manifest.

    Returns:
        The path (pydantic's own has the tag of each union in it), the annotation there, and the value there.
    """
    path: FieldPath = ()
    for step in location:
        if step in (TEXT, ENTRY):
            continue
        part = find_part(annotation, value)
        if part is not None and len(_parts(annotation)) > 1 and step in _tags(part)[1]:
            annotation = part
            continue
        path = (*path, step)
        annotation = _inner_annotation(annotation, part, step)
        value = _inner_value(value, step)
    return path, annotation, value


def secrets_in(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, SecretReference]]:
    """Every secret reference of a manifest, with its path in the manifest."""
    if isinstance(value, SecretReference):
        yield path, value
    elif isinstance(value, Part):
        # A default is no secret.
        written = value.model_fields_set
        for name, key in _secretive(type(value)):
            if name in written:
                yield from secrets_in(getattr(value, name), (*path, key))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from secrets_in(item, (*path, key))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            if isinstance(item, SecretReference):
                yield (*path, index), item
            else:
                yield from secrets_in(item, (*path, index))


def _members(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        yield from _members(typing.get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _parts(annotation: Any) -> list[type[Part]]:
    return [
        member for member in _members(annotation) if isinstance(member, type) and issubclass(member, Part)
    ]


def _tags(part: type[Part]) -> tuple[str, tuple[str, ...]]:
    """The name of the field that tells *part* from its siblings, and what it holds."""
    name = next(tag for tag in _TAGS if tag in part.model_fields)
    return name, typing.get_args(part.model_fields[name].annotation)


def _tag_matches(part: type[Part], value: Mapping[str, Any]) -> bool:
    name, tags = _tags(part)
    return value.get(name) in tags


def _inner_annotation(annotation: Any, part: type[Part] | None, step: str | int) -> Any:
    if part is not None:
        field = fields_of(part).get(str(step))
        return None if field is None else field.annotation
    return item_annotation(annotation)


def _inner_value(value: Any, step: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None
