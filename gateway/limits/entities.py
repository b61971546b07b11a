"""Whom rules count for, as far as they are known: counters are found by a hash, so names have to be given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from gateway.limits.rules import Meter, Rule, meters
from gateway.model import Caller

_CALLERS: Final = frozenset({"user", "virtualaccount"})
METADATA: Final = "metadata."
"""How what is counted apart by a key of the metadata begins."""

NOBODY: Final = ""
"""What stands for calls without the key of the metadata that is counted apart."""


@dataclass(frozen=True, slots=True)
class Known:
    """Who and what there is.

    Attributes:
        callers: With their teams.
        models: Of each what rules may call it, the name that counts first.
        metadata: Values by key.
    """

    callers: Sequence[Caller] = ()
    models: Sequence[tuple[str, ...]] = ()
    metadata: Mapping[str, Iterable[str]] = field(default_factory=dict)


def meters_of(rules: Iterable[Rule], known: Known) -> Iterator[Meter]:
    """Where *rules* count what is *known*, each limit of a rule for each of those that it counts for."""
    for rule in rules:
        for entity in entities_of(rule, known):
            yield from meters(rule, entity, is_enforced=True)


def entities_of(rule: Rule, known: Known) -> Iterator[tuple[str, ...]]:
    """Those that *rule* counts apart and is about, `()` where it counts all together."""
    kinds = _CALLERS.intersection(rule.per)
    callers: Iterable[Caller | None] = (
        [one for one in known.callers if one.kind in kinds and rule.when.matches_caller(one.subjects)]
        if kinds
        else [None]
    )
    others = [_values(rule, one, known) for one in rule.per if one not in _CALLERS]
    for caller in callers:
        for values in product(*others):
            left = iter(values)
            yield tuple([_of_caller(one, caller) if one in _CALLERS else next(left) for one in rule.per])


def _of_caller(kind: str, caller: Caller | None) -> str:
    return caller.name if caller is not None and caller.kind == kind else NOBODY


def _values(rule: Rule, one: str, known: Known) -> list[str]:
    """What *rule* counts apart, of models or of a key of the metadata."""
    when = rule.when
    if one == "model":
        return [names[0] for names in known.models if when.matches_models(names)]
    key = one.removeprefix(METADATA)
    values = {NOBODY, *known.metadata.get(key, ())}
    values.update(name for override in rule.overrides for name in override.names)
    wanted = when.metadata.get(key)
    if wanted is not None:
        values.update(wanted.only or ())
        # Without the key a call does not match what has to have it.
        return sorted(value for value in values if wanted.passes(value or None))
    return sorted(values)
