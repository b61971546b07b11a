"""JSON schemas as those take them who hold a model to one: Bedrock, and Anthropic.

Both refuse an object that is open, and bounds of numbers, of lists and of the length of texts; Anthropic also
those of objects, and formats that it does not know. Objects are closed, and a rule for whatever else they may
have is named; what is refused is told to the model in the description of what it bounds, and to the caller by
its name.

Facts: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html ,
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateway.translate.pair import LeftOut


class Rules(NamedTuple):
    """What one of them refuses.

    Attributes:
        bounds: By the type that they bound.
        formats: Those of texts that it knows, None where it takes any.
    """

    bounds: Mapping[str, tuple[str, ...]]
    formats: frozenset[str] | None = None


_OF_NUMBERS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
BEDROCK: Final = Rules(
    {
        "number": _OF_NUMBERS,
        "integer": _OF_NUMBERS,
        "array": ("maxItems",),
        "string": ("minLength", "maxLength"),
    }
)
ANTHROPIC: Final = Rules(
    {
        **BEDROCK.bounds,
        "array": ("maxItems", "uniqueItems"),
        "object": ("minProperties", "maxProperties"),
    },
    frozenset(
        ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
    ),
)
_CLOSED: Final = "additionalProperties"
_MOST_LEAST_ITEMS: Final = 1
_OF_NAMES: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})


def fit_schema(schema: dict[str, Any], rules: Rules) -> tuple[dict[str, Any], list[str]]:
    """*schema* as it is taken under *rules*, and the names of what the model cannot be held to.

    Raises:
        RecursionError: It is nested too deeply.
    """
    lost: list[str] = []
    return _fit(schema, rules, lost), list(dict.fromkeys(lost))


def fit_and_tell(schema: dict[str, Any], rules: Rules, field: str, left_out: LeftOut) -> dict[str, Any]:
    """*schema* as it is taken under *rules*.

    Args:
        schema: As the caller sent it.
        rules: Those of who holds the model to it.
        field: What the caller calls it.
        left_out: Takes what the model cannot be held to.

    Raises:
        RecursionError: It is nested too deeply.
        UnsupportedParameter: The operator wants calls refused that the target cannot do.
    """
    fitted, lost = fit_schema(schema, rules)
    for name in lost:
        left_out.add(f"{field}.{name}")
    return fitted


def _fit(schema: dict[str, Any], rules: Rules, lost: list[str]) -> dict[str, Any]:
    kinds = schema.get("type")
    listed = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    bounds = _bounds_of(schema, listed, rules)
    lost += bounds
    fitted: dict[str, Any] = {}
    for name, value in schema.items():
        if name in bounds:
            continue
        fitted[name] = value if name in _VALUES else _fit_member(name, value, rules, lost)
    if "object" in listed:
        if isinstance(schema.get(_CLOSED), dict):
            # A map: what it may hold cannot be said.
            lost.append(_CLOSED)
        fitted[_CLOSED] = False
    if bounds:
        told = ", ".join(f"{name}: {schema[name]}" for name in bounds)
        words = schema.get("description")
        fitted["description"] = f"{words} ({told})" if isinstance(words, str) and words else told
    return fitted


def _fit_member(name: str, value: Any, rules: Rules, lost: list[str]) -> Any:
    if isinstance(value, list):
        return [_fit(item, rules, lost) if isinstance(item, dict) else item for item in value]
    if not isinstance(value, dict):
        return value
    if name in _OF_NAMES:
        return {
            key: _fit(item, rules, lost) if isinstance(item, dict) else item for key, item in value.items()
        }
    return _fit(value, rules, lost)


def _bounds_of(schema: dict[str, Any], listed: list[Any], rules: Rules) -> list[str]:
    bounds = [
        name
        for kind in listed
        if isinstance(kind, str)
        for name in rules.bounds.get(kind, ())
        if schema.get(name) is not None
    ]
    least = schema.get("minItems")
    if "array" in listed and isinstance(least, int) and least > _MOST_LEAST_ITEMS:
        bounds.append("minItems")
    shape = schema.get("format")
    if "string" in listed and isinstance(shape, str) and shape not in (rules.formats or (shape,)):
        bounds.append("format")
    return list(dict.fromkeys(bounds))
