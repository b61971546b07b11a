"""docs/telemetry.md lists every metric that the gateway has, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway.app.metrics_export import PERIOD_S
from gateway.telemetry import call_metrics
from gateway.telemetry import instruments as names
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.wire.frames import MetricKind

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8")
# Without the history, which tells of names that were.
PAGES: Final = sorted(
    page
    for folder in ("", "docs", "deploy")
    for page in (ROOT / folder).glob("*.md")
    if page.stem != "CHANGELOG"
)
SECTION: Final = PAGE.partition("\n## Metrics\n")[2].partition("\n## ")[0]
ROWS: Final = re.findall(
    r"^\| `([^`]+)` \| (counter|gauge|histogram) \| (\S+) \| (.*?) ?\|$", SECTION, re.MULTILINE
)
# A file of Elastic's, and an attribute of which the page says that there is none.
NOT_OURS: Final = {"gateway.yml", "gen_ai.system_instructions"}
KINDS: Final = {MetricKind.SUM: "counter", MetricKind.GAUGE: "gauge", MetricKind.HISTOGRAM: "histogram"}
OLD: Final = (names.OLD_TIME_TO_FIRST_CHUNK, names.OLD_TIME_PER_OUTPUT_CHUNK, names.OLD_TOKEN_USAGE)
"""Those that only `semconv: latest+old` brings."""


def test_every_metric_is_documented_once() -> None:
    """With its kind and unit."""
    documented = [row[:3] for row in ROWS]
    assert len(documented) == len({name for name, _kind, _unit in documented})
    assert set(documented) == {(one.name, KINDS[one.kind], one.unit) for one in INSTRUMENTS.values()}


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_label_is_documented(name: str) -> None:
    """In the row, or in the paragraph that stands above its table."""
    [row] = [row for row in ROWS if row[0] == name]
    table = SECTION.index(f"| `{name}` |")
    above = SECTION[:table].rpartition("\n\n")[0].rpartition("\n\n")[2]
    labels = set(INSTRUMENTS[name].labels)
    if INSTRUMENTS[name] in OLD:
        labels -= set(names.GEN_AI_LABELS)  # as those of the newer twin
    ledger = SECTION.partition("| `gateway.telemetry.created` |")[2].partition("\n")[0]
    text = f"{above} {row[3]} {ledger if name.startswith('gateway.telemetry.') else ''}"
    assert [label for label in labels if f"`{label}`" not in text] == []


def test_buckets_are_documented() -> None:
    """Whoever draws a heat map needs them."""
    for mark, bounds in (("seconds", names.SECONDS), ("lag", names.LAG_SECONDS)):
        shown = SECTION.partition(f"<!-- {mark} -->")[2].partition("<!-- end -->")[0]
        assert tuple(map(float, shown.split())) == bounds
    assert list(names.TOKENS) == [4**power for power in range(14)]
    assert names.MILLISECONDS[1:] == tuple(round(bound * 1000, 3) for bound in names.SECONDS)


def test_bounds_are_documented() -> None:
    """As the code has them."""
    assert f"At most {call_metrics.MAX_SETS:,} label sets" in SECTION
    assert f"at most {call_metrics._MAX_LABEL_CHARACTERS} characters" in SECTION
    assert f"every {PERIOD_S:g} s" in SECTION
    assert call_metrics.TENANT in SECTION


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_on_any_page_are_some(page: Path) -> None:
    """An attribute, a metric or a label of these namespaces stands in the tables of telemetry.md."""
    tables = "".join(re.findall(r"^\|.*$", PAGE, re.MULTILINE))
    known = NOT_OURS | set(re.findall(r"`([a-z_.]+)`", tables))
    known |= {label for one in INSTRUMENTS.values() for label in one.labels}
    known |= {name.replace(".", "_") for name in INSTRUMENTS}
    prefixes = r"ai_gateway_|gateway_|gateway\.|gen_ai\."
    for name, star in re.findall(rf"`((?:{prefixes})[a-z_.]*)(\*?)`", page.read_text(encoding="utf-8")):
        assert name in known or (star and any(one.startswith(name) for one in known)), name
