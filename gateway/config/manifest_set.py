"""The manifests of a configuration as one thing that can be sent: its files, by their names.

Whoever sends it keeps the files as they were written, comments too. Whoever receives it puts them into a
folder of their own each time and lets one link lead there, so that all change at once; what is loaded,
watched and changed is that folder, as if an operator had written it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from gateway.config import loader
from gateway.config.whole_file import FILE_MODE, write_whole

CURRENT: Final = "current"
MAX_PACKED_BYTES: Final = 8 * 1024 * 1024

_FORMAT: Final = 1
_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_FILES: Final = 10_000
_SETS: Final = "sets"
_KEPT_SETS: Final = 3
_FOLDER_MODE: Final = 0o700
_DIGEST_CHARACTERS: Final = 12
_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
_NAME: Final = re.compile(r"(\d+)-([0-9a-f]+)")


class SetUnusable(ValueError):
    """It cannot be sent, or what came is none; the message says why and is safe to show."""


@dataclass(frozen=True, slots=True)
class SetName:
    """Which set it is.

    Attributes:
        number: Counts the sets of one place; a place that has lost its memory counts from 1 again.
        digest: Of what is in it.
    """

    number: int
    digest: str

    def __str__(self) -> str:
        return f"{self.number}-{self.digest}"


@dataclass(frozen=True, slots=True)
class ManifestSet:
    """Files by their names relative to the configuration, with slashes."""

    files: Mapping[str, str] = field(repr=False)  # they may hold literal secrets

    @property
    def digest(self) -> str:
        """The same files have the same."""
        text = json.dumps(dict(self.files), sort_keys=True)
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]


def read_set(path: Path) -> ManifestSet:
    """The manifests under *path*, a folder or one file, as the loader finds them.

    Raises:
        SetUnusable: One of them cannot be read.
    """
    root = path if path.is_dir() else path.parent
    files = {}
    for file in loader.load(path).files:
        try:
            files[file.relative_to(root).as_posix()] = file.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SetUnusable(f"{file} cannot be read: {error}") from error
    return ManifestSet(files)


def pack(manifests: ManifestSet) -> bytes:
    """What is sent.

    Raises:
        SetUnusable: It is larger than what is taken.
    """
    packed = zlib.compress(json.dumps({"format": _FORMAT, "files": dict(manifests.files)}).encode())
    if len(packed) > MAX_PACKED_BYTES:
        raise SetUnusable(f"the set has {len(packed):,} bytes packed, more than {MAX_PACKED_BYTES:,}")
    return packed


def unpack(packed: bytes) -> ManifestSet:
    """What was sent.

    Raises:
        SetUnusable: It is of another format, damaged, or names files that no set has.
    """
    # Without `from`: the foreign errors may carry text, and text may hold a secret.
    try:
        opened = zlib.decompressobj()
        found: dict[str, Any] = json.loads(opened.decompress(packed, _MAX_BYTES))
        written, files = found["format"], found["files"]
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError):
        raise SetUnusable("it is no set of manifests, or a damaged one") from None
    if written != _FORMAT:
        raise SetUnusable(f"it is a set of format {written}, this gateway reads {_FORMAT}: update it")
    if not isinstance(files, dict) or len(files) > _MAX_FILES or not all(map(_is_file, files.items())):
        raise SetUnusable("it names files that no set of manifests has")
    return ManifestSet(files)


def put_in_force(folder: Path, manifests: ManifestSet, name: SetName) -> None:
    """Write the files below *folder* and let its `CURRENT` lead to them.

    Raises:
        OSError: The disk does not take it; what was current still is.
    """
    home = folder / _SETS / str(name)
    if home.is_dir():
        # Of a write that was cut, or that ended just before the link did.
        shutil.rmtree(home)
    home.mkdir(mode=_FOLDER_MODE, parents=True)
    for file, text in manifests.files.items():
        target = home / file
        target.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        write_whole(target, text.encode(), FILE_MODE)
    beside = folder / f".{CURRENT}.new"
    beside.unlink(missing_ok=True)
    beside.symlink_to(Path(_SETS) / str(name))
    beside.replace(folder / CURRENT)
    _prune(folder, str(name))


def name_of_current(folder: Path) -> SetName | None:
    """Which set is current in *folder*, None when none is."""
    try:
        found = _NAME.fullmatch((folder / CURRENT).readlink().name)
    except OSError:
        return None
    if found is None or not (folder / CURRENT).is_dir():
        return None
    return SetName(int(found[1]), found[2])


def _prune(folder: Path, current: str) -> None:
    homes = sorted((folder / _SETS).iterdir(), key=lambda home: home.stat().st_mtime_ns, reverse=True)
    for home in homes[_KEPT_SETS:]:
        if home.name != current:
            shutil.rmtree(home, ignore_errors=True)


def _is_file(item: tuple[Any, Any]) -> bool:
    name, text = item
    if not isinstance(name, str) or not isinstance(text, str) or "\\" in name or "\0" in name:
        return False
    try:
        # JSON can write halves of characters, which no file can have.
        _ = name.encode(), text.encode()
    except UnicodeEncodeError:
        return False
    path = PurePosixPath(name)
    is_below = bool(path.parts) and not path.is_absolute() and str(path) == name
    return is_below and path.suffix in _SUFFIXES and not any(part.startswith(".") for part in path.parts)
