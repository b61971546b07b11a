"""What can be asked of the list of calls. Pure; its SQL is in `list_sql`.

The parameters are those of `GET /api/traces`; a cursor is the start and the id of the last call shown, so
that calls which arrive meanwhile neither repeat nor hide one.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway.tracestore.rollup import METADATA_PREFIX
from gateway.tracestore.timestamps import format_rfc3339, parse_rfc3339_ns

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 1000
_INT64_MAX: Final = 2**63 - 1
_NS_PER_MS: Final = 1_000_000
_MAX_TEXT: Final = 500
MAX_MEMBERS: Final = 4
"""Members of metadata that one search may name."""

_CODE: Final = re.compile(r"[1-5]\d\d", re.ASCII)
_INTEGER: Final = re.compile(r"\d{1,19}", re.ASCII)
_CURSOR: Final = re.compile(r"1\.(\d{1,19})\.(\d{1,19})", re.ASCII)

COLUMN_NAMES: Final = (
    *("id", "trace_id", "span_id", "name", "start_ns", "end_ns", "status_code", "is_error", "error_type"),
    *("model", "resolved_model", "caller", "attempts", "is_stream", "usage_source", "input_tokens"),
    *("output_tokens", "cost_usd", "span_count"),
)


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
        q: Start of a trace id (four digits or more), or a part of the name of a model, caller or team, of an
            error or of a value of metadata, in any case.
        asked: The model as asked.
        target: The model as resolved.
        user: The caller, a user.
        virtual_account: The caller, a virtual account.
        metadata: Keys and values, all of which a call must have.
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
    asked: str | None = None
    target: str | None = None
    user: str | None = None
    virtual_account: str | None = None
    team: str | None = None
    error_type: str | None = None
    status_code: int | None = None
    max_duration_ms: float | None = None
    min_cost_usd: float | None = None
    max_cost_usd: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()


def parse_trace_query(parameters: Iterable[tuple[str, str]]) -> TraceQuery:
    """Read the parameters of `GET /api/traces`. An empty value counts as absent, as forms send it.

    Raises:
        BadQueryError: One of them is unknown, given twice or not understood.
    """
    fields: dict[str, object] = {}
    seen: set[str] = set()
    metadata: list[tuple[str, str]] = []
    for name, text in parameters:
        parameter = _PARAMETERS.get(name)
        if name in seen:
            raise BadQueryError(f"{name[:50]} is given twice")
        seen.add(name)
        is_member = name.startswith(METADATA_PREFIX) and len(metadata) < MAX_MEMBERS
        if parameter is None and not is_member:
            raise BadQueryError(
                f"{name[:50]!r} is no parameter; there are {', '.join(_PARAMETERS)}, and metadata.<key>, of"
                f" which {MAX_MEMBERS} may be given"
            )
        if not text:
            continue
        try:
            if parameter is None:
                metadata.append((_parse_text(name.removeprefix(METADATA_PREFIX)), _parse_text(text)))
                continue
            found = parameter.parse(text)
        except ValueError as error:
            raise BadQueryError(f"{name[:50]}: {error}") from error
        # A status is a word or a code.
        is_code = name == "status" and not isinstance(found, bool)
        fields["status_code" if is_code else parameter.field] = found
    return TraceQuery(**fields, metadata=tuple(metadata))  # type: ignore[arg-type]  # each parser gives what its field holds


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


def _parse_status(text: str) -> bool | int:
    if _CODE.fullmatch(text):
        return int(text)
    if text not in {"ok", "error"}:
        raise ValueError("must be ok, error or a status code")
    return text == "error"


def _parse_duration_ms(text: str) -> float:
    try:
        duration_ms = float(text)
    except ValueError:
        duration_ms = math.nan
    if not (math.isfinite(duration_ms) and duration_ms >= 0):
        raise ValueError("must be a number of milliseconds, 0 or more")
    return duration_ms


def _parse_usd(text: str) -> float:
    try:
        return _parse_duration_ms(text)
    except ValueError:
        raise ValueError("must be a number of USD, 0 or more") from None


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
    "status": _Parameter("is_error", _parse_status),
    "model": _Parameter("model", _parse_text),
    "caller": _Parameter("caller", _parse_text),
    "min_duration_ms": _Parameter("min_duration_ms", _parse_duration_ms),
    "q": _Parameter("q", _parse_text),
    "asked": _Parameter("asked", _parse_text),
    "target": _Parameter("target", _parse_text),
    "user": _Parameter("user", _parse_text),
    "virtual_account": _Parameter("virtual_account", _parse_text),
    "team": _Parameter("team", _parse_text),
    "error_type": _Parameter("error_type", _parse_text),
    "max_duration_ms": _Parameter("max_duration_ms", _parse_duration_ms),
    "min_cost_usd": _Parameter("min_cost_usd", _parse_usd),
    "max_cost_usd": _Parameter("max_cost_usd", _parse_usd),
}


def call_json(row: Sequence[Any]) -> dict[str, object]:
    """One row of `list_sql` as the API shows it. What is unknown is null."""
    call = dict(zip(COLUMN_NAMES, row, strict=True))
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


def page_json(
    rows: Sequence[Sequence[Any]], limit: int, searched_to_ns: int | None = None
) -> dict[str, object]:
    """The answer of `GET /api/traces` out of the rows of `list_sql`.

    Args:
        rows: At most one more than *limit*.
        limit: Of the page.
        searched_to_ns: What started before this was not looked at, if it is known that some was not.
    """
    shown = rows[:limit]
    next_cursor = None
    if len(rows) > limit:
        last = dict(zip(COLUMN_NAMES, shown[-1], strict=True))
        next_cursor = format_cursor(Cursor(last["start_ns"], last["id"]))
    elif searched_to_ns is not None:
        next_cursor = format_cursor(Cursor(searched_to_ns, 0))
    return {
        "traces": [call_json(row) for row in shown],
        "next_cursor": next_cursor,
        "searched_back_to": None if searched_to_ns is None else format_rfc3339(searched_to_ns),
    }
