"""perf/load/open.py: a fixed rate over a transport that is played by the test."""

from __future__ import annotations

import asyncio

from perf.load.amount import Amount
from perf.load.connection import MAX_FAILURES, Connection
from perf.load.open import OpenPhase
from perf.load.result import LoadResult
from tests.rig.until import until_async
from tests.unit.perf.load.playing import GOOD, TARGET, connect


async def _load(chunks: list[bytes], amount: Amount) -> LoadResult:
    connections = [Connection() for _ in range(amount.connections)]
    connect(connections, chunks)
    return await OpenPhase(TARGET, connections, amount).run()


async def test_as_many_calls_as_are_due_are_sent() -> None:
    """The rate and the time give the count; it does not depend on the answers."""
    result = await _load(GOOD, Amount(4, seconds=0.05, rps=400))
    assert (result.completed, result.unanswered, result.failures) == (20, 0, {})
    assert result.lag is not None
    assert result.lag.max_ms > 0


async def test_a_waiting_call_counts_from_when_it_was_due() -> None:
    """One connection and a server that holds its first answer: all calls behind it count their wait."""
    connection = Connection()
    (server,) = connect([connection], GOOD, is_silent=True)
    phase = OpenPhase(TARGET, [connection], Amount(1, seconds=0.02, rps=500))
    running = asyncio.ensure_future(phase.run())
    await until_async(lambda: len(phase._waiting) == 9, "nine calls wait for the connection")
    assert server.calls == 1
    for answered in range(1, 11):
        server.answer()
        assert server.calls == min(answered + 1, 10)
    result = await running
    assert (result.completed, result.unanswered) == (10, 0)
    assert result.latency.max_ms >= 18  # the first was due 18 ms before the last


async def test_a_server_that_never_answers_does_not_hold_the_run() -> None:
    """What was due and had no answer is counted, and is no failure: so looks too high a rate."""
    connections = [Connection(), Connection()]
    connect(connections, GOOD, is_silent=True)
    amount = Amount(2, seconds=0.01, rps=500)
    result = await OpenPhase(TARGET, connections, amount, patience_s=0.01).run()
    assert (result.completed, result.unanswered, result.failures) == (0, 5, {})


async def test_a_call_that_is_never_answered_counts_in_the_percentiles() -> None:
    """Without its wait, a server that hangs with its slowest calls would have the best of tails."""
    silent, good = Connection(), Connection()
    connect([silent], GOOD, is_silent=True)
    connect([good], GOOD)
    amount = Amount(2, seconds=0.01, rps=500)
    # The last of the list is taken first: so the silent one gets the first call, the other the rest.
    phase = OpenPhase(TARGET, [good, silent], amount, patience_s=0.5)
    result = await phase.run()
    assert (result.completed, result.unanswered, result.failures) == (4, 1, {})
    assert result.latency.p50_ms < 250
    assert result.latency.p99_ms >= 500


async def test_a_server_that_hangs_up_ends_the_phase() -> None:
    """Without a connection nothing more can be sent."""
    result = await _load([], Amount(2, seconds=1, rps=1000))
    assert (result.completed, sum(result.failures.values())) == (0, 2)


async def test_a_broken_server_ends_the_phase_early() -> None:
    """As in a closed loop; what is under way on other connections then may fail too."""
    result = await _load([GOOD[0].replace(b"200", b"503")], Amount(4, seconds=1, rps=5000))
    failed = sum(result.failures.values())
    # A late beat sends what is due meanwhile on every connection, so a few more may fail.
    assert MAX_FAILURES <= failed < 5000
    assert result.unanswered == 5000 - failed


async def test_an_idle_connection_that_is_lost_is_not_used() -> None:
    """Others take its calls."""
    used, idle = Connection(), Connection()
    server, unused_server = connect([used, idle], GOOD)
    phase = OpenPhase(TARGET, [used, idle], Amount(2, seconds=0.02, rps=100))
    running = asyncio.ensure_future(phase.run())
    await asyncio.sleep(0)  # it has begun, and waits for the first beat
    idle.connection_lost(None)
    result = await running
    assert (result.completed, sum(result.failures.values())) == (2, 1)
    assert (server.calls, unused_server.calls) == (2, 0)
