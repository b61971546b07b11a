"""JSON schemas in Gemini's subset; a rich one is in tests/golden/chat_to_gemini."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidBody
from gateway.translate.gemini_schema import (
    as_google_schema,
    as_json_schema,
    shape_of_answer,
    shape_of_arguments,
)

TEXT: Final = {"type": "string"}
RULES: Final = (
    "$id", "$anchor", "$defs", "$ref", "type", "format", "description", "enum", "items", "prefixItems",
    "anyOf", "oneOf", "properties", "additionalProperties", "required", "propertyOrdering",
    "minItems", "maxItems",
    "minimum", "maximum",
)  # fmt: skip
GOOGLE_RULES: Final = (
    "type", "format", "description", "enum", "items", "anyOf", "properties", "required", "propertyOrdering",
    "nullable", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "minProperties",
    "maxProperties", "pattern",
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected", "lost"),
    [
        ({"type": "string", "title": "T", "default": "a", "examples": []}, TEXT, ()),
        (
            {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 2, "maximum": 8},
            (),
        ),
        ({"type": "number", "exclusiveMinimum": 1}, {"type": "number", "minimum": 1}, ("exclusiveMinimum",)),
        ({"const": "a"}, {"enum": ["a"]}, ()),
        ({"const": None}, {"type": "null"}, ()),
        ({"const": True, "type": "boolean"}, {"type": "boolean"}, ("const",)),
        ({"enum": [1, 2.5, "a"]}, {"enum": [1, 2.5, "a"]}, ()),
        ({"enum": ["a", None], "type": "string"}, {"enum": ["a"], "type": ["string", "null"]}, ()),
        ({"enum": ["a", None]}, {"enum": ["a"], "type": ["string", "null"]}, ()),
        ({"enum": [1, 2.5, None]}, {"enum": [1, 2.5], "type": ["integer", "number", "null"]}, ()),
        ({"enum": [True, None], "type": "boolean"}, {"type": ["boolean", "null"]}, ("enum",)),
        ({"enum": [True, None]}, {}, ("enum",)),
        ({"enum": [None], "type": "string"}, {"type": "null"}, ()),
        ({"enum": [{}, "a"]}, {"enum": ["a"]}, ("enum",)),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}, ()),
        ({"type": ["string", "made up"]}, TEXT, ()),
        ({"items": [TEXT, TEXT]}, {"prefixItems": [TEXT, TEXT]}, ()),
        ({"items": True}, {}, ()),
        ({"not": TEXT, "if": {}, "pattern": "a"}, {}, ("not", "if", "pattern")),
        ({"anyOf": [True, False]}, {"anyOf": [{}, {}]}, ("false",)),
        ({"propertyOrdering": ["a"]}, {"propertyOrdering": ["a"]}, ()),
        ({"additionalProperties": TEXT}, {"additionalProperties": TEXT}, ()),
        (
            {"$ref": "#/definitions/A", "description": "x", "minItems": 1, "definitions": {"A": TEXT}},
            {"$defs": {"A": TEXT}, "$ref": "#/$defs/A"},
            ("minItems",),
        ),
        (
            {"allOf": [{"$ref": "#/$defs/A"}], "description": "x", "$defs": {"A": TEXT}},
            {"$ref": "#/$defs/A"},
            (),
        ),
        ({"allOf": [{"$ref": "#/$defs/None"}, TEXT]}, TEXT, ("allOf",)),
        ({"allOf": [{"allOf": [TEXT]}, {"type": "object"}]}, {"type": "object"}, ("allOf",)),
        ({"allOf": "x", "type": "string"}, TEXT, ()),
    ],
)
def test_json_schemas(schema: dict[str, Any], expected: dict[str, Any], lost: tuple[str, ...]) -> None:
    """What describes goes silently, what rules is said otherwise or named."""
    assert as_json_schema(schema) == (expected, lost)


@pytest.mark.parametrize(
    ("schema", "expected", "lost"),
    [
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}, ()),
        ({"type": "string", "format": "email"}, {"type": "STRING"}, ("format",)),
        ({"type": "integer", "format": "int32"}, {"type": "INTEGER", "format": "int32"}, ()),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}, ()),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}, ()),
        (
            {"type": ["string", "integer"], "minimum": 1},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
            ("minimum",),
        ),
        (
            {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}, {"required": []}]},
            {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "propertyOrdering": ["a"]},
            ("anyOf",),
        ),
        (
            {"properties": {"a": TEXT}},
            {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "propertyOrdering": ["a"]},
            (),
        ),
        ({"enum": [1, 2], "type": "integer"}, {"type": "INTEGER"}, ("enum",)),
        ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}, ()),
        ({"anyOf": [TEXT, {"type": "null"}]}, {"type": "STRING", "nullable": True}, ()),
        (
            {"oneOf": [TEXT, {"type": "integer"}], "description": "x"},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
            (),
        ),
        ({"$ref": "https://x.test/a"}, {"type": "OBJECT"}, ("$ref",)),
        ({"$ref": "#"}, {"type": "OBJECT"}, ("$ref",)),
        ({"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": TEXT}}, {"type": "STRING"}, ()),
        ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}, ("items",)),
        ({"type": "object", "additionalProperties": False}, {"type": "OBJECT"}, ()),
        ({"type": "object", "additionalProperties": TEXT}, {"type": "OBJECT"}, ("additionalProperties",)),
    ],
)
def test_googles_schemas(schema: dict[str, Any], expected: dict[str, Any], lost: tuple[str, ...]) -> None:
    """Capitals, `nullable`, no references; what cannot be said is named."""
    assert as_google_schema(schema) == (expected, lost)


def test_what_may_be_missing_and_leads_back_to_itself() -> None:
    """As OpenAPI has it: kept as a reference where there are any, else lost where it would have no end."""
    inner = {"allOf": [{"$ref": "#/$defs/A"}], "nullable": True, "description": "x"}
    own = {"type": "object", "properties": {"a": inner}}
    schema = {"allOf": [{"$ref": "#/$defs/A"}], "nullable": False, "$defs": {"A": own}}
    kept = {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], "description": "x"}
    assert as_json_schema(schema) == (
        {"$defs": {"A": {"type": "object", "properties": {"a": kept}}}, "anyOf": [{"$ref": "#/$defs/A"}]},
        (),
    )
    google = as_google_schema(schema)
    assert google.schema["properties"]["a"] == {"description": "x", "type": "OBJECT", "nullable": True}
    assert google.lost == ("$ref",)


def test_parts_that_lead_back_to_themselves() -> None:
    """What is put together of its parts has an end: a reference, and where there are none nothing of it."""
    reference = {"$ref": "#/$defs/A"}
    inner = {"allOf": [reference, reference, {"required": ["a"]}]}
    own = {"type": "object", "properties": {"a": inner}}
    once = {"type": "object", "properties": {"a": reference}, "required": ["a"]}
    assert as_json_schema({**reference, "$defs": {"A": own}}) == (
        {"$defs": {"A": {"type": "object", "properties": {"a": once}}}, **reference},
        ("allOf",),
    )
    google = as_google_schema({**reference, "$defs": {"A": own}})
    assert google.schema["properties"]["a"]["properties"]["a"] == {"type": "OBJECT"}
    assert set(google.lost) == {"$ref", "allOf"}


def test_by_generation() -> None:
    """Each gets the words it knows."""
    assert shape_of_answer(TEXT, "gemini-2.5-flash") == ({"responseJsonSchema": TEXT}, ())
    assert shape_of_answer(TEXT, "gemini-2.0-flash") == ({"responseSchema": {"type": "STRING"}}, ())
    schema = {"type": "object", "properties": {"a": TEXT}}
    assert shape_of_arguments(schema, "gemini-3.5-flash")[0] == {"parametersJsonSchema": schema}
    assert list(shape_of_arguments(schema, "gemma-3")[0]) == ["parameters"]


@pytest.mark.parametrize(
    "schema",
    [None, {}, {"type": "object"}, {"type": "object", "properties": {}, "additionalProperties": False}, 7],
)
def test_a_function_without_arguments_has_no_schema(schema: object) -> None:
    """An empty object is refused where there must be members."""
    assert shape_of_arguments(schema, "gemini-2.0-flash") == ({}, ())


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/A", "$defs": {"A": TEXT}}, {"anyOf": [TEXT]}])
def test_arguments_without_properties(schema: dict[str, Any]) -> None:
    """What says more than nothing is said."""
    assert shape_of_arguments(schema, "gemini-2.5-flash")[0] != {}


def test_references_that_double_each_other() -> None:
    """Written out they would fill the memory: it is refused."""
    defs: dict[str, Any] = {
        f"a{at}": {"properties": {side: {"$ref": f"#/$defs/a{at + 1}"} for side in "lr"}} for at in range(40)
    }
    schema = {"$ref": "#/$defs/a0", "$defs": {**defs, "a40": TEXT}}
    with pytest.raises(InvalidBody, match="too big"):
        as_google_schema(schema)
    assert as_json_schema(schema).lost == ()


ANY: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["string", "#/$defs/a", "#", "a", "object", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*RULES, *GOOGLE_RULES, "definitions", "allOf", "not", "const", "a", "exclusiveMinimum"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def words_of(schema: object, *, is_map: bool = False) -> set[str]:
    """Every word that is used as one."""
    found: set[str] = set()
    if isinstance(schema, list):
        return found.union(*map(words_of, schema)) if schema else found
    if not isinstance(schema, dict):
        return found
    for word, value in schema.items():
        if not is_map:
            found.add(word)
        if word not in ("enum", "required", "propertyOrdering", "type") or is_map:
            found |= words_of(value, is_map=not is_map and word in ("properties", "$defs"))
    return found


@given(ANY)
def test_any_schema(schema: Any) -> None:
    """Whatever comes, only words come out that Gemini knows: one more, and the whole request fails."""
    if not isinstance(schema, dict):
        return
    assert words_of(as_json_schema(schema).schema) <= set(RULES)
    assert words_of(as_google_schema(schema).schema) <= set(GOOGLE_RULES)
