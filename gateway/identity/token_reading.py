"""What a signed token says of itself, before anybody knows whether it is true.

It decides only whose key the signature is checked with, and that a token which no honest provider makes is
not looked at any further. Form: RFC 7515, 7519; what to beware of: RFC 8725.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, Final

MAX_TOKEN_BYTES: Final = 16 * 1024
_MAX_KID_CHARACTERS: Final = 256
_LATEST_S: Final = 1e12
_SEGMENTS: Final = 3
# How a JSON object of any use begins: `{"`, or a blank or a line end between these, as ForgeRock's does.
_BEGINNINGS: Final = (b"eyJ", b"eyA", b"ewo", b"ew0", b"ewk")
# Tokens of other purposes (logout, proofs) may have the same issuer and audience.
_KINDS: Final = frozenset({"jwt", "application/jwt", "at+jwt", "application/at+jwt", "jose"})


class UnreadableError(ValueError):
    """What was read is not of the form that it must have; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself.

    Attributes:
        kid: Name of the key, None for none.
        issuer: Who made it, "" for nobody.
    """

    algorithm: str
    kid: str | None
    issuer: str


def looks_signed(token: bytes) -> bool:
    """Whether *token* has the form of a signed JWT, good or bad."""
    return token.startswith(_BEGINNINGS) and token.count(b".") == _SEGMENTS - 1


def read_unverified(token: bytes) -> Unverified:
    """Read what is needed to check *token*. Addresses and keys in its header are not looked at.

    Raises:
        UnreadableError: It has not the form of a signed JWT, or is longer than one that is taken.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise UnreadableError(f"it is longer than {MAX_TOKEN_BYTES} bytes")
    header_part, claims_part, _ = token.split(b".")
    header, claims = read_object(_decoded(header_part)), read_object(_decoded(claims_part))
    if "crit" in header or "b64" in header or str(header.get("typ", "jwt")).lower() not in _KINDS:
        raise UnreadableError("its header asks for something that is not known here")
    kid = header.get("kid")
    if not (kid is None or (isinstance(kid, str) and len(kid) <= _MAX_KID_CHARACTERS)):
        raise UnreadableError("its header names no key as a key is named")
    for name in ("exp", "nbf", "iat"):
        _check_time(claims.get(name))
    return Unverified(_text(header.get("alg")), kid, _text(claims.get("iss")))


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object that says everything once.

    Raises:
        UnreadableError: It is something else.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        # Without `from`: the trace of a deep recursion is long and says nothing.
        raise UnreadableError("its JSON is nested too deeply") from None
    except ValueError as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("it holds no JSON") from None
    if not isinstance(value, dict):
        raise UnreadableError("it holds no JSON object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("it says something twice")
    return found


def _no_number(_word: str) -> Any:
    raise UnreadableError("it holds a number that is none")


def _decoded(part: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(part.rstrip(b"=") + b"=" * (-len(part.rstrip(b"=")) % 4))
    except (binascii.Error, ValueError):
        raise UnreadableError("it is not encoded as it must be") from None


def _check_time(value: Any) -> None:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value < _LATEST_S:
        raise UnreadableError("it holds a time that is none")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
