"""A closed-loop load generator: a connection sends its next call when it has the answer to the last.

Only against loopback, and bounded in time, count and connections: this is no tool to point at others. Every
answer must have status 200 and exactly the expected bytes (`--accept text`: the same text in a chat reply of
other bytes); anything else is a failure, counted by reason.

Run alone, `python -m perf.load http://127.0.0.1:9000/v1/chat/completions --seconds 3` prints one line of
JSON. With `--hold` it connects and warms up, prints `ready`, and measures when it is sent a line: whoever
watches the measured processes can read their CPU time right before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import enum
import gc
import ipaddress
import sys
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Final, cast
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop

from perf.latency import Latency, summarize
from perf.payloads import REPLY, UPSTREAM_MODEL, chat_request, says_the_same

MAX_CONNECTIONS: Final = 1024
MAX_SECONDS: Final = 120.0
MAX_REQUESTS: Final = 5_000_000
# A contender that is this broken has failed the round; more of the same would only take time.
MAX_FAILURES: Final = 100
# After the measured time, how long the last answers may take.
_PATIENCE_S: Final = 10.0


class UnsafeTargetError(ValueError):
    """The target or the amount of load is not one this tool will send."""


class Accept(enum.Enum):
    """Which answers are good."""

    BYTES = "bytes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what, and what must come back."""

    host: str
    port: int
    request: bytes
    reply: bytes
    accept: Accept = Accept.BYTES

    def accepts(self, body: bytes) -> bool:
        """Whether *body* is what must come back."""
        return body == self.reply or (self.accept is Accept.TEXT and says_the_same(body))


@dataclass(frozen=True, slots=True)
class Amount:
    """How much load; the first bound that is reached ends it.

    Attributes:
        seconds: None: bound by count only.
        requests: None: bound by time only.
    """

    connections: int = 32
    seconds: float | None = None
    requests: int | None = None

    def check(self) -> None:
        """Refuse what is unbounded or too much.

        Raises:
            UnsafeTargetError: With the bound that was exceeded.
        """
        if self.seconds is None and self.requests is None:
            raise UnsafeTargetError("give seconds or requests: load without a bound is refused")
        if not 1 <= self.connections <= MAX_CONNECTIONS:
            raise UnsafeTargetError(f"connections must be 1 to {MAX_CONNECTIONS}")
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise UnsafeTargetError(f"seconds must be above 0 and at most {MAX_SECONDS:g}")
        if self.requests is not None and not 1 <= self.requests <= MAX_REQUESTS:
            raise UnsafeTargetError(f"requests must be 1 to {MAX_REQUESTS}")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back.

    Attributes:
        completed: Good answers; only they count in `rps` and `latency`.
        failures: Count by reason.
        elapsed_s: From the first request to the last answer.
    """

    completed: int
    failures: dict[str, int]
    elapsed_s: float
    latency: Latency

    @property
    def rps(self) -> float:
        """Good answers per second."""
        return self.completed / self.elapsed_s if self.elapsed_s else 0.0


def http_target(
    url: str,
    *,
    model: str,
    token: str,
    headers: Sequence[str] = (),
    accept: Accept = Accept.BYTES,
) -> Target:
    """The target of chat calls to *url*, with *headers* of the form `name: value` beside the usual ones.

    Raises:
        UnsafeTargetError: *url* is not plain HTTP to a loopback address.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if parts.scheme != "http" or not is_loopback:
        raise UnsafeTargetError(f"{url} is not http:// to a loopback address such as 127.0.0.1")
    body = chat_request(model)
    head = (
        f"POST {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: perf/1\r\n"
        f"accept: application/json\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    )
    more = "".join(f"{header}\r\n" for header in headers)
    return Target(host, port, f"{head}{more}\r\n".encode("ascii") + body, REPLY, accept)


@dataclass
class Phase:
    """One bounded stretch of load that all connections share."""

    deadline_ns: int | None
    remaining: int
    active_connections: int
    # 8 bytes a value: half a million calls are 4 MB, and percentiles stay exact.
    times_ns: array[int] = field(default_factory=lambda: array("Q"))
    failures: Counter[str] = field(default_factory=Counter)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def may_send(self, now_ns: int) -> bool:
        """Take the right to send one more call, if there is one left."""
        if self.remaining <= 0 or (self.deadline_ns is not None and now_ns >= self.deadline_ns):
            return False
        if self.failures and self.failures.total() >= MAX_FAILURES:
            return False
        self.remaining -= 1
        return True

    def leave(self) -> None:
        """A connection has its last answer, or has failed; the phase ends with the last of them."""
        self.active_connections -= 1
        if self.active_connections == 0:
            self.finished.set()


class LoadConnection(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._parser = httptools.HttpResponseParser(self)
        self._phase: Phase | None = None
        self._body = b""
        self._sent_ns = 0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass
        self.is_open = True

    def start(self, phase: Phase) -> None:
        """Take part in *phase* until it ends."""
        self._phase = phase
        if self.is_open:
            self._next(phase, time.perf_counter_ns())
        else:
            self._fail("connection was closed before the measurement")

    def close(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse; an answer that cannot be parsed fails the call."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"malformed answer: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """A lost connection fails its open call; it is not opened again, because a good server keeps it."""
        self.is_open = False
        if self._phase is not None:
            self._fail(f"connection lost: {exc or 'closed by the server'}")

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """httptools: the answer is whole; judge it and send the next call."""
        phase = self._phase
        if phase is None:
            return
        now_ns = time.perf_counter_ns()
        status = self._parser.get_status_code()
        if status != 200:
            phase.failures[f"status {status}: {self._body[:200].decode(errors='replace')}"] += 1
        elif not self._target.accepts(self._body):
            phase.failures["body differs from what the upstream sent"] += 1
        else:
            phase.times_ns.append(now_ns - self._sent_ns)
        self._body = b""
        self._next(phase, now_ns)

    def _next(self, phase: Phase, now_ns: int) -> None:
        if phase.may_send(now_ns):
            self._sent_ns = now_ns
            self._transport.write(self._target.request)
        else:
            self._phase = None
            phase.leave()

    def _fail(self, reason: str) -> None:
        phase, self._phase = self._phase, None
        self._transport.abort()
        if phase is not None:
            phase.failures[reason] += 1
            phase.leave()


async def run_phase(connections: list[LoadConnection], amount: Amount) -> LoadResult:
    """Send *amount* of load over *connections* and wait for the last answer."""
    started_ns = time.perf_counter_ns()
    deadline_ns = None if amount.seconds is None else started_ns + int(amount.seconds * 1e9)
    budget = MAX_REQUESTS if amount.requests is None else amount.requests
    phase = Phase(deadline_ns, budget, len(connections))
    for connection in connections:
        connection.start(phase)
    try:
        bound_s = (MAX_SECONDS if amount.seconds is None else amount.seconds) + _PATIENCE_S
        await asyncio.wait_for(phase.finished.wait(), bound_s)
    except TimeoutError:
        phase.failures["no answer in time"] += phase.active_connections
    elapsed_s = (time.perf_counter_ns() - started_ns) / 1e9
    return LoadResult(len(phase.times_ns), dict(phase.failures), elapsed_s, summarize(phase.times_ns))


def _itself(connection: LoadConnection) -> LoadConnection:
    return connection


async def measure(
    target: Target,
    amount: Amount,
    *,
    warmup: Amount | None,
    when_ready: Callable[[], Awaitable[None]],
) -> LoadResult:
    """Connect, warm up, await *when_ready*, then measure.

    Raises:
        UnsafeTargetError: The amount is not bounded.
        OSError: Nothing listens at the target.
    """
    amount.check()
    loop = asyncio.get_running_loop()
    connections = [LoadConnection(target) for _ in range(amount.connections)]
    try:
        for connection in connections:
            await loop.create_connection(partial(_itself, connection), target.host, target.port)
        if warmup is not None:
            await run_phase(connections, warmup)
        await when_ready()
        return await run_phase(connections, amount)
    finally:
        for connection in connections:
            if connection.is_open:
                connection.close()


async def stop_collecting() -> None:
    """Switch garbage collection off: in the middle of a run it would look like latency of the contender."""
    gc.collect()
    gc.freeze()
    gc.disable()


async def hold() -> None:
    """Say `ready` and return when standard input has something to read, or closes."""
    await stop_collecting()
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), arrived.set)
    print("ready", flush=True)
    await arrived.wait()
    loop.remove_reader(sys.stdin.fileno())


def main() -> int:
    """Measure once, print one JSON line; exit 1 when a call failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("url")
    parser.add_argument("--model", default=UPSTREAM_MODEL)
    parser.add_argument("--token", default="perf-token")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="one more")
    parser.add_argument("--accept", type=Accept, choices=list(Accept), default=Accept.BYTES)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--requests", type=int, default=None)
    parser.add_argument("--warmup-s", type=float, default=0.5)
    parser.add_argument(
        "--hold", action="store_true", help="wait for a line on standard input before measuring"
    )
    arguments = parser.parse_args()
    seconds = 3.0 if arguments.seconds is None and arguments.requests is None else arguments.seconds
    amount = Amount(arguments.connections, seconds, arguments.requests)
    warmup = Amount(arguments.connections, arguments.warmup_s) if arguments.warmup_s > 0 else None
    try:
        target = http_target(
            arguments.url,
            model=arguments.model,
            token=arguments.token,
            headers=arguments.header,
            accept=arguments.accept,
        )
        when_ready = hold if arguments.hold else stop_collecting
        result = uvloop.run(measure(target, amount, warmup=warmup, when_ready=when_ready))
    except (UnsafeTargetError, OSError) as error:
        print(f"perf.load: {error}", file=sys.stderr)
        return 2
    print(orjson.dumps(asdict(result) | {"rps": result.rps}).decode())
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
