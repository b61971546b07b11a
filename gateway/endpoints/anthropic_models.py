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

    `model_types` and `price` are more than Anthropic's; what is not known is left out.

    Args:
        models: In the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    created_at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = [_model(target, created_at) for target in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return msgspec.json.encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _model(target: Target | ListedModel, created_at: str) -> dict[str, Any]:
    model: dict[str, Any] = {
        "type": "model",
        "id": target.name,
        "display_name": target.name,
        "created_at": created_at,
        "lifecycle": "active",
    }
    if target.context_window is not None:
        model["max_input_tokens"] = target.context_window
    if target.model_types:
        model["model_types"] = sorted(target.model_types)
    if target.price is not None:
        model["price"] = target.price.shown()
    return model
