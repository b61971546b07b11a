"""Certificates: what is wrong with one is said by its field, and nobody is asked for a password."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.tls_files import TlsFileError, TlsFiles, make_context, make_server_context, signature_of
from tests.rig.requires import requires

pytestmark = requires("openssl")


def openssl(folder: Path, *arguments: str) -> None:
    command = ["openssl", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs, one with the key in the same file, an encrypted key, and what is no PEM."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("one", "two"):
        new = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
        openssl(folder, "req", "-x509", *new, "-keyout", f"{name}.key", "-out", f"{name}.pem")
    openssl(folder, "pkey", "-in", "one.key", "-aes128", "-passout", "pass:x", "-out", "encrypted.key")
    (folder / "both.pem").write_bytes((folder / "one.pem").read_bytes() + (folder / "one.key").read_bytes())
    (folder / "junk").write_text("junk")
    os.mkfifo(folder / "pipe")
    (folder / "endless").symlink_to("/dev/zero")
    with (folder / "large").open("wb") as large:
        large.truncate(16 * 1024 * 1024 + 1)
    return folder


def files(folder: Path, names: Sequence[str]) -> TlsFiles:
    return TlsFiles(*(folder / name if name else None for name in names))


@pytest.mark.parametrize(
    "names",
    [("", "", ""), ("one.pem", "", ""), ("", "one.pem", "one.key"), ("two.pem", "both.pem", "")],
)
def test_what_can_be_used(folder: Path, names: tuple[str, str, str]) -> None:
    """An authority, a certificate and its key, the key also in the same file."""
    make_context(files(folder, names))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("absent", "", ""), "tls.ca_file cannot be read (no such file or directory): {}/absent"),
        (("junk", "", ""), "tls.ca_file holds no certificate in PEM: {}/junk"),
        (("pipe", "", ""), "tls.ca_file is not an ordinary file: {}/pipe"),
        (("", "one.pem", "pipe"), "tls.key_file is not an ordinary file: {}/pipe"),
        (("endless", "", ""), "tls.ca_file is not an ordinary file: {}/endless"),
        (("large", "", ""), "tls.ca_file is larger than 16 MiB: {}/large"),
        ((".", "", ""), "tls.ca_file is not an ordinary file: {}"),
        (("", "", "one.key"), "tls.key_file has no tls.cert_file beside it: {}/one.key"),
        (("", "one.pem", "absent"), "tls.key_file cannot be read (no such file or directory): {}/absent"),
        (
            ("", "one.pem", ""),
            "tls.cert_file holds no certificate and key, and there is no tls.key_file: {}/one.pem",
        ),
        (("", "one.pem", "two.key"), "tls.key_file is of another tls.cert_file: {}/two.key"),
        (("", "one.pem", "encrypted.key"), "tls.key_file is encrypted: {}/encrypted.key"),
        (("", "junk", "one.key"), "tls.cert_file is no certificate in PEM, or tls.key_file no key: {}/junk"),
    ],
)
def test_what_cannot(folder: Path, names: tuple[str, str, str], expected: str) -> None:
    """Which file it is, and what is the matter with it."""
    with pytest.raises(TlsFileError) as raised:
        make_context(files(folder, names))
    assert str(raised.value) == expected.replace("{}", str(folder))
    assert raised.value.field in expected.partition(" ")[0]


def test_an_authority_that_is_named_may_write_as_it_likes(folder: Path) -> None:
    """Python 3.13 and later would hold it to the letter of RFC 5280; the system's stay as that has them."""
    named = make_context(files(folder, ("one.pem", "", ""))).verify_flags
    of_the_system = make_context(files(folder, ("", "one.pem", "one.key"))).verify_flags
    assert not named & ssl.VERIFY_X509_STRICT
    assert of_the_system == ssl.create_default_context().verify_flags


def test_what_a_server_can_use(folder: Path) -> None:
    """A pair, a pair in one file, and authorities of callers, who then need a certificate."""
    assert make_server_context(files(folder, ("", "one.pem", "one.key"))).verify_mode is ssl.CERT_NONE
    assert (
        make_server_context(files(folder, ("two.pem", "both.pem", "both.pem"))).verify_mode
        is ssl.CERT_REQUIRED
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("junk", "one.pem", "one.key"), "tls.ca_file holds no certificate in PEM"),
        (("", "one.pem", "two.key"), "tls.key_file is of another tls.cert_file"),
        (("", "one.pem", "encrypted.key"), "tls.key_file is encrypted"),
        (("", "absent", "one.key"), "tls.cert_file cannot be read"),
    ],
)
def test_what_a_server_cannot(folder: Path, names: tuple[str, str, str], expected: str) -> None:
    """Each by its field."""
    with pytest.raises(TlsFileError, match=expected):
        make_server_context(files(folder, names))


def test_signature(folder: Path, tmp_path: Path) -> None:
    """It changes with the file, also when that comes or goes."""
    file = tmp_path / "a.pem"
    named = TlsFiles(cert_file=file)
    absent = signature_of(named)
    file.write_bytes((folder / "one.pem").read_bytes())
    first = signature_of(named)
    other = tmp_path / "b.pem"
    other.write_bytes(file.read_bytes())
    other.replace(file)
    assert len({absent, first, signature_of(named)}) == 3
