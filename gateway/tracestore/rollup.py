"""Calls added up per minute and label set: what the dashboards draw, kept long after the traces are gone.

Pure. A call counts in the minute in which it ended. Rollups are exact: they see every call, also those that
the trace store leaves out under load.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tracestore import buckets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.wire.frames import StoreRow

OTHER: Final = "other"
_NS_PER_MINUTE: Final = 60_000_000_000
_NS_PER_MS: Final = 1_000_000
# A label is for telling groups apart; a longer text is somebody's data.
_MAX_LABEL: Final = 200
# A provider may report any number; SQLite's sums must stay integers.
_MAX_TOKENS: Final = 2**40
_STATUS_CLASSES: Final = {2: "2xx", 3: "3xx", 4: "4xx", 5: "5xx"}


class LabelSet(NamedTuple):
    """What a rollup is grouped by.

    Attributes:
        resolved_model: `<account>/<integration>`, "" when none answered.
        model: As asked; `other` when it resolved to nothing, because then anyone could make up names.
        caller: "" when not identified.
        status_class: 2xx, 3xx, 4xx, 5xx or other.
        error_type: "" when the call was fine.
    """

    resolved_model: str
    model: str
    caller: str
    status_class: str
    error_type: str


class Rollup:
    """The sums of one minute and label set. Durations in ms, money in USD."""

    __slots__ = (
        "calls",
        "cost_usd",
        "errors",
        "first_chunk_buckets",
        "first_chunk_sum_ms",
        "first_chunks",
        "input_tokens",
        "latency_buckets",
        "latency_max_ms",
        "latency_sum_ms",
        "output_tokens",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.latency_sum_ms = 0.0
        self.latency_max_ms = 0.0
        self.latency_buckets = [0] * buckets.COUNT
        self.first_chunks = 0
        self.first_chunk_sum_ms = 0.0
        self.first_chunk_buckets = [0] * buckets.COUNT
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd = 0.0

    def add(self, row: StoreRow) -> None:
        """Count one call."""
        latency_ms = duration_ms(row)
        self.calls += 1
        self.errors += row.is_error
        self.latency_sum_ms += latency_ms
        self.latency_max_ms = max(self.latency_max_ms, latency_ms)
        self.latency_buckets[buckets.bucket_of(latency_ms)] += 1
        if row.first_chunk_ms is not None and math.isfinite(row.first_chunk_ms):
            self.first_chunks += 1
            self.first_chunk_sum_ms += row.first_chunk_ms
            self.first_chunk_buckets[buckets.bucket_of(row.first_chunk_ms)] += 1
        self.input_tokens += min(row.input_tokens or 0, _MAX_TOKENS)
        self.output_tokens += min(row.output_tokens or 0, _MAX_TOKENS)
        if row.cost_usd is not None and math.isfinite(row.cost_usd):
            self.cost_usd += row.cost_usd


def duration_ms(row: StoreRow) -> float:
    """How long the call took. Never negative: the clock may have been set back meanwhile."""
    return max(0, row.end_ns - row.start_ns) / _NS_PER_MS


def label_set(row: StoreRow) -> LabelSet:
    """The labels of one call, bounded."""
    model = row.model if row.resolved_model or not row.model else OTHER
    return LabelSet(
        row.resolved_model[:_MAX_LABEL],
        model[:_MAX_LABEL],
        row.caller[:_MAX_LABEL],
        _STATUS_CLASSES.get(row.status_code // 100, OTHER),
        row.error_type[:_MAX_LABEL],
    )


def coarse(labels: LabelSet) -> LabelSet:
    """What *labels* becomes when the store has seen too many label sets."""
    error_type = OTHER if labels.error_type else ""
    return LabelSet(OTHER, OTHER, OTHER, labels.status_class, error_type)


def roll_up(rows: Iterable[StoreRow]) -> dict[tuple[int, LabelSet], Rollup]:
    """Add calls up by the minute they ended in (Unix seconds of its start) and by label set."""
    rollups: dict[tuple[int, LabelSet], Rollup] = {}
    for row in rows:
        key = (row.end_ns // _NS_PER_MINUTE * 60, label_set(row))
        rollup = rollups.get(key)
        if rollup is None:
            rollup = rollups[key] = Rollup()
        rollup.add(row)
    return rollups
