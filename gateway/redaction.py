"""Masking what we sent in what others say: providers and endpoints may quote a request, its key included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_MASK: Final = "***"
_SHORTEST: Final = 4
"""Shorter values are no secrets, and masking them would tear words apart."""

SHORTEST_KEY: Final = 12
"""Of credentials that are masked in bodies: what is shorter may be any word of an answer."""

_SECRET_HEADER: Final = re.compile(
    r"auth|cookie|key|token|secret|passw|credential|signature|session|jwt|forwarded-client-cert"
)
# What an HTTP client's errors quote whole: a user and a query may be secret.
_URL_USER: Final = re.compile(r"(?<=://)[^\s/?#'\"]*@")
_URL_QUERY: Final = re.compile(r"(://[^\s?#'\"]*\?)[^\s'\"]+")


def may_hold_secret(header: str) -> bool:
    """Whether the name of *header* says that a secret may be in it."""
    return _SECRET_HEADER.search(header.lower()) is not None


def without_secrets(text: str, values: Iterable[str]) -> str:
    """*text* with each of the header *values* masked, also without its scheme (`Bearer abc` and `abc`)."""
    secrets = {secret for value in values for secret in (value, value.rpartition(" ")[2])}
    # The longest first: of one that begins with another nothing is left to be seen.
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, _MASK)
    return text


def without_url_secrets(text: str) -> str:
    """*text* with user and query of each URL in it masked."""
    return _URL_QUERY.sub(rf"\1{_MASK}", _URL_USER.sub(f"{_MASK}@", text))
