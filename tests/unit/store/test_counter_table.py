"""Counters of one host: no window ever has more than its limit, whoever counts, stops or is killed."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import signal
import subprocess
from collections.abc import Sequence
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import (
    PARALLEL,
    TABLE_KEY_BYTES,
    Charge,
    Charges,
    Correction,
    Corrections,
    CounterGroup,
    Counters,
    Decision,
)
from gateway.store import counter_table
from gateway.store.counter_notes import BYTES, NOTED_WORD, NOTES, Notes
from gateway.store.counter_places import BUCKET, LANES, size_of
from gateway.store.counter_table import CounterTable, counters_in_memory, open_counters, open_counters_to_read
from tests.rig.examples import examples
from tests.unit.doubles import Clock
from tests.unit.store.others import end, run

# What processes do that are not this one; the first argument is the file.
SETUP: Final = """
import hashlib, random, sys, time
from pathlib import Path
from gateway.model import Charge, Correction
from gateway.store.counter_table import open_counters
counters = open_counters(Path(sys.argv[1]), places=256)

def charge(name, amount, limit, window_s):
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return Charge(key, amount, limit, window_s, int(time.time()) + 86_400 if window_s == 0 else 0)
"""
# Asks so often; says how many it had.
ASKING: Final = (
    SETUP
    + """
charges = [charge(f"rule {window_s}", 1, int(sys.argv[3]), window_s) for window_s in (86_400, 0)]
print("begun", flush=True)
sys.stdin.readline()
print(sum(counters.reserve(charges).refused is None for _ in range(int(sys.argv[2]))), flush=True)
sys.stdin.read()
"""
)
# Says whether it can have the lock.
LOCKS: Final = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
print("begun", flush=True)
sys.stdin.readline()
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
except OSError:
    print(0, flush=True)
else:
    print(1, flush=True)
sys.stdin.read()
"""
# Reserves, settles and gives back at random; says what it kept.
MIXED: Final = (
    SETUP
    + """
chance = random.Random(int(sys.argv[2]))
kept, calls = 0, []
print("begun", flush=True)
sys.stdin.readline()
for _ in range(4000):
    if calls and chance.random() < 0.5:
        taken, decision = calls.pop(chance.randrange(len(calls)))
        used = chance.choice((0, taken.amount // 2, taken.amount, taken.amount + 5))
        counters.settle([Correction(taken, used - taken.amount, decision)])
        kept += used - taken.amount
    else:
        taken = charge("rule", chance.randrange(1, 50), 2000, 0)
        decision = counters.reserve([charge("watch", 1, 10**9, 86_400), taken])
        if decision.refused is None:
            calls.append((taken, decision))
            kept += taken.amount
print(kept, flush=True)
sys.stdin.read()
"""
)
CHURN: Final = (
    SETUP
    + """
charges = [charge("rule 86400", 1, 10**9, 86_400), charge("rule 0", 1, 10**9, 0)]
print("begun", flush=True)
while True:
    decision = counters.reserve(charges)
    counters.settle([Correction(each, -1, decision) for each in charges])
"""
)
PARALLEL_CALLS: Final = (
    SETUP
    + """
print(sum(counters.reserve([charge("rule", 1, 3, -1)]).refused is None for _ in range(4)), flush=True)
sys.stdin.read()
"""
)
LANES_HOLDER: Final = """
import fcntl, sys
from pathlib import Path
from gateway.store.counter_table import open_counters
open_counters(Path(sys.argv[1]), places=256).close()
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX, int(sys.argv[2]), 80)
print("held", flush=True)
sys.stdin.read()
"""
HOLDER: Final = (
    SETUP
    + """
import fcntl
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
    print("held", flush=True)
    sys.stdin.readline()
"""
)

NOW_S: Final = 1_800_000_000.0
MONTH_END_S: Final = 1_802_592_000
PLACES: Final = 256


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def charge(name: str = "a", amount: int = 1, *, limit: int = 3, window_s: int = 60) -> Charge:
    return Charge(key_of(name), amount, limit, window_s, MONTH_END_S if window_s == 0 else 0)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_S)


@pytest.fixture
def counters(clock: Clock) -> CounterTable:
    return counters_in_memory(places=PLACES, now_s=clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters"


def is_taken(counters: Counters, *charges: Charge) -> bool:
    return counters.reserve(charges).refused is None


@pytest.mark.parametrize("window_s", [60, 3600, 86_400, 0, PARALLEL])
def test_as_many_as_the_limit(counters: CounterTable, window_s: int) -> None:
    """Not one more, and the answer says how many there are."""
    one = charge(window_s=window_s)
    assert [counters.reserve([one]).used for _ in range(3)] == [(1,), (2,), (3,)]
    refused = counters.reserve([one])
    assert (refused.refused, refused.used) == (0, (3,))
    assert counters.usage([one]).used == (3,)


def test_all_or_none(counters: CounterTable) -> None:
    """What one charge refuses no other counts."""
    wide, narrow = charge("wide", limit=100), charge("narrow", limit=1)
    assert is_taken(counters, wide, narrow)
    refused = counters.reserve([wide, narrow])
    assert (refused.refused, refused.used) == (1, (1, 1))
    assert counters.usage([wide]).used == (1,)


def test_who_resets_first_refuses(counters: CounterTable) -> None:
    """Of several in the way."""
    charges = [charge("day", window_s=86_400, limit=1), charge("minute", limit=1), charge("free")]
    assert is_taken(counters, *charges)
    refused = counters.reserve(charges)
    assert refused.refused == 1
    assert refused.reset_s[1] == 65.0
    assert refused.reset_s[0] == 13 * 7200.0 - NOW_S % 7200


def test_audited_only(counters: CounterTable) -> None:
    """It is counted above its limit, and never in the way."""
    watched = Charge(key_of("a"), 2, 3, 60, is_enforced=False)
    assert [counters.reserve([watched]).used for _ in range(3)] == [(2,), (4,), (6,)]
    assert counters.usage([watched]).refused is None


def test_nothing_always_fits(counters: CounterTable) -> None:
    """Who takes nothing is let in where more than all is used; another limit beside it refuses as ever."""
    decision = counters.reserve([charge(amount=3)])
    counters.settle([Correction(charge(amount=3), 5, decision)])
    nothing = charge(amount=0)
    assert (counters.reserve([nothing]).refused, counters.usage([nothing]).refused) == (None, None)
    assert counters.reserve([nothing, charge("b", amount=4)]).refused == 1
    assert counters.reserve([nothing, charge("b")]).used == (8, 1)
    assert not is_taken(counters, charge())


def test_a_window_rolls(counters: CounterTable, clock: Clock) -> None:
    """What was counted leaves with its slot, and the answer said when."""
    one = charge(limit=2)
    clock.now_s = NOW_S + 4.0
    assert is_taken(counters, one)
    clock.now_s = NOW_S + 31.0
    assert is_taken(counters, one)
    refused = counters.reserve([one])
    assert refused.reset_s == (NOW_S + 65 - clock.now_s,)
    clock.now_s += refused.reset_s[0] - 0.001
    assert not is_taken(counters, one)
    clock.now_s += 0.001
    assert is_taken(counters, one)
    assert not is_taken(counters, one)


def test_when_there_is_room_for_more(counters: CounterTable, clock: Clock) -> None:
    """As much has to leave as is needed; what never has room waits until all has left."""
    assert is_taken(counters, charge(amount=4, limit=10))
    clock.now_s += 10
    assert is_taken(counters, charge(amount=4, limit=10))
    assert counters.reserve([charge(amount=6, limit=10)]).reset_s == (55.0,)
    assert counters.reserve([charge(amount=7, limit=10)]).reset_s == (65.0,)
    assert counters.reserve([charge(amount=11, limit=10)]).reset_s == (65.0,)


def test_reset_of_what_is_taken(counters: CounterTable) -> None:
    """When nothing of it counts any more: a window's length and what is left of the slot."""
    windows = [charge("m"), charge("month", window_s=0), charge("parallel", window_s=PARALLEL)]
    for_ever = Charge(key_of("ever"), 1, 3, 0)
    taken = [*windows, for_ever]
    assert counters.reserve(taken).reset_s == (), "few want to know, and it can be told without counters"
    assert [each.reset_s(NOW_S) for each in taken] == [65.0, MONTH_END_S - NOW_S, 1.0, inf]
    assert counters.usage(taken).reset_s == (65.0, MONTH_END_S - NOW_S, 1.0, inf)
    assert counters.usage([charge("never used")]).reset_s == (0.0,)


@pytest.mark.parametrize(
    ("back_s", "admitted"),
    [(3.0, 0), (59.0, 0), (3600.0, 3)],
    ids=["a little", "within the window", "far more than the window"],
)
def test_a_clock_that_is_set_back(counters: CounterTable, clock: Clock, back_s: float, admitted: int) -> None:
    """A little: nothing has room twice. By far: it was wrong before, and nobody waits for that time."""
    for _ in range(3):
        assert is_taken(counters, charge())
    clock.now_s -= back_s
    assert sum(is_taken(counters, charge()) for _ in range(4)) == admitted


def correct(counters: Counters, one: Charge, decision: Decision, amount: int) -> None:
    counters.settle([Correction(one, amount, decision)])


@pytest.mark.parametrize("window_s", [60, 0])
def test_settled_to_what_was_used(counters: CounterTable, clock: Clock, window_s: int) -> None:
    """What was not needed is free at once, what was needed on top is counted."""
    one = charge(amount=100, limit=150, window_s=window_s)
    decision = counters.reserve([one])
    assert not is_taken(counters, one)
    correct(counters, one, decision, -60)
    assert counters.usage([one]).used == (40,)
    assert is_taken(counters, one)
    correct(counters, one, decision, 20)
    assert counters.usage([one]).used == (160,)


def test_given_back_where_it_was_taken(counters: CounterTable, clock: Clock) -> None:
    """Not later: the window would have room twice once the reservation leaves it."""
    one = charge(amount=100, limit=100)
    decision = counters.reserve([one])
    clock.now_s += 50
    correct(counters, one, decision, -90)
    assert counters.usage([one]).used == (10,)
    assert is_taken(counters, charge(amount=90, limit=100))
    clock.now_s += 15
    assert counters.usage([one]).used == (90,)


def test_settled_when_it_has_left(counters: CounterTable, clock: Clock) -> None:
    """Nothing is given back twice, and what came on top is counted now."""
    one = charge(amount=100, limit=1000)
    decision = counters.reserve([one])
    clock.now_s += 70
    correct(counters, one, decision, -90)
    assert counters.usage([one]).used == (0,)
    correct(counters, one, decision, 7)
    assert counters.usage([one]).used == (7,)


def test_settled_after_the_calendar_window(counters: CounterTable, clock: Clock) -> None:
    """Its counter is over; nobody asks it any more, and none is begun for it."""
    one = charge(window_s=0)
    decision = counters.reserve([one])
    clock.now_s = MONTH_END_S
    correct(counters, one, decision, 50)
    assert counters.usage([one]).used == (1,)


def test_settled_without_a_counter(counters: CounterTable) -> None:
    """Whatever became of it: what was used is counted, and what is given back is nobody's."""
    decision = counters.reserve([])
    correct(counters, charge("gone"), decision, -1)
    assert counters.usage([charge("gone")]).used == (0,)
    correct(counters, charge("gone"), decision, 2)
    assert counters.usage([charge("gone")]).used == (2,)


def test_parallel(counters: CounterTable, clock: Clock) -> None:
    """As many at once as the limit, for as long as they like."""
    one = charge(window_s=PARALLEL, limit=2)
    first, second = counters.reserve([one]), counters.reserve([one])
    clock.now_s += 86_400
    assert not is_taken(counters, one)
    correct(counters, one, first, -1)
    assert is_taken(counters, one)
    correct(counters, one, second, -1)
    correct(counters, one, second, -5)
    assert counters.usage([one]).used == (0,)


def test_more_at_once_than_are_counted(counters: CounterTable) -> None:
    """More parallel calls of one process than its figure holds are not counted, and none is left over."""
    many, one = (
        charge(amount=65_535, limit=100_000, window_s=PARALLEL),
        charge(limit=100_000, window_s=PARALLEL),
    )
    taken, further = counters.reserve([many]), counters.reserve([one])
    assert further.refused is None
    assert counters.usage([one]).used == (65_535,)
    correct(counters, one, further, -1)
    assert counters.usage([one]).used == (65_534,)
    correct(counters, many, taken, -65_535)
    assert counters.usage([one]).used == (0,)


def test_given_back_together_more_than_was_taken(counters: CounterTable, clock: Clock) -> None:
    """What is given back leaves alone what other slots of the window have."""
    charges = Charges(CounterGroup([charge(limit=100)], settled=[0]), (6,))
    counters.reserve(charges)
    clock.now_s += 6
    for _ in range(2):
        decision = counters.reserve(charges)
    counters.settle(Corrections(charges, (-15,), decision))
    assert counters.usage(charges).used == (6,)


def test_a_group_in_two_files(clock: Clock) -> None:
    """Where its counters are in one file says nothing of another."""
    group = CounterGroup([charge("a"), charge("b")])
    first, second = (counters_in_memory(places=PLACES, now_s=clock) for _ in range(2))
    second.reserve([charge("c"), charge("d")])
    for counters in (first, first, second, second):
        counters.reserve(Charges(group, (1, 0)))
    assert first.usage(list(group.charges)).used == second.usage(list(group.charges)).used == (2, 0)


AMOUNTS: Final = st.integers(0, 40)
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), AMOUNTS, st.floats(0, 9)),
        st.tuples(st.just("settle"), AMOUNTS, st.floats(0, 40)),
    ),
    max_size=60,
)


@settings(max_examples=examples(300), deadline=None)
@given(steps=STEPS)
def test_no_window_has_more_than_its_limit(steps: list[tuple[str, int, float]]) -> None:
    """Whatever is reserved and settled when: within any 60 s what was taken and kept is within the limit."""
    limit = 100
    clock = Clock(NOW_S)
    counters = counters_in_memory(places=PLACES, now_s=clock)
    taken: list[list[float]] = []
    open_calls: list[tuple[Charge, Decision, int]] = []
    for kind, amount, wait_s in steps:
        clock.now_s += wait_s
        if kind == "reserve":
            one = charge(amount=amount, limit=limit)
            held = sum(kept for at_s, kept in taken if at_s > clock.now_s - 65)
            decision = counters.reserve([one])
            if decision.refused is None:
                taken.append([clock.now_s, amount])
                open_calls.append((one, decision, len(taken) - 1))
            else:
                assert held + amount > limit, "refused what had room"
        elif open_calls:
            one, decision, number = open_calls.pop(0)
            used = min(amount, one.amount)
            correct(counters, one, decision, used - one.amount)
            taken[number][1] = used
        for end_s, _ in taken:
            assert sum(kept for at_s, kept in taken if end_s - 60 < at_s <= end_s) <= limit


WINDOWS_S: Final = (60, 3600, 0, PARALLEL, 60, 86_400)
GROUPS: Final = (
    ((0, 1, 2, 3, 4, 5), (1, 2, 3, 5)),
    ((3, 0, 2), (0, 1, 2)),
    ((3, 5), (0,)),
    ((5,), (0,)),
    ((), ()),
    ((1, 4), (1,)),
    ((1, 4), ()),
)
"""Which of these counters some calls are counted by, and which of those are settled."""


class Together:
    """Two processes that charge counters in groups, beside one that charges them one by one."""

    def __init__(self, places: int) -> None:
        self.clock = Clock(NOW_S)
        first = counters_in_memory(places=places, now_s=self.clock)
        second = CounterTable(first._data, places=places, now_s=self.clock)
        self.tables = (first, second)
        self.alone = counters_in_memory(places=places, now_s=self.clock)
        self.all = [
            charge(f"{at}", 0, limit=40 if at != 1 else 1000, window_s=window_s)
            for at, window_s in enumerate(WINDOWS_S)
        ]
        self.groups = [
            [CounterGroup([self.all[at] for at in group], settled) for group, settled in GROUPS]
            for _ in self.tables
        ]
        self.open: list[tuple[Charges, Decision]] = []

    def reserve(self, random: Random) -> None:
        who = random.randrange(2)
        group = random.choice(self.groups[who])
        amounts = [1 if one.window_s == PARALLEL else random.randrange(9) for one in group.charges]
        charges = Charges(group, amounts)
        decision = self.tables[who].reserve(charges)
        assert decision == self.alone.reserve(list(charges))
        if decision.refused is None:
            self.open.append((charges, decision))

    def settle(self, random: Random) -> None:
        if not self.open:
            return
        charges, decision = self.open.pop(random.randrange(len(self.open)))
        used = random.randrange(15)
        settled = [charges[at] for at in charges.group.settled]
        changes = [(0 if one.window_s == PARALLEL else used) - one.amount for one in settled]
        corrections = Corrections(charges, changes, decision)
        assert len(corrections) == len(list(corrections))
        random.choice(self.tables).settle(corrections)
        self.alone.settle(list(corrections))

    def crowd(self, random: Random) -> None:
        """Counters come that may take the places of these."""
        table = random.choice(self.tables)
        for _ in range(random.randrange(12)):
            one = charge(f"another {random.randrange(100)}", window_s=60)
            assert table.reserve([one]) == self.alone.reserve([one])

    def wait(self, random: Random) -> None:
        self.clock.now_s += random.choice((0.4, 3.0, 3.0, 61.0, 4000.0, -2.0, -100.0, 100.0))


@pytest.mark.parametrize("places", [16, PLACES], ids=["crowded", "with room"])
def test_charged_together_or_one_by_one(places: int) -> None:
    """Charged together counters have what they have one by one, whoever charges when, wherever they are."""
    for seed in range(30):
        both, random = Together(places), Random(seed)
        kinds = (both.reserve, both.settle, both.crowd, both.wait)
        for step in random.choices(kinds, weights=(30, 20, 1 if places < PLACES else 0, 10), k=200):
            step(random)
            told = both.alone.usage(both.all)
            assert [table.usage(both.all) for table in both.tables] == [told, told], seed


@settings(max_examples=examples(200), deadline=None)
@given(steps=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.integers(0, 60)), max_size=60))
def test_a_budget_is_exact(steps: list[tuple[int, bool, int]]) -> None:
    """What fits what is neither spent nor reserved is admitted, and nothing else."""
    counters = counters_in_memory(places=PLACES, now_s=Clock(NOW_S))
    limit, counted = 200, 0
    held: list[tuple[Charge, Decision]] = []
    for amount, is_reserve, used in steps:
        if is_reserve:
            one = charge(amount=amount, limit=limit, window_s=0)
            decision = counters.reserve([one])
            assert (decision.refused is None) == (counted + amount <= limit)
            if decision.refused is None:
                counted += amount
                held.append((one, decision))
        elif held:
            one, decision = held.pop()
            correct(counters, one, decision, used - one.amount)
            counted += used - one.amount
        assert counters.usage([charge(window_s=0)]).used == (counted,)


def test_full(clock: Clock) -> None:
    """What counts no more makes room; where all still count, the one that ends first is lost, and told of."""
    counters = counters_in_memory(places=16, now_s=clock)
    for number in range(12):
        assert is_taken(counters, charge(f"month-{number}", window_s=0))
    for number in range(4):
        assert is_taken(counters, charge(f"minute-{number}"))
    assert counters.lost == 0
    clock.now_s += 70
    for number in range(4):
        assert is_taken(counters, charge(f"hour-{number}", window_s=3600))
    assert counters.lost == 0
    assert is_taken(counters, charge("one more", window_s=0))
    assert counters.lost == 1
    assert all(counters.usage([charge(f"month-{number}", window_s=0)]).used == (1,) for number in range(12))


def test_who_is_refused_takes_no_place(clock: Clock) -> None:
    """Calls that are refused can say what they like: no counter loses its place to what they are about."""
    counters = counters_in_memory(places=16, now_s=clock)
    mine = charge("mine", limit=1)
    assert is_taken(counters, mine)
    for number in range(100):
        decision = counters.reserve([mine, charge(f"said-{number}", limit=9, window_s=0)])
        assert (decision.refused, decision.used) == (0, (1, 0))
    assert counters.lost == 0
    for number in range(15):
        assert is_taken(counters, charge(f"taken-{number}", window_s=0))
    assert (counters.lost, is_taken(counters, mine)) == (0, False)


def test_what_counts_nothing_makes_room(clock: Clock) -> None:
    """A counter to which all was given back, or of calls that cost nothing, is no counter that is lost."""
    counters = counters_in_memory(places=16, now_s=clock)
    assert is_taken(counters, charge("mine"))
    for number in range(100):
        one = charge(f"said-{number}", amount=number % 2, window_s=0)
        correct(counters, one, counters.reserve([one]), -one.amount)
    assert counters.lost == 0
    assert counters.usage([charge("mine")]).used == (1,)


def test_counters_of_a_call_do_not_displace_each_other(clock: Clock) -> None:
    """In a full table a limit holds though what is counted beside it is another with every call."""
    counters = counters_in_memory(places=16, now_s=clock)
    for number in range(15):
        assert is_taken(counters, charge(f"taken-{number}", window_s=0))
    calls = [[charge("mine"), charge(f"said-{number}")] for number in range(10)]
    assert [is_taken(counters, *call) for call in calls] == [True] * 3 + [False] * 7


def test_more_counters_of_a_call_than_have_room(clock: Clock) -> None:
    """Then some are lost; the call is none the worse for it."""
    counters = counters_in_memory(places=16, now_s=clock)
    assert is_taken(counters, *[charge(f"one-{number}") for number in range(20)])


def test_a_hundred_thousand() -> None:
    """All of them keep what they count, in the room that is said."""
    counters = counters_in_memory()
    for number in range(100_000):
        counters.reserve([charge(str(number), 1 + number % 3, window_s=0)])
    assert counters.lost == 0
    for number in range(0, 100_000, 7):
        assert counters.usage([charge(str(number), window_s=0)]).used == (1 + number % 3,)
    counters.close()


def open_here(path: Path) -> CounterTable:
    return open_counters(path, places=PLACES)


def day(name: str, limit: int = 10**9, amount: int = 1) -> Charge:
    return Charge(key_of(name), amount, limit, 86_400)


def month(name: str, limit: int = 10**9, amount: int = 1) -> Charge:
    return Charge(key_of(name), amount, limit, 0, 2**40)


def go(processes: Sequence[subprocess.Popen[str]]) -> list[int]:
    """Let them begin together; what each says at its end."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [said(process) for process in processes]


def said(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


@pytest.mark.parametrize("asks", [(500, 500, 500, 500), (3000, 400, 10, 1)], ids=["even", "skewed"])
def test_four_workers_are_as_one(path: Path, asks: tuple[int, ...]) -> None:
    """Together they admit the limit, not one more and not one fewer; it survives them all."""
    workers = [run(ASKING, path, each, 700) for each in asks]
    admitted = sum(go(workers))
    for worker in workers:
        end(worker)
    counters = open_here(path)
    assert admitted == 700
    assert counters.usage([day("rule 86400"), month("rule 0")]).used == (admitted, admitted)
    assert not is_taken(counters, month("rule 0", 700))
    counters.close()


def test_whatever_four_workers_do(path: Path) -> None:
    """Reserved, settled, given back, in any order: what is counted is what they kept."""
    workers = [run(MIXED, path, seed) for seed in range(4)]
    kept = sum(go(workers))
    counters = open_here(path)
    assert counters.usage([month("rule")]).used == (kept,)
    counters.close()
    for worker in workers:
        end(worker)


def test_workers_killed_in_the_middle(path: Path) -> None:
    """Kill -9, again and again: the file is free, and no counter is off by more than that call."""
    counters = open_here(path)
    charges = [day("rule 86400"), month("rule 0")]
    for kills in range(1, 9):
        process = run(CHURN, path)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert all(0 <= used <= kills for used in counters.usage(charges).used)
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        counters.close()
        counters = open_here(path)
    assert is_taken(counters, *charges)
    assert counters.missed_turns == 0
    counters.close()


def test_the_only_worker_keeps_the_lock(path: Path) -> None:
    """Until another process comes; then both are as one."""
    counters = open_counters(path, places=256, is_alone=True)
    charges = [day("rule 86400", 10), month("rule 0", 10)]
    assert [is_taken(counters, *charges) for _ in range(3)] == [True] * 3
    assert not other_can_lock(path)
    worker = run(ASKING, path, 20, 10)
    assert is_taken(counters, *charges), "it gives the lock up after this"
    assert other_can_lock(path)
    assert go([worker]) == [6]
    assert not is_taken(counters, *charges)
    end(worker)
    counters.close()


def test_a_second_that_thinks_it_is_alone(path: Path) -> None:
    """It does not keep the lock while the first is there, nor does the first after it was told to share."""
    first = run(ASKING, path, 20, 10)
    counters = open_counters(path, places=256, is_alone=True)
    assert other_can_lock(path)
    assert go([first]) == [10]
    end(first)
    counters.close()
    counters = open_counters(path, places=256, is_alone=True)
    assert not other_can_lock(path)
    counters.share()
    assert other_can_lock(path)
    counters.close()


def other_can_lock(path: Path) -> bool:
    """Whether another process has its turn at once."""
    process = run(LOCKS, path)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    found = bool(said(process))
    end(process)
    return found


def test_who_keeps_the_file_is_not_waited_for(path: Path) -> None:
    """Workers go on with their share, never pass the limit, and all of it is counted once it is free."""
    workers = [run(ASKING, path, 200, 100) for _ in range(3)]
    holder = run(HOLDER, path)
    admitted = sum(go(workers))
    assert 90 <= admitted <= 100
    counters = open_here(path)
    assert counters.missed_turns > 0
    charges = [day("rule 86400"), month("rule 0")]
    assert counters.usage(charges).used == (admitted, admitted)
    end(holder)
    for worker in workers:
        end(worker)
    left = 100 - admitted
    limited = [day("rule 86400", 100), month("rule 0", 100)]
    assert [is_taken(counters, *limited) for _ in range(left + 1)] == [True] * left + [False]
    assert counters.usage(charges).used == (100, 100)
    counters.close()


def test_held_up_while_it_decides_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had room at first sight has none if others have taken all before its note is to be seen."""
    late, other, holder = open_here(path), open_here(path), run(HOLDER, path)
    charges = [day("rule", 8), month("rule 0", 8)]
    write, is_held_up = late._notes.write, iter([True])

    def write_late(*told: Any) -> bool:
        if next(is_held_up, False):
            end(holder)
            assert [is_taken(other, *charges) for _ in range(9)] == [True] * 8 + [False]
        return write(*told)

    monkeypatch.setattr(late._notes, "write", write_late)
    assert not is_taken(late, *charges)
    assert other.usage(charges).used == (8, 8)
    assert next(is_held_up, None) is None
    for counters in (late, other):
        counters.close()


def open_as(path: Path, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[CounterTable]:
    """As the processes of these *numbers* do; one finds each free, since it has all the locks itself."""
    left = iter(numbers)
    monkeypatch.setattr(counter_table, "take_free_lock", lambda *_: next(left))
    return [open_here(path) for _ in numbers]


def test_stopped_while_it_counts_notes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever decides alone meanwhile sees what was noted."""
    noting, late, stopped = open_as(path, monkeypatch, 0, 1, 2)
    two, one = month("rule", 8, 2), month("rule", 8)
    holder = run(HOLDER, path)
    assert [is_taken(noting, each) for each in (two, two, one, one)] == [True] * 4
    end(holder)
    count, others = stopped._count, []

    def count_later(*told: Any) -> None:
        others.append(late._reserve_share([two]).refused)
        count(*told)

    monkeypatch.setattr(stopped, "_count", count_later)
    assert is_taken(stopped, one)
    assert others == [0]
    assert late.usage([two]).used == (7,)
    for counters in (noting, late, stopped):
        counters.close()


def test_held_up_while_it_looks_at_both(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was noted is not missed where it is counted between a look at what is counted and one at notes."""
    noting, late, other = open_as(path, monkeypatch, 0, 1, 2)
    many, one = month("rule", 80, 20), month("rule", 80)
    assert is_taken(other, one)
    holder = run(HOLDER, path)
    write, looks, is_held_up = late._notes.write, late._places.counted, iter([True])

    def write_late(*told: Any) -> bool:
        if next(is_held_up, False):
            assert [is_taken(noting, each) for each in [many, *[one] * 57]] == [True] * 58
            end(holder)

            def look(*told: Any) -> int:
                found = looks(*told)
                assert not is_taken(other, many)
                return found

            monkeypatch.setattr(late._places, "counted", look)
        return write(*told)

    monkeypatch.setattr(late._notes, "write", write_late)
    assert not is_taken(late, many)
    assert next(is_held_up, None) is None
    assert other.usage([one]).used == (78,)
    for counters in (noting, late, other):
        counters.close()


def test_a_worker_stopped_at_any_moment(path: Path) -> None:
    """What others counted meanwhile stands when it goes on with the figures it had seen before."""
    stopped = run(MIXED, path, 99)
    assert stopped.stdin is not None
    stopped.stdin.write("\n")
    stopped.stdin.flush()
    workers = [run(MIXED, path, seed) for seed in range(2)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    for _ in range(30):
        os.kill(stopped.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        open_and_close(path)
        os.kill(stopped.pid, signal.SIGCONT)
    kept = said(stopped) + sum(said(worker) for worker in workers)
    counters = open_here(path)
    assert counters.usage([month("rule")]).used == (kept,)
    counters.close()
    for worker in (stopped, *workers):
        end(worker)


def test_nothing_fits_while_another_keeps_the_file(path: Path) -> None:
    """Also where more than all is used."""
    counters = open_here(path)
    counters.reserve([day("a", 20, amount=10)])
    holder = run(HOLDER, path)
    assert is_taken(counters, day("a", 9, amount=0))
    assert not is_taken(counters, day("a", 9))
    end(holder)
    counters.close()


def open_and_close(path: Path) -> None:
    """Take what there is to take, as a process does that begins."""
    counters = open_here(path)
    counters.reserve([day("beside")])
    counters.close()


def test_settled_while_another_keeps_the_file(path: Path) -> None:
    """It is noted, seen at once, and counted once."""
    counters = open_here(path)
    charges = [day("a", amount=10), month("b", amount=10)]
    decision = counters.reserve(charges)
    holder = run(HOLDER, path)
    counters.settle([Correction(each, -4, decision) for each in charges])
    counters.settle([Correction(each, 1, decision) for each in charges])
    counters.settle([Correction(month("new"), 3, decision)])
    seen = [*charges, month("new")]
    assert counters.usage(seen).used == (7, 7, 3)
    end(holder)
    assert is_taken(counters)
    assert counters.usage(seen).used == (7, 7, 3)
    holder = run(HOLDER, path)
    counters.settle([Correction(month("new"), 3, decision)])
    assert counters.usage(seen).used == (7, 7, 6)
    end(holder)
    counters.close()


def test_begun_while_another_keeps_the_file(path: Path) -> None:
    """What was noted without a word of it is counted by whoever has the file next, not at the next begin."""
    counters = open_here(path)
    holder = run(HOLDER, path)
    assert is_taken(counters, day("rule 86400", 3, 1))
    # As a process leaves it that is killed in between, or of an earlier release.
    counters._words[NOTED_WORD] = 0
    worker = run(ASKING, path, 0, 3)
    end(holder)
    assert [is_taken(counters, day("rule 86400", 3)) for _ in range(3)] == [True, True, False]
    end(worker)
    counters.close()


def test_noted_while_notes_are_counted() -> None:
    """What another process notes meanwhile is not taken for counted: the next look finds it."""
    start = size_of(BUCKET)
    with mmap.mmap(-1, start + BYTES) as data, memoryview(data).cast("q") as words:
        one, other = (Notes(data, words, start, lane) for lane in (0, 1))
        key, counted = bytes(TABLE_KEY_BYTES), []

        def count(*note: object) -> None:
            counted.append(note[-1])
            if len(counted) == 1:
                assert other.write(key, 0, 0, 0, 5)

        assert one.write(key, 0, 0, 0, 3)
        assert words[NOTED_WORD]
        for told, is_left in (([3], 1), ([3, 5], 0)):
            one.settle(count)
            assert (counted, words[NOTED_WORD]) == (told, is_left)


def test_more_than_a_page_of_notes(path: Path) -> None:
    """What no longer has room there is not counted, and that is told."""
    counters = open_here(path)
    holder = run(HOLDER, path)
    for number in range(NOTES + 5):
        assert is_taken(counters, month(f"nothing-{number}", amount=0))
    assert counters.uncounted == 0
    for number in range(NOTES + 5):
        assert is_taken(counters, month(str(number)))
    assert counters.uncounted == 5
    looking = open_counters_to_read(path, places=PLACES)
    assert looking.drops == {"counters_full": 0, "notes_full": 5}
    looking.close()
    end(holder)
    assert counters.usage([month("0"), month(str(NOTES))]).used == (1, 0)
    counters.close()


def test_parallel_calls_of_the_dead(path: Path) -> None:
    """They are let go when somebody asks, and when another process takes that one's place."""
    counters = open_here(path)
    one = charge("rule", window_s=PARALLEL)
    dead, living = run(PARALLEL_CALLS, path, wait=False), None
    assert said(dead) == 3
    assert not is_taken(counters, one)
    end(dead)
    assert is_taken(counters, one)
    living = run(PARALLEL_CALLS, path, wait=False)
    assert said(living) == 2
    assert not is_taken(counters, one)
    end(living)
    again = run(PARALLEL_CALLS, path, wait=False)
    assert said(again) == 2
    end(again)
    counters.close()


def test_more_processes_than_lanes(path: Path) -> None:
    """Those share one, and each has a number of its own."""
    holding = run(LANES_HOLDER, path, LANES)
    counters = open_here(path)
    assert (counters._process, counters._lane) == (LANES, 0)
    one = charge(window_s=PARALLEL)
    assert [is_taken(counters, one) for _ in range(4)] == [True] * 3 + [False]
    counters.close()
    end(holding)


def test_who_shares_a_lane_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parallel calls of the other stay, as long as that lives."""
    one = charge(window_s=PARALLEL)
    living = run(LANES_HOLDER, path, LANES)
    first, _ = tables = open_as(path, monkeypatch, 0, LANES)
    assert [is_taken(first, one) for _ in range(2)] == [True] * 2
    tables += open_as(path, monkeypatch, LANES)
    assert first.usage([one]).used == (2,)
    end(living)
    tables += open_as(path, monkeypatch, LANES)
    assert first.usage([one]).used == (0,)
    for counters in tables:
        counters.close()


def test_notes_of_who_share_a_lane(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each notes on a page of its own, which no other begins anew."""
    first, second = open_as(path, monkeypatch, 1, 1 + LANES)
    many = month("rule", amount=20)
    holder = run(HOLDER, path)
    decision = first.reserve([many])
    end(holder)
    assert is_taken(second, month("rule"))
    holder = run(HOLDER, path)
    first.settle([Correction(many, -20, decision)])
    end(holder)
    assert second.usage([many]).used == (1,)
    assert is_taken(second, month("rule"))
    assert second.usage([many]).used == (2,)
    for counters in (first, second):
        counters.close()


def test_another_version(path: Path) -> None:
    """A file of another size is begun anew."""
    counters = open_here(path)
    assert is_taken(counters, month("a"))
    other = open_counters(path, places=2 * PLACES)
    assert other.usage([month("a")]).used == (0,)
    other.close()
    counters.close()


def test_who_only_looks(tmp_path: Path) -> None:
    """It sees what others count, and takes no share of what is left from them."""
    path = tmp_path / "counters"
    looking = open_counters_to_read(path, places=PLACES, now_s=lambda: NOW_S)
    counting = open_counters(path, places=PLACES, now_s=lambda: NOW_S)
    counting.reserve([charge(amount=3)])
    assert looking.usage([charge()]).used == (3,)
    assert counting._lane == 0
    looking.close()
    counting.close()
