"""What a run says of a contender: how many were answered, what it cost, how soon it noticed. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from perf.simulation.play import Seen
from perf.simulation.world import Episode, Trouble

_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Course:
    """How one episode went, of a provider that answered nothing for so long.

    Attributes:
        noticed_s: From its beginning until the provider got no calls; None: it did all the time.
        asked_before: Attempts at it until then; `asked_after` until the end of the episode.
        recovered_s: From its end until the provider gave a good answer; None: none came before the next one.
    """

    trouble: Trouble
    noticed_s: float | None
    asked_before: int
    asked_after: int
    recovered_s: float | None


def courses_of(seen: Seen, episodes: Sequence[Episode]) -> Iterator[Course]:
    """How every episode went in which nothing was answered."""
    whole = [one for one in episodes if one.trouble.is_whole]
    for one in whole:
        began = [since_s for since_s, until_s in seen.avoided[one.target] if until_s > one.begins_s]
        first_s = max(one.begins_s, began[0]) if began and began[0] < one.ends_s else None
        asked = seen.troubled_at_s[one.target]
        until_s = one.ends_s if first_s is None else first_s
        next_s = min(
            (
                other.begins_s
                for other in whole
                if other.target == one.target and other.begins_s >= one.ends_s
            ),
            default=float("inf"),
        )
        good = seen.good_at_s[one.target]
        at = bisect.bisect_left(good, one.ends_s)
        yield Course(
            one.trouble,
            None if first_s is None else first_s - one.begins_s,
            _between(asked, one.begins_s, until_s),
            _between(asked, until_s, one.ends_s),
            good[at] - one.ends_s if at < len(good) and good[at] < next_s else None,
        )


def _between(times_s: Sequence[float], since_s: float, until_s: float) -> int:
    return bisect.bisect_left(times_s, until_s) - bisect.bisect_left(times_s, since_s)


@dataclass(frozen=True, slots=True)
class Summary:
    """One contender in numbers.

    Attributes:
        answered_ratio: Of the calls that were right.
        extra_ratio: Attempts beyond one for each call; `troubled_ratio` those at providers that could answer
            nothing.
        p50_s: Until an answer; of good ones. `p95_s` and `p99_s` likewise.
    """

    answered_ratio: float
    failed: int
    extra_ratio: float
    troubled_ratio: float
    p50_s: float
    p95_s: float
    p99_s: float


def summary_of(seen: Seen) -> Summary:
    """The numbers of a run."""
    right = seen.calls - seen.wrong
    return Summary(
        answered_ratio=1 - seen.failed / right,
        failed=seen.failed,
        extra_ratio=seen.attempts / seen.calls - 1,
        troubled_ratio=seen.troubled / seen.calls,
        p50_s=_percentile(seen.times_s, 50),
        p95_s=_percentile(seen.times_s, 95),
        p99_s=_percentile(seen.times_s, 99),
    )


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // _PERCENT)] if ordered else 0.0


def middle_and_most(values: Iterable[float | None]) -> tuple[float, float] | None:
    """Median and maximum of those that there are."""
    known = [value for value in values if value is not None]
    return (median(known), max(known)) if known else None
