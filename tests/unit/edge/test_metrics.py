"""Asking the control plane for its metrics."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.edge import metrics
from gateway.edge.metrics import ControlAwayError, ControlMetrics
from gateway.tls_files import TlsFiles, make_server_context
from tests.rig.certificates import Authority


@asynccontextmanager
async def control(answer: bytes | None, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port that gives *answer*, None to stay silent; what it was asked must be well formed."""
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"GET /metrics HTTP/1.0\r\n")
        if answer is None:
            await released.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        released.set()
        server.close()
        await server.wait_closed()


async def test_over_tls(tmp_path: Path) -> None:
    """A certificate that is control's own is trusted, whatever name it is for; another is not."""
    authority = Authority(tmp_path)
    ours, theirs = TlsFiles(None, *authority.write("ours")), TlsFiles(None, *authority.write("theirs"))
    async with control(b"HTTP/1.1 200 OK\r\n\r\na 1\n", make_server_context(ours)) as port:
        assert await ControlMetrics("127.0.0.1", port, tls=ours).text() == b"a 1\n"
        with pytest.raises(ControlAwayError):
            await ControlMetrics("127.0.0.1", port, tls=theirs).text()


async def test_text_of_control() -> None:
    """The body, whatever host control is bound to."""
    async with control(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\na 1\nb 2\n") as port:
        assert await ControlMetrics("127.0.0.1", port).text() == b"a 1\nb 2\n"
        assert await ControlMetrics("0.0.0.0", port).text() == b"a 1\nb 2\n"


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 503 Unavailable\r\n\r\n# x", b"", b"garbage 200", b"HTTP/1.1 2000 x\r\n\r\n"],
    ids=["503", "empty", "garbage", "2000"],
)
async def test_anything_but_a_success_is_none(answer: bytes) -> None:
    """No half or foreign text is passed on."""
    async with control(answer) as port:
        with pytest.raises(ControlAwayError):
            await ControlMetrics("127.0.0.1", port).text()


async def test_a_silent_control_is_away() -> None:
    """A scrape waits a moment, not for ever."""
    async with control(None) as port:
        with pytest.raises(ControlAwayError):
            await ControlMetrics("127.0.0.1", port, timeout_s=0.05).text()


async def test_no_control_is_away(unused_tcp_port: int) -> None:
    """Nobody listens."""
    with pytest.raises(ControlAwayError):
        await ControlMetrics("127.0.0.1", unused_tcp_port).text()


async def test_too_much_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's memory is bounded, whoever answers on that port."""
    monkeypatch.setattr(metrics, "_MAX_BYTES", 10)
    async with control(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100) as port:
        with pytest.raises(ControlAwayError):
            await ControlMetrics("127.0.0.1", port).text()
