"""Keys and tokens of an identity provider, good ones and bad ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER: Final = "https://login.acme.example/"
AUDIENCE: Final = "api://gateway"

_CURVES: Final = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


class SigningKey:
    """A key of a provider; *kind* is an algorithm that it is for."""

    def __init__(self, kid: str | None, kind: str = "ES256", *, bits: int = 2048) -> None:
        self.kid = kid
        self.algorithm = kind
        self.private: Any
        if kind in _CURVES:
            self.private = ec.generate_private_key(_CURVES[kind])
        elif kind == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif kind == "Ed448":
            self.private, self.algorithm = ed448.Ed448PrivateKey.generate(), "EdDSA"
        else:
            self.private = rsa.generate_private_key(65537, bits)

    def published(self, **more: Any) -> dict[str, Any]:
        """As it stands in a set of keys."""
        made: Any = jwt.get_algorithm_by_name(self.algorithm)
        key = made.to_jwk(self.private.public_key(), as_dict=True)
        key.pop("key_ops", None)
        return {**key, **({} if self.kid is None else {"kid": self.kid}), "use": "sig", **more}

    def pem(self) -> bytes:
        """The public half, as everybody may have it."""
        public: bytes = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        return public

    def sign(self, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
        """A token with *claims* as they are; *header* over what would stand there."""
        named = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(claims, self.private, self.algorithm, {**named, **(header or {})})

    def sign_text(self, claims: str, header: str | None = None) -> str:
        """The same of a text that may be any."""
        head = header or json.dumps({"alg": self.algorithm, "kid": self.kid, "typ": "JWT"})
        signed = f"{part(head.encode())}.{part(claims.encode())}"
        made: Any = jwt.get_algorithm_by_name(self.algorithm)
        return f"{signed}.{part(made.sign(signed.encode(), self.private))}"


def key_set(*keys: SigningKey | dict[str, Any]) -> bytes:
    """What a provider publishes."""
    return json.dumps({"keys": [key if isinstance(key, dict) else key.published() for key in keys]}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """Those of a good token; None takes one away."""
    now_s = int(time.time())
    made: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "00u1",
        "email": "a@x.io",
        "iat": now_s,
        "exp": now_s + 600,
        **more,
    }
    return {name: value for name, value in made.items() if value is not None}


def part(data: bytes) -> str:
    """A segment of a token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def confused(key: SigningKey, said: dict[str, Any], secret: bytes, header: dict[str, Any]) -> str:
    """A token "signed" with HMAC and what everybody may read of *key*."""
    head = {"typ": "JWT", "kid": key.kid, **header}
    signed = f"{part(json.dumps(head).encode())}.{part(json.dumps(said).encode())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"
