"""What happens to limits in any order, beside a model that only adds up.

Calls take of several limits or of none, use less or more than they took, come in bursts, and are given up at
any moment. Whoever counts, what is counted is always what the model says.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from itertools import combinations
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.limits.limiter import Limiter
from gateway.model import PARALLEL, Charge, Correction, Decision
from tests.rig.until import until_async

LIMITS: Final = {"day": (86_400, 100), "for ever": (0, 150), "at once": (PARALLEL, 4)}
"""Window and limit of each counter."""

_WHO: Final = st.integers(0, 2)
_WISH: Final = st.builds(
    lambda names, *amounts: {name: amounts[at] for at, name in enumerate(LIMITS) if name in names},
    st.sampled_from([some for size in (1, 2, 3) for some in combinations(LIMITS, size)]),
    st.integers(0, 60),
    st.integers(0, 60),
    st.just(1),
)


Wish = dict[str, int]
Used = Callable[[Sequence[Charge]], Awaitable[Decision]]


class LimiterMachine(RuleBasedStateMachine):
    """Limiters that count together; who they are a subclass says.

    Attributes:
        calls: Taken and not settled: whose, what, and the decision.
        counted: What the model says that each counter has.
    """

    examples = 0

    def __init__(self) -> None:
        super().__init__()
        LimiterMachine.examples += 1
        self.calls: list[tuple[Limiter, Wish, Decision]] = []
        self.counted = dict.fromkeys(LIMITS, 0)
        self._round = LimiterMachine.examples

    def limiters(self) -> Sequence[Limiter]:
        """Those that count together."""
        raise NotImplementedError

    def run(self, doing: Awaitable[Any]) -> Any:
        """Do it on the loop of the limiters."""
        raise NotImplementedError

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        """What is counted, by whoever knows it."""
        raise NotImplementedError

    @rule(who=_WHO, wish=_WISH)
    def take(self, who: int, wish: Wish) -> None:
        """A call comes: it is admitted if, and only if, all that it wishes is there."""
        limiter = self._limiter(who)
        decision = self.run(self._reserve(limiter, wish))
        assert (decision.refused is None) == self._fits(wish)
        if decision.refused is None:
            self._taken(limiter, wish, decision)

    @rule(wishes=st.lists(st.tuples(_WHO, _WISH), min_size=2, max_size=12))
    def take_at_once(self, wishes: list[tuple[int, Wish]]) -> None:
        """Many come together: no limit is passed, and who is refused would not fit now."""
        before = dict(self.counted)
        asked = [(self._limiter(who), wish) for who, wish in wishes]

        async def all_at_once() -> list[Decision]:
            return await asyncio.gather(*[self._reserve(limiter, wish) for limiter, wish in asked])

        decisions = self.run(all_at_once())
        for (limiter, wish), decision in zip(asked, decisions, strict=True):
            if decision.refused is None:
                self._taken(limiter, wish, decision)
        for name, (_, limit) in LIMITS.items():
            assert self.counted[name] <= max(limit, before[name])
        for (_, wish), decision in zip(asked, decisions, strict=True):
            assert decision.refused is None or not self._fits(wish)

    @rule(who=_WHO, wish=_WISH, turns=st.integers(0, 6))
    def take_and_leave(self, who: int, wish: Wish, turns: int) -> None:
        """The caller leaves while the limits are asked: nothing of it stays taken."""
        limiter = self._limiter(who)

        async def leave() -> Decision | None:
            asking = asyncio.get_running_loop().create_task(self._reserve(limiter, wish))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.wait([asking])
            return None if asking.cancelled() else asking.result()

        decision = self.run(leave())
        if decision is not None and decision.refused is None:
            self._taken(limiter, wish, decision)

    # What is drawn may not hang on who was admitted: of calls at once that is for the server to say.
    @rule(which=st.integers(0, 1000), shares=st.tuples(*[st.integers(0, 1000) for _ in LIMITS]))
    def settle(self, which: int, shares: tuple[int, ...]) -> None:
        """A call ends: it has used nothing (an error), a part (it was aborted), all, or more than it took."""
        if not self.calls:
            return
        limiter, wish, decision = self.calls.pop(which % len(self.calls))
        corrections = []
        for (name, amount), share in zip(wish.items(), shares, strict=False):
            used = 0 if name == "at once" else share % (amount + 11)
            self.counted[name] += used - amount
            corrections.append(Correction(self._charge(name, amount), used - amount, decision))

        async def settle() -> None:
            limiter.settle(corrections)

        self.run(settle())

    @invariant()
    def has_counted(self) -> None:
        """Soon every counter has what the model says, and never less than nothing."""
        charges = [self._charge(name, 0) for name in LIMITS]
        told = tuple(self.counted.values())

        async def is_told() -> bool:
            return (await self.usage(charges)).used == told

        condition: Callable[[], bool | Awaitable[bool]] = is_told
        self.run(until_async(condition, f"{told} is counted", timeout_s=60))

    async def _reserve(self, limiter: Limiter, wish: Wish) -> Decision:
        decision = limiter.reserve(self._charges(wish))
        return await decision if isawaitable(decision) else decision

    def _limiter(self, who: int) -> Limiter:
        limiters = self.limiters()
        return limiters[who % len(limiters)]

    def _charge(self, name: str, amount: int) -> Charge:
        window_s, limit = LIMITS[name]
        key = hashlib.blake2b(f"{name} {self._round}".encode(), digest_size=16).digest()
        return Charge(key, amount, limit, window_s)

    def _charges(self, wish: Mapping[str, int]) -> list[Charge]:
        return [self._charge(name, amount) for name, amount in wish.items()]

    def _fits(self, wish: Mapping[str, int]) -> bool:
        # Nothing always fits, though calls have used more than there was.
        return all(
            not amount or self.counted[name] + amount <= LIMITS[name][1] for name, amount in wish.items()
        )

    def _taken(self, limiter: Limiter, wish: Wish, decision: Decision) -> None:
        self.calls.append((limiter, wish, decision))
        for name, amount in wish.items():
            self.counted[name] += amount
