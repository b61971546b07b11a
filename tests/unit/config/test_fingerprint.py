"""Seeing that files have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As Kubernetes mounts a ConfigMap, with a folder of ordinary files beside."""
    (tmp_path / "..2026_01").mkdir()
    (tmp_path / "..2026_01" / "mounted.yaml").write_text("a: 1")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "mounted.yaml").symlink_to("..data/mounted.yaml")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "plain.json").write_text("{}")
    return tmp_path


def swap_configmap(folder: Path) -> None:
    """What the kubelet does: one rename of a link changes every file."""
    (folder / "..2026_02").mkdir()
    (folder / "..2026_02" / "mounted.yaml").write_text("a: 2")
    (folder / "..data_tmp").symlink_to("..2026_02")
    (folder / "..data_tmp").replace(folder / "..data")


def save_like_an_editor(folder: Path) -> None:
    """Written beside and renamed, with the old size and times."""
    old = (folder / "deep" / "plain.json").stat()
    (folder / "deep" / "new").write_text("[]")
    os.utime(folder / "deep" / "new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (folder / "deep" / "new").replace(folder / "deep" / "plain.json")


CHANGES: dict[str, Callable[[Path], object]] = {
    "configmap": swap_configmap,
    "editor": save_like_an_editor,
    "appended": lambda folder: (folder / "deep" / "plain.json").write_text("{ }"),
    "added": lambda folder: (folder / "deep" / "more.yml").write_text(""),
    "removed": lambda folder: (folder / "mounted.yaml").unlink(),
    "chmod": lambda folder: (folder / "deep" / "plain.json").chmod(0o400),
    "folder added": lambda folder: (folder / "other").symlink_to(folder / "..2026_01"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    """However it is made."""
    before = fingerprint.of_manifests(folder)
    assert fingerprint.of_manifests(folder) == before
    change(folder)
    after = fingerprint.of_manifests(folder)
    assert after != before
    assert fingerprint.of_manifests(folder) == after


def test_what_is_no_manifest_is_not_looked_at(folder: Path) -> None:
    """A README and hidden files may change as they like."""
    before = fingerprint.of_manifests(folder)
    (folder / "README.md").write_text("x")
    (folder / ".hidden.yaml").write_text("x")
    (folder / "..data" / "..extra").mkdir()
    assert fingerprint.of_manifests(folder) == before


def test_links_in_a_circle_end(folder: Path) -> None:
    """A link to a folder above is walked once."""
    (folder / "deep" / "up").symlink_to(folder)
    names = {Path(mark.path).name for mark in fingerprint.of_manifests(folder)}
    assert names == {"mounted.yaml", "plain.json"}


def test_single_file_and_nothing_at_all(tmp_path: Path) -> None:
    """`--config` may name a file, which may come and go."""
    file = tmp_path / "gateway.conf"
    gone = fingerprint.of_manifests(file)
    file.write_text("a: 1")
    assert fingerprint.of_manifests(file) != gone
    file.unlink()
    assert fingerprint.of_manifests(file) == gone


def test_secret_files_are_seen_whether_they_exist_or_not(tmp_path: Path) -> None:
    """A secret that appears makes its account usable."""
    files = [tmp_path / "one", tmp_path / "two"]
    before = fingerprint.of_files(files)
    files[1].write_text("s")
    assert fingerprint.of_files(files) != before
    assert fingerprint.of_files([]) == frozenset()
