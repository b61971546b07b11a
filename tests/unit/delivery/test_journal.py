"""The journal: the last whole record of each destination is what is known after any end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery import journal as journals
from gateway.delivery.journal import Entry, Journal

ENTRIES = st.builds(
    Entry,
    st.integers(0, 1 << 62),
    st.dictionaries(st.sampled_from(["exported", "rejected"]), st.integers(0, 1 << 40)),
    st.dictionaries(st.text(max_size=20), st.integers(0, 1 << 40)),
    st.integers(0, 1 << 20),
    st.booleans(),
)


@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b", "\u00e9\n"]), st.none() | ENTRIES), max_size=20))
def test_what_is_noted_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Entry | None]]
) -> None:
    """Any names and counts; the last word counts, and a destination that is no more is gone."""
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder)
    known: dict[str, Entry] = {}
    for name, entry in steps:
        journal.note(name, entry)
        known.pop(name, None)
        if entry is not None:
            known[name] = entry
    journal.close()
    again = Journal(folder)
    there = {name: entry for name, entry in known.items() if not entry.is_retired}
    assert {name: again.find(name) for name in again.names()} == there
    assert there | again.retired() == known
    assert sorted(again.positions()) == sorted(entry.position for entry in there.values())
    again.close()


def test_a_torn_record_costs_only_itself(tmp_path: Path) -> None:
    """Whatever part of the last write is there, the one before counts, and the next is readable."""
    journal = Journal(tmp_path)
    journal.note("a", Entry(1))
    journal.note("a", Entry(2))
    journal.close()
    whole = (tmp_path / "journal").read_bytes()
    for cut in range(1, len(whole) // 2):
        (tmp_path / "journal").write_bytes(whole[:-cut])
        journal = Journal(tmp_path)
        assert journal.find("a") == Entry(1)
        journal.note("a", Entry(3))
        journal.close()
        journal = Journal(tmp_path)
        assert journal.find("a") == Entry(3)
        journal.close()


@pytest.mark.parametrize(
    "content", [None, b"", b"garbage", b"\0" * 64], ids=["none", "empty", "garbage", "zeros"]
)
def test_one_that_cannot_be_read_is_new(tmp_path: Path, content: bytes | None) -> None:
    """Its owner decides what that means."""
    if content is not None:
        (tmp_path / "journal").write_bytes(content)
    journal = Journal(tmp_path)
    assert journal.is_new
    assert journal.names() == frozenset()
    journal.note("a", Entry(1))
    journal.close()
    assert not Journal(tmp_path).is_new


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is begun anew, readable only for its owner."""
    monkeypatch.setattr(journals, "_REWRITE_BYTES", 1000)
    journal = Journal(tmp_path)
    journal.note("gone", Entry(1))
    journal.note("gone", None)
    for position in range(500):
        journal.note("a", Entry(position, {"exported": position}))
    journal.close()
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size < 1200
    assert path.stat().st_mode & 0o777 == 0o600
    assert Journal(tmp_path).find("a") == Entry(499, {"exported": 499})


def test_what_could_not_be_written_is_known_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs no count while the process lives."""
    journal = Journal(tmp_path)
    journal.note("a", Entry(1))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journals, "write_at", full)
        with pytest.raises(OSError, match="space"):
            journal.note("a", Entry(2))
    assert journal.find("a") == Entry(2)
    journal.note("b", Entry(9))
    journal.close()
    again = Journal(tmp_path)
    assert (again.find("a"), again.find("b")) == (Entry(2), Entry(9))


def test_what_was_written_is_to_be_synced_once(tmp_path: Path) -> None:
    """The disk is asked when there is something to ask for."""
    journal = Journal(tmp_path)
    assert journal.to_sync() == []
    journal.note("a", Entry(1))
    (descriptor,) = journal.to_sync()
    os.fsync(descriptor)
    os.close(descriptor)
    assert journal.to_sync() == []
    journal.close()
