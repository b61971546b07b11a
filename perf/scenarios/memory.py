"""Scenario 8: does memory stay flat over half a million requests?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from perf.bench import Bench
from perf.charts import line_chart
from perf.contenders import started_all
from perf.figures import Figures
from perf.load import Amount
from perf.report import Section, table
from perf.rounds import Round, run_round

BLOCKS: Final = 10
_PER: Final = 100_000


def run(bench: Bench, *, requests: int = 500_000) -> Section:
    """Send *requests* in blocks and read the memory after each.

    Raises:
        RoundFailedError: The gateway did not do its job.
        ProgramError: A program of the run failed.
    """
    rounds = []
    with started_all(bench, ("gateway",)) as (gateway,):
        for block in range(1, BLOCKS + 1):
            rounds.append(run_round(bench, gateway, Amount(32, requests=requests // BLOCKS)))
            bench.say(
                f"memory {block}/{BLOCKS}: RSS {rounds[-1].worker_rss_bytes / 1e6:.1f} MB worker, "
                f"{rounds[-1].total_rss_bytes / 1e6:.1f} MB total"
            )
    return section(rounds)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line that fits *points* best (least squares); 0.0 of a single one."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def section(rounds: Sequence[Round]) -> Section:
    """The part of the report that shows this scenario."""
    done, worker, total = 0, [], []
    for one in rounds:
        done += one.requests
        worker.append((float(done), one.worker_rss_bytes / 1e6))
        total.append((float(done), one.total_rss_bytes / 1e6))
    figures = Figures()
    figures.add("", "gateway", "worker_rss_mb", [worker[-1][1]])
    figures.add("", "gateway", "total_rss_mb", [total[-1][1]])
    # Of the second half: the first fills caches, pools and the allocator's arenas.
    figures.add("", "gateway", "rss_slope_mb", [slope(worker[len(worker) // 2 :]) * _PER])
    points = zip(worker, total, strict=True)
    rows = [(f"{x:,.0f}", f"{mb:.1f} MB", f"{all_mb:.1f} MB") for (x, mb), (_, all_mb) in points]
    chart = line_chart(
        f"Memory over {done:,} requests",
        "Resident memory of the worker, and of all processes of the gateway",
        {"worker": worker, "all processes": total},
        x_label="requests",
        y_label="MB",
    )
    return Section(
        "memory",
        f"Memory over {done:,} requests",
        table(("requests", "RSS worker", "RSS total"), rows),
        f"Slope of the second half: {figures.text('', 'gateway', 'rss_slope_mb')} MB per 100,000 requests. "
        "Pages shared by processes count for each; in all processes are files that the system may drop.",
        figures=tuple(figures),
        charts={"memory": chart},
        data={"rounds": [asdict(one) for one in rounds]},
    )
