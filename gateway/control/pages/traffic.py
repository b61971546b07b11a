"""Monitor and Traces: what calls add up to, and every call by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.pages.frame import Crumb, Frame

_ABOVE: Final = (Crumb("AI Gateway", "/"),)
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Places:
    """Where else a caller or a reader goes from these pages.

    Attributes:
        gateway: Base URL of the data plane, as a first call would write it.
        trace_link: Where a trace is in another system, with `{trace_id}` in it, "" when nowhere.
    """

    gateway: str = "http://127.0.0.1:8787"
    trace_link: str = ""


def traffic_pages(frame: Frame, places: Places) -> list[Route]:
    """The routes of this room."""
    values = {"gateway": places.gateway}

    async def monitor(request: Request) -> Response:
        return frame.page(request, "monitor.html", "Monitor", *_ABOVE, values=values)

    async def traces(request: Request) -> Response:
        return frame.page(request, "traces.html", "Traces", *_ABOVE, values=values)

    async def trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        crumbs = (*_ABOVE, Crumb("Traces", "/traces"))
        if _TRACE_ID.fullmatch(trace_id) is None:
            return frame.page(request, "no_trace.html", "No such trace", *crumbs, status=404)
        link = places.trace_link.replace("{trace_id}", trace_id)
        shown = values | {"trace_id": trace_id, "link": link}
        return frame.page(request, "trace.html", f"Trace {trace_id[:8]}", *crumbs, values=shown)

    return [
        Route("/monitor", monitor, methods=["GET"]),
        Route("/traces", traces, methods=["GET"]),
        Route("/traces/{trace_id}", trace, methods=["GET"]),
    ]
