"""The counters of limits, as control looks at them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.app.limit_counters import HostFigures, open_figures, shared_points
from gateway.model import Charge, Correction, Decision
from gateway.store.counter_table import FILE_NAME, counters_in_memory, open_counters
from gateway.store.redis_counters import RedisCounters
from gateway.telemetry.prometheus import to_text

DROPS = "gateway_limits_drops_total"


MISSED = "gateway_limits_missed_turns_total"
HOLDS = """
import sys
from fcntl import LOCK_EX, lockf
with open(sys.argv[1], "r+b") as file:
    lockf(file, LOCK_EX, 1, 0)
    print("holds", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other_has_the_turn(path: Path) -> Iterator[None]:
    """Another process, since a process does not lock itself out."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        yield
        holder.communicate("\n")


def lines(figures: HostFigures) -> list[str]:
    """What `/metrics` has of them."""
    return [line for line in to_text(figures.points()).decode().splitlines() if not line.startswith("#")]


def test_what_limits_have_lost() -> None:
    """A counter that is forgotten while it counts lets more pass than its limit: told, and of which kind."""
    counters = counters_in_memory(places=16)
    for number in range(1, 19):
        counters.reserve([Charge(number.to_bytes(16, "big"), 1, 5, 0)])
    assert lines(HostFigures(counters)) == [
        f'{DROPS}{{reason="counters_full"}} 2',
        f'{DROPS}{{reason="notes_full"}} 0',
        f"{MISSED} 0",
    ]


async def test_what_redis_is_never_told() -> None:
    """Of what is counted while the server is away only so much is kept for it: the rest is told as lost."""
    redis = RedisCounters("redis://127.0.0.1:1/0", counters_in_memory(places=16))
    for number in range(50_002):
        one = Charge(number.to_bytes(16, "big"), 0, 5, 0)
        await redis.settle([Correction(one, 1, Decision(None, (), (), 0.0, is_shared=True))])
    text = to_text(shared_points(redis)).decode()
    assert f'{DROPS}{{reason="owed_full"}} 2' in text.splitlines()
    assert "decided_here" not in text
    await redis.reserve([Charge(b"k" * 16, 1, 5, 0)])
    text = to_text(shared_points(redis)).decode()
    assert 'gateway_limits_decided_here_total{reason="away"} 1' in text.splitlines()


def test_turns_that_were_missed(tmp_path: Path) -> None:
    """A worker that another keeps waiting may refuse what has room: told, by control, which has no turns."""
    counters = open_counters(tmp_path / FILE_NAME)
    figures = open_figures(tmp_path)
    one = Charge(b"k" * 16, 1, 5, 0)
    with other_has_the_turn(tmp_path / FILE_NAME):
        counters.reserve([one])
        counters.settle([Correction(one, 2, counters.usage([one]))])
    assert lines(figures)[-1] == f"{MISSED} 2"
    counters.reserve([one])
    assert lines(figures)[-1] == f"{MISSED} 2"
    counters.close()


def test_without_the_file(tmp_path: Path) -> None:
    """Nothing is known, so nothing is told: no zero that looks like a good sign."""
    (tmp_path / FILE_NAME).mkdir()
    assert lines(open_figures(tmp_path)) == []
