"""The model list in Anthropic's shape, on one page.

Shape: https://docs.claude.com/en/api/models-list
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.model import ListedModel, Target


def anthropic_model_list(models: Iterable[Target | ListedModel], *, created: int) -> bytes:
    """The body of `GET /v1/models` for Anthropic's SDKs.

    `aliases`, `model_types` and `price` are more than Anthropic's; what is not known is left out.

    Args:
        models: In the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    created_at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = [_model(model, created_at) for model in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return msgspec.json.encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _model(model: Target | ListedModel, created_at: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": created_at,
        "lifecycle": "active",
    }
    if isinstance(model, ListedModel) and model.other_names:
        item["aliases"] = model.other_names
    if model.context_window is not None:
        item["max_input_tokens"] = model.context_window
    if model.model_types:
        item["model_types"] = sorted(model.model_types)
    if model.price is not None:
        item["price"] = model.price.shown()
    return item
