"""Rules that give calls of a model other targets: `gateway-load-balancing-config`.

The first that a call matches counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from gateway.model import CallFacts
from gateway.routing.route import Route

MOST_CALLERS: Final = 4096
"""Pairs of a model and a caller whose rules are remembered."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        route: Where its calls go.
        subjects: Patterns of who calls, None for everybody; `models` likewise of what is asked for.
        metadata: What a call's metadata must have.
    """

    route: Route
    subjects: tuple[str, ...] | None
    models: tuple[str, ...] | None
    metadata: Mapping[str, str]


class LoadBalancing:
    """All rules, in their order."""

    def __init__(self, rules: Iterable[Rule], other_names: Mapping[str, tuple[str, ...]]) -> None:
        """Prepare.

        Args:
            rules: In order.
            other_names: Slugs and aliases of virtual models, by full name; a rule may mean any of them.
        """
        self._rules = tuple(rules)
        self._other_names = other_names
        # Names of models are those of the configuration; of users an identity provider tells ever more.
        self._of_model: dict[str, tuple[Rule, ...]] = {}
        self._of_caller: dict[tuple[str, frozenset[str]], tuple[Rule, ...]] = {}

    def routes(self) -> list[Route]:
        """Of every rule."""
        return [rule.route for rule in self._rules]

    def find(self, model: str, facts: CallFacts) -> Route | None:
        """The route of the first rule that a call of *model*, by its full name, matches."""
        for rule in self._about(model, facts.caller.subjects):
            if rule.metadata.items() <= facts.metadata.items():
                return rule.route
        return None

    def _about(self, model: str, subjects: frozenset[str]) -> tuple[Rule, ...]:
        """The rules that only metadata decide on."""
        found = self._of_caller.get((model, subjects))
        if found is None:
            of_model = self._of_model.get(model)
            if of_model is None:
                names = (model, *self._other_names.get(model, ()))
                of_model = tuple(rule for rule in self._rules if _is_any(names, rule.models))
                self._of_model[model] = of_model
            if not of_model:
                return of_model
            found = tuple(rule for rule in of_model if _is_any(subjects, rule.subjects))
            if len(self._of_caller) >= MOST_CALLERS:
                self._of_caller.clear()
            self._of_caller[model, subjects] = found
        return found


def _is_any(names: Iterable[str], patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
