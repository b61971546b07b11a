"""Calls added up per minute: what the dashboards draw, kept long after the traces are gone.

Pure. A call counts in the minute in which it ended, once among all calls of its labels (`Labels`) and once by
each member of its metadata. Sums are exact: they see every call, also those that the trace store leaves out
under load.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from gateway.tracestore import histogram
from gateway.tracestore.histogram import Histogram, bucket_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gateway.wire.frames import StoreRow

OTHER: Final = "other"
USER: Final = "user"
VIRTUAL_ACCOUNT: Final = "virtual_account"
ALL: Final = "all"
FULL: Final = "full"
METADATA_PREFIX: Final = "metadata."
SINGLE: Final = ("model", "target", VIRTUAL_ACCOUNT, USER, "team", "status", "error_type")
"""Dimensions by which calls are added up for themselves, so that a split by one reads little."""

MAX_METADATA: Final = 8
"""Members of one call's metadata that it is counted by."""

_NS_PER_MINUTE: Final = 60_000_000_000
_NS_PER_MS: Final = 1_000_000
# A label is for telling groups apart; a longer text is somebody's data.
_MAX_LABEL: Final = 200
_MAX_TEAMS: Final = 16
# A provider may report any number; SQLite's sums must stay integers.
_MAX_TOKENS: Final = 2**40
_STATUSES: Final = range(100, 600)

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[list[int], list[int], list[int]])


class Labels(NamedTuple):
    """What calls are told apart by.

    Attributes:
        model: As asked; `other` when it resolved to nothing, because then anyone could make up names.
        target: `<account>/<integration>` that answered, "" when none did.
        caller: "" when not identified.
        kind: `user`, else `virtual_account`; "" when not identified.
        teams: Of the caller.
        status: The status code, as text; `other` for one that is none.
        error_type: "" when the call was fine.
    """

    model: str
    target: str
    caller: str
    kind: str
    teams: tuple[str, ...]
    status: str
    error_type: str

    def of(self, dimension: str) -> tuple[str, ...]:
        """The values of a dimension of `SINGLE`: none where it does not apply, several of teams alone."""
        if dimension == "team":
            return self.teams
        if dimension in {USER, VIRTUAL_ACCOUNT}:
            return (self.caller,) if self.kind == dimension else ()
        value: str = getattr(self, dimension)
        return (value,) if value else ()


class Sums:
    """What calls add up to. Durations in ms, money in USD."""

    __slots__ = (
        "cached_tokens",
        "calls",
        "cost_usd",
        "errors",
        "first_tokens",
        "input_tokens",
        "latencies",
        "latency_max_ms",
        "latency_sum_ms",
        "output_gaps",
        "output_tokens",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0
        self.latency_sum_ms = 0.0
        self.latency_max_ms = 0.0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cached_tokens = 0
        self.cost_usd = 0.0
        self.latencies: Histogram = {}
        self.first_tokens: Histogram = {}
        self.output_gaps: Histogram = {}

    def add_call(self, row: StoreRow) -> None:
        """Count one call."""
        latency_ms = duration_ms(row)
        self.calls += 1
        if row.is_error:
            self.errors += 1
        self.latency_sum_ms += latency_ms
        self.latency_max_ms = max(self.latency_max_ms, latency_ms)
        bucket = bucket_of(latency_ms)
        latencies = self.latencies
        latencies[bucket] = latencies.get(bucket, 0) + 1
        if row.first_chunk_ms is not None:
            self._add_stream(row, row.first_chunk_ms, latency_ms)
        if row.input_tokens:
            self.input_tokens += min(row.input_tokens, _MAX_TOKENS)
        if row.output_tokens:
            self.output_tokens += min(row.output_tokens, _MAX_TOKENS)
        if row.cached_input_tokens:
            self.cached_tokens += min(row.cached_input_tokens, _MAX_TOKENS)
        if row.cost_usd is not None and math.isfinite(row.cost_usd):
            self.cost_usd += row.cost_usd

    def _add_stream(self, row: StoreRow, first_ms: float, latency_ms: float) -> None:
        if not math.isfinite(first_ms):
            return
        bucket = bucket_of(first_ms)
        self.first_tokens[bucket] = self.first_tokens.get(bucket, 0) + 1
        tokens = row.output_tokens
        if tokens is not None and tokens > 1:
            gap_bucket = bucket_of((latency_ms - first_ms) / (tokens - 1))
            self.output_gaps[gap_bucket] = self.output_gaps.get(gap_bucket, 0) + 1

    def add(self, other: Sums) -> None:
        """Count all calls of *other*."""
        self.calls += other.calls
        self.errors += other.errors
        self.latency_sum_ms += other.latency_sum_ms
        self.latency_max_ms = max(self.latency_max_ms, other.latency_max_ms)
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.cost_usd += other.cost_usd
        histogram.add(self.latencies, other.latencies)
        histogram.add(self.first_tokens, other.first_tokens)
        histogram.add(self.output_gaps, other.output_gaps)

    def to_columns(self) -> tuple[object, ...]:
        """The values of `COLUMNS`."""
        return (*self.numbers, self.blob())

    @property
    def numbers(self) -> tuple[float, ...]:
        """The values of `NUMBERS`."""
        return (
            *(self.calls, self.errors, self.latency_sum_ms, self.latency_max_ms),
            *(self.input_tokens, self.output_tokens, self.cached_tokens, self.cost_usd),
        )

    def blob(self) -> bytes:
        """The histograms: MessagePack of three lists."""
        to_list = histogram.to_list
        return _encoder.encode(
            (to_list(self.latencies), to_list(self.first_tokens), to_list(self.output_gaps))
        )

    def add_columns(self, columns: Iterable[object]) -> None:
        """Count all calls of a stored row."""
        calls, errors, sum_ms, max_ms, read, written, cached, cost_usd, blob = columns
        self.add_numbers(calls, errors, sum_ms, max_ms, read, written, cached, cost_usd)  # type: ignore[arg-type]
        self.add_blob(blob)  # type: ignore[arg-type]

    def add_numbers(
        self,
        calls: int,
        errors: int,
        latency_sum_ms: float,
        latency_max_ms: float,
        input_tokens: int,
        output_tokens: int,
        cached_tokens: int,
        cost_usd: float,
    ) -> None:
        """Count what a row says beside its histograms."""
        self.calls += calls
        self.errors += errors
        self.latency_sum_ms += latency_sum_ms
        self.latency_max_ms = max(self.latency_max_ms, latency_max_ms)
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cached_tokens += cached_tokens
        self.cost_usd += cost_usd

    def add_blob(self, blob: bytes) -> None:
        """Count the histograms of a row."""
        latencies, first_tokens, output_gaps = _decoder.decode(blob)
        histogram.add_list(self.latencies, latencies)
        if first_tokens:
            histogram.add_list(self.first_tokens, first_tokens)
            histogram.add_list(self.output_gaps, output_gaps)


NUMBERS: Final = (
    *("calls", "errors", "latency_sum_ms", "latency_max_ms"),
    *("input_tokens", "output_tokens", "cached_tokens", "cost_usd"),
)
COLUMNS: Final = (*NUMBERS, "histograms")


class Cell(NamedTuple):
    """What is added up together.

    Attributes:
        at_s: Unix time of the minute's start.
        dimension: Of `SINGLE`, `ALL`, `FULL`, or `metadata.<key>`.
        label: Its value in that dimension; of `FULL` the JSON of `Labels`, of `ALL` "".
    """

    at_s: int
    dimension: str
    label: str


def duration_ms(row: StoreRow) -> float:
    """How long the call took. Never negative: the clock may have been set back meanwhile."""
    return max(0, row.end_ns - row.start_ns) / _NS_PER_MS


def labels_of(row: StoreRow) -> Labels:
    """The labels of one call, bounded."""
    status = row.status_code
    kind = row.caller_kind or (VIRTUAL_ACCOUNT if row.caller else "")
    return Labels(
        (row.model if row.resolved_model or not row.model else OTHER)[:_MAX_LABEL],
        row.resolved_model[:_MAX_LABEL],
        row.caller[:_MAX_LABEL],
        USER if kind == USER else VIRTUAL_ACCOUNT if kind else "",
        row.teams if not row.teams else tuple(team[:_MAX_LABEL] for team in row.teams[:_MAX_TEAMS]),
        str(status) if status in _STATUSES else OTHER,
        row.error_type[:_MAX_LABEL],
    )


def roll_up(rows: Iterable[StoreRow]) -> tuple[dict[tuple[int, Labels], Sums], dict[Cell, Sums]]:
    """Add calls up by the minute they ended in (Unix seconds of its start).

    Returns:
        By labels, and by each member of their metadata.
    """
    by_labels: dict[tuple[int, Labels], Sums] = {}
    by_metadata: dict[Cell, Sums] = {}
    for row in rows:
        at_s = row.end_ns // _NS_PER_MINUTE * 60
        key = (at_s, labels_of(row))
        sums = by_labels.get(key)
        if sums is None:
            sums = by_labels[key] = Sums()
        sums.add_call(row)
        if row.metadata:
            for cell in _metadata_cells(at_s, row):
                sums = by_metadata.get(cell)
                if sums is None:
                    sums = by_metadata[cell] = Sums()
                sums.add_call(row)
    return by_labels, by_metadata


def _metadata_cells(at_s: int, row: StoreRow) -> Iterator[Cell]:
    for number, (name, value) in enumerate(row.metadata.items()):
        if number == MAX_METADATA:
            return
        yield Cell(at_s, METADATA_PREFIX + name[:_MAX_LABEL], value[:_MAX_LABEL])


def cells_of(by_labels: dict[tuple[int, Labels], Sums]) -> dict[Cell, Sums]:
    """All that calls with these labels count in, but their metadata."""
    cells: dict[Cell, Sums] = {}
    for (at_s, labels), sums in by_labels.items():
        cells[Cell(at_s, FULL, format_labels(labels))] = sums
        places = [Cell(at_s, ALL, "")]
        places += [Cell(at_s, name, value) for name in SINGLE for value in labels.of(name)]
        for place in places:
            known = cells.get(place)
            if known is None:
                known = cells[place] = Sums()
            known.add(sums)
    return cells


def format_labels(labels: Labels) -> str:
    """As a series of the dimension `FULL` is named."""
    return msgspec.json.encode(labels).decode()


def parse_labels(text: str) -> Labels:
    """What `format_labels` gave."""
    return _labels_decoder.decode(text)


_labels_decoder: Final = msgspec.json.Decoder(Labels)


def coarse(labels: Labels) -> Labels:
    """What *labels* becomes when the store has seen too many: what is bounded is still told apart."""
    error_type = OTHER if labels.error_type else ""
    return Labels(OTHER, OTHER, OTHER, labels.kind, (), labels.status, error_type)
