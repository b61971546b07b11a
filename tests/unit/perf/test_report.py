"""perf/report.py."""

from __future__ import annotations

from dataclasses import replace

from perf.cores import Cores
from perf.figures import Figure
from perf.machine import Machine
from perf.promises import Outcome, Promise
from perf.report import Run, Section, table, to_markdown

MACHINE = Machine(
    date="2026-11-23T12:00:00Z",
    commit="abc123",
    cpu="Some CPU",
    cpu_count=2,
    kernel="6.1",
    python="3.11.7",
    load_average=0.5,
    packages={"granian": "2.8.7"},
)
_SECTION = Section(
    "saturation",
    "Saturation",
    "| a table |",
    "32 connections.",
    figures=(Figure("", "gateway", "rps", (1.0, 3.0, 2.0)),),
    doubts=("others used 20%",),
    charts={"cost": "<svg/>"},
)
_OUTCOME = Outcome(Promise("worker CPU", "saturation", "", "worker_cpu_ratio", 0.75, 0.55), 0.9)
RUN = Run("quick", MACHINE, Cores(0, 1), (_SECTION,), (_OUTCOME,))


def test_table_is_markdown_and_aligned() -> None:
    """The first column to the left, numbers to the right, all lines equally long."""
    assert table(["", "RPS"], [["bare stack", "5,000"], ["gateway", "999"]]).splitlines() == [
        "|            |   RPS |",
        "| :--------- | ----: |",
        "| bare stack | 5,000 |",
        "| gateway    |   999 |",
    ]


def test_report_says_where_it_was_made_and_what_is_doubtful() -> None:
    """Commit, machine, versions, pinning and doubts belong to the figures."""
    text = to_markdown(RUN)
    for part in (
        "abc123",
        "Some CPU",
        "granian 2.8.7",
        "core 0",
        "| a table |",
        "![Saturation](2026-11-23-abc123-quick-cost.svg)",
        "NOT MET",
        "- saturation: others used 20%",
    ):
        assert part in text


def test_unpinned_run_says_so() -> None:
    """On one core the reader must know."""
    text = to_markdown(Run("quick", MACHINE, Cores(None, None, "one usable core only"), ()))
    assert "Nothing is pinned" in text
    assert "- one usable core only" in text


def test_a_clean_run_has_no_doubts() -> None:
    """Silence would not tell a clean run from one that was not judged."""
    assert "## Doubts\n\nNone.\n" in to_markdown(Run("quick", MACHINE, Cores(0, 1), ()))


def test_a_contender_that_failed_is_told() -> None:
    """In the report, and to whoever looks at the exit code."""
    run = replace(RUN, sections=(replace(_SECTION, failed=("gateway: calls failed",)),))
    assert run.failed == ("saturation: gateway: calls failed",)
    assert "## Failed\n\n- saturation: gateway: calls failed" in to_markdown(run)


def test_the_end_of_a_log_stays_in_its_line() -> None:
    """A reason holds what a program wrote last: its lines would end the list, and may be headings."""
    run = replace(RUN, sections=(replace(_SECTION, failed=("gateway ended. Its log:\n# a\n  b",)),))
    assert "- saturation: gateway ended. Its log: # a b\n" in to_markdown(run)
