"""Certificates for tests: an authority that signs, and pairs of PEM files."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY: Final = dt.timedelta(days=1)


class Authority:
    """Signs certificates for localhost, as authorities of companies do: without the identifiers of keys.

    RFC 5280 wants those, and Python 3.13 and later refuse a certificate without them, unless told not to.

    Attributes:
        file: Its own certificate, PEM.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def make(self, name: str) -> tuple[bytes, bytes]:
        """A certificate whose subject is *name*, and its key, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            _builder(_name(name), self._name, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def write(self, name: str) -> tuple[Path, Path]:
        """The same as files of that name."""
        paths = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        for path, data in zip(paths, self.make(name), strict=True):
            path.write_bytes(data)
        return paths

    def context(self, shown: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        """A client's: it trusts this authority alone, and shows *shown*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=self.file)
        if shown is not None:
            context.load_cert_chain(*shown)
        return context


def subject_of(connected: ssl.SSLSocket) -> str:
    """The name in the certificate that the other side showed."""
    data = connected.getpeercert(binary_form=True)
    assert data is not None
    found = x509.load_der_x509_certificate(data).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value)


def replace(path: Path, data: bytes) -> None:
    """Put *data* in the place of *path* at once, as tools that renew certificates do."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )
