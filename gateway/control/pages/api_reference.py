"""The admin API as a page, made of the same table as its OpenAPI document."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control import openapi
from gateway.control.pages.frame import Crumb, Frame

PATH: Final = "/configuration/api"


def api_reference_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def show(request: Request) -> Response:
        values = {"topics": openapi.TOPICS, "curl": openapi.curl, "document": openapi.PATH}
        values["origin"] = str(request.base_url).rstrip("/")
        crumbs = (Crumb("AI Gateway", "/"), Crumb("Configuration"))
        return frame.page(request, "api_reference.html", "Admin API", *crumbs, values=values)

    return [Route(PATH, show, methods=["GET"])]
