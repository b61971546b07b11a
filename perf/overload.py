"""`python -m perf.overload URL`: more calls than the gateway takes on, and what becomes of all of them.

Calls begin at a fixed rate over many connections, whatever the server does, and health is asked beside them
over connections of its own. One line of JSON says what came back: answers, refusals, and what was neither.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter_ns
from typing import Final
from urllib.parse import urlsplit

import orjson
import uvloop

from perf.latency import Latency, summarize
from perf.load.amount import MAX_REQUESTS, UnsafeTargetError
from perf.load.connection import PATIENCE_S, Connection
from perf.load.open import OpenLoop
from perf.load.target import Target, http_target
from perf.payloads import Ask

_MAX_CONNECTIONS: Final = 8_000
_MAX_SECONDS: Final = 60.0
_OPENED_AT_ONCE: Final = 100
_REFUSED: Final = 503
_HEALTH_EVERY_S: Final = 0.1
_HEALTH_TIMEOUT_S: Final = 10.0
_BEAT_S: Final = 0.001


@dataclass(slots=True)
class Health:
    """What asking for health gave.

    Attributes:
        failed: Answers that were not good, and those that did not come.
    """

    asked: int = 0
    failed: int = 0
    slowest_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Overloaded:
    """What became of the calls.

    Attributes:
        answered: Good answers; `latency` is theirs, from the moment at which a call was due.
        refused: With 503 and `Retry-After`; `refusal` is the latency of these, from when they were sent.
        impolite: Refusals without `Retry-After`.
        others: What was neither, by what it was.
        lost: Connections that the server ended or reset.
        unanswered: Calls that were due and had no answer when patience ended.
        admitted: Latency of good answers from when they were sent.
    """

    answered: int
    refused: int
    impolite: int
    others: dict[str, int]
    lost: int
    unanswered: int
    elapsed_s: float
    latency: Latency
    admitted: Latency
    refusal: Latency
    health: Health

    @property
    def goodput(self) -> float:
        """Good answers per second."""
        return self.answered / self.elapsed_s


class _Caller(Connection):
    """A connection that also looks whether a refusal says when to come back."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_ns = 0
        self.says_when = False

    def send(self, request: bytes, since_ns: int) -> None:
        """Send the next call."""
        self.says_when = False
        self.sent_ns = perf_counter_ns()
        super().send(request, since_ns)

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: one of the answer's headers."""
        if name.lower() == b"retry-after" and value.isdigit():
            self.says_when = True

    @property
    def status(self) -> int:
        """Of the last answer."""
        status: int = self._parser.get_status_code()
        return status


class Flood(OpenLoop):
    """One stretch of it, over all connections in turn."""

    def __init__(self, target: Target, callers: Sequence[_Caller], *, rps: float, seconds: float) -> None:
        """Plan it."""
        super().__init__(target, callers, rps=rps, planned=round(rps * seconds))
        self._times_ns: array[int] = array("Q")
        self._admitted_ns: array[int] = array("Q")
        self._refusals_ns: array[int] = array("Q")
        self._others: Counter[str] = Counter()
        self._impolite = 0
        self._lost = 0
        self._last_ns = 0

    async def run(self, health: Health, patience_s: float = PATIENCE_S) -> Overloaded:
        """Send, and wait for the last answer for as long as *patience_s*."""
        if not await self.play(_BEAT_S, patience_s) or not self._last_ns:
            self._last_ns = perf_counter_ns()
        done = len(self._times_ns) + len(self._refusals_ns) + self._others.total()
        return Overloaded(
            answered=len(self._times_ns),
            refused=len(self._refusals_ns),
            impolite=self._impolite,
            others=dict(self._others),
            lost=self._lost,
            unanswered=self._planned - done - self._lost,
            elapsed_s=(self._last_ns - self._started_ns) / 1e9,
            latency=summarize(self._times_ns),
            admitted=summarize(self._admitted_ns),
            refusal=summarize(self._refusals_ns),
            health=health,
        )

    def take_idle(self, idle: list[Connection]) -> Connection:
        """The one that rests longest: a flood comes over many connections."""
        return idle.pop(0)

    def note_answer(self, connection: Connection, fault: str, now_ns: int) -> None:
        """See `OpenLoop`."""
        assert isinstance(connection, _Caller)  # noqa: S101 - those are the ones that joined
        self._last_ns = now_ns
        if not fault:
            self._times_ns.append(now_ns - connection.since_ns)
            self._admitted_ns.append(now_ns - connection.sent_ns)
        elif connection.status == _REFUSED:
            self._refusals_ns.append(now_ns - connection.sent_ns)
            self._impolite += not connection.says_when
        else:
            self._others[fault[:100]] += 1

    def note_loss(self, reason: str) -> None:
        """Why does not matter."""
        del reason
        self._lost += 1


async def _ask_health(host: str, port: int, path: str, health: Health) -> None:
    """Ask again and again, over a new connection each time, as probes do."""
    while True:
        health.asked += 1
        began_ns = perf_counter_ns()
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(f"GET {path} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n".encode())
                line = await reader.readline()
                writer.close()
        except (OSError, TimeoutError):
            line = b""
        health.failed += b" 200 " not in line
        health.slowest_ms = max(health.slowest_ms, (perf_counter_ns() - began_ns) / 1e6)
        await asyncio.sleep(_HEALTH_EVERY_S)


async def _opened(target: Target, count: int) -> list[_Caller]:
    loop = asyncio.get_running_loop()
    callers = [_Caller() for _ in range(count)]

    def itself(one: _Caller) -> _Caller:
        return one

    for at in range(0, count, _OPENED_AT_ONCE):
        some = callers[at : at + _OPENED_AT_ONCE]
        await asyncio.gather(
            *[loop.create_connection(partial(itself, one), target.host, target.port) for one in some]
        )
    return callers


async def measure(options: argparse.Namespace) -> Overloaded:
    """Connect, flood, count."""
    ask = Ask(pace_ms=options.pace_ms)
    target = http_target(
        options.url, model=options.model, token=options.token, ask=ask, headers=options.header
    )
    probed = urlsplit(options.health or f"http://{target.host}:{target.port}/livez")
    callers = await _opened(target, options.connections)
    gc.collect()
    gc.freeze()
    gc.disable()
    health = Health()
    asking = asyncio.create_task(_ask_health(probed.hostname or "", probed.port or 80, probed.path, health))
    try:
        return await Flood(target, callers, rps=options.rps, seconds=options.seconds).run(health)
    finally:
        asking.cancel()
        for caller in callers:
            if caller.is_open:
                caller.close()


def main() -> int:
    """Measure once and print one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.overload", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rps", type=float, required=True)
    parser.add_argument("--pace-ms", type=int, default=0, help="how long the upstream takes")
    parser.add_argument("--health", default="", help="URL that is asked; /livez of the same port by itself")
    options = parser.parse_args()
    if not 1 <= options.connections <= _MAX_CONNECTIONS or not 0 < options.seconds <= _MAX_SECONDS:
        parser.error(f"at most {_MAX_CONNECTIONS} connections and {_MAX_SECONDS:g} seconds")
    if not 1 <= options.rps * options.seconds <= MAX_REQUESTS:
        parser.error(f"a rate that makes 1 to {MAX_REQUESTS:,} calls in that time")
    try:
        found = uvloop.run(measure(options))
    except (UnsafeTargetError, OSError) as error:
        print(f"perf.overload: {error}", file=sys.stderr)
        return 2
    print(orjson.dumps(asdict(found)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
