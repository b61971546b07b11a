"""Who may reach the control plane.

Everybody signs in, also on loopback; open are health, metrics, the files of the pages, the way in, and what
callers ask with their own tokens. A page of any site in the operator's browser can send requests here and can
make its own name resolve to 127.0.0.1 (DNS rebinding), so: on loopback the name in `Host` must be loopback's;
a change that comes with the session cookie must come from our own page (`Origin`, `Sec-Fetch-Site`) with the
session's CSRF token, which no other page can read; no CORS header is ever sent. A token in `Authorization` is
sent by no browser by itself.

Pure ASGI: it sees every request before any room does.
"""

from __future__ import annotations

import hmac
import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.control import health, limits, metrics
from gateway.control.json_body import BodyRefused, check_origin
from gateway.control.operator import Operator, address_in, find_operator, put_operator
from gateway.control.replies import error_reply, failure_reply
from gateway.control.sign_in.entrance import Entrance, TooManyTries
from gateway.settings import is_loopback

SIGN_IN_PATH: Final = "/sign-in"
FIRST_PATH: Final = "/first"
CSRF_HEADER: Final = b"x-csrf-token"
VIEWER_MAY: Final = frozenset(
    {
        "/api/sign-out",
        "/api/me/password",
        "/api/playground/chat",
        "/api/manifests/validate",
        "/api/limits/simulate",
    }
)
"""Unsafe methods that are allowed to viewers: what is about themselves, and questions that have a body and
change nothing. Any other on the API is for admins."""

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?", re.ASCII)
_API: Final = "/api"
_OPEN: Final = health.PATHS | {metrics.PATH}
_WAY_IN: Final = frozenset({SIGN_IN_PATH, FIRST_PATH, "/api/sign-in", "/api/first"})
_STATIC: Final = "/static/"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ADVICE: Final = "sign in, or send a token: Authorization: Bearer <admin token>"
_CALLERS: Final = frozenset({limits.MY_USAGE})
"""Of callers of the gateway, whose own tokens are checked there."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the control plane may be reached.

    Attributes:
        host: What it is bound to; with *port*.
        entrance: Knows who somebody is.
    """

    host: str
    entrance: Entrance
    port: int = 8788

    @property
    def cookie(self) -> str:
        """The session's cookie. Cookies do not tell ports apart, and two gateways may run on one host."""
        return f"gateway-session-{self.port}"


class Guard:
    """ASGI middleware that lets in whom `Access` allows, and notes who it is."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._is_local = is_loopback(access.host)
        self._entrance = access.entrance
        self._cookie = access.cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "lifespan" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
        elif (refusal := self._checked(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self._note_use(scope)
            await self._app(scope, receive, send)

    def _checked(self, scope: Scope) -> Response | None:
        """As `_check`, also where the files of users or sessions cannot be read."""
        try:
            return self._check(scope)
        except (OSError, ValueError) as error:
            return failure_reply(scope, error)

    def _check(self, scope: Scope) -> Response | None:
        """What to answer instead of passing it on; notes the operator."""
        if self._is_local and not _names_loopback(scope):
            message = "reach the control plane as localhost or 127.0.0.1, or bind it to another address"
            return error_reply(421, "misdirected_request", message)
        if scope["path"].startswith(_STATIC) or scope["path"] in _CALLERS:
            return None
        try:
            operator = self._find_operator(scope)
        except TooManyTries as error:
            return too_many_tries(error)
        except (OSError, ValueError):
            # Who has an old cookie is told of the damage on the page to sign in, and may use another way.
            if scope["path"] not in _WAY_IN:
                raise
            operator = None
        if operator is None:
            return None if scope["path"] in _WAY_IN else _who_are_you(scope)
        put_operator(scope, operator, lambda: self._is_still_in(scope))
        return _check_change(scope, operator)

    def _is_still_in(self, scope: Scope) -> bool:
        if (secret := _bearer_in(scope)) is not None:
            return self._entrance.is_token(secret)
        return self._find_operator(scope) is not None

    async def _note_use(self, scope: Scope) -> None:
        operator = find_operator(scope)
        if operator is not None and operator.csrf_token and (secret := session_in(scope, self._cookie)):
            await self._entrance.note_use(secret)

    def _find_operator(self, scope: Scope) -> Operator | None:
        if (secret := _bearer_in(scope)) is not None:
            return self._entrance.by_bearer(secret, address_in(scope)) if secret else None
        secret_of_session = session_in(scope, self._cookie)
        return None if secret_of_session is None else self._entrance.by_session(secret_of_session)


def _bearer_in(scope: Scope) -> str | None:
    """The token that the request comes with, "" for none that can be one; None where a session counts."""
    bearers = _header(scope, b"authorization")
    if not bearers:
        return None
    # What a proxy added and what the client sent may differ: two are none.
    scheme, _blank, secret = bearers[0].partition(b" ")
    if len(bearers) != 1 or scheme.lower() != b"bearer":
        return ""
    return secret.strip().decode("utf-8", "surrogateescape")


def too_many_tries(error: TooManyTries) -> Response:
    """The answer to somebody who guesses."""
    wait_s = math.ceil(error.wait_s)
    return error_reply(
        429, "too_many_tries", f"too many tries; try again in {wait_s} s", {"retry-after": str(wait_s)}
    )


def session_in(scope: Scope, name: str) -> str | None:
    """The secret of the session that the request comes with."""
    # Lenient, as browsers are: another program on this host may have set a cookie that SimpleCookie stops at.
    return cookie_parser(b"; ".join(_header(scope, b"cookie")).decode("latin-1")).get(name)


def is_https(scope: Scope) -> bool:
    """Whether the browser sees this over TLS, ours or that of a proxy in front."""
    forwarded = _header(scope, b"x-forwarded-proto")
    return scope["scheme"] == "https" or forwarded[-1:] == [b"https"]


def _check_change(scope: Scope, operator: Operator) -> Response | None:
    """Refuse a change that the operator may not make, or may not have meant."""
    if scope["type"] == "http" and (scope["method"] in _SAFE or scope["path"] in _WAY_IN):
        return None
    if operator.csrf_token:
        try:
            check_origin(scope)
        except BodyRefused as error:
            return error.reply()
        given = _header(scope, CSRF_HEADER)
        if len(given) != 1 or not hmac.compare_digest(given[0], operator.csrf_token.encode()):
            return error_reply(403, "csrf", "the page is older than its session: reload it")
    if not operator.is_admin and scope["path"] not in VIEWER_MAY:
        return error_reply(403, "admin_only", "you are signed in as a viewer; only an admin may change this")
    return None


def _who_are_you(scope: Scope) -> Response:
    if scope["type"] != "http":
        return error_reply(401, "unauthorized", _ADVICE)
    path = scope["path"]
    if path == _API or path.startswith(_API + "/") or scope["method"] not in _SAFE:
        return error_reply(401, "unauthorized", _ADVICE, {"www-authenticate": "Bearer"})
    query = scope["query_string"].decode("latin-1")
    wanted = quote(path, safe="/") + (f"?{query}" if query else "")
    return RedirectResponse(f"{SIGN_IN_PATH}?next={quote(wanted, safe='')}", 303)


def _names_loopback(scope: Scope) -> bool:
    values = _header(scope, b"host")
    if len(values) != 1:
        return False
    match = _HOST.fullmatch(values[0].decode("latin-1").lower())
    return match is not None and is_loopback(match[1].strip("[]"))


def _header(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]
