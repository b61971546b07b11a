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
        # What was created then, and exported.
        self._last: dict[_Key, tuple[int, int]] = {}
        self._taken: dict[_Key, deque[int]] = {}
        self._noted_at_s = float("-inf")

    def note(self, destinations: Sequence[Mapping[str, Any]], now_s: float) -> None:
        """Take the ledgers of this moment; more often than `EVERY_S` changes nothing."""
        if now_s - self._noted_at_s < EVERY_S:
            return
        self._noted_at_s = now_s
        earlier, self._last = self._last, {}
        for one in destinations:
            key, created, exported = (
                (one["name"], one["signal"]),
                one["ledger"]["created"],
                one["ledger"]["exported"],
            )
            created_before, exported_before = earlier.get(key, (0, exported))
            if created < created_before:
                # Counts begin anew with a destination that was away.
                exported_before = exported
            self._taken.setdefault(key, deque(maxlen=KEPT)).append(max(0, exported - exported_before))
            # What is sent again after a change of filters was taken back before.
            self._last[key] = created, max(exported, exported_before)
        self._taken = {key: values for key, values in self._taken.items() if key in self._last}

    def report(self) -> dict[str, Any]:
        """The body of `GET /api/telemetry/history`; the newest are the last."""
        return {
            "every_s": EVERY_S,
            "destinations": [
                {"name": name, "signal": signal, "exported": list(values)}
                for (name, signal), values in self._taken.items()
            ],
        }


def delivery_history_routes(history: DeliveryHistory) -> list[Route]:
    """The route of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(history.report())

    return [Route("/api/telemetry/history", show, methods=["GET"])]
