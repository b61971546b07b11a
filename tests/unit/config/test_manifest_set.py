"""A configuration as one thing that is sent and put into a folder, whole."""

from __future__ import annotations

import json
import stat
import zlib
from pathlib import Path
from typing import Any

import pytest

from gateway.config import loader, manifest_set
from gateway.config.manifest_set import (
    CURRENT,
    ManifestSet,
    SetName,
    SetUnusable,
    name_of_current,
    pack,
    put_in_force,
    read_set,
    unpack,
)

TEAM = "# who\ntype: team\nname: ml\nmembers: [a@b.c]\n"


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        file = path / name.replace("__", "/").replace("_yaml", ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def test_what_was_read_comes_out(tmp_path: Path) -> None:
    """Files below folders with their comments; what the loader does not take is not sent."""
    folder = folder_of(tmp_path / "in", a_yaml=TEAM, sub__b_yaml="type: role\nname: r\n", notes="not sent")
    (folder / ".hidden.yaml").write_text(TEAM)
    manifests = read_set(folder)
    assert set(manifests.files) == {"a.yaml", "sub/b.yaml"}
    assert unpack(pack(manifests)) == manifests
    name = SetName(1, manifests.digest)
    put_in_force(tmp_path / "out", manifests, name)
    assert name_of_current(tmp_path / "out") == name
    assert (tmp_path / "out" / CURRENT / "a.yaml").read_text() == TEAM
    assert len(loader.load(tmp_path / "out" / CURRENT).documents) == 2
    assert read_set(tmp_path / "out" / CURRENT) == manifests


def test_one_file(tmp_path: Path) -> None:
    """A configuration of one file is a set of one."""
    file = tmp_path / "all.yaml"
    file.write_text(TEAM)
    assert read_set(file).files == {"all.yaml": TEAM}


def test_digest() -> None:
    """Of names and texts, whatever the order."""
    one = ManifestSet({"a.yaml": "x", "b.yaml": "y"})
    assert one.digest == ManifestSet({"b.yaml": "y", "a.yaml": "x"}).digest
    assert one.digest != ManifestSet({"a.yaml": "y", "b.yaml": "x"}).digest


def test_all_changes_at_once(tmp_path: Path) -> None:
    """Another set is another folder; files of its own mode, and the folders before the last few go."""
    for number in range(1, 8):
        put_in_force(
            tmp_path, ManifestSet({"a.yaml": f"type: team\nname: t{number}\n"}), SetName(number, "ab")
        )
    assert name_of_current(tmp_path) == SetName(7, "ab")
    assert "t7" in (tmp_path / CURRENT / "a.yaml").read_text()
    assert stat.S_IMODE((tmp_path / CURRENT / "a.yaml").stat().st_mode) == 0o600
    homes = {home.name for home in (tmp_path / "sets").iterdir()}
    assert "7-ab" in homes
    assert len(homes) == 3


def test_what_a_cut_write_left_is_written_anew(tmp_path: Path) -> None:
    """A folder that has no link may be half of a set."""
    folder_of(tmp_path / "sets" / "1-ab", stale_yaml=TEAM)
    put_in_force(tmp_path, ManifestSet({"a.yaml": TEAM}), SetName(1, "ab"))
    assert [file.name for file in (tmp_path / CURRENT).iterdir()] == ["a.yaml"]


def test_nothing_is_current(tmp_path: Path) -> None:
    """Neither without a link nor with one that leads nowhere or elsewhere."""
    assert name_of_current(tmp_path) is None
    (tmp_path / CURRENT).symlink_to("sets/1-ab")
    assert name_of_current(tmp_path) is None
    (tmp_path / CURRENT).unlink()
    (tmp_path / CURRENT).symlink_to(tmp_path)
    assert name_of_current(tmp_path) is None


def packed(**members: Any) -> bytes:
    return zlib.compress(json.dumps({"format": 1, "files": {}, **members}).encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no set of manifests"),
        (b"not packed", "no set of manifests"),
        (pack(ManifestSet({"a.yaml": TEAM}))[:-6], "no set of manifests"),
        (zlib.compress(b"[]"), "no set of manifests"),
        (zlib.compress(b"{}"), "no set of manifests"),
        (packed(format=2), r"format 2, this gateway reads 1: update it"),
        (packed(files=[]), "names files that no set"),
        (packed(files={"a.yaml": 1}), "names files that no set"),
        *[
            (packed(files={name: TEAM}), "names files that no set")
            for name in (
                "/a.yaml",
                "../a.yaml",
                "a/../../b.yaml",
                ".a.yaml",
                "s/.b/a.yaml",
                "a.txt",
                "",
                "a//b.yaml",
            )
        ],
        (packed(files={"a\\b.yaml": TEAM}), "names files that no set"),
        (packed(files={"a.yaml": "\ud800"}), "names files that no set"),
        (packed(files={"\ud800.yaml": TEAM}), "names files that no set"),
        (zlib.compress(b"[" * 1_000_000), "no set of manifests"),
    ],
)
def test_what_is_no_set(data: bytes, message: str) -> None:
    """Damaged, newer than this gateway, or leading out of its folder."""
    with pytest.raises(SetUnusable, match=message):
        unpack(data)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large is neither sent nor opened."""
    large = ManifestSet({"a.yaml": "x" * 10_000})
    data = pack(large)
    monkeypatch.setattr(manifest_set, "_MAX_BYTES", 5_000)
    with pytest.raises(SetUnusable):
        unpack(data)
    monkeypatch.setattr(manifest_set, "MAX_PACKED_BYTES", 20)
    with pytest.raises(SetUnusable, match="more than 20"):
        pack(large)


def test_unreadable(tmp_path: Path) -> None:
    """A file that is no text cannot be sent."""
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SetUnusable, match=r"a\.yaml cannot be read"):
        read_set(tmp_path)
