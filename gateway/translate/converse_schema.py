"""JSON schemas as Bedrock takes them where it holds a model to one.

It refuses an object that is open, and bounds of numbers and of lists. Objects are closed; a bound is told to
the model in the description of what it bounds, and to the caller by its name.

Facts: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html
"""

from __future__ import annotations

from typing import Any, Final

_OF_NUMBERS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_OF_LISTS: Final = ("maxItems",)
_BOUNDS: Final = {"number": _OF_NUMBERS, "integer": _OF_NUMBERS, "array": _OF_LISTS}
_MOST_LEAST_ITEMS: Final = 1
_OF_NAMES: Final = frozenset({"properties", "$defs", "definitions", "patternProperties"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})


def fit_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """*schema* as Bedrock takes it, and the names of what it cannot be held to.

    Raises:
        RecursionError: It is nested too deeply.
    """
    lost: list[str] = []
    return _fit(schema, lost), list(dict.fromkeys(lost))


def _fit(schema: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    bounds = _bounds_of(schema)
    lost += bounds
    fitted: dict[str, Any] = {}
    for name, value in schema.items():
        if name in bounds:
            continue
        fitted[name] = value if name in _VALUES else _fit_member(name, value, lost)
    if schema.get("type") == "object":
        fitted["additionalProperties"] = False
    if bounds:
        told = ", ".join(f"{name}: {schema[name]}" for name in bounds)
        words = schema.get("description")
        fitted["description"] = f"{words} ({told})" if isinstance(words, str) and words else told
    return fitted


def _fit_member(name: str, value: Any, lost: list[str]) -> Any:
    if isinstance(value, list):
        return [_fit(item, lost) if isinstance(item, dict) else item for item in value]
    if not isinstance(value, dict):
        return value
    if name in _OF_NAMES:
        return {key: _fit(item, lost) if isinstance(item, dict) else item for key, item in value.items()}
    return _fit(value, lost)


def _bounds_of(schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type")
    listed = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    bounds = [
        name
        for kind in listed
        if isinstance(kind, str)
        for name in _BOUNDS.get(kind, ())
        if schema.get(name) is not None
    ]
    least = schema.get("minItems")
    if "array" in listed and isinstance(least, int) and least > _MOST_LEAST_ITEMS:
        bounds.append("minItems")
    return list(dict.fromkeys(bounds))
