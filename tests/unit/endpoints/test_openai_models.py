"""The model list in OpenAI's shape."""

from __future__ import annotations

import json

from gateway.endpoints.openai_models import find_model, model_list
from gateway.model import ListedModel
from tests.unit.makers import TokenPrice, make_target


def test_model_list() -> None:
    """Each model is listed under its full name, owned by its account, in the order given."""
    targets = [make_target(name, model_types=frozenset()) for name in ("b/x/y", "a/grün")]
    assert json.loads(model_list(targets, created=7)) == {
        "object": "list",
        "data": [
            {"id": "b/x/y", "object": "model", "created": 7, "owned_by": "b"},
            {"id": "a/grün", "object": "model", "created": 7, "owned_by": "a"},
        ],
    }


def test_what_is_known_of_a_model() -> None:
    """Its types in order, its context window and its price stand beside OpenAI's fields."""
    target = make_target(
        "a/b", model_types=frozenset({"embedding", "chat"}), price=TokenPrice(), context_window=128_000
    )
    [model] = json.loads(model_list([target], created=7))["data"]
    assert model == {
        "id": "a/b",
        "object": "model",
        "created": 7,
        "owned_by": "a",
        "model_types": ["chat", "embedding"],
        "context_window": 128_000,
        "price": {"currency": "USD", "input": 1, "output": 2},
    }


def test_no_models() -> None:
    """A caller without models gets an empty list, not an error."""
    assert json.loads(model_list([], created=7)) == {"object": "list", "data": []}


def test_one_model() -> None:
    """As it stands in the list, or not at all."""
    models = model_list([make_target("b/x/y"), make_target("a/grün")], created=7)
    found = find_model(models, "a/grün")
    assert found is not None
    assert json.loads(found) == json.loads(models)["data"][1]
    assert find_model(models, "a") is None


def test_virtual_models() -> None:
    """Under the full name, with the others beside it; each of them finds it."""
    virtual = ListedModel("vm/chat", "vm", frozenset({"chat"}), ("chat", "old/chat"), 1000)
    models = model_list([make_target("a/b"), virtual], created=7)
    assert json.loads(models)["data"][1] == {
        "id": "vm/chat",
        "object": "model",
        "created": 7,
        "owned_by": "vm",
        "aliases": ["chat", "old/chat"],
        "model_types": ["chat"],
        "context_window": 1000,
    }
    found = [find_model(models, name) for name in ("vm/chat", "chat", "old/chat")]
    assert found == [found[0]] * 3
    assert found[0] is not None
