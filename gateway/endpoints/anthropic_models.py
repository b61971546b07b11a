"""The model list in Anthropic's shape, on one page.

Shape: https://docs.claude.com/en/api/models-list
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec


def anthropic_model_list(names: Iterable[str], *, created: int) -> bytes:
    """The body of `GET /v1/models` for Anthropic's SDKs.

    Args:
        names: `<account>/<integration>`, in the order to list.
        created: Unix time in seconds, the same for all: when this configuration was loaded.
    """
    created_at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    data = [{"type": "model", "id": name, "display_name": name, "created_at": created_at} for name in names]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return msgspec.json.encode({"data": data, "has_more": False, "first_id": first, "last_id": last})
