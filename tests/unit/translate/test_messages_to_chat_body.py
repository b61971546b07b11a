"""The bodies of Messages for OpenAI; what becomes of each field is in tests/golden/messages_to_chat."""

from __future__ import annotations

import pytest

from gateway.translate.messages_to_chat_body import _is_strict

CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (CLOSED, True),
        ({"type": "string"}, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "array", "items": {**CLOSED, "required": None}}, False),
        ({"anyOf": [CLOSED, {**CLOSED, "required": []}]}, False),
    ],
)
def test_strict_schemas(schema: object, *, expected: bool) -> None:
    """OpenAI takes a schema as strict only when every object in it is closed and wants all its members."""
    assert _is_strict(schema) is expected
