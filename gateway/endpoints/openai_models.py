"""The model list in OpenAI's shape.

Shape: https://platform.openai.com/docs/api-reference/models/list
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.model import ListedModel, Target


class _Item(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_items: Final = msgspec.json.Decoder(_Item)
_lists: Final = msgspec.json.Decoder(_List)


def model_list(models: Iterable[Target | ListedModel], *, created: int) -> bytes:
    """The body of `GET /v1/models`.

    `model_types`, `context_window` and `price` are more than OpenAI's; one that is not known is left out.

    Args:
        models: In the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    data = [_model(target, created) for target in models]
    return msgspec.json.encode({"object": "list", "data": data})


def _model(target: Target | ListedModel, created: int) -> dict[str, Any]:
    model: dict[str, Any] = {
        "id": target.name,
        "object": "model",
        "created": created,
        "owned_by": target.account,
    }
    if target.model_types:
        model["model_types"] = sorted(target.model_types)
    if target.context_window is not None:
        model["context_window"] = target.context_window
    if target.price is not None:
        model["price"] = target.price.shown()
    return model


def find_model(models: bytes, name: str) -> bytes | None:
    """The body of `GET /v1/models/{name}` out of that of the list, None when *name* is not in it."""
    for item in _lists.decode(models).data:
        if _items.decode(item).id == name:
            return bytes(item)
    return None
