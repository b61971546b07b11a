"""The worker's end of the socket: nothing is lost but what is counted."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.socket_path import SOCKET_NAME, control_address
from gateway.tally import Tally
from gateway.telemetry import attributes as names
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.handover import MAX_UNACKNOWLEDGED_BYTES, Handover
from gateway.wire.frames import (
    Ack,
    CallSpans,
    ConfigState,
    Counts,
    Frame,
    Hello,
    MessageKind,
    MessageReader,
    MetricKind,
    MetricPoint,
    MetricPoints,
    decode_payload,
    encode_message,
    encode_payload,
)
from tests.rig.frame_maker import STARTED_NS, make_call, make_span
from tests.rig.frame_reader import read_frame
from tests.rig.until import until_async


def calls_of(*calls: CallSpans) -> FrameCalls:
    """Those on their way into a frame."""
    found = FrameCalls()
    for call in calls:
        found.add(call)
    return found


class FakeControl:
    """The other end: keeps what it hears of each connection, says what a test wants."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.conversations: list[list[tuple[MessageKind, bytes]]] = []

    async def open(self) -> None:
        with control_address(self._state_dir) as path:
            self._server = await asyncio.start_unix_server(self._hear, path)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.close()
        (self._state_dir / SOCKET_NAME).unlink(missing_ok=True)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        heard: list[tuple[MessageKind, bytes]] = []
        self.conversations.append(heard)
        messages = MessageReader()
        while data := await reader.read(1 << 16):
            heard += messages.feed(data)
        writer.close()

    def say(self, kind: MessageKind, value: Ack | ConfigState) -> None:
        self._writers[-1].write(encode_message(kind, encode_payload(value)))

    def say_bytes(self, data: bytes) -> None:
        self._writers[-1].write(data)

    def of_kind(self, kind: MessageKind) -> list[bytes]:
        """Payloads of the newest conversation."""
        return [payload for found, payload in (self.conversations or [[]])[-1] if found is kind]

    @property
    def frames(self) -> list[Frame]:
        return [read_frame(payload) for payload in self.of_kind(MessageKind.FRAME)]


class Rig:
    """A handover and the control it talks to."""

    def __init__(self, state_dir: Path) -> None:
        self.control = FakeControl(state_dir)
        self.announced: list[str] = []
        self.version = "v1"
        self.asked: list[bool] = []
        self.points: list[MetricPoint] = []
        self.tally = Tally()
        self.handover = Handover(
            state_dir=state_dir,
            instance_id="i-1",
            started_ns=STARTED_NS,
            tally=self.tally,
            resource=b"resource",
            config_version=lambda: self.version,
            on_config=self.announced.append,
            counts=lambda: Counts(7, self.tally.handed_over, self.tally.dropped, 2),
            metrics=self._metrics,
        )

    def _metrics(self, is_full: bool) -> MetricPoints:  # noqa: FBT001 - the form that `Handover` wants
        self.asked.append(is_full)
        return MetricPoints(is_full, self.points)

    async def connected(self) -> None:
        self.handover.start()
        await until_async(lambda: self.control.of_kind(MessageKind.HELLO), "the worker says hello")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    await rig.control.open()
    yield rig
    await rig.handover.close(0)
    await rig.control.close()


async def test_hello_comes_first(rig: Rig) -> None:
    """A worker says who it is, and then what it counts."""
    await rig.connected()
    await until_async(lambda: rig.control.of_kind(MessageKind.COUNTS), "counts are said")
    kind, payload = rig.control.conversations[0][0]
    assert kind is MessageKind.HELLO
    hello = decode_payload(payload, Hello)
    assert (hello.instance_id, hello.pid, hello.config_version) == ("i-1", os.getpid(), "v1")
    assert decode_payload(rig.control.of_kind(MessageKind.COUNTS)[0], Counts) == Counts(7, 0, {}, 2)


async def test_all_metrics_come_with_each_connection_and_then_changes(rig: Rig) -> None:
    """A control process that is new has nothing, and what changed meanwhile was given to nobody."""
    assert rig.asked == []
    await rig.connected()
    await until_async(lambda: len(rig.control.of_kind(MessageKind.METRICS)) > 1, "a second later")
    said = rig.control.of_kind(MessageKind.METRICS)[:2]
    first, second = [decode_payload(one, MetricPoints) for one in said]
    assert (first.is_full, second.is_full) == (True, False)
    rig.control.say_bytes(b"garbage!")
    await until_async(lambda: len(rig.control.conversations) > 1, "it connects again")
    await until_async(lambda: rig.control.of_kind(MessageKind.METRICS), "metrics are said")
    assert decode_payload(rig.control.of_kind(MessageKind.METRICS)[0], MetricPoints).is_full


async def test_metrics_that_cannot_be_written_cost_nothing_else(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """They are told of once; counts and frames go on, and all metrics come once they can."""
    rig.points = [MetricPoint("m", ("\ud800",), MetricKind.SUM, [1])]
    await rig.connected()
    await until_async(lambda: len(rig.control.of_kind(MessageKind.COUNTS)) > 2, "counts go on")
    rig.handover.take(calls_of(make_call("a")), "v1")
    await until_async(lambda: rig.control.frames, "frames go on")
    assert len(rig.control.conversations) == 1
    assert rig.control.of_kind(MessageKind.METRICS) == []
    told = [one for one in caplog.records if "could not be handed over" in one.getMessage()]
    assert [one.levelno for one in told] == [logging.ERROR]
    rig.points = []
    await until_async(lambda: rig.control.of_kind(MessageKind.METRICS), "metrics come")
    assert decode_payload(rig.control.of_kind(MessageKind.METRICS)[0], MetricPoints).is_full


async def test_mistake_in_a_conversation_ends_it_alone(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong while control speaks, another connection begins, and the log says why."""

    def fail(version: str) -> None:
        raise LookupError(version)

    rig.handover._on_config = fail
    await rig.connected()
    rig.control.say(MessageKind.CONFIG, ConfigState("v2"))
    await until_async(lambda: len(rig.control.conversations) == 2, "the worker connects again")
    assert "LookupError: v2" in caplog.text
    rig.handover.take(calls_of(make_call("after")), "v1")
    await until_async(lambda: rig.control.frames, "frames go on")


async def test_frame_that_cannot_be_written_is_counted(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Its spans are dropped with a number and a line in the log; no gap is left behind."""
    await rig.connected()
    rig.handover.take(calls_of(make_call("a", "b", mask=1 << 64)), "v1")
    assert rig.tally.dropped == {"encode_failed": 2}
    assert "could not be written" in caplog.text
    rig.handover.take(calls_of(make_call("after")), "v1")
    await until_async(lambda: rig.control.frames, "frames go on")
    assert rig.control.frames[0].sequence == 1


async def test_frames_are_numbered_and_acknowledged(rig: Rig) -> None:
    """Frames count from 1; spans are handed over when they are acknowledged and not before."""
    await rig.connected()
    first, second = [make_call("a", "b")], [make_call("c")]
    rig.handover.take(calls_of(*first), "v1")
    rig.handover.take(calls_of(*second), "v2")
    await until_async(lambda: len(rig.control.frames) == 2, "both frames arrive")
    frames = rig.control.frames
    assert [(frame.sequence, frame.config_version, frame.calls) for frame in frames] == [
        (1, "v1", first),
        (2, "v2", second),
    ]
    assert {(frame.instance_id, frame.resource) for frame in frames} == {("i-1", b"resource")}
    assert rig.tally.handed_over == 0
    rig.control.say(MessageKind.ACK, Ack(1))
    await until_async(lambda: rig.tally.handed_over == 2, "the first is acknowledged")
    rig.control.say(MessageKind.ACK, Ack(2))
    await until_async(lambda: rig.tally.handed_over == 3, "the second is acknowledged")


async def test_one_acknowledgement_for_many(rig: Rig) -> None:
    """An acknowledgement covers every frame up to its number; one that is repeated counts nothing twice."""
    await rig.connected()
    for _ in range(3):
        rig.handover.take(calls_of(make_call("a")), "v1")
    await until_async(lambda: len(rig.control.frames) == 3, "the frames arrive")
    rig.control.say(MessageKind.ACK, Ack(3))
    rig.control.say(MessageKind.ACK, Ack(3))
    rig.control.say(MessageKind.CONFIG, ConfigState("v2"))
    await until_async(lambda: rig.announced, "what came after the acknowledgements is heard")
    assert rig.tally.handed_over == 3


async def test_unacknowledged_frames_are_sent_again(rig: Rig) -> None:
    """After a restart of control what is not acknowledged comes again, under its old number."""
    await rig.connected()
    for name in "abc":
        rig.handover.take(calls_of(make_call(name)), "v1")
    await until_async(lambda: len(rig.control.frames) == 3, "the frames arrive")
    rig.control.say(MessageKind.ACK, Ack(1))
    await until_async(lambda: rig.tally.handed_over == 1, "the first is acknowledged")
    before = rig.control.frames
    await rig.control.close()
    rig.handover.take(calls_of(make_call("d")), "v1")
    await rig.control.open()
    await until_async(
        lambda: len(rig.control.conversations) == 2 and len(rig.control.frames) == 3, "it comes again"
    )
    assert rig.control.conversations[1][0][0] is MessageKind.HELLO
    assert rig.control.frames[:2] == before[1:]
    assert [frame.sequence for frame in rig.control.frames] == [2, 3, 4]


async def test_frames_wait_for_control(tmp_path: Path) -> None:
    """Before control listens, frames wait."""
    rig = Rig(tmp_path)
    rig.handover.start()
    rig.handover.take(calls_of(make_call("early")), "v1")
    await rig.control.open()
    await until_async(lambda: rig.control.frames, "the frame arrives")
    assert rig.control.frames[0].sequence == 1
    await rig.handover.close(0)
    await rig.control.close()


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """Beyond the bound frames are dropped and counted, without using up a number."""
    rig = Rig(tmp_path)
    big = calls_of(make_call("big", "small", size_bytes=MAX_UNACKNOWLEDGED_BYTES // 8))
    for _ in range(5):
        rig.handover.take(big, "v1")
    dropped = rig.tally.dropped["unacknowledged_full"]
    assert 0 < dropped < 10
    assert dropped % 2 == 0
    rig.handover.take(calls_of(make_call("last")), "v1")
    await rig.control.open()
    rig.handover.start()
    kept = (10 - dropped) // 2
    await until_async(lambda: len(rig.control.frames) == kept + 1, "the kept ones arrive")
    assert [frame.sequence for frame in rig.control.frames] == list(range(1, kept + 2))
    rig.control.say(MessageKind.ACK, Ack(kept + 1))
    await until_async(lambda: rig.tally.handed_over == 2 * kept + 1, "they are acknowledged")
    rig.handover.take(big, "v1")
    assert rig.tally.dropped == {"unacknowledged_full": dropped}
    await rig.handover.close(0)
    await rig.control.close()


async def test_content_is_the_first_to_go(tmp_path: Path) -> None:
    """Where there is no room, spans go without what was said, marked; the others of the call as they are."""
    rig = Rig(tmp_path)
    half = b"c" * (MAX_UNACKNOWLEDGED_BYTES // 2)
    spans = [make_span("server"), make_span("client", content=half)]
    for _ in range(3):
        rig.handover.take(calls_of(CallSpans(1, None, spans)), "v1")
    await rig.control.open()
    rig.handover.start()
    await until_async(lambda: len(rig.control.frames) == 3, "all arrive")
    assert rig.tally.dropped == {}
    arrived = [frame.calls[0].spans for frame in rig.control.frames]
    mark = names.CONTENT_DROPPED.boolean(True)
    assert [client.content for _, client in arrived] == [half, mark, mark]
    assert {(server.plain, server.content, client.plain) for server, client in arrived} == {
        (spans[0].plain, b"", spans[1].plain)
    }
    await rig.handover.close(0)
    await rig.control.close()


async def test_frame_over_the_bound_alone(tmp_path: Path) -> None:
    """One frame that is over the bound by itself is dropped alone."""
    rig = Rig(tmp_path)
    rig.handover.take(calls_of(make_call("huge", size_bytes=MAX_UNACKNOWLEDGED_BYTES)), "v1")
    rig.handover.take(calls_of(make_call("next")), "v1")
    assert rig.tally.dropped == {"unacknowledged_full": 1}


async def test_configuration_is_announced_and_reported(rig: Rig) -> None:
    """Control announces a version; the worker says that it has it, or why not."""
    await rig.connected()
    rig.control.say(MessageKind.CONFIG, ConfigState("v2"))
    await until_async(lambda: rig.announced == ["v2"], "the version is heard")
    rig.handover.report_config("v2")
    rig.handover.report_config("v3", "it is broken")
    await until_async(lambda: rig.control.of_kind(MessageKind.CONFIG_REFUSED), "the refusal arrives")
    loaded = rig.control.of_kind(MessageKind.CONFIG_LOADED)
    refused = rig.control.of_kind(MessageKind.CONFIG_REFUSED)
    assert [decode_payload(payload, ConfigState) for payload in loaded + refused] == [
        ConfigState("v2"),
        ConfigState("v3", "it is broken"),
    ]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(encode_message(MessageKind.ACK, b"\xc1"), id="payload that is none"),
    ],
)
async def test_garbage_ends_the_connection_and_another_begins(
    rig: Rig, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A peer that speaks nonsense is left, with a warning, and control is looked for again."""
    await rig.connected()
    with caplog.at_level(logging.WARNING):
        rig.control.say_bytes(garbage)
        await until_async(lambda: len(rig.control.conversations) == 2, "the worker connects again")
    assert "connection to the control process ended" in caplog.text
    rig.handover.take(calls_of(make_call("after")), "v1")
    await until_async(lambda: rig.control.frames, "frames go on")


async def test_close_waits_for_acknowledgements(rig: Rig) -> None:
    """At the end what was sent is waited for, and the last counts are said."""
    await rig.connected()
    rig.handover.take(calls_of(make_call("a", "b")), "v1")
    closing = asyncio.ensure_future(rig.handover.close(10))
    await until_async(lambda: rig.control.frames, "the frame arrives")
    rig.control.say(MessageKind.ACK, Ack(1))
    await closing
    assert (rig.tally.handed_over, rig.tally.dropped) == (2, {})
    await until_async(
        lambda: decode_payload(rig.control.of_kind(MessageKind.COUNTS)[-1], Counts).handed_over == 2,
        "the last counts arrive",
    )


async def test_close_gives_up_and_counts(rig: Rig) -> None:
    """What control does not acknowledge in time is dropped, counted, and told."""
    await rig.connected()
    rig.handover.take(calls_of(make_call("a", "b")), "v1")
    await rig.handover.close(0.01)
    assert rig.tally.dropped == {"shutdown_timeout": 2}
    await until_async(
        lambda: (
            decode_payload(rig.control.of_kind(MessageKind.COUNTS)[-1], Counts).dropped
            == {"shutdown_timeout": 2}
        ),
        "the last counts arrive",
    )


async def test_close_without_control(tmp_path: Path) -> None:
    """A worker ends also where control has gone, its spans counted as dropped."""
    rig = Rig(tmp_path)
    rig.handover.start()
    rig.handover.take(calls_of(make_call("a")), "v1")
    await rig.handover.close(0.01)
    assert rig.tally.dropped == {"shutdown_timeout": 1}


# -- a control that ends every connection


class Pauses:
    """The waits between connections: each is noted, and over when the test says so.

    Attributes:
        asked_s: How long each was to be.
    """

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self.steps = asyncio.Semaphore(0)
        self._has_begun = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked_s.append(seconds)
        self._has_begun.set()
        await self.steps.acquire()

    async def pass_until(self, count: int) -> None:
        """Let pauses pass until the one of this number has begun."""
        while len(self.asked_s) < count:
            self._has_begun.clear()
            self.steps.release()
            await asyncio.wait_for(self._has_begun.wait(), 60)


class ClosingRig(Rig):
    """A control that accepts and closes, saying what *words* have for each connection, if anything."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self.pauses = Pauses()
        self.handover._pause = self.pauses
        self.words: list[bytes] = []
        self.connections = 0
        self._state_dir = state_dir
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        with control_address(self._state_dir) as path:
            self._server = await asyncio.start_unix_server(self._close_at_once, path)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self.handover.close(0)

    async def _close_at_once(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.words:
            writer.write(self.words.pop())
        writer.close()


@pytest.fixture
async def closing(tmp_path: Path) -> AsyncIterator[ClosingRig]:
    rig = ClosingRig(tmp_path)
    await rig.open()
    yield rig
    await rig.close()


async def test_pauses_grow_while_control_closes_at_once(
    closing: ClosingRig, caplog: pytest.LogCaptureFixture
) -> None:
    """A control that accepts and closes is not hammered, and the outage is told once."""
    closing.handover.start()
    await closing.pauses.pass_until(25)
    asked_s = closing.pauses.asked_s
    assert asked_s == sorted(asked_s)
    assert (asked_s[0], asked_s[-1]) == (0.1, 1.0)
    assert len(set(asked_s)) > 3
    assert closing.connections >= 24
    told = [
        record
        for record in caplog.records
        if "connection to the control process ended" in record.getMessage()
    ]
    assert len(told) == 1
    assert closing.tally.dropped == {}


async def test_frame_that_ends_every_connection_is_dropped(
    closing: ClosingRig, caplog: pytest.LogCaptureFixture
) -> None:
    """What may be the cause goes, counted, after ten connections; the frames behind it have their own ten."""
    closing.handover.take(calls_of(make_call("bad", "child")), "v1")
    closing.handover.take(calls_of(make_call("next")), "v1")
    closing.handover.start()
    await closing.pauses.pass_until(9)
    assert closing.tally.dropped == {}
    await closing.pauses.pass_until(10)
    assert closing.tally.dropped == {"refused": 2}
    await closing.pauses.pass_until(19)
    assert closing.tally.dropped == {"refused": 2}
    await closing.pauses.pass_until(20)
    assert closing.tally.dropped == {"refused": 3}
    await closing.pauses.pass_until(40)
    assert closing.tally.dropped == {"refused": 3}
    assert closing.handover._waiting_bytes == 0
    told = [
        record
        for record in caplog.records
        if "connection to the control process ended" in record.getMessage()
    ]
    assert len(told) == 1


@pytest.mark.parametrize(
    "word",
    [
        pytest.param(
            encode_message(MessageKind.CONFIG, encode_payload(ConfigState("v1"))), id="configuration"
        ),
        pytest.param(
            encode_message(MessageKind.ACK, encode_payload(Ack(0))), id="acknowledgement of nothing"
        ),
    ],
)
async def test_hearing_anything_resets(
    closing: ClosingRig, word: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A control that says a word takes what it is sent: count, pauses and the telling begin anew."""
    closing.handover.take(calls_of(make_call("a")), "v1")
    closing.handover.start()
    await closing.pauses.pass_until(9)
    assert closing.pauses.asked_s[-1] == 1.0
    closing.words.append(word)
    await closing.pauses.pass_until(10)
    assert closing.pauses.asked_s[-1] == closing.pauses.asked_s[0]
    await closing.pauses.pass_until(19)
    assert closing.tally.dropped == {}
    await closing.pauses.pass_until(20)
    assert closing.tally.dropped == {"refused": 1}
    told = [
        record
        for record in caplog.records
        if "connection to the control process ended" in record.getMessage()
    ]
    assert len(told) == 2


async def test_connections_that_cannot_be_made_refuse_nothing(tmp_path: Path) -> None:
    """Where nobody listens the frames wait, however long; the pauses grow."""
    rig = Rig(tmp_path)
    pauses = Pauses()
    rig.handover._pause = pauses
    rig.handover.take(calls_of(make_call("a")), "v1")
    rig.handover.start()
    await pauses.pass_until(15)
    assert (pauses.asked_s[0], pauses.asked_s[-1]) == (0.1, 1.0)
    assert rig.tally.dropped == {}
    await rig.handover.close(0)
