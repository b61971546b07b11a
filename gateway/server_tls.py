"""The certificate of a server of ours, as it was when it was checked.

Granian opens files by their names, some time after they were checked, and a key that does not fit by then
ends its thread. So what was checked is kept in memory, under names of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.tls_files import TlsFileError, TlsFiles, make_server_context, read_file


class HeldTls:
    """PEM files of a server, which do not change any more.

    Attributes:
        content: What is in them.
        cert_file: Where a server of this process reads it; likewise *key_file* and *ca_file*.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Read and check *files*; without a key file the key is beside the certificate.

        Raises:
            TlsFileError: They cannot be used.
        """
        self._fds: list[int] = []
        cert, key = files.cert_file, files.key_file or files.cert_file
        if cert is None or key is None:
            msg = "a server needs a certificate"
            raise ValueError(msg)
        named = TlsFiles(ca_file=files.ca_file, cert_file=cert, key_file=key)
        try:
            self.content = tuple(
                b"" if path is None else read_file(field, path)
                for field, path in (("cert_file", cert), ("key_file", key), ("ca_file", files.ca_file))
            )
            paths = [self._keep(path, data) for path, data in zip((cert, key), self.content[:2], strict=True)]
            ca_file = None if files.ca_file is None else self._keep(files.ca_file, self.content[2])
            make_server_context(TlsFiles(None if ca_file is None else Path(ca_file), *map(Path, paths)))
        except TlsFileError as error:
            self.close()
            raise TlsFileError(error.field, getattr(named, error.field), error.what) from error
        self.cert_file, self.key_file = paths
        self.ca_file = ca_file

    def close(self) -> None:
        """Forget what is in the files."""
        while self._fds:
            os.close(self._fds.pop())

    def _keep(self, path: Path, data: bytes) -> str:
        if not hasattr(os, "memfd_create"):  # only Linux has it
            return str(path)
        fd = os.memfd_create("tls")
        self._fds.append(fd)
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        return f"/proc/self/fd/{fd}"
