"""What one call has taken of its limits: asked for when it comes, settled once when it has ended.

A call is charged for the name that it asked for, and for each target before that is tried; no counter is
charged twice. What it may use is taken before and corrected after, so that calls at the same time cannot use
the same rest of a limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from operator import gt
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from gateway.errors import GatewayError
from gateway.limits.headers import headers_of, limit_headers
from gateway.limits.held import BY_ONE, Held, limits_of, part_of
from gateway.limits.matching import Asking, Rules
from gateway.limits.refusal import refusal_of, unknown_refusal
from gateway.limits.rules import MICRO_USD, Meter
from gateway.model import (
    Charge,
    Charges,
    Correction,
    Corrections,
    Decision,
    HeaderPairs,
    HeldLimit,
    LimitKind,
    LimitNote,
    LimitsSaid,
    Plan,
    Reached,
    Spent,
    Target,
)

_TURNS: Final = 5
"""How often it is decided anew which budgets may be passed over, while other calls take from them too."""

_MOST: Final = 1 << 40
"""No call uses more, whatever its provider says: what is counted has to stay within 64 bits."""

_UNDECIDED: Final = Decision(None, (), (), 0.0)
_NOBODY: Final[frozenset[str]] = frozenset()
_Budget = tuple[str, str]
_Budgets = frozenset[_Budget]
_NOTHING: Final[Mapping[int, int]] = MappingProxyType({})


class Till(Protocol):
    """Where is counted what calls take; see `gateway.limits.limiter`."""

    def now_s(self) -> float:
        """Unix time."""

    def reserve(self, charges: Sequence[Charge]) -> Decision | Awaitable[Decision]:
        """Take all *charges* or none; what has to be waited for where they are counted elsewhere."""

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Correct what was taken."""

    def replied(self, target: str, output_tokens: int) -> None:
        """Take note of how long a reply of *target* was."""

    def micro_usd(self, cost_usd: float) -> int:
        """What counts of a call that has cost so much; see `gateway.limits.limiter`."""


class LimitPolicy(msgspec.Struct, frozen=True):
    """What a configuration says of limits.

    Attributes:
        budget_status: Of a refusal by a budget.
    """

    rules: Rules
    budget_status: int = 429


class _Turn(msgspec.Struct, eq=False, gc=False):
    """What is asked of the counters at once.

    Attributes:
        owners: Of each charge that was taken the targets whose use it is for, None for all; one that has none
            any more has been given back.
        relaxed: Budgets that are passed over, since another has room.
        counted: Of each charge what was counted since, while the call went on; () where nothing was.
    """

    held: Held
    charges: Sequence[Charge]
    owners: Sequence[frozenset[str] | None]
    decision: Decision = _UNDECIDED
    relaxed: tuple[int, ...] = ()
    counted: Sequence[int] = ()

    def pass_over(self, used: Sequence[int], target: str, beside: _Budgets) -> bool:
        """Let budgets without room that refuse only where no other has any only count; whether there are any.

        A budget has room if all its limits do; those *beside* these have let the call in before. What else is
        without room is in the call's way, unless it is for *target* alone: then another target may be asked.
        """
        meters, charges, targets = self.held.meters, self.charges, self.held.targets
        without = self._without_room(used)
        # What was passed over before is not enforced any more, and has no room all the same.
        refusing = [at for at in without if charges[at].is_enforced]
        soft = [at for at in refusing if meters[at].rule.mode == "soft_enforce"]
        if any(targets[at] != target or not target for at in refusing if at not in soft):
            return False
        if not _another_has_room(meters, without, beside):
            return False
        changed = list(charges)
        for at in soft:
            changed[at] = msgspec.structs.replace(changed[at], is_enforced=False)
        self.charges = changed
        self.relaxed += tuple(soft)
        return bool(soft)

    def refuse_by_the_last(self, decision: Decision, target: str, beside: _Budgets) -> Decision:
        """The *decision* with that in the way which has room last, since all of it must have room.

        Limits of *target* alone are not in the way of a call that another may answer, if others are. Neither
        is a budget for which another stands in, here or *beside*.
        """
        meters, charges, targets = self.held.meters, self.charges, self.held.targets

        def room_in_s(at: int) -> float:
            return _room_in_s(charges[at], decision.reset_s[at])

        refusing = [
            at
            for at, charge in enumerate(charges)
            if at == decision.refused or (charge.is_enforced and not charge.has_room(decision.used[at]))
        ]
        hard = [at for at in refusing if meters[at].rule.mode != "soft_enforce"]
        if hard and _another_has_room(meters, self._without_room(decision.used), beside):
            refusing = hard
        of_call = [at for at in refusing if targets[at] != target or not target]
        return msgspec.structs.replace(decision, refused=max(of_call or refusing, key=room_in_s))

    def _without_room(self, used: Sequence[int]) -> list[int]:
        """Which of those that may refuse have no room."""
        meters = self.held.meters
        return [
            at
            for at, charge in enumerate(self.charges)
            if meters[at].is_enforced and not charge.has_room(used[at])
        ]

    def with_room(self, places: Iterable[int]) -> Iterator[_Budget]:
        """Budgets at these *places* that have let the call in, since they had room."""
        passed_over = {_key_of(self.held.meters[at]) for at in self.relaxed}
        for at in places:
            meter = self.held.meters[at]
            if meter.rule.is_budget and meter.is_enforced and _key_of(meter) not in passed_over:
                yield _key_of(meter)

    def said(self) -> LimitsSaid:
        """What became of it."""
        held, charges, used = self.held, self.charges, self.decision.used
        refused = self.decision.refused
        without: tuple[int, ...] = ()
        if refused is not None:
            asked = enumerate(charges)
            without = tuple([at for at, charge in asked if not charge.has_room(used[at]) or at == refused])
        else:
            # Those that may refuse had room.
            for at in held.unenforced + self.relaxed:
                if used[at] > held.amounts[at]:
                    without += (at,)
        return LimitsSaid(held, charges, self.decision, without)

    def refusing(self, said: LimitsSaid) -> list[int]:
        """Which limits are in the way, of those without room."""
        return [at for at in said.without_room if self.charges[at].is_enforced]

    def corrections(self, spent: Sequence[Spent]) -> Sequence[Correction]:
        """What corrects it to what was *spent*, one by one."""
        held, charges, owners, counted = self.held, self.charges, self.owners, self.counted
        corrections = []
        for at, kind in held.corrected:
            owner, charge = owners[at], charges[at]
            taken = charge.amount + counted[at] if counted else charge.amount
            change = _spent(kind, owner, spent) - taken
            if change and owner != _NOBODY:
                corrections.append(Correction(charge, change, self.decision))
        return corrections

    def reached(self, spent: Sequence[Spent]) -> Iterator[Reached]:
        """What taking it reached, or what was *spent*, where that is more."""
        decision = self.decision
        for at, kind in self.held.watched:
            owner, charge = self.owners[at], self.charges[at]
            if owner != _NOBODY:
                after = decision.used[at]
                before = after - charge.amount
                after = max(after, before + _spent(kind, owner, spent))
                yield from _reached(self.held.meters[at], charge.key, before, after)

    def used_since(self, spent: Sequence[Spent]) -> Iterator[tuple[int, int]]:
        """Which charges are for what is *spent* while the call goes on, and what of it is not counted yet."""
        for at, kind in self.held.corrected:
            owner = self.owners[at]
            if kind != "parallel" and owner != _NOBODY:
                counted = self.counted[at] if self.counted else 0
                yield at, max(0, _spent(kind, owner, spent) - counted)

    def note_counted(self, at: int, amount: int) -> None:
        """Remember that so much of a charge has been counted."""
        counted = list(self.counted or (0,) * len(self.charges))
        counted[at] += amount
        self.counted = counted

    def give_back(self, target: str) -> Iterator[Correction]:
        """Give back what was taken for *target* alone."""
        before = self.owners
        if not any(owner is not None and target in owner for owner in before):
            return
        self.owners = [None if owner is None else owner - {target} for owner in before]
        for charge, had, has in zip(self.charges, before, self.owners, strict=True):
            if had and not has:
                yield Correction(charge, -charge.amount, self.decision)


def _room_in_s(charge: Charge, reset_s: float) -> float:
    """When there is room for it, if its limit resets in *reset_s* seconds.

    A limit that never has room for so much does not reset for this call, though it be unused.
    """
    return inf if charge.amount > charge.limit else reset_s


def _usual_corrections(
    till: Till, held: Held, charges: Sequence[Charge], decision: Decision, spent: Spent
) -> Sequence[Correction]:
    """What corrects *charges* that were taken at once for one target to what that *spent*."""
    assert isinstance(charges, Charges), "they were asked as such"  # noqa: S101 - says it to the type checker
    amounts, changes = charges.amounts, [-1]
    for kind, at in held.needs_at:
        used = spent.tokens
        if kind == "cost":
            used = till.micro_usd(spent.cost_usd) if spent.cost_usd else 0
        changes.append((used if used < _MOST else _MOST) - amounts[at])  # noqa: FURB136  each call settles
    return Corrections(charges, held.changes_of(changes), decision)


def _reached(meter: Meter, key: bytes, before: int, after: int) -> Iterator[Reached]:
    rule, limit = meter.rule, meter.limit
    for percent in meter.reached(key, before, after):
        yield Reached(rule.id, limit.name, percent)


def _another_has_room(
    meters: Sequence[Meter], without: Iterable[int], beside: _Budgets = frozenset()
) -> bool:
    """Whether a budget is left, here or *beside*, of which no limit is among those *without* room."""
    spent = {_key_of(meters[at]) for at in without}
    return not beside <= spent or any(
        meter.rule.is_budget and meter.is_enforced and _key_of(meter) not in spent for meter in meters
    )


def _key_of(meter: Meter) -> _Budget:
    return meter.rule.source, meter.rule.id


class CallPermit(msgspec.Struct, eq=False):
    """`gateway.model.Permit` of one call.

    Attributes:
        is_refused: No target may be asked.
        reached: Thresholds of budgets, once it is settled.
    """

    # Of a call that asked once and went through, as nearly all do, nothing but `said` is noted.

    _till: Till
    _policy: LimitPolicy
    _asking: Asking
    _only: Held | None = None
    _asked: tuple[_Turn, ...] = ()
    _admitted: tuple[str, ...] = ()
    _full: tuple[str, ...] = ()
    _beside: tuple[Correction, ...] = ()
    _is_charged: bool = False
    _reset_s: float = 0.0
    # Which of what was said has the refusal.
    _refusing: int = -1
    said: tuple[LimitsSaid, ...] = ()
    refusal: GatewayError | None = None
    is_refused: bool = False
    reached: Sequence[Reached] = ()

    # Without what is asked, and by whom.
    __repr__ = object.__repr__

    @property
    def is_near(self) -> bool:
        """As `Permit` has it; of calls that asked more than once always."""
        only = self._only
        return bool(self.said) and (only is None or any(map(gt, self.said[0].decision.used, only.far)))

    @property
    def notes(self) -> list[LimitNote]:
        """What the limits said, one by one."""
        return [note for said in self.said for note in said.notes()]

    def begin(self, plan: Plan) -> Awaitable[None] | None:
        """As `admit`; gives what is to be waited for, None where all is done, as it is of most calls."""
        if plan.route is not None and plan.classification is not None:
            return self._admit_unplanned()
        asking, name = self._asking, plan.targets[0].name
        held = self._policy.rules.held(asking, name, "direct" if plan.route is None else "call")
        if held.limits:
            need = asking.need
            if need.is_unread and held.needs:
                return self._admit_first(plan, held)
            charges = held.charges(need, self._till.now_s())
            decision = self._till.reserve(charges)
            if not isinstance(decision, Decision) or decision.refused is not None:
                return self._admit_first(plan, held, charges, decision)
            without: tuple[int, ...] = ()
            for at in held.unenforced:
                if decision.used[at] > held.amounts[at]:
                    without += (at,)
            self.said = (LimitsSaid(held, charges, decision, without),)
            self._only = held
        self._is_charged = plan.route is not None
        self._admitted = (name,)
        return None

    async def admit(self, plan: Plan) -> None:
        """Take what a call needs whoever answers, and in the same turn what the first target needs.

        Where only that has no room nothing is taken yet: the call is asked for again with the next target.
        """
        waiting = self.begin(plan)
        if waiting is not None:
            await waiting

    async def _admit_first(
        self,
        plan: Plan,
        held: Held,
        charges: Sequence[Charge] = (),
        answer: Decision | Awaitable[Decision] | None = None,
    ) -> None:
        """Go on where `begin` had to stop, with the *answer* if the counters have been asked."""
        name = plan.targets[0].name
        # Where nobody else can answer all is asked for the call.
        target = "" if plan.route is None else name
        if answer is None:
            is_taken = await self._take(held, target)
        else:
            is_taken = await self._decide(held, target, charges, answer)
        if is_taken:
            self._is_charged = plan.route is not None
            self._admitted = (name,)
        elif target:
            self._full = (name,)
        else:
            self.is_refused = True

    async def _admit_unplanned(self) -> None:
        """Take what a call needs of which it is not known yet who will be asked first."""
        held = self._policy.rules.held(self._asking, "", "call")
        if not held.limits or await self._take(held):
            self._is_charged = True

    def has_admitted(self, target: Target) -> bool:
        """Whether what an attempt at *target* needs has been taken."""
        return target.name in self._admitted

    async def admit_target(self, target: Target) -> bool:
        """Take what an attempt at *target* needs, unless that was done, with what the call needs before."""
        name = target.name
        if name in self._admitted:
            return True
        if name in self._full or self.is_refused:
            return False
        held = self._policy.rules.held(self._asking, name, "target" if self._is_charged else "call")
        shared = self._shared(held)
        lacking: dict[int, int] = {}
        beside: _Budgets = frozenset()
        if shared:
            lacking = self._lacking(held, shared, name)
            enough = {at for _, _, at in shared} - lacking.keys()
            beside = frozenset(
                [key for turn, at, of in shared if of in enough for key in turn.with_room([at])]
            )
            kept = tuple([at for at in range(len(held.meters)) if at not in enough])
            held, shared = part_of(held, kept), [one for one in shared if one[2] in enough]
            lacking = {kept.index(at): amount for at, amount in lacking.items()}
        if held.limits and not await self._take(held, name, lacking, beside):
            self._full += (name,)
            return False
        # What was taken in parts is for this one too, but what it uses counts once.
        for turn, at, _ in {one[2]: one for one in shared}.values():
            owner = turn.owners[at]
            if owner is not None:
                turn.owners = [*turn.owners[:at], owner | {name}, *turn.owners[at + 1 :]]
        self._is_charged = True
        self._admitted += (name,)
        return True

    async def admit_beside(self, target: Target) -> bool:
        """Take what an attempt at *target* needs that runs beside another: both may use what a call may use.

        Of what holds for both that is taken once more, and given back when the call is settled.
        """
        name = target.name
        of_target = self._policy.rules.held(self._asking, name, "target")
        both = {of_target.meters[at] for _, _, at in self._shared(of_target)}
        if not await self.admit_target(target):
            return False
        now_s, need = self._till.now_s(), self._asking.need
        # What let the call in beside another budget does so once more.
        relaxed = {_key_of(turn.held.meters[at]) for turn in self._turns for at in turn.relaxed}
        charges = [
            msgspec.structs.replace(
                meter.charge(need.amount(meter.limit.kind, name), now_s),
                is_enforced=meter.is_enforced and _key_of(meter) not in relaxed,
            )
            for meter in (*self._policy.rules.held(self._asking, "", "call").meters, *both)
            if meter.limit.kind not in BY_ONE
        ]
        if not charges:
            return True
        decision = await self._reserve(charges)
        if decision.refused is not None:
            return False
        self._beside += tuple([Correction(charge, -charge.amount, decision) for charge in charges])
        return True

    @property
    def _turns(self) -> tuple[_Turn, ...]:
        """What was taken."""
        held, self._only = self._only, None
        if held is not None:
            said = self.said[0]
            self._asked = (_Turn(held, said.charges, held.owners, said.decision),)
        return self._asked

    def _shared(self, held: Held) -> list[tuple[_Turn, int, int]]:
        """What is charged already for another target: where, and which meter of *held* it is."""
        if not self._turns:
            return []
        now_s = self._till.now_s()
        wanted = {meter.charge(0, now_s).key: at for at, meter in enumerate(held.meters)}
        return [
            (turn, at, wanted[charge.key])
            for turn in self._turns
            for at, charge in enumerate(turn.charges)
            if charge.key in wanted and turn.owners[at] != _NOBODY
        ]

    def _with_room(self) -> _Budgets:
        """Budgets that hold for the call whoever answers, and have let it in."""
        return frozenset(
            [
                key
                for turn in self._turns
                for key in turn.with_room([at for at, owner in enumerate(turn.owners) if owner is None])
            ]
        )

    def _lacking(self, held: Held, shared: Sequence[tuple[_Turn, int, int]], name: str) -> dict[int, int]:
        """Of which meters of *held* the target *name* may use more than is taken, and how much more."""
        taken: dict[int, int] = {}
        for turn, at, of_held in shared:
            taken[of_held] = taken.get(of_held, 0) + turn.charges[at].amount
        need = self._asking.need
        more = {
            at: need.amount(held.meters[at].limit.kind, name) - amount
            for at, amount in taken.items()
            if held.meters[at].limit.kind not in BY_ONE
        }
        return {at: amount for at, amount in more.items() if amount > 0}

    def forgo(self, target: Target) -> None:
        """Give back what was taken for *target* alone: it is not asked."""
        name = target.name
        if name not in self._admitted:
            return
        self._admitted = tuple([each for each in self._admitted if each != name])
        back = [correction for turn in self._turns for correction in turn.give_back(name)]
        if back:
            self.said = tuple([_part(said, lambda limit: limit.target != name) for said in self.said])
            self._till.settle(back)

    async def use(self, spent: Sequence[Spent]) -> GatewayError | None:
        """Count what was *spent* so far by a call that goes on; why it may not, where nothing is left.

        What was taken when it came stays taken, for what comes next.
        """
        further = [(turn, at, amount) for turn in self._turns for at, amount in turn.used_since(spent)]
        if not further:
            return None
        now_s = self._till.now_s()
        meters = [turn.held.meters[at] for turn, at, _ in further]
        # It has been used, so it is counted in any case, and in the window of now.
        charges = [
            msgspec.structs.replace(meter.charge(amount, now_s), is_enforced=False)
            for meter, (_, _, amount) in zip(meters, further, strict=True)
        ]
        decision = await self._reserve(charges)
        for used, charge, (turn, at, amount) in zip(decision.used, charges, further, strict=True):
            turn.note_counted(at, amount)
            meter = turn.held.meters[at]
            if meter.rule.thresholds:
                self.reached = [*self.reached, *_reached(meter, charge.key, used - amount, used)]
        without = [
            at
            for at, meter in enumerate(meters)
            if meter.is_enforced and decision.used[at] > charges[at].limit
        ]
        hard = [at for at in without if meters[at].rule.mode != "soft_enforce"]
        if not without or (not hard and _another_has_room(meters, without)):
            return None
        reset_s = {at: charges[at].reset_s(decision.at_s) for at in hard or without}
        last = max(reset_s, key=reset_s.__getitem__)
        status = self._policy.budget_status
        return refusal_of(meters[last], 0, decision.used[last], reset_s[last], budget_status=status)

    def may_read(self, target: Target) -> int | None:
        """Tokens of input that an attempt at *target* may have, None where nobody has looked."""
        return self._asking.need.input_tokens(target)

    def may_use(self, target: Target) -> tuple[int, float]:
        """Tokens and USD that an attempt at *target* may use; none of a long call that no limit had read."""
        need = self._asking.need
        if need.is_unread:
            return 0, 0.0
        return need.amount("tokens", target.name), need.amount("cost", target.name) / MICRO_USD

    def settle(self, spent: Sequence[Spent]) -> None:
        """Correct what was taken to what was *spent*."""
        only = self._only
        if only is None or len(spent) != 1 or (one := spent[0]).target != self._admitted[0]:
            if corrections := self._corrections(spent):
                self._till.settle(corrections)
        else:
            if only.watched:
                self.reached = [each for turn in self._turns for each in turn.reached(spent)]
            self._only, self._asked = None, ()
            if one.output_tokens is not None:
                self._till.replied(one.target, one.output_tokens)
            if only.corrected:
                # Whatever was asked for a target was asked for this one.
                said = self.said[0]
                self._till.settle(_usual_corrections(self._till, only, said.charges, said.decision, one))

    def _corrections(self, spent: Sequence[Spent]) -> Sequence[Correction]:
        """What corrects what any call has taken."""
        turns, self._asked = self._turns, ()
        spent = [self._counted(each) for each in spent]
        corrections = [each for turn in turns for each in turn.corrections(spent)]
        for turn in turns:
            if turn.held.watched:
                self.reached = [*self.reached, *turn.reached(spent)]
        is_beyond = False
        for each in spent:
            if each.target not in self._admitted:
                is_beyond = True
            if each.output_tokens is not None:
                self._till.replied(each.target, each.output_tokens)
        if is_beyond:
            corrections += self._unadmitted(spent, turns)
        corrections += self._beside
        self._beside = ()
        return corrections

    def _counted(self, spent: Spent) -> Spent:
        """The same with the cost that counts."""
        if not spent.cost_usd:
            return spent
        return msgspec.structs.replace(spent, cost_usd=self._till.micro_usd(spent.cost_usd) / MICRO_USD)

    def _unadmitted(self, spent: Sequence[Spent], turns: Sequence[_Turn]) -> Iterator[Correction]:
        """What is counted for models that were asked without leave, such as one that judges the call."""
        now_s = self._till.now_s()
        decision = turns[0].decision if turns else Decision(None, (), (), now_s)
        for name in {each.target: None for each in spent if each.target not in self._admitted}:
            held = self._policy.rules.held(self._asking, name, "target")
            for at, kind in held.corrected:
                used = _spent(kind, frozenset({name}), spent)
                if used:
                    yield Correction(held.meters[at].charge(0, now_s), used, decision)
            # A second settlement counts nothing.
            self._admitted += (name,)

    def headers(self) -> HeaderPairs:
        """What the caller is told of its limits."""
        said = self.said
        if len(said) == 1 and isinstance(held := said[0].held, Held) and said[0].decision.refused is None:
            return headers_of(held, said[0])
        return limit_headers(self._told_notes())

    def _told_notes(self) -> list[LimitNote]:
        """What the limits said, but for those of a target in whose place another was asked.

        Where none was, those are told that refuse the call: their reset is what the refusal says.
        """
        refusing = -1 if self._admitted else self._refusing
        return [
            note
            for at, said in enumerate(self.said)
            if said.decision.refused is None or at == refusing
            for note in said.notes()
        ]

    async def _reserve(self, charges: Sequence[Charge]) -> Decision:
        answer = self._till.reserve(charges)
        return answer if isinstance(answer, Decision) else await answer

    async def _take(
        self,
        held: Held,
        target: str = "",
        lacking: Mapping[int, int] = _NOTHING,
        beside: _Budgets = frozenset(),
    ) -> bool:
        """Take what *held* asks for, or nothing of it; of some meters only what is *lacking*.

        Where not only what is asked for *target* has no room, the call is refused. Budgets *beside* these
        hold for it too, and have had room.
        """
        need = self._asking.need
        if need.is_unread and held.needs:
            await need.read()
        now_s = self._till.now_s()
        charges: Sequence[Charge] = held.charges(need, now_s)
        if lacking:
            charges = [
                held.meters[at].charge(lacking.get(at, charge.amount), now_s)
                for at, charge in enumerate(charges)
            ]
        return await self._decide(held, target, charges, self._till.reserve(charges), beside)

    async def _decide(
        self,
        held: Held,
        target: str,
        charges: Sequence[Charge],
        answer: Decision | Awaitable[Decision],
        beside: _Budgets = frozenset(),
    ) -> bool:
        """The same with the first *answer* of the counters."""
        decision = answer if isinstance(answer, Decision) else await answer
        turn = _Turn(held, charges, held.owners)
        turns = 1
        while decision.refused is not None and turns < _TURNS and not decision.is_unknown:
            if not turn.pass_over(decision.used, target, beside | self._with_room()):
                break
            decision = await self._reserve(turn.charges)
            turns += 1
        if decision.refused is not None and not decision.is_unknown:
            decision = turn.refuse_by_the_last(decision, target, beside | self._with_room())
        turn.decision = decision
        said = turn.said()
        if decision.refused is None:
            self._asked = (*self._turns, turn)
        else:
            self._refuse(turn, decision, decision.refused)
            if all(held.targets[at] == target != "" for at in turn.refusing(said)):
                said = _part(said, lambda limit: limit.target == target)
            else:
                self.is_refused = True
        self.said += (said,)
        return decision.refused is None

    def _refuse(self, turn: _Turn, decision: Decision, at: int) -> None:
        """Keep the refusal, if none is there that resets earlier."""
        charge, meter = turn.charges[at], turn.held.meters[at]
        reset_s = decision.reset_s[at] if decision.is_unknown else _room_in_s(charge, decision.reset_s[at])
        if self.refusal is not None and reset_s >= self._reset_s:
            return
        self._reset_s, self._refusing = reset_s, len(self.said)
        if decision.is_unknown:
            self.refusal = unknown_refusal(meter, reset_s)
            return
        self.refusal = refusal_of(
            meter,
            charge.amount,
            decision.used[at],
            reset_s,
            budget_status=self._policy.budget_status,
        )


def _part(said: LimitsSaid, is_kept: Callable[[HeldLimit], bool]) -> LimitsSaid:
    """What some of the limits said."""
    kept = tuple([at for at, limit in enumerate(said.held.limits) if is_kept(limit)])
    if len(kept) == len(said.held.limits):
        return said
    decision = said.decision
    return LimitsSaid(
        limits_of(said.held, kept),
        [said.charges[at] for at in kept],
        msgspec.structs.replace(
            decision,
            refused=None if decision.refused is None else kept.index(decision.refused),
            used=tuple([decision.used[at] for at in kept]),
            reset_s=tuple([decision.reset_s[at] for at in kept]) if decision.reset_s else (),
        ),
        tuple([kept.index(at) for at in said.without_room if at in kept]),
    )


def _spent(kind: LimitKind, targets: frozenset[str] | None, spent: Sequence[Spent]) -> int:
    """What of *spent*, by *targets* or by all, counts for a charge."""
    if kind == "parallel":
        return 0
    asked = [each for each in spent if targets is None or each.target in targets]
    return min(_MOST, sum([each.tokens if kind == "tokens" else _micro_usd(each) for each in asked]))


def _micro_usd(spent: Spent) -> int:
    return min(_MOST, round(spent.cost_usd * MICRO_USD)) if spent.cost_usd else 0
