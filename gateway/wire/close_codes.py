"""Close codes of WebSockets, and which of them one side's code becomes on the other.

Pure. A code passes as it is where it may be sent at all; some only stand for what never was a frame.

Rules: RFC 6455, 7.4; https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
"""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
"""Stands for a close frame without a code."""

LOST: Final = 1006
"""Stands for a connection that ended without a close frame."""

POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL: Final = 1011
TRY_LATER: Final = 1013
BAD_GATEWAY: Final = 1014
UNAUTHORIZED: Final = 3000
FORBIDDEN: Final = 3003
TIMEOUT: Final = 3008

GOOD_ENDS: Final = frozenset({NORMAL, GOING_AWAY, NO_CODE})
"""What a session is closed with that has not failed."""

_SENDABLE: Final = frozenset((*range(1000, 1004), *range(1007, 1015)))
_OTHERS: Final = range(3000, 5000)
_MAX_REASON_BYTES: Final = 123
_BY_STATUS: Final = {
    401: UNAUTHORIZED,
    403: FORBIDDEN,
    413: TOO_BIG,
    429: TRY_LATER,
    503: TRY_LATER,
    504: TIMEOUT,
}
_FIRST_SERVER_ERROR: Final = 500
_FIRST_ERROR: Final = 400


def is_sendable(code: int) -> bool:
    """Whether *code* may stand in a close frame."""
    return code in _SENDABLE or code in _OTHERS


def code_for_provider(code: int) -> int:
    """What the provider is told when the caller has closed with *code*."""
    if is_sendable(code):
        return code
    return NORMAL if code == NO_CODE else GOING_AWAY


def code_for_caller(code: int) -> int:
    """What the caller is told when the provider has closed with *code*."""
    if is_sendable(code):
        return code
    return NORMAL if code == NO_CODE else BAD_GATEWAY


def code_of_status(status: int) -> int:
    """The code that says what an HTTP *status* says."""
    found = _BY_STATUS.get(status)
    if found is not None:
        return found
    return POLICY if _FIRST_ERROR <= status < _FIRST_SERVER_ERROR else BAD_GATEWAY


def short_reason(reason: str) -> str:
    """As much of *reason* as a close frame holds, whole characters."""
    return reason.encode(errors="replace")[:_MAX_REASON_BYTES].decode(errors="ignore")
