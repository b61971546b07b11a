"""The model list as Anthropic's SDKs read it."""

from __future__ import annotations

import json

from gateway.endpoints.anthropic_models import anthropic_model_list


def test_list() -> None:
    """One page with every model."""
    assert json.loads(anthropic_model_list(["a/b", "a/c"], created=1_700_000_000)) == {
        "data": [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2023-11-14T22:13:20Z",
            }
            for name in ("a/b", "a/c")
        ],
        "has_more": False,
        "first_id": "a/b",
        "last_id": "a/c",
    }


def test_nothing_to_list() -> None:
    """No models are no ids."""
    assert json.loads(anthropic_model_list([], created=0)) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
