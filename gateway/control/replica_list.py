"""`GET /api/replicas`: which gateways there are, what each runs and which configuration each has in force.

Each says so of itself every few seconds, where replicas meet; one that has not for `GONE_S` is shown no more.
Without Redis there is this one alone.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import json_reply
from gateway.telemetry import instruments as names
from gateway.tracestore.timestamps import format_rfc3339
from gateway.wire.frames import MetricPoint

GONE_S: Final = 10.0
STOPPED: Final = "stopped"

_MOST: Final = 2_000
_DETAIL_CHARACTERS: Final = 300


class Replica(msgspec.Struct, frozen=True):
    """What a gateway says of itself. What a newer one says beyond that is left out.

    Attributes:
        instance: Hexadecimal; the same after a restart on the same host and state folder.
        host: Its name.
        gateway: Version of the program.
        config: Version of the configuration in force.
        since_ns: Unix time since when it is.
        state: starting, ready, draining or stopped.
        workers: That are connected.
        set: Number of the set that came from Redis, None where the configuration is files.
        rejected_ns: Unix time of the last change that was refused, None while there is none.
        rejected: Why, the first of the errors.
    """

    instance: str
    host: str
    gateway: str
    config: str
    since_ns: int
    state: str
    workers: int
    set: int | None = None
    rejected_ns: int | None = None
    rejected: str = ""


_decoder: Final = msgspec.json.Decoder(Replica)


def encode(replica: Replica) -> str:
    """As it is told: one line of ASCII."""
    shortened = msgspec.structs.replace(replica, rejected=replica.rejected[:_DETAIL_CHARACTERS])
    return json.dumps(msgspec.to_builtins(shortened))


@dataclass(slots=True)
class ReplicaList:
    """The replicas that were heard of. Thread-safe.

    Attributes:
        this: What this one says of itself now.
        word: Whether others can be heard of: off, ok or away.
        now_s: A clock that only goes forward.
    """

    this: Callable[[], Replica]
    word: Callable[[], str] = lambda: "off"
    now_s: Callable[[], float] = time.monotonic
    _heard: dict[str, tuple[Replica, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hear(self, text: str) -> None:
        """Take what one has said; what cannot be read is of a gateway that says it in another way."""
        try:
            replica = _decoder.decode(text)
        except msgspec.DecodeError:
            return
        with self._lock:
            if replica.state == STOPPED:
                self._heard.pop(replica.instance, None)
            elif replica.instance in self._heard or len(self._heard) < _MOST:
                self._heard[replica.instance] = (replica, self.now_s())

    def all(self) -> list[tuple[Replica, float, bool]]:
        """Those that are there, by host; how many seconds ago each was heard of; whether it is this one."""
        this, now_s = self.this(), self.now_s()
        with self._lock:
            self._heard = {name: one for name, one in self._heard.items() if now_s - one[1] < GONE_S}
            heard = list(self._heard.values())
        others = [(one, now_s - heard_s, False) for one, heard_s in heard if one.instance != this.instance]
        return sorted([(this, 0.0, True), *others], key=lambda one: (one[0].host, one[0].instance))

    def report(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            "shared": self.word(),
            "replicas": [
                {
                    "instance_id": one.instance,
                    "is_this": is_this,
                    "host": one.host,
                    "gateway_version": one.gateway,
                    "state": one.state,
                    "workers": one.workers,
                    "config_version": one.config,
                    "config_set": one.set,
                    "in_force_since": format_rfc3339(one.since_ns),
                    "last_rejected": None
                    if one.rejected_ns is None
                    else {"at": format_rfc3339(one.rejected_ns), "message": one.rejected},
                    "heard_ms_ago": round(ago_s * 1000),
                }
                for one, ago_s, is_this in self.all()
            ],
        }

    def points(self) -> Iterator[MetricPoint]:
        """How many have which configuration, in what state."""
        counts = Counter((one.config, one.state) for one, _, _ in self.all())
        for (version, state), count in counts.items():
            yield names.REPLICAS.point(count, version, state)


def replica_routes(replicas: ReplicaList) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(replicas.report))

    return [Route("/api/replicas", show, methods=["GET"])]
