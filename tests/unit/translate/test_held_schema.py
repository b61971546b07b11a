"""Schemas that Bedrock holds a model to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from gateway.translate.held_schema import ANTHROPIC, BEDROCK, Rules, fit_schema
from tests.unit.translate.foreign_streams import json_of


@pytest.mark.parametrize(
    ("schema", "expected", "lost"),
    [
        pytest.param(
            {"type": "object", "properties": {"type": {"type": "string"}}},
            {
                "type": "object",
                "properties": {"type": {"type": "string"}},
                "additionalProperties": False,
            },
            [],
            id="objects are closed",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": False},
            ["additionalProperties"],
            id="maps too, and that is told",
        ),
        pytest.param(
            {"type": ["object", "null"], "additionalProperties": True},
            {"type": ["object", "null"], "additionalProperties": False},
            [],
            id="what may be none too",
        ),
        pytest.param(
            {"type": "number", "minimum": 1, "description": "x"},
            {"type": "number", "description": "x (minimum: 1)"},
            ["minimum"],
            id="bounds are told",
        ),
        pytest.param(
            {"type": "array", "minItems": 1, "items": {"type": ["integer", "null"], "multipleOf": 2}},
            {
                "type": "array",
                "minItems": 1,
                "items": {"type": ["integer", "null"], "description": "multipleOf: 2"},
            },
            ["multipleOf"],
            id="inside of lists",
        ),
        pytest.param(
            {"anyOf": [{"type": "array", "minItems": 2, "maxItems": 4}, True]},
            {"anyOf": [{"type": "array", "description": "maxItems: 4, minItems: 2"}, True]},
            ["maxItems", "minItems"],
            id="inside of choices",
        ),
        pytest.param(
            {"type": "object", "properties": {"minimum": {"type": "string", "enum": [{"type": "object"}]}}},
            {
                "type": "object",
                "properties": {"minimum": {"type": "string", "enum": [{"type": "object"}]}},
                "additionalProperties": False,
            },
            [],
            id="names and values are none",
        ),
        pytest.param(
            {"type": ["object", "null"]},
            {"type": ["object", "null"], "additionalProperties": False},
            [],
            id="objects or nothing",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"type": "object", "additionalProperties": False},
            ["additionalProperties"],
            id="a map",
        ),
        pytest.param(
            {"type": "string", "maxLength": 5, "minLength": 1, "pattern": "a"},
            {"type": "string", "pattern": "a", "description": "minLength: 1, maxLength: 5"},
            ["minLength", "maxLength"],
            id="texts",
        ),
    ],
)
def test_fitted(schema: dict[str, Any], expected: dict[str, Any], lost: list[str]) -> None:
    """What Bedrock refuses is told in words, and named."""
    before = json.dumps(schema)
    assert fit_schema(schema, BEDROCK) == (expected, lost)
    assert json.dumps(schema) == before, "the caller's own was changed"


@pytest.mark.parametrize(
    ("schema", "expected", "lost"),
    [
        pytest.param(
            {"type": "string", "maxLength": 5, "format": "email", "pattern": "^a"},
            {"type": "string", "format": "email", "pattern": "^a", "description": "maxLength: 5"},
            ["maxLength"],
            id="texts",
        ),
        pytest.param(
            {"type": ["string", "null"], "format": "path"},
            {"type": ["string", "null"], "description": "format: path"},
            ["format"],
            id="formats that it does not know",
        ),
        pytest.param(
            {"type": "array", "uniqueItems": True, "items": {"type": "integer", "minimum": 0}},
            {
                "type": "array",
                "items": {"type": "integer", "description": "minimum: 0"},
                "description": "uniqueItems: True",
            },
            ["uniqueItems", "minimum"],
            id="lists",
        ),
        pytest.param(
            {"type": "object", "minProperties": 1},
            {"type": "object", "additionalProperties": False, "description": "minProperties: 1"},
            ["minProperties"],
            id="objects",
        ),
    ],
)
def test_fitted_for_anthropic(schema: dict[str, Any], expected: dict[str, Any], lost: list[str]) -> None:
    """Anthropic refuses more than Bedrock does."""
    assert fit_schema(schema, ANTHROPIC) == (expected, lost)


@pytest.mark.parametrize("rules", [ANTHROPIC, BEDROCK])
@given(
    schema=json_of(
        "type", "object", "array", "number", "properties", "items", "minimum", "minItems", "$defs", "anyOf"
    )
)
def test_any_schema(rules: Rules, schema: Any) -> None:
    """Whatever it is, it is fitted, and fitting it again changes nothing."""
    if isinstance(schema, dict):
        fitted, _ = fit_schema(schema, rules)
        again, lost = fit_schema(fitted, rules)
        assert lost == []
        assert json.dumps(again, sort_keys=True) == json.dumps(fitted, sort_keys=True)
