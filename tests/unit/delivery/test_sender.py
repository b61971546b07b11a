"""A sender: every span ends in exactly one count, and what failed is tried again as OTLP says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace as changed
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.delivery.batch import Batch, BatchLimits, Run
from gateway.delivery.chain import Pacing
from gateway.delivery.destination import Destination
from gateway.delivery.journal import Entry
from gateway.delivery.mask_bits import MaskBits
from gateway.delivery.outcome import Outcome, Verdict
from gateway.delivery.selection import Selection, SpanFilter
from gateway.delivery.sender import Sender
from gateway.delivery.spool import Spool
from gateway.wire.frames import CallSpans, SpanSegments, encode_payload
from gateway.wire.otlp import AttributeKey
from tests.rig.frame_maker import make_brief, make_brief_frame, make_call, make_payload, make_span
from tests.rig.until import until_async

DELIVERED = Outcome(Verdict.DELIVERED, 200)
DESTINATION = Destination("elastic", "https://u:p@host/v1/traces?key=s", {"Authorization": "k"}, {}, 0)


class FakeExchange:
    """Answers as scripted, then delivers everything."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.unscripted = 0
        self.bodies: list[ExportTraceServiceRequest] = []
        self.destinations: list[Destination] = []
        self.on_post: Callable[[], None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_closed = False

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        self.destinations.append(destination)
        self.bodies.append(ExportTraceServiceRequest.FromString(body))
        self.on_post()
        await self.gate.wait()
        if self.outcomes:
            return self.outcomes.pop(0)
        self.unscripted += 1
        return DELIVERED

    async def close(self) -> None:
        self.is_closed = True

    def batches(self) -> list[list[str]]:
        return [
            [
                span.name
                for group in body.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]
            for body in self.bodies
        ]

    def names(self) -> list[str]:
        return [name for names in self.batches() for name in names]


class FakeTime:
    """Waits take no time; they are written down."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.clock_s = 0.0

    def pacing(self) -> Pacing:
        return Pacing(
            now_s=lambda: 1_700_000_000.0,
            random=Random(1),
            wait=self.wait,
            clock_s=lambda: self.clock_s,
        )

    async def wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self.clock_s += timeout_s
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
        before, unscripted = self.exported(), self.exchange.unscripted
        await until_async(
            lambda: self.exchange.unscripted > unscripted and self.exported() > before,
            what="a delivered batch",
        )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def exported(self) -> int:
        count: int = self.sender.entry()["ledger"]["exported"]
        return count

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
    # One for each thing that was the matter, not for each try.
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]


async def test_an_endpoint_that_takes_nothing_is_not_ok(bench: Bench) -> None:
    """All it gets is lost: that shows, with what to do, until it takes something."""
    bench.exchange.outcomes = [Outcome(Verdict.REFUSED, 404, "HTTP 404")]
    task = asyncio.ensure_future(bench.sender.run())
    bench.append(2)
    await until_async(lambda: bench.sender.entry()["state"] == "refusing", what="a refusal")
    assert bench.sender.entry()["last_error"]["advice"]
    bench.append(1, first=3)
    await until_async(lambda: bench.sender.entry()["state"] == "ok", what="a delivered batch")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.ledger()["dropped"] == {"total": 2, "by_reason": {"non_retryable_404": 2}}


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
        Outcome(Verdict.REFUSED, 415, "HTTP 415: form"),
    ]
    bench.append(4)
    await bench.drain()
    assert bench.ledger() == {
        "created": 4,
        "exported": 1,
        "dropped": dropped(non_retryable_400=2, non_retryable_415=1),
    }
    assert bench.reader.settled == 4
    assert [record.getMessage().split(". ")[0] for record in caplog.records] == [
        "elastic: spans are refused and dropped: HTTP 400: bad",
        "elastic: spans are refused and dropped: HTTP 415: form",
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
    assert bench.sender.entry()["last_error"]["message"].startswith("1 spans rejected")


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
    for n, span in ((2, 7), (3, [b"plain", "no bytes"])):
        fields = msgspec.msgpack.decode(make_payload(n))
        fields[5][0][2] = [span]
        bench.spool.append(msgspec.msgpack.encode(fields))
    bench.spool.append(make_payload(4))
    await bench.drain()
    assert bench.exchange.names() == ["span-1", "span-4"]
    assert bench.ledger() == {"created": 4, "exported": 2, "dropped": dropped(unreadable=2)}


async def test_the_row_of_a_call_is_not_looked_at(bench: Bench) -> None:
    """It is the local store's: one of another version keeps no span from going out."""
    bench.spool.append(make_payload(1).replace(b"\xc0", b"\x07"))
    await bench.drain()
    assert bench.exchange.names() == ["span-1"]


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


CONTENT = AttributeKey("gen_ai.input.messages").text("[...]")
NO_CONTENT = changed(DESTINATION, selection=Selection(has_content=False))


@pytest.mark.parametrize("max_spans", [1, 2, 512])
async def test_a_change_of_what_goes_there_holds_for_what_waits(bench: Bench, max_spans: int) -> None:
    """Prompts that it leaves out do not follow, read from the spool already or not, in a batch or not."""
    bench.make_sender(limits=BatchLimits(max_spans=max_spans))
    call = CallSpans((1 << 64) - 1, None, [make_span("chat", content=CONTENT)])
    for n in (1, 2, 3):
        bench.spool.append(make_payload(n, call))
    bench.exchange.on_post = lambda: bench.sender.replace(NO_CONTENT)
    await bench.run_through(Outcome(Verdict.RETRY, 503, "HTTP 503"))
    await bench.drain()
    with_content = [b"gen_ai.input.messages" in body.SerializeToString() for body in bench.exchange.bodies]
    assert with_content == [True] + [False] * (len(with_content) - 1)
    assert bench.ledger() == {"created": 3, "exported": 3, "dropped": NOTHING}
    assert bench.sender.entry()["resent_total"] == 0


async def test_a_change_while_a_batch_gathers_holds_for_it(bench: Bench) -> None:
    """It was read, and has not been sent."""
    bench.spool.append(make_payload(1, CallSpans((1 << 64) - 1, None, [make_span("chat", content=CONTENT)])))
    wait = bench.time.wait

    async def change_meanwhile(event: asyncio.Event, timeout_s: float) -> bool:
        bench.sender.replace(NO_CONTENT)
        return await wait(event, timeout_s)

    bench.sender._pacing = changed(bench.sender._pacing, wait=change_meanwhile)
    await bench.run_through()
    assert b"gen_ai.input.messages" not in bench.exchange.bodies[0].SerializeToString()
    assert bench.ledger() == {"created": 1, "exported": 1, "dropped": NOTHING}


def of_team(name: str) -> Destination:
    """Where only the spans of one team go."""
    return changed(DESTINATION, selection=Selection(filters=(SpanFilter("team", frozenset({name})),)))


def spans_of(*teams: str, first: int = 0) -> CallSpans:
    """A call with a span of each of *teams*, named by it and numbered."""
    spans = []
    for number, team in enumerate(teams, first):
        plain = make_span(f"{team}{number}").plain + AttributeKey("team").text(team)
        spans.append(SpanSegments(plain, b""))
    return CallSpans((1 << 64) - 1, None, spans)


@pytest.mark.parametrize(
    ("team", "names", "counts"),
    [
        ("a", ["a0", "b1", "a2"], {"exported": 2, "filtered_out": 1, "dropped": NOTHING}),
        ("b", ["a0", "b1", "b1"], {"exported": 2, "filtered_out": 1, "dropped": NOTHING}),
        ("c", ["a0", "b1"], {"exported": 1, "filtered_out": 2, "dropped": NOTHING}),
    ],
)
async def test_what_was_delivered_of_a_frame_stays_so_when_filters_change(
    bench: Bench, team: str, names: list[str], counts: dict[str, Any]
) -> None:
    """It is there, whatever the new filter says of it, and does not go out again."""
    bench.make_sender(limits=BatchLimits(max_spans=1))
    bench.spool.append(make_payload(1, spans_of("a", "b", "a")))

    def change_at_the_second() -> None:
        if len(bench.exchange.bodies) == 2:
            bench.sender.replace(of_team(team))

    bench.exchange.on_post = change_at_the_second
    bench.exchange.outcomes = [DELIVERED, Outcome(Verdict.RETRY, 503, "HTTP 503")]
    await bench.drain()
    assert bench.exchange.names() == ["a0", "b1"]
    await bench.drain()
    assert bench.exchange.names() == names
    assert bench.ledger() == {"created": 3, **counts}
    assert bench.sender.entry()["resent_total"] == 0
    assert bench.sender.ledger.journal(bench.reader).counts["exported"] == counts["exported"]
    assert bench.reader.settled == 1


async def test_what_was_delivered_of_a_frame_that_is_gone_counts_as_lost_with_it(tmp_path: Path) -> None:
    """Nobody can tell any more which of its spans it was."""
    bench = Bench(tmp_path)
    bench.spool.close()
    bench.spool = Spool(tmp_path / "small", max_bytes=2_000, segment_bytes=500)
    bench.reader = bench.spool.reader("elastic")
    bench.make_sender(limits=BatchLimits(max_spans=1))
    bench.spool.append(make_payload(1, spans_of("a", "b", "a")))
    bench.exchange.outcomes = [DELIVERED, Outcome(Verdict.RETRY, 503, "HTTP 503")]
    await bench.drain()
    bench.sender.replace(of_team("b"))
    for n in range(2, 12):
        bench.spool.append(make_payload(n, spans_of("b", "c")))
    bench.exchange.bodies.clear()
    await bench.drain()
    counts = bench.ledger()
    lost = counts["dropped"]["by_reason"]["spool_full"]
    kept = len(bench.exchange.names())
    assert counts == {
        "created": 23,
        "exported": kept,
        "filtered_out": kept,
        "dropped": dropped(spool_full=lost),
    }
    assert lost == 23 - 2 * kept > 3
    bench.spool.close()


async def test_calls_that_wait_say_by_which_ratio_they_were_chosen(bench: Bench) -> None:
    """All of them were, whatever the ratio is now: no backend may take one for ten, nor were they kept."""
    bench.bits.note("v1", [changed(DESTINATION, selection=Selection(sampling_ratio=1.0))])
    bench.make_sender(changed(DESTINATION, selection=Selection(sampling_ratio=0.0)))
    bench.append(1)
    await bench.drain()
    (span,) = bench.exchange.bodies[0].resource_spans[0].scope_spans[0].spans
    assert span.trace_state == "ot=th:0"
    assert bench.sender.entry()["kept_unsampled_total"] == 0


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


async def test_a_wrong_key_pauses_and_a_mended_one_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is dropped; the batch in hand is the probe, slowly; one line says what to do."""
    caplog.set_level(logging.INFO)
    denied = Outcome(Verdict.DENIED, 401, "HTTP 401: ApiKey prefix not found, expected ApiKey <value>")
    bench.append(2)
    seen: list[str] = []
    bench.exchange.on_post = lambda: seen.append(bench.sender.entry()["state"])
    await bench.run_through(denied, denied, denied)
    assert seen == ["ok", "paused", "paused", "paused"]
    assert bench.time.waits.count(30.0) == 3
    assert bench.ledger() == {"created": 2, "exported": 2, "dropped": NOTHING}
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert "ApiKey" in caplog.records[0].getMessage()
    assert bench.sender.entry()["state"] == "ok"


async def test_a_mended_key_ends_the_pause(bench: Bench) -> None:
    """A change of the configuration is tried at once, with the new key."""
    mended = Destination("elastic", "https://host/v1/traces", {"Authorization": "new"}, {}, 0)
    bench.exchange.on_post = lambda: bench.sender.replace(mended)
    bench.append(1)
    await bench.run_through(Outcome(Verdict.DENIED, 401, "HTTP 401"))
    assert 30.0 not in bench.time.waits
    assert bench.exchange.destinations == [DESTINATION, mended]


TOO_LARGE = Outcome(Verdict.TOO_LARGE, 413, "HTTP 413")


async def test_a_batch_too_large_goes_in_halves(bench: Bench) -> None:
    """Every span once, in order, and later batches are made no larger than what passed."""
    bench.exchange.outcomes = [TOO_LARGE, TOO_LARGE]
    for n in range(1, 5):
        bench.spool.append(make_payload(n, make_call(f"span-{n}", size_bytes=30_000)))
    await bench.drain()
    sizes = [len(names) for names in bench.exchange.batches()]
    assert sizes == [4, 2, 1, 1, 2]
    assert bench.ledger() == {"created": 4, "exported": 4, "dropped": NOTHING}
    assert bench.reader.settled == 4
    assert bench.sender._batcher.limits.max_bytes < 65_000


async def test_batches_grow_again(bench: Bench) -> None:
    """An endpoint that refused everything for a while has full batches again in the end."""
    bench.make_sender(limits=BatchLimits(max_bytes=70_000))
    for n in range(1, 5):
        bench.spool.append(make_payload(n, make_call(f"span-{n}", size_bytes=30_000)))
    bench.exchange.outcomes = [TOO_LARGE] * 6
    await bench.drain()
    learned = bench.sender._batcher.limits.max_bytes
    assert learned < 35_000
    for n in range(5, 305):
        bench.spool.append(make_payload(n, make_call(f"span-{n}", size_bytes=30_000)))
    bench.exchange.bodies.clear()
    await bench.drain()
    sizes = [len(names) for names in bench.exchange.batches()]
    assert (sizes[0], max(sizes)) == (1, 2)
    assert bench.sender._batcher.limits.max_bytes == 70_000


BACKLOG = BatchLimits(max_spans=2, backlog_spans=10, backlog_bytes=1_000_000)


async def test_batches_are_larger_while_more_waits(bench: Bench) -> None:
    """Twice as large each time that it went quickly, up to what one may carry."""
    bench.make_sender(limits=BACKLOG)
    bench.append(41)
    await bench.drain()
    assert [len(names) for names in bench.exchange.batches()] == [2, 4, 8, 10, 10, 7]
    assert bench.exchange.names() == [f"span-{n}" for n in range(1, 42)]
    assert bench.ledger() == {"created": 41, "exported": 41, "dropped": NOTHING}


NO_ANSWER = Outcome(Verdict.RETRY, None, "no answer within 10 s")


@pytest.mark.parametrize(
    "silence", [NO_ANSWER, Outcome(Verdict.RETRY, 504, "Gateway Timeout")], ids=["none", "a proxy's"]
)
async def test_a_large_batch_that_is_not_answered_goes_in_parts(bench: Bench, silence: Outcome) -> None:
    """As the way may be too slow for one of its size; one of the usual size is tried as it is."""
    bench.make_sender(limits=BACKLOG)
    bench.append(20)
    bench.exchange.outcomes = [DELIVERED, DELIVERED, silence, silence, silence, silence]
    await bench.run_through(*bench.exchange.outcomes)
    sizes = [len(names) for names in bench.exchange.batches()]
    # 2 and 4 were taken; 8, 4 and the 2 of them not.
    assert sizes[:7] == [2, 4, 8, 4, 2, 2, 2]
    bench.ledger()
    await bench.drain()
    assert bench.exchange.names()[-1] == "span-20"
    assert bench.ledger() == {"created": 20, "exported": 20, "dropped": NOTHING}
    assert bench.reader.settled == 20


async def test_a_large_batch_that_certainly_was_not_sent_stays(bench: Bench) -> None:
    """It tells nothing about its size."""
    bench.make_sender(limits=BACKLOG)
    bench.append(6)
    unsent = Outcome(Verdict.RETRY, None, "connection refused", is_unsent=True)
    await bench.run_through(DELIVERED, unsent, unsent)
    await bench.drain()
    assert [len(names) for names in bench.exchange.batches()] == [2, 4, 4, 4]


@pytest.mark.parametrize(
    "refusal",
    [
        Outcome(Verdict.RETRY, 429, "rate: 5 exceeds the burst of 4"),
        Outcome(Verdict.RETRY, 502, "Bad Gateway"),
        Outcome(Verdict.DENIED, 403, "blocked by a rule for bodies"),
        Outcome(Verdict.REFUSED, 400, "length limit exceeded"),
        Outcome(Verdict.REFUSED, 500, "too many spans"),
    ],
    ids=["no room ever", "cut off", "a firewall", "another 413", "an error"],
)
async def test_a_bound_that_is_told_otherwise_loses_and_holds_up_nothing(
    bench: Bench, refusal: Outcome
) -> None:
    """Batches that nobody asked for are not what is lost by; what is as usual goes as it did."""
    bench.make_sender(limits=BACKLOG)
    bench.append(60)
    post = bench.exchange.post

    async def refuse_large(destination: Destination, body: bytes) -> Outcome:
        await post(destination, body)
        return refusal if len(bench.exchange.batches()[-1]) > 4 else DELIVERED

    bench.exchange.post = refuse_large  # type: ignore[method-assign]  # the one method that differs
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.exported() == 60, what="all of them")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert bench.ledger() == {"created": 60, "exported": 60, "dropped": NOTHING}
    sizes = [len(names) for names in bench.exchange.batches()]
    # Found to be there with one request of some.
    assert sizes == [2, 4, 8, *[4] * 8, 8, *[4] * 5, 2]


async def test_what_is_left_of_a_large_batch_is_cut_as_the_last_part_was(bench: Bench) -> None:
    """Else each of its parts would have to find the same bound."""
    bench.make_sender(limits=BACKLOG)
    bench.append(14)
    silence = [NO_ANSWER] * 2
    await bench.run_through(DELIVERED, DELIVERED, *silence)
    await bench.drain()
    assert [len(names) for names in bench.exchange.batches()] == [2, 4, 8, 4, 2, 2, 2, 2]
    assert bench.exchange.names()[-8:] == [f"span-{n}" for n in range(7, 15)]
    assert bench.ledger() == {"created": 14, "exported": 14, "dropped": NOTHING}


async def test_a_refused_batch_of_the_usual_size_is_not_tried_in_parts(bench: Bench) -> None:
    """So much was always lost by one span that an endpoint does not want, and no more is by larger ones."""
    bench.make_sender(limits=BACKLOG)
    bench.append(10)
    refused = Outcome(Verdict.REFUSED, 400, "HTTP 400")
    bench.exchange.outcomes = [DELIVERED, refused, refused]
    await bench.drain()
    assert [len(names) for names in bench.exchange.batches()] == [2, 4, 2, 2, 4]
    assert bench.ledger() == {"created": 10, "exported": 8, "dropped": dropped(non_retryable_400=2)}


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"endpoint": "https://other/v1/traces"}, [2, 2, 4, 6]),
        ({"limits": BatchLimits(max_spans=1)}, [1] * 14),
        ({"limits": BatchLimits(max_spans=20, max_bytes=10)}, [1] * 14),
    ],
    ids=["elsewhere", "spans", "bytes"],
)
async def test_a_change_holds_for_the_batch_in_hand(
    bench: Bench, change: dict[str, Any], sizes: list[int]
) -> None:
    """Also one that began large; and of a new endpoint nobody knows how much it takes."""
    destination = changed(DESTINATION, limits=BACKLOG)
    bench.make_sender(destination)
    bench.append(20)
    bench.exchange.outcomes = [DELIVERED, DELIVERED]
    bench.exchange.on_post = lambda: bench.exchange.gate.clear() if len(bench.exchange.bodies) == 3 else None
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: len(bench.exchange.bodies) == 3, what="a large batch on its way")
    bench.exchange.outcomes = [NO_ANSWER]
    bench.sender.replace(changed(destination, **change))
    bench.exchange.gate.set()
    await until_async(lambda: bench.exported() == 20, what="all of them")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [len(names) for names in bench.exchange.batches()] == [2, 4, 8, *sizes]
    assert bench.exchange.names()[-14:] == [f"span-{n}" for n in range(7, 21)]
    assert bench.ledger() == {"created": 20, "exported": 20, "dropped": NOTHING}


async def test_an_endpoint_that_was_away_is_not_slow(bench: Bench) -> None:
    """What counts is how long it takes for the try that it answers."""
    bench.make_sender(limits=BACKLOG)
    bench.append(14)
    unsent = Outcome(Verdict.RETRY, None, "connection refused", is_unsent=True)
    await bench.run_through(*[unsent] * 9)
    assert bench.time.clock_s > 10
    await bench.drain()
    assert [len(names) for names in bench.exchange.batches()] == [2] * 10 + [4, 8]


async def test_a_learned_bound_holds_for_larger_batches(bench: Bench) -> None:
    """And for the usual ones where it is less than they are."""
    bench.make_sender(limits=BatchLimits(max_spans=1, backlog_spans=8, backlog_bytes=400_000))
    for n in range(1, 30):
        bench.spool.append(make_payload(n, make_call(f"span-{n}", size_bytes=30_000)))
    bound, refused = 100_000, []
    post = bench.exchange.post

    async def refuse_large(destination: Destination, body: bytes) -> Outcome:
        await post(destination, body)
        if len(body) > bound:
            refused.append(len(body))
            return TOO_LARGE
        return DELIVERED

    bench.exchange.post = refuse_large  # type: ignore[method-assign]  # the one method that differs
    await bench.drain()
    assert len(refused) == 1
    assert bench.ledger() == {"created": 29, "exported": 29, "dropped": NOTHING}


def test_larger_batches_take_quick_answers(bench: Bench) -> None:
    """A slow one halves what the next may carry."""
    batcher = bench.make_sender(limits=BACKLOG)._batcher

    def batch_of(spans: int) -> Batch:
        return Batch([Run(b"", [make_span("chat")] * spans, 100 * spans)], b"", 0)

    seen = []
    for took_s in (0.1, 0.1, 0.1, 1.5, 2.5, 11.0, 2.5, 2.5, 0.1):
        batcher.note_taken(batch_of(min(10, 2 * batcher._times)), took_s)
        seen.append(batcher._times)
    assert seen == [2, 4, 8, 8, 4, 2, 1, 1, 2]
    for few in (1, 3):  # of 4 that it may have
        batcher.note_taken(batch_of(few), 0.1)
        assert batcher._times == 2


def test_a_size_that_is_not_taken_is_tried_less_and_less_often(bench: Bench) -> None:
    """Until it is taken; parts that fail too are no more than one find, and an outage is none."""
    batcher = bench.make_sender(limits=BACKLOG)._batcher

    def note_taken() -> None:
        spans = min(10, 2 * batcher._times)
        batcher.note_taken(Batch([Run(b"", [make_span("chat")] * spans, 100 * spans)], b"", 0), 0.1)

    def quick_before_the_next() -> int:
        before, count = batcher._times, 0
        while batcher._times == before:
            note_taken()
            count += 1
        return count

    note_taken()
    counts = []
    for _ in range(6):
        batcher.note_not_taken()
        counts.append(quick_before_the_next())
    assert counts == [8, 16, 32, 64, 64, 64]
    assert [quick_before_the_next(), quick_before_the_next()] == [1, 1]
    note_taken()
    for _ in range(3):
        batcher.note_not_taken()
    assert [quick_before_the_next() for _ in range(3)] == [8, 1, 1]
    for _ in range(3):
        batcher.note_not_taken()
    batcher.note_usual_not_taken()
    assert [quick_before_the_next() for _ in range(3)] == [1, 1, 1]


async def test_after_an_outage_batches_grow_at_once(bench: Bench) -> None:
    """As one of the usual size was not taken either."""
    bench.make_sender(limits=BACKLOG)
    bench.append(60)
    away = [Outcome(Verdict.RETRY, 503, "HTTP 503")] * 4
    await bench.run_through(DELIVERED, DELIVERED, *away)
    await bench.drain()
    sizes = [len(names) for names in bench.exchange.batches()]
    assert sizes == [2, 4, 8, 4, 2, 2, 2, 2, 4, 8, 10, 10, 10, 8]
    assert bench.ledger() == {"created": 60, "exported": 60, "dropped": NOTHING}


async def test_a_bound_that_an_endpoint_keeps_is_met_seldom(bench: Bench) -> None:
    """One request of many finds that it is still there."""
    bound, refusals = 40_000, []
    post = bench.exchange.post

    async def refuse_large(destination: Destination, body: bytes) -> Outcome:
        await post(destination, body)
        refusals.append(len(body) > bound)
        return TOO_LARGE if refusals[-1] else DELIVERED

    bench.exchange.post = refuse_large  # type: ignore[method-assign]  # the one method that differs
    bench.make_sender(limits=BatchLimits(max_bytes=70_000))
    for n in range(1, 301):
        bench.spool.append(make_payload(n, make_call(f"span-{n}", size_bytes=30_000)))
    await bench.drain()
    assert sum(refusals) <= 6
    assert bench.ledger() == {"created": 300, "exported": 300, "dropped": NOTHING}


async def test_a_span_too_large_loses_its_content_and_then_itself(bench: Bench) -> None:
    """First what it may lack, with a mark; only then the span, counted."""
    content = AttributeKey("gen_ai.input.messages").text("[...]")
    call = CallSpans((1 << 64) - 1, None, [make_span("chat", content=content)])
    bench.exchange.outcomes = [TOO_LARGE, DELIVERED, TOO_LARGE, TOO_LARGE]
    bench.make_sender(limits=BatchLimits(max_spans=1))
    for n in (1, 2):
        bench.spool.append(make_payload(n, call))
    await bench.drain()
    seen = [
        [item.key for item in body.resource_spans[0].scope_spans[0].spans[0].attributes]
        for body in bench.exchange.bodies
    ]
    assert seen == [["gen_ai.input.messages"], ["gateway.content.dropped"]] * 2
    dropped_attribute = bench.exchange.bodies[1].resource_spans[0].scope_spans[0].spans[0].attributes[0]
    assert dropped_attribute.value.bool_value is True
    assert bench.ledger() == {"created": 2, "exported": 1, "dropped": dropped(too_large=1)}


async def test_a_half_that_fails_does_not_repeat_the_other(bench: Bench) -> None:
    """What was delivered of a batch in parts is not sent again when the rest has to wait."""
    bench.exchange.outcomes = [TOO_LARGE, DELIVERED, Outcome(Verdict.RETRY, 503, "HTTP 503")]
    bench.append(2)
    await bench.drain()
    assert bench.ledger() == {"created": 2, "exported": 1, "queued": 1, "dropped": NOTHING}
    await bench.drain()
    assert bench.exchange.names() == ["span-1", "span-2", "span-1", "span-2", "span-2"]
    assert bench.ledger() == {"created": 2, "exported": 2, "dropped": NOTHING}


async def test_filters_are_counted_by_span(bench: Bench) -> None:
    """What a filter keeps back is in a count of its own."""
    selection = Selection(filters=(SpanFilter("team", frozenset({"a"})),))
    bench.make_sender(changed(DESTINATION, selection=selection))
    mine = SpanSegments(make_span("mine").plain + AttributeKey("team").text("a"), b"")
    call = CallSpans((1 << 64) - 1, None, [mine, make_span("other")])
    bench.spool.append(make_payload(1, call))
    bench.spool.append(make_payload(2))
    await bench.drain()
    assert bench.exchange.names() == ["mine"]
    assert bench.ledger() == {"created": 3, "exported": 1, "filtered_out": 2, "dropped": NOTHING}


async def test_a_crash_between_the_answer_and_our_note_is_counted(bench: Bench) -> None:
    """The batch goes out again, is exported once and resent once."""
    kept: list[Entry] = []
    bench.sender = Sender(
        DESTINATION, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), note=kept.append
    )
    bench.append(3)
    bench.exchange.gate.clear()
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.exchange.bodies, what="the request")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (kept[-1].position, kept[-1].tried_spans) == (0, 3)
    bench.exchange.gate.set()
    bench.reader = bench.spool.reader("elastic")  # as the next process finds it
    bench.sender = Sender(
        DESTINATION, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), earlier=kept[-1]
    )
    await bench.drain()
    assert bench.sender.entry()["resent_total"] == 3
    assert bench.ledger() == {"created": 3, "exported": 3, "dropped": NOTHING}


@pytest.mark.parametrize(
    ("destination", "names", "counts"),
    [
        (DESTINATION, ["a0", "b1", "a2"], {"exported": 3, "dropped": NOTHING}),
        (of_team("b"), ["a0", "b1"], {"exported": 2, "filtered_out": 1, "dropped": NOTHING}),
        (of_team("c"), ["a0"], {"exported": 1, "filtered_out": 2, "dropped": NOTHING}),
    ],
    ids=["the same", "other filters", "filters for nothing of it"],
)
async def test_what_was_delivered_of_a_frame_stays_so_after_a_new_start(
    bench: Bench, destination: Destination, names: list[str], counts: dict[str, Any]
) -> None:
    """What was answered does not go out again."""

    def begin(chosen: Destination) -> None:
        bench.reader = bench.spool.reader("elastic")
        bench.sender = Sender(
            chosen,
            bench.reader,
            bench.exchange,
            bench.bits,
            limits=BatchLimits(max_spans=1),
            pacing=bench.time.pacing(),
            note=lambda entry: bench.spool.note("elastic", entry),
            earlier=bench.spool.state_of("elastic"),
        )

    begin(DESTINATION)
    bench.spool.append(make_payload(1, spans_of("a", "b", "a")))
    refused = Outcome(Verdict.RETRY, None, "connection refused", is_unsent=True)
    bench.exchange.outcomes = [DELIVERED, refused]
    await bench.drain()
    for chosen in (DESTINATION, destination):  # the first ends before it reads anything
        bench.sender.keep()
        begin(chosen)
        assert bench.ledger() == {"created": 3, "spooled": 3, "dropped": NOTHING}
    bench.exchange.bodies = bench.exchange.bodies[:1]
    await bench.drain()
    assert bench.exchange.names() == names
    assert bench.ledger() == {"created": 3, **counts}
    assert (bench.sender.entry()["resent_total"], bench.sender.ledger.tried_spans) == (0, 0)


async def test_json_is_made_of_smaller_batches(bench: Bench) -> None:
    """It is about twice as large as protobuf, and the bound is for what is sent."""
    sender = bench.make_sender(changed(DESTINATION, protocol="http/json"), BatchLimits(max_bytes=1000))
    assert sender._batcher.limits.max_bytes == 500
    sender.replace(changed(DESTINATION, limits=BatchLimits(max_bytes=700)))
    assert sender._batcher.limits.max_bytes == 700


async def test_what_is_passed_by_is_counted_once_across_a_crash(bench: Bench) -> None:
    """Frames before the batch in hand are behind the cursor; one that waits behind it is not counted yet."""
    kept: list[Entry] = []
    bench.sender = Sender(
        DESTINATION, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), note=kept.append
    )
    bench.spool.append(make_payload(1, make_call("not mine", mask=0)))
    bench.spool.append(make_payload(2))
    bench.spool.append(make_payload(3, make_call("not mine", "either", mask=0)))
    bench.exchange.gate.clear()
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.exchange.bodies, what="the request")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (kept[-1].position, kept[-1].counts["sampled_out"]) == (1, 1)
    bench.exchange.gate.set()
    bench.reader = bench.spool.reader("elastic")
    bench.spool.note("elastic", kept[-1])
    bench.reader = bench.spool.reader("elastic")
    bench.sender = Sender(
        DESTINATION, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), earlier=kept[-1]
    )
    await bench.drain()
    assert bench.ledger() == {"created": 4, "exported": 1, "sampled_out": 3, "dropped": NOTHING}


async def test_what_was_kept_below_the_ratio_is_counted_once_across_a_crash(bench: Bench) -> None:
    """Its frame is read again, however often the process ends before an endpoint has taken it."""
    destination = changed(DESTINATION, selection=Selection(sampling_ratio=0.0))
    kept: list[Entry] = []
    bench.sender = Sender(
        destination, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), note=kept.append
    )
    bench.spool.append(make_payload(1, make_call("an error", "its attempt")))
    bench.exchange.gate.clear()
    task = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.exchange.bodies, what="the request")
    assert bench.sender.ledger.kept_unsampled == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bench.exchange.gate.set()
    bench.reader = bench.spool.reader("elastic")
    bench.sender = Sender(
        destination, bench.reader, bench.exchange, bench.bits, pacing=bench.time.pacing(), earlier=kept[-1]
    )
    await bench.drain()
    assert bench.ledger() == {"created": 2, "exported": 2, "dropped": NOTHING}
    assert bench.sender.entry()["kept_unsampled_total"] == 2


async def test_calls_told_in_brief_are_sent_as_spans(bench: Bench) -> None:
    """Chosen by their masks like others, and counted as the spans that they are."""
    bench.bits.note("v1", [DESTINATION])
    frames = [
        make_brief_frame(1, make_brief(1), make_brief(2, destination_mask=0), calls=[make_call("whole")]),
        make_brief_frame(2, make_brief(3, content=AttributeKey("gen_ai.input.messages").text("[]"))),
        make_brief_frame(3, make_brief(4), make_brief(5, start_ns=-1)),
    ]
    for frame in frames:
        bench.spool.append(encode_payload(frame))
        bench.sender.frame_arrived(100)
    await bench.drain()
    both = ["POST /v1/chat/completions", "chat small-1"]
    assert bench.exchange.names() == ["whole", *both, *both]
    assert bench.ledger() == {
        "created": 11,
        "exported": 5,
        "sampled_out": 2,
        "dropped": dropped(unreadable=4),
    }
    last = bench.exchange.bodies[-1].resource_spans[-1].scope_spans[-1].spans[-1]
    assert "gen_ai.input.messages" in [attribute.key for attribute in last.attributes]


MOST_FRAMES = 30


class AnyEndpoint:
    """Takes, refuses, is silent or away as a seed says; more calls and changes come meanwhile."""

    ANSWERS = (
        *([DELIVERED] * 6),
        *([NO_ANSWER] * 2),
        Outcome(Verdict.RETRY, 504, "Gateway Timeout"),
        Outcome(Verdict.RETRY, 429, "Too Many Requests"),
        Outcome(Verdict.RETRY, None, "connection refused", is_unsent=True),
        Outcome(Verdict.DENIED, 401, "no such key"),
    )

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.random = Random(seed)
        self.calls = self.frames = 0
        self.taken: list[str] = []
        bench.exchange.post = self.post  # type: ignore[method-assign]  # the one method that differs

    def spool_frame(self) -> None:
        sizes = self.random.choices([50, 100, 400], k=self.random.randint(1, 6))
        calls = [make_call(f"span-{n}", size_bytes=size) for n, size in enumerate(sizes, self.calls)]
        self.calls += len(sizes)
        self.frames += 1
        self.bench.spool.append(make_payload(self.frames, *calls))
        self.bench.sender.frame_arrived(100)

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        self.bench.ledger()
        if self.frames < MOST_FRAMES and self.random.random() < 0.2:
            self.spool_frame()
        if self.random.random() < 0.05:
            headers = {"x-turn": str(self.random.random())}
            limits = self.random.choice([None, BatchLimits(max_spans=3), BatchLimits(max_bytes=500), BACKLOG])
            self.bench.sender.replace(changed(destination, headers=headers, limits=limits))
        message = ExportTraceServiceRequest.FromString(body)
        groups = [scope for one in message.resource_spans for scope in one.scope_spans]
        names = [span.name for scope in groups for span in scope.spans]
        if len(names) > 1 and self.random.random() < 0.1:
            return TOO_LARGE
        outcome = self.random.choice(self.ANSWERS)
        if outcome is DELIVERED:
            self.taken += names
        return outcome


class AnyFilters:
    """Takes and refuses as a seed says, while filters change; what it does not answer it has taken."""

    ANSWERS = (*([DELIVERED] * 4), Outcome(Verdict.RETRY, 503, "HTTP 503"), TOO_LARGE)

    def __init__(self, bench: Bench, seed: int, answers: Sequence[Outcome]) -> None:
        self.bench = bench
        self.answers = answers
        self.random = Random(seed)
        self.taken: list[str] = []
        self.spans = 0
        bench.exchange.post = self.post  # type: ignore[method-assign]  # the one method that differs

    def spool_frames(self, count: int) -> None:
        for number in range(1, count + 1):
            teams = self.random.choices("abc", k=self.random.randint(1, 12))
            self.bench.spool.append(make_payload(number, spans_of(*teams, first=self.spans)))
            self.spans += len(teams)

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        self.bench.ledger()
        if self.random.random() < 0.2:
            others = [DESTINATION, *map(of_team, "abcd")]
            others.remove(destination)
            self.bench.sender.replace(self.random.choice(others))
        await asyncio.sleep(0)
        outcome = self.random.choice(self.answers)
        if outcome in (DELIVERED, NO_ANSWER):
            message = ExportTraceServiceRequest.FromString(body)
            groups = [scope for one in message.resource_spans for scope in one.scope_spans]
            self.taken += [span.name for scope in groups for span in scope.spans]
        return outcome


LOSSY = (*AnyFilters.ANSWERS, NO_ANSWER, Outcome(Verdict.REFUSED, 400, "HTTP 400"))


@pytest.mark.parametrize("answers", [AnyFilters.ANSWERS, LOSSY], ids=["all answers come", "some are lost"])
@pytest.mark.parametrize("seed", range(25))
async def test_what_an_endpoint_has_is_told_however_filters_change(
    bench: Bench, seed: int, answers: Sequence[Outcome]
) -> None:
    """Each span at most once and no other; with those that were not answered, as often as it is told."""
    endpoint = AnyFilters(bench, seed, answers)
    random = endpoint.random
    sender = bench.make_sender(
        limits=BatchLimits(max_spans=random.choice([1, 3, 7]), backlog_spans=random.choice([None, 20]))
    )
    endpoint.spool_frames(random.randint(5, 40))
    task = asyncio.ensure_future(sender.run())

    def is_done() -> bool:
        counts = bench.ledger()
        ended = counts.get("exported", 0) + counts.get("filtered_out", 0) + counts["dropped"]["total"]
        return bool(ended == endpoint.spans)

    await until_async(is_done, what="the end of all spans")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    resent = sender.entry()["resent_total"]
    assert len(endpoint.taken) == bench.exported() + resent
    if NO_ANSWER not in answers:
        assert (resent, len(set(endpoint.taken))) == (0, bench.exported())


@pytest.mark.parametrize("seed", range(40))
async def test_any_course_sends_each_span_once(bench: Bench, seed: int) -> None:
    """In order, whatever batches, answers and ends of the task there are; and the counts add up meanwhile."""
    endpoint = AnyEndpoint(bench, seed)
    random = endpoint.random
    limits = BatchLimits(
        max_spans=random.randint(1, 5),
        max_bytes=random.choice([200, 2_000, 1_000_000]),
        backlog_spans=random.choice([None, 8, 40]),
        backlog_bytes=random.choice([None, 3_000, 1_000_000]),
    )
    sender = bench.make_sender(limits=limits)
    for _ in range(random.randint(1, 25)):
        endpoint.spool_frame()
    while bench.exported() < endpoint.calls:
        task = asyncio.ensure_future(sender.run())
        for _ in range(random.randint(1, 400)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.ledger()
    assert endpoint.taken == [f"span-{n}" for n in range(endpoint.calls)]
