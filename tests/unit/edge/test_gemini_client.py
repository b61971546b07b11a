"""The caller's end in Google's dialect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.edge.gemini_client import GeminiAsgiClient
from gateway.edge.lifecycle import Lifecycle
from gateway.edge.lookout import Lookout

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/gemini/main/proxy/v1beta/files",
    "scheme": "http",
    "headers": [],
    "server": ("127.0.0.1", "8787"),
    "client": ("192.0.2.7", 5),
}


async def _never(*_: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("query", "key", "signature", "rest"),
    [
        (b"key=abc&alt=sse", "abc", "", "alt=sse"),
        (b"alt=sse", "", "", "alt=sse"),
        (b"upload_id=1&tfySigned=s.1.2", "", "s.1.2", "upload_id=1"),
    ],
)
async def test_query(query: bytes, key: str, signature: str, rest: str) -> None:
    """What signs the caller in is to be had, and not in what goes on."""
    lookout = Lookout(asyncio.get_running_loop())
    scope = {**SCOPE, "query_string": query}
    client = GeminiAsgiClient(scope, _never, _never, lookout=lookout, route="/r", lifecycle=Lifecycle())
    assert (client.key, client.signature, client.query) == (key, signature, rest)
