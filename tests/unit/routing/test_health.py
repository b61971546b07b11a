"""What planning and attempts learn of targets, and teach: on a board in memory and a clock of the test's.

At the end, by several processes on one board.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Outcome, Target, TimeLimits
from gateway.routing.circuit import CircuitRules
from gateway.routing.health import LONGEST_WINDOW_S, Health, TargetReport
from gateway.routing.route import TargetTimes
from gateway.store.target_board import SAMPLES, board_in_memory, open_board
from tests.rig.until import until
from tests.unit.doubles import Clock
from tests.unit.makers import make_target
from tests.unit.store.others import end, run

GOOD: Final = Outcome("good", 200, took_ms=100.0)
SICK: Final = Outcome("sick", 503, took_ms=100.0)
NONE: Final = Outcome("none", 400, took_ms=100.0)
TARGET: Final = make_target("acct/small")
NAME: Final = TARGET.name


def report_of(health: Health) -> TargetReport:
    report = health.report(NAME)
    assert report is not None
    return report


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(board_in_memory(now_s=clock), CircuitRules(), now_s=clock, random=Random(1))


def test_a_busy_target_that_breaks_down(
    health: Health, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten good answers a second for half a minute, and then none: it is noticed within a few seconds."""
    for _ in range(300):
        health.ended(TARGET, GOOD)
        clock.now_s += 0.1
    broke_at_s = clock.now_s
    with caplog.at_level(logging.WARNING, "gateway.routing.health"):
        while health.skip_reason(NAME) is None and clock.now_s < broke_at_s + 30:
            clock.now_s += 0.1
            health.ended(TARGET, SICK)
    assert clock.now_s - broke_at_s < 3.0
    assert re.search(r": \d+ of its last \d\d? attempts failed, within 3 s", caplog.text)


def break_it(health: Health, target: Target = TARGET) -> None:
    for _ in range(5):
        health.ended(target, SICK)


def test_nothing_known(health: Health) -> None:
    """A target that nobody has asked yet may be asked."""
    assert health.skip_reason(NAME) is None
    assert health.wait_s(NAME) == 0.0
    assert health.admit(TARGET) is None
    assert health.times(NAME, window_s=60) == TargetTimes()


def test_five_failures_open_it(health: Health, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Until the cool-down is over it is skipped, and the log says so once."""
    for _ in range(4):
        health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) is None
    with caplog.at_level(logging.WARNING, "gateway.routing.health"):
        for _ in range(3):
            health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) == health.admit(TARGET) == "circuit"
    assert 0.5 <= health.wait_s(NAME) <= 1.0
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{NAME} is not asked for {health.wait_s(NAME):.1f} s: 5 of its last 5 attempts failed, within 30 s"
    )
    assert health.skip_reason("acct/other") is None
    clock.now_s += health.wait_s(NAME)
    assert health.skip_reason(NAME) is None


def test_only_sickness_counts(health: Health) -> None:
    """Callers' mistakes say nothing of a target, however many."""
    for _ in range(100):
        health.ended(TARGET, NONE)
    health.ended(TARGET, SICK)
    counts = report_of(health).counts
    assert (counts.good, counts.sick) == (0, 1)


def test_failures_of_long_ago_do_not_count(health: Health, clock: Clock) -> None:
    """A window further back nothing is left of them."""
    for _ in range(4):
        health.ended(TARGET, SICK)
    clock.now_s += 30
    health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) is None
    assert report_of(health).counts.sick == 1


def test_one_probe_closes_it(health: Health, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Half open one call is let through; when that goes well all are, and counting begins anew."""
    break_it(health)
    clock.now_s += 1
    assert report_of(health).state == "half_open"
    assert health.admit(TARGET) is None
    assert health.skip_reason(NAME) == health.admit(TARGET) == "circuit"
    clock.now_s += 0.1
    with caplog.at_level(logging.WARNING, "gateway.routing.health"):
        health.ended(TARGET, GOOD)
    assert "is asked again" in caplog.text
    assert health.admit(TARGET) is health.admit(TARGET) is health.skip_reason(NAME) is None
    assert report_of(health).state == "closed"
    clock.now_s += 0.1
    for _ in range(4):
        health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) is None
    health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) == "circuit"


def test_failed_probe(health: Health, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """The target is left alone for twice as long."""
    break_it(health)
    clock.now_s += 1
    assert health.admit(TARGET) is None
    clock.now_s += 0.2
    with caplog.at_level(logging.WARNING, "gateway.routing.health"):
        health.ended(TARGET, SICK)
    assert 1.0 <= health.wait_s(NAME) <= 2.0
    assert f"{NAME} is not asked for another {health.wait_s(NAME):.1f} s" in caplog.text


def test_an_attempt_of_before_is_not_the_probe(health: Health, clock: Clock) -> None:
    """One that ends while another call finds out does not let in a second."""
    break_it(health)
    clock.now_s += 1
    assert health.admit(TARGET) is None
    clock.now_s += 1
    for outcome in (Outcome("none", 400, took_ms=5_000), Outcome("sick", 504, took_ms=60_000)):
        health.ended(TARGET, outcome)
        assert health.admit(TARGET) == "circuit"
    health.ended(TARGET, Outcome("none", 400, took_ms=1_000))
    assert health.admit(TARGET) is None


def test_a_probe_that_says_nothing_gives_its_place(health: Health, clock: Clock) -> None:
    """As when its caller left: the next call is the probe."""
    break_it(health)
    clock.now_s += 1
    assert health.admit(TARGET) is None
    assert health.skip_reason(NAME) == "circuit"
    clock.now_s += 0.1
    health.ended(TARGET, NONE)
    assert health.admit(TARGET) is None


@pytest.mark.parametrize("cool_down_s", [0.0, 0.5])
def test_a_call_without_leave_is_not_the_probe(health: Health, clock: Clock, cool_down_s: float) -> None:
    """One that names its model, begun after the probe; its end lets no second one in beside that."""
    break_it(health)
    clock.now_s += 1
    assert health.admit(TARGET) is None
    clock.now_s += 1
    said = Outcome("none", 429, cool_down_s, took_ms=100, had_leave=False)
    health.ended(TARGET, said)
    clock.now_s += cool_down_s
    assert health.admit(TARGET) == "circuit"
    health.ended(TARGET, Outcome("none", 400, took_ms=1_000 * (1 + cool_down_s)))
    assert health.admit(TARGET) is None


def test_a_probe_that_never_ends(health: Health, clock: Clock) -> None:
    """Another is let through after the target's time for a first token, ten seconds at most."""
    break_it(health)
    quick = make_target("acct/quick", limits=TimeLimits(first_token_s=3.0))
    break_it(health, quick)
    clock.now_s += 1
    assert health.admit(TARGET) is health.admit(quick) is None
    clock.now_s += 3
    assert health.skip_reason(NAME) == "circuit"
    assert health.admit(quick) is None
    clock.now_s += 7
    assert health.admit(TARGET) is None


def test_pause(health: Health, clock: Clock) -> None:
    """What the provider asks for with `Retry-After` is kept, also of a refusal that is no sickness."""
    health.ended(TARGET, Outcome("none", 429, cool_down_s=20.0))
    assert health.skip_reason(NAME) == health.admit(TARGET) == "cool_down"
    assert health.wait_s(NAME) == 20.0
    health.ended(TARGET, GOOD)
    assert health.skip_reason(NAME) == "cool_down"
    clock.now_s += 20
    assert health.admit(TARGET) is None
    assert report_of(health).counts.sick == 0


def test_a_pause_that_is_over_is_forgotten(clock: Clock) -> None:
    """The next good attempt makes the look at the target short again."""
    board = board_in_memory(now_s=clock)
    health = Health(board, now_s=clock)
    health.ended(TARGET, Outcome("none", 429, cool_down_s=5.0))
    clock.now_s += 5
    assert not board.is_quiet(board.place_of(NAME))
    health.ended(TARGET, GOOD)
    assert board.is_quiet(board.place_of(NAME))


def test_several_at_once(health: Health) -> None:
    """All of them are well as long as none is drained, or its circuit open."""
    names = (TARGET.name, "acct/other")
    assert health.are_well(names)
    health.drain("acct/other")
    assert not health.are_well(names)
    assert health.are_well((TARGET.name,))
    health.undrain("acct/other")
    assert health.are_well(names)
    break_it(health)
    assert not health.are_well(names)


def test_several_of_a_full_board(clock: Clock) -> None:
    """Where one takes the place of another, nothing is said of them together."""
    health = Health(board_in_memory(places=2, now_s=clock), now_s=clock)
    names = ("acct/a", "acct/b", "acct/c")
    assert not health.are_well(names)
    assert not health.are_well(names)
    health.drain("acct/c")
    assert not health.are_well(("acct/c",))


def test_drain(health: Health) -> None:
    """An operator's word stands above all, for as long as it does; it is news once."""
    assert health.drain(NAME)
    assert not health.drain(NAME)
    assert health.skip_reason(NAME) == health.admit(TARGET) == "drained"
    assert health.wait_s(NAME) == 0.0
    break_it(health)
    assert health.skip_reason(NAME) == "drained"
    assert report_of(health).is_drained
    assert health.undrain(NAME)
    assert not health.undrain(NAME)
    assert health.skip_reason(NAME) == "circuit"


def test_operator_ends_a_pause(health: Health) -> None:
    """A provider that wanted an hour's rest and is well again need not be waited for."""
    health.ended(TARGET, Outcome("none", 429, cool_down_s=3600.0))
    assert health.skip_reason(NAME) == "cool_down"
    assert health.undrain(NAME)
    assert health.skip_reason(NAME) is None
    assert not health.undrain(NAME)


def test_times(health: Health, clock: Clock) -> None:
    """Medians of what was measured within the window; what was not measured is none."""
    for first_ms, per_ms in ((100.0, 10.0), (200.0, None), (600.0, 30.0)):
        health.ended(TARGET, Outcome("good", 200, first_token_ms=first_ms, per_output_token_ms=per_ms))
        clock.now_s += 60
    health.ended(TARGET, GOOD)
    assert health.times(NAME, window_s=LONGEST_WINDOW_S) == TargetTimes(3, 200.0, 20.0, 3, 2)
    assert health.times(NAME, window_s=90) == TargetTimes(1, 600.0, 30.0, 1, 1)
    assert health.first_tokens_ms(NAME, window_s=LONGEST_WINDOW_S) == (100.0, 200.0, 600.0)
    assert health.first_tokens_ms(NAME, window_s=90) == (600.0,)
    clock.now_s += LONGEST_WINDOW_S
    assert health.times(NAME, window_s=LONGEST_WINDOW_S) == TargetTimes()


def test_times_are_kept_for_a_moment(health: Health, clock: Clock) -> None:
    """Of many samples a few more change nothing at once; a tenth more do, and a second does."""
    for _ in range(SAMPLES):
        health.ended(TARGET, Outcome("good", 200, first_token_ms=100.0))
    before = health.times(NAME, window_s=60)
    for _ in range(SAMPLES // 10):
        health.ended(TARGET, Outcome("good", 200, first_token_ms=1.0))
        assert health.times(NAME, window_s=60) is before
    health.ended(TARGET, Outcome("good", 200, first_token_ms=1.0))
    after = health.times(NAME, window_s=60)
    assert after is not before
    clock.now_s += 1
    assert health.times(NAME, window_s=60) is not after


def test_busy_target(health: Health, clock: Clock) -> None:
    """Every good attempt counts at once, for all; one in a hundredth of a second has its times taken."""
    board = board_in_memory(now_s=clock)
    busy, other = Health(board, now_s=clock), Health(board, now_s=clock)
    sample = Outcome("good", 200, first_token_ms=100.0)
    wanted = 0
    for number in range(1, 101):
        if busy.went_well(TARGET):
            wanted += 1
            busy.ended(TARGET, sample)
        assert report_of(other).counts.good == number
        clock.now_s += 0.001
    assert wanted == report_of(other).times.samples == 10
    for _ in range(100):
        other.ended(TARGET, SICK)
    assert report_of(busy).counts.error_ratio == 0.5


def test_good_attempts_after_a_failure_count(health: Health, clock: Clock) -> None:
    """Calls that come together now and then, one in eight of which fails first: no reason to open."""
    for _ in range(10):
        health.ended(TARGET, SICK)
        for _ in range(7):
            if health.went_well(TARGET):
                health.ended(TARGET, GOOD)
        clock.now_s += 2.0
    assert report_of(health).counts.good == 70
    assert health.skip_reason(NAME) is None


def test_times_are_wanted_again(health: Health, clock: Clock) -> None:
    """When the clock was set back, and as soon as something is the matter: a good attempt may mend that."""
    assert health.went_well(TARGET)
    health.ended(TARGET, GOOD)
    assert not health.went_well(TARGET)
    clock.now_s -= 3600
    assert health.went_well(TARGET)
    health.ended(TARGET, GOOD)
    assert not health.went_well(TARGET)
    health.ended(TARGET, Outcome("none", 429, cool_down_s=0.001))
    assert health.went_well(TARGET)


def test_report(health: Health, clock: Clock) -> None:
    """All that an operator is shown of a target; of one that nobody has asked there is nothing."""
    assert health.report(NAME) is health.report(NAME) is None
    for _ in range(5):
        health.ended(TARGET, GOOD)
    break_it(health)
    report = report_of(health)
    assert (report.state, report.is_drained, report.refusal) == ("open", False, "circuit")
    assert (report.counts.good, report.counts.sick) == (5, 5)
    assert report.opened_at_s == clock.now_s
    assert report.openings == 1
    assert report.wait_s == health.wait_s(NAME)


def test_more_targets_than_places(clock: Clock) -> None:
    """The one that has been quiet for longest goes; what is known of the others is still found."""
    board = board_in_memory(places=3, now_s=clock)
    health = Health(board, now_s=clock)
    targets = [make_target(f"acct/{letter}") for letter in "abc"]
    for target in targets:
        break_it(health, target)
        clock.now_s += 0.01
    health.ended(make_target("acct/d"), GOOD)
    assert health.skip_reason("acct/b") == health.skip_reason("acct/c") == "circuit"
    assert health.skip_reason("acct/d") is None


def test_rules_can_change(health: Health) -> None:
    """A change of configuration is in force with the next attempt."""
    health.rules = CircuitRules(failures=1)
    health.ended(TARGET, SICK)
    assert health.skip_reason(NAME) == "circuit"


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0.1, 0.6, 1.1, 2.2, 5.0, 40.0])),
        st.tuples(st.just("fail"), st.just(6)),
        st.tuples(st.just("call"), st.sampled_from(["good", "sick", "none"])),
        st.tuples(st.just("old"), st.sampled_from(["good", "sick", "none"])),
        st.tuples(st.just("pause"), st.floats(0.1, 20.0)),
    ),
    max_size=60,
)


@given(steps=STEPS, seed=st.integers(0, 1000))
def test_any_schedule(steps: list[tuple[str, float | str]], seed: int) -> None:
    """Of two workers: one probe at a time, and a target that is well again is asked again by both."""
    clock = Clock(1_000_000.0)
    board = board_in_memory(places=1, now_s=clock)
    workers = [Health(board, now_s=clock, random=Random(seed + each)) for each in range(2)]
    rules = workers[0].rules
    for number, (kind, what) in enumerate(steps):
        one, other = workers[number % 2], workers[(number + 1) % 2]
        if kind == "wait":
            clock.now_s += float(what)
        elif kind == "fail":
            for _ in range(int(what)):
                one.ended(TARGET, Outcome("sick", 500))
        elif kind == "pause":
            one.ended(TARGET, Outcome("none", 429, cool_down_s=float(what)))
        elif kind == "old":
            one.ended(TARGET, Outcome(what, 0, took_ms=100_000.0))  # type: ignore[arg-type]
        elif one.admit(TARGET) is None:
            if report_of(one).state == "half_open":
                assert other.admit(TARGET) == one.admit(TARGET) == "circuit"
            clock.now_s += 0.1
            one.ended(TARGET, Outcome(what, 0, took_ms=100.0))  # type: ignore[arg-type]
            if what == "good":
                assert report_of(other).state == "closed"
    clock.now_s += max(rules.max_cool_down_s, 20.0)
    assert workers[0].admit(TARGET) is None
    clock.now_s += 1.0
    workers[0].ended(TARGET, Outcome("good", 200, took_ms=1_000.0))
    assert workers[1].skip_reason(NAME) is None
    assert report_of(workers[1]).state == "closed"
    assert board.is_quiet(board.place_of(NAME))


# What a worker does that is not this process: it does as it is told, a line at a time, and says how it went.
WORKER: Final = """
import sys
from pathlib import Path
from gateway.model import Outcome
from gateway.routing.circuit import CircuitRules
from gateway.routing.health import Health
from gateway.store.target_board import open_board
from tests.unit.doubles import Clock
from tests.unit.makers import make_target
# In one slot of months, so that what is counted does not depend on when.
rules = CircuitRules(window_s=1e8, cool_down_s=float(sys.argv[2]), max_cool_down_s=float(sys.argv[2]))
health = Health(open_board(Path(sys.argv[1])), rules)
target = make_target("acct/small")
print("ready", flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == "end":
        for _ in range(int(rest[1])):
            health.ended(target, Outcome(rest[0], 0, took_ms=1.0))
        print("ended", flush=True)
    else:
        print(getattr(health, word)(target if word == "admit" else target.name), flush=True)
"""


class Workers:
    """Several of these."""

    def __init__(self, path: Path, number: int, cool_down_s: float) -> None:
        self.processes = [run(WORKER, path, cool_down_s) for _ in range(number)]

    def tell(self, number: int, line: str) -> str:
        """What one of them answers."""
        process = self.processes[number]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def tell_all(self, line: str) -> list[str]:
        """The same to each, at once."""
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
        return [process.stdout.readline().strip() for process in self.processes if process.stdout is not None]

    def kill(self, number: int) -> None:
        """Kill -9."""
        end(self.processes.pop(number))


@pytest.fixture
def make_workers(tmp_path: Path) -> Iterator[Callable[[int, float], Workers]]:
    made: list[Workers] = []

    def make(number: int, cool_down_s: float) -> Workers:
        made.append(Workers(tmp_path / "targets", number, cool_down_s))
        return made[-1]

    yield make
    for workers in made:
        while workers.processes:
            workers.kill(0)


MakeWorkers = Callable[[int, float], Workers]


def test_workers_add_up_what_they_see(make_workers: MakeWorkers) -> None:
    """No one of three has seen five failures, all together have: from then on none of them asks."""
    workers = make_workers(3, 3600.0)
    for number, failures in enumerate((2, 2, 0)):
        workers.tell(number, f"end sick {failures}")
    assert workers.tell_all("skip_reason") == ["None"] * 3
    workers.tell(2, "end sick 1")
    assert workers.tell_all("skip_reason") == ["circuit"] * 3
    assert workers.tell_all("admit") == ["circuit"] * 3


def test_good_attempts_of_all_workers_count(make_workers: MakeWorkers) -> None:
    """What fails on one and works on the others is not left alone."""
    workers = make_workers(3, 3600.0)
    workers.tell(0, "end good 500")
    workers.tell(1, "end good 500")
    workers.tell(2, "end sick 999")
    assert workers.tell_all("skip_reason") == ["None"] * 3
    workers.tell(2, "end sick 1")
    assert workers.tell_all("skip_reason") == ["circuit"] * 3


def test_workers_at_once(make_workers: MakeWorkers) -> None:
    """Of many failures at the same time on all of them not one is lost."""
    workers = make_workers(4, 3600.0)
    assert workers.tell_all("end good 5000") == ["ended"] * 4
    assert workers.tell_all("end sick 4000") == ["ended"] * 4
    assert workers.tell_all("skip_reason") == ["None"] * 4
    assert workers.tell_all("end sick 1000") == ["ended"] * 4
    assert workers.tell_all("skip_reason") == ["circuit"] * 4


def test_one_probe_of_all_workers(make_workers: MakeWorkers) -> None:
    """All ask at the same moment, one is let through; when it goes well all are."""
    workers = make_workers(4, 0.02)
    workers.tell(0, "end sick 5")
    until(lambda: workers.tell_all("skip_reason") == ["None"] * 4, "the cool-down to be over")
    answers = workers.tell_all("admit")
    assert sorted(answers) == ["None", "circuit", "circuit", "circuit"]
    assert workers.tell_all("admit") == ["circuit"] * 4
    workers.tell(answers.index("None"), "end good 1")
    assert workers.tell_all("admit") == ["None"] * 4


def test_a_killed_prober_is_replaced(make_workers: MakeWorkers, tmp_path: Path) -> None:
    """Kill -9 while it has the lease: when that is over, another worker finds out."""
    workers = make_workers(2, 0.02)
    workers.tell(0, "end sick 5")
    until(lambda: workers.tell(0, "skip_reason") == "None", "the cool-down to be over")
    assert workers.tell(0, "admit") == "None"
    workers.kill(0)
    assert workers.tell(0, "admit") == "circuit"
    now_s = time.time() + 10.0
    board = open_board(tmp_path / "targets")
    later = Health(board, now_s=lambda: now_s)
    assert later.admit(TARGET) is None
    assert later.admit(TARGET) == "circuit"
    later.ended(TARGET, Outcome("good", 200))
    assert later.skip_reason(NAME) is None
    board.close()
