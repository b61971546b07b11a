"""The model list in the shape of Google's Gemini API, on one page.

Shape: https://ai.google.dev/api/models
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.model import Target


def gemini_model_list(targets: Iterable[Target]) -> bytes:
    """The body of `GET /v1beta/models` for who may use these and not the account as a whole."""
    return msgspec.json.encode({"models": [_model(target) for target in targets]})


def _model(target: Target) -> dict[str, Any]:
    name = target.name.partition("/")[2]
    model: dict[str, Any] = {"name": f"models/{name}", "displayName": name}
    if target.context_window is not None:
        model["inputTokenLimit"] = target.context_window
    return model
