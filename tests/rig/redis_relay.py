"""Between gateways and a Redis server: sees what is asked, and is slow or leads elsewhere when told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from types import TracebackType
from typing import Final, Self

from tests.rig.closing import close_server
from tests.rig.valkey_server import PASSWORD

_JOIN_S: Final = 60.0
_CHUNK: Final = 65_536


class Connection:
    """One client's.

    Attributes:
        commands: Their words, in order.
        is_open: Nobody has closed it.
    """

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self.is_open = True
        self._buffer = b""

    @property
    def name(self) -> str:
        """As the client called itself; "" before."""
        named = (words[2] for words in self.commands if words[:2] == [b"CLIENT", b"SETNAME"])
        return next(named, b"").decode()

    def feed(self, data: bytes) -> None:
        """Read commands: arrays of texts, with their lengths."""
        self._buffer += data
        while (found := _command(self._buffer)) is not None:
            words, end = found
            self.commands.append(words)
            self._buffer = self._buffer[end:]


class RedisRelay:
    """Passes on, both ways.

    Attributes:
        target: Port of the server; of connections that are opened from now on.
        delay_s: By how much what the server says comes later.
        connections: All that there were.
    """

    def __init__(self, target: int, tls: ssl.SSLContext | None = None) -> None:
        self.target = target
        self._tls = tls
        self.delay_s = 0.0
        self.connections: list[Connection] = []
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop: asyncio.AbstractEventLoop
        self._end = asyncio.Event()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-relay", daemon=True)

    @property
    def url(self) -> str:
        """Of the relay, with the server's password."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def named(self, name: str) -> list[Connection]:
        """The connections of clients that call themselves so."""
        return [connection for connection in self.connections if connection.name == name]

    def lead_to(self, target: int) -> None:
        """Lead to another server: what is connected is cut off."""
        self.target = target
        self._loop.call_soon_threadsafe(self._cut)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(_JOIN_S), "the relay did not start"
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._is_up.set()
            await self._end.wait()
            await close_server(server)
            self._cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection()
        self.connections.append(connection)
        ends = {writer}
        self._writers.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ends.add(server_writer)
            self._writers.add(server_writer)
            await asyncio.gather(
                self._pass_on(reader, server_writer, connection), self._pass_on(server_reader, writer, None)
            )
        except OSError:
            pass
        finally:
            connection.is_open = False
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: Connection | None
    ) -> None:
        """Until one side ends, which ends both."""
        while data := await reader.read(_CHUNK):
            if heard is not None:
                heard.feed(data)
            elif self.delay_s:
                await asyncio.sleep(self.delay_s)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        writer.transport.abort()


def _command(data: bytes) -> tuple[list[bytes], int] | None:
    """The words of the first whole command, and where it ends."""
    line = data.find(b"\r\n")
    if line < 0:
        return None
    words: list[bytes] = []
    at = line + 2
    for _ in range(int(data[1:line])):
        line = data.find(b"\r\n", at)
        if line < 0:
            return None
        size = int(data[at + 1 : line])
        at = line + 2 + size + 2
        if at > len(data):
            return None
        words.append(data[line + 2 : at - 2])
    return words, at
