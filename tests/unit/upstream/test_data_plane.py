"""Calls of our own data plane."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.upstream.data_plane import DataPlaneAway, DataPlaneLine


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
        await asyncio.wait_for(ended.wait(), 10.0)
        await line.close()
