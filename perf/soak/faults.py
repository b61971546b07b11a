"""What goes wrong during a soak, one thing after the other. What providers do wrong is in `asks.py`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

from perf.procfs import read_tree
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import virtual_account
from tests.rig.otlp_sink import Answer
from tests.rig.span_ids import SpanIds
from tests.rig.valkey_server import ValkeyServer

DOWN_S: Final = 12.0
"""How long the endpoint of traces is away, and Valkey."""

KILL_WORKER: Final = "a worker is killed"
KILL_CONTROL: Final = "control is killed"

_CONTROL_SHARE: Final = 0.25
"""Control is killed in this first part of the run only: its memory is watched over the rest."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fault, and when it began and ended, in seconds since the beginning."""

    name: str
    began_s: float
    ended_s: float


@dataclass(slots=True)
class Faults:
    """Makes them.

    Attributes:
        happened: All so far.
        manifests: Those in force.
    """

    gateway: GatewayProcess
    valkey: ValkeyServer | None
    sink: SpanIds
    manifests: list[Document]
    now_s: Callable[[], float] = time.monotonic
    happened: list[Happened] = field(default_factory=list)
    _reloads: int = 0

    async def run(self, length_s: float, every_s: float) -> None:
        """One fault every *every_s*, in turn, until shortly before *length_s* are over."""
        faults = cycle(self._faults().items())
        while self.now_s() + every_s + DOWN_S < length_s:
            await asyncio.sleep(every_s)
            name, fault = next(faults)
            if name == KILL_CONTROL and self.now_s() > length_s * _CONTROL_SHARE:
                continue
            began_s = self.now_s()
            await fault()
            self.happened.append(Happened(name, began_s, self.now_s()))

    def _faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        valkey = self.valkey
        redis = {} if valkey is None else {"Valkey restarts": lambda: _restart(valkey)}
        return {
            "configuration changes": self.reload_good,
            KILL_WORKER: self.kill_worker,
            "the endpoint of traces answers 503": self.endpoint_refuses,
            "configuration is refused": self.reload_bad,
            KILL_CONTROL: self.kill_control,
            **redis,
            "the endpoint of traces is down": self.endpoint_is_down,
        }

    async def kill_worker(self) -> None:
        """Always the one that was started last, so that the others grow old."""
        pid = max(self.gateway.worker_pids(), key=_started_ticks)
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(1.0)

    async def kill_control(self) -> None:
        """The dashboard, delivery and the local store are away for a moment."""
        os.kill(self.gateway.control_pid(), signal.SIGKILL)
        await asyncio.sleep(1.0)

    async def endpoint_is_down(self) -> None:
        """Nobody listens where traces go."""
        await asyncio.to_thread(self.sink.go_down)
        await asyncio.sleep(DOWN_S)
        await asyncio.to_thread(self.sink.come_back)

    async def endpoint_refuses(self) -> None:
        """It takes nothing for a while."""
        self.sink.usual = Answer(503)
        await asyncio.sleep(DOWN_S)
        self.sink.usual = Answer()

    async def reload_good(self) -> None:
        """Another caller is known from now on."""
        self._reloads += 1
        more = virtual_account(f"more-{self._reloads}", [f"literal-{self._reloads}-token"], ["fake/*"])
        await asyncio.to_thread(self.gateway.write_config, [*self.manifests, more])

    async def reload_bad(self) -> None:
        """A change that is refused, and what was there again."""
        await asyncio.to_thread(self.gateway.write_config, [*self.manifests, {"type": "no-such-type"}])
        await asyncio.sleep(3.0)
        await asyncio.to_thread(self.gateway.write_config, self.manifests)


async def _restart(valkey: ValkeyServer) -> None:
    """It forgets all, and is away for a while."""
    await asyncio.to_thread(valkey.kill)
    await asyncio.sleep(DOWN_S)
    await asyncio.to_thread(valkey.start)


def _started_ticks(pid: int) -> int:
    found = read_tree(pid)
    return found[0].started_ticks if found else 0
