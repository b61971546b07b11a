"""Names that calls have had, for looking up what was counted for them."""

from __future__ import annotations

import json

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from gateway.control import seen_calls
from gateway.control.seen_calls import SeenCalls
from gateway.tracestore.reader import StoreUnavailableError
from tests.unit.doubles import Clock


def call(text: str) -> bytes:
    attributes = [
        KeyValue(key="gateway.caller", value=AnyValue(string_value="app")),
        KeyValue(key="gateway.metadata", value=AnyValue(string_value=text)),
    ]
    return ScopeSpans(spans=[Span(attributes=attributes)]).SerializeToString()


class Stored:
    """A store that gives these calls, a batch each time it is asked."""

    def __init__(self, *batches: list[bytes]) -> None:
        self.batches = list(batches)
        self.asked: list[int] = []
        self.failure: Exception | None = None

    def find_users(self) -> frozenset[str]:
        if self.failure is not None:
            raise self.failure
        return frozenset({"app"})

    def read_new_spans(self, after_id: int, limit: int) -> tuple[int, list[bytes]]:
        self.asked.append(after_id)
        batch = self.batches.pop(0) if self.batches else []
        return after_id + len(batch), batch[:limit]


def test_values_add_up() -> None:
    """What was seen stays; what is new is read, and not more often than every few seconds."""
    stored = Stored([call(json.dumps({"topic": "maps"}))] * 2, [call(json.dumps({"topic": "news", "n": 1}))])
    clock = Clock(100.0)
    seen = SeenCalls(stored, clock_s=clock)
    assert (set(seen.find().users), seen.find().metadata) == ({"app"}, {"topic": ("maps",)})
    clock.now_s += 4
    assert seen.find().metadata == {"topic": ("maps",)}
    clock.now_s += 2
    assert seen.find().metadata == {"topic": ("maps", "news"), "n": ()}
    assert stored.asked == [0, 2]


def test_what_cannot_be_read() -> None:
    """It is missing, and asked for again later."""
    clock = Clock(0.0)
    stored = Stored([b"\xff"], [call("no json"), call("[1]"), call('{"topic":"maps"}')])
    seen = SeenCalls(stored, clock_s=clock)
    assert seen.find().metadata == {}
    stored.failure = StoreUnavailableError("locked")
    clock.now_s += 6
    assert seen.find().metadata == {}
    stored.failure = None
    clock.now_s += 6
    assert seen.find().metadata == {"topic": ("maps",)}


def test_one_that_cannot_be_read_hides_no_other() -> None:
    """It is left out, counted, and the others of its batch are known."""
    seen = SeenCalls(
        Stored([call('{"topic":"maps"}'), b"\xff", call('{"topic":"news"}')]), clock_s=Clock(0.0)
    )
    assert seen.find().metadata == {"topic": ("maps", "news")}
    assert seen.unreadable == 1


def test_callers_write_what_they_like() -> None:
    """So there is a bound to keys and to values."""
    keys = [call(json.dumps({f"k{number}": "v"})) for number in range(seen_calls._MOST_KEYS + 5)]
    values = [call(json.dumps({"k0": str(number)})) for number in range(seen_calls._MOST_VALUES + 5)]
    clock = Clock(0.0)
    seen = SeenCalls(
        Stored(keys, *[values[at : at + 500] for at in range(0, len(values), 500)]), clock_s=clock
    )
    for _ in range(30):
        clock.now_s += 6
        found = seen.find().metadata
    assert len(found) == seen_calls._MOST_KEYS
    assert len(found["k0"]) == seen_calls._MOST_VALUES
