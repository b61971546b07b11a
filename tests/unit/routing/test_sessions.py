"""What a session is, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gateway.model import TABLE_KEY_BYTES, SessionPlace
from gateway.routing.sessions import Identifier, Sessions, Sticky
from gateway.store.shared_table import table_in_memory
from tests.unit.makers import make_caller, make_facts

USER = Identifier("headers", "X-User")
TENANT = Identifier("metadata", "tenant")
NAMES = ["acct/a", "acct/b"]


class Clock:
    """Unix time in nanoseconds, as far as it was turned."""

    def __init__(self) -> None:
        self.now_ns = 1_776_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def place_of(
    *identifiers: Identifier,
    headers: Mapping[str, str] = {},
    metadata: Mapping[str, str] = {},
    route: str = "vm/chat",
) -> SessionPlace | None:
    sticky = Sticky(route, identifiers, keep_s=60, sessions=Sessions(table_in_memory(buckets=4)))
    return sticky.place_of(make_facts(make_caller(), headers=headers, metadata=metadata))


def test_place_of_a_session() -> None:
    """The values of its identifiers say where it is, however the header's name is written."""
    place = place_of(USER, TENANT, headers={"x-user": "ann"}, metadata={"tenant": "t1"})
    assert place is not None
    assert len(place.key) == TABLE_KEY_BYTES
    assert place.keep_s == 60
    assert place == place_of(USER, TENANT, headers={"x-user": "ann", "x": "y"}, metadata={"tenant": "t1"})


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        pytest.param({"x-user": "ann"}, {}, id="one of two"),
        pytest.param({"x-user": "ann"}, {"tenant": ""}, id="one is empty"),
        pytest.param({}, {"tenant": "t1", "x-user": "ann"}, id="in the wrong place"),
        pytest.param({}, {}, id="none"),
    ],
)
def test_no_session_without_all_identifiers(headers: dict[str, str], metadata: dict[str, str]) -> None:
    """A call that lacks one is part of no session; else all that lack it would be one."""
    assert place_of(USER, TENANT, headers=headers, metadata=metadata) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"a": "ab", "b": "c"}, {"a": "a", "b": "bc"}, id="where a value ends"),
        pytest.param({"a": "x", "b": "y"}, {"a": "y", "b": "x"}, id="order"),
        pytest.param({"a": "x', 'y", "b": "z"}, {"a": "x", "b": "y', 'z"}, id="quotes"),
        pytest.param({"a": "\ud800", "b": "y"}, {"a": "?", "b": "y"}, id="half a character"),
    ],
)
def test_other_values_are_other_sessions(one: dict[str, str], other: dict[str, str]) -> None:
    """Two sessions never share a place."""
    identifiers = Identifier("metadata", "a"), Identifier("metadata", "b")
    assert place_of(*identifiers, metadata=one) != place_of(*identifiers, metadata=other)


def test_other_routes_have_other_sessions() -> None:
    """One user of two virtual models has a session with each."""
    user = {"x-user": "ann"}
    assert place_of(USER, headers=user) != place_of(USER, headers=user, route="vm/other")


def test_kept_for_so_long_after_the_last_call() -> None:
    """Each answer begins the time anew; when it is over the session is new."""
    clock = Clock()
    sessions = Sessions(table_in_memory(buckets=4, now_ns=clock))
    sticky = Sticky("vm/chat", [USER], keep_s=60, sessions=sessions)
    place = sticky.place_of(make_facts(make_caller(), headers={"x-user": "ann"}))
    assert place is not None
    found: list[int | None] = [sticky.kept_at(place, NAMES)]
    for passed_s in (0, 59, 59):
        clock.now_ns += passed_s * 1_000_000_000
        found.append(sticky.kept_at(place, NAMES))
        sessions.keep(place, "acct/b")
    clock.now_ns += 60 * 1_000_000_000
    found.append(sticky.kept_at(place, NAMES))
    assert found == [None, None, 1, 1, None]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["acct/a", "acct/b"], 1), (["acct/b", "acct/a"], 0), (["acct/a"], None), ([], None)],
    ids=["there", "elsewhere in the order", "not among them", "of none"],
)
def test_kept_target_among_those_that_can_be_asked(names: Sequence[str], expected: int | None) -> None:
    """It is found by its name, if it is among them."""
    sessions = Sessions(table_in_memory(buckets=4))
    sticky = Sticky("vm/chat", [USER], keep_s=60, sessions=sessions)
    place = SessionPlace(b"k" * TABLE_KEY_BYTES, 60)
    sessions.keep(place, "acct/b")
    assert sticky.kept_at(place, names) == expected


async def test_heard_of_others() -> None:
    """Other replicas are asked for a session's own place; without any nothing is heard."""
    asked: list[Sequence[bytes]] = []

    class Others:
        async def hear(self, keys: Sequence[bytes]) -> bool:
            asked.append(keys)
            return True

    place = SessionPlace(b"k" * TABLE_KEY_BYTES, 60)
    assert await Sessions(table_in_memory(buckets=4), Others()).hear(place)
    assert asked == [(place.key,)]
    assert not await Sessions(table_in_memory(buckets=4)).hear(place)
