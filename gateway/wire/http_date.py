"""Dates in HTTP headers (RFC 9110, 5.6.7). Pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime


def parse_http_date(text: str) -> float:
    """Unix time of a `Date`, or of another header's date.

    Raises:
        ValueError: It is none.
    """
    try:
        at = parsedate_to_datetime(text)
    except OverflowError as error:  # of a zone that is days away
        raise ValueError(str(error)) from error
    # One of the three forms, asctime's, names no zone: all of them are in UTC. Without one, `timestamp` would
    # take it for this host's time.
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
