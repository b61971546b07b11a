"""One name and the targets behind it: which of them a call may be given, and in which order.

Planning makes no call and waits for nothing. What does not depend on the call is worked out when the
configuration is compiled; a plan of five targets takes a few microseconds (`perf/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import msgspec

from gateway.errors import GatewayError, NoTargetAvailable, SecretMissingError, UnsupportedParameter
from gateway.model import (
    CallFacts,
    Classification,
    Endpoint,
    Plan,
    RouteFacts,
    SessionPlace,
    Skipped,
    SkipReason,
    Target,
    Tier,
    TierCause,
)
from gateway.translate.registry import can_answer

_MOST_WAIT_S: Final = 3600
_MOST_PLANS: Final = 4096
_PASSING: Final = frozenset({"circuit", "cool_down", "drained"})
"""Reasons that pass by themselves, or by an operator."""


@dataclass(frozen=True, slots=True)
class SlaCutoff:
    """Above which times a target counts as too slow to be preferred, in milliseconds; None: no such limit."""

    first_token_ms: float | None = None
    per_output_token_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One target of a route.

    Attributes:
        target: Ready to be called: with what this route overrides, its own retries and fallbacks.
        metadata: What a call's metadata must have for it to be given this target.
        weight: Of a weighted route; `priority` of one by priority, 0 first.
        sla: Of one by priority.
        tier: Of one by complexity.
    """

    target: Target
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    weight: int = 0
    priority: int = 0
    sla: SlaCutoff | None = None
    tier: Tier = "medium"


@dataclass(frozen=True, slots=True)
class TargetTimes:
    """How quick a target has been lately: medians, None where no sample says it.

    Attributes:
        samples: How many say anything: a whole reply has no first token, a stream may be without usage.
        first_tokens: How many say the time to the first token.
        output_tokens: How many say the time for each token of output.
    """

    samples: int = 0
    first_token_ms: float | None = None
    per_output_token_ms: float | None = None
    first_tokens: int = 0
    output_tokens: int = 0


class HealthView(Protocol):
    """What planning knows of the health of targets, by their names; see `gateway.routing.health`."""

    def are_well(self, names: tuple[str, ...]) -> bool:
        """Whether all of them may be asked now; False also where that has to be asked of each."""

    def skip_reason(self, name: str) -> SkipReason | None:
        """Why the target is not to be asked now, None when it may be; one to be probed may be."""

    def wait_s(self, name: str) -> float:
        """How long until it may be asked again, 0.0 when it may be or nobody knows."""

    def times(self, name: str, *, window_s: float) -> TargetTimes:
        """How quick it was within *window_s*."""

    def first_tokens_ms(self, name: str, *, window_s: float) -> Sequence[float]:
        """How long it took to the first token of each stream within *window_s*, the shortest first."""


class Order(msgspec.Struct, frozen=True):
    """What a strategy made of the candidates of one call.

    Attributes:
        candidates: In the order in which they are to be tried.
        skipped: Those that are not, and why.
        session: Where it is kept which target the call's session stays with.
        tier: What the call was found to be, and `cause` how.
        asking: Who is to be asked for another order.
        is_kept: The strategy gives this very object again for other calls.
    """

    candidates: Sequence[Candidate]
    skipped: tuple[Skipped, ...] = ()
    session: SessionPlace | None = None
    tier: Tier | Literal[""] = ""
    cause: TierCause = ""
    asking: Asking | None = None
    is_kept: bool = False


class Asking(msgspec.Struct, frozen=True):
    """A model that is to be asked how hard a call is.

    Attributes:
        target: Who is asked.
        timeout_s: For how long at most.
        question: What a user said last.
        orders: For each tier; one may have no candidates.
    """

    target: Target
    timeout_s: float
    question: str
    orders: Mapping[Tier, Order]

    def __repr__(self) -> str:
        """Without the question: it is what somebody said."""
        return f"Asking({self.target.name!r}, {self.timeout_s} s)"


class _Able(msgspec.Struct, frozen=True):
    """What candidates can do what an endpoint asks, by configuration alone.

    Attributes:
        names: Of their targets.
        skipped: The others.
        has_filters: Which of them a call is given depends on its metadata.
    """

    candidates: tuple[Candidate, ...]
    names: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    has_filters: bool


class Strategy(Protocol):
    """In which order targets are tried. Pure but for its source of randomness."""

    @property
    def type(self) -> str:
        """As in `routing_config.type`."""

    def order(self, candidates: Sequence[Candidate], facts: CallFacts, health: HealthView, /) -> Order:
        """Order *candidates*, of which each could be asked; none may be left.

        Args:
            candidates: At least one, in the order of the configuration; the same tuple again and again while
                all are well.
            facts: What is asked, by whom.
            health: How quick targets are.
        """


class Hedge(Protocol):
    """When a second target is asked beside the first; see `gateway.routing.hedging`."""

    def after_s(self, health: HealthView, name: str) -> float | None:
        """Seconds without a token after which it is, None when too little is known of target *name*."""


class Route:
    """A name with several targets."""

    def __init__(
        self,
        name: str,
        candidates: Sequence[Candidate],
        strategy: Strategy,
        health: HealthView,
        *,
        hedge_after: Hedge | None = None,
        is_rule: bool = False,
    ) -> None:
        """Prepare.

        Args:
            name: Of the virtual model, or the rule's id.
            candidates: At least one.
            strategy: Orders them.
            health: Of all targets.
            hedge_after: When a second target is asked beside the first; None: never.
            is_rule: It is a rule for calls of models, not a virtual model.
        """
        self.name = name
        self.candidates = tuple(candidates)
        self._strategy = strategy
        self._health = health
        self._hedge = hedge_after
        self._names = tuple(candidate.target.name for candidate in candidates)
        self._facts = RouteFacts(name, strategy.type, is_rule=is_rule)
        self._able: dict[str, _Able] = {}
        # With each order, which so is no other with the same identity later.
        self._plans: dict[int, tuple[Order, Plan]] = {}

    @property
    def is_available(self) -> bool:
        """One of its targets at least has its credential."""
        return any(not candidate.target.missing_secret for candidate in self.candidates)

    def plan(self, facts: CallFacts) -> Plan:
        """Which targets a call is given.

        Raises:
            NoTargetAvailable: None can be asked now.
            SecretMissingError: None of them has its credential.
            UnsupportedParameter: None of them can do what is asked.
        """
        able = self._able_to(facts.endpoint)
        account = facts.account
        left: Sequence[Candidate] = able.candidates
        skipped: Sequence[Skipped] = able.skipped
        # Of most calls every target could be asked; then nothing is looked at one by one.
        if account or able.has_filters or not self._health.are_well(able.names):
            left, skipped = self._left_of(able, facts)
        if not left:
            raise self._none_left(skipped, account)
        order = self._strategy.order(left, facts, self._health)
        if order.is_kept and left is able.candidates and self._hedge is None:
            return self._kept_plan(order, skipped)
        if account:
            order = _with_somebody(order, left)
        if not order.candidates:
            raise self._none_left((*skipped, *order.skipped), account)
        plan = self._planned(order, skipped)
        asking = order.asking
        if asking is None:
            return plan
        orders = asking.orders.items()
        if account:
            orders = {tier: _with_somebody(asked, left) for tier, asked in orders}.items()
        plans = {tier: self._planned(asked, skipped) for tier, asked in orders if asked.candidates}
        asked = Classification(asking.target, asking.timeout_s, asking.question, plans)
        return msgspec.structs.replace(plan, classification=asked)

    def _left_of(self, able: _Able, facts: CallFacts) -> tuple[list[Candidate], list[Skipped]]:
        """Which of those that are *able* a call is given now, and why it is not given the others."""
        account = facts.account
        left: list[Candidate] = []
        skipped = list(able.skipped)
        for candidate in able.candidates:
            reason: SkipReason | None = "metadata"
            if account and candidate.target.account != account:
                reason = "stored_elsewhere"
            elif not candidate.metadata or candidate.metadata.items() <= facts.metadata.items():
                reason = self._health.skip_reason(candidate.target.name)
            if reason is None:
                left.append(candidate)
            else:
                skipped.append(Skipped(candidate.target.name, reason))
        return left, skipped

    def _kept_plan(self, order: Order, skipped: Sequence[Skipped]) -> Plan:
        """The plan of an *order* that is given again and again, made once.

        With `Weighted` a plan of three targets takes 2 us in place of 7 (`perf.quick`, virtual model).
        """
        kept = self._plans.get(id(order))
        if kept is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            kept = self._plans[id(order)] = order, self._planned(order, skipped)
        return kept[1]

    def _planned(self, order: Order, skipped: Sequence[Skipped]) -> Plan:
        first, *others = order.candidates
        targets = (
            first.target,
            # A list: a generator of so few takes longer to begin than to run.
            *[other.target for other in others if other.target.fallback.is_candidate],
        )
        return Plan(
            targets,
            self._names,
            (*skipped, *order.skipped),
            self._facts
            if not order.tier
            else msgspec.structs.replace(self._facts, tier=order.tier, cause=order.cause),
            order.session,
            self._hedge.after_s(self._health, targets[0].name) if self._hedge and len(targets) > 1 else None,
        )

    def _able_to(self, endpoint: Endpoint) -> _Able:
        """Which candidates can do what an endpoint asks; of configuration alone, so it is kept."""
        # Not by its name: what is asked below `/responses` has one, and not every target that answers it all.
        found = self._able.get(endpoint.route)
        if found is None:
            able: list[Candidate] = []
            skipped: list[Skipped] = []
            for candidate in self.candidates:
                reason = _inability(candidate.target, endpoint)
                if reason is None:
                    able.append(candidate)
                else:
                    skipped.append(Skipped(candidate.target.name, reason))
            found = self._able[endpoint.route] = _Able(
                tuple(able),
                tuple([candidate.target.name for candidate in able]),
                tuple(skipped),
                any(candidate.metadata for candidate in able),
            )
        return found

    def _none_left(self, skipped: Sequence[Skipped], account: str) -> GatewayError:
        error = self._refusal(skipped, account)
        error.plan = Plan((), self._names, tuple(skipped), self._facts)
        return error

    def _refusal(self, skipped: Sequence[Skipped], account: str) -> GatewayError:
        """Why nothing can be asked; of a call that only *account* can answer, why that cannot be asked."""
        deciding = [one for one in skipped if not account or one.target.startswith(account + "/")]
        reasons = {one.reason for one in deciding}
        if reasons == {"secret_missing"}:
            message = (
                f"{self.name} is not available: no account of it has a credential. The operator must act."
            )
            names = {one.target for one in deciding}
            missing = "; ".join(
                candidate.target.missing_secret
                for candidate in self.candidates
                if candidate.target.name in names
            )
            return SecretMissingError(message, param="model", detail=missing)
        if reasons <= {"filter", "secret_missing"}:
            message = f"No target of {self.name} can do this. Ask another model for it."
            return UnsupportedParameter(message, param="model")
        told = ", ".join(f"{one.target} ({one.reason})" for one in skipped)
        message = f"No target of {self.name} can be asked now: {told}."
        waits = [
            self._health.wait_s(one.target) for one in deciding if one.reason in ("circuit", "cool_down")
        ]
        soonest_s = min((wait_s for wait_s in waits if wait_s > 0), default=0.0)
        retry_after = (("retry-after", str(min(_MOST_WAIT_S, -int(-soonest_s // 1)))),) if soonest_s else ()
        if not reasons & _PASSING:
            # The same call would find the same: SDKs are not to send it again by themselves.
            return NoTargetAvailable(message, param="model", headers=(("x-should-retry", "false"),))
        return NoTargetAvailable(message, param="model", headers=retry_after)


def _with_somebody(order: Order, left: Sequence[Candidate]) -> Order:
    """*order*, or *left* as they stand there: where a call can go on matters more than how hard it is."""
    return order if order.candidates else msgspec.structs.replace(order, candidates=left, skipped=())


def with_every_plan(plan: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """*plan* as *change* makes it, and with it those that follow when a model has been asked."""
    changed = change(plan)
    asked = plan.classification
    if asked is None:
        return changed
    plans = {tier: change(one) for tier, one in asked.plans.items()}
    return msgspec.structs.replace(changed, classification=msgspec.structs.replace(asked, plans=plans))


def _inability(target: Target, endpoint: Endpoint) -> SkipReason | None:
    if target.missing_secret:
        return "secret_missing"
    return None if can_answer(endpoint, target) else "filter"
