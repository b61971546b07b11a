"""RFC 3339 times and Unix nanoseconds, one into the other. Pure.

https://www.rfc-editor.org/rfc/rfc3339#section-5.6
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_NS_PER_S: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A blank before the offset is a "+" that nobody escaped in the URL.
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+\- ])(\d\d):(\d\d))", re.ASCII
)


def parse_rfc3339_ns(text: str) -> int:
    """Unix nanoseconds of an RFC 3339 time.

    Raises:
        ValueError: It is not one.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time such as 2026-01-31T12:00:00Z")
    date, time_of_day, fraction, _zulu, sign, hours, minutes = match.groups()
    moment = datetime.fromisoformat(f"{date}T{time_of_day}+00:00")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    if sign is not None:
        offset_s = int(hours) * 3600 + int(minutes) * 60
        seconds -= -offset_s if sign == "-" else offset_s
    return seconds * _NS_PER_S + int((fraction or "0").ljust(9, "0"))


def format_rfc3339(time_ns: int) -> str:
    """A Unix time as RFC 3339 in UTC, to the microsecond; beyond the calendar, its nearest end."""
    latest = datetime.max.replace(tzinfo=UTC)
    microseconds = min(max(time_ns // 1000, 0), (latest - _EPOCH) // timedelta(microseconds=1))
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
