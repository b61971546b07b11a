"""`python -m perf.sizing`: the figures that `gateway size` and the simulated fleet reckon with.

A line for each: its name, a tab, the figure. Everything on, one worker, on a core of its own; what is
measured here goes by hand into `gateway.sizing.MEASURED` and docs/scaling.md.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from typing import Final, Self

from perf.bench import Bench, say, started_bench
from perf.contenders import Contender, started_all
from perf.load import Amount
from perf.payloads import REQUEST_BYTES, Ask
from perf.process import ProgramError
from perf.readings import only, rss_bytes
from perf.rounds import RoundFailedError, run_round

_CALLS_S: Final = 5.0
_STREAMS: Final = 1_000
_PACE_MS: Final = 100
"""Ten events a second and stream: as many as a thousand of them may have on one core."""

_LOOK_EVERY_S: Final = 0.2
_PROMPT_BYTES: Final = 200_000
_HELD_BYTES: Final = 40_000
_ANSWER_MS: Final = 4_000
"""How long calls wait whose memory is looked at."""


def measure(bench: Bench) -> Iterator[tuple[str, float]]:
    """Start the gateway and measure it.

    Raises:
        RoundFailedError: The gateway did not do its job.
        ProgramError: A program of the run failed.
    """
    with started_all(bench, ("gateway",)) as (gateway,):
        exported = bench.sink.read_bytes()
        calls = run_round(bench, gateway, Amount(32, seconds=_CALLS_S))
        yield "call_us", calls.worker_cpu_us
        yield "call_control_us", calls.total_cpu_us - calls.worker_cpu_us
        yield "call_span_bytes", (bench.sink.read_bytes() - exported) / calls.requests
        prompts = run_round(bench, gateway, Amount(8, seconds=2.0), Ask(size_bytes=_PROMPT_BYTES))
        yield "prompt_us_per_kb", (prompts.worker_cpu_us - calls.worker_cpu_us) / (_PROMPT_BYTES / 1000)
        rested = rss_bytes(only(gateway.processes(), gateway.worker_pids()))
        yield "worker_mb", rested / 1e6
        yield "others_mb", rss_bytes(gateway.processes()) / 1e6 - rested / 1e6
        with _Watch(gateway) as watch:
            streams = run_round(
                bench, gateway, Amount(_STREAMS, seconds=8.0), Ask(is_stream=True, pace_ms=_PACE_MS)
            )
        yield "event_us", streams.worker_event_cpu_us
        yield "open_stream_kb", (watch.most_bytes - rested) / _STREAMS / 1000
        small = _most_kb(bench, gateway, REQUEST_BYTES) - rested / 1000 / _STREAMS
        yield "open_answer_kb", small
        large = _most_kb(bench, gateway, _HELD_BYTES) - rested / 1000 / _STREAMS
        yield "held_prompt_ratio", (large - small) / ((_HELD_BYTES - REQUEST_BYTES) / 1000)


def _most_kb(bench: Bench, gateway: Contender, size_bytes: int) -> float:
    """The memory of the worker for each of as many calls that wait for their answers."""
    with _Watch(gateway) as watch:
        run_round(
            bench, gateway, Amount(_STREAMS, seconds=8.0), Ask(size_bytes=size_bytes, pace_ms=_ANSWER_MS)
        )
    return watch.most_bytes / 1000 / _STREAMS


class _Watch:
    """Looks at the memory of a contender's workers while something runs.

    Attributes:
        most_bytes: The most that was seen.
    """

    def __init__(self, contender: Contender) -> None:
        self.most_bytes = 0
        self._contender = contender
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_LOOK_EVERY_S):
            workers = only(self._contender.processes(), self._contender.worker_pids())
            self.most_bytes = max(self.most_bytes, rss_bytes(workers))


def main() -> int:
    """Measure and print; exit 1 when that cannot be done."""
    argparse.ArgumentParser(prog="python -m perf.sizing", description=__doc__).parse_args()
    try:
        with started_bench() as bench:
            began_s = time.monotonic()
            for name, figure in measure(bench):
                print(f"{name}\t{figure:.2f}", flush=True)
            bench.say(f"{time.monotonic() - began_s:.0f} s")
    except (RoundFailedError, ProgramError) as error:
        say(f"perf.sizing: {error}")
        return 1
    except KeyboardInterrupt:
        say("perf.sizing: stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
