"""The JSON Schema of a manifest, for editors (`gateway schema > manifests.schema.json`).

It says what loads, so it does not refuse unknown fields: these are warnings. What holds between fields and
manifests is `check-config`'s to say.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic.json_schema import models_json_schema

from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """One schema: a manifest is of a type in force, or of one that loads and waits for its feature."""
    pairs, whole = models_json_schema([(model, "validation") for model in IN_FORCE.values()])
    definitions = whole["$defs"]
    for definition in definitions.values():
        _allow_null(definition)
    definitions["NotInForce"] = {
        "title": "Not in force yet",
        "description": "Loads and has no effect yet; with --strict an error.",
        "type": "object",
        "properties": {"type": {"enum": sorted(NOT_IN_FORCE)}, "name": {"type": "string"}},
        "required": ["type"],
    }
    references = [pairs[model, "validation"] for model in IN_FORCE.values()]
    return {
        "$schema": _DIALECT,
        "title": "Gateway manifest",
        "description": "One manifest of the gateway; `type` says which.",
        "oneOf": [*references, {"$ref": "#/$defs/NotInForce"}],
        "$defs": definitions,
    }


def schema_of(kind: str) -> dict[str, Any] | None:
    """That of one type; None where there is no such type, or its feature is not built."""
    model = IN_FORCE.get(kind)
    if model is None:
        return None
    schema = model.model_json_schema()
    for definition in (schema, *schema.get("$defs", {}).values()):
        _allow_null(definition)
    return {"$schema": _DIALECT, **schema}


def _allow_null(definition: dict[str, Any]) -> None:
    """`null` is the same as leaving a field out, which the models' own types do not say."""
    required = definition.get("required", [])
    for name, field in definition.get("properties", {}).items():
        field.pop("title", None)  # pydantic's, made of the name
        choices = field.get("anyOf", [])
        if name in required or {"type": "null"} in choices:
            continue
        shown = {key: field.pop(key) for key in ("description", "default") if key in field}
        definition["properties"][name] = {**shown, "anyOf": [dict(field), {"type": "null"}]}
