"""One connection of the load generator, one call at a time."""

from __future__ import annotations

import asyncio
from time import perf_counter_ns
from typing import Final, Protocol, cast

import httptools

from perf.load.target import Target

# A contender that is this broken has failed the round; more of the same would only take time.
MAX_FAILURES: Final = 100
# After the measured time, how long the last answers may take.
PATIENCE_S: Final = 10.0


class Phase(Protocol):
    """One bounded stretch of load: it decides which connection sends when."""

    target: Target

    def answered(self, connection: Connection, fault: str, now_ns: int) -> None:
        """The open call has its answer, a bad one if there is a *fault*; the connection is free again."""

    def lost(self, connection: Connection, reason: str) -> None:
        """The connection is gone, and the open call on it with it."""


class Connection(asyncio.Protocol):
    """Sends, parses, judges.

    Attributes:
        since_ns: From when the open call's latency counts; whoever sends sets it.
    """

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._phase: Phase | None = None
        self._body: list[bytes] = []
        self.since_ns = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        self.is_open = True

    def join(self, phase: Phase) -> None:
        """Belong to *phase* until `leave`."""
        self._phase = phase

    def leave(self) -> None:
        """Belong to no phase."""
        self._phase = None

    def send(self, request: bytes, since_ns: int) -> None:
        """Send the next call."""
        self.since_ns = since_ns
        self._transport.write(request)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse; an answer that cannot be parsed fails the call."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"malformed answer: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """A lost connection fails its open call; it is not opened again, because a good server keeps it."""
        self.is_open = False
        self._fail(f"connection lost: {exc or 'closed by the server'}")

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools: the answer is whole; judge it."""
        now_ns = perf_counter_ns()
        parts, phase = self._body, self._phase
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if phase is None:
            return  # an answer that came after its phase had ended
        phase.answered(self, self._fault(body, phase.target), now_ns)

    def _fault(self, body: bytes, target: Target) -> str:
        status = self._parser.get_status_code()
        if status != 200:
            return f"status {status}: {body[:200].decode(errors='replace')}"
        return "" if target.accepts(body) else "body differs from what the upstream sent"

    def _fail(self, reason: str) -> None:
        phase, self._phase = self._phase, None
        self._transport.abort()
        self.is_open = False
        if phase is not None:
            phase.lost(self, reason)
