"""TLS contexts of accounts with certificates of their own, made anew when a file was replaced.

A certificate and its key are two files, which nobody replaces in the same moment. So what is there and cannot
be used changes nothing, but for a line in the log: the last that could be serves on.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.tls_files import TlsFileError, TlsFiles, make_context, signature_of

LOOK_EVERY_S: Final = 2.0
"""How often the files of an account that is called are looked at."""

_MOST: Final = 1024

_Signature = tuple[tuple[int, int, int], ...]

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Made:
    """A context.

    Attributes:
        signature: Of the files that it was made of; `refused` of those that could not be used since.
    """

    context: ssl.SSLContext
    signature: _Signature
    looked_at_s: float
    refused: _Signature = ()


class Identities:
    """The contexts of one worker.

    Connections are kept by their context, so one that was made with other files is used for no call again.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        """Prepare; *now_s* only goes forward."""
        self._now_s = now_s
        self._made: dict[TlsFiles, _Made] = {}

    def find(self, files: TlsFiles) -> ssl.SSLContext:
        """The context for *files*, the same until one of them changes.

        Raises:
            TlsFileError: A file cannot be used, and none that came before could be.
        """
        now_s = self._now_s()
        made = self._made.get(files)
        if made is not None and now_s - made.looked_at_s < LOOK_EVERY_S:
            return made.context
        signature = signature_of(files)
        if made is None:
            context = make_context(files)
            if len(self._made) >= _MOST:
                self._made.clear()
            self._made[files] = _Made(context, signature, now_s)
            return context
        if made.signature != signature:
            try:
                made.context = make_context(files)
                made.signature = signature
            except TlsFileError as error:
                # It is tried again: who may read a file changes without the file, as after a renewal by root.
                if signature != made.refused:
                    _log.warning(
                        "changed certificates of an account are not used: %s; the earlier ones stay", error
                    )
                made.refused = signature
        made.looked_at_s = now_s
        return made.context
