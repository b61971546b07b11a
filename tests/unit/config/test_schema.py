"""The schema for editors says what loads, and what each field is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE
from gateway.config.schema import json_schema, schema_of
from tests.unit.config.test_truefoundry_examples import DOCUMENTS
from tests.unit.config.writing import ACCOUNT, CALLER

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_it_is_a_schema() -> None:
    """Valid by its own dialect, and plain JSON."""
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize(
    "document",
    [*DOCUMENTS, yaml.safe_load(ACCOUNT), yaml.safe_load(CALLER)],
    ids=lambda document: f"{document['type']} {document['name']}",
)
def test_what_loads_is_valid(document: dict[str, Any]) -> None:
    """Every example of every type."""
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        pytest.param("{type: virtual-account, name: a, models: }", True, id="null is not written"),
        pytest.param(
            "{type: virtual-account, name: a, zzz: 1}", True, id="an unknown field is only a warning"
        ),
        pytest.param(
            "{type: gateway-global-settings, retry_settings: {attempts: 1, on_status_codes: ['503', 429]}}",
            True,
            id="status codes",
        ),
        pytest.param(
            "{type: gateway-global-settings, retry_settings: {attempts: 1, on_status_codes: ['5xx']}}",
            False,
            id="no status code",
        ),
        pytest.param("{type: virtual-account}", False, id="no name"),
        pytest.param("{type: virtual-account, name: a, models: '*'}", False, id="no list"),
        pytest.param("{type: virtual-acount, name: a}", False, id="unknown type"),
        pytest.param("{name: a}", False, id="no type"),
    ],
)
def test_what_it_accepts_and_refuses(text: str, *, is_valid: bool) -> None:
    """As the check does."""
    assert VALIDATOR.is_valid(yaml.safe_load(text)) is is_valid


def test_every_type_is_in_it() -> None:
    """In force or not."""
    references = [reference["$ref"].rpartition("/")[2] for reference in SCHEMA["oneOf"]]
    assert len(references) == len(IN_FORCE) + 1
    consts = {SCHEMA["$defs"][name]["properties"]["type"].get("const") for name in references[:-1]}
    assert consts == set(IN_FORCE)
    assert set(SCHEMA["$defs"]["NotInForce"]["properties"]["type"]["enum"]) == NOT_IN_FORCE


def fields(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in schema["$defs"].items():
        for key, field in definition.get("properties", {}).items():
            yield f"{name}.{key}", field


def test_every_field_is_described() -> None:
    """Itself or by what it refers to; but for tags, and the value of a cost, which say themselves."""
    silent = [
        name for name, field in fields(SCHEMA) if "description" not in field and "$ref" not in str(field)
    ]
    assert {name.rpartition(".")[2] for name in silent} <= {"type", "metric", "value", "name"}
    assert [name for name in silent if name.endswith(".name")] == ["NotInForce.name"]


def test_it_has_no_example_of_a_secret() -> None:
    """Nothing to copy and forget."""
    for name, field in fields(SCHEMA):
        assert "examples" not in field, name
        is_path = str(field.get("default")).startswith("/var/run/")
        assert "default" not in field or "secret" not in str(field["default"]).lower() or is_path, name


def test_one_type() -> None:
    """Its own fields, with what they are for, and null where one may be left out."""
    schema = schema_of("gateway-rate-limiting-config")
    assert schema is not None
    assert schema["properties"]["rules"]["description"]
    Draft202012Validator.check_schema(schema)
    assert schema_of("alert-config") is None
