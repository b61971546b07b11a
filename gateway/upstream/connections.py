"""aiohttp's connections, with three gaps of its client closed.

- A reply whose framing breaks in the middle must fail: aiohttp closes the connection and leaves the reader
  waiting.
- Bytes that come while no answer is due would be the answer to whoever uses the connection next: it is
  closed.
- A provider may close a kept connection at the very moment we use it: that exchange is made again on another
  one. Only a used connection counts, closed at once and without a byte of an answer. A provider that read the
  call and broke over it within that moment gets it twice, which is rarer and cheaper than a lost call.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.streams import StreamReader

STALE_WITHIN_S: Final = 1.0

_INTERIM: Final = frozenset(range(100, 200)) - {101}


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A kept connection was closed by the provider before it answered anything on it."""


class Connector(aiohttp.TCPConnector):
    """A pool of connections that tell when they were stale."""

    def __init__(self, *, stale_within_s: float = STALE_WITHIN_S, **options: Any) -> None:
        """Take the options of `aiohttp.TCPConnector`, and how soon a kept connection's end makes it stale."""
        super().__init__(**options)
        # The one place where aiohttp lets its protocol be chosen; held to by tests against a real socket.
        make = functools.partial(_Connection, asyncio.get_running_loop(), stale_within_s)
        self._factory = cast("functools.partial[ResponseHandler]", make)


class _Connection(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop, stale_within_s: float) -> None:
        super().__init__(loop)
        self._stale_within_s = stale_within_s
        self._exchanges = 0
        self._begun_s = 0.0
        self._reply: StreamReader | None = None
        self._has_answer = False

    def set_response_params(self, **options: Any) -> None:
        self._exchanges += 1
        self._begun_s = self._loop.time()
        self._has_answer = False
        self._reply = None
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        if data:
            self._has_answer = True
            if self._reply is not None and self._reply.is_eof():
                self._abort()
                return
        super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        if self._reply is not None:
            # A second answer to one call. The end of the first, a line above in this packet, may have put the
            # connection back into the pool already; one that is closing is not taken from there.
            self._abort()
            return
        message, payload = data
        if message.code not in _INTERIM:
            self._reply = payload
        super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        is_early = self._loop.time() - self._begun_s < self._stale_within_s
        if self._exchanges > 1 and is_early and not self._has_answer:
            exc = StaleConnectionError()
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError(f"the reply broke off: {exc!r}"))

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
