"""What the names of files have to be, so that they can be told: in JSON, on a terminal. Pure."""

from __future__ import annotations


def is_utf8(name: str) -> bool:
    """Whether *name*, as the system gave it, was UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
