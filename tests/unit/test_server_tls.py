"""Certificates of our servers, kept as they were when they were checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.server_tls import HeldTls
from gateway.tls_files import TlsFileError, TlsFiles
from tests.rig.certificates import Authority


def test_what_is_held_does_not_change(tmp_path: Path) -> None:
    """A file that is written anew is not what was checked; it is read by the names that are given."""
    authority = Authority(tmp_path)
    cert, key = authority.write("one")
    before = cert.read_bytes(), key.read_bytes(), authority.file.read_bytes()
    held = HeldTls(TlsFiles(authority.file, cert, key))
    cert.write_bytes(b"junk")
    assert held.content == before
    assert held.ca_file is not None
    assert tuple(Path(path).read_bytes() for path in (held.cert_file, held.key_file, held.ca_file)) == before
    held.close()
    assert not Path(held.cert_file).exists()


def test_the_key_beside_the_certificate(tmp_path: Path) -> None:
    """Without a file of its own."""
    cert, key = Authority(tmp_path).write("one")
    cert.write_bytes(cert.read_bytes() + key.read_bytes())
    held = HeldTls(TlsFiles(cert_file=cert))
    assert held.content == (cert.read_bytes(), cert.read_bytes(), b"")
    held.close()


def test_what_is_wrong_names_the_operators_file(tmp_path: Path) -> None:
    """And not where it is held."""
    cert, _ = Authority(tmp_path).write("one")
    junk = tmp_path / "junk"
    junk.write_text("junk")
    for files, path in (
        (TlsFiles(None, cert, tmp_path / "absent"), "absent"),
        (TlsFiles(junk, cert, cert), ""),
    ):
        with pytest.raises(TlsFileError, match=str(tmp_path / path)):
            HeldTls(files)
