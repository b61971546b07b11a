"""What an application with a certificate proves itself with, checked with the certificate's public key."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from gateway.upstream.auth.client_assertion import LIFE_S, make_assertion

AUDIENCE: Final = "https://login.test/tenant/oauth2/v2.0/token"
NOW_S: Final = 1_800_000_000.7


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gateway")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key().public_key(), 7, now, now + timedelta(days=9999))
    return builder.sign(key(), hashes.SHA256())


def pem_of(private: Any) -> str:
    made: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.decode()


def certificate_pem() -> str:
    return certificate().public_bytes(serialization.Encoding.PEM).decode()


def make(pem: str) -> str:
    return make_assertion(pem, client_id="client", audience=AUDIENCE, thumbprint="sha1", now_s=NOW_S)


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize("is_key_first", [True, False])
def test_with_the_certificate(*, is_key_first: bool) -> None:
    """The certificate is named by its SHA-256, and the signature is what its key verifies."""
    parts = [pem_of(key()), certificate_pem()]
    first, second, signature = make("".join(parts if is_key_first else parts[::-1])).split(".")
    header = json.loads(decoded(first))
    assert header.pop("x5t#S256") == base64.urlsafe_b64encode(
        certificate().fingerprint(hashes.SHA256())
    ).decode().rstrip("=")
    assert header == {"typ": "JWT", "alg": "PS256"}
    claims = json.loads(decoded(second))
    assert claims.pop("jti")
    now = int(NOW_S)
    times = {"iat": now, "nbf": now, "exp": now + LIFE_S}
    assert claims == {"aud": AUDIENCE, "iss": "client", "sub": "client", **times}
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key().public_key().verify(decoded(signature), f"{first}.{second}".encode(), scheme, hashes.SHA256())


def test_with_the_key_alone() -> None:
    """Then the configured thumbprint names the certificate."""
    first, second, signature = make(pem_of(key())).split(".")
    assert json.loads(decoded(first)) == {"typ": "JWT", "alg": "RS256", "x5t": "sha1"}
    signed = f"{first}.{second}".encode()
    key().public_key().verify(decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())


def test_each_is_another() -> None:
    """An assertion is used once."""
    assert make(pem_of(key())) != make(pem_of(key()))


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("", "no certificate and unencrypted private key"),
        ("canary-words", "no certificate and unencrypted private key"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not RSA"),
    ],
)
def test_what_cannot_sign(pem: str, why: str) -> None:
    """The reason says what is wrong and nothing of what was given."""
    with pytest.raises(ValueError, match=why) as raised:
        make(pem)
    assert "canary" not in str(raised.value)
