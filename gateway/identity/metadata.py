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

    def is_about(self, subjects: Collection[str]) -> bool:
        """Whether a caller of these *subjects* is meant."""
        if self._is_for_all or not self._exact.isdisjoint(subjects):
            return True
        pattern = self._pattern
        return pattern is not None and any(pattern.match(subject) for subject in subjects)


class GivenMetadata:
    """What is given to whom; callers with the same share one mapping."""

    def __init__(self, rules: tuple[MetadataRule, ...] = (), defaults: Mapping[str, str] = NOTHING) -> None:
        """Take the *rules*, of which the first counts most, and what they stand on."""
        self._rules = (*rules, MetadataRule(None, defaults)) if defaults else rules
        self._made: dict[object, Mapping[str, str]] = {}

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
        meant = tuple(at for at, rule in enumerate(self._rules) if rule.is_about(subjects))
        key = (meant, tuple(tags.items()))
        made = self._made.get(key)
        if made is None:
            merged = dict(tags)
            for at in meant:
                merged = {**self._rules[at].metadata, **merged}
            made = self._made[key] = MappingProxyType(merged)
        return made
