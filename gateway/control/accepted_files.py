"""The accepted configurations on disk: `<version>.json` each, and `accepted`, which names the one in force.

Workers load from here, also when control is not there. A file is complete before it has its name.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from gateway.config import Document, accepted
from gateway.config.fingerprint import Fingerprint
from gateway.config.whole_file import FILE_MODE, write_whole

KEPT_VERSIONS: Final = 50
_KEPT_BYTES: Final = 64 * 1024 * 1024
_ACCEPTED: Final = "accepted"
_SECRETS_SEEN: Final = "secrets-seen"
_VERSION_FILE: Final = re.compile(r"[0-9a-f]+(\+\d+)?\.json", re.ASCII)


class AcceptedFiles:
    """The folder `state/config`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, version: str, content: bytes) -> None:
        """Keep a set and put its name into `accepted`; forget all but the last few.

        Raises:
            OSError: It could not be written; what was accepted before still is.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._replace(f"{version}.json", content)
        self._replace(_ACCEPTED, version.encode())
        self._prune(version)

    def kept(self) -> list[tuple[str, int]]:
        """The versions that are here, the last first, and the Unix time in ns at which each came here."""
        try:
            found = [
                (path.name.removesuffix(".json"), path.stat().st_mtime_ns)
                for path in self._folder.iterdir()
                if _VERSION_FILE.fullmatch(path.name)
            ]
        except OSError:
            return []
        return sorted(found, key=lambda one: one[1], reverse=True)

    def documents(self, version: str) -> tuple[Document, ...] | None:
        """What a version says, None when it is not here any more or damaged."""
        if not _VERSION_FILE.fullmatch(f"{version}.json"):
            return None
        try:
            return accepted.load((self._folder / f"{version}.json").read_bytes())
        except (OSError, accepted.NotAccepted):
            return None

    def version(self) -> str | None:
        """The name in `accepted`, None when there is none."""
        try:
            return (self._folder / _ACCEPTED).read_text("ascii").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def note_secrets(self, version: str, secrets: Fingerprint) -> None:
        """Remember how the secret files looked under *version*, for a control process that starts anew.

        Raises:
            OSError: It could not be written.
        """
        self._replace(_SECRETS_SEEN, f"{version} {_digest(secrets)}".encode())

    def secrets_changed(self, version: str, secrets: Fingerprint) -> bool:
        """Whether the secret files look other than noted under *version*; False when nothing was noted."""
        try:
            noted = (self._folder / _SECRETS_SEEN).read_text("ascii").split(" ")
        except (OSError, UnicodeDecodeError):
            return False
        return noted[0] == version and noted[1:] != [_digest(secrets)]

    def _replace(self, name: str, content: bytes) -> None:
        write_whole(self._folder / name, content, FILE_MODE)

    def _prune(self, in_force: str) -> None:
        files = [path for path in self._folder.iterdir() if _VERSION_FILE.fullmatch(path.name)]
        files.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        kept_bytes = 0
        for number, path in enumerate(files):
            kept_bytes += path.stat().st_size
            is_too_much = number >= KEPT_VERSIONS or kept_bytes > _KEPT_BYTES
            if is_too_much and number and path.name != f"{in_force}.json":
                path.unlink(missing_ok=True)


def _digest(secrets: Fingerprint) -> str:
    # Of names, sizes and times, not of what is in the files.
    return hashlib.sha256(repr(sorted(secrets)).encode()).hexdigest()
