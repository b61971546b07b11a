"""Whether counts are what chances say, for tests of what is left to chance."""

from __future__ import annotations

import math
from collections.abc import Mapping

_DEVIATIONS = 5.0
"""Of a normal distribution: one run of 3.5 million is further off by chance alone."""


def check_shares(counts: Mapping[str, int], shares: Mapping[str, float]) -> None:
    """Pearson's chi-square test of *counts* against *shares*, which need not add up to 1.

    Its limit is Wilson and Hilferty's: the cube root of chi-square by its degrees of freedom is about normal.
    """
    total, whole = sum(counts.values()), sum(shares.values())
    expected = {name: total * share / whole for name, share in shares.items()}
    assert all(expected[name] > 0 for name, count in counts.items() if count), "one came that has no share"
    likely = {name: number for name, number in expected.items() if number}
    chi_square = sum((counts.get(name, 0) - number) ** 2 / number for name, number in likely.items())
    freedom = len(likely) - 1
    if not freedom:
        return
    spread = 2 / (9 * freedom)
    limit = freedom * (1 - spread + _DEVIATIONS * math.sqrt(spread)) ** 3
    assert chi_square < limit, f"chi-square {chi_square:.1f} of {freedom}: {counts} for {expected}"
