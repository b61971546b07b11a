"""A search in steps back in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.query import Cursor, TraceQuery
from gateway.tracestore.search_back import Page, Rows, search_back

LIMIT = 5


class Calls:
    """Calls with these starts, of which *at_once* may lie in the range of one question."""

    def __init__(self, starts: list[int], at_once: int) -> None:
        self.at = sorted(((start, number) for number, start in enumerate(starts)), reverse=True)
        self._at_once = at_once
        self.asked = 0

    def ask(self, query: TraceQuery) -> Rows | None:
        """The newest of a range, None when too many are in it."""
        self.asked += 1
        assert query.since_ns is not None
        assert query.cursor is not None
        within = [at for at in self.at if query.since_ns <= at[0] and at < query.cursor]
        return None if len({start for start, _ in within}) > self._at_once else within[: query.limit + 1]

    def search(self, query: TraceQuery) -> Page:
        """As the reader does it after it was in vain at once."""
        return search_back(self.ask, query, self.at[-1][0], self.at[0][0])


@given(
    starts=st.lists(st.integers(1, 10_000), min_size=1, max_size=60),
    at_once=st.integers(1, 20),
    limit=st.integers(1, 9),
)
def test_pages_have_every_call_once(starts: list[int], at_once: int, limit: int) -> None:
    """Those that were ended by the time too."""
    calls = Calls(starts, at_once)
    seen: list[tuple[int, int]] = []
    query = TraceQuery(limit=limit)
    for _ in range(200):
        page = calls.search(query)
        seen += page.rows[:limit]
        if len(page.rows) > limit:
            assert page.searched_to_ns is None
            query = TraceQuery(limit=limit, cursor=Cursor(*seen[-1]))
        elif page.searched_to_ns is None:
            break
        else:
            query = TraceQuery(limit=limit, cursor=Cursor(page.searched_to_ns, 0))
    assert seen == calls.at


def test_the_range_that_was_asked_for_is_kept() -> None:
    """And a cursor above it begins at its end."""
    calls = Calls(list(range(100, 200)), 1000)
    page = calls.search(TraceQuery(limit=50, since_ns=110, until_ns=120, cursor=Cursor(10**18, 3)))
    assert [start for start, _ in page.rows] == list(range(119, 109, -1))
    assert page.searched_to_ns is None


def test_what_was_not_looked_at_is_said() -> None:
    """Nothing is left out between what was and that."""
    calls = Calls([*range(1, 2000), 100_000], 700)
    page = calls.search(TraceQuery(limit=900))
    assert page.searched_to_ns is not None
    assert page.rows == [at for at in calls.at if at[0] >= page.searched_to_ns]
    assert len(page.rows) < 900


def test_a_range_without_calls_asks_nothing() -> None:
    """Before the first one."""
    calls = Calls([100], 1)
    assert calls.search(TraceQuery(until_ns=50)) == Page([])
    assert calls.asked == 0
