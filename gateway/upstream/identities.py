"""TLS contexts of accounts with certificates of their own, made anew when a file was replaced."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.tls_files import TlsFiles, make_context, signature_of

LOOK_EVERY_S: Final = 2.0
"""How often the files of an account that is called are looked at."""

_MOST: Final = 1024


@dataclass(slots=True)
class _Made:
    context: ssl.SSLContext
    signature: tuple[tuple[int, int, int], ...]
    looked_at_s: float


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
            TlsFileError: A file cannot be used; what was made of an earlier one then serves no more.
        """
        now_s = self._now_s()
        made = self._made.get(files)
        if made is not None and now_s - made.looked_at_s < LOOK_EVERY_S:
            return made.context
        signature = signature_of(files)
        if made is None or made.signature != signature:
            self._made.pop(files, None)
            if len(self._made) >= _MOST:
                self._made.clear()
            made = self._made[files] = _Made(make_context(files), signature, now_s)
        made.looked_at_s = now_s
        return made.context
