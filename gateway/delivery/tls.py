"""TLS contexts of destinations with certificates of their own, made anew when a file was replaced."""

from __future__ import annotations

import ssl
from typing import Final

from gateway.delivery.destination import TlsFiles

_NONE: Final = TlsFiles()


class TlsContexts:
    """The contexts of one exchange; in truth one, since an exchange is a destination's."""

    def __init__(self) -> None:
        self._made: tuple[TlsFiles, tuple[int, ...], ssl.SSLContext] | None = None

    def find(self, files: TlsFiles) -> ssl.SSLContext | None:
        """The context for *files*, None when the system's own will do.

        Raises:
            OSError: A file cannot be read, or (ssl.SSLError) holds no such thing.
        """
        if files == _NONE:
            return None
        paths = [path for path in (files.ca_file, files.cert_file, files.key_file) if path is not None]
        times = tuple(path.stat().st_mtime_ns for path in paths)
        if self._made is None or self._made[:2] != (files, times):
            self._made = (files, times, make_context(files))
        return self._made[2]


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """A client's context.

    Raises:
        OSError: As `TlsContexts.find`.
    """
    context = ssl.create_default_context(cafile=files.ca_file)
    if files.cert_file is not None:
        context.load_cert_chain(files.cert_file, files.key_file)
    return context
