"""Pages for people: plain files served as they are, which ask the API for what they show.

A page holds no data, so it needs no token; its script does, and sends it as Bearer. The policy lets it load
nothing but our own files and ask nobody but us: no inline script, no other origin, no frame around it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PAGES: Final = {
    "/settings/otel": ("otel.html", "text/html"),
    "/settings/otel.css": ("otel.css", "text/css"),
    "/settings/otel.js": ("otel.js", "text/javascript"),
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}


def page_routes() -> list[Route]:
    """The routes of this room; the files are read once, here."""
    return [_route(path, name, media_type) for path, (name, media_type) in _PAGES.items()]


def _route(path: str, name: str, media_type: str) -> Route:
    content = files(__name__).joinpath(name).read_bytes()

    async def show(_request: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=media_type)

    return Route(path, show, methods=["GET"])
