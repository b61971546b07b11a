"""The configuration that is in Redis, as files in the state folder: `--config redis:`.

`take` brings the set in force there; `change` puts another in its place, if nobody else has meanwhile. What
is done with the files (checked, watched, kept when it is good) is what is done with those of an operator.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway import __version__
from gateway.config import Document, Problem
from gateway.config.manifest_files import ChangedMeanwhile, NotWritable
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
from gateway.config.transport_checks import check_transport

if TYPE_CHECKING:
    from gateway.store.config_store import ConfigStore

NOTHING: Final = "0-"


class NothingThere(Exception):
    """There is no set in Redis."""


class ConfigSets:
    """The sets of one store, and which of them is here. Thread-safe; its methods may wait for the server.

    Attributes:
        path: Where the manifests are.
    """

    def __init__(self, store: ConfigStore, folder: Path, *, by: str = "") -> None:
        """Prepare.

        Args:
            store: Where the sets are.
            folder: Where their files are put.
            by: Who changes it here, for the history.
        """
        self.path = folder / CURRENT
        self.place = store.place
        self._store = store
        self._folder = folder
        self._by = by or platform.node()
        self._lock = threading.Lock()
        self._unusable: tuple[str, str] | None = None

    def here(self) -> SetName | None:
        """Which set is here."""
        return name_of_current(self._folder)

    def take(self) -> bool:
        """Bring the set that is in force in Redis; whether it was another than the one that is here.

        Raises:
            gateway.store.config_store.ConfigAwayError: Redis cannot be used.
            NothingThere: It has no set.
            SetUnusable: It is none that this gateway can read; the one that is here stays.
            OSError: The disk does not take it; likewise.
        """
        with self._lock:
            head = self._store.head()
            if not head:
                raise NothingThere(f"there is no configuration in {self.place}")
            if head == str(self.here()):
                self._unusable = None
                return False
            if self._unusable is not None and self._unusable[0] == head:
                raise SetUnusable(self._unusable[1])
            try:
                name = _name(head)
                manifests = _opened(self._store.find(name.number), name)
            except SetUnusable as error:
                # Asked for anew only when there is another.
                told = f"set {head.partition('-')[0]} of {self.place} cannot be used: {error}"
                self._unusable = (head, told)
                raise SetUnusable(told) from error
            put_in_force(self._folder, manifests, name)
            self._unusable = None
            return True

    def problems(self, documents: Sequence[Document]) -> Iterator[Problem]:
        """Why *documents* may not be sent to other hosts."""
        return check_transport(documents)

    def change(self, texts: Mapping[Path, str | None], *, of: object, version: str, manifests: int) -> None:
        """Put the set that is here in force with other *texts* in its files; None takes a file out.

        Args:
            texts: By file below `path`.
            of: Which set was here when what they change was read.
            version: Of the configuration that it is then.
            manifests: How many these are.

        Raises:
            ChangedMeanwhile: It is not the one in force, or here, any more.
            NotWritable: Redis cannot be used, or it is too large.
        """
        # It needs a library that comes with an extra.
        from gateway.store.config_store import (  # noqa: PLC0415 - see above
            ConfigAwayError,
            Note,
            NotTheLastError,
        )

        with self._lock:
            here = self.here()
            if here != of:
                raise ChangedMeanwhile("another configuration came meanwhile; load the manifest again")
            files = dict(read_set(self.path).files)
            for file, text in texts.items():
                name = file.relative_to(self.path).as_posix()
                if text is None:
                    files.pop(name, None)
                else:
                    files[name] = text
            changed = ManifestSet(files)
            note = Note(0, changed.digest, version, 0, self._by, __version__, manifests)
            try:
                expected = NOTHING if here is None else str(here)
                put = self._store.put(pack(changed), note, expected)
            except NotTheLastError as error:
                raise ChangedMeanwhile(f"{error}; load the manifest again") from error
            except (ConfigAwayError, SetUnusable) as error:
                raise NotWritable(f"{self.place} does not take it: {error}") from error
            put_in_force(self._folder, changed, _name(put))


def _opened(packed: bytes | None, name: SetName) -> ManifestSet:
    if packed is None:
        raise SetUnusable("it is not there any more")
    manifests = unpack(packed)
    if manifests.digest != name.digest:
        raise SetUnusable("it is not what its digest says")
    return manifests


def _name(head: str) -> SetName:
    number, _, digest = head.partition("-")
    if not (number.isascii() and number.isdecimal()):
        raise SetUnusable("what is in force there has no number")
    return SetName(int(number), digest)
