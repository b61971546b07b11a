"""Rules on how much callers may have, as a call meets them: what manifests say, compiled.

A rule is about calls (`When`), counts them together or for each of something (`per`), and has one limit or
several, each over its own window. A `Meter` is one limit of a rule for one of those it counts for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from math import ceil
from typing import Final, Literal

from gateway.limits.windows import Window
from gateway.model import TABLE_KEY_BYTES, Charge, LimitKind

Mode = Literal["enforce", "audit", "soft_enforce"]
"""Whether a rule refuses: always, never, or only if no other budget of the call has room."""

Order = Literal["first", "first_blocks", "all"]
"""Which of the rules that a call matches hold: the first; the first, while the others count; all."""

MICRO_USD: Final = 1_000_000
"""Money is counted in millionths of a USD."""


@dataclass(frozen=True, slots=True)
class Names:
    """Which names match.

    Attributes:
        only: Patterns of those that do, None for all.
        never: Patterns of those that do not, whatever `only` says.
    """

    only: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()

    def passes(self, names: Collection[str]) -> bool:
        """Whether something of several *names* matches: one of them is wanted and none is not."""
        return not _is_any(names, self.never) and (self.only is None or _is_any(names, self.only))


def _is_any(names: Iterable[str], patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Values:
    """Which values of one key of the metadata match, compared as they are.

    Attributes:
        only: Those that do, None for all, and for calls without the key.
        never: Those that do not.
    """

    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()

    def passes(self, value: str | None) -> bool:
        """Whether a call with *value*, None for none, matches."""
        return value not in self.never and (self.only is None or value in self.only)


@dataclass(frozen=True, slots=True)
class When:
    """Which calls a rule is about; every part must match.

    Attributes:
        subjects: Of who calls.
        team: The team whose members it is about, "" for no such condition.
        models: Of what is asked for, or of what answers.
        accounts: Of the accounts of these.
        metadata: By key.
    """

    subjects: Names = Names()
    team: str = ""
    models: Names = Names()
    accounts: Names = Names()
    metadata: Mapping[str, Values] = field(default_factory=dict)

    @property
    def excludes_models(self) -> bool:
        """It says what the model must not be, so nothing is known before it is known who answers."""
        return bool(self.models.never or self.accounts.never)

    def matches_caller(self, subjects: frozenset[str]) -> bool:
        """Whether it is about who has these *subjects*."""
        return (not self.team or f"team:{self.team}" in subjects) and self.subjects.passes(subjects)

    def matches_models(self, names: Collection[str]) -> bool:
        """Whether it is about a call that *names* stand for."""
        accounts = {name.partition("/")[0] for name in names}
        return self.models.passes(names) and self.accounts.passes(accounts)

    def matches_metadata(self, metadata: Mapping[str, str]) -> bool:
        """Whether it is about a call with this *metadata*."""
        return all(values.passes(metadata.get(key)) for key, values in self.metadata.items())


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something in a window.

    Attributes:
        amount: Requests, tokens, or millionths of a USD.
    """

    kind: LimitKind
    window: Window
    amount: int

    @property
    def name(self) -> str:
        """As manifests have it, such as `tokens_per_minute`."""
        return f"{self.kind}_per_{self.window.name}" if self.window.name else f"{self.kind}_requests"


@dataclass(frozen=True, slots=True)
class Override:
    """Other limits for some of those that a rule counts for.

    Attributes:
        names: Of them.
        limits: In place of all those of the rule.
    """

    names: frozenset[str]
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: What operators know it by.
        source: Type of its manifest; rules of two types may have the same id.
        limits: At least one, unless overrides alone have some.
        per: What is counted apart: `user`, `virtualaccount`, `model`, `metadata.<key>`; () for all together.
        overrides: With one `per`.
        is_budget: It bounds what is spent, and not how fast.
        thresholds: Shares of its limits in percent, in order: calls say when they reach one.
    """

    id: str
    source: str
    when: When
    limits: tuple[Limit, ...]
    per: tuple[str, ...] = ()
    mode: Mode = "enforce"
    overrides: tuple[Override, ...] = ()
    is_budget: bool = False
    thresholds: tuple[float, ...] = ()

    @property
    def metadata_keys(self) -> tuple[str, ...]:
        """The keys of a call's metadata that it depends on."""
        apart = [one.partition(".")[2] for one in self.per if one.startswith("metadata.")]
        return (*self.when.metadata, *apart)

    def limits_of(self, entity: tuple[str, ...]) -> tuple[Limit, ...]:
        """The limits of one of those that it counts for."""
        for override in self.overrides:
            if entity and entity[0] in override.names:
                return override.limits
        return self.limits


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that are looked through together, in order."""

    order: Order
    rules: tuple[Rule, ...]


class Meter:
    """One limit of a rule, for one of those that the rule counts for.

    Attributes:
        entity: Whom it counts for: a value for each of the rule's `per`; "" is who has none.
        is_enforced: It may refuse; else it counts only. That `soft_enforce` may is for the rule to say.
    """

    __slots__ = (
        "_begin",
        "_end",
        "_key",
        "_level",
        "_level_of",
        "_steps",
        "entity",
        "is_enforced",
        "limit",
        "rule",
    )

    def __init__(self, rule: Rule, limit: Limit, entity: tuple[str, ...], *, is_enforced: bool) -> None:
        """Prepare."""
        self.rule = rule
        self.limit = limit
        self.entity = entity
        self.is_enforced = is_enforced and rule.mode != "audit"
        self._begin = 0
        self._end = 0
        self._key = b""
        # An unused limit of 0 has reached nothing.
        self._steps = tuple(max(1, ceil(limit.amount * share / 100)) for share in rule.thresholds)
        self._level = 0
        self._level_of = b""

    def charge(self, amount: int, now_s: float) -> Charge:
        """What adds *amount* in the window of *now_s*."""
        if not self._key or (self._end and not self._begin <= now_s < self._end):
            self._begin_window(now_s)
        limit = self.limit
        return Charge(self._key, amount, limit.amount, limit.window.rolling_s, self._end, self.is_enforced)

    @property
    def window(self) -> tuple[int, int]:
        """Beginning and end of the calendar's window of the last charge; `(0, 0)` for one without."""
        return self._begin, self._end

    def reached(self, key: bytes, before: int, after: int) -> tuple[float, ...]:
        """The thresholds that going from *before* to *after* reaches, each once in the window of *key*.

        Once, though what is counted falls and rises, as calls take more than they use and give it back.
        """
        if key != self._level_of:
            self._level_of = key
            self._level = 0
        level = bisect_right(self._steps, after)
        had = max(self._level, bisect_right(self._steps, before))
        if level <= had:
            return ()
        self._level = level
        return self.rule.thresholds[had:level]

    def _begin_window(self, now_s: float) -> None:
        if self.limit.window.rolling_s == 0:
            self._begin, self._end = self.limit.window.span(now_s)
        # As Python writes them two lists of names never look alike, whatever is in a name.
        parts = (self._begin, self.rule.source, self.rule.id, self.limit.name, self.rule.per, self.entity)
        self._key = blake2b(repr(parts).encode(), digest_size=TABLE_KEY_BYTES).digest()

    def __repr__(self) -> str:
        """What it counts."""
        return f"Meter({self.rule.id!r}, {self.limit.name}, {'/'.join(self.entity)})"


def meters(rule: Rule, entity: tuple[str, ...], *, is_enforced: bool) -> Iterator[Meter]:
    """Where *rule* counts a call of *entity*."""
    for limit in rule.limits_of(entity):
        yield Meter(rule, limit, entity, is_enforced=is_enforced)
