"""How long a server wants not to be asked again: `Retry-After` (RFC 9110, 10.2.3) and `retry-after-ms`."""

from __future__ import annotations

import math
from typing import Final

from gateway.wire.http_date import parse_http_date

MAX_RETRY_AFTER_S: Final = 3600.0
"""Longer wishes count as this."""

_MS_PER_S: Final = 1000


def parse_retry_after(value: str, now_s: float, *, most_s: float) -> float:
    """Seconds to wait by a `Retry-After` header (seconds or an HTTP date), 0.0 for one that says nothing.

    Args:
        value: The header's.
        now_s: Unix time by the clock that wrote it.
        most_s: Longer wishes count as this.
    """
    value = value.strip()
    # Some servers write a fraction, which OpenAI's SDKs read: who passes over it comes back too early.
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return min(float(value), most_s)
    try:
        at_s = parse_http_date(value)
    except ValueError:
        return 0.0
    return min(max(0.0, at_s - now_s), most_s)


def wait_in_headers(headers: list[tuple[bytes, bytes]], now_s: float) -> float:
    """Seconds to wait by the headers of a reply, 0.0 where they do not say it.

    `retry-after-ms`, as OpenAI's SDKs read it, is the exacter one and counts first.
    """
    wait_s = 0.0
    for name, value in headers:
        if name == b"retry-after-ms":
            exact_s = _milliseconds(value) / _MS_PER_S
            if exact_s:
                return min(exact_s, MAX_RETRY_AFTER_S)
        elif name == b"retry-after":
            wait_s = parse_retry_after(value.decode("latin-1"), now_s, most_s=MAX_RETRY_AFTER_S)
    return wait_s


def wish_in_headers(headers: list[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Those headers of a reply that say how long its server wants not to be asked again."""
    return tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name in (b"retry-after", b"retry-after-ms")
    )


def _milliseconds(value: bytes) -> float:
    try:
        number = float(value)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
