"""Configuration: every manifest, the configurations that were in force, and who changed what."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.manifests.known import IN_FORCE
from gateway.control.pages.controls import Kind, Section, section_pages
from gateway.control.pages.frame import Crumb, Frame

_ABOVE: Final = (Crumb("AI Gateway", "/"), Crumb("Configuration"))
_MANIFESTS: Final = "/configuration/manifests"


def configuration_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def history(request: Request) -> Response:
        return frame.page(request, "history.html", "History", *_ABOVE)

    async def audit(request: Request) -> Response:
        return frame.page(request, "audit.html", "Audit log", *_ABOVE)

    return [
        *section_pages(frame, _every_manifest(), *_ABOVE),
        Route("/configuration/history", history, methods=["GET"]),
        Route("/audit", audit, methods=["GET"]),
    ]


def _every_manifest() -> Section:
    return Section(
        _MANIFESTS,
        "Manifests",
        "Everything that is configured, by type, as it stands in the files; a change in git shows at once.",
        "folder",
        "Nothing is configured yet",
        "Begin with a provider account: it says where models are, and with what key.",
        [Kind(kind, kind, "", "Add one", ("Name",), {}) for kind in sorted(IN_FORCE)],
    )
