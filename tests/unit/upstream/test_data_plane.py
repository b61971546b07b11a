"""Calls of our own data plane."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gateway.tls_files import TlsFiles, make_server_context
from gateway.upstream.data_plane import DataPlaneAway, DataPlaneLine
from tests.rig.certificates import Authority


async def test_nobody_there_is_told() -> None:
    """By its own error, without an address in it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        line = DataPlaneLine(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DataPlaneAway, match="cannot be reached"):
            async with line.call("GET", "/v1/models", {}, None):
                pass
        await line.close()


async def test_a_call_and_its_end() -> None:
    """Status, headers and parts come as they are; leaving the block ends the connection."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 201 Created\r\nX-Told: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        line = DataPlaneLine(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with line.call("POST", "/v1/chat/completions", {"a": "b"}, b"") as answer:
            assert (answer.status, answer.headers["x-told"]) == (201, "a")
            assert await anext(answer.parts) == b"abc"
        await asyncio.wait_for(ended.wait(), 60.0)
        await line.close()


async def test_over_tls(tmp_path: Path) -> None:
    """A certificate that is the data plane's own is trusted, whatever name it is for; another is not."""
    authority = Authority(tmp_path)
    ours, theirs = TlsFiles(None, *authority.write("ours")), TlsFiles(None, *authority.write("theirs"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=make_server_context(ours)) as server:
        origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        line = DataPlaneLine(origin, ours)
        async with line.call("GET", "/v1/models", {}, None) as answer:
            assert await anext(answer.parts) == b"ok"
        await line.close()
        line = DataPlaneLine(origin, theirs)
        with pytest.raises(DataPlaneAway, match="cannot be reached"):
            async with line.call("GET", "/v1/models", {}, None):
                pass
        await line.close()
