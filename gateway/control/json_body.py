"""Reading what a client sends to change something, and refusing what a foreign web page could send.

A page of any site in the operator's browser may POST to the API without reading the answer. Such a request
has a foreign `Origin`, and cannot have a JSON content type without a CORS preflight, which we never grant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.control.replies import error_reply

JSON: Final = "application/json"
_MAX_BYTES: Final = 256 * 1024
BODY_S: Final = 30.0
"""How long a body may take. Who signs in is nobody yet, and could hold connections as long as it likes."""
_MAX_DEPTH: Final = 100
"""Far above what is meant, and below where our own code, or the encoder of an answer, runs out of stack."""


class BodyRefused(Exception):
    """The request is not acted on.

    Attributes:
        status: HTTP status.
        code: For programs.
        retry_after_s: When to come again, None where that helps nothing.
    """

    def __init__(self, status: int, code: str, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    def reply(self) -> Response:
        """The answer that says so."""
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        return error_reply(self.status, self.code, str(self), headers)


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body; {} for an empty body.

    Raises:
        BodyRefused: From a foreign page, not JSON, too large, too slow or no object.
    """
    return to_object((await read_content(request, (JSON,)))[1])


async def read_object_if_any(request: Request) -> dict[str, Any]:
    """The same, of a request that may come without a body: then it needs no content type either.

    Raises:
        BodyRefused: As by `read_object`.
    """
    if "content-type" in request.headers:
        return await read_object(request)
    check_origin(request.scope)
    if await _read(request):
        raise _wrong_type((JSON,))
    return {}


async def read_content(request: Request, accepted: Collection[str]) -> tuple[str, bytes]:
    """The media type and the body.

    Args:
        accepted: Media types, which no page of another site can send without asking first.

    Raises:
        BodyRefused: From a foreign page, of another type, too large or too slow.
    """
    check_origin(request.scope)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in accepted:
        raise _wrong_type(accepted)
    return media_type, await _read(request)


def _wrong_type(accepted: Collection[str]) -> BodyRefused:
    return BodyRefused(415, "unsupported_media_type", f"send Content-Type: {' or '.join(accepted)}")


def to_object(body: bytes) -> dict[str, Any]:
    """*body* as the JSON object that it is; {} when it is empty.

    Raises:
        BodyRefused: It is none, or nested too deep.
    """
    if not body.strip():
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Without `from`: the foreign error carries the text, and the text may hold a secret.
        raise BodyRefused(400, "invalid_json", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise BodyRefused(400, "invalid_json", "the body is not a JSON object")
    # So few brackets cannot nest deeper: most bodies need not be walked through.
    if body.count(b"{") + body.count(b"[") > _MAX_DEPTH and _is_too_deep(value):
        raise BodyRefused(400, "invalid_json", f"the body is nested deeper than {_MAX_DEPTH} levels")
    return value


def _is_too_deep(value: object) -> bool:
    # Level by level: a function that calls itself would fail on the very bodies that this is about.
    level = [value]
    for _depth in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def check_origin(scope: Scope) -> None:
    """Refuse what a page of another origin has sent.

    Raises:
        BodyRefused: It is so.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    is_foreign = any(_host_in(origin) != host for origin in headers.getlist("origin"))
    if is_foreign or headers.getlist("sec-fetch-site") in (["cross-site"], ["same-site"]):
        raise BodyRefused(403, "foreign_origin", "a page of another site may not change anything here")


def _host_in(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as half an address of IPv6; no browser sends it
        return None


async def _read(request: Request) -> bytes:
    parts = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                parts += part
                if len(parts) > _MAX_BYTES:
                    raise BodyRefused(413, "body_too_large", f"at most {_MAX_BYTES:,} bytes")
    except TimeoutError as error:
        raise BodyRefused(408, "body_timeout", f"the body did not come within {BODY_S:g} s") from error
    except ClientDisconnect as error:
        raise BodyRefused(400, "invalid_json", "the body did not come whole") from error
    return bytes(parts)
