"""What the targets of all providers are made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from gateway.config import SecretReference

Resolve = Callable[[SecretReference], str]
"""Gives a secret's value; raises `gateway.config.SecretMissing`."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a base URL, the scheme's default port filled in."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
