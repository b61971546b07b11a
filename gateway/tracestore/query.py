"""What can be asked of the list of calls, and its SQL. Pure.

The parameters are those of `GET /api/traces`; a cursor is the start and the id of the last call shown, so
that calls which arrive meanwhile neither repeat nor hide one.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from gateway.tracestore.timestamps import format_rfc3339, parse_rfc3339_ns

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
_INT64_MAX: Final = 2**63 - 1
_NS_PER_MS: Final = 1_000_000
_MAX_TEXT: Final = 500
_TRACE_ID_HEX: Final = 32
# From so many hex digits on, a search text is meant as a trace id and nothing else.
_SURELY_TRACE_ID_HEX: Final = 16
_HEX: Final = re.compile(r"[0-9a-f]{1,32}", re.ASCII)
_INTEGER: Final = re.compile(r"\d{1,19}", re.ASCII)
_CURSOR: Final = re.compile(r"1\.(\d{1,19})\.(\d{1,19})", re.ASCII)

_COLUMN_NAMES: Final = (
    *("id", "trace_id", "span_id", "name", "start_ns", "end_ns", "status_code", "is_error", "error_type"),
    *("model", "resolved_model", "caller", "attempts", "is_stream", "usage_source", "input_tokens"),
    *("output_tokens", "cost_usd", "span_count"),
)
_COLUMNS: Final = ", ".join(_COLUMN_NAMES)
# The index on start_ns ends with the id, so both this order and the cursor's condition are one walk along it.
_NEWEST_FIRST: Final = "ORDER BY start_ns DESC, id DESC LIMIT :limit"


class BadQueryError(ValueError):
    """A parameter cannot be understood; the message says which and what it may be."""


class Cursor(NamedTuple):
    """The last call of a page."""

    start_ns: int
    call_id: int


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What the caller wants to see. None: not asked for.

    Attributes:
        since_ns: Started at this time or later.
        until_ns: Started before this time.
        model: As asked or as resolved.
        q: Start of a trace id, or a part of a model's name, of a caller's name or of an error, in any case.
    """

    limit: int = DEFAULT_LIMIT
    cursor: Cursor | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    is_error: bool | None = None
    model: str | None = None
    caller: str | None = None
    min_duration_ms: float | None = None
    q: str | None = None


def parse_trace_query(parameters: Iterable[tuple[str, str]]) -> TraceQuery:
    """Read the parameters of `GET /api/traces`. An empty value counts as absent, as forms send it.

    Raises:
        BadQueryError: One of them is unknown, given twice or not understood.
    """
    fields: dict[str, object] = {}
    seen: set[str] = set()
    for name, text in parameters:
        parameter = _PARAMETERS.get(name)
        if parameter is None:
            raise BadQueryError(f"{name[:50]!r} is no parameter; there are {', '.join(_PARAMETERS)}")
        if name in seen:
            raise BadQueryError(f"{name} is given twice")
        seen.add(name)
        if text:
            try:
                fields[parameter.field] = parameter.parse(text)
            except ValueError as error:
                raise BadQueryError(f"{name}: {error}") from error
    return TraceQuery(**fields)  # type: ignore[arg-type]  # each parser gives what its field holds


def _parse_limit(text: str) -> int:
    limit = int(text) if _INTEGER.fullmatch(text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"must be a number from 1 to {MAX_LIMIT}")
    return limit


def _parse_cursor(text: str) -> Cursor:
    try:
        decoded = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error):
        decoded = ""
    match = _CURSOR.fullmatch(decoded)
    cursor = Cursor(int(match[1]), int(match[2])) if match else None
    if cursor is None or max(cursor) > _INT64_MAX:
        raise ValueError("must be the next_cursor of an earlier answer")
    return cursor


def format_cursor(cursor: Cursor) -> str:
    """The opaque text of a cursor."""
    return base64.urlsafe_b64encode(f"1.{cursor.start_ns}.{cursor.call_id}".encode()).decode()


def _parse_time_ns(text: str) -> int:
    return max(-_INT64_MAX, min(parse_rfc3339_ns(text), _INT64_MAX))


def _parse_is_error(text: str) -> bool:
    if text not in {"ok", "error"}:
        raise ValueError("must be ok or error")
    return text == "error"


def _parse_duration_ms(text: str) -> float:
    try:
        duration_ms = float(text)
    except ValueError:
        duration_ms = math.nan
    if not (math.isfinite(duration_ms) and duration_ms >= 0):
        raise ValueError("must be a number of milliseconds, 0 or more")
    return duration_ms


def _parse_text(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"must have at most {_MAX_TEXT} characters")
    return text


class _Parameter(NamedTuple):
    field: str
    parse: Callable[[str], object]


_PARAMETERS: Final = {
    "limit": _Parameter("limit", _parse_limit),
    "cursor": _Parameter("cursor", _parse_cursor),
    "since": _Parameter("since_ns", _parse_time_ns),
    "until": _Parameter("until_ns", _parse_time_ns),
    "status": _Parameter("is_error", _parse_is_error),
    "model": _Parameter("model", _parse_text),
    "caller": _Parameter("caller", _parse_text),
    "min_duration_ms": _Parameter("min_duration_ms", _parse_duration_ms),
    "q": _Parameter("q", _parse_text),
}


@dataclass(slots=True)
class _Conditions:
    """Parts of a WHERE and what they are bound to."""

    parts: list[str] = field(default_factory=lambda: ["is_call = 1"])
    values: dict[str, object] = field(default_factory=dict)

    def add(self, part: str, **values: object) -> None:
        self.parts.append(part)
        self.values.update(values)


def list_sql(query: TraceQuery) -> tuple[str, dict[str, object]]:
    """The SQL of a page and what is bound to it.

    It asks for one call more than the page has, to see whether there is a next page.
    """
    conditions = _Conditions()
    conditions.values["limit"] = query.limit + 1
    if query.cursor is not None:
        conditions.add(
            "start_ns <= :at_ns AND (start_ns < :at_ns OR id < :at_id)",
            at_ns=query.cursor.start_ns,
            at_id=query.cursor.call_id,
        )
    if query.since_ns is not None:
        conditions.add("start_ns >= :since_ns", since_ns=query.since_ns)
    if query.until_ns is not None:
        conditions.add("start_ns < :until_ns", until_ns=query.until_ns)
    if query.is_error is not None:
        # A literal: the index of the calls with errors serves only a condition that is visibly its own.
        conditions.add("is_error = 1" if query.is_error else "is_error = 0")
    if query.caller is not None:
        conditions.add("caller = :caller", caller=query.caller)
    if query.min_duration_ms is not None:
        duration_ns = min(query.min_duration_ms * _NS_PER_MS, float(_INT64_MAX // 2))
        conditions.add("end_ns - start_ns >= :duration_ns", duration_ns=duration_ns)
    if query.q is not None:
        _add_search(conditions, query.q)
    where = " AND ".join(conditions.parts)
    if query.model is None:
        return f"SELECT {_COLUMNS} FROM calls WHERE {where} {_NEWEST_FIRST}", conditions.values  # noqa: S608 - own text
    # Two walks along two indexes; an OR would read every call.
    conditions.values["model"] = query.model
    asked = f"SELECT {_COLUMNS} FROM calls WHERE model = :model AND {where} {_NEWEST_FIRST}"  # noqa: S608 - own text
    only_resolved = f"resolved_model = :model AND resolved_model <> model AND {where}"
    resolved = f"SELECT {_COLUMNS} FROM calls WHERE {only_resolved} {_NEWEST_FIRST}"  # noqa: S608 - own text
    both = f"SELECT * FROM ({asked}) UNION ALL SELECT * FROM ({resolved}) {_NEWEST_FIRST}"  # noqa: S608 - own text
    return both, conditions.values


def _add_search(conditions: _Conditions, q: str) -> None:
    text = q.strip()
    digits = text.lower()
    is_hex = _HEX.fullmatch(digits) is not None
    if is_hex:
        conditions.values["trace_from"] = bytes.fromhex(digits.ljust(_TRACE_ID_HEX, "0"))
        conditions.values["trace_to"] = bytes.fromhex(digits.ljust(_TRACE_ID_HEX, "f"))
    by_trace = "trace_id BETWEEN :trace_from AND :trace_to"
    if is_hex and len(digits) >= _SURELY_TRACE_ID_HEX:
        conditions.add(by_trace)
        return
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    columns = ("model", "resolved_model", "caller", "error_type", "error_text")
    parts = [f"{column} LIKE :q ESCAPE '\\'" for column in columns]
    if is_hex:
        parts.append(by_trace)
    conditions.add(f"({' OR '.join(parts)})", q=f"%{escaped}%")


def call_json(row: Sequence[Any]) -> dict[str, object]:
    """One row of `list_sql` as the API shows it. What is unknown is null."""
    call = dict(zip(_COLUMN_NAMES, row, strict=True))
    start_ns, end_ns = call["start_ns"], call["end_ns"]
    return {
        "trace_id": call["trace_id"].hex(),
        "span_id": call["span_id"].hex(),
        "name": call["name"],
        "started_at": format_rfc3339(start_ns),
        "duration_ms": round(max(0, end_ns - start_ns) / _NS_PER_MS, 3),
        "status_code": call["status_code"],
        "status": "error" if call["is_error"] else "ok",
        "error_type": call["error_type"] or None,
        "model": call["model"] or None,
        "resolved_model": call["resolved_model"] or None,
        "caller": call["caller"] or None,
        "attempts": call["attempts"],
        "is_stream": bool(call["is_stream"]),
        "usage": {
            "input_tokens": call["input_tokens"],
            "output_tokens": call["output_tokens"],
            "source": call["usage_source"] or None,
        },
        "cost_usd": call["cost_usd"],
        "span_count": call["span_count"],
    }


def page_json(rows: Sequence[Sequence[Any]], limit: int) -> dict[str, object]:
    """The answer of `GET /api/traces` out of the rows of `list_sql`."""
    shown = rows[:limit]
    next_cursor = None
    if len(rows) > limit:
        last = dict(zip(_COLUMN_NAMES, shown[-1], strict=True))
        next_cursor = format_cursor(Cursor(last["start_ns"], last["id"]))
    return {"traces": [call_json(row) for row in shown], "next_cursor": next_cursor}
