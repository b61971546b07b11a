"""Passwords as they are kept: scrypt with a salt of their own (RFC 7914)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 1024
"""More would only cost time."""

# 32 MB and some 0.2 s a guess; OWASP's list of equal choices has it.
_LOG_N: Final = 15
_R: Final = 8
_P: Final = 3
_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MAX_MEMORY: Final = 64 * 1024 * 1024


def fault_of(password: str) -> str | None:
    """What is wrong with a new password, None when nothing is."""
    if len(password) < MIN_LENGTH:
        return f"use at least {MIN_LENGTH} characters; a few words that belong to no sentence are good"
    if len(password) > MAX_LENGTH:
        return f"use at most {MAX_LENGTH} characters"
    if len(set(password)) < 5:  # noqa: PLR2004 - aaaaaaaaaaaa, 121212121212
        return "use more than a few different characters"
    return None


def hash_password(password: str) -> str:
    """What to keep of *password*; slow on purpose, so call it in a thread."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = ["scrypt", str(_LOG_N), str(_R), str(_P), _encode(salt)]
    return "$".join([*parts, _encode(_derive(password, salt, _LOG_N, _R, _P))])


def is_password(password: str, kept: str | None) -> bool:
    """Whether *kept* was made of *password*. With None it takes as long, and is False."""
    name, log_n, r, p, salt, key = (kept or _NOBODY).split("$")
    if name != "scrypt":
        return False
    derived = _derive(password, _decode(salt), int(log_n), int(r), int(p))
    return hmac.compare_digest(derived, _decode(key)) and kept is not None


def _derive(password: str, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    text = password[: MAX_LENGTH + 1].encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=1 << log_n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=_KEY_BYTES)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text)


# Asked when there is no such user, so that the time does not tell.
_NOBODY: Final = "$".join(
    ["scrypt", str(_LOG_N), str(_R), str(_P), _encode(bytes(_SALT_BYTES)), _encode(bytes(_KEY_BYTES))]
)
