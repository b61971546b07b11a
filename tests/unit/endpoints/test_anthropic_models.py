"""The model list as Anthropic's SDKs read it."""

from __future__ import annotations

import json

from gateway.endpoints.anthropic_models import anthropic_model_list
from gateway.model import ListedModel
from tests.unit.makers import TokenPrice, make_target

TARGETS = [make_target(name, model_types=frozenset()) for name in ("a/b", "a/c")]


def test_list() -> None:
    """One page with every model."""
    assert json.loads(anthropic_model_list(TARGETS, created=1_700_000_000)) == {
        "data": [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2023-11-14T22:13:20Z",
                "lifecycle": "active",
            }
            for name in ("a/b", "a/c")
        ],
        "has_more": False,
        "first_id": "a/b",
        "last_id": "a/c",
    }


def test_what_is_known() -> None:
    """The window under Anthropic's name, types and price under ours."""
    target = make_target(context_window=200_000, model_types=frozenset({"chat"}), price=TokenPrice())
    (model,) = json.loads(anthropic_model_list([target], created=0))["data"]
    assert (model["max_input_tokens"], model["model_types"]) == (200_000, ["chat"])
    assert model["price"] == TokenPrice().shown()


def test_virtual_models() -> None:
    """Under the full name, with the others beside it."""
    virtual = ListedModel("vm/chat", "vm", frozenset(), ("chat",))
    (model,) = json.loads(anthropic_model_list([virtual], created=0))["data"]
    assert (model["id"], model["aliases"]) == ("vm/chat", ["chat"])


def test_nothing_to_list() -> None:
    """No models are no ids."""
    assert json.loads(anthropic_model_list([], created=0)) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
