"""A steady load against a limit: what was answered, how soon, and when."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from tests.rig.gateway_process import GatewayProcess
from tests.rig.limited_gateway import CHAT
from tests.rig.manifests import bearer
from tests.rig.raw_http import RawConnection
from tests.rig.until import until

_JOIN_S: Final = 60.0
_GO_ON_S: Final = 120.0
_HEADERS: Final = [("content-type", "application/json"), bearer()]


@dataclass(frozen=True, slots=True)
class Answered:
    """One call; `status` 0 where the connection failed."""

    began_s: float
    took_s: float
    status: int


class LimitLoad:
    """Calls of several threads for each gateway, each with a connection and a pause after each call.

    Attributes:
        answers: In the order in which they came.
    """

    def __init__(
        self, gateways: Sequence[GatewayProcess], body: bytes, *, threads: int = 3, pause_s: float = 0.02
    ) -> None:
        self.answers: list[Answered] = []
        self._body = body
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._call_on, args=(gateway,), daemon=True)
            for gateway in gateways
            for _ in range(threads)
        ]

    @property
    def at_once(self) -> int:
        """How many calls there are at one time."""
        return len(self._threads)

    def go_on(self, calls: int) -> None:
        """Wait for so many more answers."""
        enough = len(self.answers) + calls
        until(lambda: len(self.answers) >= enough, what="calls to go on", timeout_s=_GO_ON_S)

    def statuses(self) -> Counter[int]:
        """How many calls had which."""
        return Counter(answer.status for answer in self.answers)

    def took_ms(self, share: float, *, after_s: float = 0.0, before_s: float = float("inf")) -> float:
        """How long that share of the calls took at most that began in this time."""
        took = sorted(each.took_s for each in self.answers if after_s <= each.began_s < before_s)
        return took[min(len(took) - 1, int(len(took) * share))] * 1000 if took else 0.0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the calls that are open come to their end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _call_on(self, gateway: GatewayProcess) -> None:
        connection: RawConnection | None = None
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                connection = connection or gateway.connect()
                status = connection.exchange("POST", CHAT, _HEADERS, self._body).status
            except OSError:
                status = 0
                if connection is not None:
                    connection.close()
                connection = None
            self.answers.append(Answered(began_s, time.monotonic() - began_s, status))
            self._stop.wait(self._pause_s)
        if connection is not None:
            connection.close()
