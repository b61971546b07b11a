"""Certificates of connections, both ways, and what is wrong with them, in plain words."""

from __future__ import annotations

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files; None: the system's authorities, no certificate of ours."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


NO_FILES: Final = TlsFiles()
MAX_BYTES: Final = 16 * 1024 * 1024
"""A system's whole bundle of authorities has a quarter of one."""


class TlsFileError(OSError):
    """A file cannot be used.

    Attributes:
        field: Of `TlsFiles`.
        what: What is wrong with it.
    """

    def __init__(self, field: str, path: Path, what: str) -> None:
        super().__init__(f"tls.{field} {what}: {path}")
        self.field = field
        self.what = what


def make_context(files: TlsFiles) -> ssl.SSLContext:
    """A client's context.

    Raises:
        TlsFileError: A file cannot be read, or holds no such thing.
    """
    _check_readable(files)
    context = _trusting(files.ca_file)
    if files.cert_file is not None:
        _show_certificate(context, files.cert_file, files.key_file)
    elif files.key_file is not None:
        raise TlsFileError("key_file", files.key_file, "has no tls.cert_file beside it")
    return context


def make_server_context(files: TlsFiles) -> ssl.SSLContext:
    """A server's context; of *files* the authorities are those of callers, who then need a certificate.

    Raises:
        TlsFileError: A file cannot be read, or holds no such thing.
    """
    _check_readable(files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if files.cert_file is not None:
        _show_certificate(context, files.cert_file, files.key_file)
    if files.ca_file is not None:
        try:
            context.load_verify_locations(cafile=files.ca_file)
        except OSError as error:
            raise TlsFileError("ca_file", files.ca_file, "holds no certificate in PEM") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def make_own_context(files: TlsFiles) -> ssl.SSLContext:
    """A client's context for a server of our own.

    It trusts the very certificate in *files*, whatever name that is for, and shows it to a server that asks.

    Raises:
        TlsFileError: As above.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate need not be signed by itself to be what is trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if files.cert_file is not None:
        read_file("cert_file", files.cert_file)
        _show_certificate(context, files.cert_file, files.key_file)
        context.load_verify_locations(cafile=files.cert_file)
    return context


def read_file(field: str, path: Path) -> bytes:
    """What is in the file of *field*.

    Raises:
        TlsFileError: It cannot be read, or is nothing that ends: who reads a pipe waits for its writer, and
            with it whoever waits for the configuration.
    """
    try:
        content = _read_bounded(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise TlsFileError(field, path, f"cannot be read ({reason})") from error
    if content is None:
        raise TlsFileError(field, path, "is not an ordinary file")
    if len(content) > MAX_BYTES:
        raise TlsFileError(field, path, f"is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return content


def _read_bounded(path: Path) -> bytes | None:
    """What is in a file, as far as that may go; None of what is no ordinary one."""
    # Looked at before it is opened: to open a pipe is to wait as well.
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def signature_of(files: TlsFiles) -> tuple[tuple[int, int, int], ...]:
    """What changes when one of *files* is replaced or written anew."""
    found = []
    for path in (files.ca_file, files.cert_file, files.key_file):
        try:
            stat = None if path is None else path.stat()
        except OSError:
            stat = None
        found.append((0, 0, 0) if stat is None else (stat.st_ino, stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _check_readable(files: TlsFiles) -> None:
    for field in ("ca_file", "cert_file", "key_file"):
        path = getattr(files, field)
        if path is not None:
            read_file(field, path)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise TlsFileError("ca_file", ca_file or Path(), "holds no certificate in PEM") from error
    if ca_file is not None:
        # Python 3.13 and later also refuse what RFC 5280 wants to be written otherwise (no key identifier, or
        # constraints that are not critical). Authorities of one's own often write so, and this one was named.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _show_certificate(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    def refuse() -> NoReturn:
        # OpenSSL would ask on the terminal, and hold everything up until somebody answers.
        raise TlsFileError("key_file", key_file or cert_file, "is encrypted")

    try:
        context.load_cert_chain(cert_file, key_file, password=refuse)
    except TlsFileError:
        raise
    except OSError as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise TlsFileError("key_file", key_file or cert_file, "is of another tls.cert_file") from error
        if key_file is None:
            what = "holds no certificate and key, and there is no tls.key_file"
        else:
            what = "is no certificate in PEM, or tls.key_file no key"
        raise TlsFileError("cert_file", cert_file, what) from error
