"""Objects find back to the account that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from gateway.errors import AccountNotAllowed
from gateway.model import Caller, Table
from gateway.routing.stored import Origin, StoredObjects, fingerprint, is_object_id
from gateway.store.shared_table import table_in_memory
from tests.unit.makers import make_caller, make_target

APP = make_caller("acct/small", name="app")
DAY_NS = 86_400_000_000_000


class Clock:
    """Unix time in nanoseconds, as far as it was turned."""

    def __init__(self) -> None:
        self.now_ns = 1_776_000_000_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def test_found_by_any_of_its_names() -> None:
    """The first that is known of what is asked for, with its account, its model and its maker."""
    stored = StoredObjects(table_in_memory(buckets=4))
    stored.made("resp_1", make_target("acct/small"), APP)
    expected = Origin(fingerprint("acct"), fingerprint("acct/small"), fingerprint("app"))
    assert stored.find(("responses", "resp_1", "input_items")) == expected
    assert stored.find(("responses", "resp_2")) is None


@pytest.mark.parametrize("word", ["files", "", "x_" * 100])
def test_what_is_no_id(word: str) -> None:
    """A word could stand in any path, and a long text be anything."""
    stored = StoredObjects(table_in_memory(buckets=4))
    stored.made(word, make_target(), APP)
    assert not is_object_id(word)
    assert stored.find((word,)) is None


@pytest.mark.parametrize(("object_id", "days"), [("resp_1", 31), ("file-1", 366), ("batch_1", 366)])
def test_how_long(object_id: str, days: int) -> None:
    """Responses as long as OpenAI keeps them, the rest for a year."""
    clock = Clock()
    stored = StoredObjects(table_in_memory(buckets=4, now_ns=clock))
    stored.made(object_id, make_target(), APP)
    clock.now_ns += days * DAY_NS - 1
    assert stored.find((object_id,)) is not None
    clock.now_ns += 1
    assert stored.find((object_id,)) is None


def test_parts_are_first_to_go() -> None:
    """Parts of replies are many: they are known for a week, whatever their ids look like."""
    clock = Clock()
    stored = StoredObjects(table_in_memory(buckets=4, now_ns=clock))
    for name in ("rs_1", "resp_1"):
        stored.made_part(name, make_target(), APP)
    clock.now_ns += 7 * DAY_NS - 1
    assert stored.find(("rs_1",)) is not None
    clock.now_ns += 1
    assert stored.find(("rs_1", "resp_1")) is None


@pytest.mark.parametrize(
    ("caller", "may"),
    [
        (APP, True),
        (make_caller("acct/small", name="other"), False),
        (Caller("whole", frozenset(), frozenset({"acct"})), True),
        (Caller("elsewhere", frozenset(), frozenset({"spare"})), False),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_who_may_have_it(caller: Caller, *, may: bool) -> None:
    """Who made it, and who has the right to the whole account; the right to a model is not enough."""
    origin = Origin(fingerprint("acct"), fingerprint("acct/small"), fingerprint("app"))
    if may:
        origin.check_maker(caller, "acct")
    else:
        with pytest.raises(AccountNotAllowed) as caught:
            origin.check_maker(caller, "acct")
        assert caller.name in caught.value.message


def test_ids_and_names_are_not_kept() -> None:
    """The table is given hashes alone."""
    given: list[bytes] = []

    class Spy:
        def put(self, key: bytes, value: bytes, *, keep_s: int) -> None:
            given.extend((key, value))

        def find(self, key: bytes) -> bytes | None:
            given.append(key)
            return None

    StoredObjects(Spy()).made("resp_1", make_target("acct/small"), APP)
    assert {len(each) for each in given} == {16, 24}
    assert not any(word in b"".join(given) for word in (b"resp", b"acct", b"small", b"app"))


def test_first_maker_stays() -> None:
    """Another caller's reply with the same id changes nothing; the maker's own is newer and counts."""
    stored = StoredObjects(table_in_memory(buckets=4))
    stored.made("resp_1", make_target("acct/small"), APP)
    stored.made("resp_1", make_target("spare/small"), make_caller(name="other"))
    found = stored.find(("resp_1",))
    assert found is not None
    assert (found.account, found.maker) == (fingerprint("acct"), fingerprint("app"))
    stored.made("resp_1", make_target("spare/small"), APP)
    found = stored.find(("resp_1",))
    assert found is not None
    assert found.account == fingerprint("spare")


class Others:
    """What other replicas know, put into a table when it is asked for."""

    def __init__(self, table: Table, known: Mapping[bytes, bytes]) -> None:
        self.asked: list[int] = []
        self._table = table
        self._known = known

    async def hear(self, keys: Sequence[bytes]) -> bool:
        self.asked.append(len(keys))
        for key in keys:
            if key in self._known:
                self._table.put(key, self._known[key], keep_s=60)
        return not self._known.keys().isdisjoint(keys)


class Noting:
    """Notes what is put into it."""

    def __init__(self) -> None:
        self.noted: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes, *, keep_s: int) -> None:
        assert keep_s > 0
        self.noted[key] = value

    def find(self, key: bytes) -> bytes | None:
        return self.noted.get(key)


async def test_heard_of_others() -> None:
    """What another replica has noted is found once it was asked for; what is no id is not asked for."""
    elsewhere = Noting()
    StoredObjects(elsewhere).made("resp_1", make_target("acct/small"), APP)
    table = table_in_memory(buckets=4)
    others = Others(table, elsewhere.noted)
    stored = StoredObjects(table, others)
    assert stored.is_shared
    assert not await stored.hear(["responses", "files"])
    assert not await stored.hear(["resp_2"])
    assert stored.find(("resp_1",)) is None
    assert await stored.hear(["responses", "resp_1"])
    found = stored.find(("resp_1",))
    assert found is not None
    assert found.is_of(APP)
    assert others.asked == [1, 1]
    await stored.hear([f"resp_{number}" for number in range(1000)])
    assert others.asked[-1] == 64, "a question has a bound"


async def test_nobody_to_ask() -> None:
    """Without replicas nothing is heard."""
    stored = StoredObjects(table_in_memory(buckets=4))
    assert not stored.is_shared
    assert not await stored.hear(["resp_1"])
