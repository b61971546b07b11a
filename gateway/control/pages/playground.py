"""AI Gateway > Playground: try models, side by side."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.pages.frame import Crumb, Frame
from gateway.control.pages.traffic import Places

PATH: Final = "/playground"


def playground_pages(frame: Frame, places: Places) -> list[Route]:
    """The route of this room."""

    async def playground(request: Request) -> Response:
        values = {"gateway": places.gateway}
        return frame.page(request, "playground.html", "Playground", Crumb("AI Gateway", "/"), values=values)

    return [Route(PATH, playground, methods=["GET"])]
