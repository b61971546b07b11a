"""Whether files have changed, without reading them.

The walk follows the loader's rules (`config.loader`): manifests by suffix, no names with a leading dot,
symbolic links followed. A link's target is what counts, so that both an editor's rename and a Kubernetes
ConfigMap's swap of `..data` show as another inode.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

_SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
# The loader refuses more; looking at them twice a second would only warm the room.
_MAX_FILES: Final = 10_000


class FileMark(NamedTuple):
    """One file as it is now. All zeros: it is not there, or may not be looked at.

    The change time is part of it because a `chmod` that makes a file readable changes nothing else.
    """

    path: str
    device: int = 0
    inode: int = 0
    size_bytes: int = 0
    modified_ns: int = 0
    changed_ns: int = 0


Fingerprint = frozenset[FileMark]


def of_manifests(path: Path) -> Fingerprint:
    """Every manifest file under *path*, a folder or one file."""
    if not path.is_dir():
        return frozenset({_mark(path)})
    marks = set()
    for file in _walk(path, set()):
        marks.add(_mark(file))
        if len(marks) > _MAX_FILES:
            break
    return frozenset(marks)


def of_files(files: Iterable[Path]) -> Fingerprint:
    """These files, whether they exist or not."""
    return frozenset(_mark(file) for file in files)


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        # Marked by its own name: that it can be listed again is a change.
        yield folder
        return
    for path in entries:
        if path.name.startswith("."):
            continue
        try:
            status = path.stat()
        except OSError:
            yield path
            continue
        if not stat.S_ISDIR(status.st_mode):
            if path.suffix in _SUFFIXES:
                yield path
        elif (status.st_dev, status.st_ino) not in seen:
            # A link to a folder above would have no end.
            seen.add((status.st_dev, status.st_ino))
            yield from _walk(path, seen)


def _mark(file: Path) -> FileMark:
    try:
        status = file.stat()
    except OSError:
        return FileMark(str(file))
    return FileMark(
        str(file), status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
