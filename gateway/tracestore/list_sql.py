"""The SQL of a page of the list of calls. Pure.

A page is a walk along one index, newest first, that ends when the page is full: the index of the filter that
is likely to leave the fewest calls. Where calls are found in several places (a model as asked and as
resolved, several texts, several classes of latency) there is a walk for each and the newest of all are shown.
The other filters are looked at call by call on the way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tracestore.query import COLUMN_NAMES, TraceQuery
from gateway.tracestore.records import LAST_COST_CLASS, LAST_LATENCY_CLASS, cost_class, latency_class
from gateway.tracestore.rollup import METADATA_PREFIX, VIRTUAL_ACCOUNT
from gateway.tracestore.texts import CALLER, ERROR_TYPE, MODEL, TARGET, TEAM, Text, like_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_MATCHES: Final = 64
"""Texts that a search walks along; when more match, so do so many calls that all are looked at."""

_INT64_MAX: Final = 2**63 - 1
_NS_PER_MS: Final = 1_000_000
_TRACE_ID_HEX: Final = 32
# From so many hex digits on, a search text is meant as a trace id and nothing else.
_SURELY_TRACE_ID_HEX: Final = 16
# What begins with fewer than four is a good part of all calls.
_HEX: Final = re.compile(r"[0-9a-f]{4,32}", re.ASCII)
_CLIENT_ERROR: Final = 400
_LEFT: Final = 499
_ONLY_RESOLVED: Final = "calls.resolved_model = :{name} AND calls.resolved_model <> calls.model"
# What is quicker is most calls: they are met soon by looking at all.
_LEAST_LATENCY_CLASS: Final = latency_class(2 * _NS_PER_MS)
_COLUMNS: Final = ", ".join(f"calls.{name}" for name in COLUMN_NAMES)
_NEWEST_FIRST: Final = "ORDER BY start_ns DESC, id DESC LIMIT :limit"
_WITH_TEXT: Final = (
    "call_texts CROSS JOIN calls ON calls.id = call_texts.call_id AND calls.start_ns = call_texts.start_ns"
)
_HAS_TEXT: Final = (
    "EXISTS (SELECT 1 FROM call_texts WHERE text_id = :{name} AND start_ns = calls.start_ns"
    " AND call_id = calls.id)"
)


class Found(NamedTuple):
    """What the search has been found to mean, before the calls are looked for.

    Attributes:
        ids: Of the texts that are filters; one that is not there is of no call.
        matches: Id, field and value of the texts that `q` is in, None when there are too many.
    """

    ids: Mapping[Text, int] = {}
    matches: Sequence[tuple[int, str, str]] | None = None


class _Walk(NamedTuple):
    """One way along calls, newest first."""

    source: str
    where: str
    start: str = "calls.start_ns"
    call_id: str = "calls.id"


@dataclass(slots=True)
class _Conditions:
    """Parts of a WHERE and what they are bound to."""

    parts: list[str] = field(default_factory=lambda: ["calls.is_call = 1"])
    values: dict[str, object] = field(default_factory=dict)

    def add(self, part: str, **values: object) -> None:
        self.parts.append(part)
        self.values.update(values)


def wanted_texts(query: TraceQuery) -> list[Text]:
    """The texts that calls must have, most telling first."""
    wanted = [Text(METADATA_PREFIX + key, value) for key, value in query.metadata]
    wanted += [
        Text(name, value)
        for name, value in ((ERROR_TYPE, query.error_type), (TEAM, query.team))
        if value is not None
    ]
    return wanted


def needs_matches(query: TraceQuery) -> bool:
    """Whether the texts that `q` is in are to be looked for."""
    return query.q is not None and not _is_surely_trace(query.q)


def list_sql(query: TraceQuery, found: Found | None = None) -> tuple[str, dict[str, object]]:
    """The SQL of a page and what is bound to it.

    It asks for one call more than the page has, to see whether there is a next page.
    """
    known = found or Found()
    conditions = _conditions(query, known)
    conditions.values["limit"] = query.limit + 1
    walks = _walks(query, known, conditions)
    parts = [_walk_sql(query, walk, conditions) for walk in walks]
    if len(parts) == 1:
        return parts[0], conditions.values
    # A call may be found by more than one text.
    union = " UNION ".join([f"SELECT * FROM ({part})" for part in parts])  # noqa: S608 - own text
    return f"SELECT * FROM ({union}) {_NEWEST_FIRST}", conditions.values  # noqa: S608 - own text


def tail_sql(query: TraceQuery, found: Found, after_id: int, most: int) -> tuple[str, dict[str, object]]:
    """The SQL of what was stored after the call *after_id*, oldest first; ids come before the columns."""
    conditions = _conditions(query, found)
    _add_times(query, conditions)
    if query.q is not None:
        _add_search(query.q, conditions)
    conditions.add("calls.id > :after_id", after_id=after_id)
    conditions.values["limit"] = most
    where = " AND ".join(conditions.parts)
    sql = f"SELECT {_COLUMNS} FROM calls NOT INDEXED WHERE {where} ORDER BY calls.id LIMIT :limit"  # noqa: S608 - own text
    return sql, conditions.values


def _walk_sql(query: TraceQuery, walk: _Walk, conditions: _Conditions) -> str:
    times = []
    start = walk.start
    if query.cursor is not None:
        conditions.values |= {"at_ns": query.cursor.start_ns, "at_id": query.cursor.call_id}
        times.append(f"{start} <= :at_ns AND ({start} < :at_ns OR {walk.call_id} < :at_id)")
    if query.since_ns is not None:
        conditions.values["since_ns"] = query.since_ns
        times.append(f"{start} >= :since_ns")
    if query.until_ns is not None:
        conditions.values["until_ns"] = query.until_ns
        times.append(f"{start} < :until_ns")
    where = " AND ".join([part for part in (walk.where, *times, *conditions.parts) if part])
    order = f"ORDER BY {start} DESC, {walk.call_id} DESC LIMIT :limit"
    return f"SELECT {_COLUMNS} FROM {walk.source} WHERE {where} {order}"  # noqa: S608 - own text


def _add_times(query: TraceQuery, conditions: _Conditions) -> None:
    if query.since_ns is not None:
        conditions.add("calls.start_ns >= :since_ns", since_ns=query.since_ns)
    if query.until_ns is not None:
        conditions.add("calls.start_ns < :until_ns", until_ns=query.until_ns)


# Which way.


def _walks(query: TraceQuery, found: Found, conditions: _Conditions) -> list[_Walk]:
    """The ways along the index of the filter that is likely to leave the fewest calls."""
    if query.q is not None and _is_surely_trace(query.q):
        _bind_trace(query.q, conditions)
        return [_Walk("calls INDEXED BY calls_by_trace", _BY_TRACE)]
    walks = [_text_walk("text_0")] if wanted_texts(query) else _label_walks(query)
    if not walks and query.q is not None and found.matches is not None:
        walks = _match_walks(query.q, found.matches, conditions)
    elif query.q is not None:
        _add_search(query.q, conditions)
    if not walks and (query.is_error or (query.status_code or 0) >= _CLIENT_ERROR):
        walks = _error_walks(query)
    return walks or _class_walks(query) or [_Walk("calls INDEXED BY calls_by_start", "")]


def _label_walks(query: TraceQuery) -> list[_Walk]:
    if query.user is not None or query.virtual_account is not None or query.caller is not None:
        return [_Walk("calls INDEXED BY calls_by_caller", "")]
    if query.target is not None:
        return _target_walks("target")
    if query.asked is not None:
        return [_Walk("calls INDEXED BY calls_by_model", "")]
    if query.model is not None:
        return [
            _Walk("calls INDEXED BY calls_by_model", "calls.model = :model"),
            _Walk("calls INDEXED BY calls_by_resolved_model", _ONLY_RESOLVED.format(name="model")),
        ]
    return []


def _error_walks(query: TraceQuery) -> list[_Walk]:
    # A caller that left is no error, so it is not in that index.
    if query.status_code == _LEFT:
        return [_Walk("calls INDEXED BY calls_by_start", "")]
    return [_Walk("calls INDEXED BY calls_with_error", "calls.is_error = 1")]


def _text_walk(name: str) -> _Walk:
    return _Walk(_WITH_TEXT, f"call_texts.text_id = :{name}", "call_texts.start_ns", "call_texts.call_id")


def _target_walks(name: str) -> list[_Walk]:
    return [
        _Walk("calls INDEXED BY calls_by_model", f"calls.model = :{name} AND calls.resolved_model = :{name}"),
        _Walk("calls INDEXED BY calls_by_resolved_model", _ONLY_RESOLVED.format(name=name)),
    ]


def _match_walks(q: str, matches: Sequence[tuple[int, str, str]], conditions: _Conditions) -> list[_Walk]:
    walks: list[_Walk] = []
    for number, (text_id, name, value) in enumerate(matches):
        bound = f"match_{number}"
        conditions.values[bound] = value if name in {MODEL, TARGET, CALLER} else text_id
        if name == MODEL:
            walks.append(_Walk("calls INDEXED BY calls_by_model", f"calls.model = :{bound}"))
        elif name == TARGET:
            walks.append(_target_walks(bound)[1])
        elif name == CALLER:
            walks.append(_Walk("calls INDEXED BY calls_by_caller", f"calls.caller = :{bound}"))
        else:
            walks.append(_text_walk(bound))
    if _bind_trace(q, conditions):
        walks.append(_Walk("calls INDEXED BY calls_by_trace", _BY_TRACE))
    return walks or [_Walk("calls", "0")]


def _class_walks(query: TraceQuery) -> list[_Walk]:
    """A walk for each class of latency or cost that there may be, none when most calls are wanted."""
    if query.min_cost_usd:
        first, last = cost_class(query.min_cost_usd), LAST_COST_CLASS
        if query.max_cost_usd is not None:
            last = cost_class(query.max_cost_usd)
        # -1: of a file of before there were classes.
        wanted = [-1, *range(max(1, first), last + 1)]
        return [
            _Walk("calls INDEXED BY calls_by_cost", f"calls.cost_class = {number} AND calls.cost_class <> 0")
            for number in wanted
        ]
    if query.min_duration_ms is None:
        return []
    first, last = latency_class(_ns(query.min_duration_ms)), LAST_LATENCY_CLASS
    if first < _LEAST_LATENCY_CLASS:
        return []
    if query.max_duration_ms is not None:
        last = latency_class(_ns(query.max_duration_ms))
    index = "calls INDEXED BY calls_by_latency"
    walks = [_Walk(index, f"calls.latency_class = {number}") for number in range(first, last + 1)]
    return [*walks, _Walk(index, "calls.latency_class IS NULL")]


# What each call is asked.

_BY_TRACE: Final = "calls.trace_id BETWEEN :trace_from AND :trace_to"


def _conditions(query: TraceQuery, found: Found) -> _Conditions:
    conditions = _Conditions()
    _add_texts(query, found, conditions)
    if query.is_error is not None:
        # A literal: the index of the calls with errors serves only a condition that is visibly its own.
        conditions.add("calls.is_error = 1" if query.is_error else "calls.is_error = 0")
    if query.status_code is not None:
        conditions.add("calls.status_code = :status_code", status_code=query.status_code)
    _add_callers(query, conditions)
    if query.model is not None:
        conditions.add("(calls.model = :model OR calls.resolved_model = :model)", model=query.model)
    if query.asked is not None:
        conditions.add("calls.model = :asked", asked=query.asked)
    if query.target is not None:
        conditions.add("calls.resolved_model = :target", target=query.target)
    _add_bounds(query, conditions)
    return conditions


def _add_texts(query: TraceQuery, found: Found, conditions: _Conditions) -> None:
    for number, text in enumerate(wanted_texts(query)):
        name = f"text_{number}"
        # No text has the id 0.
        conditions.add(_HAS_TEXT.format(name=name), **{name: found.ids.get(text, 0)})


def _add_callers(query: TraceQuery, conditions: _Conditions) -> None:
    if query.caller is not None:
        conditions.add("calls.caller = :caller", caller=query.caller)
    if query.user is not None:
        conditions.add("calls.caller = :user AND calls.caller_kind = 'user'", user=query.user)
    if query.virtual_account is not None:
        # A file of before callers had kinds says nothing of them.
        conditions.add(
            "calls.caller = :virtual_account AND calls.caller_kind <> 'user'",
            **{VIRTUAL_ACCOUNT: query.virtual_account},
        )


def _add_bounds(query: TraceQuery, conditions: _Conditions) -> None:
    took = "calls.end_ns - calls.start_ns"
    if query.min_duration_ms is not None:
        conditions.add(f"{took} >= :min_ns", min_ns=_ns(query.min_duration_ms))
    if query.max_duration_ms is not None:
        conditions.add(f"{took} <= :max_ns", max_ns=_ns(query.max_duration_ms))
    if query.min_cost_usd is not None:
        conditions.add("calls.cost_usd >= :min_usd", min_usd=query.min_cost_usd)
    if query.max_cost_usd is not None:
        conditions.add("calls.cost_usd <= :max_usd", max_usd=query.max_cost_usd)


def _ns(duration_ms: float) -> int:
    return int(min(duration_ms * _NS_PER_MS, float(_INT64_MAX // 2)))


def _is_surely_trace(q: str) -> bool:
    text = q.strip().lower()
    return len(text) >= _SURELY_TRACE_ID_HEX and _HEX.fullmatch(text) is not None


def _add_search(q: str, conditions: _Conditions) -> None:
    columns = ("model", "resolved_model", "caller", "error_type", "error_text", "teams", "metadata")
    parts = [f"calls.{column} LIKE :q ESCAPE '\\'" for column in columns]
    if _bind_trace(q, conditions):
        parts.append(_BY_TRACE)
    conditions.add(f"({' OR '.join(parts)})", q=like_pattern(q.strip()))


def _bind_trace(q: str, conditions: _Conditions) -> bool:
    """Bind the trace ids that begin with *q*; whether it can be the beginning of one."""
    digits = q.strip().lower()
    if _HEX.fullmatch(digits) is None:
        return False
    conditions.values["trace_from"] = bytes.fromhex(digits.ljust(_TRACE_ID_HEX, "0"))
    conditions.values["trace_to"] = bytes.fromhex(digits.ljust(_TRACE_ID_HEX, "f"))
    return True
