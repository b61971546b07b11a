"""The intake: what is acknowledged is in the spool once, and no peer can do harm."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.delivery.intake import Intake, listen
from gateway.delivery.spool import Spool
from gateway.delivery.workers import Workers, WorkerState
from gateway.socket_path import SOCKET_NAME, control_address
from gateway.wire.frame_index import FrameIndex, Origin
from gateway.wire.frames import (
    Ack,
    ConfigState,
    Counts,
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
from tests.rig.frame_maker import INSTANCE, STARTED_NS, make_payload
from tests.rig.until import until_async


def hello(instance_id: str = INSTANCE, version: str = "v1") -> bytes:
    return encode_message(MessageKind.HELLO, encode_payload(Hello(instance_id, 42, STARTED_NS, version)))


def frame(sequence: int, instance_id: str = INSTANCE) -> bytes:
    return encode_message(MessageKind.FRAME, make_payload(sequence, instance_id=instance_id))


def config(kind: MessageKind, version: str, error: str = "") -> bytes:
    return encode_message(kind, encode_payload(ConfigState(version, error)))


class Peer:
    """The other end of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self._messages = MessageReader()
        self._heard: list[tuple[MessageKind, bytes]] = []

    @classmethod
    async def connect(cls, state_dir: Path) -> Self:
        with control_address(state_dir) as address:
            return cls(*await asyncio.open_unix_connection(address))

    async def hear(self) -> tuple[MessageKind, bytes]:
        while not self._heard:
            data = await asyncio.wait_for(self._reader.read(65536), 60)
            assert data, "the connection ended"
            self._heard += self._messages.feed(data)
        return self._heard.pop(0)

    async def hear_ack(self, sequence: int) -> None:
        """Read until this sequence is acknowledged."""
        while True:
            kind, payload = await self.hear()
            if kind is MessageKind.ACK and decode_payload(payload, Ack).sequence >= sequence:
                return

    async def is_cut_off(self) -> bool:
        try:
            return await asyncio.wait_for(self._reader.read(65536), 60) == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class DiskFullSpool(Spool):
    """A spool whose disk is full for some appends."""

    failures = 0

    def append(self, payload: bytes, index: FrameIndex | None = None) -> int:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().append(payload, index)


class Bench:
    """An intake that listens in *state_dir*."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.spool = DiskFullSpool(state_dir / "spool")
        self.reader = self.spool.reader_at("test", None)
        self.workers = Workers(state_dir, self.spool.progress)
        self.configs: list[tuple[str, ConfigState]] = []
        self.metrics: list[tuple[Origin, MetricPoints]] = []
        self.waits = 0
        self.may_try = asyncio.Event()
        self.may_try.set()
        self.intake = Intake(
            self.spool,
            self.workers,
            lambda *told: self.configs.append(told),
            wait=self._wait,
            on_metrics=lambda *told: self.metrics.append(told),
            disk_retry_s=0.01,
        )
        self.peers: list[Peer] = []

    async def connect(self, *messages: bytes) -> Peer:
        peer = await Peer.connect(self.state_dir)
        self.peers.append(peer)
        peer.writer.write(b"".join(messages))
        return peer

    def stored(self) -> list[bytes]:
        return [payload for _position, payload in self.reader.read(1 << 30, 1 << 30)]

    def worker(self, instance_id: str = INSTANCE) -> WorkerState:
        (state,) = [state for state in self.workers.states() if state.instance_id == instance_id]
        return state

    async def close(self) -> None:
        for peer in self.peers:
            await peer.close()
        await self.intake.close()
        self.spool.close()

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> bool:
        self.waits += 1
        await self.may_try.wait()
        await asyncio.sleep(0)
        return event.is_set()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.intake.start(tmp_path)
    yield bench
    await bench.close()


async def test_frames_are_stored_and_acknowledged(bench: Bench) -> None:
    """The spool has the worker's bytes before the worker hears so."""
    peer = await bench.connect(hello(), frame(1), frame(2))
    await peer.hear_ack(2)
    assert bench.stored() == [make_payload(1), make_payload(2)]
    peer.writer.write(frame(3))
    await peer.hear_ack(3)
    assert bench.stored() == [make_payload(3)]
    assert bench.worker().is_connected


async def test_frames_sent_again_are_acknowledged_and_not_stored_again(bench: Bench) -> None:
    """After a reconnect nothing is there twice, also when the worker did not hear of all."""
    first = await bench.connect(hello(), frame(1), frame(2))
    await first.hear_ack(2)
    await first.close()
    again = await bench.connect(hello(), frame(1), frame(2), frame(3))
    kind, payload = await again.hear()
    assert (kind, decode_payload(payload, Ack)) == (
        MessageKind.ACK,
        Ack(2),
    )  # at once, so it need not be resent
    await again.hear_ack(3)
    assert len(bench.stored()) == 3
    assert bench.worker().repeated_frames == 2
    assert (bench.worker().received, bench.worker().lost) == (3, 0)


async def test_a_gap_is_counted(bench: Bench) -> None:
    """What never came is known to be lost."""
    peer = await bench.connect(hello(), frame(5), frame(6), frame(9))
    await peer.hear_ack(9)
    state = bench.worker()
    assert state.lost == 2  # where a sequence begins is not a gap: what was before may have been delivered
    assert state.entry()["dropped"] == {"total": 2, "by_reason": {"worker_lost": 2}}


async def test_metrics_are_told_with_their_worker(bench: Bench) -> None:
    """By start of the worker, since its values count from there."""
    sent = MetricPoints(True, [MetricPoint("n", ("a",), MetricKind.SUM, [1, 2.5])])
    await bench.connect(hello(), encode_message(MessageKind.METRICS, encode_payload(sent)))
    await until_async(lambda: bench.metrics, what="the metrics")
    assert bench.metrics == [(Origin(INSTANCE, STARTED_NS), sent)]


async def test_counts_are_kept_when_the_worker_has_gone(bench: Bench) -> None:
    """The last it said stays true."""
    counts = Counts(10, 8, {"queue_full": 2}, 0)
    peer = await bench.connect(hello(), encode_message(MessageKind.COUNTS, encode_payload(counts)))
    await until_async(lambda: bench.workers.states() and bench.worker().counts == counts, what="the counts")
    await peer.close()
    await until_async(lambda: not bench.worker().is_connected, what="the end")
    assert bench.worker().entry() == {
        "instance_id": INSTANCE,
        "pid": 42,
        "handed_over": 8,
        "dropped": {"total": 2, "by_reason": {"queue_full": 2}},
    }


async def test_a_version_is_announced_to_all_now_and_later(bench: Bench) -> None:
    """A worker that connects after the change hears of it too."""
    early = await bench.connect(hello("early"))
    await until_async(bench.workers.states, what="the hello")
    bench.intake.announce(ConfigState("v2"))
    late = await bench.connect(hello("late"))
    for peer in (early, late):
        kind, payload = await peer.hear()
        assert (kind, decode_payload(payload, ConfigState)) == (MessageKind.CONFIG, ConfigState("v2"))


async def test_what_workers_say_of_a_version_is_told(bench: Bench) -> None:
    """Loaded or refused: the state is kept and handed on."""
    peer = await bench.connect(hello(), config(MessageKind.CONFIG_REFUSED, "v2", "no such file"))
    await until_async(lambda: bench.configs, what="the refusal")
    assert (bench.worker().config_version, bench.worker().config_error) == ("v1", "no such file")
    peer.writer.write(config(MessageKind.CONFIG_LOADED, "v3"))
    await until_async(lambda: len(bench.configs) == 2, what="the load")
    assert (bench.worker().config_version, bench.worker().config_error) == ("v3", "")
    assert bench.configs == [
        (INSTANCE, ConfigState("v2", "no such file")),
        (INSTANCE, ConfigState("v3")),
    ]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 64,
        b"\0\0\0\1\x63",
        frame(1),
        hello() + frame(1, "another"),
        hello() + encode_message(MessageKind.FRAME, b"\xc0"),
        hello() + encode_message(MessageKind.FRAME, b"\x97\xa1\xff\1\1\1\1\1\1"),
        hello() + encode_message(MessageKind.FRAME, b"\x97\xa1a\1\1\xa1a" + b"\x91" * 200_000),
        hello() + encode_message(MessageKind.COUNTS, b"\x01"),
        hello() + encode_message(MessageKind.CONFIG_LOADED, b"\x92\xa1\xff\xa0"),
        hello() + hello(),
        hello() + encode_message(MessageKind.ACK, encode_payload(Ack(1))),
        encode_message(MessageKind.HELLO, b""),
    ],
    ids=[
        "http",
        "ones",
        "kind",
        "no hello",
        "another's frame",
        "no frame",
        "not utf-8",
        "nested",
        "no counts",
        "version not utf-8",
        "two hellos",
        "from control",
        "no payload",
    ],
)
async def test_garbage_costs_its_connection_only(bench: Bench, garbage: bytes) -> None:
    """A peer that breaks the protocol is cut off and counted; others go on."""
    good = await bench.connect(hello("good"), frame(1, "good"))
    await good.hear_ack(1)
    bad = await bench.connect(garbage)
    assert await bad.is_cut_off()
    assert bench.intake.broken_connections == 1
    good.writer.write(frame(2, "good"))
    await good.hear_ack(2)
    assert len(bench.stored()) == 2


async def test_a_peer_that_goes_within_a_message_does_no_harm(bench: Bench) -> None:
    """Half a frame is no frame."""
    peer = await bench.connect(hello(), frame(1)[:-3])
    await until_async(bench.workers.states, what="the hello")
    await peer.close()
    await until_async(lambda: not bench.worker().is_connected, what="the end")
    assert bench.stored() == []
    assert bench.intake.broken_connections == 0


async def test_connections_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of peers does not use up the process."""
    monkeypatch.setattr("gateway.delivery.intake._MAX_CONNECTIONS", 1)
    first = await bench.connect(hello(), frame(1))
    await first.hear_ack(1)
    second = await bench.connect()
    assert await second.is_cut_off()
    assert bench.intake.broken_connections == 1


async def test_a_full_disk_delays_the_acknowledgement(bench: Bench) -> None:
    """Nothing is acknowledged that is not written, nothing is lost once there is room."""
    bench.spool.failures = 5
    peer = await bench.connect(hello(), frame(1), frame(2))
    await peer.hear_ack(2)
    assert bench.spool.failures == 0
    assert bench.stored() == [make_payload(1), make_payload(2)]
    assert not bench.intake.is_disk_failing


async def test_what_else_a_worker_says_is_heard_while_the_disk_is_full(bench: Bench) -> None:
    """Its counts and metrics go on, behind frames that wait."""
    bench.spool.failures = 1 << 30
    counts = encode_message(MessageKind.COUNTS, encode_payload(Counts(9, 0, {"unacknowledged_full": 4}, 5)))
    points = MetricPoints(True, [MetricPoint("calls", (), MetricKind.SUM, [1])])
    metrics = encode_message(MessageKind.METRICS, encode_payload(points))
    peer = await bench.connect(hello(), frame(1), counts, frame(2), metrics)
    await until_async(lambda: bench.metrics, what="the metrics")
    assert bench.worker().counts.created == 9
    assert bench.stored() == []
    bench.spool.failures = 0
    await peer.hear_ack(2)
    assert bench.stored() == [make_payload(1), make_payload(2)]


async def test_only_so_much_waits_for_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends more than a worker leaves unacknowledged is not read on."""
    monkeypatch.setattr("gateway.delivery.intake._MAX_HELD_BYTES", len(make_payload(1)))
    bench.spool.failures = 1 << 30
    peer = await bench.connect(hello(), frame(1), frame(2))
    await until_async(lambda: bench.waits, what="a wait for the disk")
    peer.writer.write(config(MessageKind.CONFIG_LOADED, "v2"))
    waits = bench.waits
    await until_async(lambda: bench.waits > waits + 3, what="more waits")
    assert bench.configs == []
    bench.spool.failures = 0
    await peer.hear_ack(2)
    await until_async(lambda: bench.configs, what="the rest")


async def test_frames_of_a_worker_that_has_gone_wait_for_the_disk(bench: Bench) -> None:
    """Nobody else has them; its loss is not told before."""
    bench.spool.failures = 1 << 30
    peer = await bench.connect(hello(), frame(1), frame(2))
    await until_async(lambda: bench.intake.is_disk_failing, what="the disk to fail")
    await peer.close()
    await until_async(lambda: bench.waits, what="a wait for the disk")
    assert bench.worker().is_connected
    bench.spool.failures = 0
    await until_async(lambda: not bench.worker().is_connected, what="the end")
    assert bench.stored() == [make_payload(1), make_payload(2)]


async def test_frames_of_a_worker_that_is_back_come_from_it(bench: Bench) -> None:
    """They are not held twice."""
    bench.spool.failures = 1 << 30
    peer = await bench.connect(hello(), frame(1))
    await until_async(lambda: bench.intake.is_disk_failing, what="the disk to fail")
    again = await bench.connect(hello(), frame(1), frame(2))
    await until_async(lambda: bench.worker().connections == 2, what="the second connection")
    await peer.close()
    await until_async(lambda: bench.worker().connections == 1, what="the end of the first")
    bench.spool.failures = 0
    await again.hear_ack(2)
    assert bench.stored() == [make_payload(1), make_payload(2)]


async def test_who_breaks_the_protocol_is_cut_off_while_the_disk_is_full(bench: Bench) -> None:
    """It connects again, so that it is heard; what it sent before is its own to send again."""
    bench.spool.failures = 1 << 30
    peer = await bench.connect(hello(), frame(1), frame(2, "another"))
    assert await peer.is_cut_off()
    again = await bench.connect(hello(), frame(1), config(MessageKind.CONFIG_LOADED, "v2"))
    await until_async(lambda: bench.configs, what="what else it says")
    bench.spool.failures = 0
    await again.hear_ack(1)
    assert bench.stored() == [make_payload(1)]


async def test_frames_of_a_worker_that_was_back_and_has_gone_wait_for_the_disk(bench: Bench) -> None:
    """Also where both of its connections ended between two tries."""
    bench.spool.failures = 1 << 30
    bench.may_try.clear()
    peer = await bench.connect(hello(), frame(1))
    await until_async(lambda: bench.intake.is_disk_failing, what="the disk to fail")
    await peer.close()
    await until_async(lambda: bench.waits, what="a wait for the disk")
    again = await bench.connect(hello(), frame(1), frame(2))
    await until_async(lambda: bench.worker().connections == 2, what="the second connection")
    await again.close()
    await until_async(lambda: bench.waits > 1, what="the other wait for the disk")
    bench.spool.failures = 0
    bench.may_try.set()
    await until_async(lambda: not bench.worker().is_connected, what="the end")
    assert bench.stored() == [make_payload(1), make_payload(2)]


async def test_only_so_much_of_workers_that_have_gone_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often one dies while the disk is full; what does not wait is lost with it."""
    monkeypatch.setattr("gateway.delivery.intake._MAX_GONE_BYTES", len(make_payload(1)))
    bench.spool.failures = 1 << 30
    await (await bench.connect(hello(), frame(1))).close()
    await until_async(lambda: bench.waits, what="a wait for the disk")
    await (await bench.connect(hello("another"), frame(1, "another"))).close()
    ends = [True, False]
    await until_async(
        lambda: [state.is_connected for state in bench.workers.states()] == ends, what="the other's end"
    )
    bench.spool.failures = 0
    await until_async(lambda: not bench.worker().is_connected, what="the end")
    assert bench.stored() == [make_payload(1)]


async def test_closing_ends_a_wait_for_the_disk(bench: Bench) -> None:
    """A full disk does not hold up the end."""
    bench.spool.failures = 1 << 30
    peer = await bench.connect(hello(), frame(1))
    await until_async(lambda: bench.intake.is_disk_failing, what="the disk to fail")
    await bench.intake.close()
    bench.spool.failures = 0
    assert bench.stored() == []
    assert peer.writer is not None


async def test_the_socket_replaces_a_stale_one_and_is_its_owners(tmp_path: Path) -> None:
    """A crash leaves its socket file; the next start listens all the same."""
    listen(tmp_path).close()
    assert (tmp_path / SOCKET_NAME).is_socket()
    listener = listen(tmp_path)
    assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600
    listener.close()


async def test_a_long_path_works_on_both_ends(tmp_path: Path) -> None:
    """A state folder may lie deeper than a socket's address reaches."""
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 6)
    deep.mkdir(parents=True)
    bench = Bench(deep)
    await bench.intake.start(deep)
    peer = await bench.connect(hello(), frame(1))
    await peer.hear_ack(1)
    await bench.close()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The start can say what is wrong."""
    with pytest.raises(OSError, match="No such file"):
        listen(tmp_path / "absent")
    with pytest.raises(OSError, match="No such file"):
        listen(tmp_path / ("x" * 120))


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 700), max_size=12))
def test_any_split_of_the_stream_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    """Where the socket cuts messages says nothing."""
    stream = hello() + b"".join(frame(n) for n in range(1, 6))

    async def converse() -> None:
        folder = tmp_path_factory.mktemp("state")
        bench = Bench(folder)
        await bench.intake.start(folder)
        peer = await bench.connect()
        at = 0
        for cut in [*sorted({cut % len(stream) for cut in cuts}), len(stream)]:
            peer.writer.write(stream[at:cut])
            await peer.writer.drain()
            await asyncio.sleep(0)
            at = cut
        await peer.hear_ack(5)
        assert bench.stored() == [make_payload(n) for n in range(1, 6)]
        await bench.close()

    asyncio.run(converse())
