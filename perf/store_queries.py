"""`python -m perf.store_queries`: the local store with a million calls, in this process, without a gateway.

It writes a store as the control process does, frame by frame, and says what a call cost it; then it asks what
the dashboard's pages ask, each question many times, and says how long the slower answers took. Above each
answer: whether SQLite had to look at all calls.

The calls are of 30 days, of 20 models, 12 targets, 200 callers, 12 teams and 4 keys of metadata, one of them
another for each call; 3 of 100 fail.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from gateway.process import Clock, Pauses
from gateway.tracestore.list_sql import list_sql
from gateway.tracestore.metrics_query import parse_metrics_query
from gateway.tracestore.query import parse_trace_query
from gateway.tracestore.reader import TraceReader, find_for_search
from gateway.tracestore.store import Limits, TraceStore
from gateway.tracestore.timestamps import format_rfc3339
from gateway.wire.frames import CallSpans, RowsFrame, SpanSegments, StoreRow, ToldCall
from gateway.wire.otlp import AttributeKey, SpanKind, resource_attributes, span_head, span_name
from perf.process import stop_as_on_interrupt

DAY_S: Final = 86_400
NS: Final = 1_000_000_000
CALLS_A_FRAME: Final = 50
FRAMES_AT_ONCE: Final = 10
DAYS: Final = 30
_LIMITS: Final = Limits(max_age_s=365.0 * DAY_S)
_MODELS: Final = [f"vm/model-{number}" for number in range(20)]
_TARGETS: Final = [f"account-{number % 4}/model-{number}" for number in range(12)]
_CALLERS: Final = [f"app-{number}" for number in range(120)] + [f"ann{number}@x.io" for number in range(80)]
_ATTRIBUTES: Final = b"".join(
    AttributeKey(f"gen_ai.some.attribute.{number}").text(f"a value of it {number}") for number in range(20)
)


def make_calls(number: int, until_s: float, random: Random) -> Iterator[CallSpans]:
    """So many calls of the days before *until_s*, in their order."""
    for index in range(number):
        start_ns = int((until_s - DAYS * DAY_S * (1 - index / number)) * NS)
        caller = random.choices(range(200), weights=[1 / (rank + 1) for rank in range(200)])[0]
        model = random.choices(range(20), weights=[1 / (rank + 1) for rank in range(20)])[0]
        is_error = random.random() < 0.03
        took_ns = int(random.lognormvariate(20.5, 1.0))
        is_stream = random.random() < 0.6
        row = StoreRow(
            random.randbytes(16),
            random.randbytes(8),
            "POST /v1/chat/completions",
            start_ns,
            start_ns + took_ns,
            random.choice((429, 502, 503)) if is_error else 200,
            is_error,
            random.choice(("rate_limit_exceeded", "upstream_timeout")) if is_error else "",
            _MODELS[model],
            "" if is_error else _TARGETS[(model + caller) % 12],
            _CALLERS[caller],
            1,
            is_stream,
            took_ns / 3e6 if is_stream else None,
            random.randrange(20, 4_000),
            random.randrange(5, 800),
            "provider",
            random.lognormvariate(-7, 1.5),
            "virtualaccount" if caller < 120 else "user",
            (f"team-{caller % 12}",),
            None,
            {
                "environment": random.choice(("production", "staging")),
                "feature": f"feature-{random.randrange(40)}",
                "customer": f"customer-{int(random.paretovariate(0.6)) % 5_000}",
                "request": f"{random.getrandbits(64):016x}",
            },
        )
        yield CallSpans(1, row, make_spans(row))


def make_spans(row: StoreRow) -> list[SpanSegments]:
    """Two spans of a call, of the size that they have without content."""
    return [_span(row, "server"), _span(row, "client")]


def _span(row: StoreRow, name: str) -> SpanSegments:
    head = span_head(
        trace_id=row.trace_id,
        span_id=row.span_id,
        parent_span_id=b"",
        trace_state="",
        flags=0x101,
        named=span_name(name, SpanKind.SERVER),
        start_ns=row.start_ns,
        end_ns=row.end_ns,
    )
    return SpanSegments(head + _ATTRIBUTES, b"")


def fill(path: Path, number: int, until_s: float) -> float:
    """Write a store and give the CPU time of the writer for a call, in microseconds."""
    now = [until_s - DAYS * DAY_S]
    resource = resource_attributes({"service.name": "tfy-llm-gateway"})
    # Nothing else runs here that the writer would have to pause for.
    pauses = Pauses(Clock(sleep=lambda _s: None))
    calls = make_calls(number, until_s, Random(9))
    spent_s = 0.0
    with closing(TraceStore(path, _LIMITS, now_s=lambda: now[0], pauses=pauses)) as store:
        sequence = 0
        while True:
            frames = []
            for _ in range(FRAMES_AT_ONCE):
                found: list[CallSpans | ToldCall] = [
                    call for call, _ in zip(calls, range(CALLS_A_FRAME), strict=False)
                ]
                if found:
                    sequence += 1
                    frames.append((sequence, RowsFrame("w1", 1, sequence, "v1", resource, found)))
                    row = found[-1].row
                    assert row is not None  # noqa: S101 - as made above
                    now[0] = row.end_ns / NS
            if not frames:
                return spent_s / number * 1e6
            began_s = time.thread_time()
            store.insert(frames)
            store.trim()
            spent_s += time.thread_time() - began_s


def searches(until_s: float) -> dict[str, list[tuple[str, str]]]:
    """Parameters of `GET /api/traces`, by what is looked for."""
    day_ago = format_rfc3339(int((until_s - 15 * DAY_S) * NS))
    return {
        "the newest": [],
        "errors": [("status", "error")],
        "a status code": [("status", "429")],
        "a model": [("model", _MODELS[19])],
        "a target": [("target", _TARGETS[3])],
        "a user": [("user", "ann7@x.io")],
        "a team": [("team", "team-3")],
        "errors of a caller": [("caller", "app-100"), ("status", "error")],
        "slower than a minute": [("min_duration_ms", "60000")],
        "slower than ten seconds, in the middle": [("min_duration_ms", "10000"), ("until", day_ago)],
        "dearer than half a dollar": [("min_cost_usd", "0.5")],
        "an error": [("error_type", "upstream_timeout")],
        "one member of metadata": [("metadata.feature", "feature-7")],
        "two members of metadata": [
            ("metadata.customer", "customer-12"),
            ("metadata.environment", "staging"),
        ],
        "part of a value of metadata": [("q", "customer-1234")],
        "part of a name": [("q", "app-11")],
        "text that many have": [("q", "feature")],
        "text that none has": [("q", "nowhere to be found")],
        "part of values that few calls have each": [("q", "0f3a")],
        "many of one, none of both": [("caller", "app-0"), ("team", "team-5")],
        "slow errors of a team": [("team", "team-3"), ("status", "error"), ("min_duration_ms", "200000")],
        "what no call is, of what many are": [("model", _MODELS[0]), ("status", "418")],
    }


def figures(until_s: float) -> dict[str, list[tuple[str, str]]]:
    """Parameters of `GET /api/metrics/query`, by what is asked."""
    asked = {}
    for name, days in (("an hour", 1 / 24), ("a day", 1.0), ("a week", 7.0), ("thirty days", 30.0)):
        since = ("since", format_rfc3339(int((until_s - days * DAY_S) * NS)))
        until = ("until", format_rfc3339(int(until_s * NS)))
        asked[name] = [since, until]
        for split in ("model", "user", "team", "status", "metadata.feature"):
            asked[f"{name} by {split}"] = [since, until, ("split_by", split)]
        asked[f"{name} of a model by account"] = [
            *(since, until, ("model", _MODELS[2]), ("split_by", "virtual_account"))
        ]
        asked[f"{name} of an account by model"] = [
            *(since, until, ("virtual_account", "app-3"), ("split_by", "model"))
        ]
    return asked


def time_of(ask: Callable[[], object], times: int) -> list[float]:
    """Milliseconds of each of so many answers."""
    found = []
    for _ in range(times):
        began_s = time.perf_counter()
        ask()
        found.append((time.perf_counter() - began_s) * 1e3)
    return found


def is_scan(path: Path, parameters: list[tuple[str, str]]) -> bool:
    """Whether SQLite would look at all calls, in no order of an index."""
    query = parse_trace_query(parameters)
    with closing(sqlite3.connect(path)) as db:
        sql, values = list_sql(query, find_for_search(db, query))
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    return any(step.startswith("SCAN calls") and "INDEX" not in step for step in plan)


def measure(path: Path, until_s: float, times: int) -> Iterator[tuple[str, list[float], bool]]:
    """Each question with the milliseconds of its answers, and whether all calls are looked at for it."""
    reader = TraceReader(path)
    for name, parameters in searches(until_s).items():
        query = parse_trace_query(parameters)
        yield (
            f"traces: {name}",
            time_of(partial(reader.list_traces, query), times),
            is_scan(path, parameters),
        )
    for name, parameters in figures(until_s).items():
        asked = parse_metrics_query(parameters)
        yield f"metrics: {name}", time_of(partial(reader.query_metrics, asked), times), False


def main() -> int:
    """Fill, measure and print; 1 when an answer took longer than promised."""
    parser = argparse.ArgumentParser(prog="python -m perf.store_queries", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=20, help="that each question is asked")
    parser.add_argument("--store", type=Path, help="a file that is kept, and used again when it is there")
    parser.add_argument("--promised-ms", type=float, default=100.0, help="95 of 100 answers take no longer")
    arguments = parser.parse_args()
    if arguments.calls < 1 or arguments.times < 2:
        parser.error("a call or more, and two times or more: of one there is no percentile")
    stop_as_on_interrupt()  # a store of a gigabyte is not left behind
    # A whole day in the past, so that a store that is used again has the same answers.
    until_s = time.time() // DAY_S * DAY_S
    with TemporaryDirectory() as folder:
        path = arguments.store or Path(folder) / "traces.db"
        if not path.exists():
            cost_us = fill(path, arguments.calls, until_s)
            print(f"writer\t{cost_us:.1f} us of CPU a call\t{path.stat().st_size / 1e6:.0f} MB", flush=True)
        slowest: list[float] = []
        for name, found, looks_at_all in measure(path, until_s, arguments.times):
            p95_ms = statistics.quantiles(found, n=20)[18]
            note = "\tlooks at all calls" if looks_at_all else ""
            print(f"{name}\tp50 {statistics.median(found):.1f} ms\tp95 {p95_ms:.1f} ms{note}", flush=True)
            slowest += found
        p95_ms = statistics.quantiles(slowest, n=20)[18]
        print(f"all answers\tp95 {p95_ms:.1f} ms\tslowest {max(slowest):.1f} ms")
        return 0 if p95_ms <= arguments.promised_ms else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
