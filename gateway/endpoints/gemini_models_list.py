"""The model list in the shape of Google's Gemini API, on one page.

Shape: https://ai.google.dev/api/models
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.model import ListedModel, Target


def gemini_model_list(models: Iterable[Target | ListedModel]) -> bytes:
    """The body of `GET /v1beta/models` for who may use these and not the account as a whole."""
    return msgspec.json.encode({"models": [_model(model, model.name.partition("/")[2]) for model in models]})


def gemini_model(model: ListedModel, name: str) -> bytes:
    """The body of `GET /v1beta/models/{name}` of a model that Google does not know."""
    return msgspec.json.encode(_model(model, name))


def _model(listed: Target | ListedModel, name: str) -> dict[str, Any]:
    model: dict[str, Any] = {"name": f"models/{name}", "displayName": name}
    if listed.context_window is not None:
        model["inputTokenLimit"] = listed.context_window
    return model
