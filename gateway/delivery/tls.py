"""TLS contexts of destinations with certificates of their own, made anew when a file was replaced."""

from __future__ import annotations

import ssl

from gateway.tls_files import NO_FILES, TlsFiles, make_context


class TlsContexts:
    """The contexts of one exchange; in truth one, since an exchange is a destination's."""

    def __init__(self) -> None:
        self._made: tuple[TlsFiles, tuple[int, ...], ssl.SSLContext] | None = None

    def find(self, files: TlsFiles) -> ssl.SSLContext | None:
        """The context for *files*, None when the system's own will do.

        Raises:
            TlsFileError: A file cannot be read, or holds no such thing.
        """
        if files == NO_FILES:
            return None
        paths = [path for path in (files.ca_file, files.cert_file, files.key_file) if path is not None]
        times = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
        if self._made is None or self._made[:2] != (files, times):
            self._made = (files, times, make_context(files))
        return self._made[2]
