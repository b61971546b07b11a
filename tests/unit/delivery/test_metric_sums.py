"""Sums over workers: they never go down."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery import metric_sums
from gateway.delivery.metric_sums import MetricSums
from gateway.wire.frame_index import Origin
from gateway.wire.frames import MetricKind, MetricPoint, MetricPoints
from tests.unit.doubles import Clock

ONE, TWO, THREE = Origin("one", 1), Origin("two", 2), Origin("three", 3)


NOW_S = 1_000.0


def make_sums(folder: Path, clock: Clock) -> MetricSums:
    return MetricSums(folder / "metrics", clock_s=clock, now_s=clock)


def calls(value: float, label: str = "m") -> MetricPoint:
    return MetricPoint("calls", (label,), MetricKind.SUM, [value])


def took(*values: float) -> MetricPoint:
    return MetricPoint("took", (), MetricKind.HISTOGRAM, list(values))


def memory(value: float) -> MetricPoint:
    return MetricPoint("memory", (), MetricKind.GAUGE, [value])


def sent(*points: MetricPoint, is_full: bool = False) -> MetricPoints:
    return MetricPoints(is_full, list(points))


def values(sums: MetricSums) -> dict[tuple[str, ...], list[int | float]]:
    return {(point.name, *point.labels): point.values for point in sums.points()}


def test_workers_are_added_up(tmp_path: Path) -> None:
    """Sums, buckets and gauges, by label set."""
    sums = make_sums(tmp_path, Clock(NOW_S))
    sums.take(ONE, sent(calls(2), calls(1, "x"), took(1, 0, 0.5), memory(10)))
    sums.take(TWO, sent(calls(3), took(0, 2, 4), memory(20)))
    assert values(sums) == {
        ("calls", "m"): [5], ("calls", "x"): [1], ("took",): [1, 2, 4.5], ("memory",): [30],
    }  # fmt: skip
    assert sums.present() == 2


def test_only_changes_are_sent(tmp_path: Path) -> None:
    """What a message does not name stays; a full message is all there is."""
    sums = make_sums(tmp_path, Clock(NOW_S))
    sums.take(ONE, sent(calls(2), calls(1, "x")))
    sums.take(ONE, sent(calls(3)))
    assert values(sums) == {("calls", "m"): [3], ("calls", "x"): [1]}
    sums.take(ONE, sent(calls(4), is_full=True))
    assert values(sums) == {("calls", "m"): [4]}


def test_a_worker_that_goes_leaves_its_sums(tmp_path: Path) -> None:
    """Its successor counts from zero; memory of a process that is gone is gone."""
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)
    sums.take(ONE, sent(calls(2), took(1, 0, 0.5), memory(10)))
    clock.now_s += 6
    sums.take(TWO, sent(calls(1), memory(20)))
    assert values(sums) == {("calls", "m"): [3], ("took",): [1, 0, 0.5], ("memory",): [20]}
    assert sums.present() == 1
    clock.now_s += 10_000
    sums.take(TWO, sent(calls(2), memory(20)))
    assert values(sums) == {("calls", "m"): [4], ("took",): [1, 0, 0.5], ("memory",): [20]}
    assert list(sums._workers) == [TWO]


def test_a_worker_that_is_there_is_not_folded_however_long_it_is_silent(tmp_path: Path) -> None:
    """While the disk is full nobody hears it, and what it has counted since its start comes again then."""
    clock = Clock(NOW_S)
    sums = MetricSums(tmp_path / "metrics", find_living=lambda: {ONE}, clock_s=clock, now_s=clock)
    sums.take(ONE, sent(calls(5)))
    sums.take(TWO, sent(calls(1)))
    clock.now_s += 700.0
    assert values(sums) == {("calls", "m"): [6]}
    sums.take(ONE, sent(calls(7)))
    assert values(sums) == {("calls", "m"): [8]}
    clock.now_s += 700.0
    sums.take(ONE, sent(calls(8), is_full=True))
    assert values(sums) == {("calls", "m"): [9]}


def test_control_goes_on_after_its_restart(tmp_path: Path) -> None:
    """Workers that live on send what they have; the ended ones are in the file, each once."""
    clock = Clock(NOW_S)
    first = make_sums(tmp_path, clock)
    first.take(ONE, sent(calls(2), memory(10)))
    first.take(TWO, sent(calls(3)))
    first.keep_now()
    clock.now_s += 3
    second = make_sums(tmp_path, clock)
    assert second.started_ns == first.started_ns
    assert values(second) == {("calls", "m"): [5]}
    second.take(TWO, sent(calls(4), is_full=True))
    assert values(second) == {("calls", "m"): [6]}
    clock.now_s += 10_000
    second.points()
    second.keep_now()
    assert values(make_sums(tmp_path, clock)) == {("calls", "m"): [6]}


def test_another_run_begins_anew(tmp_path: Path) -> None:
    """A gateway that was stopped for long has sums of its own, and no old label sets."""
    clock = Clock(NOW_S)
    first = make_sums(tmp_path, clock)
    first.take(ONE, sent(calls(2)))
    first.keep_now()
    clock.now_s += 61
    assert values(make_sums(tmp_path, clock)) == {}


def test_the_same_run_goes_on_however_long_control_was_away(tmp_path: Path) -> None:
    """Known by a worker that is still there, whose counts go on too; also if the clock was set back."""
    for away_s in (100_000.0, -5.0):
        clock = Clock(NOW_S)
        first = MetricSums(tmp_path / "metrics", clock_s=clock, now_s=clock)
        first.take(ONE, sent(calls(2)))
        first.take(TWO, sent(calls(1)))
        first.keep_now()
        clock.now_s += away_s
        second = MetricSums(
            tmp_path / "metrics", find_living=lambda: {TWO, THREE}, clock_s=clock, now_s=clock
        )
        assert values(second) == {("calls", "m"): [3]}
        assert second.started_ns == first.started_ns
        second.take(TWO, sent(calls(4), is_full=True))
        assert values(second) == {("calls", "m"): [6]}
        strangers = MetricSums(tmp_path / "metrics", find_living=lambda: {THREE}, clock_s=clock, now_s=clock)
        assert values(strangers) == {}


def test_the_start_is_set_back_with_the_clock(tmp_path: Path) -> None:
    """Once: a start that moved with each report would look like a new one each time; also after a restart."""
    wall, monotonic = Clock(NOW_S), Clock(NOW_S)
    sums = MetricSums(tmp_path / "metrics", clock_s=monotonic, now_s=wall)
    for now_s in (NOW_S + 5, NOW_S - 100, NOW_S - 90):
        wall.now_s = now_s
        sums.report([calls(1)])
    assert sums.started_ns == (NOW_S - 100) * 1e9
    assert MetricSums(tmp_path / "metrics", clock_s=monotonic, now_s=wall).started_ns == sums.started_ns


@pytest.mark.parametrize("text", [b"", b"\xc1", b"\x91\x01"], ids=["empty", "garbage", "short"])
def test_a_damaged_file_is_no_file(tmp_path: Path, text: bytes) -> None:
    """Metrics never keep control from starting."""
    (tmp_path / "metrics").write_bytes(text)
    assert values(make_sums(tmp_path, Clock(NOW_S))) == {}


def test_file_is_written_now_and_then(tmp_path: Path) -> None:
    """Not on every tick."""
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)
    sums.keep()
    assert not (tmp_path / "metrics").exists()
    clock.now_s += 5
    sums.keep()
    assert (tmp_path / "metrics").exists()


def test_a_full_disk_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, however often somebody asks for the sums, and again when it was well in between."""
    clock, folder = Clock(NOW_S), tmp_path / "no"
    sums = MetricSums(folder / "metrics", clock_s=clock, now_s=clock)
    for _ in range(2):
        assert [point.values for point in sums.report([calls(1)])] == [[1]]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the sums of the metrics cannot be kept"
    ]
    folder.mkdir()
    sums.report([])
    (folder / "metrics").unlink()
    folder.rmdir()
    sums.report([])
    assert len(caplog.records) == 2


def test_base_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Label sets of long gone workers become `other`, and nothing is lost of the sum."""
    monkeypatch.setattr(metric_sums, "_MAX_SETS", 2)
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)
    sums.take(ONE, sent(*[calls(1, f"m{number}") for number in range(5)]))
    clock.now_s += 10_000
    assert values(sums) == {("calls", "m0"): [1], ("calls", "m1"): [1], ("calls", "other"): [3]}


def test_other_is_one_point_of_an_instrument(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without labels that callers write; a label of its own may have `=` in it."""
    monkeypatch.setattr(metric_sums, "_MAX_SETS", 0)
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)
    more = [
        (),
        ("llm_gateway_metadata_team=a",),
        ("llm_gateway_metadata_team=a", "llm_gateway_metadata_app=b=c"),
    ]
    sums.take(
        ONE, sent(*[MetricPoint("calls", ("x=y", "default", *one), MetricKind.SUM, [1]) for one in more])
    )
    clock.now_s += 10_000
    assert values(sums) == {("calls", "other", "other"): [3]}


def test_other_buckets_of_a_new_version_do_no_harm(tmp_path: Path) -> None:
    """The shorter list stays; nothing raises."""
    sums = make_sums(tmp_path, Clock(NOW_S))
    sums.take(ONE, sent(took(1, 2, 3, 4)))
    sums.take(TWO, sent(took(1, 1)))
    assert values(sums) == {("took",): [2, 3]}


@given(st.lists(st.tuples(st.sampled_from([ONE, TWO, THREE]), st.integers(0, 9), st.integers(0, 700))))
def test_sums_never_go_down(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Origin, int, int]]
) -> None:
    """Whoever comes, goes or is folded, and whenever control begins again."""
    folder, clock = tmp_path_factory.mktemp("sums"), Clock(NOW_S)
    sums, counted = make_sums(folder, clock), dict.fromkeys([ONE, TWO, THREE], 0)
    generation, seen = 0, 0.0
    for origin, more, silence_s in steps:
        counted[origin] += more
        # One that was folded is a process that has ended: what comes is its successor.
        name = Origin(f"{origin.instance_id}-{generation}", origin.started_ns)
        sums.take(name, sent(calls(counted[origin]), is_full=True))
        clock.now_s += silence_s
        if silence_s > 300:
            generation, counted = generation + 1, dict.fromkeys(counted, 0)
        elif more == 9:
            sums.keep_now()
            sums = make_sums(folder, clock)
        now = sum(point.values[0] for point in sums.points())
        assert now >= seen
        seen = now


def test_file_is_small_and_ours(tmp_path: Path) -> None:
    """MessagePack, so that a later version can read or refuse it."""
    sums = make_sums(tmp_path, Clock(NOW_S))
    sums.take(ONE, sent(calls(1)))
    sums.keep_now()
    assert msgspec.msgpack.decode((tmp_path / "metrics").read_bytes())[3][0][:2] == ["one", 1]


def test_what_somebody_saw_never_goes_down(tmp_path: Path) -> None:
    """Not even when control is killed right after: what is told was kept before."""
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)
    sums.take(ONE, sent(calls(2)))
    assert [point.values for point in sums.report([calls(3)])] == [[5]]
    sums.take(ONE, sent(calls(7)))
    told = sums.report([calls(4), memory(1)])
    clock.now_s += 2.0
    again = make_sums(tmp_path, clock)  # and no worker has connected yet
    assert [point for point in told if point.kind is MetricKind.SUM] == again.points()
    again.take(ONE, sent(calls(8), is_full=True))
    assert [point.values for point in again.report([calls(1)])] == [[13]]


def test_control_is_no_worker(tmp_path: Path) -> None:
    """It is counted and not among those that are there."""
    sums = make_sums(tmp_path, Clock(NOW_S))
    sums.take(ONE, sent(calls(2)))
    sums.report([calls(1)])
    assert sums.present() == 1


def test_a_file_that_is_begun_anew_takes_nothing_back(tmp_path: Path) -> None:
    """What another file had counted stays, while control is there and when it has begun anew since.

    Nor does one that has lost a little count twice what it still has.
    """
    clock = Clock(NOW_S)
    sums = make_sums(tmp_path, clock)

    def told(*elsewhere: float) -> list[list[int | float]]:
        return [point.values for point in sums.report([], [calls(value) for value in elsewhere])]

    assert [told(5), told(7), told(0), told(2)] == [[[5]], [[7]], [[7]], [[9]]]
    sums = make_sums(tmp_path, clock)
    assert [told(), told(2), told(3), told(1), told(2)] == [[[9]], [[9]], [[10]], [[10]], [[11]]]
    sums = make_sums(tmp_path, clock)
    assert [told(0), told(1)] == [[[11]], [[12]]]
    clock.now_s += 1_000.0
    sums = make_sums(tmp_path, clock)
    assert (told(4), sums.started_ns) == ([[4]], int(clock.now_s * 1e9))
