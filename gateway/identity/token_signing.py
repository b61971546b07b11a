"""Tokens in the form of JWTs, for callers that read in their token who they are and until when.

Needs the extra `jwt`. Whoever has the public key may read and trust one. The gateway knows it by its hash,
like every token: no signature is verified in a call, and one that is not listed is refused.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.config.whole_file import give_to_owner

ISSUER: Final = "gateway"

_FILE: Final = "token-signing.pem"
_MODE: Final = 0o600


class KeyUnusable(Exception):
    """The key that signs tokens cannot be read or made; the message says why and holds nothing of it."""


def sign_token(
    state_dir: Path, subject: str, token_id: str, made_at: dt.datetime, end: dt.datetime | None
) -> str:
    """A signed token.

    Args:
        state_dir: Where the key is kept; one is made when there is none.
        subject: Whose it is, such as `virtualaccount:app`.
        token_id: What it is called.
        made_at: When.
        end: Until when it works, None for no end.

    Raises:
        KeyUnusable: See there.
    """
    claims: dict[str, Any] = {"iss": ISSUER, "sub": subject, "iat": made_at, "jti": token_id}
    if end is not None:
        claims["exp"] = end
    return jwt.encode(claims, _key(state_dir), algorithm="EdDSA")


def _key(state_dir: Path) -> Ed25519PrivateKey:
    file = state_dir / _FILE
    try:
        if not file.exists():
            _make(file)
        _check_mode(file)
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except OSError as error:
        raise KeyUnusable(f"{file} cannot be used: {(error.strerror or 'error').lower()}") from error
    except (ValueError, TypeError):
        # Without `from`: the foreign error may carry the text.
        raise KeyUnusable(f"{file} holds no private key; remove it, and another one is made") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{file} holds a key of another kind than Ed25519")
    return key


def _check_mode(file: Path) -> None:
    if file.stat().st_mode & 0o077:
        raise KeyUnusable(f"others may read {file}: chmod 600 it, or remove it and another one is made")


def _make(file: Path) -> None:
    """Make a key that is whole before it has its name; of two that are made at once one stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(pem)
            stream.flush()
            os.fsync(stream.fileno())
            give_to_owner(stream.fileno(), file.parent)
        try:
            file.hardlink_to(beside)
        except FileExistsError:
            return
    finally:
        beside.unlink(missing_ok=True)
