"""What calls add up to over a range of time: the parameters of `GET /api/metrics/query`, and its answer.

It reads sums alone, never calls: of one dimension where the question has one, else of sets of labels. Long
ranges are read from hours or days, so that what is read is bounded by the number of steps and of series, not
by the number of calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.process import give_way
from gateway.tracestore.histogram import Histogram, percentiles_ms
from gateway.tracestore.query import BadQueryError
from gateway.tracestore.rollup import (
    ALL,
    COLUMNS,
    FULL,
    METADATA_PREFIX,
    NUMBERS,
    SINGLE,
    Sums,
    parse_labels,
)
from gateway.tracestore.rollup_tables import (
    DAY_S,
    DAYS,
    DAYS_UNTIL,
    DROPPED,
    FROM,
    HOUR_S,
    HOURS,
    HOURS_UNTIL,
    MINUTES,
    MINUTES_KEPT_S,
)
from gateway.tracestore.timestamps import format_rfc3339, parse_rfc3339_ns

if TYPE_CHECKING:
    import sqlite3

MINUTE_S: Final = 60
MAX_POINTS: Final = 1_500
MAX_GROUPS: Final = 50
"""Labels of a split that are told; the others, with fewer calls, are only counted."""

CHARTED: Final = 10
"""Of these, those with most calls have their points too."""

QUANTILES: Final = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_NS_PER_S: Final = 1_000_000_000
_STEPS_S: Final = (
    *(MINUTE_S, 5 * MINUTE_S, 15 * MINUTE_S, 30 * MINUTE_S, HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S),
    *(DAY_S, 7 * DAY_S, 28 * DAY_S),
)
_GOOD_POINTS: Final = 100
_DEFAULT_RANGE_S: Final = HOUR_S
# Of longer ranges minutes, or hours, would be too much to read within a tenth of a second.
_MINUTES_UP_TO_S: Final = 6 * HOUR_S
_HOURS_UP_TO_S: Final = 14 * DAY_S
_MOST_RANGE_S: Final = 800 * DAY_S
_MAX_TEXT: Final = 200
_MAX_DIGITS: Final = 8
_IDS_AT_A_TIME: Final = 500
_ROWS_AT_A_TIME: Final = 50
_NAMES: Final = ", ".join(COLUMNS)
_TOTALS: Final = ", ".join(f"max({name})" if name == "latency_max_ms" else f"sum({name})" for name in NUMBERS)
_STEP_NAMES: Final = {"s": 1, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}


@dataclass(frozen=True, slots=True)
class MetricsQuery:
    """What is asked.

    Attributes:
        since_s: None: an hour before the end.
        until_s: None: now.
        step_s: None: as gives about a hundred points.
        split_by: A dimension, None for none.
        filters: Dimensions and the one value of each that counts.
    """

    since_s: float | None = None
    until_s: float | None = None
    step_s: int | None = None
    split_by: str | None = None
    filters: Mapping[str, str] = field(default_factory=dict)


def parse_metrics_query(parameters: Iterable[tuple[str, str]]) -> MetricsQuery:
    """Read the parameters of `GET /api/metrics/query`. An empty value counts as absent.

    Raises:
        BadQueryError: One of them is unknown, given twice or not understood, or they do not go together.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for name, text in parameters:
        if name in seen:
            raise BadQueryError(f"{name[:50]} is given twice")
        seen.add(name)
        if not (name in _PARAMETERS or name in SINGLE or name.startswith(METADATA_PREFIX)):
            names = ", ".join((*_PARAMETERS, *SINGLE))
            raise BadQueryError(f"{name[:50]!r} is no parameter; there are {names} and metadata.<key>")
        if len(text) > _MAX_TEXT or len(name) > _MAX_TEXT:
            raise BadQueryError(f"{name[:50]}: must have at most {_MAX_TEXT} characters")
        if text:
            found[name] = text
    query = MetricsQuery(
        since_s=_parse_time_s(found, "since"),
        until_s=_parse_time_s(found, "until"),
        step_s=_parse_step_s(found.get("step")),
        split_by=_parse_split(found.get("split_by")),
        filters={name: text for name, text in found.items() if name not in _PARAMETERS},
    )
    members = [name for name in (query.split_by, *query.filters) if name and name.startswith(METADATA_PREFIX)]
    others = {name for name in (query.split_by, *query.filters) if name} - set(members)
    if len(set(members)) > 1 or (members and others):
        raise BadQueryError(
            "metadata is counted by one key at a time: it cannot be asked together with another key or filter"
            " (GET /api/traces can)"
        )
    return query


_PARAMETERS: Final = ("since", "until", "step", "split_by")


def _parse_time_s(found: Mapping[str, str], name: str) -> float | None:
    if name not in found:
        return None
    try:
        return parse_rfc3339_ns(found[name]) / _NS_PER_S
    except ValueError as error:
        raise BadQueryError(f"{name}: {error}") from error


def _parse_step_s(text: str | None) -> int | None:
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1] in _STEP_NAMES else (text, "s")
    step_s = (
        int(number) * _STEP_NAMES[unit]
        if number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS
        else 0
    )
    if step_s < MINUTE_S or step_s % MINUTE_S:
        raise BadQueryError("step: must be whole minutes, in seconds or as 5m, 1h, 1d")
    return step_s


def _parse_split(text: str | None) -> str | None:
    if text is not None and text not in SINGLE and not text.startswith(METADATA_PREFIX):
        raise BadQueryError(f"split_by: must be one of {', '.join(SINGLE)} or metadata.<key>")
    return text


# What is read.


class Span(NamedTuple):
    """The range that is told, in whole steps.

    Attributes:
        grain_s: Of the sums that are read: a minute, an hour or a day.
    """

    since_s: int
    until_s: int
    step_s: int
    grain_s: int

    @property
    def steps(self) -> int:
        """How many steps."""
        return (self.until_s - self.since_s) // self.step_s


class Kept(NamedTuple):
    """Since when (Unix seconds) sums are kept, at most: those before have been deleted."""

    minutes_s: float = 0
    hours_s: float = 0


def span_of(query: MetricsQuery, now_s: float, kept: Kept | None = None) -> Span:
    """The range of *query*, its ends put to whole steps.

    Raises:
        BadQueryError: It is none, or has too many steps.
    """
    minutes_s, hours_s = kept or Kept()
    until_s = now_s if query.until_s is None else query.until_s
    since_s = until_s - _DEFAULT_RANGE_S if query.since_s is None else query.since_s
    range_s = until_s - since_s
    if range_s <= 0:
        raise BadQueryError("since must be before until")
    if range_s > _MOST_RANGE_S:
        raise BadQueryError(f"no more than {_MOST_RANGE_S // DAY_S} days at once")
    good_s = query.step_s
    if good_s is None:
        good_s = next((step for step in _STEPS_S if range_s / step <= _GOOD_POINTS), _STEPS_S[-1])
    grains = []
    if range_s <= _MINUTES_UP_TO_S and since_s >= now_s - MINUTES_KEPT_S:
        grains.append((MINUTE_S, minutes_s))
    if range_s <= _HOURS_UP_TO_S:
        grains.append((HOUR_S, hours_s))
    for grain_s, kept_s in (*grains, (DAY_S, 0)):
        # Finer than what is read cannot be told.
        step_s = math.ceil(max(good_s, grain_s) / grain_s) * grain_s
        first_s = int(since_s // step_s) * step_s
        # The first step begins before the range does.
        if first_s >= kept_s:
            break
    end_s = math.ceil(until_s / step_s) * step_s
    if (end_s - first_s) // step_s > MAX_POINTS:
        raise BadQueryError(f"step: no more than {MAX_POINTS} points; {step_s} s over this range gives more")
    return Span(first_s, end_s, step_s, grain_s)


class _Part(NamedTuple):
    """A table and the times that are read from it."""

    table: str
    since_s: int
    until_s: int


class _Source:
    """The sums that a question is about: series by id, in one dimension."""

    def __init__(self, db: sqlite3.Connection, span: Span, dimension: str, ids: Sequence[int] | None) -> None:
        """Read series *ids* of *dimension*, None for all of it."""
        self._db = db
        self._parts = _parts(db, span)
        self._whole_parts = _whole_parts(db, span)
        found = db.execute("SELECT id FROM dimensions WHERE name = ?", (dimension,)).fetchone()
        self._dimension_id = 0 if found is None else int(found[0])
        self._ids = ids

    def totals(self) -> Iterator[tuple[int, Sequence[float]]]:
        """Of each series its numbers over the whole range, piece by piece."""
        what = f"series_id, {_TOTALS}"
        for sql, values in self._statements(self._whole_parts, what, "GROUP BY series_id", self._ids):
            for series_id, *numbers in self._db.execute(sql, values):
                yield series_id, numbers

    def rows(self, ids: Sequence[int] | None) -> Iterator[tuple[int, int, Sequence[object]]]:
        """Series, time and columns of each row, of series *ids* alone if they are given."""
        return self._rows(self._parts, self._ids if ids is None else ids)

    def whole_rows(self, ids: Sequence[int]) -> Iterator[tuple[int, int, Sequence[object]]]:
        """Likewise, of fewer rows, each of as long a time as can be."""
        return self._rows(self._whole_parts, ids)

    def _rows(
        self, parts: Sequence[_Part], ids: Sequence[int] | None
    ) -> Iterator[tuple[int, int, Sequence[object]]]:
        statements = self._statements(parts, f"series_id, at_s, {_NAMES}", "", ids)
        for sql, values in statements:
            for number, (series_id, at_s, *columns) in enumerate(self._db.execute(sql, values)):
                if number % _ROWS_AT_A_TIME == 0:
                    give_way()
                yield series_id, at_s, columns

    def _statements(
        self, parts: Sequence[_Part], what: str, then: str, ids: Sequence[int] | None
    ) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part in parts:
            times = (part.since_s, part.until_s)
            if part.table == "minutes":
                where = "dimension_id = ? AND at_s >= ? AND at_s < ?"
                wanted = "" if ids is None else f" AND series_id IN ({_numbers(ids)})"
                yield f"SELECT {what} FROM minutes WHERE {where}{wanted} {then}", (self._dimension_id, *times)  # noqa: S608 - own text
                continue
            for start in range(0, len(ids or ()), _IDS_AT_A_TIME):
                some = _numbers((ids or ())[start : start + _IDS_AT_A_TIME])
                where = f"series_id IN ({some}) AND at_s >= ? AND at_s < ?"
                yield f"SELECT {what} FROM {part.table} WHERE {where} {then}", times  # noqa: S608 - own text


def _numbers(ids: Sequence[int]) -> str:
    return ", ".join([str(int(one)) for one in ids])


def _parts(db: sqlite3.Connection, span: Span) -> list[_Part]:
    """The tables that have the range, each as coarse as it may be."""
    found = _meta(db)
    hours_until_s = found.get(HOURS_UNTIL, 0)
    days_until_s = min(found.get(DAYS_UNTIL, 0), hours_until_s)
    at_s = span.since_s
    parts = []
    for table, grain_s, reach_s in (("days", DAY_S, days_until_s), ("hours", HOUR_S, hours_until_s)):
        if span.grain_s >= grain_s and reach_s > at_s:
            end_s = min(span.until_s, reach_s)
            parts.append(_Part(table, at_s, end_s))
            at_s = end_s
    if at_s < span.until_s:
        parts.append(_Part("minutes", at_s, span.until_s))
    return parts


def _whole_parts(db: sqlite3.Connection, span: Span) -> list[_Part]:
    """The tables that have the range, when no step of it is to be told."""
    if span.grain_s != HOUR_S:
        return _parts(db, span)
    days_until_s = min(_meta(db).get(DAYS_UNTIL, 0), span.until_s) // DAY_S * DAY_S
    days_since_s = math.ceil(span.since_s / DAY_S) * DAY_S
    if days_until_s <= days_since_s:
        return _parts(db, span)
    before = _parts(db, span._replace(until_s=days_since_s)) if days_since_s > span.since_s else []
    after = _parts(db, span._replace(since_s=days_until_s)) if days_until_s < span.until_s else []
    return [*before, _Part(DAYS, days_since_s, days_until_s), *after]


# What is told.


class _Group(NamedTuple):
    """A label and the series that it is made of."""

    label: str
    series: list[int]
    calls: int


def run_metrics(db: sqlite3.Connection | None, query: MetricsQuery, now_s: float) -> dict[str, object]:
    """The answer.

    Args:
        db: The store, None when there is none yet.
        query: The question.
        now_s: Unix time.

    Raises:
        BadQueryError: The range is none, or has too many steps.
    """
    found_meta = {} if db is None else _meta(db)
    kept = Kept(found_meta.get(FROM[MINUTES], 0), found_meta.get(FROM[HOURS], 0))
    span = span_of(query, now_s, kept)
    total = _Points(span)
    groups: list[dict[str, object]] = []
    others = 0
    if db is not None:
        source, labels = _source(db, span, query)
        found = [] if query.split_by is None else _groups(source, labels)
        others = max(0, len(found) - MAX_GROUPS)
        groups = _read(source, found[:MAX_GROUPS], span, total, has_own_total=query.split_by is None)
        if query.split_by is not None:
            _read_total(db, span, query, total)
    return {
        "since": _time(span.since_s),
        "until": _time(span.until_s),
        "step_s": span.step_s,
        "grain": {MINUTE_S: "minute", HOUR_S: "hour", DAY_S: "day"}[span.grain_s],
        "split_by": query.split_by,
        "filters": dict(query.filters),
        "times": [_time(span.since_s + number * span.step_s) for number in range(span.steps)],
        "total": figures(total.whole()),
        "points": columns(total.steps),
        "groups": groups,
        "groups_not_shown": others,
        "reach": reach(db, found_meta),
    }


def _source(
    db: sqlite3.Connection, span: Span, query: MetricsQuery
) -> tuple[_Source, dict[int, tuple[str, ...]]]:
    """Where the answer is, and the labels of its series in the dimension that it is split by."""
    asked = set(query.filters) | ({query.split_by} if query.split_by else set())
    if not asked:
        return _Source(db, span, ALL, list(_series(db, ALL))), {}
    if len(asked) == 1:
        (dimension,) = asked
        wanted = query.filters.get(dimension)
        labels: dict[int, tuple[str, ...]] = {
            series_id: (label,)
            for series_id, label in _series(db, dimension).items()
            if wanted is None or label == wanted
        }
        return _Source(db, span, dimension, list(labels)), labels
    by_set: dict[int, tuple[str, ...]] = {}
    for series_id, text in _series(db, FULL).items():
        one = parse_labels(text)
        if all(value in one.of(name) for name, value in query.filters.items()):
            by_set[series_id] = one.of(query.split_by) if query.split_by else ()
    return _Source(db, span, FULL, list(by_set)), by_set


def _series(db: sqlite3.Connection, dimension: str) -> dict[int, str]:
    return dict(
        db.execute(
            "SELECT id, label FROM series WHERE dimension_id = (SELECT id FROM dimensions WHERE name = ?)",
            (dimension,),
        ).fetchall()
    )


def _groups(source: _Source, labels: Mapping[int, tuple[str, ...]]) -> list[_Group]:
    """The labels with calls, those with most first."""
    series: dict[str, list[int]] = {}
    calls: dict[str, int] = {}
    counted: dict[int, int] = {}
    for series_id, numbers in source.totals():
        counted[series_id] = counted.get(series_id, 0) + int(numbers[0])
    for series_id, count in counted.items():
        for label in labels.get(series_id, ()):
            series.setdefault(label, []).append(series_id)
            calls[label] = calls.get(label, 0) + count
    found = [_Group(label, ids, calls[label]) for label, ids in series.items()]
    return sorted(found, key=lambda group: (-group.calls, group.label))


def _read(
    source: _Source, groups: Sequence[_Group], span: Span, total: _Points, *, has_own_total: bool
) -> list[dict[str, object]]:
    """The figures of each group; without any, of all there is into *total*."""
    if has_own_total:
        for _series_id, at_s, found in source.rows(None):
            total.add(at_s, found)
        return []
    points = [_Points(span, has_steps=number < CHARTED) for number in range(len(groups))]
    for some, read in (
        (slice(CHARTED), source.rows),
        (slice(CHARTED, None), source.whole_rows),
    ):
        places: dict[int, list[_Points]] = {}
        for group, of_group in zip(groups[some], points[some], strict=True):
            for series_id in group.series:
                places.setdefault(series_id, []).append(of_group)
        for series_id, at_s, found in read(list(places)) if places else ():
            for of_group in places.get(series_id, ()):
                of_group.add(at_s, found)
    return [
        {
            "label": group.label,
            "total": figures(of_group.whole()),
            "points": columns(of_group.steps) if of_group.steps else None,
        }
        for group, of_group in zip(groups, points, strict=True)
    ]


def _read_total(db: sqlite3.Connection, span: Span, query: MetricsQuery, total: _Points) -> None:
    """What all groups are part of: a call with no label in the split, or two teams, counts once."""
    whole = MetricsQuery(filters=query.filters)
    source, _labels = _source(db, span, whole)
    _read(source, (), span, total, has_own_total=True)


class _Points:
    """Sums of a range, and of each of its steps."""

    def __init__(self, span: Span, *, has_steps: bool = True) -> None:
        self.steps: list[Sums | None] = [None] * span.steps if has_steps else []
        self._span = span
        self._whole = Sums()

    def add(self, at_s: int, found: Sequence[object]) -> None:
        """Count a row."""
        if not self.steps:
            self._whole.add_columns(found)
            return
        number = (at_s - self._span.since_s) // self._span.step_s
        step = self.steps[number]
        if step is None:
            step = self.steps[number] = Sums()
        step.add_columns(found)

    def whole(self) -> Sums:
        """Of the whole range."""
        if not self.steps:
            return self._whole
        whole = Sums()
        for step in self.steps:
            if step is not None:
                whole.add(step)
        return whole


def figures(sums: Sums) -> dict[str, object]:
    """What is told of some calls; shares and percentiles are null where there is nothing to take them of."""
    return {
        "requests": sums.calls,
        "errors": sums.errors,
        "error_ratio": round(sums.errors / sums.calls, 6) if sums.calls else None,
        "latency_ms": _durations(sums.latencies, sums.latency_max_ms)
        | {"mean": _rounded(sums.latency_sum_ms / sums.calls) if sums.calls else None}
        | {"max": _rounded(sums.latency_max_ms) if sums.calls else None},
        "first_token_ms": _durations(sums.first_tokens),
        "output_token_ms": _durations(sums.output_gaps),
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cached_input_tokens": sums.cached_tokens,
        "cost_usd": round(sums.cost_usd, 9),
    }


def _durations(found: Histogram, max_ms: float = math.inf) -> dict[str, object]:
    values = percentiles_ms(found.counts, QUANTILES.values(), max_ms=max_ms)
    shown: dict[str, object] = {
        name: None if value is None else _rounded(value)
        for name, value in zip(QUANTILES, values, strict=True)
    }
    return {"count": sum(found.counts.values()), **shown}


def _rounded(value_ms: float) -> float:
    return round(value_ms, 3)


_NOTHING: Final = figures(Sums())


def columns(steps: Sequence[Sums | None]) -> dict[str, object]:
    """Figures of each step as a list for each figure, as charts take them."""
    of_each = [_NOTHING if step is None else figures(step) for step in steps]
    told: dict[str, object] = {}
    for name, example in _NOTHING.items():
        values = [found[name] for found in of_each]
        told[name] = _inner(values) if isinstance(example, dict) else values
    return told


def _inner(values: Sequence[object]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for value in values:
        assert isinstance(value, dict)  # noqa: S101 - says it to the type checker
        for name, inner in value.items():
            found.setdefault(name, []).append(inner)
    return found


def _meta(db: sqlite3.Connection) -> dict[str, int]:
    return dict(db.execute("SELECT name, value FROM meta"))


def reach(db: sqlite3.Connection | None, meta: Mapping[str, int]) -> dict[str, str | int | None]:
    """Since when there are traces, and sums; and how many sums had to go before they were old."""
    names = ("traces_since", "metrics_since", "hours_since", "minutes_since")
    if db is None:
        return {**dict.fromkeys(names), "sums_dropped": 0}
    oldest_ns = db.execute("SELECT min(start_ns) FROM calls WHERE is_call = 1").fetchone()[0]
    found = db.execute(
        "SELECT id, dimension_id FROM series WHERE label = '' AND dimension_id = "
        "(SELECT id FROM dimensions WHERE name = ?)",
        (ALL,),
    ).fetchone()
    series_id, dimension_id = found or (0, 0)
    days, hours = (
        db.execute(f"SELECT min(at_s) FROM {table} WHERE series_id = ?", (series_id,)).fetchone()[0]  # noqa: S608 - own text
        for table in (DAYS, HOURS)
    )
    minutes = db.execute("SELECT min(at_s) FROM minutes WHERE dimension_id = ?", (dimension_id,)).fetchone()[
        0
    ]
    since_s = [
        min((at_s for at_s in known if at_s is not None), default=None)
        for known in ((days, hours, minutes), (hours, minutes), (minutes,))
    ]
    times = [None if oldest_ns is None else format_rfc3339(oldest_ns)]
    times += [None if at_s is None else _time(at_s) for at_s in since_s]
    return {**dict(zip(names, times, strict=True)), "sums_dropped": meta.get(DROPPED, 0)}


def _time(at_s: int) -> str:
    return format_rfc3339(at_s * _NS_PER_S)
