"""`GET /api/telemetry`: what became of every span, per destination and per worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import json_reply

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TelemetrySource:
    """Where the entries come from. Both are called in a thread, since each may wait for its own.

    Attributes:
        delivery: `destinations` (one entry per destination and signal) and `workers` (`instance_id`, `pid`,
            `handed_over`, `dropped`), shown as they are.
        local: The local store's entry, the first of the destinations.
    """

    delivery: Callable[[], Mapping[str, Sequence[Entry]]]
    local: Callable[[], Entry]

    def report(self) -> dict[str, object]:
        """The body of the answer."""
        delivery = self.delivery()
        return {
            "destinations": [self.local(), *delivery["destinations"]],
            "workers": list(delivery["workers"]),
        }


def telemetry_routes(source: TelemetrySource) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(source.report))

    return [Route("/api/telemetry", show)]
