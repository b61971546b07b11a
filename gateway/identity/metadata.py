"""What the metadata of a caller's calls are given, worked out once per configuration.

From the weakest on: what the caller writes, `DEFAULT_GATEWAY_METADATA`, the rules of
`gateway-metadata-config`, the tags of a virtual account. So where a value is given, writing another one is no
way around a limit. Callers have the result as `Caller.tags`; `read_notes` lays it over what they write.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import translate
from types import MappingProxyType
from typing import Final

from gateway.config import Config

_WILD: Final = frozenset("*?[")

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class MetadataRule:
    """What the calls of some are given.

    Attributes:
        metadata: By key.
    """

    __slots__ = ("_exact", "_is_for_all", "_pattern", "metadata")

    def __init__(self, subjects: tuple[str, ...] | None, metadata: Mapping[str, str]) -> None:
        """Give *metadata* to those whom a pattern of *subjects* is about, None for everybody."""
        self.metadata = metadata
        self._is_for_all = subjects is None
        self._exact = frozenset(subjects or ())
        patterns = [translate(one) for one in subjects or () if not _WILD.isdisjoint(one)]
        # One expression: it is asked for each of a hundred thousand callers.
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def is_about(self, subject: str) -> bool:
        """Whether a caller that may be named so is meant."""
        if self._is_for_all or subject in self._exact:
            return True
        return self._pattern is not None and self._pattern.match(subject) is not None


class GivenMetadata:
    """What is given to whom; callers with the same share one mapping."""

    def __init__(self, rules: tuple[MetadataRule, ...] = (), defaults: Mapping[str, str] = NOTHING) -> None:
        """Take the *rules*, of which the first counts most, and what they stand on."""
        self._rules = (*rules, MetadataRule(None, defaults)) if defaults else rules
        self._made: dict[object, Mapping[str, str]] = {}
        self._of_team: dict[str, frozenset[int]] = {}

    @staticmethod
    def of(config: Config) -> GivenMetadata:
        """What *config* says."""
        rules = tuple(
            MetadataRule(rule.when.subjects, rule.metadata_override)
            for manifest in config.metadata_configs
            for rule in manifest.rules
        )
        return GivenMetadata(rules, config.default_metadata)

    def to(self, subjects: Collection[str], tags: Mapping[str, str] = NOTHING) -> Mapping[str, str]:
        """All that a caller of these *subjects* is given, who has *tags* of its own."""
        if not self._rules and not tags:
            return NOTHING
        meant = self._about(subjects) if self._rules else ()
        key = (meant, tuple(tags.items()))
        made = self._made.get(key)
        if made is None:
            merged = dict(tags)
            for at in meant:
                merged = {**self._rules[at].metadata, **merged}
            made = self._made[key] = MappingProxyType(merged)
        return made

    def _about(self, subjects: Collection[str]) -> tuple[int, ...]:
        """Which rules mean a caller of these *subjects*. What a team is meant by is found once."""
        found: set[int] = set()
        for subject in subjects:
            if subject.startswith("team:"):
                of_team = self._of_team.get(subject)
                if of_team is None:
                    of_team = self._of_team[subject] = frozenset(self._about_one(subject))
                found |= of_team
            else:
                found.update(self._about_one(subject))
        return tuple(sorted(found))

    def _about_one(self, subject: str) -> list[int]:
        return [at for at, rule in enumerate(self._rules) if rule.is_about(subject)]
