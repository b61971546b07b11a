"""Where to send what, and what must come back. Pure."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from perf.load.amount import UnsafeTargetError
from perf.payloads import SMALL_CHAT, Ask, Dialect, says_the_same


class Accept(enum.StrEnum):
    """Which answers are good."""

    BYTES = "bytes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what, and what must come back."""

    host: str
    port: int
    request: bytes
    reply: bytes
    accept: Accept = Accept.BYTES
    dialect: Dialect = Dialect.CHAT

    def accepts(self, body: bytes) -> bool:
        """Whether *body* is what must come back."""
        return body == self.reply or (self.accept is Accept.TEXT and says_the_same(body, self.dialect))


def http_target(
    url: str,
    *,
    model: str,
    token: str,
    ask: Ask = SMALL_CHAT,
    headers: Iterable[str] = (),
    accept: Accept = Accept.BYTES,
) -> Target:
    """The target of calls to *url*, with *headers* of the form `name: value` beside the usual ones.

    Raises:
        UnsafeTargetError: *url* is not plain HTTP to a loopback address, HTTP cannot carry what is given, or
            the call does not fit its size.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        body = ask.request(model)
    except ValueError as error:
        raise UnsafeTargetError(str(error)) from error
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if parts.scheme != "http" or not is_loopback:
        raise UnsafeTargetError(f"{url} is not http:// to a loopback address such as 127.0.0.1")
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: perf/1\r\n"
        f"accept: application/json\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    more = "".join(f"{header}\r\n" for header in headers)
    try:
        request = f"{head}{more}\r\n".encode("ascii") + body
    except UnicodeEncodeError as error:
        raise UnsafeTargetError("path, token and headers must be ASCII") from error
    return Target(host, port, request, ask.reply(), accept, ask.dialect)
