"""What the targets of all providers are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.config import SecretMissing, SecretReference
from gateway.model import HeaderLines
from gateway.providers.headers import fixed_lines

Resolve = Callable[[SecretReference], str]
"""Gives a secret's value; raises `gateway.config.SecretMissing`."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a base URL, the scheme's default port filled in."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


@dataclass(frozen=True, slots=True)
class OwnHeaders:
    """The headers of one target, as `Target` has them; without them, why."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    lines: HeaderLines = field(default=HeaderLines(), repr=False)
    missing_secret: str = ""


def own_headers(
    make: Callable[[], tuple[tuple[str, str], ...]],
    lines_of: Callable[[tuple[tuple[str, str], ...]], HeaderLines] = fixed_lines,
) -> OwnHeaders:
    """The headers that *make* gives, unless a secret is missing or cannot be sent.

    Args:
        make: Gives the headers; raises `SecretMissing`.
        lines_of: Makes of them what each request is sent.
    """
    try:
        headers = make()
    except SecretMissing as error:
        return OwnHeaders(missing_secret=str(error))
    try:
        return OwnHeaders(headers, lines_of(headers))
    except ValueError as error:
        return OwnHeaders(missing_secret=str(error))
