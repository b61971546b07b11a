"""A search that takes too long at once, made in steps back in time, as far as it comes.

Pure. Most searches walk along an index and are done in a millisecond. One whose filters are common each and
rare together may have to look at every call: it is answered with what was found so far, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

from gateway.tracestore.query import Cursor, TraceQuery

Rows = list[Any]
# Of the whole range. A step is twice as long as the one before, and a sixteenth when it was too long.
_FIRST_PART: Final = 256
_GROWTH: Final = 2
_SHRINKAGE: Final = 16


class Page(NamedTuple):
    """Calls found, the newest first, at most one more than asked for.

    Attributes:
        searched_to_ns: Nothing that started before this was looked at; None: all was, or the page is full.
    """

    rows: Rows
    searched_to_ns: int | None = None


def search_back(
    ask: Callable[[TraceQuery], Rows | None], query: TraceQuery, oldest_ns: int, newest_ns: int
) -> Page:
    """The calls of *query* between the oldest and the newest one there is.

    Args:
        ask: Gives the rows of a query, None when there was no time for it. At the first step of all it must
            give them for a range that is short enough.
        query: What is wanted.
        oldest_ns: Start of the first call.
        newest_ns: Start of the last one.
    """
    since_ns = max(oldest_ns, query.since_ns or oldest_ns)
    until_ns = newest_ns + 1 if query.until_ns is None else min(query.until_ns, newest_ns + 1)
    before = query.cursor or Cursor(until_ns, 0)
    if before.start_ns > until_ns:
        before = Cursor(until_ns, 0)
    step_ns = max(1, (before.start_ns - since_ns) // _FIRST_PART)
    rows: Rows = []
    has_moved = False
    while before > (since_ns, 0) and len(rows) <= query.limit:
        from_ns = max(since_ns, before.start_ns - step_ns)
        part = replace(query, since_ns=from_ns, cursor=before, limit=query.limit - len(rows))
        found = ask(part)
        if found is not None:
            rows += found
            before = Cursor(from_ns, 0)
            step_ns *= _GROWTH
            has_moved = True
        elif has_moved:
            return Page(rows, before.start_ns)
        else:
            step_ns = max(1, step_ns // _SHRINKAGE)
    return Page(rows)
