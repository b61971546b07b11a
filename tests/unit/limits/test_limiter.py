"""Where what calls take is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from math import nextafter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking
from gateway.limits.permit import LimitPolicy
from gateway.limits.rules import MICRO_USD, Rule
from gateway.model import Charge, Correction, Counters, Decision, Plan, RouteFacts, Spent, Target
from gateway.store.counter_table import counters_in_memory
from gateway.store.redis_counters import RedisCounters
from tests.rig.examples import examples
from tests.rig.requires import requires
from tests.rig.until import until_async
from tests.rig.valkey_server import ValkeyServer
from tests.unit.limits.limiter_machine import LimiterMachine
from tests.unit.limits.limits import NOW_S, FixedNeed, admit, budget_of, limit_of, policy_of
from tests.unit.makers import make_caller, make_target

ONE, TWO = make_target("one/m"), make_target("two/m")
ROUTED = Plan((ONE, TWO), ("one/m", "two/m"), route=RouteFacts("vm/chat", "priority-based-routing"))
DIRECT = Plan((ONE,), ("one/m",))


def asking(model: str = "vm/chat") -> Asking:
    return Asking(make_caller(model), model, {}, FixedNeed(tokens=10))


class Remote:
    """`RemoteCounters` that answer when they are let."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.may_answer = asyncio.Event()
        self.trips: list[str] = []

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        self.trips.append("reserve")
        await self.may_answer.wait()
        return self._counters.reserve(charges)

    async def settle(self, corrections: Sequence[Correction]) -> None:
        self.trips.append("settle")
        self._counters.settle(corrections)

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        return self._counters.usage(charges)


def on_targets(limit: int = 1) -> Rule:
    return limit_of("requests", limit, models=("one/*",), id="one")


def both() -> LimitPolicy:
    return policy_of(limit_of("requests", 5, id="all"), on_targets())


async def test_direct() -> None:
    """Of a model that was named itself nobody else may answer: any limit on it refuses the call."""
    limiter = Limiter(counters_in_memory(now_s=lambda: NOW_S), now_s=lambda: NOW_S)
    policy = both()
    first = await admit(limiter, policy, asking("one/m"), DIRECT)
    second = await admit(limiter, policy, asking("one/m"), DIRECT)
    assert first.refusal is None
    assert second.refusal is not None
    assert '"one"' in second.refusal.message


async def test_routed() -> None:
    """The first target's limit does not refuse the call: it is passed over, and another asked."""
    limiter = Limiter(counters_in_memory(now_s=lambda: NOW_S), now_s=lambda: NOW_S)
    policy = both()
    admitted = [await admit(limiter, policy, asking(), ROUTED) for _ in range(2)]
    assert [permit.is_refused for permit in admitted] == [False, False]
    assert [await permit.admit_target(ONE) for permit in admitted] == [True, False]
    assert await admitted[1].admit_target(TWO)


@pytest.mark.parametrize("cost_usd", [0.16e-6, 0.5e-6, 1.3e-6, 7.9e-6])
@pytest.mark.parametrize(
    ("model", "plan", "targets"),
    [
        pytest.param("one/m", DIRECT, (ONE,), id="direct"),
        pytest.param("vm/chat", ROUTED, (ONE,), id="routed"),
        pytest.param("vm/chat", ROUTED, (ONE, TWO), id="after another"),
    ],
)
async def test_parts_of_a_millionth(
    cost_usd: float, model: str, plan: Plan, targets: tuple[Target, ...]
) -> None:
    """Many calls count as what they cost, though none alone costs a whole number of millionths of a USD."""
    counters = counters_in_memory(places=64, now_s=lambda: NOW_S)
    limiter = Limiter(counters, now_s=lambda: NOW_S, random=Random(1))
    policy = policy_of(budget_of(1))
    calls = 5_000
    for _ in range(calls):
        permit = await admit(limiter, policy, asking(model), plan)
        assert all([await permit.admit_target(target) for target in targets])
        permit.settle([Spent(targets[-1].name, 1, None, cost_usd)])
    charges = [meter.charge(0, NOW_S) for meter in policy.rules.of_call(make_caller(model), model, {})]
    (used,) = counters.usage(charges).used
    assert used == pytest.approx(calls * cost_usd * MICRO_USD, rel=0.1)


@pytest.mark.parametrize("micro_usd", [0, 1, 3, 1_200, 999_999_999_999])
def test_whole_millionths(micro_usd: int) -> None:
    """What costs a whole number of them counts as that, whatever floats make of it."""
    limiter = Limiter(counters_in_memory(places=64), random=Random(1))
    for nearly in (micro_usd / MICRO_USD, nextafter(micro_usd / MICRO_USD, 0), micro_usd * 1e-7 * 10):
        assert {limiter.micro_usd(nearly) for _ in range(100)} == {micro_usd}


async def test_one_round_trip() -> None:
    """A call whose first target admits it asks replicas' counters once."""
    remote = Remote(counters_in_memory(now_s=lambda: NOW_S))
    remote.may_answer.set()
    limiter = Limiter(counters_in_memory(), remote, now_s=lambda: NOW_S)
    permit = await admit(limiter, both(), asking(), ROUTED)
    assert await permit.admit_target(ONE)
    assert remote.trips == ["reserve"]
    permit.settle([])
    await limiter.close()
    assert remote.trips == ["reserve"], "requests stay counted, so there is nothing to correct"


async def test_leaving_while_it_is_asked() -> None:
    """What is taken for a caller that has gone meanwhile is given back."""
    counters = counters_in_memory(now_s=lambda: NOW_S)
    remote = Remote(counters)
    limiter = Limiter(counters_in_memory(), remote, now_s=lambda: NOW_S)
    policy = policy_of(limit_of("parallel", 1))
    call = asyncio.get_running_loop().create_task(admit(limiter, policy, asking("one/m"), DIRECT))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    remote.may_answer.set()
    await limiter.close()
    assert remote.trips == ["reserve", "settle"]
    permit = await admit(Limiter(counters), policy, asking("one/m"), DIRECT)
    assert permit.refusal is None


class OnThisHost(LimiterMachine):
    """One worker's counters."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._counters = counters_in_memory(places=256, now_s=lambda: NOW_S)
        self._limiter_here = Limiter(self._counters, now_s=lambda: NOW_S)

    def limiters(self) -> Sequence[Limiter]:
        return [self._limiter_here]

    def run(self, doing: Awaitable[Any]) -> Any:
        return self._runner.run(_wait_for(doing))

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        return self._counters.usage(charges)

    def teardown(self) -> None:
        self._runner.close()


TestOnThisHost = OnThisHost.TestCase
TestOnThisHost.settings = settings(max_examples=examples(60), stateful_step_count=40)


@requires("valkey")
def test_replicas_in_any_order(tmp_path: Path) -> None:
    """Three replicas of a real server count what the model says, whatever calls do."""
    with ValkeyServer(tmp_path) as server, asyncio.Runner() as runner:
        replicas = runner.run(_replicas(server.url))

        class OnReplicas(LimiterMachine):
            def limiters(self) -> Sequence[Limiter]:
                return [limiter for limiter, _ in replicas]

            def run(self, doing: Awaitable[Any]) -> Any:
                return runner.run(_wait_for(doing))

            async def usage(self, charges: Sequence[Charge]) -> Decision:
                decision = await replicas[0][1].usage(charges)
                assert decision.is_shared, "the server answered all the time"
                return decision

        run_state_machine_as_test(OnReplicas, settings=_NOT_SHRUNK)
        runner.run(_close(replicas))


# Making a failure smaller means waiting again and again for what will not be counted.
_NOT_SHRUNK = settings(max_examples=examples(40), stateful_step_count=30, phases=[Phase.generate])


async def _wait_for(doing: Awaitable[Any]) -> Any:
    return await doing


async def _replicas(url: str) -> list[tuple[Limiter, RedisCounters]]:
    """Patient ones: tests share a machine."""
    remotes = [RedisCounters(url, counters_in_memory(places=256), timeout_s=60.0) for _ in range(3)]
    for remote in remotes:
        remote.start()
    await until_async(lambda: not any(remote.is_away for remote in remotes), "all have found the server")
    return [(Limiter(counters_in_memory(places=256), remote), remote) for remote in remotes]


async def _close(replicas: Sequence[tuple[Limiter, RedisCounters]]) -> None:
    for limiter, remote in replicas:
        await limiter.close()
        await remote.close()
