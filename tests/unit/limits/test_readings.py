"""What counters have, read without charging anything."""

from __future__ import annotations

from gateway.limits.readings import CounterReader
from gateway.limits.rules import MICRO_USD, Meter, Rule, meters
from gateway.store.counter_table import counters_in_memory
from tests.unit.doubles import Clock
from tests.unit.limits.limits import NOW_S, Replicas, budget_of, limit_of

DAY_S = 86_400


def meter_of(rule: Rule) -> Meter:
    return next(meters(rule, (), is_enforced=True))


async def test_what_is_counted_and_when_that_ends() -> None:
    """A budget by its calendar, a rate by what is behind us, parallel calls by nothing."""
    clock = Clock(NOW_S)
    counters = counters_in_memory(places=16, now_s=clock)
    found = [
        meter_of(rule)
        for rule in (
            budget_of(10, window="day"),
            budget_of(0, window="lifetime", id="ever"),
            limit_of("requests", 4),
            limit_of("parallel", 2),
        )
    ]
    amounts = (9 * MICRO_USD, 0, 1, 1)
    charges = [meter.charge(amount, NOW_S) for meter, amount in zip(found, amounts, strict=True)]
    counters.reserve(charges)
    read = await CounterReader(counters, now_s=clock).read(found, [2 * MICRO_USD, 0, 3, 1])
    day, ever, minute, parallel = read.each
    assert read.counted_by == "host"
    assert (day.used, day.percentage, day.has_room) == (9 * MICRO_USD, 90.0, False)
    assert (day.begin_s, day.end_s, day.resets_at_s) == (NOW_S - 30, NOW_S - 30 + DAY_S, NOW_S - 30 + DAY_S)
    assert (ever.begin_s, ever.end_s, ever.resets_at_s, ever.percentage) == (None, None, None, 100.0)
    assert (minute.used, minute.has_room, minute.begin_s, minute.end_s) == (1, True, NOW_S - 60, None)
    assert minute.resets_at_s is not None
    assert NOW_S < minute.resets_at_s <= NOW_S + 65
    assert (parallel.used, parallel.has_room, parallel.begin_s, parallel.resets_at_s) == (1, True, None, None)
    assert counters.usage(charges).used == amounts, "reading takes nothing"


async def test_of_all_replicas() -> None:
    """A hundred at a time, so that no question keeps the server for long; it says whom it counts for."""
    found = [meter_of(limit_of("requests", 10, id=str(number))) for number in range(250)]
    replicas = Replicas()
    read = await CounterReader(counters_in_memory(places=16), replicas).read(found)
    assert (replicas.asked, read.counted_by) == ([100, 100, 50], "replicas")
    assert {reading.used for reading in read.each} == {7}
    away = await CounterReader(counters_in_memory(places=16), Replicas(is_shared=False)).read(found[:1])
    assert away.counted_by == "host"


async def test_nothing_to_read() -> None:
    """No rule, no answer of a counter."""
    read = await CounterReader(counters_in_memory(places=16)).read([])
    assert (read.each, read.counted_by) == ((), "host")
