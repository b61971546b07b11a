"""Health of a host on a port of its own: `/livez` and `/readyz` of all its workers together.

On the data plane one worker answers, whichever the system gives the connection to, when its turn comes. Here
control answers for all, from what they say of themselves each second, so nobody waits for one that is busy or
stands still; and such a one is noticed, as the calls that the system gives it would wait too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.health import Health, Readiness
from gateway.control.replies import json_reply

SILENCE_S: Final = 5.0
"""A worker that has said nothing for so long is stuck: a well one reports each second."""


class Sign(Protocol):
    """What is known of one worker."""

    @property
    def is_there(self) -> bool:
        """Its process is there."""

    @property
    def is_connected(self) -> bool:
        """It has connected to control."""

    @property
    def heard_s(self) -> float:
        """When it last said something, or was first seen."""


class HostHealth:
    """What the answers say. On the event loop's thread only."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without any worker.

        Args:
            health: Of control, which knows whether the host is draining.
            clock: As of `Sign.heard_s`.
        """
        self._health = health
        self._clock = clock
        self._signs: Sequence[Sign] = ()
        self._taken_s = clock()

    def take(self, signs: Sequence[Sign]) -> None:
        """Know *signs* of all workers as of now."""
        self._signs = signs
        self._taken_s = self._clock()

    def report(self) -> tuple[int, dict[str, object]]:
        """Status and body of `/readyz`."""
        now_s = self._clock()
        there = [sign for sign in self._signs if sign.is_there]
        silent = sum(now_s - sign.heard_s > SILENCE_S for sign in there)
        connected = sum(sign.is_connected for sign in there)
        readiness = self._health.readiness
        # Whoever should look is stuck itself, so nothing is known.
        is_blind = now_s - self._taken_s > SILENCE_S
        is_ready = readiness is Readiness.READY and connected > 0 and not silent and not is_blind
        status = readiness.value if readiness is not Readiness.READY or is_ready else "not_ready"
        body: dict[str, object] = {"status": status, "workers": {"connected": connected, "silent": silent}}
        return 200 if is_ready else 503, body


def build_health_app(host: HostHealth) -> Starlette:
    """The application of the health port. It is open to whoever reaches it, and says no more than this."""

    async def livez(_request: Request) -> Response:
        return json_reply({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        status, body = host.report()
        return json_reply(body, status)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz)])
