"""One connection to Redis on which many ask at once; answers come in the order of the questions.

What is asked within one turn of the event loop leaves in one piece. A line that fails once is over, and what
had no answer is told so; who has it opens another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gateway.store.replicas import trusting
from gateway.tasks import end, spawn

CONNECT_S: Final = 1.0

Answered = Callable[[bytes | None], None]
"""Told what the answer is, or that there will be none."""


class LineError(Exception):
    """There is no line; the message says why."""


class Line:
    """A connection.

    Attributes:
        is_over: Nothing can be asked on it any more.
    """

    def __init__(self, connection: AbstractConnection, on_over: Callable[[str], None]) -> None:
        """Use *connection*, which is open; *on_over* is called once when it fails, with why."""
        self._connection = connection
        self._on_over = on_over
        self._waiting: deque[Answered] = deque()
        self._out: list[bytes] = []
        self._has_out = asyncio.Event()
        self._has_waiting = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_over = False
        spawn(self._write(), name="redis-line-write", owner=self._tasks)
        spawn(self._read(), name="redis-line-read", owner=self._tasks)

    def ask(self, words: tuple[Any, ...], answered: Answered) -> None:
        """Ask; *answered* is called once, later."""
        if self.is_over:
            answered(None)
            return
        self._out += self._connection.pack_command(*words)
        self._waiting.append(answered)
        self._has_out.set()
        self._has_waiting.set()

    def end(self, why: str) -> None:
        """Let it be over; what is under way has no answer."""
        if self.is_over:
            return
        self.is_over = True
        for task in self._tasks:
            task.cancel()
        waiting, self._waiting = self._waiting, deque()
        for answered in waiting:
            answered(None)
        self._on_over(why)

    async def close(self) -> None:
        """Let go of the connection."""
        self.is_over = True
        await end(self._tasks)
        await _disconnect(self._connection)

    async def _write(self) -> None:
        try:
            while True:
                await self._has_out.wait()
                self._has_out.clear()
                out, self._out = self._out, []
                await self._connection.send_packed_command(out, check_health=False)
        except (RedisError, OSError) as error:
            self.end(_said(error))

    async def _read(self) -> None:
        try:
            # An answer may end the line while the next ones are here already, which nobody waits for then.
            while not self.is_over:
                await self._has_waiting.wait()
                answer = await self._connection.read_response(disable_decoding=True)
                answered = self._waiting.popleft()
                if not self._waiting:
                    self._has_waiting.clear()
                answered(answer)
        except (RedisError, OSError) as error:
            self.end(_said(error))


class Lines:
    """Opens lines to the server of a URL; follows a cluster to the node that has the keys."""

    def __init__(self, url: str, *, client_name: str = "gateway-limits") -> None:
        """Prepare; nothing is connected yet. *client_name* is what the server calls the connections."""
        self._pool = ConnectionPool.from_url(
            trusting(url),
            socket_timeout=None,
            socket_connect_timeout=CONNECT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            client_name=client_name,
        )

    async def open(self, scripts: tuple[str, ...], key: bytes) -> tuple[AbstractConnection, list[str]]:
        """A connection to the node that has *key*, and what *scripts* are called there.

        Raises:
            LineError: There is none within `CONNECT_S`.
        """
        where: dict[str, Any] = {}
        for _ in range(2):
            connection = self._pool.connection_class(**{**self._pool.connection_kwargs, **where})
            try:
                async with asyncio.timeout(CONNECT_S):
                    await connection.connect()  # type: ignore[no-untyped-call]  # redis has no types here
                    moved = await _ask_where(connection, key)
                    if moved is None:
                        return connection, [
                            await _ask(connection, "SCRIPT", "LOAD", script) for script in scripts
                        ]
            except (RedisError, OSError, TimeoutError) as error:
                await _disconnect(connection)
                raise LineError(_said(error)) from error
            except asyncio.CancelledError:
                await _disconnect(connection)
                raise
            await _disconnect(connection)
            where = moved
        msg = "the cluster does not know where its keys are"
        raise LineError(msg)


async def _ask_where(connection: AbstractConnection, key: bytes) -> dict[str, Any] | None:
    """Host and port of the node that has *key*, None where this one has it."""
    try:
        await _ask(connection, "EXISTS", key)
    except ResponseError as error:
        # redis-py leaves the word away: "<slot> <host>:<port>", "MOVED <slot> <host>:<port>".
        place = str(error).split()
        if type(error).__name__ != "MovedError" and place[:1] != ["MOVED"]:
            raise
        host, _, port = place[-1].rpartition(":")
        return {"host": host, "port": int(port)} if host else {"port": int(port)}
    return None


async def _ask(connection: AbstractConnection, *words: Any) -> Any:
    await connection.send_command(*words, check_health=False)
    answer = await connection.read_response(disable_decoding=True)
    return answer.decode() if isinstance(answer, bytes) else answer


async def _disconnect(connection: AbstractConnection) -> None:
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        await connection.disconnect(nowait=True)


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
