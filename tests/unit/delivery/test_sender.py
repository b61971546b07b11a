"""A sender: every span ends in exactly one count, and what failed is tried again as OTLP says."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.delivery.batch import BatchLimits
from gateway.delivery.destination import Destination, MaskBits
from gateway.delivery.outcome import Outcome, Verdict
from gateway.delivery.sender import Pacing, Sender
from gateway.delivery.spool import Spool
from tests.rig.frame_maker import make_call, make_payload
from tests.rig.until import until_async

DELIVERED = Outcome(Verdict.DELIVERED, 200)
DESTINATION = Destination("elastic", "https://u:p@host/v1/traces?key=s", {"Authorization": "k"}, {}, 0)


class FakeExchange:
    """Answers as scripted, then delivers everything."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.bodies: list[ExportTraceServiceRequest] = []
        self.destinations: list[Destination] = []
        self.on_post: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        self.destinations.append(destination)
        self.bodies.append(ExportTraceServiceRequest.FromString(gzip.decompress(body)))
        self.on_post()
        await self.gate.wait()
        return self.outcomes.pop(0) if self.outcomes else DELIVERED

    async def close(self) -> None:
        self.is_closed = True

    def names(self) -> list[str]:
        return [
            span.name
            for body in self.bodies
            for group in body.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]


class FakeTime:
    """Waits take no time; they are written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def pacing(self) -> Pacing:
        return Pacing(now_s=lambda: 1_700_000_000.0, random=Random(1), wait=self.wait)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        await asyncio.sleep(0)
        return event.is_set()


class Bench:
    """A spool, a sender and a fake endpoint."""

    def __init__(self, folder: Path) -> None:
        self.spool = Spool(folder)
        self.reader = self.spool.reader("elastic")
        self.time = FakeTime()
        self.exchange = FakeExchange()
        self.bits = MaskBits()
        self.sender = self.make_sender()

    def make_sender(
        self, destination: Destination = DESTINATION, limits: BatchLimits | None = None
    ) -> Sender:
        self.sender = Sender(
            destination, self.reader, self.exchange, self.bits, limits=limits, pacing=self.time.pacing()
        )
        return self.sender

    def append(self, count: int, first: int = 1) -> None:
        for n in range(first, first + count):
            self.spool.append(make_payload(n))
            self.sender.frame_arrived(100)

    async def drain(self) -> None:
        self.sender.drain()
        await self.sender.run()

    async def run_through(self, *outcomes: Outcome) -> None:
        """Run until the endpoint has given all of *outcomes* and one success more."""
        self.exchange.outcomes = list(outcomes)
        task = asyncio.ensure_future(self.sender.run())
        await until_async(lambda: self.sender.ledger.exported, what="a delivered batch")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def ledger(self) -> dict[str, Any]:
        """The counts, after a look whether they add up."""
        counts = self.sender.entry()["ledger"]
        parts = ["exported", "rejected", "filtered_out", "sampled_out", "queued", "in_flight", "spooled"]
        assert counts["created"] == sum(counts[part] for part in parts) + counts["dropped"]["total"]
        assert counts["dropped"]["total"] == sum(counts["dropped"]["by_reason"].values())
        assert all(counts[part] >= 0 for part in parts)
        return {name: value for name, value in counts.items() if value}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.spool.close()


def dropped(**by_reason: int) -> dict[str, Any]:
    return {"total": sum(by_reason.values()), "by_reason": by_reason}


NOTHING = dropped()


async def test_what_is_spooled_is_sent_and_passed(bench: Bench) -> None:
    """Success moves the cursor and the counts."""
    bench.append(3)
    assert bench.ledger() == {"created": 3, "spooled": 3, "dropped": NOTHING}
    await bench.drain()
    assert bench.exchange.names() == ["span-1", "span-2", "span-3"]
    assert bench.ledger() == {"created": 3, "exported": 3, "dropped": NOTHING}
    assert bench.reader.settled == 3
    entry = bench.sender.entry()
    assert entry["state"] == "ok"
    assert entry["last_success_at"] == "2023-11-14T22:13:20.000Z"
    assert entry["last_error"] is None
    assert entry["endpoint"] == "https://host/v1/traces"


async def test_batches_are_cut_at_the_limits(bench: Bench) -> None:
    """No request has more spans than it may."""
    bench.make_sender(limits=BatchLimits(max_spans=2))
    bench.append(5)
    await bench.drain()
    assert len(bench.exchange.bodies) == 3
    assert bench.exchange.names() == [f"span-{n}" for n in range(1, 6)]


async def test_a_full_batch_does_not_wait_and_a_small_one_waits_once(bench: Bench) -> None:
    """At the limit it goes at once, else after the delay."""
    bench.make_sender(limits=BatchLimits(max_spans=2, max_delay_s=0.7))
    bench.append(2)
    await bench.run_through()
    assert 0.7 not in bench.time.waits
    bench.append(1, first=3)
    bench.sender.ledger.exported = 0
    await bench.run_through()
    assert bench.time.waits.count(0.7) == 1
    assert len(bench.exchange.bodies) == 2


async def test_the_counts_while_a_request_is_on_its_way(bench: Bench) -> None:
    """What is sent and not answered is in flight; when we are cut off there, it is sent again."""
    bench.append(2)
    bench.exchange.gate.clear()
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.exchange.bodies, what="the request")
    bench.append(1, first=3)
    assert bench.ledger() == {"created": 3, "in_flight": 2, "spooled": 1, "dropped": NOTHING}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.ledger() == {"created": 3, "queued": 2, "spooled": 1, "dropped": NOTHING}
    assert bench.reader.settled == 0
    bench.exchange.gate.set()
    await bench.drain()  # the same sender goes on with the batch in its hand
    assert bench.exchange.names() == ["span-1", "span-2", "span-1", "span-2", "span-3"]
    assert bench.ledger() == {"created": 3, "exported": 3, "dropped": NOTHING}


async def test_a_failing_endpoint_is_tried_again_with_back_off(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The same batch, growing waits, Retry-After as a floor; told once in the log."""
    caplog.set_level(logging.INFO)
    busy = Outcome(Verdict.RETRY, 429, "HTTP 429: slow down", retry_after_s=77.0)
    gone = Outcome(Verdict.RETRY, None, "ClientConnectorError: refused")
    bench.append(2)
    await bench.run_through(gone, gone, busy)
    assert bench.exchange.names() == ["span-1", "span-2"] * 4
    random = Random(1)
    back_offs = [wait for wait in bench.time.waits if wait not in (1.0, 60.0)]
    assert back_offs == [random.uniform(0, 1), random.uniform(0, 2), 77.0]
    assert bench.ledger() == {"created": 2, "exported": 2, "dropped": NOTHING}
    error = bench.sender.entry()["last_error"]
    assert (error["status"], error["message"]) == (429, "HTTP 429: slow down")
    assert error["advice"]
    assert bench.sender.entry()["state"] == "ok"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_failing_endpoint_shows_and_keeps_what_waits(bench: Bench) -> None:
    """Draining tries once and leaves the rest in the spool."""
    bench.exchange.outcomes = [Outcome(Verdict.RETRY, 503, "HTTP 503")]
    bench.append(2)
    await bench.drain()
    assert bench.sender.entry()["state"] == "retrying"
    assert bench.ledger() == {"created": 2, "queued": 2, "dropped": NOTHING}
    assert bench.reader.settled == 0


async def test_a_refused_batch_is_dropped_and_counted(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The same bytes would be refused again; the next batch is tried; told once in the log."""
    bench.make_sender(limits=BatchLimits(max_spans=1))
    bench.exchange.outcomes = [
        Outcome(Verdict.REFUSED, 400, "HTTP 400: bad"),
        Outcome(Verdict.REFUSED, 400, "HTTP 400: bad"),
        Outcome(Verdict.REFUSED, 401, "HTTP 401: key"),
    ]
    bench.append(4)
    await bench.drain()
    assert bench.ledger() == {"created": 4, "exported": 1, "dropped": dropped(http_400=2, http_401=1)}
    assert bench.reader.settled == 4
    assert [record.getMessage() for record in caplog.records] == [
        "elastic: spans are refused and dropped: HTTP 400: bad",
        "elastic: spans are refused and dropped: HTTP 401: key",
    ]


async def test_partial_success_is_counted_and_not_repeated(bench: Bench) -> None:
    """Spans that the endpoint rejects are neither exported nor sent again."""
    bench.exchange.outcomes = [Outcome(Verdict.DELIVERED, 200, "too old", rejected=2)]
    bench.append(3)
    await bench.drain()
    assert len(bench.exchange.bodies) == 1
    assert bench.ledger() == {"created": 3, "exported": 1, "rejected": 2, "dropped": NOTHING}
    assert bench.sender.entry()["last_error"]["message"] == "2 spans rejected: too old"


async def test_more_rejected_than_sent_is_all_rejected(bench: Bench) -> None:
    """An endpoint that cannot count does not break our sums."""
    bench.exchange.outcomes = [Outcome(Verdict.DELIVERED, 200, "", rejected=99)]
    bench.append(1)
    await bench.drain()
    assert bench.ledger() == {"created": 1, "rejected": 1, "dropped": NOTHING}


async def test_calls_for_others_are_sampled_out(bench: Bench) -> None:
    """The mask decides, by the place that the destination had in the call's version."""
    bench.bits.note("v1", [Destination("other", "", {}, {}, 0), Destination("elastic", "", {}, {}, 1)])
    bench.spool.append(make_payload(1, make_call("mine", mask=0b10), make_call("not", "mine", mask=0b01)))
    bench.spool.append(make_payload(2, make_call("nobodys", mask=0)))
    await bench.drain()
    assert bench.exchange.names() == ["mine"]
    assert bench.ledger() == {"created": 4, "exported": 1, "sampled_out": 3, "dropped": NOTHING}


async def test_a_stretch_that_is_not_for_us_moves_the_cursor(bench: Bench) -> None:
    """No request is needed to pass calls of others."""
    for n in range(1, 4):
        bench.spool.append(make_payload(n, make_call("x", mask=0)))
    await bench.drain()
    assert bench.exchange.bodies == []
    assert bench.reader.settled == 3


async def test_a_frame_that_cannot_be_read_is_counted(bench: Bench) -> None:
    """A frame of another version of the protocol does not stop those after it."""
    bench.append(1)
    bench.spool.append(make_payload(2).replace(b"\xc0", b"\x07"))  # a number where the row or nil belongs
    row = b"\xdc\x00\x12" + b"\xc4\x00" * 2 + b"\xa1\xff" * 16  # as long as a row, and no UTF-8 in it
    bench.spool.append(make_payload(3).replace(b"\xc0", row))
    bench.spool.append(make_payload(4))
    await bench.drain()
    assert bench.exchange.names() == ["span-1", "span-4"]
    assert bench.ledger() == {"created": 4, "exported": 2, "dropped": dropped(unreadable=2)}


async def test_a_span_too_large_is_counted(bench: Bench) -> None:
    """What no request can carry is dropped by reason."""
    bench.spool.append(make_payload(1, make_call("large", size_bytes=4_000_000), make_call("small")))
    await bench.drain()
    assert bench.exchange.names() == ["small"]
    assert bench.ledger() == {"created": 2, "exported": 1, "dropped": dropped(too_large=1)}


async def test_a_change_ends_the_back_off(bench: Bench) -> None:
    """A mended key is used at once, for the batch that waits too."""
    mended = Destination("elastic", "https://host/v1/traces", {"Authorization": "new"}, {"team": "a"}, 0)
    bench.exchange.outcomes = [Outcome(Verdict.RETRY, 503, "HTTP 503")]
    bench.exchange.on_post = lambda: bench.sender.replace(mended)
    bench.append(1)
    await bench.run_through(Outcome(Verdict.RETRY, 503, "HTTP 503"))
    assert bench.exchange.destinations == [DESTINATION, mended]
    assert bench.sender.destination == mended


async def test_a_disabled_destination_keeps_its_calls(bench: Bench) -> None:
    """A missing secret loses nothing: they go out when it is there."""
    disabled = Destination("elastic", "https://host/v1/traces", {}, {}, 0, disabled="env:KEY is not set")
    bench.make_sender(disabled)
    bench.append(2)
    await bench.drain()
    entry = bench.sender.entry()
    assert (entry["state"], entry["last_error"]["message"]) == ("disabled", "env:KEY is not set")
    assert bench.exchange.bodies == []
    assert bench.ledger() == {"created": 2, "queued": 2, "dropped": NOTHING}
    bench.sender.replace(DESTINATION)
    await bench.drain()
    assert bench.sender.entry()["state"] == "ok"
    assert bench.ledger() == {"created": 2, "exported": 2, "dropped": NOTHING}


async def test_closing_closes_the_connections(bench: Bench) -> None:
    """Nothing stays open."""
    await bench.sender.close()
    assert bench.exchange.is_closed
