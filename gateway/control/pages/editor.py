"""The page on which one manifest is changed, as a form and as YAML."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS, NOT_IN_FORCE
from gateway.control.pages.frame import Crumb, Frame
from gateway.control.pages.new_manifests import NEW


def editor_page(
    frame: Frame,
    request: Request,
    back: str,
    *crumbs: Crumb,
    new_title: str = "",
) -> Response:
    """The editor for the manifest that `?type=` and `?name=` name, or for a new one.

    Args:
        back: The page that lists manifests like it.
        crumbs: The way to that page.
        new_title: What a new one is called; its type by default.
    """
    kind, name = request.query_params.get("type", ""), request.query_params.get("name")
    if kind not in IN_FORCE and kind not in NOT_IN_FORCE:
        values = {"back": back, "what": "type of manifest"}
        return frame.page(request, "missing.html", "Not found", *crumbs, status=404, values=values)
    data = {
        "type": kind,
        "name": name,
        "back": back,
        "has_schema": kind in IN_FORCE,
        "has_models": kind in IN_FORCE and kind in MODEL_ACCOUNTS,
        "template": None if name is not None else NEW.get(kind),
    }
    title = new_title or f"New {kind}" if name is None else name
    return frame.page(request, "editor.html", title, *crumbs, values={"editor": data, "kind": kind})
