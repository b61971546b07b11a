"""`GET /api/traces/tail`: calls as they come, as server-sent events.

Each follower asks the store once a second what is new, as anyone who asks does: whoever follows slows nobody.
There are only so many at once, and each ends after some minutes; an EventSource comes again by itself, and
says what it had last, so that nothing is missed between. Who may not ask any more follows no longer.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.control.operator import is_still_in
from gateway.control.replies import error_reply
from gateway.control.traces import UNANSWERED, BusyError, TraceQueries
from gateway.tracestore.query import BadQueryError, TraceQuery, parse_trace_query

MAX_FOLLOWERS: Final = 16
MOST_AT_ONCE: Final = 100
MOST_IN_TURN: Final = 5
"""Such pages between two pauses; what came beyond is left out up to now, and it is said that it was."""

_EVERY_S: Final = 1.0
_LONGEST_S: Final = 600.0
_SILENCE_S: Final = 15.0
_ID: Final = re.compile(r"\d{1,18}", re.ASCII)
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

    async def follow(
        self,
        query: TraceQuery,
        after_id: int | None = None,
        *,
        may_still: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[bytes]:
        """The events for one more follower, who is counted until the iterator is closed or forgotten.

        Args:
            query: Which calls.
            after_id: The id of the event that the follower had last; None: begin with what comes next.
            may_still: Whether they may see what comes; asked before each question.

        Raises:
            BusyError: There are too many.
        """
        if self._followers >= self._max_followers or self._stopping.is_set():
            raise BusyError(f"{self._max_followers} pages follow already; close one, or load the list anew")
        events = self._events(query, after_id, may_still)
        # A generator that nobody has begun would never get to its `finally`.
        await anext(events)
        return events

    async def _events(
        self, query: TraceQuery, after_id: int | None, may_still: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        began_s = said_s = self._monotonic_s()
        self._followers += 1
        try:
            yield b""
            # At once, so that the page knows that it follows.
            yield b"retry: 2000\n\n"
            turns = 0
            while not self._stopping.is_set() and self._monotonic_s() - began_s < _LONGEST_S and may_still():
                turns += 1
                is_more = False
                try:
                    newer = await self._queries.newer(query, after_id, MOST_AT_ONCE)
                except UNANSWERED as error:
                    yield _event("trouble", {"message": str(error)})
                else:
                    is_first, after_id = after_id is None, newer.last_id
                    is_more = len(newer.traces) == MOST_AT_ONCE
                    if newer.traces:
                        said_s = self._monotonic_s()
                        yield _event("traces", {"traces": newer.traces}, after_id)
                    elif is_first:
                        yield _place(after_id)
                if is_more:
                    if turns == MOST_IN_TURN:
                        turns, after_id = 0, None
                        yield _event("skipped", {})
                    continue
                turns = 0
                if self._monotonic_s() - said_s >= _SILENCE_S:
                    said_s = self._monotonic_s()
                    yield b": nothing new\n\n" if after_id is None else _place(after_id)
                await self._wait(self._stopping)
        finally:
            self._followers -= 1


async def _wait(stopping: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), _EVERY_S)
    except TimeoutError:
        return


def _event(kind: str, data: dict[str, object], after_id: int | None = None) -> bytes:
    place = b"" if after_id is None else b"id: %d\n" % after_id
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), place, orjson.dumps(data))


def _place(after_id: int) -> bytes:
    """How far it has come, for who comes again; without data it is no event."""
    return b"id: %d\n\n" % after_id


def tail_routes(tail: Tail) -> list[Route]:
    """The route of this room; it comes before that of a single trace."""

    async def follow(request: Request) -> Response:
        try:
            query = parse_trace_query(request.query_params.multi_items())
            last = request.headers.get("last-event-id", "")
            after_id = int(last) if _ID.fullmatch(last) else None
            events = await tail.follow(query, after_id, may_still=lambda: is_still_in(request.scope))
        except BadQueryError as error:
            return error_reply(400, "invalid_parameter", str(error))
        except BusyError as error:
            return error_reply(503, "busy", str(error))
        return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)

    return [Route("/api/traces/tail", follow)]
