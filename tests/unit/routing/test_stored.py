"""Objects find back to the account that made them."""

from __future__ import annotations

from gateway.routing.stored import StoredObjects
from tests.unit.makers import make_target


def test_found_by_any_path() -> None:
    """The id may stand anywhere in the path."""
    stored = StoredObjects()
    stored.made("resp_1", make_target("acct/small"))
    assert stored.find("/responses/resp_1/input_items") == ("acct", "acct/small")
    assert stored.find("/responses/resp_2") is None


def test_only_the_newest() -> None:
    """Their number is bounded, one that was made again is new."""
    stored = StoredObjects(max_objects=2)
    for name in ("f-1", "f-2", "f-1", "f-3"):
        stored.made(name, make_target())
    assert [name for name in ("f-1", "f-2", "f-3") if stored.find(f"/files/{name}")] == ["f-1", "f-3"]


def test_what_is_no_id() -> None:
    """A word could stand in any path, and a long text fill the memory."""
    stored = StoredObjects()
    for name in ("files", "", "x_" * 100):
        stored.made(name, make_target())
        assert stored.find(f"/{name}") is None
