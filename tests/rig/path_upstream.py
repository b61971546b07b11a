"""A provider that answers any path, keeps what it was asked, and reads bodies only as far as it is told to.

Unlike `FakeUpstream` it takes a request when its head is there: a behaviour may refuse a body that is still
coming, stop reading it, or read 50 MB of it without keeping them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.rig.closing import close_server

_KEPT_BYTES: Final = 4 * 1024 * 1024
_START_TIMEOUT_S: Final = 60.0
_READ_BYTES: Final = 65_536


@dataclass(eq=False)
class Asked:
    """One request.

    Attributes:
        target: Path and query as they came.
        body: What was read of it, as far as it is kept.
        size: Bytes of body read; `digest` is the SHA-256 of a body read to its end.
        is_cut: The connection ended within the body.
        was_left: Set when the peer closed before the answer was complete.
    """

    method: str
    target: str
    headers: list[tuple[str, str]]
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    body: bytes = b""
    size: int = 0
    digest: str = ""
    is_cut: bool = False
    was_left: threading.Event = field(default_factory=threading.Event)
    was_answered: threading.Event = field(default_factory=threading.Event)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    async def read_body(self) -> None:
        """Read the body to its end."""
        digest = hashlib.sha256()
        try:
            if self.header("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    self._take(await self.reader.readexactly(size), digest)
                    await self.reader.readexactly(2)
                await self.reader.readline()
            else:
                left = int(self.header("content-length") or 0)
                while left:
                    data = await self.reader.readexactly(min(left, _READ_BYTES))
                    left -= len(data)
                    self._take(data, digest)
        except (asyncio.IncompleteReadError, ValueError) as error:
            self.is_cut = True
            raise ConnectionResetError from error
        self.digest = digest.hexdigest()

    async def answer(
        self, status: int, body: bytes = b"", content_type: str = "application/json", *more: tuple[str, str]
    ) -> None:
        """A whole answer."""
        headers = [("content-type", content_type), ("content-length", str(len(body))), *more]
        await self.start(status, *headers)
        await self.send(body)

    async def start(self, status: int, *headers: tuple[str, str]) -> None:
        """The head of an answer."""
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
        await self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        """More of it, once the peer takes it."""
        self.writer.write(data)
        await self.writer.drain()

    def _take(self, data: bytes, digest: Any) -> None:
        digest.update(data)
        self.size += len(data)
        if len(self.body) < _KEPT_BYTES:
            self.body += data


Answer = Callable[[Asked], Awaitable[None]]

REPLY: Final = {
    "id": "obj_1", "object": "list", "model": "normal-2026", "data": [{"id": "obj_2"}], "has_more": False,
    "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    # What calls of models must have to be an answer.
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
}  # fmt: skip
BYTES: Final = bytes(range(256)) * 64


async def plain(asked: Asked) -> None:
    """Read everything, and answer with an object, or with bytes where a path is about content."""
    await asked.read_body()
    is_content = asked.path.endswith(("/content", "/audio/speech")) and "vector_stores" not in asked.path
    if is_content:
        await asked.answer(200, BYTES, "application/octet-stream")
    else:
        await asked.answer(200, json.dumps(REPLY).encode())


class PathUpstream:
    """The server.

    Attributes:
        asked: Every request since the last `forget`.
    """

    def __init__(self, otherwise: Answer = plain) -> None:
        """Make it.

        Args:
            otherwise: Answers paths that `on` was not called for.
        """
        self._otherwise = otherwise
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="path upstream", daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._answers: dict[str, Answer] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self.asked: list[Asked] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        """With `/v1`, as a provider account's `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        """Sockets now open."""
        return len(self._writers)

    def on(self, path: str, answer: Answer) -> None:
        """Answer requests of *path* (as it arrives, `/v1` included, without query) with *answer*."""
        self._answers[path] = answer

    def forget(self) -> None:
        """Clear records and answers."""
        self.asked = []
        self._answers = {}

    def event(self) -> asyncio.Event:
        """An event of the server's loop; set it with `set`."""
        return asyncio.Event()

    def set(self, event: asyncio.Event) -> None:
        """Set an event from the test's thread."""
        self._loop.call_soon_threadsafe(event.set)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_START_TIMEOUT_S), "the path upstream did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._converse, "127.0.0.1", 0, limit=_READ_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await close_server(server)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (asked := await _read_head(reader, writer)) is not None:
                self.asked.append(asked)
                try:
                    await self._answers.get(asked.path, self._otherwise)(asked)
                except ConnectionError:
                    asked.was_left.set()
                    return
                asked.was_answered.set()
                if asked.size < int(asked.header("content-length") or 0):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def _read_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1", version
    headers = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    return Asked(method, target, headers, reader, writer)
