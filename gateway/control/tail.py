"""`GET /api/traces/tail`: calls as they come, as server-sent events.

Each follower asks the store once a second what is new, as anyone who asks does: whoever follows slows nobody.
There are only so many at once, and each ends after some minutes; an EventSource comes again by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.control.replies import error_reply
from gateway.control.traces import UNANSWERED, BusyError, TraceQueries
from gateway.tracestore.query import BadQueryError, TraceQuery, parse_trace_query

MAX_FOLLOWERS: Final = 16
MOST_AT_ONCE: Final = 100
_EVERY_S: Final = 1.0
_LONGEST_S: Final = 600.0
_SILENCE_S: Final = 15.0
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    # A proxy in front must not gather events.
    "x-accel-buffering": "no",
}


class _Clock(Protocol):
    def __call__(self) -> float: ...


class Tail:
    """Everyone who follows."""

    def __init__(
        self,
        queries: TraceQueries,
        *,
        max_followers: int = MAX_FOLLOWERS,
        monotonic_s: _Clock = time.monotonic,
        wait: Callable[[asyncio.Event], Awaitable[None]] | None = None,
    ) -> None:
        """Ask *queries*.

        Args:
            queries: The store.
            max_followers: At once.
            monotonic_s: A clock.
            wait: Waits until it is time to ask again, or the event is set.
        """
        self._queries = queries
        self._max_followers = max_followers
        self._monotonic_s = monotonic_s
        self._wait = wait or _wait
        self._stopping = asyncio.Event()
        self._followers = 0

    def stop(self) -> None:
        """End all that follow, and take no more."""
        self._stopping.set()

    async def follow(self, query: TraceQuery) -> AsyncIterator[bytes]:
        """The events for one more follower, who is counted until the iterator is closed or forgotten.

        Raises:
            BusyError: There are too many.
        """
        if self._followers >= self._max_followers or self._stopping.is_set():
            raise BusyError(f"{self._max_followers} pages follow already; close one, or load the list anew")
        events = self._events(query)
        # A generator that nobody has begun would never get to its `finally`.
        await anext(events)
        return events

    async def _events(self, query: TraceQuery) -> AsyncIterator[bytes]:
        began_s = said_s = self._monotonic_s()
        after_id: int | None = None
        self._followers += 1
        try:
            yield b""
            # At once, so that the page knows that it follows.
            yield b"retry: 2000\n\n"
            while not self._stopping.is_set() and self._monotonic_s() - began_s < _LONGEST_S:
                try:
                    newer = await self._queries.newer(query, after_id, MOST_AT_ONCE)
                except UNANSWERED as error:
                    yield _event("trouble", {"message": str(error)})
                else:
                    after_id = newer.last_id
                    if newer.traces:
                        said_s = self._monotonic_s()
                        yield _event("traces", {"traces": newer.traces})
                if self._monotonic_s() - said_s >= _SILENCE_S:
                    said_s = self._monotonic_s()
                    yield b": nothing new\n\n"
                await self._wait(self._stopping)
        finally:
            self._followers -= 1


async def _wait(stopping: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), _EVERY_S)
    except TimeoutError:
        return


def _event(kind: str, data: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(data))


def tail_routes(tail: Tail) -> list[Route]:
    """The route of this room; it comes before that of a single trace."""

    async def follow(request: Request) -> Response:
        try:
            query = parse_trace_query(request.query_params.multi_items())
            events = await tail.follow(query)
        except BadQueryError as error:
            return error_reply(400, "invalid_parameter", str(error))
        except BusyError as error:
            return error_reply(503, "busy", str(error))
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    return [Route("/api/traces/tail", follow)]
