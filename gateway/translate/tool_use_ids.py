"""Ids of tool calls in the letters that Anthropic takes; the same for a call and for its result."""

from __future__ import annotations

import re
import zlib
from typing import Final

_NOT_TAKEN: Final = re.compile(r"[^a-zA-Z0-9_-]")


def tool_use_id(call_id: str) -> str:
    """*call_id*, kept but for what Anthropic does not take in one.

    What differed before differs then too, by a checksum: `a.b` and `a:b` are two calls.
    """
    kept, replaced = _NOT_TAKEN.subn("_", call_id)
    return f"{kept}_{zlib.crc32(call_id.encode(errors='replace')):08x}" if replaced else kept
