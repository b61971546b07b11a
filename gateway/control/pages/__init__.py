"""Pages for people: the dashboard. Each page is a room of its own here, in one frame."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.auth import Access
from gateway.control.pages.api_reference import api_reference_pages
from gateway.control.pages.callers import caller_pages
from gateway.control.pages.configuration import configuration_pages
from gateway.control.pages.controls import control_pages
from gateway.control.pages.dashboard_access import dashboard_access_pages
from gateway.control.pages.frame import Frame
from gateway.control.pages.models import model_pages
from gateway.control.pages.playground import playground_pages
from gateway.control.pages.settings import settings_pages
from gateway.control.pages.sign_in import sign_in_pages
from gateway.control.pages.static_files import StaticFiles
from gateway.control.pages.traffic import Places, traffic_pages


class Pages:
    """All pages and their files."""

    def __init__(self, access: Access, places: Places) -> None:
        """For who is let in by *access*; *places* are where pages lead to."""
        self._access = access
        self._places = places
        self._static = StaticFiles()
        self._frame = Frame(self._static)

    def routes(self) -> list[Route]:
        """The routes of this room."""
        frame, places = self._frame, self._places
        return [
            *self._static.routes(),
            *sign_in_pages(frame, self._access),
            *traffic_pages(frame, places),
            *settings_pages(frame),
            *dashboard_access_pages(frame),
            *api_reference_pages(frame),
            *control_pages(frame),
            *model_pages(frame),
            *playground_pages(frame, places),
            *caller_pages(frame),
            *configuration_pages(frame),
        ]

    def missing(self, request: Request) -> Response:
        """The page for an address that has none, with the way to those that are."""
        values = {"back": "/", "what": "page"}
        return self._frame.page(request, "missing.html", "Not found", status=404, values=values)
