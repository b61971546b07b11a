"""A model provider that does what a test tells it, and remembers everything.

It speaks HTTP/1.1 on raw asyncio, in a thread and loop of its own, and is strict: what a well-behaved
client may not send is noted in `FakeUpstream.violations`. How it answers is a *behaviour*
(`tests/rig/behaviours.py`): taken from the queue of the model id asked for (`FakeUpstream.play`), else from
the behaviour of that name, else a plain answer.

Every request is an `Exchange`, every socket a `Connection`; both can be read from the test's thread at any
time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.rig.closing import close_server

START_TIMEOUT_S: Final = 60.0
_TCP: Final = Path("/proc/net/tcp")
_LOOK_S: Final = 0.005
_APART_S: Final = 0.05
"""Far above what a process needs for what it has read."""


async def stand_apart(transport: asyncio.WriteTransport) -> None:
    """Wait until the peer has read what was sent, and a moment: what comes next is read by itself."""
    while not transport.is_closing() and _is_unread(transport):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(_LOOK_S)
    await asyncio.sleep(_APART_S)


def _is_unread(transport: asyncio.BaseTransport) -> bool:
    """Whether anything lies in the receive queue of the peer's socket, which is on this machine."""
    ports = [transport.get_extra_info(name)[1] for name in ("peername", "sockname")]
    for line in _TCP.read_text().splitlines()[1:]:
        fields = line.split()
        if [int(address.partition(":")[2], 16) for address in fields[1:3]] == ports:
            return int(fields[4].partition(":")[2], 16) > 0
    return False


class Connection(asyncio.Protocol):
    """One accepted socket.

    Attributes:
        number: From 1, in order of arrival.
        closed_at_s: Monotonic time when the peer closed or reset it; None while it has not, also when we did.
    """

    def __init__(self, upstream: FakeUpstream) -> None:
        self._upstream = upstream
        self._received = bytearray()
        self._more = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._resume: asyncio.Event = asyncio.Event()
        self._resume.set()
        self.number = 0
        self.is_open = False
        self.closed_at_s: float | None = None
        self._closed_by_us = False
        self._gone = asyncio.Event()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.is_open = True
        self.number = self._upstream.add_connection(self)
        self._task = asyncio.get_running_loop().create_task(
            self._serve(), name=f"fake upstream {self.number}"
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._more.set()

    def eof_received(self) -> bool:
        self._peer_left()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer_left()
        self.is_open = False
        self._resume.set()

    def pause_writing(self) -> None:
        self._resume.clear()

    def resume_writing(self) -> None:
        self._resume.set()

    def _peer_left(self) -> None:
        if self.closed_at_s is None and not self._closed_by_us:
            self.closed_at_s = time.monotonic()
        self._gone.set()
        self._more.set()

    # -- for behaviours

    async def write(self, data: bytes) -> None:
        """Send *data* in one piece and wait until the transport can take more."""
        if not self.is_open or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)
        await self._resume.wait()

    async def stand_apart(self) -> None:
        """Wait until the peer has read what was sent, and a moment: what comes next is read by itself.

        Read together with what went before it, a failure would still be an answer with a status.
        """
        assert self._transport is not None
        await stand_apart(self._transport)

    def close(self) -> None:
        """End the connection properly (FIN)."""
        self._closed_by_us = True
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End it with a TCP reset."""
        self._closed_by_us = True
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    async def gone(self) -> None:
        """Wait until the peer has closed."""
        await self._gone.wait()

    # -- the server's life on this socket

    async def _serve(self) -> None:
        try:
            while self.is_open and not self._closed_by_us:
                exchange = await self._read_request()
                if exchange is None:
                    break
                if not await self._answer(exchange):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        except ValueError as error:
            self._upstream.violations.append(f"not HTTP: {error}")
        finally:
            self.close()

    async def _answer(self, exchange: Exchange) -> bool:
        """Run the behaviour until it is done or the peer has gone; whether the connection can go on."""
        behaviour = self._upstream.choose(exchange)
        work = asyncio.ensure_future(behaviour(exchange))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                exchange.was_aborted.set()
                return False
            error = None if work.cancelled() else work.exception()
            if isinstance(error, ConnectionError):
                exchange.was_aborted.set()
                return False
            if error is not None:
                self._upstream.violations.append(f"the behaviour failed: {error!r}")
                return False
            exchange.was_answered.set()
            return not self._closed_by_us
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _take_until(self, mark: bytes) -> bytes | None:
        while (at := self._received.find(mark)) < 0:
            if not await self._wait_for_more():
                return None
        taken = bytes(self._received[:at])
        del self._received[: at + len(mark)]
        return taken

    async def _take(self, size: int) -> bytes | None:
        while len(self._received) < size:
            if not await self._wait_for_more():
                return None
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _wait_for_more(self) -> bool:
        if self._gone.is_set():
            return False
        self._more.clear()
        await self._more.wait()
        return True

    async def _read_request(self) -> Exchange | None:
        head = await self._take_until(b"\r\n\r\n")
        if head is None:
            return None
        request_line, *lines = head.split(b"\r\n")
        method, path, version = request_line.decode("ascii").split(" ")
        headers = [_split_header(line) for line in lines]
        exchange = Exchange(method, path, headers, self)
        self._upstream.check(exchange, version)
        body = await self._read_body(exchange)
        if body is None:
            return None
        exchange.body = body
        self._upstream.add_exchange(exchange)
        return exchange

    async def _read_body(self, exchange: Exchange) -> bytes | None:
        if exchange.header("transfer-encoding") == "chunked":
            body = b""
            while True:
                size_line = await self._take_until(b"\r\n")
                piece = None if size_line is None else await self._take(int(size_line, 16) + 2)
                if piece is None:
                    return None
                if len(piece) == 2:
                    return body
                body += piece[:-2]
        return await self._take(int(exchange.header("content-length") or "0"))


def _split_header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), value.strip()


@dataclass(eq=False)
class Exchange:
    """One request that arrived, and what became of it.

    Attributes:
        headers: Names in lower case, in order, repeated ones repeated.
        body: As received.
        was_answered: Set when the behaviour ended.
        was_aborted: Set when the peer closed the connection before that.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    connection: Connection
    body: bytes = b""
    received_at_s: float = field(default_factory=time.monotonic)
    was_answered: threading.Event = field(default_factory=threading.Event)
    was_aborted: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def model(self) -> str:
        """The model id asked for, "" when the body names none."""
        try:
            return str(self.json.get("model", ""))
        except (ValueError, AttributeError):
            return ""


Behaviour = Callable[[Exchange], Awaitable[None]]


class Gate:
    """Lets a behaviour go on step by step, from the test's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._steps = asyncio.Semaphore(0)
        self._is_open = False

    def step(self, count: int = 1) -> None:
        """Let *count* steps pass."""
        for _ in range(count):
            self._loop.call_soon_threadsafe(self._steps.release)

    def open(self) -> None:
        """Let everything pass from now on."""
        self._is_open = True
        self.step()

    async def passed(self) -> None:
        """Wait for a step; called by behaviours."""
        await self._steps.acquire()
        if self._is_open:
            self._steps.release()  # for the next


class FakeUpstream:
    """The server.

    Attributes:
        exchanges: Every request since the last `forget`, in order.
        violations: What a well-behaved client may not do, noted as text. Empty in a healthy test.
    """

    def __init__(self, behaviours: dict[str, Behaviour], default: Behaviour) -> None:
        self._behaviours = behaviours
        self._default = default
        self._queues: dict[str, deque[Behaviour]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake upstream", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._connections: list[Connection] = []
        self.exchanges: list[Exchange] = []
        self.violations: list[str] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        """With `/v1`, as a provider account's `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        """Sockets now open."""
        return sum(connection.is_open for connection in list(self._connections))

    @property
    def connections(self) -> list[Connection]:
        """Every socket so far."""
        return list(self._connections)

    def gate(self) -> Gate:
        """A gate for behaviours of this server."""
        return Gate(self._loop)

    def play(self, model: str, *behaviours: Behaviour) -> None:
        """Answer the next requests for *model* with *behaviours*, one each."""
        self._queues.setdefault(model, deque()).extend(behaviours)

    def close_idle_connections(self) -> None:
        """Close every open socket from this side, as providers do with idle ones."""
        for connection in self.connections:
            if connection.is_open:
                self._loop.call_soon_threadsafe(connection.close)

    def forget(self) -> None:
        """Clear records and queues before a test."""
        self.exchanges = []
        self.violations = []
        self._queues.clear()

    # -- called on the loop

    def add_connection(self, connection: Connection) -> int:
        self._connections.append(connection)
        return len(self._connections)

    def add_exchange(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def choose(self, exchange: Exchange) -> Behaviour:
        queue = self._queues.get(exchange.model)
        if queue:
            return queue.popleft()
        return self._behaviours.get(exchange.model, self._default)

    def check(self, exchange: Exchange, version: str) -> None:
        names = [name for name, _ in exchange.headers]
        if version != "HTTP/1.1":
            self.violations.append(f"version {version}")
        if names.count("host") != 1:
            self.violations.append(f"{names.count('host')} host headers")
        if names.count("content-length") + names.count("transfer-encoding") > 1:
            self.violations.append("more than one framing header")
        self.violations.extend(f"header {name!r} twice" for name in set(names) if names.count(name) > 1)

    # -- life

    def start(self) -> Self:
        """Listen on a free port of the loopback."""
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S), "the fake upstream did not start"
        return self

    def stop(self) -> None:
        """Close everything."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(START_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await close_server(server)
        for connection in self._connections:
            connection.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class ClosedPort:
    """A port that refuses connections for as long as this object holds it (bound, not listening)."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port up."""
        self._socket.close()
