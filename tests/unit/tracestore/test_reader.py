"""Questions to the store."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.tracestore.query import TraceQuery, parse_trace_query
from gateway.tracestore.reader import QueryTimeoutError, StoreUnavailableError, TraceReader, find_stored
from gateway.tracestore.store import TraceStore
from gateway.wire.frames import CallSpans
from tests.rig.examples import examples
from tests.unit.tracestore.call_maker import (
    NOW_S,
    NS,
    frame_of,
    make_call,
    make_frame,
    make_row,
    make_span,
    trace_id_of,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


@pytest.fixture
def store(path: Path) -> Iterator[TraceStore]:
    with closing(TraceStore(path, now_s=lambda: NOW_S)) as opened:
        yield opened


def ids(page: dict[str, Any]) -> list[int]:
    """The numbers of the calls on a page."""
    return [int(trace["trace_id"], 16) for trace in page["traces"]]


def test_row_has_exactly_the_agreed_fields(store: TraceStore, path: Path) -> None:
    """The shape that INTERFACES promises."""
    row = make_row(
        1,
        start_ns=1_700_000_000_123_456_789,
        end_ns=1_700_000_001_357_456_789,
        first_chunk_ms=5.0,
        is_stream=True,
    )
    store.insert([(1, make_frame(1, make_call(row)))])
    assert TraceReader(path).list_traces(TraceQuery()) == {
        "traces": [
            {
                "trace_id": "0" * 31 + "1",
                "span_id": "0" * 15 + "1",
                "name": "POST /v1/chat/completions",
                "started_at": "2023-11-14T22:13:20.123456Z",
                "duration_ms": 1234.0,
                "status_code": 200,
                "status": "ok",
                "error_type": None,
                "model": "openai-main/gpt-4o",
                "resolved_model": "openai-main/gpt-4o",
                "caller": "app1",
                "attempts": 1,
                "is_stream": True,
                "usage": {"input_tokens": 10, "output_tokens": 5, "source": "provider"},
                "cost_usd": 0.25,
                "span_count": 2,
            }
        ],
        "next_cursor": None,
        "searched_back_to": None,
    }


def test_what_is_unknown_is_null(store: TraceStore, path: Path) -> None:
    """Empty strings are for the frame, not for the reader."""
    row = make_row(
        1,
        model="",
        resolved_model="",
        caller="",
        usage_source="",
        input_tokens=None,
        output_tokens=None,
        cost_usd=None,
    )
    store.insert([(1, make_frame(1, make_call(row)))])
    page: dict[str, Any] = TraceReader(path).list_traces(TraceQuery())
    (trace,) = page["traces"]
    assert {trace[key] for key in ("model", "resolved_model", "caller", "cost_usd", "error_type")} == {None}
    assert trace["usage"] == {"input_tokens": None, "output_tokens": None, "source": None}


ROWS = [
    make_row(1, caller="app1", metadata={"colour": "blue"}),
    make_row(
        2,
        caller="app2",
        caller_kind="user",
        model="vm/chat",
        resolved_model="openai-main/gpt-4o",
        cost_usd=1.5,
    ),
    make_row(3, is_error=True, status_code=502, error_type="upstream_unreachable", resolved_model=""),
    make_row(
        4,
        end_ns=NOW_S * NS + 5 * NS,
        model="fake/100%",
        metadata={"colour": "blue", "size": "xl"},
        teams=("search", "ops"),
    ),
    make_row(5, trace_id=bytes.fromhex("abcdef" + "0" * 26), teams=("search",)),
]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"caller": "app2"}, [2]),
        ({"caller": "app"}, []),
        ({"model": "vm/chat"}, [2]),
        ({"model": "openai-main/gpt-4o"}, [5, 4, 3, 2, 1]),
        ({"model": "openai-main/gpt-4o", "status": "ok", "caller": "app2"}, [2]),
        ({"status": "error"}, [3]),
        ({"status": "ok"}, [5, 4, 2, 1]),
        ({"min_duration_ms": "4999"}, [4]),
        ({"q": "UNREACH"}, [3]),
        ({"q": "socket"}, [3]),
        ({"q": "100%"}, [4]),
        ({"q": "%"}, [4]),
        ({"q": "app2"}, [2]),
        ({"q": "abcdef"}, [5]),
        ({"q": "abcdef" + "0" * 26}, [5]),
        ({"q": "abcdef" + "0" * 25}, [5]),
        ({"q": "abcdee" + "0" * 26}, []),
        ({"q": "nothing of that"}, []),
        ({"q": "abc"}, []),
        ({"q": "blue"}, [4, 1]),
        ({"q": "blue", "caller": "app1", "max_duration_ms": "200"}, [1]),
        ({"q": "bl_e"}, []),
        ({"asked": "vm/chat"}, [2]),
        ({"asked": "openai-main/gpt-4o"}, [5, 3, 1]),
        ({"target": "openai-main/gpt-4o"}, [5, 4, 2, 1]),
        ({"target": "vm/chat"}, []),
        ({"user": "app2"}, [2]),
        ({"virtual_account": "app2"}, []),
        ({"virtual_account": "app1"}, [5, 4, 3, 1]),
        ({"team": "search"}, [5, 4]),
        ({"team": "ops"}, [4]),
        ({"team": "sear"}, []),
        ({"error_type": "upstream_unreachable"}, [3]),
        ({"status": "502"}, [3]),
        ({"status": "200"}, [5, 4, 2, 1]),
        ({"status": "499"}, []),
        ({"metadata.colour": "blue"}, [4, 1]),
        ({"metadata.colour": "blue", "metadata.size": "xl"}, [4]),
        ({"metadata.colour": "red"}, []),
        ({"metadata.colour": "blue", "q": "100%"}, [4]),
        ({"max_duration_ms": "200"}, [5, 3, 2, 1]),
        ({"min_duration_ms": "50", "max_duration_ms": "200"}, [5, 3, 2, 1]),
        ({"min_cost_usd": "1"}, [2]),
        ({"min_cost_usd": "0.2", "max_cost_usd": "0.3"}, [5, 4, 3, 1]),
        ({"min_cost_usd": "2", "status": "error"}, []),
    ],
)
def test_filters(store: TraceStore, path: Path, parameters: dict[str, str], expected: list[int]) -> None:
    """Each alone and some together; newest first."""
    calls = [make_call(row, error="socket closed" if row.is_error else "") for row in ROWS]
    store.insert([(1, make_frame(1, *calls))])
    page = TraceReader(path).list_traces(parse_trace_query(parameters.items()))
    assert isinstance(page["traces"], list)
    assert [int(trace["span_id"], 16) for trace in page["traces"]] == expected


def test_since_is_inclusive_and_until_is_not(store: TraceStore, path: Path) -> None:
    """So that adjoining ranges meet without overlap."""
    store.insert([(1, make_frame(1, *(make_call(make_row(n, start_ns=n * NS)) for n in (1, 2, 3))))])
    parameters = [("since", "1970-01-01T00:00:02Z"), ("until", "1970-01-01T00:00:03Z")]
    assert ids(TraceReader(path).list_traces(parse_trace_query(parameters))) == [2]


@settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    starts=st.lists(st.integers(1, 6), min_size=1, max_size=25),
    late=st.lists(st.integers(1, 9), max_size=10),
    limit=st.integers(1, 7),
    model=st.sampled_from([None, "openai-main/gpt-4o"]),
)
def test_pages_show_each_call_once_while_others_arrive(
    tmp_path_factory: pytest.TempPathFactory,
    starts: list[int],
    late: list[int],
    limit: int,
    model: str | None,
) -> None:
    """However many share a start, and whatever is stored meanwhile."""
    path = tmp_path_factory.mktemp("store") / "traces.db"
    numbers = itertools.count(1)
    sequences = itertools.count(1)

    with closing(TraceStore(path, now_s=lambda: NOW_S)) as store:

        def arrive(batch: list[int]) -> None:
            calls = [make_call(make_row(next(numbers), start_ns=start)) for start in batch]
            sequence = next(sequences)
            store.insert([(sequence, make_frame(sequence, *calls))])

        arrive(starts)
        reader = TraceReader(path)
        seen: list[int] = []
        cursor: list[tuple[str, str]] = []
        waiting = list(late)
        while True:
            query = parse_trace_query([("limit", str(limit)), ("model", model or ""), *cursor])
            page = reader.list_traces(query)
            seen += ids(page)
            if page["next_cursor"] is None:
                break
            cursor = [("cursor", str(page["next_cursor"]))]
            if waiting:
                arrive([waiting.pop()])
    assert len(seen) == len(set(seen))
    first = set(range(1, len(starts) + 1))
    assert first <= set(seen)
    order = [starts[number - 1] for number in seen if number in first]
    assert order == sorted(starts, reverse=True)


def test_trace_of_several_calls_shows_all_their_spans(store: TraceStore, path: Path) -> None:
    """An agent's calls share its trace; spans of the SDK join them."""
    trace = b"t" * 16
    one, two = (make_row(n, trace_id=trace, start_ns=n * NS) for n in (2, 3))
    sdk = CallSpans(1, None, [make_span(trace, b"k" * 8, start_ns=1)])
    store.insert([(1, make_frame(1, make_call(two), make_call(one), sdk))])
    found = TraceReader(path).find_trace(trace)
    assert found is not None
    assert set(found) == {"trace_id", "resource", "spans"}
    assert found["resource"] == {"service.name": "tfy-llm-gateway"}
    spans = found["spans"]
    assert isinstance(spans, list)
    assert [int(span["start_time_unix_nano"]) for span in spans] == [
        1,
        2 * NS,
        2 * NS + 1,
        3 * NS,
        3 * NS + 1,
    ]
    assert TraceReader(path).find_trace(b"x" * 16) is None


def test_endless_trace_is_cut_and_says_so(store: TraceStore, path: Path) -> None:
    """A client may send one trace id for ever."""
    calls = [make_call(make_row(n, trace_id=b"t" * 16)) for n in (1, 2, 3)]
    store.insert([(1, make_frame(1, *calls))])
    found = TraceReader(path, max_calls=2).find_trace(b"t" * 16)
    assert found is not None
    assert found["is_truncated"] is True
    spans = found["spans"]
    assert isinstance(spans, list)
    assert {int(span["span_id"], 16) for span in spans} & {1, 2, 3} == {2, 3}


def test_store_that_is_not_there_yet_is_empty(path: Path) -> None:
    """Control answers before the writer has opened the file."""
    assert TraceReader(path).list_traces(TraceQuery()) == {
        "traces": [],
        "next_cursor": None,
        "searched_back_to": None,
    }
    assert TraceReader(path).find_trace(b"t" * 16) is None
    assert find_stored(path).position is None
    path.touch()
    assert TraceReader(path).list_traces(TraceQuery()) == {
        "traces": [],
        "next_cursor": None,
        "searched_back_to": None,
    }
    assert find_stored(path).position is None


def test_damaged_store_is_unavailable(path: Path) -> None:
    """Named as what it is, and no foreign exception."""
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(StoreUnavailableError):
        TraceReader(path).list_traces(TraceQuery())
    assert find_stored(path).position is None


def test_long_search_is_ended(store: TraceStore, path: Path) -> None:
    """Somebody's search for nothing must not hold a thread."""
    store.insert([(1, frame_of(1, *range(1, 3000)))])
    ticks = itertools.count()
    reader = TraceReader(path, time_limit_s=0.5, monotonic_s=lambda: float(next(ticks)))
    with pytest.raises(QueryTimeoutError, match="narrow"):
        reader.list_traces(TraceQuery(max_duration_ms=0.0))


def test_a_search_that_takes_long_is_answered_in_part(store: TraceStore, path: Path) -> None:
    """It says how far back it came, and the next page goes on from there."""
    slow = {50, 1500, 2999}
    calls = [
        make_call(make_row(n, start_ns=n * NS, end_ns=n * NS + (2 if n in slow else 1) * NS))
        for n in range(1, 3000)
    ]
    store.insert([(1, make_frame(1, *calls))])
    ticks = itertools.count()
    # No filter of an index: some 15 checks for all of them.
    query = TraceQuery(min_duration_ms=1.0, max_duration_ms=1e9, is_error=False, limit=4)
    query = replace(query, asked="openai-main/gpt-4o", caller="app1", min_duration_ms=1500.0)
    seen: list[int] = []
    stops = 0
    for _ in range(100):
        reader = TraceReader(path, monotonic_s=lambda: next(ticks) * 0.012)
        page = reader.list_traces(query)
        seen += ids(page)
        if page["next_cursor"] is None:
            break
        stops += page["searched_back_to"] is not None
        query = replace(query, cursor=parse_trace_query([("cursor", str(page["next_cursor"]))]).cursor)
    assert seen == sorted(slow, reverse=True)
    assert stops > 0


def test_reading_beside_the_writer(store: TraceStore, path: Path) -> None:
    """A page is whole while batches are stored."""
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        reader = TraceReader(path)
        while not done.is_set():
            try:
                assert len(ids(reader.list_traces(TraceQuery(limit=1000)))) % 10 == 0
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(1, 31):
        store.insert([(number, frame_of(number, *range(number * 10, number * 10 + 10)))])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert trace_id_of(10).hex() in str(TraceReader(path).find_trace(trace_id_of(10)))


def test_who_has_called(store: TraceStore, path: Path) -> None:
    """Each user once, and the spans of calls that are new since a call, the newest of them."""
    assert TraceReader(path.with_name("absent.db")).find_users() == frozenset()
    assert TraceReader(path.with_name("absent.db")).read_new_spans(0, 5) == (0, [])
    callers = (("ann@x.io", "user"), ("app", "virtualaccount"), ("bob@x.io", "user"), ("ann@x.io", "user"))
    rows = [make_row(number, caller=name, caller_kind=kind) for number, (name, kind) in enumerate(callers, 1)]
    store.insert([(number, make_frame(number, make_call(row))) for number, row in enumerate(rows, 1)])
    reader = TraceReader(path)
    assert reader.find_users() == {"ann@x.io", "bob@x.io"}, (
        "an account that is no more would be taken for a user"
    )
    last, messages = reader.read_new_spans(0, 2)
    assert len(messages) == 2
    assert reader.read_new_spans(last, 2) == (last, [])
    assert len(reader.read_new_spans(last - 1, 2)[1]) == 1
