"""The trace room."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gateway.control.traces import BusyError, TraceQueries
from gateway.tracestore.query import TraceQuery
from gateway.tracestore.reader import QueryTimeoutError, StoreUnavailableError
from gateway.tracestore.span_blob import UnreadableSpansError
from tests.rig.until import until_async
from tests.unit.control.rooms import FakeStore, Rooms

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_list_passes_its_parameters_on() -> None:
    """What is asked is what the store is asked."""
    rooms = Rooms()
    rooms.store.page = {"traces": [{"trace_id": TRACE_ID}], "next_cursor": "abc"}
    reply = rooms.client().get("/api/traces?limit=5&status=error&model=openai-main%2Fgpt-4o&q=%25")
    assert reply.status_code == 200
    assert reply.json() == rooms.store.page
    assert rooms.store.asked == [TraceQuery(limit=5, is_error=True, model="openai-main/gpt-4o", q="%")]


@pytest.mark.parametrize(
    "query", ["limit=0", "status=bad", "since=monday", "cursor=x", "colour=red", "limit=1&limit=2"]
)
def test_bad_parameter_is_the_clients_fault(query: str) -> None:
    """400, and which parameter."""
    reply = Rooms().client().get(f"/api/traces?{query}")
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_parameter"
    assert query.partition("=")[0] in reply.json()["error"]["message"]


@pytest.mark.parametrize("text", [TRACE_ID, TRACE_ID.upper()])
def test_trace_is_found(text: str) -> None:
    """In either case of its digits."""
    rooms = Rooms(store=FakeStore(traces={bytes.fromhex(TRACE_ID): {"trace_id": TRACE_ID}}))
    assert rooms.client().get(f"/api/traces/{text}").json() == {"trace_id": TRACE_ID}


@pytest.mark.parametrize("text", [TRACE_ID, "0", "x" * 32, TRACE_ID + "00", "%00" * 32, "é" * 32])
def test_trace_that_is_not_there(text: str) -> None:
    """404 with the agreed code, also for what is no id."""
    reply = Rooms().client().get(f"/api/traces/{text}")
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "trace_not_found"


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (QueryTimeoutError("too long"), 503, "query_timeout"),
        (StoreUnavailableError("locked"), 503, "store_unavailable"),
        (UnreadableSpansError("damaged"), 500, "trace_unreadable"),
    ],
)
def test_trouble_of_the_store_has_its_name(failure: Exception, status: int, code: str) -> None:
    """An operator sees what to do."""
    client = Rooms(store=FakeStore(failure=failure)).client()
    for path in ("/api/traces", f"/api/traces/{TRACE_ID}"):
        reply = client.get(path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


class SlowStore(FakeStore):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def list_traces(self, query: TraceQuery) -> dict[str, object]:
        self.go_on.wait(60.0)
        return super().list_traces(query)


async def test_too_many_questions_are_refused_and_the_others_answered() -> None:
    """Whoever would wait for minutes is told at once; the event loop runs on."""
    store = SlowStore()
    queries = TraceQueries(store, threads=1, max_waiting=1)
    waiting = [asyncio.ensure_future(queries.list_traces(TraceQuery())) for _ in range(2)]
    await until_async(lambda: queries._open == 2, "both wait")
    with pytest.raises(BusyError):
        await queries.list_traces(TraceQuery())
    store.go_on.set()
    assert await asyncio.gather(*waiting) == [b'{"traces":[],"next_cursor":null}'] * 2
    assert await queries.list_traces(TraceQuery())
    queries.close()
