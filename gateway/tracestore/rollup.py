"""Calls added up per minute: what the dashboards draw, kept long after the traces are gone.

Pure. A call counts in the minute in which it ended, once among all calls of its labels (`Labels`) and once by
each member of its metadata. Sums are exact: they see every call, also those that the trace store leaves out
under load.
"""

from __future__ import annotations

import math
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from gateway.tracestore.histogram import NONE, Histogram, Stored, bucket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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
# Some 5 us each.
_SETS_AT_A_TIME: Final = 20
# So many calls of one set of labels are added up once, and then their sums: a call of the only set costs
# 6 us so, and 8 when it is added in each sum (`perf/store_writer.py`).
_MANY: Final = 24
# Kinds of calls that are known at once by their likeness; the others are looked at as if they were new.
_MAX_ALIKE: Final = 1_000
K = TypeVar("K")

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(tuple[Stored, Stored, Stored])


class Labels(NamedTuple):
    """What calls are told apart by.

    Attributes:
        model: As asked; `other` when there is no such model, because then anyone could make up names.
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


Counted = tuple[int, float, int, int, int, int, int, int, float]
"""A call in numbers: whether it failed, how long it took in ms, the buckets of that, of the time to the first
token and of the time per output token; tokens read, written, and read from a cache; USD."""


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
        self.latencies = Histogram()
        self.first_tokens = Histogram()
        self.output_gaps = Histogram()

    def add_calls(self, calls: Sequence[Counted]) -> None:
        """Count *calls*, of which there is one at least."""
        failed, took_ms, buckets, firsts, gaps, read, written, cached, cost_usd = zip(*calls, strict=True)
        self.calls += len(calls)
        self.errors += sum(failed)
        self.latency_sum_ms += sum(took_ms)
        self.latency_max_ms = max(self.latency_max_ms, *took_ms)
        self.input_tokens += sum(read)
        self.output_tokens += sum(written)
        self.cached_tokens += sum(cached)
        self.cost_usd += sum(cost_usd)
        self.latencies.add_buckets(buckets)
        self.first_tokens.add_buckets(firsts)
        self.output_gaps.add_buckets(gaps)

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
        self.latencies.add(other.latencies)
        self.first_tokens.add(other.first_tokens)
        self.output_gaps.add(other.output_gaps)

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
        """The histograms: MessagePack of three (`Stored`)."""
        return _encoder.encode(
            (self.latencies.to_stored(), self.first_tokens.to_stored(), self.output_gaps.to_stored())
        )

    def add_columns(self, columns: Iterable[object]) -> None:
        """Count all calls of a stored row."""
        calls, errors, sum_ms, max_ms, read, written, cached, cost_usd, blob = columns
        self.add_numbers(calls, errors, sum_ms, max_ms, read, written, cached, cost_usd)  # type: ignore[arg-type]
        self._add_blob(blob, calls)  # type: ignore[arg-type]

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

    def _add_blob(self, blob: bytes, calls: int) -> None:
        latencies, first_tokens, output_gaps = _decoder.decode(blob)
        self.latencies.add_stored(latencies, calls)
        if first_tokens:
            self.first_tokens.add_stored(first_tokens, calls)
            self.output_gaps.add_stored(output_gaps, calls)


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
    # A target was asked, or could have been, so there is such a model; what nobody has may be anything.
    has_model = bool(row.is_model_known or row.resolved_model or row.attempts)
    kind = row.caller_kind or (VIRTUAL_ACCOUNT if row.caller else "")
    return Labels(
        (row.model if has_model or not row.model else OTHER)[:_MAX_LABEL],
        row.resolved_model[:_MAX_LABEL],
        row.caller[:_MAX_LABEL],
        USER if kind == USER else VIRTUAL_ACCOUNT if kind else "",
        row.teams if not row.teams else tuple(team[:_MAX_LABEL] for team in row.teams[:_MAX_TEAMS]),
        str(status) if status in _STATUSES else OTHER,
        row.error_type[:_MAX_LABEL],
    )


def counted(row: StoreRow) -> Counted:
    """What a call adds to each sum that it is in."""
    latency_ms = duration_ms(row)
    first_ms = row.first_chunk_ms
    tokens = row.output_tokens
    cost_usd = row.cost_usd
    first = gap = NONE
    if first_ms is not None and math.isfinite(first_ms):
        first = bucket_of(first_ms)
        if tokens is not None and tokens > 1:
            gap = bucket_of((latency_ms - first_ms) / (tokens - 1))
    return (
        int(row.is_error),
        latency_ms,
        bucket_of(latency_ms),
        first,
        gap,
        min(row.input_tokens or 0, _MAX_TOKENS),
        min(tokens or 0, _MAX_TOKENS),
        min(row.cached_input_tokens or 0, _MAX_TOKENS),
        cost_usd if cost_usd is not None and math.isfinite(cost_usd) else 0.0,
    )


class Gathered:
    """Calls that are not added up yet, by the minute they ended in (Unix seconds of its start) and more.

    Adding up costs by the sum and not by the call, so the more calls are waited for the less it is for each.

    Attributes:
        by_labels: All calls.
        by_metadata: The same calls, by each member of their metadata.
        calls: How many.
    """

    __slots__ = ("_lists", "by_labels", "by_metadata", "calls")

    def __init__(self) -> None:
        self._lists: dict[tuple[object, ...], list[list[Counted]]] = {}
        self.by_labels: dict[tuple[int, Labels], list[Counted]] = {}
        self.by_metadata: dict[Cell, list[Counted]] = {}
        self.calls = 0

    def add(self, row: StoreRow) -> None:
        """Take one call in."""
        at_s = row.end_ns // _NS_PER_MINUTE * 60
        # Of all that labels and members of metadata are made of; most calls are like one before.
        likeness = (
            *(
                at_s,
                row.model,
                row.resolved_model,
                bool(row.attempts),
                row.caller,
                row.caller_kind,
                row.teams,
            ),
            *(row.status_code, row.error_type, *row.metadata.items()),
        )
        lists = self._lists.get(likeness)
        if lists is None:
            lists = self._lists_of(at_s, row)
            if len(self._lists) < _MAX_ALIKE:
                self._lists[likeness] = lists
        call = counted(row)
        for one in lists:
            one.append(call)
        self.calls += 1

    def _lists_of(self, at_s: int, row: StoreRow) -> list[list[Counted]]:
        """Where a call is to be put."""
        lists = [self.by_labels.setdefault((at_s, labels_of(row)), [])]
        for name, value in islice(row.metadata.items(), MAX_METADATA):
            cell = Cell(at_s, METADATA_PREFIX + name[:_MAX_LABEL], value[:_MAX_LABEL])
            lists.append(self.by_metadata.setdefault(cell, []))
        return lists

    def take(self, other: Gathered) -> None:
        """Take all calls of *other* in, which is not used any more."""
        self.calls += other.calls
        _take(self.by_labels, other.by_labels)
        _take(self.by_metadata, other.by_metadata)

    @property
    def groups(self) -> int:
        """How many sums the calls change, about: several for each set of labels."""
        return len(self.by_labels) + len(self.by_metadata)

    def sums(self, pause: Callable[[], None]) -> Iterator[tuple[Cell, Sums]]:
        """What the calls add up to, in all that they count in; *pause* is called after every bit of work."""
        few: dict[Cell, list[Counted]] = {}
        added: dict[Cell, Sums] = {}
        for number, ((at_s, labels), calls) in enumerate(self.by_labels.items(), 1):
            if len(calls) < _MANY:
                for cell in cells_of(at_s, labels):
                    few.setdefault(cell, []).extend(calls)
            else:
                of_labels = Sums()
                of_labels.add_calls(calls)
                for cell in cells_of(at_s, labels):
                    added.setdefault(cell, Sums()).add(of_labels)
            if number % _SETS_AT_A_TIME == 0 or len(calls) >= _MANY:
                pause()
        for number, (cell, calls) in enumerate(chain(few.items(), self.by_metadata.items()), 1):
            sums = added.pop(cell, None) or Sums()
            sums.add_calls(calls)
            yield cell, sums
            if number % _SETS_AT_A_TIME == 0 or len(calls) >= _MANY:
                pause()
        yield from added.items()


def _take(into: dict[K, list[Counted]], other: dict[K, list[Counted]]) -> None:
    if not into:
        into.update(other)
        return
    for key, calls in other.items():
        known = into.get(key)
        if known is None:
            into[key] = calls
        else:
            known += calls


def cells_of(at_s: int, labels: Labels) -> Iterator[Cell]:
    """All that calls with these labels count in, but their metadata."""
    yield Cell(at_s, FULL, format_labels(labels))
    yield Cell(at_s, ALL, "")
    for name in SINGLE:
        for value in labels.of(name):
            yield Cell(at_s, name, value)


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
