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
    aliases: tuple[str, ...] = ()


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_items: Final = msgspec.json.Decoder(_Item)
_lists: Final = msgspec.json.Decoder(_List)


def model_list(models: Iterable[Target | ListedModel], *, created: int) -> bytes:
    """The body of `GET /v1/models`.

    `aliases`, `model_types`, `context_window` and `price` are more than OpenAI's; what is not known is left
    out.

    Args:
        models: In the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    data = [_model(model, created) for model in models]
    return msgspec.json.encode({"object": "list", "data": data})


def _model(model: Target | ListedModel, created: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": model.name,
        "object": "model",
        "created": created,
        "owned_by": model.account,
    }
    if isinstance(model, ListedModel) and model.other_names:
        item["aliases"] = model.other_names
    if model.model_types:
        item["model_types"] = sorted(model.model_types)
    if model.context_window is not None:
        item["context_window"] = model.context_window
    if model.price is not None:
        item["price"] = model.price.shown()
    return item


def find_model(models: bytes, name: str) -> bytes | None:
    """The body of `GET /v1/models/{name}` out of that of the list, None when no model in it has that name."""
    for item in _lists.decode(models).data:
        model = _items.decode(item)
        if name == model.id or name in model.aliases:
            return bytes(item)
    return None
