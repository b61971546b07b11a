"""The model list in OpenAI's shape."""

from __future__ import annotations

import json

from gateway.endpoints.openai_models import find_model, model_list


def test_model_list() -> None:
    """Each model is listed under its full name, owned by its account, in the order given."""
    assert json.loads(model_list(["b/x/y", "a/grün"], created=7)) == {
        "object": "list",
        "data": [
            {"id": "b/x/y", "object": "model", "created": 7, "owned_by": "b"},
            {"id": "a/grün", "object": "model", "created": 7, "owned_by": "a"},
        ],
    }


def test_no_models() -> None:
    """A caller without models gets an empty list, not an error."""
    assert json.loads(model_list([], created=7)) == {"object": "list", "data": []}


def test_one_model() -> None:
    """As it stands in the list, or not at all."""
    models = model_list(["b/x/y", "a/grün"], created=7)
    found = find_model(models, "a/grün")
    assert found is not None
    assert json.loads(found) == json.loads(models)["data"][1]
    assert find_model(models, "a") is None
