"""The model list in OpenAI's shape.

Shape: https://platform.openai.com/docs/api-reference/models/list
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


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
