"""A bounded GET, against small real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from gateway.upstream.fetch import BoundedFetch
from tests.unit.upstream.small_server import Server, answering, hanging

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=9\r\n\r\n"


@pytest.fixture
async def fetch() -> AsyncIterator[BoundedFetch]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    yield BoundedFetch(upstream.pass_on)
    await upstream.close()


async def test_an_answer(fetch: BoundedFetch) -> None:
    """Whole, with its headers, and asked without credentials."""
    async with Server(answering(HEAD + b"hello")) as server:
        found = await fetch(f"{server.url}/keys", limit_bytes=5, timeout_s=60.0)
    assert (found.status, found.body, found.headers["cache-control"]) == (200, b"hello", "max-age=9")


async def test_a_redirection(fetch: BoundedFetch) -> None:
    """Is an answer like any other: where it leads is not asked."""
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with Server(answering(head)) as server:
        assert (await fetch(server.url, limit_bytes=5, timeout_s=60.0)).status == 302


async def test_bounds(fetch: BoundedFetch) -> None:
    """Too long, too late or not there are errors of ours."""
    async with Server(answering(HEAD + b"hello")) as server:
        with pytest.raises(UpstreamBadReply, match="longer than 4 bytes"):
            await fetch(server.url, limit_bytes=4, timeout_s=60.0)
    async with Server(hanging(HEAD + b"he")) as server:
        with pytest.raises(UpstreamTimeout, match="no whole answer within"):
            await fetch(server.url, limit_bytes=5, timeout_s=0.05)
    with pytest.raises(UpstreamUnreachable):
        await fetch("http://127.0.0.1:1/keys", limit_bytes=5, timeout_s=60.0)
