"""`python -m perf.counting`: what it costs to count a call under ten rate limits and a budget.

A line for each figure: its name, a tab, the figure. In the host's file by itself; with `--redis-url` also in
a Redis or Valkey, whose database must be empty, and is emptied in the end. Of times the best of several
batches counts: what disturbs one makes it longer. The server is best on another core than this process
(`taskset`).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop
from redis.asyncio import Redis

from gateway.limits.limiter import Limiter
from gateway.model import Charge, Correction, Decision
from gateway.store.counter_table import CounterTable, counters_in_memory, open_counters
from gateway.store.redis_counters import RedisCounters
from perf.process import stop_as_on_interrupt
from perf.procfs import read_tree

RULES: Final = 10
COUNTERS: Final = 100_000
_ENDS_S: Final = 2**40
_WINDOWS: Final = (60, 3_600, 86_400)
_BATCH: Final = 500
_AT_ONCE: Final = 32
_FIND_S: Final = 5.0


def charges_of_a_call() -> list[Charge]:
    """Ten rolling windows and a month."""
    rules = [_charge(f"rule {at}", _WINDOWS[at % len(_WINDOWS)]) for at in range(RULES)]
    return [*rules, _charge("budget", 0)]


def _charge(name: str, window_s: int) -> Charge:
    key = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return Charge(key, 100, 10**15, window_s, 0 if window_s else _ENDS_S)


def _settled(charges: Sequence[Charge], decision: Decision) -> list[Correction]:
    """Half of them are of tokens or money."""
    return [Correction(charge, -60, decision) for charge in charges[::2]]


def measure_here(batches: int, counters_kept: int = COUNTERS) -> Iterator[tuple[str, float | str]]:
    """In a file, as workers of one host share it."""
    charges = charges_of_a_call()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counters"
        counters = open_counters(path)
        best_s = min(_batch_here(counters, charges) for _ in range(batches))
        yield "host: CPU for a call, us", best_s / _BATCH * 1e6
        yield "host: file, MB", path.stat().st_size / 1e6
        counters.close()
    before = _rss_bytes()
    counters = counters_in_memory()
    for number in range(counters_kept):
        counters.reserve([_charge(str(number), 0)])
    yield f"host: {counters_kept:,} counters, MB of memory", (_rss_bytes() - before) / 1e6
    yield f"host: of {counters_kept:,} counters lost", str(counters.lost)
    counters.close()


def _rss_bytes() -> int:
    return read_tree(os.getpid())[0].rss_bytes


def _batch_here(counters: CounterTable, charges: list[Charge]) -> float:
    began_s = time.process_time()
    for _ in range(_BATCH):
        counters.settle(_settled(charges, counters.reserve(charges)))
    return time.process_time() - began_s


async def measure_there(
    url: str, batches: int, counters_kept: int = COUNTERS
) -> list[tuple[str, float | str]]:
    """In the server of *url*.

    Raises:
        SystemExit: It cannot be used, or its database is not empty.
    """
    async with Redis.from_url(url, protocol=2) as redis:
        if await redis.dbsize():
            sys.exit("the database is not empty")
        try:
            return await _measure(redis, url, batches, counters_kept)
        finally:
            await redis.flushdb()


async def _measure(redis: Any, url: str, batches: int, counters_kept: int) -> list[tuple[str, float | str]]:
    remote = RedisCounters(url, counters_in_memory(places=1024), timeout_s=_FIND_S)
    remote.start()
    limiter = Limiter(counters_in_memory(places=1024), remote)
    deadline_s = time.monotonic() + _FIND_S
    while remote.is_away:
        if time.monotonic() > deadline_s:
            sys.exit("the server cannot be used")
        await asyncio.sleep(0.01)
    charges = charges_of_a_call()

    async def call() -> float:
        began_s = time.perf_counter()
        decision: Decision = await _asked(limiter.reserve(charges))
        took_s = time.perf_counter() - began_s
        limiter.settle(_settled(charges, decision))
        return took_s

    found: list[tuple[str, float | str]] = []
    one_by_one = sorted([await call() for _ in range(_BATCH * 4)])
    found.append(("Redis: waited for, one call at a time, p50 us", _share(one_by_one, 0.5) * 1e6))
    found.append(("Redis: waited for, one call at a time, p99 us", _share(one_by_one, 0.99) * 1e6))
    here_s, there_s, together = [], [], []
    for _ in range(batches):
        server_s, began_s = await _cpu_s(redis), time.process_time()
        together += await _at_once(call)
        here_s.append(time.process_time() - began_s)
        there_s.append(await _cpu_s(redis) - server_s)
    found.append(("Redis: CPU of a worker for a call, us", min(here_s) / _BATCH * 1e6))
    found.append(("Redis: CPU of the server for a call, us", min(there_s) / _BATCH * 1e6))
    found.append(
        (f"Redis: waited for, {_AT_ONCE} calls at once, p50 us", _share(sorted(together), 0.5) * 1e6)
    )
    await limiter.close()
    for name, window_s in (("a budget", 0), ("a rate limit", 3_600)):
        before = await _used_bytes(redis)
        for start in range(0, counters_kept, 100):
            some = [_charge(f"{name} {number}", window_s) for number in range(start, start + 100)]
            await remote.reserve(some)
        found.append((f"Redis: bytes for {name}", (await _used_bytes(redis) - before) / counters_kept))
    await remote.close()
    return found


async def _asked(decision: Decision | Awaitable[Decision]) -> Decision:
    return decision if isinstance(decision, Decision) else await decision


async def _at_once(call: Callable[[], Awaitable[float]]) -> list[float]:
    """A batch of calls, so many at a time."""

    async def some(count: int) -> list[float]:
        return [await call() for _ in range(count)]

    shares = [_BATCH // _AT_ONCE + (at < _BATCH % _AT_ONCE) for at in range(_AT_ONCE)]
    return [took for part in await asyncio.gather(*map(some, shares)) for took in part]


async def _cpu_s(redis: Any) -> float:
    told = await redis.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


async def _used_bytes(redis: Any) -> int:
    return int((await redis.info("memory"))["used_memory"])


def _share(took_s: Sequence[float], share: float) -> float:
    return took_s[int(len(took_s) * share)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m perf.counting", description=__doc__)
    parser.add_argument("--batches", type=int, default=20, help=f"of {_BATCH} calls; the best one counts")
    parser.add_argument("--redis-url", help="of a server with an empty database")
    arguments = parser.parse_args()
    batches = max(1, arguments.batches)
    stop_as_on_interrupt()  # neither a file nor keys in that database are left behind
    found = list(measure_here(batches))
    if arguments.redis_url:
        found += uvloop.run(measure_there(arguments.redis_url, batches))
    for name, figure in found:
        print(f"{name}\t{figure if isinstance(figure, str) else f'{figure:.1f}'}", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
