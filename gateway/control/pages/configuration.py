"""Configuration: every manifest, the configurations that were in force, and who changed what."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.cross_checks import SINGLE
from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE, VIRTUAL_MODELS
from gateway.control.pages.controls import Kind, Section, section_pages
from gateway.control.pages.frame import Crumb, Frame
from gateway.control.pages.models import providers

_ABOVE: Final = (Crumb("AI Gateway", "/"), Crumb("Configuration"))
_MANIFESTS: Final = "/configuration/manifests"
# By how their types begin.
_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Virtual models": (VIRTUAL_MODELS,),
    "Provider accounts": ("provider-account/",),
    "Limits and budgets": (*("gateway-rate-", "gateway-budget-", "tenant-", "team-budget-"),),
    "Callers and permissions": ("virtual-account", "pat", "team", "role", "external-"),
    "The gateway": ("gateway-",),
}


def configuration_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""

    async def choose(request: Request) -> Response:
        values = {"groups": kinds(), "edit": f"{_MANIFESTS}/edit"}
        here = Crumb("Manifests", _MANIFESTS)
        return frame.page(request, "kinds.html", "Add a manifest", *_ABOVE, here, values=values)

    async def history(request: Request) -> Response:
        return frame.page(request, "history.html", "History", *_ABOVE)

    async def audit(request: Request) -> Response:
        return frame.page(request, "audit.html", "Audit log", *_ABOVE)

    return [
        *section_pages(frame, _every_manifest(), *_ABOVE),
        Route(f"{_MANIFESTS}/new", choose, methods=["GET"]),
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
        [_kind(kind) for kind in sorted({*IN_FORCE, *NOT_IN_FORCE})],
        new_path=f"{_MANIFESTS}/new",
    )


def _kind(kind: str) -> Kind:
    if kind in NOT_IN_FORCE:
        # They come with a set of manifests from elsewhere; nobody begins one that does nothing.
        return Kind(kind, kind, "Not in force yet: nothing in it has an effect.", "", ("Name",))
    return Kind(kind, kind, "", "Add one", ("Name",), is_single=kind in SINGLE)


def kinds() -> list[dict[str, Any]]:
    """Every type that can be added, in groups, each with what it is for."""
    groups: dict[str, list[dict[str, str]]] = {title: [] for title in _GROUPS}
    titles = {one["type"]: one["title"] for one in providers()}
    for kind, model in sorted(IN_FORCE.items(), key=lambda one: titles.get(one[0], one[0]).lower()):
        group = next(title for title, begins in _GROUPS.items() if kind.startswith(begins))
        what = (model.__doc__ or "").splitlines()[0]
        groups[group].append({"type": kind, "title": titles.get(kind, kind), "what": what})
    return [{"title": title, "kinds": found} for title, found in groups.items()]
