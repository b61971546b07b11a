"""W3C Baggage: reading what a caller sends with its trace. Pure.

Rules: https://www.w3.org/TR/baggage/ . A member that breaks them is left out, and the others stand. Bounds
are those of OpenTelemetry's propagators; a header beyond them counts as absent, since who wrote so much made
a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

MAX_HEADER_CHARACTERS: Final = 8192
MAX_MEMBER_CHARACTERS: Final = 4096
MAX_MEMBERS: Final = 180

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - HTTP's word for it
# Everything printable of ASCII but blank, quote, comma, semicolon and backslash.
_VALUE: Final = r"[!#-+\--:<-\[\]-~]*"
_MEMBER: Final = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*({_VALUE})")


def parse_baggage(headers: Sequence[str]) -> dict[str, str]:
    """Keys and decoded values; of a key that is there twice the last.

    Args:
        headers: Every `baggage` header, joined in order.
    """
    text = ",".join(headers)
    members = text.split(",")
    if len(text) > MAX_HEADER_CHARACTERS or len(members) > MAX_MEMBERS:
        return {}
    found = {}
    for member in members:
        # What follows the first semicolon are properties, which say how the value is to be treated.
        match = _MEMBER.fullmatch(member.partition(";")[0].strip(" \t"))
        if match is not None and len(member) <= MAX_MEMBER_CHARACTERS:
            found[match[1]] = unquote(match[2], errors="replace")
    return found
