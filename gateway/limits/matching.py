"""Which rules hold for a call.

`models` and `provider_accounts` of a rule mean what was asked for or what answers. What a rule says of the
former is known when a call is admitted, and counts once, there; what is left is found for each target. Of
rules of which the first decides, the first for what was asked decides, and beside it, for a target, the first
before that one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, Literal, TypeVar

import msgspec

from gateway.limits.held import NOTHING_HELD, Held, Need
from gateway.limits.rules import Meter, Rule, RuleSet, meters
from gateway.model import Caller

_MOST_KEPT: Final = 4_096
"""Of each kind of what was worked out. Names of models and accounts are few; users of an identity provider
may be many, and metadata are as callers like, so of what is too much the oldest part is thrown away."""

_MOST_NOTED: Final = 16
"""Keys of metadata that are kept only to be known again."""

_PART_LET_GO: Final = 8
"""Which part: all of it would be worked out anew for everybody at once, one by one costs more for each."""

Stage = Literal["call", "direct", "target"]
"""When rules are asked: as a call comes, as one comes that nobody but its target can answer, and as a further
target is to be tried.
"""

_K = TypeVar("_K")
_V = TypeVar("_V")
_Found = tuple[tuple[int, Rule], ...]
_CALLERS: Final = frozenset({"user", "virtualaccount"})


class Asking(msgspec.Struct, frozen=True, gc=False):
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


class _Set:
    """One set, as far as one caller and one name (and a target of it) are concerned.

    Attributes:
        now: What metadata may still rule out, with the place of each in its set.
        before: Of a target: what held for the call already, if metadata let it.
    """

    __slots__ = ("before", "now", "order")

    def __init__(self, rules: RuleSet, now: _Found, before: _Found = ()) -> None:
        self.order = rules.order
        self.now = now
        self.before = before

    def holding(self, metadata: Mapping[str, str]) -> Iterator[tuple[Rule, bool]]:
        """Rules that hold, and whether they may refuse."""
        decided = next((at for at, rule in self.before if rule.when.matches_metadata(metadata)), None)
        for at, rule in self.now:
            if not rule.when.matches_metadata(metadata):
                continue
            may_refuse = self.order == "all" or decided is None or at < decided
            if may_refuse or self.order != "first":
                yield rule, may_refuse
            if decided is None or at < decided:
                decided = at


class _Sets:
    """All sets so. What was found is kept by the metadata that rules look at.

    Attributes:
        keys: Of these.
    """

    __slots__ = ("_kept", "_model", "_sets", "_subjects", "keys")

    def __init__(self, sets: Iterable[_Set], caller: Caller, model: str, kept: _Kept) -> None:
        self._sets = tuple(one for one in sets if one.now)
        self._model = model
        self._subjects: dict[str, str] = {caller.kind: caller.name}
        rules = [rule for one in self._sets for _, rule in (*one.now, *one.before)]
        self.keys = tuple(dict.fromkeys(key for rule in rules for key in rule.metadata_keys))
        self._kept = kept

    def meters(self, metadata: Mapping[str, str]) -> tuple[Meter, ...]:
        key = (self, tuple([metadata.get(key) for key in self.keys]) if self.keys else ())
        found = self._kept.get(key)
        if found is None:
            found = _keep(self._kept, key, self._find(metadata))
        return found

    def _find(self, metadata: Mapping[str, str]) -> tuple[Meter, ...]:
        return tuple(
            meter
            for one in self._sets
            for rule, may_refuse in one.holding(metadata)
            for meter in meters(rule, self._entity(rule, metadata), is_enforced=may_refuse)
        )

    def _entity(self, rule: Rule, metadata: Mapping[str, str]) -> tuple[str, ...]:
        found = []
        for one in rule.per:
            if one == "model":
                found.append(self._model)
            elif one in _CALLERS:
                found.append(self._subjects.get(one, ""))
            else:
                # Calls without the key count together: leaving it out is no way around a limit.
                found.append(metadata.get(one.partition(".")[2], ""))
        return tuple(found)


_Kept = dict[tuple[_Sets, tuple[str | None, ...]], tuple[Meter, ...]]


class _Asked:
    """What is asked together for calls of one caller and one name, and of a target.

    Attributes:
        keys: Of the metadata that it depends on.
        held_last: What was found last, for `metadata_last`: those who write the same have the same mapping.
    """

    __slots__ = ("_of_call", "_of_target", "_stage", "_target", "held_last", "keys", "metadata_last")

    def __init__(self, of_call: _Sets | None, of_target: _Sets | None, target: str, stage: Stage) -> None:
        self._of_call = of_call
        self._of_target = of_target
        self._target = target
        self._stage = stage
        both = [sets.keys for sets in (of_call, of_target) if sets is not None]
        self.keys = tuple(dict.fromkeys(key for keys in both for key in keys))
        self.metadata_last: Mapping[str, str] | None = None
        self.held_last = NOTHING_HELD

    def held(self, metadata: Mapping[str, str]) -> Held:
        of_call = () if self._of_call is None else self._of_call.meters(metadata)
        of_target = () if self._of_target is None else self._of_target.meters(metadata)
        if not of_call and not of_target:
            return NOTHING_HELD
        targets = ("",) * len(of_call) + (self._target,) * len(of_target)
        return Held((*of_call, *of_target), targets, is_direct=self._stage == "direct")


class Rules:
    """All rules of a configuration."""

    def __init__(
        self, sets: Iterable[RuleSet] = (), names: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        """Prepare.

        Args:
            sets: Of each the rules in order.
            names: Of what has several names: all of them, the full one first, by each.
        """
        self._sets = tuple(one for one in sets if one.rules)
        self._names = names or {}
        self._of_call: dict[tuple[frozenset[str], str], _Sets] = {}
        self._of_target: dict[tuple[frozenset[str], str, str], _Sets] = {}
        self._kept: _Kept = {}
        self._asked: dict[tuple[frozenset[str], str, str, Stage], _Asked] = {}
        self._held: dict[tuple[_Asked, tuple[str | None, ...]], Held] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._sets)

    def held(self, asking: Asking, target: str, stage: Stage) -> Held:
        """What is asked together of a call.

        Args:
            asking: The call.
            target: Who will be asked first, or next; "" where that is not known yet.
            stage: When it is.
        """
        caller, asked, metadata = asking.caller, asking.model, asking.metadata
        key = (caller.subjects, asked, target, stage)
        found = self._asked.get(key)
        if found is None:
            of_call = None if stage == "target" else self._sets_of_call(caller, asked)
            of_target = self._sets_of_target(caller, asked, target) if target else None
            found = _keep(self._asked, key, _Asked(of_call, of_target, target, stage))
        if found.metadata_last is metadata:
            return found.held_last
        by = (found, tuple(map(metadata.get, found.keys)))
        held = self._held.get(by)
        if held is None:
            held = _keep(self._held, by, found.held(metadata))
        if len(metadata) <= _MOST_NOTED:
            found.metadata_last, found.held_last = metadata, held
        return held

    def every(self) -> Iterator[Rule]:
        """Each of them, in order."""
        return (rule for one in self._sets for rule in one.rules)

    def of_call(self, caller: Caller, asked: str, metadata: Mapping[str, str]) -> tuple[Meter, ...]:
        """What counts a call of *asked*, by any of its names, whoever answers."""
        return self._sets_of_call(caller, asked).meters(metadata)

    def of_target(
        self, caller: Caller, asked: str, target: str, metadata: Mapping[str, str]
    ) -> tuple[Meter, ...]:
        """What counts it beside that if *target* answers."""
        return self._sets_of_target(caller, asked, target).meters(metadata)

    def _sets_of_call(self, caller: Caller, asked: str) -> _Sets:
        key = (caller.subjects, asked)
        found = self._of_call.get(key)
        if found is None:
            names = self._names_of(asked)
            sets = [_Set(rules, _about_call(rules, caller, names)) for rules in self._sets]
            found = _keep(self._of_call, key, _Sets(sets, caller, names[0], self._kept))
        return found

    def _sets_of_target(self, caller: Caller, asked: str, target: str) -> _Sets:
        key = (caller.subjects, asked, target)
        found = self._of_target.get(key)
        if found is None:
            names = self._names_of(asked)
            sets = []
            for rules in self._sets:
                before = _about_call(rules, caller, names)
                sets.append(_Set(rules, _about_target(rules, caller, (*names, target), before), before))
            found = _keep(self._of_target, key, _Sets(sets, caller, target, self._kept))
        return found

    def _names_of(self, asked: str) -> tuple[str, ...]:
        return self._names.get(asked, (asked,))


def _keep(kept: dict[_K, _V], key: _K, found: _V) -> _V:
    if len(kept) >= _MOST_KEPT:
        for oldest in list(islice(kept, _MOST_KEPT // _PART_LET_GO)):
            del kept[oldest]
    kept[key] = found
    return found


def _about_call(rules: RuleSet, caller: Caller, names: tuple[str, ...]) -> _Found:
    return tuple(
        (at, rule)
        for at, rule in enumerate(rules.rules)
        if not rule.when.excludes_models and _is_about(rule, caller) and rule.when.matches_models(names)
    )


def _about_target(rules: RuleSet, caller: Caller, names: tuple[str, ...], before: _Found) -> _Found:
    counted = {at for at, _ in before}
    return tuple(
        (at, rule)
        for at, rule in enumerate(rules.rules)
        if at not in counted and _is_about(rule, caller) and rule.when.matches_models(names)
    )


def _is_about(rule: Rule, caller: Caller) -> bool:
    """A rule for each user is about users only, and one for each virtual account about these."""
    kinds = _CALLERS.intersection(rule.per)
    return (not kinds or caller.kind in kinds) and rule.when.matches_caller(caller.subjects)
