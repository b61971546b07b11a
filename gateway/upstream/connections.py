"""aiohttp's connections, with two gaps of its client closed.

A reply whose framing breaks in the middle must fail: aiohttp closes the connection and leaves the reader
waiting. And a provider may close an idle connection at the very moment we use it; that exchange is made again
on another connection. Only a used connection counts, closed at once and without a byte of an answer: a
provider that read the call and broke over it within that moment gets it twice, which is rarer and cheaper
than a lost call.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any, Final, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

_STALE_WITHIN_S: Final = 1.0


class StaleConnectionError(aiohttp.ServerDisconnectedError):
    """A kept connection was closed by the provider before it answered anything on it."""


class Connector(aiohttp.TCPConnector):
    """A pool of connections that tell when they were stale."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `aiohttp.TCPConnector`."""
        super().__init__(**options)
        # The one place where aiohttp lets its protocol be chosen; held to by tests against a real socket.
        make = functools.partial(_Connection, loop=asyncio.get_running_loop())
        self._factory = cast("functools.partial[ResponseHandler]", make)


class _Connection(ResponseHandler):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._exchanges = 0
        self._begun_s = 0.0
        self._has_answer = False

    def set_response_params(self, **options: Any) -> None:
        self._exchanges += 1
        self._begun_s = self._loop.time()
        self._has_answer = False
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        if data:
            self._has_answer = True
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        is_early = self._loop.time() - self._begun_s < _STALE_WITHIN_S
        if self._exchanges > 1 and is_early and not self._has_answer:
            exc = StaleConnectionError()
        super().set_exception(exc, *cause)
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError(f"the reply broke off: {exc!r}"))
