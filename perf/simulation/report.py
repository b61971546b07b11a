"""A run as Markdown and SVG. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from perf.charts import Bar, Group, Part, Track, bar_chart, line_chart, track_chart
from perf.report import table
from perf.simulation.measure import Course, Summary, courses_of, middle_and_most, summary_of
from perf.simulation.play import Seen, Setting
from perf.simulation.world import FIRST_TOKEN_LIMIT_S, Trouble

SHOWN: Final = "weight-based"
"""Whose course is shown in detail."""

_NAIVE: Final = "retry anywhere"
_BIN_S: Final = 10.0
_CONTENDERS: Final = (
    "*retry there*: a provider is drawn for each call, and asked twice more when it fails. *retry anywhere*: "
    "each try draws anew. The others are the gateway's routing: strategies, circuits, retries with backoff "
    "and budget, fallback."
)
_COURSE: Final = (
    f"Of *{SHOWN}*, for each kind of trouble in which nothing is answered: until the provider got no more "
    "calls, attempts at it before and after that, and from the end of the trouble until its next good answer "
    "(median / most)."
)
_PERCENT: Final = 100


def charts_of(setting: Setting, found: Mapping[str, Seen]) -> dict[str, str]:
    """SVG by name."""
    summaries = {name: summary_of(seen) for name, seen in found.items()}
    return {
        "overview": _overview(setting, summaries),
        "course": _course(setting, found[SHOWN]),
        "load": _load(setting, found),
    }


def to_markdown(setting: Setting, found: Mapping[str, Seen]) -> str:
    """The whole report."""
    courses = {name: list(courses_of(seen, setting.episodes)) for name, seen in found.items()}
    parts = [
        "# Simulation of failover",
        _setting(setting),
        "![What became of the calls](simulation-overview.svg)",
        _summary_table({name: summary_of(seen) for name, seen in found.items()}),
        _CONTENDERS,
        "## How soon it is noticed, and how soon over",
        "![Trouble, and who got no calls](simulation-course.svg)",
        _COURSE,
        _course_table(courses[SHOWN], courses[_NAIVE]),
        "![Attempts at providers in trouble](simulation-load.svg)",
        "Made by `make perf-simulation`; see perf/README.md.",
    ]
    return "\n\n".join(parts) + "\n"


def _setting(setting: Setting) -> str:
    counts = Counter(one.trouble for one in setting.episodes)
    told = ", ".join(f"{trouble.value} ({counts[trouble]})" for trouble in Trouble)
    return (
        f"{setting.calls:,} calls to {len(setting.characters)} providers, {setting.calls_per_s:g} a second "
        f"on average, on a clock of its own; chance begins with {setting.seed}, so a run can be repeated. "
        f"Providers have {len(setting.episodes)} episodes of trouble: {told}. In the middle six of them "
        "answer 503 for a minute. One call of a hundred is a mistake of its caller. An attempt without "
        f"content is given up after {FIRST_TOKEN_LIMIT_S:g} s. All else is what a manifest gives that says "
        "nothing of it."
    )


def _summary_table(summaries: Mapping[str, Summary]) -> str:
    head = ("", "answered", "failed", "extra attempts", "at providers in trouble", "p50", "p95", "p99")
    rows = [
        (
            name,
            f"{one.answered_ratio:.3%}",
            f"{one.failed:,}",
            f"{one.extra_ratio:.1%}",
            f"{one.troubled_ratio:.1%}",
            *(f"{time_s:.2f} s" for time_s in (one.p50_s, one.p95_s, one.p99_s)),
        )
        for name, one in summaries.items()
    ]
    return table(head, rows)


def _course_table(ours: Sequence[Course], naive: Sequence[Course]) -> str:
    head = (
        "",
        "episodes",
        "until noticed",
        "asked before",
        "asked after",
        f"asked by {_NAIVE}",
        "until recovered",
    )
    rows = []
    for trouble in Trouble:
        of_it = [one for one in ours if one.trouble is trouble]
        if not of_it:
            continue
        without = [one.asked_before + one.asked_after for one in naive if one.trouble is trouble]
        rows.append(
            (
                trouble.value,
                f"{len(of_it)}",
                _seconds(one.noticed_s for one in of_it),
                _counts(one.asked_before for one in of_it),
                _counts(one.asked_after for one in of_it),
                _counts(without),
                _seconds(one.recovered_s for one in of_it),
            )
        )
    return table(head, rows)


def _seconds(values: Iterable[float | None]) -> str:
    found = middle_and_most(values)
    return "-" if found is None else f"{found[0]:.1f} / {found[1]:.1f} s"


def _counts(values: Iterable[float]) -> str:
    found = middle_and_most(values)
    return "-" if found is None else f"{found[0]:.0f} / {found[1]:.0f}"


def _overview(setting: Setting, summaries: Mapping[str, Summary]) -> str:
    def failed(name: str, one: Summary) -> Bar:
        return Bar(name, (Part(one.failed),), f"{one.failed:,}", _color(name))

    def extra(name: str, one: Summary) -> Bar:
        text = f"{one.extra_ratio * _PERCENT:.1f}"
        return Bar(name, (Part(one.extra_ratio),), text, _color(name))

    def troubled(name: str, one: Summary) -> Bar:
        text = f"{one.troubled_ratio * _PERCENT:.1f}"
        return Bar(name, (Part(one.troubled_ratio),), text, _color(name))

    groups = tuple(
        Group(title, tuple(bar(name, one) for name, one in summaries.items()))
        for title, bar in (
            (f"Calls that were not answered, of {setting.calls:,}", failed),
            ("Attempts beyond the first, for 100 calls", extra),
            ("Attempts at providers that can answer nothing, for 100 calls", troubled),
        )
    )
    subtitle = f"{len(setting.characters)} providers that fail and recover; shorter is better"
    return bar_chart("What became of the calls", subtitle, groups)


def _color(name: str) -> str:
    return "#8c959f" if name.startswith("retry") else "#0969da"


def _course(setting: Setting, seen: Seen) -> str:
    tracks = [
        Track(
            one.name.partition("/")[0],
            tuple(
                (episode.begins_s, episode.ends_s)
                for episode in setting.episodes
                if episode.target == one.name and episode.trouble.is_whole
            ),
            tuple(seen.avoided[one.name]),
        )
        for one in setting.characters
    ]
    return track_chart(
        "Trouble, and who got no calls",
        f"{SHOWN} routing; ten providers, each on a line",
        tracks,
        ("answers nothing", "gets no calls: circuit or cool-down"),
        length=setting.calls / setting.calls_per_s,
        x_label="seconds",
    )


def _load(setting: Setting, found: Mapping[str, Seen]) -> str:
    last = int(setting.calls / setting.calls_per_s / _BIN_S)
    lines = {}
    for name in ("retry there", _NAIVE, SHOWN):
        bins = Counter(int(at_s / _BIN_S) for times in found[name].troubled_at_s.values() for at_s in times)
        lines[name] = [(at * _BIN_S, bins[at] / _BIN_S) for at in range(last + 1)]
    return line_chart(
        "Attempts at providers in trouble",
        "Every one of them is lost; lower is better",
        lines,
        x_label="seconds",
        y_label="attempts a second",
    )
