"""How long a caller lets each attempt at a target take: `x-tfy-request-timeout` and `x-tfy-ttft-timeout-ms`.

Both are in milliseconds. They can make what the target allows shorter, not longer.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.errors import InvalidBody
from gateway.model import Headers

WHOLE_HEADER: Final = "x-tfy-request-timeout"
FIRST_TOKEN_HEADER: Final = "x-tfy-ttft-timeout-ms"  # noqa: S105 - a header's name

_MILLISECONDS: Final = re.compile(r"0{0,9}[1-9][0-9]{0,8}")
"""Below 12 days."""


class CallLimits(msgspec.Struct, frozen=True):
    """What a caller says of one attempt, in seconds; None where it says nothing.

    Attributes:
        whole_s: From the beginning to the end.
        first_token_s: Of a stream: from the beginning until its first content.
    """

    whole_s: float | None = None
    first_token_s: float | None = None


NO_LIMITS: Final = CallLimits()


def read_limits(headers: Headers) -> CallLimits:
    """The limits of a call.

    Raises:
        InvalidBody: One is not a positive whole number of milliseconds.
    """
    whole = headers.get(WHOLE_HEADER)
    first_token = headers.get(FIRST_TOKEN_HEADER)
    if whole is None and first_token is None:
        return NO_LIMITS
    return CallLimits(_seconds(WHOLE_HEADER, whole), _seconds(FIRST_TOKEN_HEADER, first_token))


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    if not _MILLISECONDS.fullmatch(text):
        message = f"{name} must be a positive whole number of milliseconds, at most 999999999."
        raise InvalidBody(message, param=name)
    return int(text) / 1000
