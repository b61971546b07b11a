"""HTTP replies: as h11 reads them, and over connections that are used again."""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import GatewayError
from gateway.model import Passage, UpstreamReply
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from gateway.wire.http1 import MAX_BARREN_BYTES
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target
from tests.unit.upstream.small_server import ask
from tests.unit.wire.test_http1 import CHUNKED, WHOLE, Result, assert_read_as_by_h11, our_result

_SECOND: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond"
_WORDS: Final = (
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 ",
        b"content-length: ",
        b"transfer-encoding: chunked\r\n",
        b"\r\n\r\n",
    ),
    *(
        b"connection: close\r\n",
        b"connection: keep-alive\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"0\r\n\r\n",
    ),
)


@contextlib.contextmanager
def _reading() -> Iterator[Check]:
    yield _check_reading


def _check_reading(data: bytes) -> None:
    assert_read_as_by_h11(Draw(data).pieces())


@dataclass
class _Provider:
    """Answers the first request of each input with what it says, every later one well.

    Attributes:
        pieces: The first answer.
        closes: Nothing comes after it.
        is_early: It comes when the head of the request is there, and not its body.
        requests: Body of each that came whole.
        connections: How many were made.
    """

    pieces: list[bytes] = field(default_factory=list)
    closes: bool = True
    is_early: bool = False
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                is_early = self.is_early and bool(self.pieces)
                if not is_early:
                    self.requests.append(await _body_of(head, reader))
                pieces, self.pieces = self.pieces, []
                for piece in pieces or [_SECOND]:
                    writer.write(piece)
                    await writer.drain()
                if pieces and self.closes:
                    break
                if is_early:
                    self.requests.append(await _body_of(head, reader))
        writer.close()


async def _body_of(head: bytes, reader: asyncio.StreamReader) -> bytes:
    """The body of a request that is framed as we frame it."""
    lines = head.split(b"\r\n")
    if b"transfer-encoding: chunked" not in lines:
        lengths = [
            int(line.removeprefix(b"content-length: ")) for line in lines if b"content-length: " in line
        ]
        return await reader.readexactly(sum(lengths))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += await reader.readexactly(size)
        assert await reader.readexactly(2) == b"\r\n"
    assert await reader.readexactly(2) == b"\r\n"
    return body


class _Source:
    """A body that is sent while it comes; who sends it stays."""

    def __init__(self, pieces: Sequence[bytes], length: int | None) -> None:
        self._pieces = list(pieces)
        self.length = length

    async def read_piece(self) -> bytes:
        await asyncio.sleep(0)
        return self._pieces.pop(0) if self._pieces else b""

    async def until_gone(self) -> None:
        await asyncio.Event().wait()


class _Way(enum.IntEnum):
    """How a reply is asked for, and read."""

    WHOLE = 0
    IN_TIME = 1
    PIECE_BY_PIECE = 2
    SHORT = 3
    LEFT = 4
    FINISHED = 5
    PASSED = 6
    PASSED_AT_LENGTH = 7
    PASSED_IN_CHUNKS = 8


_MOST: Final = 20
_MUCH: Final = b"~" * 40_000
"""What one such byte stands for: more than is taken of a provider while its reader is busy."""

_NEVER_S: Final = 600.0
"""The process may be stopped for a while; libFuzzer notices what hangs."""

_SENT: Final = ((b'{"a":', b"1}"), (b"x" * 70_000, b"y" * 300_000))


class _Caller:
    """Makes exchanges one way or another."""

    def __init__(self, upstream: Upstream, url: str) -> None:
        self._upstream = upstream
        self._url = url

    async def exchange(self, way: _Way, sent: tuple[bytes, ...]) -> tuple[int, bytes] | None:
        """Status and body of the reply, None where there was none that is whole."""
        try:
            reply = await self._ask(way, sent)
        except GatewayError:
            return None
        try:
            return reply.status, await _read(reply, way)
        except GatewayError:
            return None
        finally:
            reply.close()

    async def _ask(self, way: _Way, sent: tuple[bytes, ...]) -> UpstreamReply:
        body = b"".join(sent)
        match way:
            case _Way.PASSED:
                return await self._upstream.pass_on(
                    Passage("PUT", self._url, [("x-own", "1")], body, _NEVER_S)
                )
            case _Way.PASSED_AT_LENGTH:
                return await self._upstream.pass_on(Passage("PUT", self._url, [], _Source(sent, len(body))))
            case _Way.PASSED_IN_CHUNKS:
                return await self._upstream.pass_on(
                    Passage("PUT", self._url, [], _Source(sent, None), _NEVER_S)
                )
            case _:
                timeout_s = _NEVER_S if way is _Way.IN_TIME else None
                return await self._upstream.exchange(ask(self._url, body=body, timeout_s=timeout_s))


async def _read(reply: UpstreamReply, way: _Way) -> bytes:
    match way:
        case _Way.PIECE_BY_PIECE | _Way.PASSED_IN_CHUNKS:
            body = b""
            while data := await reply.read_chunk():
                body += data
            return body
        case _Way.SHORT:
            return await reply.read(_MOST)
        case _Way.LEFT:
            return b""
        case _Way.FINISHED:
            body = await reply.read_chunk()
            await reply.finish()
            return body
        case _:
            return await reply.read(1_000_000)


@contextlib.contextmanager
def _exchanging() -> Iterator[Check]:
    with asyncio.Runner() as runner:
        provider = _Provider()
        server = runner.run(asyncio.start_server(provider.serve, "127.0.0.1", 0))
        upstream = Upstream(Proxies({}), stale_within_s=_NEVER_S)
        runner.run(upstream.open())
        caller = _Caller(upstream, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

        def check(data: bytes) -> None:
            draw = Draw(data)
            way, sent = draw.choice(tuple(_Way)), draw.choice(_SENT)
            provider.is_early = draw.number(4) == 1
            leaves = draw.number(4) == 1
            provider.pieces = [piece.replace(b"~", _MUCH, 2) for piece in draw.pieces() if piece]
            wire = b"".join(provider.pieces)
            expected = our_result([wire]) if wire else None
            # What is not whole would be waited for, so its connection ends.
            provider.closes = leaves or expected is None or not expected.keeps_alive
            is_told = bool(provider.pieces)
            provider.requests.clear()
            found = runner.run(caller.exchange(way, sent))
            assert not provider.pieces, "the provider was not asked"
            assert all(body == b"".join(sent) for body in provider.requests)
            if is_told:
                # Who answers early and leaves may take back what was sent; what is not body may not go on for
                # ever, and how much of it comes in a row depends on how it is cut.
                is_sure = not provider.is_early and (
                    expected is None or len(wire) - len(expected.body) < MAX_BARREN_BYTES
                )
                _check_found(found, expected, way, is_sure=is_sure)
            # Nothing of the first answer may be taken for the second.
            assert runner.run(caller.exchange(_Way.WHOLE, (b"2",))) == (200, b"second")
            assert provider.requests[-1] == b"2"

        yield check
        runner.run(upstream.close())
        server.close()
        runner.run(server.wait_closed())


def _check_found(
    found: tuple[int, bytes] | None, expected: Result | None, way: _Way, *, is_sure: bool
) -> None:
    """A whole reply is what the parser alone reads, and what is no reply is none."""
    if way in (_Way.LEFT, _Way.FINISHED):
        # The head is enough.
        assert expected is None or found is None or found[0] == expected.status
        assert expected is None or found is None or expected.body.startswith(found[1])
        assert found is not None or expected is None or not is_sure, expected
    elif expected is None or (way is _Way.SHORT and len(expected.body) > _MOST):
        assert found is None, found
    elif found is not None or is_sure:
        assert found == (expected.status, expected.body), found


_WIRES: Final = (
    *(WHOLE, CHUNKED, WHOLE + WHOLE, WHOLE[:-1], b"HTTP/1.1 204 No Content\r\n\r\n"),
    *(b"HTTP/1.1 400 No\r\ncontent-length: 1\r\n\r\n!", b"HTTP/1.0 200 OK\r\n\r\nuntil the end"),
    b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    b"HTTP/1.1 200 OK\r\nx: \x01\r\ny:\r\n b\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n~~~~",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9c40\r\n~\r\n9c40\r\n~\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 40\r\n\r\n" + b"z" * 40,
)


def _seeds() -> Iterable[bytes]:
    for wire in _WIRES:
        yield b"\x00" + wire
        yield b"\x02\x00\x09\x00\x2a" + wire


def _exchange_seeds() -> Iterable[bytes]:
    for number, seed in enumerate(_seeds()):
        for way in _Way:
            yield bytes((way, way % 2, way % 3, number % 4)) + seed


REPLIES: Final = Target("replies", _reading, _seeds, _WORDS)
EXCHANGES: Final = Target(
    "exchanges", _exchanging, _exchange_seeds, (*_WORDS, b"9c40\r\n~\r\n", b"content-length: 40000\r\n\r\n~")
)
