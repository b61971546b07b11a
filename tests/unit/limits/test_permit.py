"""What one call takes of its limits, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BudgetExceeded, LimitsUnavailable, RateLimitExceeded
from gateway.limits.held import Need
from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking
from gateway.limits.permit import CallPermit, LimitPolicy
from gateway.limits.rules import MICRO_USD, Limit, Meter, Rule, When
from gateway.limits.windows import CALENDAR
from gateway.model import Charge, Correction, Decision, LimitKind, Plan, RouteFacts, Spent, Target
from gateway.store.counter_table import CounterTable, counters_in_memory
from tests.unit.limits.limits import NOW_S, FixedNeed, admit, budget_of, limit_of, policy_of
from tests.unit.makers import make_caller, make_target

ONE, TWO = make_target("one/m"), make_target("two/m")
ROUTE = RouteFacts("vm/chat", "priority-based-routing")
CALLER = make_caller("vm/chat")


class Rig:
    """A limiter over counters of its own."""

    def __init__(self, policy: LimitPolicy, *, need: Need | None = None) -> None:
        self.policy = policy
        self.need = need or FixedNeed()
        self.counters: CounterTable = counters_in_memory(now_s=lambda: NOW_S)
        self.limiter = Limiter(self.counters, now_s=lambda: NOW_S)

    async def call(self, *targets: Target, model: str = "vm/chat") -> CallPermit:
        """A call of a virtual model of these targets."""
        plan = Plan(targets or (ONE, TWO), (), route=ROUTE)
        return await admit(self.limiter, self.policy, Asking(CALLER, model, {}, self.need), plan)

    async def direct(self, target: Target = ONE) -> CallPermit:
        """A call of a model that was named itself."""
        asking = Asking(CALLER, target.name, {}, self.need)
        return await admit(self.limiter, self.policy, asking, Plan((target,), (target.name,)))

    def used(self, model: str = "vm/chat", target: str | None = None) -> dict[str, int]:
        """What is counted by each rule, for the call or for a target."""
        rules = self.policy.rules
        found: Sequence[Meter] = (
            rules.of_call(CALLER, model, {}) if target is None else rules.of_target(CALLER, model, target, {})
        )
        charges = [meter.charge(0, NOW_S) for meter in found]
        counted = self.counters.usage(charges).used
        return {meter.rule.id: used for meter, used in zip(found, counted, strict=True)}


def spent(target: str = "one/m", tokens: int = 0, cost_usd: float | None = None) -> Spent:
    return Spent(target, tokens, None, cost_usd)


def two_windows(name: str, *, day: float, month: float) -> Rule:
    """A soft budget for the day and the month."""
    limits = tuple(
        Limit("cost", CALENDAR[window], round(usd * MICRO_USD))
        for window, usd in (("day", day), ("month", month))
    )
    return Rule(name, "budgets", When(), limits, mode="soft_enforce", is_budget=True)


async def test_requests_stay_counted() -> None:
    """A request is one, whatever becomes of it."""
    rig = Rig(policy_of(limit_of("requests", 2)))
    for _ in range(2):
        (await rig.direct()).settle([])
    third = await rig.direct()
    assert isinstance(third.refusal, RateLimitExceeded)
    third.settle([])
    assert rig.used("one/m") == {"requests-limit": 2}


async def test_what_takes_long_to_tell_is_read_first() -> None:
    """Once, and only where somebody asks for an amount: for requests nobody does."""
    need = FixedNeed(is_unread=True)
    await Rig(policy_of(limit_of("requests", 2)), need=need).direct()
    assert need.asked == []
    rig = Rig(
        policy_of(limit_of("tokens", 1000), limit_of("tokens", 500, models=("two/*",), id="two")), need=need
    )
    permit = await rig.call()
    assert await permit.admit_target(TWO)
    assert need.asked[0] == ("read", "")
    assert need.asked.count(("read", "")) == 1


async def test_parallel_calls() -> None:
    """A place is free again when its call has ended."""
    rig = Rig(policy_of(limit_of("parallel", 1)))
    first = await rig.direct()
    assert (await rig.direct()).refusal is not None
    first.settle([])
    assert (await rig.direct()).refusal is None


async def test_tokens_are_corrected() -> None:
    """What a call may use is taken first, what it has used counts in the end."""
    rig = Rig(policy_of(limit_of("tokens", 1000)), need=FixedNeed(tokens=600))
    first = await rig.direct()
    assert (await rig.direct()).refusal is not None, "the rest is less than it may use"
    first.settle([spent(tokens=100)])
    assert rig.used("one/m") == {"tokens-limit": 100}
    second = await rig.direct()
    second.settle([spent(tokens=1200)])
    assert rig.used("one/m") == {"tokens-limit": 1300}, "all that was used, even beyond the limit"
    assert (await rig.direct()).refusal is not None


async def test_what_takes_nothing() -> None:
    """A free call is let in, as where exactly all is used, though calls have used more than there was."""
    rig = Rig(policy_of(limit_of("tokens", 100), budget_of(1)), need=FixedNeed(50, 0.5))
    (await rig.direct()).settle([spent(tokens=120, cost_usd=1.5)])
    assert (await rig.direct()).refusal is not None
    rig.need = FixedNeed()
    free = await rig.direct()
    assert free.refusal is None
    assert dict(free.headers())[b"x-ratelimit-remaining-tokens"] == b"0"
    free.settle([])
    assert rig.used("one/m") == {"tokens-limit": 120, "budget": 1_500_000}


async def test_more_than_anybody_uses() -> None:
    """A provider that says nonsense breaks no counter."""
    rig = Rig(policy_of(budget_of(1, mode="audit"), limit_of("tokens", 1000, mode="audit")))
    for _ in range(3):
        (await rig.direct()).settle([spent(tokens=10**30, cost_usd=1e30)])
    assert rig.used("one/m") == {"budget": 3 << 40, "tokens-limit": 3 << 40}


async def test_nothing_used() -> None:
    """A call that failed before it used anything gives all back."""
    rig = Rig(policy_of(budget_of(1), limit_of("tokens", 1000)), need=FixedNeed(600, 0.5))
    permit = await rig.direct()
    assert rig.used("one/m") == {"budget": 500_000, "tokens-limit": 600}
    permit.settle([spent()])
    assert rig.used("one/m") == {"budget": 0, "tokens-limit": 0}


async def test_settled_once() -> None:
    """A second settlement changes nothing."""
    rig = Rig(policy_of(budget_of(1)), need=FixedNeed(cost_usd=0.5))
    permit = await rig.direct()
    for _ in range(2):
        permit.settle([spent(cost_usd=0.125)])
    assert rig.used("one/m") == {"budget": 125_000}


async def test_bursts_against_a_budget() -> None:
    """Of fifty calls at once against a budget for three, three are admitted."""
    rig = Rig(policy_of(budget_of(3)), need=FixedNeed(cost_usd=1.0))
    permits = [await rig.direct() for _ in range(50)]
    assert sum(permit.refusal is None for permit in permits) == 3
    assert all(isinstance(permit.refusal, BudgetExceeded) for permit in permits[3:])


async def test_targets_count_what_is_theirs() -> None:
    """A limit on targets counts what these used, one on the name all of it."""
    rig = Rig(
        policy_of(limit_of("tokens", 9000, id="all"), limit_of("tokens", 9000, models=("two/*",), id="two")),
        need=FixedNeed(tokens=500),
    )
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    assert await permit.admit_target(TWO)
    permit.settle([spent("one/m", 30), spent("two/m", 7)])
    assert rig.used() == {"all": 37}
    assert rig.used(target="two/m") == {"two": 7}


async def test_one_counter_is_charged_once() -> None:
    """Two targets under one limit count as one request and with all that they used."""
    rig = Rig(
        policy_of(limit_of("requests", 9, models=("*/m",)), limit_of("tokens", 9000, models=("*/m",))),
        need=FixedNeed(tokens=500),
    )
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    assert await permit.admit_target(TWO)
    assert await permit.admit_target(ONE)
    assert rig.used(target="one/m") == {"requests-limit": 1, "tokens-limit": 500}
    permit.settle([spent("one/m", 30), spent("two/m", 7)])
    assert rig.used(target="one/m") == {"requests-limit": 1, "tokens-limit": 37}


async def test_not_asked_after_all() -> None:
    """A target that is passed over for another reason gives back what was taken for it."""
    rig = Rig(
        policy_of(limit_of("requests", 1, models=("one/*",), id="one"), limit_of("requests", 9, id="all"))
    )
    permit = await rig.call()
    permit.forgo(ONE)
    permit.forgo(TWO)
    assert (rig.used(), rig.used(target="one/m")) == ({"all": 1}, {"one": 0})
    assert [note.rule for note in permit.notes] == ["all"]
    assert await permit.admit_target(ONE)
    assert rig.used(target="one/m") == {"one": 1}


async def test_forgoing_keeps_what_another_needs() -> None:
    """A counter that two targets share stays charged while one of them is asked."""
    rig = Rig(policy_of(limit_of("requests", 9, models=("*/m",), id="shared")))
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    assert await permit.admit_target(TWO)
    permit.forgo(ONE)
    assert rig.used(target="two/m") == {"shared": 1}
    permit.forgo(TWO)
    assert rig.used(target="two/m") == {"shared": 0}


async def test_a_model_beside_the_targets() -> None:
    """What was asked of a model that judges calls counts by the rules on that model, once."""
    rig = Rig(
        policy_of(
            limit_of("requests", 9, models=("judge/*",), id="calls"),
            limit_of("tokens", 9, models=("judge/*",)),
            budget_of(1, models=("judge/*", "one/*")),
        ),
        need=FixedNeed(5, 0.5),
    )
    call = await rig.call()
    used = [spent("judge/m", 7, 0.1), spent("one/m", 4, 0.2)]
    call.settle(used)
    call.settle(used)
    assert rig.used(target="judge/m") == {"calls": 0, "tokens-limit": 7, "budget": 300_000}


class NeedByTarget:
    """A call that may use more at some targets than at others."""

    is_unread = False

    async def read(self) -> None:
        """There is nothing to read."""

    def __init__(self, **tokens: int) -> None:
        self._tokens = tokens

    def amount(self, kind: LimitKind, target: str) -> int:
        """The most of any, where none is named."""
        account = target.partition("/")[0]
        return self._tokens[account] if account else max(self._tokens.values())

    def input_tokens(self, target: Target) -> int | None:
        """All of it."""
        return self._tokens[target.account]


async def test_a_target_that_may_use_more() -> None:
    """A limit that several targets share has what the one needs that is asked, not what the first needed."""
    rig = Rig(
        policy_of(limit_of("tokens", 1000, models=("one/*", "two/*", "three/*"))),
        need=NeedByTarget(one=10, two=700, three=300),
    )
    three = make_target("three/m")
    calls = [await rig.call(ONE, TWO, three) for _ in range(4)]
    first, second, *_ = calls
    assert [await call.admit_target(TWO) for call in calls] == [True, False, False, False]
    assert rig.used(target="one/m") == {"tokens-limit": 730}
    assert await first.admit_target(three)
    assert not await second.admit_target(three), "only 270 are left, and 290 are missing"
    assert rig.used(target="one/m") == {"tokens-limit": 730}
    first.settle([spent("one/m", 5), spent("two/m", 100), spent("three/m", 200)])
    for call in calls[1:]:
        call.settle([spent("one/m", 10)])
    assert rig.used(target="one/m") == {"tokens-limit": 335}, "each once, though taken in parts"


async def test_what_was_missing_is_given_back() -> None:
    """A target that is not asked after all keeps nothing of what it may use more."""
    rig = Rig(
        policy_of(limit_of("tokens", 1000, models=("one/*", "two/*"))), need=NeedByTarget(one=10, two=700)
    )
    call = await rig.call()
    assert await call.admit_target(TWO)
    call.forgo(TWO)
    assert rig.used(target="one/m") == {"tokens-limit": 10}


async def test_no_target_has_room() -> None:
    """The caller hears of the limit that resets first."""
    rig = Rig(
        policy_of(
            limit_of("requests", 0, window="day", models=("one/*",), id="day"),
            limit_of("requests", 1, models=("two/*",), id="minute"),
        )
    )
    await (await rig.call()).admit_target(TWO)
    permit = await rig.call()
    assert [await permit.admit_target(target) for target in (ONE, TWO)] == [False, False]
    assert permit.refusal is not None
    assert '"minute"' in permit.refusal.message
    assert [(note.rule, note.outcome) for note in permit.notes] == [("day", "refused"), ("minute", "refused")]


async def test_all_must_have_room() -> None:
    """Of several limits in its way a call hears of the one that has room last: none goes through before."""
    minute, day = limit_of("requests", 1, id="minute"), limit_of("requests", 1, window="day", id="day")
    rig = Rig(policy_of(minute, day), need=FixedNeed(cost_usd=1.0))
    await rig.direct()
    refused = await rig.direct()
    assert refused.refusal is not None
    assert '"day"' in refused.refusal.message
    assert [(note.rule, note.outcome) for note in refused.notes] == [
        ("minute", "exceeded"),
        ("day", "refused"),
    ]
    # A spent budget is not hidden, and neither is what never fits.
    for last in (budget_of(0, id="last"), budget_of(0.5, window="day", id="last")):
        spent_up = Rig(policy_of(minute, last, day), need=FixedNeed(cost_usd=1.0))
        refusal = (await spent_up.direct()).refusal
        assert isinstance(refusal, BudgetExceeded)
        assert ("x-should-retry", "false") in refusal.headers


async def test_a_budget_that_another_stands_in_for_refuses_nobody() -> None:
    """Once the minute is over such a call goes through, though one budget is spent; not without the other."""
    minute = limit_of("requests", 1, id="minute")
    soft = budget_of(1, id="soft", mode="soft_enforce")
    for others, refusing in (([budget_of(50, id="other")], "minute"), ([], "soft")):
        rig = Rig(policy_of(soft, *others, minute), need=FixedNeed(cost_usd=1.0))
        await rig.direct()
        refusal = (await rig.direct()).refusal
        assert refusal is not None
        assert f'"{refusing}"' in refusal.message


async def test_what_a_target_has_beside_the_call() -> None:
    """Where a limit of the call is in the way that of one target is not told: another may answer."""
    call = limit_of("requests", 1, models=("vm/chat",), id="call")
    rig = Rig(policy_of(limit_of("requests", 1, window="day", models=("one/*",), id="one"), call))
    assert not (await rig.call(ONE, TWO)).is_refused
    permit = await rig.call(ONE, TWO)
    assert permit.is_refused
    assert permit.refusal is not None
    assert '"call"' in permit.refusal.message


async def test_what_never_fits() -> None:
    """An unused limit that is too small for a call does not reset for it, so another that does is told."""
    rig = Rig(
        policy_of(
            budget_of(1, models=("one/*",), id="small"),
            limit_of("requests", 0, window="day", models=("two/*",), id="none"),
            limit_of("requests", 1, models=("three/*",), id="minute"),
        ),
        need=FixedNeed(cost_usd=2.0),
    )
    three = make_target("three/m")
    await (await rig.call()).admit_target(three)
    permit = await rig.call()
    assert not await permit.admit_target(ONE)
    assert permit.refusal is not None
    assert [name for name, _ in permit.refusal.headers] == ["x-should-retry"]
    assert [await permit.admit_target(target) for target in (TWO, three)] == [False, False]
    assert '"minute"' in permit.refusal.message


async def test_watching_limits() -> None:
    """A limit that only watches refuses nothing, and says what it would have refused."""
    rig = Rig(policy_of(limit_of("requests", 1, mode="audit")))
    permits = [await rig.direct() for _ in range(2)]
    assert [permit.refusal for permit in permits] == [None, None]
    assert [permit.notes[0].outcome for permit in permits] == ["allowed", "exceeded"]
    assert rig.used("one/m") == {"requests-limit": 2}


@pytest.mark.parametrize(
    ("soft_usd", "others", "is_refused"),
    [
        pytest.param(5, [], False, id="room"),
        pytest.param(0, [], True, id="alone"),
        pytest.param(0, [budget_of(5, id="hard")], False, id="another has room"),
        pytest.param(0, [budget_of(0, id="hard")], True, id="another that refuses has none"),
        pytest.param(0, [budget_of(0, id="soft too", mode="soft_enforce")], True, id="none has room"),
        pytest.param(0, [budget_of(5, id="soft too", mode="soft_enforce")], False, id="another soft one has"),
        pytest.param(0, [budget_of(5, id="watching", mode="audit")], True, id="one that watches is no room"),
        pytest.param(0, [limit_of("requests", 5)], True, id="a rate limit is no budget"),
    ],
)
async def test_soft_budgets(soft_usd: float, others: list[Rule], *, is_refused: bool) -> None:
    """A soft budget refuses only if no other budget of the call has room; all are counted."""
    soft = budget_of(soft_usd, id="soft", mode="soft_enforce")
    rig = Rig(policy_of(soft, *others), need=FixedNeed(cost_usd=1.0))
    permit = await rig.direct()
    assert (permit.refusal is not None) == is_refused
    if not is_refused:
        assert rig.used("one/m")["soft"] == MICRO_USD


SOFT_TWO: Final = budget_of(0, id="soft", mode="soft_enforce", models=("two/*",))


@pytest.mark.parametrize(
    ("others", "is_admitted"),
    [
        pytest.param([], False, id="alone"),
        pytest.param([budget_of(5, id="call")], True, id="one of the call has room"),
        pytest.param(
            [budget_of(5, id="call", mode="soft_enforce")], True, id="a soft one of the call has room"
        ),
        pytest.param([budget_of(5, id="both", models=("*/m",))], True, id="one of both targets has room"),
        pytest.param([budget_of(5, id="one", models=("one/*",))], False, id="one of the other target"),
        pytest.param([budget_of(5, id="watching", mode="audit")], False, id="one that watches is no room"),
        pytest.param(
            [budget_of(0, id="spent", mode="soft_enforce"), budget_of(5, id="one", models=("one/*",))],
            False,
            id="one of the call that the first target's let pass has none",
        ),
        pytest.param([budget_of(5, id="call"), budget_of(0, id="two", models=("two/*",))], False, id="hard"),
    ],
)
async def test_soft_budgets_of_a_target_that_comes_later(others: list[Rule], *, is_admitted: bool) -> None:
    """Budgets that were asked when the call came have room for it still, as if all were asked at once."""
    rig = Rig(policy_of(SOFT_TWO, *others), need=FixedNeed(cost_usd=1.0))
    permit = await rig.call(ONE, TWO)
    assert permit.has_admitted(ONE)
    assert await permit.admit_target(TWO) == is_admitted
    assert rig.used(target="two/m")["soft"] == (MICRO_USD if is_admitted else 0)


@pytest.mark.parametrize(
    ("others", "is_refused"),
    [
        pytest.param([], True, id="its other limit is no other budget"),
        pytest.param([budget_of(5, id="hard")], False, id="another has room"),
        pytest.param([two_windows("both", day=0, month=5)], True, id="another has room in one window only"),
        pytest.param([two_windows("both", day=5, month=5)], False, id="another has room in both"),
    ],
)
async def test_soft_budgets_of_two_windows(others: list[Rule], *, is_refused: bool) -> None:
    """A budget has room if it has some in each of its windows."""
    soft = two_windows("soft", day=0, month=5)
    rig = Rig(policy_of(soft, *others), need=FixedNeed(cost_usd=1.0))
    assert ((await rig.direct()).refusal is not None) == is_refused


@pytest.mark.parametrize(
    "of_one",
    [limit_of("requests", 0, models=("one/*",)), budget_of(0, id="one", models=("one/*",))],
    ids=["a rate limit", "a budget"],
)
async def test_a_soft_budget_beside_a_target_without_room(of_one: Rule) -> None:
    """Where another budget has room it is not in the way, and the next target is asked."""
    soft, other = budget_of(0, id="soft", mode="soft_enforce"), budget_of(5, id="call")
    rig = Rig(policy_of(soft, other, of_one), need=FixedNeed(cost_usd=1.0))
    permit = await rig.call(ONE, TWO)
    assert (permit.has_admitted(ONE), permit.is_refused) == (False, False)
    assert await permit.admit_target(TWO)
    assert rig.used() == {"soft": MICRO_USD, "call": MICRO_USD}
    assert (await Rig(policy_of(soft, of_one), need=FixedNeed(cost_usd=1.0)).call(ONE, TWO)).is_refused


async def test_first_blocks() -> None:
    """Of budgets of which the first decides the others are counted and do not refuse."""
    policy = policy_of(budget_of(5, id="first"), budget_of(0, id="second"), order="first_blocks")
    rig = Rig(policy, need=FixedNeed(cost_usd=1.0))
    assert (await rig.direct()).refusal is None
    assert rig.used("one/m") == {"first": MICRO_USD, "second": MICRO_USD}


async def test_an_unmatched_call_asks_nothing() -> None:
    """Where no rule is about a call nothing is counted."""
    rig = Rig(policy_of(limit_of("requests", 0, models=("other/*",))))
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    permit.settle([spent(tokens=5)])
    assert (permit.refusal, permit.notes, permit.headers()) == (None, [], [])


async def test_how_long_replies_are() -> None:
    """What replies used is what calls without a maximum are taken for."""
    rig = Rig(policy_of(limit_of("tokens", 1000)))
    (await rig.direct()).settle([Spent("one/m", 20, 12, None), Spent("two/m", 9, None, None)])
    assert rig.limiter.sizes.usual("one/m") == 12
    assert rig.limiter.sizes.usual("two/m") == 1024


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end"]), st.integers(0, 400), st.integers(0, 400)), max_size=40
    )
)
async def test_any_order_of_calls(steps: list[tuple[str, int, int]]) -> None:
    """What is neither used nor taken may be taken, and no more, however calls come and go."""
    rig = Rig(policy_of(limit_of("tokens", 1000)))
    open_calls: list[tuple[CallPermit, int]] = []
    used = 0
    for step, need, use in steps:
        if step == "begin":
            rig.need = FixedNeed(tokens=need)
            permit = await rig.direct()
            reserved = sum(taken for _, taken in open_calls)
            assert (permit.refusal is None) == (not need or used + reserved + need <= 1000)
            if permit.refusal is None:
                open_calls.append((permit, need))
        elif open_calls:
            permit, _ = open_calls.pop(0)
            permit.settle([spent(tokens=use)])
            used += use
    for permit, _ in open_calls:
        permit.settle([])
    assert rig.used("one/m") in ({"tokens-limit": used}, {})


class Unreachable:
    """Counters that nobody can ask, where calls are refused then."""

    def __init__(self) -> None:
        self.asked = 0

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        self.asked += 1
        nothing = (0,) * len(charges)
        return Decision(0, nothing, (1.0,) * len(charges), NOW_S, is_unknown=True)

    async def settle(self, corrections: Sequence[Correction]) -> None:
        raise AssertionError("nothing was taken")

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        return await self.reserve(charges)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(limit_of("tokens", 1), id="rate limit, of less than the call may use"),
        pytest.param(budget_of(0, mode="soft_enforce"), id="budget"),
    ],
)
async def test_nobody_knows(rule: Rule) -> None:
    """Who cannot be told whether there is room is told so, and may come back."""
    rig, remote = Rig(policy_of(rule), need=FixedNeed(5, 1)), Unreachable()
    rig.limiter = Limiter(rig.counters, remote, now_s=lambda: NOW_S)
    permit = await rig.direct()
    assert permit.is_refused
    assert isinstance(permit.refusal, LimitsUnavailable)
    assert permit.refusal.headers == (("retry-after", "1"),)
    permit.settle([])
    assert remote.asked == 1


async def test_what_is_used_while_a_call_goes_on() -> None:
    """It is counted once: as it is used, and the rest in the end."""
    rig = Rig(
        policy_of(limit_of("tokens", 100), budget_of(1), limit_of("parallel", 2)), need=FixedNeed(1, 0.1)
    )
    permit = await rig.direct()
    assert await permit.use([spent(tokens=30, cost_usd=0.2)]) is None
    assert rig.used("one/m") == {"tokens-limit": 31, "budget": 300_000, "parallel-limit": 1}
    assert await permit.use([spent(tokens=99, cost_usd=0.2)]) is None, "what is left is 0, and taken by it"
    refusal = await permit.use([spent(tokens=100, cost_usd=0.2)])
    assert isinstance(refusal, RateLimitExceeded)
    permit.settle([spent(tokens=110, cost_usd=0.3)])
    assert rig.used("one/m") == {"tokens-limit": 110, "budget": 300_000, "parallel-limit": 0}


@pytest.mark.parametrize(
    ("others", "is_ended"),
    [
        pytest.param([], True, id="no other"),
        pytest.param([budget_of(9, id="other")], False, id="another has room"),
        pytest.param([budget_of(0.5, id="other", mode="soft_enforce")], True, id="another has none either"),
        pytest.param([budget_of(0.5, id="other")], True, id="another that refuses has none"),
        pytest.param([budget_of(9, id="other", mode="audit")], True, id="another only watches"),
    ],
)
async def test_soft_budgets_while_a_call_goes_on(others: list[Rule], *, is_ended: bool) -> None:
    """A soft budget ends it only if no other budget has room."""
    rig = Rig(policy_of(budget_of(0.5, mode="soft_enforce"), *others))
    permit = await rig.direct()
    assert (await permit.use([spent(cost_usd=0.6)]) is not None) == is_ended


async def test_use_without_limits() -> None:
    """Of calls alone nothing is used up by what they use."""
    rig = Rig(policy_of(limit_of("requests", 1)))
    assert await (await rig.direct()).use([spent(tokens=9)]) is None


async def told(rig: Rig, need: float, used: float) -> list[tuple[str, str, float]]:
    """What a call says of thresholds that may cost *need* and costs *used*, in USD."""
    rig.need = FixedNeed(0, need)
    permit = await rig.direct()
    permit.settle([spent(cost_usd=used)])
    return [(one.rule, one.limit, one.percent) for one in permit.reached]


async def test_thresholds() -> None:
    """A call says which it has reached: by what it took, or by what it used, where that was more."""
    budget = budget_of(10, thresholds=(50.0, 75.0, 100.0), mode="soft_enforce")
    rig = Rig(policy_of(budget, limit_of("requests", 100), budget_of(99, id="quiet")))
    assert await told(rig, 4, 4) == []
    assert await told(rig, 2, 0.5) == [("budget", "cost_per_month", 50.0)]
    assert await told(rig, 2, 0.7) == [], "it was said, though less was used"
    assert await told(rig, 0.1, 6) == [("budget", "cost_per_month", percent) for percent in (75.0, 100.0)]
    assert await told(rig, 1, 1) == []


async def test_thresholds_of_a_target_that_was_not_asked() -> None:
    """What was given back has reached nothing."""
    rig = Rig(policy_of(budget_of(10, models=("one/m",), thresholds=(50.0,))), need=FixedNeed(0, 6))
    permit = await rig.call(ONE, TWO)
    permit.forgo(ONE)
    permit.settle([])
    assert not permit.reached


async def test_thresholds_while_a_call_goes_on() -> None:
    """They are reached by what it has used until then, and once."""
    rig = Rig(policy_of(budget_of(10, thresholds=(50.0, 75.0))), need=FixedNeed(0, 0.1))
    permit = await rig.direct()
    await permit.use([spent(cost_usd=6)])
    assert [one.percent for one in permit.reached] == [50.0]
    permit.settle([spent(cost_usd=8)])
    assert [one.percent for one in permit.reached] == [50.0, 75.0]


async def test_two_at_once_take_twice() -> None:
    """Where an attempt runs beside another both may use the whole; what they used counts in the end."""
    shared = limit_of("tokens", 500, models=("*/m",), id="shared")
    rig = Rig(policy_of(budget_of(2), shared), need=FixedNeed(tokens=200, cost_usd=1.0))
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    assert await permit.admit_beside(TWO)
    assert rig.used() == {"budget": 2 * MICRO_USD}
    assert rig.used(target="one/m") == {"shared": 400}
    permit.settle([spent("one/m", 20, 0.1), spent("two/m", 30, 0.2)])
    assert rig.used() == {"budget": 300_000}
    assert rig.used(target="one/m") == {"shared": 50}


async def test_a_soft_budget_of_two_at_once() -> None:
    """One that let the call in, since another has room, lets a second attempt in too."""
    soft = budget_of(0, id="soft", mode="soft_enforce")
    rig = Rig(policy_of(soft, budget_of(2, id="hard")), need=FixedNeed(cost_usd=1.0))
    permit = await rig.call()
    assert await permit.admit_beside(TWO)
    assert rig.used() == {"soft": 2 * MICRO_USD, "hard": 2 * MICRO_USD}
    permit.settle([spent("one/m", 0, 0.5)])
    assert rig.used() == {"soft": 500_000, "hard": 500_000}
    assert await (await rig.call()).admit_target(ONE)
    assert not await (await rig.call()).admit_target(ONE), "the hard one has no room"


async def test_no_room_for_a_second_at_once() -> None:
    """It is not begun, the call goes on, and nothing stays taken for it."""
    rig = Rig(policy_of(budget_of(1.5)), need=FixedNeed(cost_usd=1.0))
    permit = await rig.call()
    assert await permit.admit_target(ONE)
    assert not await permit.admit_beside(TWO)
    assert (permit.is_refused, rig.used()) == (False, {"budget": MICRO_USD})
    permit.settle([spent("one/m", 0, 0.5)])
    assert rig.used() == {"budget": 500_000}
