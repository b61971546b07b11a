"""Which calls go first when not all can be taken on: of the rules the first that a call matches decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.config.manifests.global_settings import OverloadSettings
from gateway.config.manifests.load_balancing import model_name
from gateway.limits.rules import Names, Values, When
from gateway.model import Caller

Priority = Literal["high", "normal", "low"]

ORDER: Final[tuple[Priority, ...]] = ("high", "normal", "low")
USUAL: Final[Priority] = "normal"
SHARES_WITHOUT_RULES: Final[Mapping[Priority, float]] = dict.fromkeys(ORDER, 1.0)

_MOST_KEPT: Final = 4_096
"""Callers whose rules are kept; beyond them all are thrown away, as there may be very many."""


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """One rule."""

    when: When
    priority: Priority

    @property
    def depends_on_model(self) -> bool:
        """Whether it is about some models only."""
        return self.when.models.only is not None


@dataclass(slots=True)
class Priorities:
    """The rules of a configuration.

    Attributes:
        names: Of what has several names: all of them, by each.
        shares: Of what a worker takes on, how much calls of a priority may use.
    """

    rules: Sequence[PriorityRule]
    names: Mapping[str, tuple[str, ...]]
    shares: Mapping[Priority, float]
    _of_caller: dict[frozenset[str], tuple[PriorityRule, ...]] = field(default_factory=dict)

    @property
    def depend_on_model(self) -> bool:
        """Whether a call's body can say more than its head."""
        return any(rule.depends_on_model for rule in self.rules)

    def at_best(self, caller: Caller, metadata: Mapping[str, str]) -> Priority:
        """The highest that a call may have whose model is not known yet."""
        found: list[Priority] = []
        for rule in self._about(caller):
            if rule.when.matches_metadata(metadata):
                found.append(rule.priority)
                if not rule.depends_on_model:
                    break
        else:
            found.append(USUAL)
        return min(found, key=ORDER.index)

    def of(self, caller: Caller, model: str, metadata: Mapping[str, str]) -> Priority:
        """That of a call of *model*, by any of its names."""
        names = self.names.get(model, (model,))
        for rule in self._about(caller):
            if rule.when.matches_metadata(metadata) and rule.when.matches_models(names):
                return rule.priority
        return USUAL

    def _about(self, caller: Caller) -> tuple[PriorityRule, ...]:
        found = self._of_caller.get(caller.subjects)
        if found is None:
            if len(self._of_caller) >= _MOST_KEPT:
                self._of_caller.clear()
            found = tuple(rule for rule in self.rules if rule.when.matches_caller(caller.subjects))
            self._of_caller[caller.subjects] = found
        return found


def compile_priorities(settings: OverloadSettings, names: Mapping[str, tuple[str, ...]]) -> Priorities | None:
    """The rules that *settings* have, None for none.

    Args:
        settings: As written.
        names: As in `Priorities`.
    """
    if not settings.priority_rules:
        return None
    rules = [
        PriorityRule(
            When(
                subjects=Names(rule.when.subjects),
                models=Names(
                    None if rule.when.models is None else tuple(model_name(name) for name in rule.when.models)
                ),
                metadata={key: Values(frozenset({value})) for key, value in rule.when.metadata.items()},
            ),
            rule.priority,
        )
        for rule in settings.priority_rules
    ]
    # Nothing is kept free for calls that do not exist.
    has_high = any(rule.priority == "high" for rule in rules)
    shares: dict[Priority, float] = {
        "high": 1.0,
        "normal": settings.normal_share if has_high else 1.0,
        "low": settings.low_share,
    }
    return Priorities(rules, names, shares)
