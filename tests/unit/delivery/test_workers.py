"""What is known of workers: bounded, and nothing they counted is forgotten, by control's end neither."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from gateway.delivery.segment import Progress
from gateway.delivery.workers import EARLIER, Workers, WorkerState
from gateway.tally import FOLDER, Tally, tally_files
from gateway.wire.frame_index import Origin
from gateway.wire.frames import Counts, Hello


class Bench:
    """Workers of one state folder, whose control may start anew."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.progress: dict[Origin, Progress] = {}
        self.tallies: dict[str, Tally] = {}
        self.workers = self.restarted()

    def restarted(self) -> Workers:
        self.workers = Workers(self.state_dir, self.progress.get)
        return self.workers

    def run_worker(self, instance_id: str, started_ns: int = 1) -> Tally:
        tally = self.tallies[instance_id] = Tally()
        tally.keep_in(self.state_dir, instance_id=instance_id, pid=9, started_ns=started_ns)
        return tally

    def end_worker(self, instance_id: str) -> None:
        """As the kernel does for a process: what it had open is closed, the lock with it."""
        tally = self.tallies.pop(instance_id)
        tally._cells = memoryview(array("Q"))

    def states(self) -> dict[str, WorkerState]:
        return {state.instance_id: state for state in self.workers.states()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def hello(instance_id: str, started_ns: int = 1, version: str = "v1") -> Hello:
    return Hello(instance_id, 9, started_ns, version)


def test_what_a_killed_worker_had_is_lost_and_counted(bench: Bench) -> None:
    """By its own last count, which control had not heard; what the spool has it had not heard either."""
    state = bench.workers.meet(hello("w"))
    tally = bench.run_worker("w")
    state.counts = Counts(3, 3, {}, 0)
    tally.create(20)
    tally.hand_over(10)
    tally.drop("queue_full", 2)
    bench.progress[Origin("w", 1)] = Progress(5, 13)
    assert bench.states()["w"].lost == 0
    state.connections -= 1
    assert bench.states()["w"].lost == 0, "it may connect again"
    bench.end_worker("w")
    assert bench.states()["w"].entry() == {
        "instance_id": "w",
        "pid": 9,
        "handed_over": 13,
        "dropped": {"total": 7, "by_reason": {"queue_full": 2, "worker_lost": 5}},
    }


def test_what_was_lost_while_control_was_away_is_counted(bench: Bench) -> None:
    """A worker that ended meanwhile is known by its file, also one that never met a control process."""
    for instance_id, started_ns in (("known", 1), ("stranger", 2)):
        tally = bench.run_worker(instance_id, started_ns)
        tally.create(8)
        tally.hand_over(3)
        bench.end_worker(instance_id)
    bench.progress[Origin("known", 1)] = Progress(2, 5, missing_frames=1)
    bench.restarted()
    (earlier,) = bench.workers.states()
    assert earlier.entry() == {
        "instance_id": EARLIER,
        "pid": 0,
        "handed_over": 8,
        "dropped": {"total": 9, "by_reason": {"worker_lost": 9}},
    }


def test_a_worker_that_lives_is_no_loss_to_a_new_control(bench: Bench) -> None:
    """What it has not handed over it still has."""
    tally = bench.run_worker("w")
    tally.create(8)
    bench.restarted()
    assert (bench.states()["w"].lost, bench.states()["w"].counts.created) == (0, 8)
    bench.workers.meet(hello("w"))
    tally.hand_over(8)
    assert list(bench.states()) == ["w"]


def test_a_gap_stays_counted_in_a_new_control(bench: Bench) -> None:
    """The spool knows of it."""
    bench.progress[Origin("w", 1)] = Progress(9, 7, missing_frames=2)
    bench.run_worker("w")
    bench.workers.meet(hello("w"))
    assert bench.states()["w"].lost == 2
    bench.restarted().meet(hello("w"))
    assert bench.states()["w"].lost == 2


def test_workers_long_gone_are_summed_up(bench: Bench) -> None:
    """However often workers and control start anew, list and folder are short, and the sums are right."""
    for n in range(200):
        name = f"worker-{n}"
        state = bench.workers.meet(hello(name, n))
        tally = bench.run_worker(name, n)
        tally.create(10)
        tally.hand_over(6)
        tally.drop("queue_full", 2)
        tally.drop("shutdown_timeout", 1)
        state.repeated_frames = 4
        state.connections -= 1
        bench.end_worker(name)
        bench.workers.states()
    for n_most in (70, 1):
        states = bench.workers.states()
        assert len(states) <= n_most
        assert len(list(tally_files(bench.state_dir))) <= n_most
        assert states[0].instance_id == EARLIER
        # Who looks after the silent ones would miss it for good.
        assert not states[0].is_there
        assert sum(state.counts.created for state in states) == 2000
        assert sum(state.counts.handed_over for state in states) == 1200
        assert sum(state.counts.dropped["queue_full"] for state in states) == 400
        assert sum(state.lost for state in states) == 200
        bench.restarted()


def test_a_crash_between_sums_and_files_counts_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    """The sums name the files that are in them."""
    bench.run_worker("w").create(3)
    bench.end_worker("w")
    (file,) = tally_files(tmp_path)
    data = file.path.read_bytes()
    bench.restarted()
    assert list(tally_files(tmp_path)) == []
    file.path.write_bytes(data)  # as if it had not been removed
    bench.restarted()
    assert bench.states()[EARLIER].lost == 3
    assert list(tally_files(tmp_path)) == []


def test_sums_that_cannot_be_kept_wait(bench: Bench, tmp_path: Path) -> None:
    """Each worker stays listed until they can."""
    bench.run_worker("w").create(3)
    bench.end_worker("w")
    obstacle = tmp_path / FOLDER / f"{EARLIER}.new"
    obstacle.mkdir()
    bench.restarted()
    assert bench.states()["w"].lost == 3
    obstacle.rmdir()
    bench.restarted()
    assert bench.states()[EARLIER].lost == 3


def test_unreadable_sums_are_begun_anew(bench: Bench, tmp_path: Path) -> None:
    """They cost what they said and no start."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / EARLIER).write_bytes(b"\x91\xa1\xff")
    assert bench.restarted().states() == []


def test_a_worker_without_a_file_is_known_by_what_it_said(bench: Bench) -> None:
    """Its disk was full; what it had when it ended nobody knows."""
    state = bench.workers.meet(hello("w"))
    state.counts = Counts(9, 4, {"queue_full": 1}, 0)
    state.connections -= 1
    assert bench.states()["w"].entry()["dropped"] == {"total": 1, "by_reason": {"queue_full": 1}}
    for n in range(200):
        bench.workers.meet(hello(f"worker-{n}", n)).connections -= 1
    assert len(bench.states()) < 70
    assert bench.states()[EARLIER].counts.created == 9


def test_connected_workers_are_never_summed_up(bench: Bench) -> None:
    """Only those that have gone."""
    for n in range(200):
        bench.workers.meet(hello(f"worker-{n}", n))
    assert len(bench.states()) == 200


def test_a_worker_that_comes_back_is_the_same(bench: Bench) -> None:
    """Its counts go on; another start of the same name is another worker."""
    bench.workers.meet(hello("worker")).counts = Counts(1, 1, {}, 0)
    again = bench.workers.meet(hello("worker", version="v2"))
    assert (again.counts.created, again.connections, again.config_version) == (1, 2, "v2")
    said_at_ns = again.config_at_ns
    assert said_at_ns > 0
    assert bench.workers.meet(hello("worker", version="v2")).config_at_ns == said_at_ns
    assert bench.workers.meet(hello("worker", 2)).counts.created == 0


def test_what_is_given_out_is_a_copy(bench: Bench) -> None:
    """Another thread may look at it while the loop goes on."""
    state = bench.workers.meet(hello("worker"))
    (copy,) = bench.workers.states()
    state.repeated_frames = 3
    assert copy.repeated_frames == 0


def test_when_a_worker_was_heard(bench: Bench) -> None:
    """When it connected, when it said something; one that never did, when it was first seen."""
    now_s = 5.0
    workers = Workers(bench.state_dir, bench.progress.get, lambda: now_s)
    bench.run_worker("starting")
    state = workers.meet(hello("w"))
    now_s = 6.0
    assert {one.instance_id: one.heard_s for one in workers.states()} == {"w": 5.0, "starting": 5.0}
    workers.heard(state)
    assert {one.instance_id: one.heard_s for one in workers.states()} == {"w": 6.0, "starting": 5.0}


def test_who_is_there(bench: Bench) -> None:
    """Connected or not while the process lives; where nobody can know that, while it is connected."""
    kept, unknown = bench.workers.meet(hello("kept")), bench.workers.meet(hello("unknown"))
    bench.run_worker("kept")
    kept.connections = unknown.connections = 0
    assert {name: state.is_there for name, state in bench.states().items()} == {
        "kept": True,
        "unknown": False,
    }
    assert {one.instance_id for one in bench.workers.living()} == {"kept"}
    bench.end_worker("kept")
    assert bench.workers.living() == frozenset()
    assert not bench.states()["kept"].is_there
