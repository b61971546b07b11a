"""How a program that looks for leaked secrets knows an opaque token; see `gateway.identity.token_text`."""

from __future__ import annotations

import re
import zlib
from typing import Final

_FORM: Final = re.compile(r"(gwk_[0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_opaque_token(text: str) -> bool:
    """Whether *text* has the form of one, its check (CRC-32, in 62 digits) included."""
    found = _FORM.fullmatch(text)
    if found is None:
        return False
    check = 0
    for digit in found[2]:
        check = check * 62 + _DIGITS.index(digit)
    return check == zlib.crc32(found[1].encode())
