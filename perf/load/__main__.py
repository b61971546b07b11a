"""`python -m perf.load URL`: send load once and print one line of JSON.

With `--hold` it connects and warms up, prints `ready`, and measures when it is sent a line: whoever watches
the measured processes can read their CPU time right before and after. A closed loop is ended by another line.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Final

import orjson
import uvloop

from perf.load.amount import Amount, UnsafeTargetError
from perf.load.closed import ClosedPhase
from perf.load.connection import Connection
from perf.load.open import OpenPhase
from perf.load.result import LoadResult
from perf.load.streams import StreamConnection, StreamPhase
from perf.load.target import Accept, http_target
from perf.payloads import REQUEST_BYTES, STREAM_CHUNKS, UPSTREAM_MODEL, Ask, Dialect

_LINE_BYTES: Final = 1024


def _itself(connection: Connection) -> Connection:
    return connection


async def measure(
    options: argparse.Namespace, amount: Amount, *, when_ready: Callable[[], Awaitable[None]]
) -> LoadResult:
    """Connect, warm up, await *when_ready*, then measure.

    Raises:
        UnsafeTargetError: The target is not ours, or the amount is not bounded.
        OSError: Nothing listens at the target.
    """
    amount.check()
    ask = Ask(options.size_bytes, is_stream=options.stream, pace_ms=options.pace_ms, dialect=options.dialect)
    at = partial(
        http_target,
        options.url,
        model=options.model,
        token=options.token,
        headers=options.header,
        accept=options.accept,
    )
    target, loop = at(ask=ask), asyncio.get_running_loop()
    connections = [(StreamConnection if ask.is_stream else Connection)() for _ in range(amount.connections)]
    try:
        for connection in connections:
            await loop.create_connection(partial(_itself, connection), target.host, target.port)
        if options.warmup_s > 0:
            # Unpaced: a paced stream would take longer than the warm-up.
            warmup = Amount(amount.connections, options.warmup_s)
            await ClosedPhase(at(ask=replace(ask, pace_ms=0)), connections, warmup).run()
        await when_ready()
        if amount.rps is not None:
            return await OpenPhase(target, connections, amount).run()
        streaming = [one for one in connections if isinstance(one, StreamConnection)]
        if streaming:
            spread_s = ask.pace_ms / 1000 * STREAM_CHUNKS
            return await StreamPhase(target, streaming, amount, spread_s=spread_s).run()
        phase = ClosedPhase(target, connections, amount)
        if options.hold:
            end_by_line(phase)
        return await phase.run()
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
    os.read(sys.stdin.fileno(), _LINE_BYTES)


def end_by_line(phase: ClosedPhase) -> None:
    """Let another line on standard input end *phase*; that it closes means nothing."""
    loop, source = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        loop.remove_reader(source)
        if os.read(source, _LINE_BYTES):
            phase.end()

    loop.add_reader(source, read)


def main() -> int:
    """Measure once, print one JSON line; exit 1 when a call failed."""
    parser = argparse.ArgumentParser(prog="python -m perf.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--model", default=UPSTREAM_MODEL)
    parser.add_argument("--token", default="perf-token")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="one more")
    parser.add_argument("--accept", type=Accept, choices=list(Accept), default=Accept.BYTES)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=None)
    parser.add_argument("--requests", type=int, default=None)
    parser.add_argument("--rps", type=float, default=None, help="a fixed rate; else as fast as answers come")
    parser.add_argument("--size-bytes", type=int, default=REQUEST_BYTES, help="of the request's body")
    parser.add_argument("--stream", action="store_true", help="ask for streams and look at every event")
    parser.add_argument("--pace-ms", type=int, default=0, help="between two events of a stream")
    parser.add_argument("--dialect", type=Dialect, choices=list(Dialect), default=Dialect.CHAT)
    parser.add_argument("--warmup-s", type=float, default=0.5)
    parser.add_argument(
        "--hold",
        action="store_true",
        help="wait for a line on standard input before measuring; without --rps and --stream another ends it",
    )
    options = parser.parse_args()
    is_timed = options.seconds is not None or (options.requests is not None and options.rps is None)
    amount = Amount(options.connections, options.seconds if is_timed else 3.0, options.requests, options.rps)
    try:
        result = uvloop.run(measure(options, amount, when_ready=hold if options.hold else stop_collecting))
    except (UnsafeTargetError, OSError) as error:
        print(f"perf.load: {error}", file=sys.stderr)
        return 2
    print(orjson.dumps(asdict(result) | {"rps": result.rps}).decode())
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
