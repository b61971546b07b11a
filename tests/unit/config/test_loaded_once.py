"""Manifests that are read again only when something has changed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import SupportsIndex

import pytest

from gateway.config.document import Document
from gateway.config.loaded_once import AT_ONCE, KEPT_S, LoadedOnce, let_go

S = 1_000_000_000


class Now:
    """A clock that is far from what the file system says, or close to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.after_s = 60.0

    def __call__(self) -> int:
        return self._path.stat().st_ctime_ns + int(self.after_s * S)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "m.yaml"
    file.write_text("type: t\nname: a\n")
    return file


def names(files: LoadedOnce) -> list[str]:
    return [document.name for document in files.load().documents]


def test_what_has_not_changed_is_not_read_again(file: Path) -> None:
    """The very documents, also through another question."""
    files = LoadedOnce(file.parent, now_ns=Now(file))
    assert files.load() is files.load()


def test_a_change_is_seen(file: Path) -> None:
    """Of a file, a file more, a file less."""
    files = LoadedOnce(file.parent, now_ns=Now(file))
    assert names(files) == ["a"]
    file.write_text("type: t\nname: bb\n")
    assert names(files) == ["bb"]
    other = file.with_name("n.yaml")
    other.write_text("type: t\nname: c\n")
    assert names(files) == ["bb", "c"]
    other.unlink()
    assert names(files) == ["bb"]


def test_what_is_fresh_is_not_kept(file: Path) -> None:
    """It may change within the same tick of the file system's clock, and look as it did."""
    now = Now(file)
    now.after_s = 0.5
    files = LoadedOnce(file.parent, now_ns=now)
    first = files.load()
    assert files.load() is not first
    now.after_s = 2.0
    kept = files.load()
    assert files.load() is kept


def test_what_could_not_be_read_is_tried_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be readable the next time though nothing has changed: there were too many open files."""
    files = LoadedOnce(file.parent, now_ns=Now(file))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", _no_more_files)
        assert [str(problem.message) for problem in files.load().problems] == [
            "cannot be read: too many open files"
        ]
    assert names(files) == ["a"]


@pytest.mark.parametrize("text", ["type: [\n", "- type: t\n", "type: t\nname: a\n"])
def test_what_is_wrong_is_not_read_again(file: Path, text: str) -> None:
    """Pages that are open ask until somebody has mended it, and then it has other marks."""
    file.with_name("n.yaml").write_text(text)
    files = LoadedOnce(file.parent, now_ns=Now(file))
    wrong = files.load()
    assert len(wrong.problems) == 1
    assert files.load() is wrong
    file.with_name("n.yaml").write_text("type: t\nname: bb\n")
    assert names(files) == ["a", "bb"]


def test_what_has_other_marks_when_it_can_be_read_is_not_read_again(file: Path) -> None:
    """A link to nothing, and a file of another user."""
    link = file.with_name("n.yaml")
    link.symlink_to("gone.txt")
    files = LoadedOnce(file.parent, now_ns=Now(file))
    assert len(files.load().problems) == 1
    assert files.load() is files.load()
    link.with_name("gone.txt").write_text("type: t\nname: bb\n")
    assert names(files) == ["a", "bb"]


def test_what_nobody_asks_for_is_let_go(file: Path) -> None:
    """Not as long as somebody asks now and then, also where it was kept all the time."""
    now_s = [0.0]
    files = LoadedOnce(file.parent, now_ns=Now(file), now_s=lambda: now_s[0])
    kept = files.load()
    for _ in range(3):
        now_s[0] += KEPT_S
        files.let_go_unused()
        assert files.load() is kept
    now_s[0] += KEPT_S + 1
    files.let_go_unused()
    assert files.load() is not kept
    assert names(files) == ["a"]


def test_much_is_let_go_in_pieces() -> None:
    """Other threads work between two of them."""
    pieces = []

    class Watched(list[Document]):
        def __delitem__(self, key: SupportsIndex | slice) -> None:
            before = len(self)
            super().__delitem__(key)
            pieces.append(before - len(self))

    documents = Watched([Document("t", "n", {}, Path("m.yaml"), 1)] * (2 * AT_ONCE + 1))
    let_go(documents)
    assert (documents, pieces) == ([], [AT_ONCE, AT_ONCE, 1])


def _no_more_files(_path: Path, _mode: str) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def test_nothing_there(tmp_path: Path) -> None:
    """A folder without manifests, and none at all."""
    assert LoadedOnce(tmp_path).load().documents == ()
    gone = LoadedOnce(tmp_path / "gone").load()
    assert "cannot be opened" in str(gone.problems[0])
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    assert LoadedOnce(tmp_path).load().problems
