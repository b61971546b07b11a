"""The file of cursors is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.cursors import load_cursors, save_cursors


@given(positions=st.dictionaries(st.text(), st.integers(0, 1 << 62)))
def test_what_is_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, positions: dict[str, int]) -> None:
    """Any name, any position."""
    folder = tmp_path_factory.mktemp("cursors")
    save_cursors(folder, {"before": 1})
    save_cursors(folder, positions)
    assert load_cursors(folder) == positions


def test_the_file_is_replaced_and_only_its_owners(tmp_path: Path) -> None:
    """Nothing is left of the writing."""
    save_cursors(tmp_path, {"a": 1})
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_later_release_may_write_more(tmp_path: Path) -> None:
    """Counts may join the positions without a new file."""
    (tmp_path / "cursors.json").write_bytes(b'{"cursors": {"a": {"position": 3, "counts": {}}}, "more": 1}')
    assert load_cursors(tmp_path) == {"a": 3}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"cursors": {"a": 1}}', b'{"cursors": {"\xff": 1}}'])
def test_what_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """Its owner decides what that means."""
    assert load_cursors(tmp_path) is None
    (tmp_path / "cursors.json").write_bytes(content)
    assert load_cursors(tmp_path) is None


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    """A full disk repeats spans, it does not lose the place."""
    save_cursors(tmp_path, {"a": 1})
    (tmp_path / "cursors.json.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        save_cursors(tmp_path, {"a": 2})
    assert load_cursors(tmp_path) == {"a": 1}
