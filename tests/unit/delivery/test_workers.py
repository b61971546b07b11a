"""What is known of workers: bounded, and nothing they counted is forgotten."""

from __future__ import annotations

from gateway.delivery.workers import EARLIER, Workers
from gateway.wire.frames import Counts, Hello


def test_workers_long_gone_are_summed_up() -> None:
    """However often workers are restarted, the list is short and the sums are right."""
    workers = Workers()
    for n in range(200):
        state = workers.meet(Hello(f"worker-{n}", n, n, "v1"))
        state.counts = Counts(10, 7, {"queue_full": 2, "shutdown_timeout": 1}, 3)
        state.lost_frames = 1
        state.repeated_frames = 4
        state.connections -= 1
    states = workers.states()
    assert len(states) < 70
    assert states[0].instance_id == EARLIER
    assert sum(state.counts.created for state in states) == 2000
    assert sum(state.counts.handed_over for state in states) == 1400
    assert sum(state.counts.dropped["queue_full"] for state in states) == 400
    assert sum(state.lost_frames for state in states) == 200
    assert sum(state.repeated_frames for state in states) == 800


def test_connected_workers_are_never_summed_up() -> None:
    """Only those that have gone."""
    workers = Workers()
    for n in range(200):
        workers.meet(Hello(f"worker-{n}", n, n, "v1"))
    assert len(workers.states()) == 200


def test_a_worker_that_comes_back_is_the_same() -> None:
    """Its counts go on; another start of the same name is another worker."""
    workers = Workers()
    workers.meet(Hello("worker", 1, 1, "v1")).counts = Counts(1, 1, {}, 0)
    again = workers.meet(Hello("worker", 1, 1, "v2"))
    assert (again.counts.created, again.connections, again.config_version) == (1, 2, "v2")
    assert workers.meet(Hello("worker", 2, 2, "v2")).counts.created == 0


def test_what_is_given_out_is_a_copy() -> None:
    """Another thread may look at it while the loop goes on."""
    workers = Workers()
    state = workers.meet(Hello("worker", 1, 1, "v1"))
    (copy,) = workers.states()
    state.lost_frames = 3
    assert copy.lost_frames == 0
