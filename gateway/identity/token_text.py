"""What a new token looks like.

Pure. An opaque token is `gwk_`, 43 characters that hold 256 random bits, and 6 that check them, so that
programs that look for leaked secrets find one by its form, and tell it from a word that only looks like one.
"""

from __future__ import annotations

import zlib
from typing import Final

RANDOM_BYTES: Final = 32
"""What an opaque token is made of."""
PREFIX: Final = "gwk_"

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY_LENGTH: Final = 43
"""Of 62 digits each: enough for 256 bits."""
_CHECK_LENGTH: Final = 6
# Without what is easily read as another letter.
_ID_LETTERS: Final = "23456789abcdefghijkmnpqrstuvwxyz"


def opaque_token(random: bytes) -> str:
    """The token that is made of `RANDOM_BYTES` random bytes."""
    if len(random) != RANDOM_BYTES:
        msg = f"a token is made of {RANDOM_BYTES} bytes"
        raise ValueError(msg)
    body = PREFIX + _in_digits(int.from_bytes(random), _BODY_LENGTH)
    return body + _check(body)


def token_id(random: bytes) -> str:
    """A name for a token, of 8 letters for 5 random bytes."""
    number = int.from_bytes(random[:5])
    return "t-" + "".join(_ID_LETTERS[number >> 5 * at & 31] for at in range(8))


def _check(body: str) -> str:
    return _in_digits(zlib.crc32(body.encode()), _CHECK_LENGTH)


def _in_digits(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
