"""The model list in OpenAI's shape.

Shape: https://platform.openai.com/docs/api-reference/models/list
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec


class _Item(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[msgspec.Raw]


_items: Final = msgspec.json.Decoder(_Item)
_lists: Final = msgspec.json.Decoder(_List)


def model_list(names: Iterable[str], *, created: int) -> bytes:
    """The body of `GET /v1/models`.

    Args:
        names: `<account>/<integration>`, in the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    data = [
        {"id": name, "object": "model", "created": created, "owned_by": name.partition("/")[0]}
        for name in names
    ]
    return msgspec.json.encode({"object": "list", "data": data})


def find_model(models: bytes, name: str) -> bytes | None:
    """The body of `GET /v1/models/{name}` out of that of the list, None when *name* is not in it."""
    for item in _lists.decode(models).data:
        if _items.decode(item).id == name:
            return bytes(item)
    return None
