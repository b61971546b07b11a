"""The pages before the frame: signing in, and setting a password by a one-time link.

The link's secret is after the `#` of its address, so that no server, log or `Referer` sees it; the page's
script sends it.
"""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.control.auth import FIRST_PATH, SIGN_IN_PATH, Access, is_https
from gateway.control.operator import find_operator
from gateway.control.pages.frame import Frame
from gateway.control.sign_in.passwords import MIN_LENGTH
from gateway.settings import is_loopback

_log: Final = logging.getLogger(__name__)


def sign_in_pages(frame: Frame, access: Access) -> list[Route]:
    """The routes of this room."""
    accounts = access.entrance.accounts

    async def sign_in(request: Request) -> Response:
        target = _inside(request.query_params.get("next", "/"))
        if find_operator(request.scope) is not None:
            return RedirectResponse(target, 303)
        try:
            is_new, is_damaged = not accounts.has_admin(), False
        except (OSError, ValueError) as error:
            _log.error("the accounts of the dashboard cannot be used: %s", error)
            is_new, is_damaged = False, True
        values = {
            "next": target,
            "is_new": is_new,
            "is_damaged": is_damaged,
            "is_exposed": _is_exposed(request, access),
        }
        return frame.page(request, "sign_in.html", "Sign in", values=values)

    async def first(request: Request) -> Response:
        values = {"min_length": MIN_LENGTH, "is_exposed": _is_exposed(request, access)}
        return frame.page(request, "first.html", "Choose a password", values=values)

    return [
        Route(SIGN_IN_PATH, sign_in, methods=["GET"]),
        Route(FIRST_PATH, first, methods=["GET"]),
    ]


def _inside(target: str) -> str:
    """*target* if it is a path of ours: not another site's, in any way that a browser reads one."""
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\"))
    has_control = any(ord(character) < 0x20 for character in target)  # noqa: PLR2004 - as tabs, which browsers drop
    return target if is_ours and not has_control else "/"


def _is_exposed(request: Request, access: Access) -> bool:
    """Whether what is typed crosses a network in the clear."""
    return not is_loopback(access.host) and not is_https(request.scope)
