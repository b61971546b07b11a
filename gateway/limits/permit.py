"""What one call has taken of its limits: asked for when it comes, settled once when it has ended.

A call is charged for the name that it asked for, and for each target before that is tried; no counter is
charged twice. What it may use is taken before and corrected after, so that calls at the same time cannot use
the same rest of a limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, Literal, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.limits.headers import limit_headers
from gateway.limits.matching import Rules
from gateway.limits.refusal import refusal_of
from gateway.limits.rules import MICRO_USD, Meter
from gateway.model import (
    Caller,
    Charge,
    Correction,
    Decision,
    HeaderPairs,
    LimitKind,
    LimitNote,
    Spent,
    Target,
)

_TURNS: Final = 4
"""How often it is decided anew which budgets may be passed over, while other calls take from them too."""

_MOST: Final = 1 << 40
"""No call uses more, whatever its provider says: what is counted has to stay within 64 bits."""

_NO_METERS: Final[tuple[Meter, ...]] = ()


class Need(Protocol):
    """What a call may use."""

    def amount(self, kind: LimitKind, target: str) -> int:
        """Most of it, at *target*; "" for whichever it will be."""


class Till(Protocol):
    """Where is counted what calls take; see `gateway.limits.limiter`."""

    def now_s(self) -> float:
        """Unix time."""

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Take all *charges* or none."""

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Correct what was taken."""

    def replied(self, target: str, output_tokens: int) -> None:
        """Take note of how long a reply of *target* was."""


class LimitPolicy(msgspec.Struct, frozen=True):
    """What a configuration says of limits.

    Attributes:
        budget_status: Of a refusal by a budget.
    """

    rules: Rules
    budget_status: int = 429


class Asking(msgspec.Struct, frozen=True):
    """A call as rules look at it.

    Attributes:
        model: The name that it asked for.
        metadata: As resolved.
        need: What it may use.
    """

    caller: Caller
    model: str
    metadata: Mapping[str, str]
    need: Need


class _Taken(msgspec.Struct):
    """A charge that was taken, and whose use it is for: that of *targets*, of all where None."""

    kind: LimitKind
    charge: Charge
    decision: Decision
    targets: set[str] | None


class _Turn:
    """What is asked of the counters at once: *meters*, each for a target, or for the call as it was asked.

    Attributes:
        targets: Of each meter, "" for the call.
    """

    __slots__ = ("charges", "meters", "targets")

    def __init__(self) -> None:
        self.meters: list[Meter] = []
        self.targets: list[str] = []
        self.charges: list[Charge] = []

    def add(self, meters: Sequence[Meter], target: str, need: Need, now_s: float) -> None:
        """Ask for *meters* too."""
        for meter in meters:
            kind = meter.limit.kind
            amount = 1 if kind in ("requests", "parallel") else need.amount(kind, target)
            self.meters.append(meter)
            self.targets.append(target)
            self.charges.append(meter.charge(amount, now_s))

    def passed_over(self, used: Sequence[int]) -> list[int]:
        """Budgets without room that refuse only where no other has any; [] where the call is refused.

        A budget has room if all its limits do.
        """
        without = [
            at
            for at, charge in enumerate(self.charges)
            if self.meters[at].is_enforced and used[at] + charge.amount > charge.limit
        ]
        # What was passed over before is not enforced any more, and has no room all the same.
        refusing = [at for at in without if self.charges[at].is_enforced]
        if any(self.meters[at].rule.mode != "soft_enforce" for at in refusing):
            return []
        spent = {_key_of(self.meters[at]) for at in without}
        has_other = any(
            meter.rule.is_budget and meter.is_enforced and _key_of(meter) not in spent
            for meter in self.meters
        )
        return refusing if has_other else []


def _key_of(meter: Meter) -> tuple[str, str]:
    return meter.rule.source, meter.rule.id


class CallPermit:
    """`gateway.model.Permit` of one call."""

    __slots__ = ("_admitted", "_asking", "_policy", "_reset_s", "_taken", "_till", "notes", "refusal")

    def __init__(self, till: Till, policy: LimitPolicy, asking: Asking) -> None:
        self._till = till
        self._policy = policy
        self._asking = asking
        self._taken: dict[bytes, _Taken] = {}
        self._admitted: set[str] = set()
        self._reset_s = 0.0
        self.notes: Sequence[LimitNote] = ()
        self.refusal: GatewayError | None = None

    async def admit_direct(self, target: Target) -> None:
        """Take what a call needs that nobody but *target* can answer, since it is what was asked for."""
        turn = self._new_turn(self._of_call(), "")
        turn.add(self._of_target(target.name), target.name, self._asking.need, self._till.now_s())
        if not turn.meters or await self._take(turn):
            self._admitted.add(target.name)

    async def admit(self, first: Target | None) -> None:
        """Take what a call needs whoever answers, and in the same turn what the *first* target needs.

        Where that has no room it is passed over when its turn comes; None: nobody knows yet who is first.
        """
        of_call = self._of_call()
        of_first = _NO_METERS if first is None else self._of_target(first.name)
        if first is not None and of_first:
            turn = self._new_turn(of_call, "")
            turn.add(of_first, first.name, self._asking.need, self._till.now_s())
            if await self._take(turn, is_final=False):
                self._admitted.add(first.name)
                return
        elif first is not None:
            self._admitted.add(first.name)
        if of_call:
            await self._take(self._new_turn(of_call, ""))

    async def admit_target(self, target: Target) -> bool:
        """Take what an attempt at *target* needs, unless that was done."""
        name = target.name
        if name in self._admitted:
            return True
        turn = _Turn()
        turn.add(self._of_target(name), name, self._asking.need, self._till.now_s())
        keys = [charge.key for charge in turn.charges]
        more = [meter for meter, key in zip(turn.meters, keys, strict=True) if key not in self._taken]
        if more and not await self._take(self._new_turn(more, name)):
            return False
        for key in keys:
            taken = self._taken.get(key)
            if taken is not None and taken.targets is not None:
                taken.targets.add(name)
        self._admitted.add(name)
        return True

    def forgo(self, target: Target) -> None:
        """Give back what was taken for *target* alone: it is not asked."""
        name = target.name
        if name not in self._admitted:
            return
        self._admitted.discard(name)
        back = []
        for key, taken in list(self._taken.items()):
            if taken.targets is None or name not in taken.targets:
                continue
            taken.targets.discard(name)
            if not taken.targets:
                del self._taken[key]
                back.append(Correction(taken.charge, -taken.charge.amount, taken.decision))
        if back:
            self.notes = [note for note in self.notes if note.target != name]
            self._till.settle(back)

    def settle(self, spent: Sequence[Spent]) -> None:
        """Correct what was taken to what was *spent*."""
        corrections = [
            Correction(taken.charge, more, taken.decision)
            for taken in self._taken.values()
            if taken.kind != "requests" and (more := _spent(taken, spent) - taken.charge.amount)
        ]
        self._taken = {}
        if corrections:
            self._till.settle(corrections)
        for each in spent:
            if each.output_tokens is not None:
                self._till.replied(each.target, each.output_tokens)

    def headers(self) -> HeaderPairs:
        """What the caller is told of its limits."""
        return limit_headers(self.notes)

    def _of_call(self) -> tuple[Meter, ...]:
        asking = self._asking
        return self._policy.rules.of_call(asking.caller, asking.model, asking.metadata)

    def _of_target(self, name: str) -> tuple[Meter, ...]:
        asking = self._asking
        return self._policy.rules.of_target(asking.caller, asking.model, name, asking.metadata)

    def _new_turn(self, meters: Sequence[Meter], target: str) -> _Turn:
        turn = _Turn()
        turn.add(meters, target, self._asking.need, self._till.now_s())
        return turn

    async def _take(self, turn: _Turn, *, is_final: bool = True) -> bool:
        """Take what is asked in *turn*, or nothing of it, which is a refusal where it *is_final*."""
        charges = turn.charges
        decision = await self._till.reserve(charges)
        for _ in range(_TURNS):
            if decision.refused is None or not (passed := turn.passed_over(decision.used)):
                break
            for at in passed:
                charges[at] = msgspec.structs.replace(charges[at], is_enforced=False)
            decision = await self._till.reserve(charges)
        if decision.refused is None:
            for meter, target, charge in zip(turn.meters, turn.targets, charges, strict=True):
                self._taken[charge.key] = _Taken(
                    meter.limit.kind, charge, decision, {target} if target else None
                )
        elif is_final:
            self._refuse(turn, decision, decision.refused)
        if decision.refused is None or is_final:
            self.notes = [*self.notes, *_notes(turn, decision)]
        return decision.refused is None

    def _refuse(self, turn: _Turn, decision: Decision, at: int) -> None:
        """Keep the refusal, if none is there that resets earlier."""
        charge = turn.charges[at]
        # A limit that never has room for so much does not reset for this call, though it be unused.
        reset_s = decision.reset_s[at] if charge.amount <= charge.limit else inf
        if self.refusal is not None and reset_s >= self._reset_s:
            return
        self._reset_s = reset_s
        self.refusal = refusal_of(
            turn.meters[at],
            charge.amount,
            decision.used[at],
            reset_s,
            budget_status=self._policy.budget_status,
        )


def _notes(turn: _Turn, decision: Decision) -> list[LimitNote]:
    told = []
    refused, used = decision.refused, decision.used
    for at, meter in enumerate(turn.meters):
        limit, charge = meter.limit, turn.charges[at]
        outcome: Literal["allowed", "exceeded", "refused"] = "allowed"
        if at == refused:
            outcome = "refused"
        elif used[at] + (0 if refused is None else charge.amount) > limit.amount:
            outcome = "exceeded"
        told.append(
            LimitNote(
                meter.rule.id,
                limit.kind,
                meter.rule.is_budget,
                outcome,
                turn.targets[at],
                limit.amount,
                used[at],
                decision.reset_s[at],
            )
        )
    return told


def _spent(taken: _Taken, spent: Sequence[Spent]) -> int:
    """What of *spent* counts for a charge."""
    if taken.kind == "parallel":
        return 0
    whole = 0
    for each in spent:
        if taken.targets is None or each.target in taken.targets:
            whole += each.tokens if taken.kind == "tokens" else round((each.cost_usd or 0.0) * MICRO_USD)
    return min(whole, _MOST)
