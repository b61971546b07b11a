"""`GET /api/traces` and `GET /api/traces/{trace_id}`: what the local store holds.

Questions run in a few threads, so that a long search holds up neither health nor delivery.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import encoded_reply, error_reply
from gateway.tracestore.metrics_query import MetricsQuery
from gateway.tracestore.query import BadQueryError, TraceQuery, parse_trace_query
from gateway.tracestore.reader import Newer, QueryTimeoutError, StoreUnavailableError
from gateway.tracestore.span_blob import UnreadableSpansError

T = TypeVar("T")


class BusyError(Exception):
    """Too many questions are waiting."""


_THREADS: Final = 2
# Each may take its full time limit: whoever comes later would wait for minutes.
_MAX_WAITING: Final = 32
_UNANSWERED_AS: Final[dict[type[Exception], tuple[int, str]]] = {
    BusyError: (503, "busy"),
    QueryTimeoutError: (503, "query_timeout"),
    StoreUnavailableError: (503, "store_unavailable"),
    UnreadableSpansError: (500, "trace_unreadable"),
}
UNANSWERED: Final = tuple(_UNANSWERED_AS)
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


class TraceSource(Protocol):
    """The store as this room needs it (`tracestore.reader.TraceReader`)."""

    def list_traces(self, query: TraceQuery) -> dict[str, object]:
        """A page of calls."""

    def find_trace(self, trace_id: bytes) -> dict[str, object] | None:
        """One trace, None when there is none."""

    def newer(self, query: TraceQuery, after_id: int | None, most: int) -> Newer:
        """Calls that came since."""

    def query_metrics(self, query: MetricsQuery) -> dict[str, object]:
        """What calls add up to."""


class TraceQueries:
    """Asks the store in threads of its own."""

    def __init__(
        self, source: TraceSource, *, threads: int = _THREADS, max_waiting: int = _MAX_WAITING
    ) -> None:
        """Use *threads* threads and let *max_waiting* questions wait for them."""
        self._source = source
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="trace-query")
        self._room = threads + max_waiting
        self._open = 0

    async def list_traces(self, query: TraceQuery) -> bytes:
        """A page as JSON.

        Raises:
            BusyError: Too many questions are waiting.
            StoreUnavailableError: The store cannot be read.
            QueryTimeoutError: It took too long.
        """
        return await self._ask(lambda: orjson.dumps(self._source.list_traces(query)))

    async def find_trace(self, trace_id: bytes) -> bytes | None:
        """A trace as JSON, None when there is none.

        Raises:
            BusyError: Too many questions are waiting.
            StoreUnavailableError: The store cannot be read.
            QueryTimeoutError: It took too long.
            UnreadableSpansError: What is stored is damaged.
        """

        def find() -> bytes | None:
            trace = self._source.find_trace(trace_id)
            return None if trace is None else orjson.dumps(trace)

        return await self._ask(find)

    async def newer(self, query: TraceQuery, after_id: int | None, most: int) -> Newer:
        """Calls that came since, as `TraceReader.newer` gives them.

        Raises:
            BusyError: Too many questions are waiting.
            StoreUnavailableError: The store cannot be read.
            QueryTimeoutError: It took too long.
        """
        return await self._ask(lambda: self._source.newer(query, after_id, most))

    async def query_metrics(self, query: MetricsQuery) -> bytes:
        """What calls add up to, as JSON.

        Raises:
            BadQueryError: Its range is none, or has too many steps.
            BusyError: Too many questions are waiting.
            StoreUnavailableError: The store cannot be read.
            QueryTimeoutError: It took too long.
        """
        return await self._ask(lambda: orjson.dumps(self._source.query_metrics(query)))

    def close(self) -> None:
        """Take no more questions; those that wait are dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._open >= self._room:
            raise BusyError("too many searches are waiting; try again in a moment")
        self._open += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        finally:
            self._open -= 1


def trace_routes(queries: TraceQueries) -> list[Route]:
    """The routes of this room."""

    async def list_traces(request: Request) -> Response:
        try:
            query = parse_trace_query(request.query_params.multi_items())
        except BadQueryError as error:
            return error_reply(400, "invalid_parameter", str(error))
        try:
            return encoded_reply(await queries.list_traces(query))
        except UNANSWERED as error:
            return unanswered(error)

    async def find_trace(request: Request) -> Response:
        text: str = request.path_params["trace_id"]
        if _TRACE_ID.fullmatch(text) is None:
            return error_reply(404, "trace_not_found", "a trace id has 32 hexadecimal digits")
        try:
            trace = await queries.find_trace(bytes.fromhex(text))
        except UNANSWERED as error:
            return unanswered(error)
        if trace is None:
            message = "no such trace in the local store: not there yet, aged out, or left out under load"
            return error_reply(404, "trace_not_found", message)
        return encoded_reply(trace)

    return [Route("/api/traces", list_traces), Route("/api/traces/{trace_id}", find_trace)]


def unanswered(error: Exception) -> Response:
    """The answer when a question had none: one of `UNANSWERED`."""
    status, code = _UNANSWERED_AS[type(error)]
    return error_reply(status, code, str(error))
