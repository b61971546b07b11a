"""`/livez` and `/readyz` of the control plane.

Trouble with telemetry or Redis is shown and never makes the answer 503: taking a replica out of service
because its collector is down would turn a small fault into a large one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import json_reply

PATHS: Final = frozenset({"/livez", "/readyz"})


class Readiness(enum.StrEnum):
    """Where the process is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Health:
    """What the health answers say. Changed by whoever runs the process, on the event loop's thread."""

    def __init__(
        self,
        *,
        config: Callable[[], str],
        telemetry: Callable[[], str],
        redis: Callable[[], str] = lambda: "off",
    ) -> None:
        """Start as `starting`.

        Args:
            config: ok, or rejected while a change is refused and the old configuration stays.
                Like the other two it is called on the event loop, so it may not wait for anything.
            telemetry: The worst state of any destination: ok, retrying, paused or disabled.
            redis: off while nothing is shared between replicas.
        """
        self.readiness = Readiness.STARTING
        self._checks = {"config": config, "telemetry": telemetry, "redis": redis}

    def mark_ready(self) -> None:
        """Everything has started. Draining is final."""
        if self.readiness is Readiness.STARTING:
            self.readiness = Readiness.READY

    def mark_draining(self) -> None:
        """The process is about to end."""
        self.readiness = Readiness.DRAINING

    def report(self) -> dict[str, object]:
        """The body of `/readyz`."""
        return {
            "status": self.readiness.value,
            "checks": {name: check() for name, check in self._checks.items()},
        }


def health_routes(health: Health) -> list[Route]:
    """The routes of this room."""

    async def livez(_request: Request) -> Response:
        return json_reply({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        status = 200 if health.readiness is Readiness.READY else 503
        return json_reply(health.report(), status)

    return [Route("/livez", livez), Route("/readyz", readyz)]
