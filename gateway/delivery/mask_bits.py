"""By what a call was chosen for a destination: which bit of its mask, and by which sampling.

A bit is a place in a list of destinations, and the spool may hold calls of versions with another list, for as
long as an endpoint is down and across restarts. So the lists are kept beside the spool. A ratio is in them
because backends scale by what spans say of it: calls that were all chosen are not one in ten only because the
configuration wants that now.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from gateway.delivery.destination import Destination
from gateway.delivery.selection import Selection

# More changes than anybody makes while an endpoint is down.
_MAX_VERSIONS: Final = 256

_EVERY_BIT: Final = -1


class _Choice(msgspec.Struct, array_like=True, frozen=True):
    """How workers chose calls for a destination.

    Attributes:
        ratio: None: it was not sampled.
    """

    bit: int
    ratio: float | None
    is_parent_based: bool


# A number: the bit, as earlier versions wrote it.
_Bits = dict[str, dict[str, int | _Choice]]

_log = logging.getLogger(__name__)


class MaskBits:
    """The lists of the last versions.

    Args:
        file: Where they are kept; None: nowhere.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._bits = _read(file)

    def note(self, version: str, destinations: Iterable[Destination]) -> None:
        """Remember the list of a version. When it cannot be written, that is logged; it is known here."""
        bits: dict[str, int | _Choice] = {
            destination.name: _Choice(
                destination.index_bit,
                destination.selection.sampling_ratio,
                destination.selection.is_parent_based,
            )
            for destination in destinations
        }
        if self._bits.get(version) == bits and next(reversed(self._bits)) == version:
            return
        self._bits.pop(version, None)
        self._bits[version] = bits
        if len(self._bits) > _MAX_VERSIONS:
            del self._bits[next(iter(self._bits))]
        if self._file is not None:
            self._write(self._file)

    def wanted(self, version: str, destination: Destination) -> int:
        """Calls made under *version* go to *destination* when their mask has one of these bits."""
        known = self._bits.get(version)
        found = destination.index_bit if known is None else known.get(destination.name)
        bit = found.bit if isinstance(found, _Choice) else found
        # It may not have been there yet, and its place another's: then no worker chose, so it gets what the
        # caller samples.
        return _EVERY_BIT if bit is None else 1 << bit

    def selection(self, version: str, destination: Destination) -> Selection:
        """That of *destination*, with the sampling by which workers chose calls made under *version*."""
        selection = destination.selection
        known = self._bits.get(version)
        if known is None:
            return selection
        found = known.get(destination.name)
        if found is None:  # it was not there yet, so nothing was sampled for it
            return selection if selection.sampling_ratio is None else replace(selection, sampling_ratio=None)
        if not isinstance(found, _Choice) or (found.ratio, found.is_parent_based) == (
            selection.sampling_ratio,
            selection.is_parent_based,
        ):
            return selection
        return replace(selection, sampling_ratio=found.ratio, is_parent_based=found.is_parent_based)

    def _write(self, file: Path) -> None:
        new = file.with_suffix(".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(msgspec.msgpack.encode(self._bits))
                opened.flush()
                # Before it takes the old one's place: a power cut must find one of the two whole.
                os.fsync(opened.fileno())
            new.replace(file)
        except OSError as error:
            _log.warning(
                "the list of destinations cannot be kept; after a restart, calls that wait for one that has"
                " moved in it may be taken for another's: %s",
                error,
            )


def _read(file: Path | None) -> _Bits:
    if file is not None:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.msgpack.decode(file.read_bytes(), type=_Bits)
    return {}
