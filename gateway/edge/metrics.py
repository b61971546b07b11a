"""`/metrics` on the data plane, with `--metrics-on-data-port`: the control plane's text, passed on.

A worker knows its own numbers only, and whichever worker took the scrape would answer with another part of
them. Control has the sums; it is asked over loopback HTTP, since its `/metrics` is open and bounded already:
the local socket would need two more kinds of message, and the text in delivery's thread, to say the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

from gateway.tls_files import NO_FILES, TlsFiles, make_own_context

TIMEOUT_S: Final = 2.0
_MAX_BYTES: Final = 64 * 1024 * 1024
_SUCCESS: Final = re.compile(rb"HTTP/1\.[01] 200[ \r]")
_ANY_HOSTS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class ControlAwayError(Exception):
    """The control plane does not answer."""


class ControlMetrics:
    """Asks the control plane for its metrics."""

    def __init__(
        self, host: str, port: int, *, tls: TlsFiles = NO_FILES, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Ask the control plane bound to *host* and *port*, over TLS where *tls* has its certificate."""
        self._tls = tls
        self._host = _ANY_HOSTS.get(host, host)
        self._port = port
        self._timeout_s = timeout_s

    async def text(self) -> bytes:
        """The Prometheus text of this moment.

        Raises:
            ControlAwayError: There is none.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._ask()
        except (OSError, TimeoutError) as error:
            raise ControlAwayError("the control plane does not answer") from error
        head, _, body = answer.partition(b"\r\n\r\n")
        if not _SUCCESS.match(head):
            raise ControlAwayError("the control plane has no metrics to give")
        return body

    async def _ask(self) -> bytes:
        # Made for each: the file may have been replaced.
        context = None if self._tls == NO_FILES else make_own_context(self._tls)
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context)
        try:
            # HTTP/1.0: the answer comes in one piece, unchunked, and ends with the connection.
            writer.write(b"GET /metrics HTTP/1.0\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return await _read_all(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await reader.read(256 * 1024):
        parts.append(part)
        size += len(part)
        if size > _MAX_BYTES:
            raise ControlAwayError("the metrics are too large")
    return b"".join(parts)
