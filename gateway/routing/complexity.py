"""Simple calls go to one target, hard ones to another: `complexity-based-routing`.

How hard a call is is guessed (`complexity_score`), or a model is asked. Asking is a call, which planning does
not make: the plan says who is to be asked, and what follows from each answer; `gateway.classifier` asks. When
that model cannot be asked, or does not answer in time, its fallback decides: a tier or the guess.

Targets of the call's own tier are tried in the order of the configuration. After them come those of the
others that may stand in, of the tier above first: too good an answer is better than one that is not good
enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from gateway.model import CallFacts, Skipped, Target, Tier, TierCause
from gateway.routing.complexity_score import tier_of
from gateway.routing.prompt_reading import Prompt, read_prompt
from gateway.routing.route import Asking, Candidate, HealthView, Order

_TIERS: Final[dict[Tier, tuple[Tier, ...]]] = {
    "simple": ("simple", "medium", "complex"),
    "medium": ("medium", "complex", "simple"),
    "complex": ("complex", "medium", "simple"),
}
"""In which order those of each tier are served."""

_ANSWERS: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations worth asking a model about; tokens, for one, are counted for less than that costs."""

_NOTHING: Final = Prompt()


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that says how hard calls are.

    Attributes:
        target: Answers calls of chat; None while its account is not in force.
        timeout_s: How long it may take.
        default: What a call is taken for when it does not say; None: for what is guessed.
    """

    target: Target | None
    timeout_s: float = 2.0
    default: Tier | None = None


class Complexity:
    """Orders by how hard a call is."""

    type: Final = "complexity-based-routing"

    def __init__(self, judge: Judge | None = None) -> None:
        """Prepare.

        Args:
            judge: Who says how hard a call is; None: it is guessed.
        """
        self._judge = judge

    def order(self, candidates: Sequence[Candidate], facts: CallFacts, health: HealthView, /) -> Order:
        """Order *candidates*, those of the call's tier first."""
        prompt = _NOTHING if facts.call is None else read_prompt(facts.call)
        judge = self._judge
        if judge is None:
            return _order(candidates, tier_of(prompt), "heuristic")
        if judge.default is None:
            order = _order(candidates, tier_of(prompt), "heuristic")
        else:
            order = _order(candidates, judge.default, "default")
        asked = judge.target
        has_choice = len({candidate.tier for candidate in candidates}) > 1
        is_worth_it = prompt.question and has_choice and facts.endpoint.operation in _ANSWERS
        if not is_worth_it or asked is None or asked.missing_secret:
            return order
        if health.skip_reason(asked.name) is not None:
            return order
        orders = {tier: _order(candidates, tier, "classifier") for tier in _TIERS}
        asking = Asking(asked, judge.timeout_s, prompt.question, orders)
        return msgspec.structs.replace(order, asking=asking)


def _order(candidates: Sequence[Candidate], tier: Tier, cause: TierCause) -> Order:
    ordered: list[Candidate] = []
    skipped: list[Skipped] = []
    for served in _TIERS[tier]:
        for candidate in candidates:
            if candidate.tier != served:
                continue
            if served == tier or candidate.target.fallback.is_candidate:
                ordered.append(candidate)
            else:
                skipped.append(Skipped(candidate.target.name, "tier"))
    return Order(ordered, tuple(skipped), tier=tier, cause=cause)
