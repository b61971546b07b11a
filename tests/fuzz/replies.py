"""HTTP replies: as h11 reads them, and over connections that are used again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.errors import GatewayError
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target
from tests.unit.upstream.small_server import ask
from tests.unit.wire.test_http1 import CHUNKED, WHOLE, assert_read_as_by_h11, our_result

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


class _Provider:
    """Answers the first request of each input with what it says, every later one well."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closes = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                pieces, self.pieces = self.pieces, []
                for piece in pieces or [_SECOND]:
                    writer.write(piece)
                    await writer.drain()
                if pieces and self.closes:
                    break
        writer.close()


@contextlib.contextmanager
def _exchanging() -> Iterator[Check]:
    with asyncio.Runner() as runner:
        provider = _Provider()
        server = runner.run(asyncio.start_server(provider.serve, "127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        upstream = Upstream(Proxies({}))
        runner.run(upstream.open())

        async def exchange() -> tuple[int, bytes] | None:
            try:
                reply = await upstream.exchange(ask(url, timeout_s=5))
            except GatewayError:
                return None
            try:
                return reply.status, await reply.read(1_000_000)
            except GatewayError:
                return None
            finally:
                reply.close()

        def check(data: bytes) -> None:
            draw = Draw(data)
            # What is not whole would be waited for, so its connection ends.
            provider.closes = True
            provider.pieces = [piece for piece in draw.pieces() if piece]
            expected = our_result([b"".join(provider.pieces)]) if provider.pieces else None
            if expected is not None and expected.keeps_alive:
                provider.closes = False
            found = runner.run(exchange())
            if provider.pieces:
                msg = "the provider was not asked"
                raise AssertionError(msg)
            if expected is not None:
                assert found in ((expected.status, expected.body), None), found
            # Nothing of the first answer may be taken for the second.
            assert runner.run(exchange()) == (200, b"second")

        yield check
        runner.run(upstream.close())
        server.close()
        runner.run(server.wait_closed())


def _seeds() -> Iterable[bytes]:
    for wire in (WHOLE, CHUNKED, WHOLE + WHOLE, WHOLE[:-1], b"HTTP/1.1 204 No Content\r\n\r\n"):
        yield b"\x00" + wire
        yield b"\x02\x00\x09\x00\x2a" + wire


REPLIES: Final = Target("replies", _reading, _seeds, _WORDS)
EXCHANGES: Final = Target(
    "exchanges",
    _exchanging,
    _seeds,
    _WORDS,
)
