"""Credentials of AWS as they are held, whoever gave them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NOT_SIGNED_IN: Final = "The provider could not be signed in to."
FOREVER_S: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, under the names by which botocore's signer reads it.

    Attributes:
        token: Of credentials that end; None for others.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Credentials, when others are to be fetched and when these end, in seconds from now."""

    credentials: Credentials
    renew_after_s: float
    life_s: float
