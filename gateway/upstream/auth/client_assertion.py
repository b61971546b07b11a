"""What an application proves itself with that has a certificate in place of a secret: a signed JWT.

The library that signs is large and only these accounts need it, so it is imported when the first of them
signs in. Form: https://learn.microsoft.com/entra/identity-platform/certificate-credentials , RFC 7523 3.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from uuid import uuid4

from gateway.config.extras import AZURE

LIFE_S: Final = 600
"""How long one is good for. A new one is made for every token."""

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"


def make_assertion(pem: str, *, client_id: str, audience: str, thumbprint: str, now_s: float) -> str:
    """A JWT that says who asks, signed with the key in *pem*.

    Args:
        pem: The private key and, before or after it, the certificate.
        client_id: The application.
        audience: The token endpoint.
        thumbprint: SHA-1 of the certificate in base64url, for a *pem* that has none in it.
        now_s: Unix time.

    Raises:
        ValueError: *pem* holds no RSA key, something else is wrong with it, or the library is missing.
    """
    try:
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415
        from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(f"{AZURE.absence}. {AZURE.fix}") from error
    try:
        key = load_pem_private_key(pem.encode(), password=None)
        at = pem.find(_CERTIFICATE)
        certificate = load_pem_x509_certificate(pem[at:].encode()) if at >= 0 else None
    except (ValueError, TypeError) as error:
        # What the library says may quote what it was given.
        raise ValueError(
            "auth_data.certificate is no certificate and unencrypted private key in PEM"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("auth_data.certificate holds a key that is not RSA")  # noqa: TRY004 - no type of the caller's
    header = {"typ": "JWT"}
    if certificate is None:
        header |= {"alg": "RS256", "x5t": thumbprint}
    else:
        header |= {"alg": "PS256", "x5t#S256": _encode(certificate.fingerprint(hashes.SHA256()))}
    now = int(now_s)
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": now + LIFE_S,
    }
    signed = f"{_part(header)}.{_part(claims)}"
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if certificate is not None:
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{signed}.{_encode(key.sign(signed.encode(), scheme, hashes.SHA256()))}"


def _part(members: dict[str, Any]) -> str:
    return _encode(json.dumps(members, separators=(",", ":")).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
