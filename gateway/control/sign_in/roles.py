"""What an operator may do. Apart from the rest, so that commands need no web framework to know it."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """A viewer changes nothing, and sees no accounts."""

    VIEWER = "viewer"
    ADMIN = "admin"
