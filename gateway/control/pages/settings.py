"""AI Gateway > Controls > Settings: one tab each."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.control.pages.frame import Crumb, Frame

OTEL_PATH = "/controls/settings/otel"
_OLD_PATH = "/settings/otel"
_ABOVE = (Crumb("AI Gateway", "/"), Crumb("Controls"), Crumb("Settings", "/controls/settings"))


def settings_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def otel(request: Request) -> Response:
        return frame.page(request, "otel.html", "OTEL Config", *_ABOVE)

    async def to_otel(_request: Request) -> Response:
        return RedirectResponse(OTEL_PATH, 307)

    return [
        Route(OTEL_PATH, otel, methods=["GET"]),
        Route("/controls/settings", to_otel, methods=["GET"]),
        Route(_OLD_PATH, to_otel, methods=["GET"]),
    ]
