"""Which scenarios a suite runs, and how long each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from perf.bench import Bench
from perf.report import Section
from perf.scenarios import (
    features,
    frontier,
    limiting,
    memory,
    open_loop,
    overload,
    pairs,
    planning,
    prompts,
    saturation,
    streams,
    workers,
)

Steps = Mapping[str, Callable[[Bench], Section]]

_QUICK: Final[Steps] = {
    "saturation": partial(saturation.run, turns=3, seconds=1.5),
    "open-loop": partial(open_loop.run, rates=(350,), turns=3, calls=1000),
    "streams": partial(streams.run, at_once=(50,), turns=1, seconds=3, has_unpaced=False),
}
_STANDARD: Final[Steps] = {
    "saturation": partial(saturation.run, turns=5, seconds=2),
    "open-loop": partial(open_loop.run, rates=(350, 1000, 2000), turns=5, calls=1000),
    "streams": partial(streams.run, at_once=(50, 100, 200, 400), turns=2, seconds=3),
    "prompts": partial(prompts.run, turns=3, seconds=1.5),
    "features": partial(features.run, turns=3, seconds=1.5, rates=(350, 1000), down_requests=10_000),
    "workers": partial(workers.run, turns=3, seconds=2),
    "planning": partial(planning.run, turns=3, batches=200),
    "limiting": partial(limiting.run, turns=3, batches=40),
}
SUITES: Final[Mapping[str, Steps]] = {
    "quick": _QUICK,
    "standard": _STANDARD,
    "full": {
        "saturation": partial(saturation.run, turns=7, seconds=4),
        "open-loop": partial(open_loop.run, rates=(350, 1000, 2000), turns=7, calls=3000),
        "streams": partial(streams.run, at_once=(50, 100, 200, 400), turns=5, seconds=5),
        "prompts": partial(prompts.run, turns=5, seconds=3),
        "features": partial(
            features.run, turns=5, seconds=3, rates=(350, 1000), calls=3000, down_requests=50_000
        ),
        "workers": partial(workers.run, turns=5, seconds=4),
        "frontier": partial(frontier.run, turns=3, seconds=3),
        "memory": memory.run,
        "pairs": partial(pairs.run, turns=3, seconds=2),
        "planning": partial(planning.run, turns=5, batches=400),
        "limiting": partial(limiting.run, turns=5, batches=100),
        "overload": partial(overload.run, turns=3, seconds=5),
    },
}
"""By name; a suite takes its scenarios in this order."""
