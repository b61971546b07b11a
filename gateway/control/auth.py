"""Who may reach the control plane.

On loopback it is open, and the name in `Host` must be loopback's: a page in the operator's browser can make
its own name resolve to 127.0.0.1 (DNS rebinding) and would otherwise read everything here. On any other
address `/api/*` needs the admin token, but for what callers ask with their own. No CORS header is ever sent,
so other pages cannot read answers.

Pure ASGI: it sees every request before any room does.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.control import health, limits, metrics
from gateway.control.operator import Operator, Role, put_operator
from gateway.control.replies import error_reply
from gateway.settings import is_loopback

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d{1,5})?", re.ASCII)
# Who has an account on this machine, or the token.
_LOCAL: Final = Operator("admin", Role.ADMIN)
_PROTECTED: Final = "/api"
_OPEN: Final = health.PATHS | {metrics.PATH}
_CALLERS: Final = frozenset({limits.MY_USAGE})
"""Of callers of the gateway, whose own tokens are checked there."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the control plane may be reached.

    Attributes:
        host: What it is bound to.
        admin_token: Needed for `/api/*` away from loopback; when there is none, `/api/*` is closed there.
    """

    host: str
    admin_token: str | None = field(default=None, repr=False)


class Guard:
    """ASGI middleware that lets in whom `Access` allows."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._is_local = is_loopback(access.host)
        self._token = None if access.admin_token is None else access.admin_token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "lifespan" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
        elif self._is_local and not _names_loopback(scope):
            message = "reach the control plane as localhost or 127.0.0.1, or bind it to another address"
            await error_reply(421, "misdirected_request", message)(scope, receive, send)
        elif not self._is_local and _is_protected(scope["path"]) and not self._has_token(scope):
            message = "send the admin token: Authorization: Bearer <GATEWAY_ADMIN_TOKEN>"
            headers = {"www-authenticate": "Bearer"}
            await error_reply(401, "unauthorized", message, headers)(scope, receive, send)
        else:
            put_operator(scope, _LOCAL)
            await self._app(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        values = _header(scope, b"authorization")
        if self._token is None or len(values) != 1:
            return False
        scheme, _blank, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def _is_protected(path: str) -> bool:
    return (path == _PROTECTED or path.startswith(_PROTECTED + "/")) and path not in _CALLERS


def _names_loopback(scope: Scope) -> bool:
    values = _header(scope, b"host")
    if len(values) != 1:
        return False
    match = _HOST.fullmatch(values[0].decode("latin-1").lower())
    return match is not None and is_loopback(match[1].strip("[]"))


def _header(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key.lower() == name]
