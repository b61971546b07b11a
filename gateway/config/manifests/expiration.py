"""Until when credentials work: a day, to its end in UTC, or an RFC 3339 time."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final

from pydantic import AfterValidator

from gateway.config.manifests.part import wrong

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:[Zz]|[+-]\d{2}:\d{2})")


def parse_expiration(text: str) -> dt.datetime:
    """The first moment, in UTC, at which what has this expiration has expired.

    Raises:
        ValueError: It is neither, or does not exist.
        OverflowError: It is after the last day that Python knows.
    """
    if _DAY.fullmatch(text):
        day = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        return day + dt.timedelta(days=1)
    if not _RFC_3339.fullmatch(text):
        msg = "neither a day nor an RFC 3339 time"
        raise ValueError(msg)
    return dt.datetime.fromisoformat(text.upper()).astimezone(dt.UTC)


def _check_expiration(text: str) -> str:
    try:
        parse_expiration(text)
    except (ValueError, OverflowError):
        raise wrong(
            "not a date or time that exists", 'Write a day ("2027-01-31") or a time ("2027-01-31T18:00:00Z")'
        ) from None
    return text


Expiration = Annotated[str, AfterValidator(_check_expiration)]
