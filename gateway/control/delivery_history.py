"""What each destination took in the last minutes, for the sparkline beside its ledger. In memory only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import json_reply

EVERY_S: Final = 5.0
KEPT: Final = 120
"""Ten minutes."""

_Key = tuple[str, str]


class DeliveryHistory:
    """Differences of the ledgers' `exported`, by destination and signal. Used on the event loop."""

    def __init__(self) -> None:
        self._last: dict[_Key, int] = {}
        self._taken: dict[_Key, deque[int]] = {}
        self._noted_at_s = float("-inf")

    def note(self, destinations: Sequence[Mapping[str, Any]], now_s: float) -> None:
        """Take the ledgers of this moment; more often than `EVERY_S` changes nothing."""
        if now_s - self._noted_at_s < EVERY_S:
            return
        self._noted_at_s = now_s
        exported = {(one["name"], one["signal"]): int(one["ledger"]["exported"]) for one in destinations}
        for key, value in exported.items():
            # Counts begin anew with a destination that was away.
            taken = max(0, value - self._last[key]) if key in self._last else 0
            self._taken.setdefault(key, deque(maxlen=KEPT)).append(taken)
        self._taken = {key: values for key, values in self._taken.items() if key in exported}
        self._last = exported

    def report(self) -> dict[str, Any]:
        """The body of `GET /api/telemetry/history`; the newest are the last."""
        return {
            "every_s": EVERY_S,
            "destinations": [
                {"name": name, "signal": signal, "exported": list(values)}
                for (name, signal), values in self._taken.items()
            ],
        }


def history_routes(history: DeliveryHistory) -> list[Route]:
    """The route of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(history.report())

    return [Route("/api/telemetry/history", show, methods=["GET"])]
