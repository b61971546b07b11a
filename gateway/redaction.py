"""Masking what we sent in what others say: providers and endpoints may quote a request, its key included."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MASK: Final = "***"
_SHORTEST: Final = 4
"""Shorter values are no secrets, and masking them would tear words apart."""


def without_secrets(text: str, values: Iterable[str]) -> str:
    """*text* with each of the header *values* masked, also without its scheme (`Bearer abc` and `abc`)."""
    for value in values:
        for secret in (value, value.rpartition(" ")[2]):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, _MASK)
    return text
