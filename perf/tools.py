"""The tools around a contender, each a process of its own: load generator, upstream, OTLP sink."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from perf.load import MAX_SECONDS, Accept, Amount, LoadResult
from perf.payloads import SMALL_CHAT, STATS_PATH, Ask
from perf.process import START_TIMEOUT_S, Program, ProgramError, started

_WARMUP_S: Final = 0.3
# What the load generator may take beyond its own bounds before we call it stuck.
_SLACK_S: Final = 30.0


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
        return int(get_json(self.port, STATS_PATH)["served"])


@dataclass(frozen=True, slots=True)
class Sink:
    """The running OTLP sink."""

    program: Program
    port: int

    @property
    def endpoint(self) -> str:
        """Where exporters send traces."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def read_bytes(self) -> int:
        """How much has come since its start."""
        return int(get_json(self.port, STATS_PATH)["bytes"])


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
        line = self.program.read_line((self.amount.seconds or MAX_SECONDS) + _SLACK_S)
        return msgspec.json.decode(line, type=LoadResult)

    def end(self) -> None:
        """Have what `release` measures end before its time; of a closed loop alone.

        Raises:
            ProgramError: The load generator has ended.
        """
        self.program.write_line("end")


def get_json(port: int, path: str, *, token: str = "") -> dict[str, Any]:
    """The JSON object that a server on this port of 127.0.0.1 gives for *path*, to whoever has *token*.

    Raises:
        ProgramError: It gives none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        return msgspec.json.decode(connection.getresponse().read(), type=dict[str, Any])
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise ProgramError(f"127.0.0.1:{port}{path} cannot be read: {error!r}") from error
    finally:
        connection.close()


@contextlib.contextmanager
def started_upstream(*, core: int | None, folder: Path) -> Iterator[Upstream]:
    """Run the upstream inside the block."""
    command = ["perf.upstream"]
    with started("upstream", command, core=core, folder=folder, has_pipes=True) as program:
        yield Upstream(program, int(program.read_line(START_TIMEOUT_S)))


@contextlib.contextmanager
def started_sink(*, core: int | None, folder: Path) -> Iterator[Sink]:
    """Run the OTLP sink inside the block."""
    command = ["perf.otlp_sink"]
    with started("OTLP sink", command, core=core, folder=folder, has_pipes=True) as program:
        yield Sink(program, int(program.read_line(START_TIMEOUT_S)))


@contextlib.contextmanager
def held_load(
    url: str,
    *,
    model: str,
    token: str,
    amount: Amount,
    ask: Ask = SMALL_CHAT,
    headers: Sequence[str] = (),
    accept: Accept = Accept.BYTES,
    core: int | None,
    folder: Path,
) -> Iterator[HeldLoad]:
    """Run a load generator against *url* inside the block, warmed up and waiting."""
    command = [
        *("perf.load", url, "--hold", "--model", model, "--token", token),
        *("--connections", str(amount.connections), "--warmup-s", str(_WARMUP_S)),
        *(() if amount.seconds is None else ("--seconds", str(amount.seconds))),
        *(() if amount.requests is None else ("--requests", str(amount.requests))),
        *(() if amount.rps is None else ("--rps", str(amount.rps))),
        *("--size-bytes", str(ask.size_bytes), "--pace-ms", str(ask.pace_ms)),
        *(("--stream",) if ask.is_stream else ()),
        *(word for header in headers for word in ("--header", header)),
        *("--accept", accept.value, "--dialect", ask.dialect.value),
    ]
    with started("load", command, core=core, folder=folder, has_pipes=True) as program:
        program.read_line(START_TIMEOUT_S)
        yield HeldLoad(program, amount)
