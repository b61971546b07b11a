"""The two tools around a contender, load generator and upstream, as processes of their own."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from perf.latency import Latency
from perf.load import MAX_SECONDS, Accept, Amount, LoadResult
from perf.payloads import STATS_PATH
from perf.process import START_TIMEOUT_S, Program, started

_WARMUP_S: Final = 0.5
# What the load generator may take beyond its own bounds before we call it stuck.
_SLACK_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """The running upstream."""

    program: Program
    port: int

    @property
    def origin(self) -> str:
        """Its address as URLs begin."""
        return f"http://127.0.0.1:{self.port}"

    def read_served(self) -> int:
        """How many calls it has answered well since its start."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", STATS_PATH)
            return int(orjson.loads(connection.getresponse().read())["served"])
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class HeldLoad:
    """A load generator that is connected, has warmed the contender up and waits for the word."""

    program: Program
    amount: Amount

    def release(self) -> LoadResult:
        """Measure, and return when the last answer is there.

        Raises:
            ProgramError: The load generator failed or is stuck.
        """
        self.program.write_line("go")
        answer = orjson.loads(self.program.read_line((self.amount.seconds or MAX_SECONDS) + _SLACK_S))
        return LoadResult(
            completed=answer["completed"],
            failures=answer["failures"],
            elapsed_s=answer["elapsed_s"],
            latency=Latency(**answer["latency"]),
        )


@contextlib.contextmanager
def started_upstream(*, core: int | None, folder: Path) -> Iterator[Upstream]:
    """Run the upstream inside the block."""
    with started("upstream", ["perf.upstream"], core=core, folder=folder, has_pipes=True) as program:
        yield Upstream(program, int(program.read_line(START_TIMEOUT_S)))


@contextlib.contextmanager
def held_load(
    url: str,
    *,
    model: str,
    token: str,
    amount: Amount,
    core: int | None,
    folder: Path,
    headers: Sequence[str] = (),
    accept: Accept = Accept.BYTES,
) -> Iterator[HeldLoad]:
    """Run a load generator against *url* inside the block, warmed up and waiting."""
    command = [
        *("perf.load", url, "--hold", "--model", model, "--token", token),
        *(word for header in headers for word in ("--header", header)),
        *("--accept", accept.value),
        *("--connections", str(amount.connections), "--warmup-s", str(_WARMUP_S)),
        *(() if amount.seconds is None else ("--seconds", str(amount.seconds))),
        *(() if amount.requests is None else ("--requests", str(amount.requests))),
    ]
    with started("load", command, core=core, folder=folder, has_pipes=True) as program:
        program.read_line(START_TIMEOUT_S)
        yield HeldLoad(program, amount)
