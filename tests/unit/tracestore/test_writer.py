"""The thread that fills the store."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from gateway.delivery.segment import make_record
from gateway.delivery.spool import Reader, Spool
from gateway.tracestore import writer as store_writer
from gateway.tracestore.budget import CpuBudget
from gateway.tracestore.ledger import LedgerReport, Totals
from gateway.tracestore.query import TraceQuery
from gateway.tracestore.reader import TraceReader, find_stored
from gateway.tracestore.store import TraceStore
from gateway.tracestore.writer import Clocks, FrameReader, StoreWriter
from gateway.wire.frames import encode_payload
from tests.rig.frame_maker import make_brief, make_brief_frame
from tests.rig.frame_maker import make_call as make_rig_call
from tests.rig.until import until
from tests.unit.tracestore.call_maker import NOW_S, frame_of, payload_of


@dataclass
class SpoolCounts:
    created: int = 0
    unread: int = 0
    lost: dict[str, int] = field(default_factory=dict)


@dataclass
class SpoolPlace:
    spans_before: int | None
    lost: dict[str, int]


class MemoryReader:
    """A spool's reader over a list."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames: list[tuple[int, bytes, int]] = []
        self._at = 0
        self.settled = 0
        self.is_broken = False
        self.lost: dict[str, int] = {}

    def append(self, *payloads: bytes, spans: int = 2) -> None:
        with self._changed:
            for payload in payloads:
                self._frames.append((len(self._frames) + 1, payload, spans))
            self._changed.notify_all()

    def read(self, max_bytes: int, max_frames: int, timeout_s: float) -> list[tuple[int, bytes]]:
        with self._changed:
            if self.is_broken:
                raise OSError("the disk is gone")
            self._changed.wait_for(lambda: self._at < len(self._frames), timeout_s)
            found = self._frames[self._at : self._at + max_frames]
            self._at += len(found)
            return [(position, data) for position, data, _spans in found]

    def advance(self, position: int) -> None:
        self.settled = position

    def taken(self, position: int) -> SpoolPlace:
        with self._changed:
            spans = sum(spans for at, _data, spans in self._frames if at <= position)
            return SpoolPlace(spans + sum(self.lost.values()), self.lost)

    def counts(self) -> SpoolCounts:
        with self._changed:
            spans = [spans for _position, _data, spans in self._frames]
            lost = sum(self.lost.values())
            return SpoolCounts(sum(spans) + lost, sum(spans[self._at :]), self.lost)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


@pytest.fixture
def spool() -> MemoryReader:
    return MemoryReader()


def make_writer(path: Path, reader: FrameReader, earlier: Totals | None = None) -> StoreWriter:
    """One with CPU time enough: how much of it a busy machine gives to the tests must thin no traces."""
    budget = CpuBudget(share=1_000.0)
    return StoreWriter(path, reader, earlier=earlier, budget=budget, clocks=Clocks(unix_s=lambda: NOW_S))


@pytest.fixture
def writer(path: Path, spool: MemoryReader) -> Iterator[StoreWriter]:
    made = make_writer(path, spool)
    yield made
    made.stop(0.0)


def stored(path: Path) -> int:
    traces = TraceReader(path).list_traces(TraceQuery(limit=1000))["traces"]
    assert isinstance(traces, list)
    return len(traces)


def test_frames_become_readable_and_settled(writer: StoreWriter, spool: MemoryReader, path: Path) -> None:
    """The way of every trace; nothing is settled before it is stored."""
    spool.append(payload_of(1, 1), payload_of(2, 2))
    writer.start()
    until(lambda: spool.settled == 2, "both frames are settled")
    assert stored(path) == 2
    ledger = writer.report()["ledger"]
    assert (ledger["created"], ledger["exported"], ledger["spooled"], ledger["in_flight"]) == (4, 4, 0, 0)
    assert writer.report()["endpoint"] == str(path)


@pytest.mark.parametrize(
    ("frames", "payload_bytes", "has_more"), [(1, 1_000, False), (1, 3_000_000, True), (256, 1, True)]
)
def test_a_full_read_is_followed_by_the_next(
    writer: StoreWriter, spool: MemoryReader, frames: int, payload_bytes: int, *, has_more: bool
) -> None:
    """Or many calls a second would wait in the spool until it is full, whatever CPU time is left."""
    spool.append(*[b"\xc4" * payload_bytes] * frames)
    assert writer._turn() is has_more


@pytest.mark.parametrize(
    ("work_s", "ratio"), [(0.0, 300), (0.02, 15), (0.2, 3)], ids=["nothing yet", "some", "much"]
)
def test_a_batch_is_spread(path: Path, spool: MemoryReader, work_s: float, ratio: float) -> None:
    """The less there is to do, the longer are its pauses, unless more waits or it is the end."""
    cpu_s = iter([1.0, 1.0 + work_s])
    clocks = Clocks(unix_s=lambda: NOW_S, thread_cpu_s=lambda: next(cpu_s, 9.0))
    writer = StoreWriter(path, spool, clocks=clocks)
    spool.append(payload_of(1, 1))
    writer._turn()
    few, many = [(1, b"")], [(1, b"")] * 32
    assert writer._pause_ratio(few) == pytest.approx(ratio)
    assert writer._pause_ratio(many) == 3
    writer.stop(0.0)
    assert writer._pause_ratio(few) == 3
    writer._close()


def test_stop_drains_what_is_readable(writer: StoreWriter, spool: MemoryReader, path: Path) -> None:
    """The last calls before a restart are there after it."""
    spool.append(*(payload_of(number, number) for number in range(1, 601)))
    writer.start()
    writer.stop(30.0)
    assert not path.with_name("traces.db-wal").exists()
    assert stored(path) == spool.settled == 600


def test_repeated_frames_are_counted_and_not_stored(
    writer: StoreWriter, spool: MemoryReader, path: Path
) -> None:
    """After a crash the spool gives the last ones again."""
    with closing(TraceStore(path, now_s=lambda: NOW_S)) as before:
        before.insert([(1, frame_of(1, 1))])
    spool.append(payload_of(1, 1), payload_of(2, 2))
    writer.start()
    until(lambda: spool.settled == 2, "both frames are settled")
    assert stored(path) == 2
    ledger = writer.report()["ledger"]
    assert (ledger["created"], ledger["exported"]) == (2, 2)


def test_counts_go_on_after_a_restart(writer: StoreWriter, spool: MemoryReader, path: Path) -> None:
    """Whatever ended the process: they are those of the store, kept with its position in the spool."""
    half = payload_of(2, 2)[:-40]
    spool.lost = {"spool_full": 7}
    spool.append(payload_of(1, 1))
    spool.append(half, spans=1)  # nobody knows how many it had
    writer.start()
    until(lambda: spool.settled == 2, "both frames are settled")
    first = writer.report()["ledger"]
    later = MemoryReader()
    found = find_stored(path)
    assert found.position == 2
    again = make_writer(path, later, found.totals)
    assert again.report()["ledger"] == first
    later.lost = {"spool_full": 1, "spool_damaged": 1}
    later.append(payload_of(3, 3))
    again.start()
    until(lambda: later.settled == 1, "the new frame is settled")
    again.stop(0.0)
    ledger = again.report()["ledger"]
    reasons = {"spool_full": 8, "spool_damaged": 1, "unreadable": 1}
    assert ledger["dropped"] == {"total": 10, "by_reason": reasons}
    assert (ledger["created"], ledger["exported"], ledger["in_flight"]) == (14, 4, 0)


class Spooled:
    """The writer over a spool of some files, each of three frames of two spans."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = len(make_record(payload_of(1, 1)))
        self.appended = 0
        self.begin()

    def begin(self) -> None:
        self.spool = Spool(
            self.path.parent / "spool", max_bytes=self.size_bytes * 12, segment_bytes=self.size_bytes * 4
        )
        found = find_stored(self.path)
        self.reader = self.spool.reader_at("local", found.position, found.spans_before)
        self.writer = make_writer(self.path, self.reader, found.totals)

    def append(self, frames: int) -> None:
        for _ in range(frames):
            self.appended += 1
            self.spool.append(payload_of(self.appended, self.appended))

    def end(self) -> LedgerReport:
        self.writer._close()
        self.spool.close()
        return self.writer.report()["ledger"]


def test_what_the_spool_gave_up_is_counted_by_its_spans_after_a_restart(path: Path) -> None:
    """While the disk failed the store's place stayed where it was, and the spool went on."""
    bench = Spooled(path)
    bench.append(2)
    bench.writer._turn()
    bench.append(40)
    before = bench.end()
    assert before["dropped"]["by_reason"]["spool_full"] > 40
    bench.begin()
    assert bench.writer.report()["ledger"] == before
    assert before["created"] == 84
    while bench.reader.counts().unread:
        bench.writer._turn()
    assert bench.end()["created"] == 84
    bench.begin()
    assert bench.end()["created"] == 84


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM meta WHERE name LIKE 'spans_before%'",
        "UPDATE meta SET value = 3 WHERE name = 'position'",
    ],
    ids=["by it alone", "after this one"],
)
def test_place_that_an_earlier_version_kept_counts_frames(path: Path, change: str) -> None:
    """It kept no count of spans, and left one of another place as it was."""
    bench = Spooled(path)
    bench.append(2)
    bench.writer._turn()
    bench.append(40)
    spooled = bench.end()["spooled"]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(change)
        (position,) = db.execute("SELECT value FROM meta WHERE name = 'position'").fetchone()
    bench.begin()
    lost = bench.end()["dropped"]["by_reason"]
    assert lost == {"spool_full": 42 - spooled // 2 - position}


class FullSpool:
    """A reader whose spool gives up what lies behind a read before the writer stores what was read."""

    def __init__(self, reader: Reader, overflow: Callable[[], None]) -> None:
        self._overflow = overflow
        self.taken, self.advance, self.counts = reader.taken, reader.advance, reader.counts
        self._read = reader.read

    def read(self, max_bytes: int, max_frames: int, timeout_s: float) -> list[tuple[int, bytes]]:
        found = self._read(max_bytes, max_frames, timeout_s)
        self._overflow()
        return found


def test_what_is_given_up_behind_a_batch_is_not_stored_with_it(path: Path) -> None:
    """It is counted from there by the next process, and would count twice."""
    bench = Spooled(path)
    bench.append(2)
    reader = FullSpool(bench.reader, lambda: bench.append(40))
    bench.writer = make_writer(path, reader)
    bench.writer._turn()
    before = bench.end()
    assert before["created"] == 84
    bench.begin()
    assert bench.end() == before


def test_damaged_frame_is_dropped_alone(writer: StoreWriter, spool: MemoryReader, path: Path) -> None:
    """What nobody can read holds up nothing, and shows in the ledger."""
    half = payload_of(2, 2)[:-40]
    newer = b"\x96\xa2w1\x01\x02\xa1v\xc4\x00\x92\x93\x01\xc0\x93\x01\x02\x03\x93\x01\xc0\x91\x01"
    spool.append(payload_of(1, 1), half, payload_of(3, 3))
    no_text = b"\x96\xa1w\x01\x02\xa1v\xc4\x00\x91\x93\x01\xa1\xff\x92\x01\x02"
    spool.append(newer, spans=4)
    spool.append(no_text)
    writer.start()
    until(lambda: spool.settled == 5, "all are settled")
    assert stored(path) == 2
    ledger = writer.report()["ledger"]
    assert ledger["dropped"] == {"total": 7, "by_reason": {"unreadable": 7}}


def test_calls_told_in_brief_are_stored(writer: StoreWriter, spool: MemoryReader, path: Path) -> None:
    """Beside others; of a frame that is of no use they are counted."""
    useless = encode_payload(make_brief_frame(2, make_brief(3, kind=7), calls=[make_rig_call("a", "b")]))
    spool.append(encode_payload(make_brief_frame(1, make_brief(1), make_brief(2))), spans=4)
    spool.append(useless, spans=4)
    writer.start()
    until(lambda: spool.settled == 2, "both are settled")
    assert stored(path) == 2
    ledger = writer.report()["ledger"]
    assert ledger["exported"] == 4
    assert ledger["dropped"] == {"total": 4, "by_reason": {"unreadable": 4}}


def test_value_that_sqlite_refuses_costs_its_frame_only(
    writer: StoreWriter, spool: MemoryReader, path: Path
) -> None:
    """Trying it again for ever would end all storing."""
    spool.append(payload_of(1, 1), payload_of(2**64 - 1, 2, instance_id="mad"), payload_of(2, 3))
    writer.start()
    until(lambda: spool.settled == 3, "all are settled")
    assert stored(path) == 2
    assert writer.state().unreadable == 2


def test_failing_disk_is_tried_until_it_works(
    path: Path, spool: MemoryReader, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is lost meanwhile, the report says so, and the log says it once."""
    folder = path.parent / "later"
    writer = make_writer(folder / "traces.db", spool)
    spool.append(payload_of(1, 1))
    with caplog.at_level(logging.WARNING):
        writer.start()
        until(lambda: writer.state().failures >= 2, "it failed twice")
        report = writer.report()
        assert report["state"] == "retrying"
        assert report["ledger"]["in_flight"] == 2
        assert report["last_error"] is not None
        folder.mkdir()
        until(lambda: spool.settled == 1, "the frame is settled")
    assert stored(folder / "traces.db") == 1
    assert writer.report()["state"] == "ok"
    assert len(caplog.records) == 1
    writer.stop(1.0)


def test_stop_does_not_wait_for_a_failing_disk(path: Path, spool: MemoryReader) -> None:
    """The frame stays in the spool for the next start."""
    writer = make_writer(path.parent / "never" / "traces.db", spool)
    spool.append(payload_of(1, 1))
    writer.start()
    until(lambda: writer.state().failures, "it failed")
    writer.stop(0.2)
    assert not writer._thread.is_alive()
    assert spool.settled == 0


def test_spool_that_cannot_be_read_is_tried_again(
    writer: StoreWriter, spool: MemoryReader, path: Path
) -> None:
    """Its disk may come back."""
    spool.is_broken = True
    writer.start()
    until(lambda: writer.state().failures, "it failed")
    spool.is_broken = False
    spool.append(payload_of(1, 1))
    until(lambda: spool.settled == 1, "the frame is settled")
    assert stored(path) == 1
    assert writer.report()["state"] == "ok"


def test_store_damaged_while_it_runs_is_set_aside(
    writer: StoreWriter, spool: MemoryReader, path: Path
) -> None:
    """A new one is begun, with the batch that met the damage."""
    spool.append(payload_of(1, 1))
    writer.start()
    until(lambda: spool.settled == 1, "the first frame is settled")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)
    spool.append(payload_of(2, 2))
    until(lambda: spool.settled == 2, "the second frame is settled")
    assert stored(path) == 1
    assert [file.name for file in path.parent.glob("traces.db.2*") if "-" not in file.name]


class BrokenBudget(CpuBudget):
    """Fails the first time."""

    has_failed = False

    def note(self, *, wall_s: float, cpu_s: float, others_cpu_s: float = 0.0, **_: bool) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise KeyError("a bug")


def test_mistake_of_ours_does_not_end_the_thread(
    path: Path, spool: MemoryReader, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback, and the next batch is stored."""
    writer = StoreWriter(path, spool, budget=BrokenBudget())
    spool.append(payload_of(1, 1))
    writer.start()
    until(lambda: "a bug" in caplog.text, "it failed")
    spool.append(payload_of(2, 2))
    until(lambda: spool.settled == 2, "the second frame is settled")
    writer.stop(0.0)


class HalfBudget(CpuBudget):
    """As after a second of twice the share."""

    def note(self, *, wall_s: float, cpu_s: float, others_cpu_s: float = 0.0, **_: bool) -> None:
        self.keep_ratio = 0.5


def test_over_its_share_of_the_cpu_it_keeps_a_sample(
    path: Path, spool: MemoryReader, caplog: pytest.LogCaptureFixture
) -> None:
    """The ledger and one log line a minute say so; the rollups stay exact."""
    now_s = [0.0]
    clocks = Clocks(unix_s=lambda: NOW_S, monotonic_s=lambda: now_s[0])
    budget = HalfBudget()
    writer = StoreWriter(path, spool, budget=budget, clocks=clocks)
    with caplog.at_level(logging.WARNING):
        writer.start()
        until(lambda: budget.keep_ratio == 0.5, "the budget is exceeded")
        spool.append(payload_of(1, *range(1, 101)), spans=200)
        until(lambda: spool.settled == 1, "the frame is settled")
        assert "50 %" not in caplog.text
        now_s[0] = 61.0
        until(lambda: "50 %" in caplog.text, "it was logged")
    ledger = writer.report()["ledger"]
    assert 0 < ledger["sampled_out"] < 200
    assert ledger["exported"] + ledger["sampled_out"] == ledger["created"] == 200
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT calls FROM minutes LIMIT 1").fetchone() == (100,)
    writer.stop(0.0)


@pytest.mark.parametrize(
    ("frames", "calls", "has_all"), [(1, 50, True), (1, 51, False), (2, 26, False), (32, 1, False)]
)
def test_of_few_calls_none_is_left_out(
    path: Path, spool: MemoryReader, frames: int, calls: int, *, has_all: bool
) -> None:
    """It would save next to nothing; where many such batches wait it does."""
    budget = CpuBudget()
    budget.keep_ratio = 0.01
    writer = StoreWriter(path, spool, budget=budget, clocks=Clocks(unix_s=lambda: NOW_S))
    numbers = iter(range(1, frames * calls + 1))
    spool.append(*[payload_of(n, *islice(numbers, calls)) for n in range(1, frames + 1)], spans=2 * calls)
    writer._turn()
    ledger = writer.report()["ledger"]
    writer._close()
    assert ledger["exported"] + ledger["sampled_out"] == ledger["created"] == 2 * frames * calls
    assert (ledger["sampled_out"] == 0) is has_all


class OddRatio(float):
    """A share of all traces that cannot be worked with at the second trace and the fourth."""

    uses = 0

    def __mul__(self, other: float) -> float:
        self.uses += 1
        if self.uses in (2, 4):
            raise KeyError("nobody foresaw this")
        return float(other)


class OddBudget(CpuBudget):
    """Gives an `OddRatio`, and leaves it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.keep_ratio = OddRatio(1.0)

    def note(self, *, wall_s: float, cpu_s: float, others_cpu_s: float = 0.0, **_: bool) -> None:
        """Whatever was used."""


def test_error_that_nobody_foresaw_costs_its_frame_only(
    path: Path, spool: MemoryReader, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame that raises it is counted as unreadable, its neighbours are stored; the log has it."""
    monkeypatch.setattr(store_writer, "_FEW_CALLS", 0)
    writer = StoreWriter(path, spool, budget=OddBudget(), clocks=Clocks(unix_s=lambda: NOW_S))
    spool.append(payload_of(1, 1), payload_of(2, 2), payload_of(3, 3))
    writer.start()
    until(lambda: spool.settled == 3, "all are settled")
    assert stored(path) == 2
    assert writer.report()["ledger"]["dropped"] == {"total": 2, "by_reason": {"unreadable": 2}}
    assert "nobody foresaw this" in caplog.text
    spool.append(payload_of(4, 4))
    until(lambda: spool.settled == 4, "the thread goes on")
    assert stored(path) == 3
    writer.stop(0.0)


class SeenBudget(CpuBudget):
    """Notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[float, float]] = set()

    def note(self, *, wall_s: float, cpu_s: float, others_cpu_s: float = 0.0, **_: bool) -> None:
        self.seen.add((cpu_s, others_cpu_s))


def test_its_budget_sees_what_the_other_threads_use(path: Path, spool: MemoryReader) -> None:
    """All of the process less its own."""
    budget = SeenBudget()
    clocks = Clocks(unix_s=lambda: NOW_S, thread_cpu_s=lambda: 1.0, process_cpu_s=lambda: 3.5)
    writer = StoreWriter(path, spool, budget=budget, clocks=clocks)
    writer.start()
    until(lambda: budget.seen == {(1.0, 2.5)}, "the budget was shown both")
    writer.stop(0.0)
