"""Counts that a provider gives apart from those of the answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.model import SAMPLED_COUNTS, Sampling, Usage


def with_parts(answer: Usage, beside: Sequence[Sampling]) -> Usage:
    """The usage of an *answer* and of what was done *beside* it, which its own counts do not have."""
    if not beside:
        return answer
    counts: dict[str, int | None] = {}
    for name in SAMPLED_COUNTS:
        told = [getattr(usage, name) for usage in (answer, *(sampling.usage for sampling in beside))]
        known = [count for count in told if count is not None]
        counts[name] = sum(known) if known else None
    return msgspec.structs.replace(answer, samplings=tuple(beside), **counts)
