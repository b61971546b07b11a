"""AI Gateway > Access > Dashboard: who may sign in here, tokens of the admin API, and one's own password."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.pages.frame import Crumb, Frame
from gateway.control.sign_in.passwords import MIN_LENGTH

PATH: Final = "/access/dashboard"
_ABOVE: Final = (Crumb("AI Gateway", "/"), Crumb("Access"))


def dashboard_access_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def show(request: Request) -> Response:
        values = {"min_length": MIN_LENGTH}
        return frame.page(request, "dashboard_access.html", "Dashboard access", *_ABOVE, values=values)

    return [Route(PATH, show, methods=["GET"])]
