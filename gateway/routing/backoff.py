"""How long to wait before a target is asked again.

Pure. The wait doubles with each retry, and is random between half and all of that, so that calls that failed
together do not come back together.
"""

from __future__ import annotations

from random import Random
from typing import Final

MAX_DELAY_S: Final = 10.0
_MOST_DOUBLINGS: Final = 16
_MS_PER_S: Final = 1000


def delay_s(first_ms: int, retry: int, random: Random) -> float:
    """Seconds before a retry.

    Args:
        first_ms: Longest wait before the first, in milliseconds.
        retry: Which one, from 1.
        random: Source of the jitter.
    """
    doublings = min(retry - 1, _MOST_DOUBLINGS)
    ceiling_s = min(MAX_DELAY_S, first_ms / _MS_PER_S * 2.0**doublings)
    return ceiling_s * random.uniform(0.5, 1.0)
