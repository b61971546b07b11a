"""Prometheus text, read back by Prometheus's own parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import instruments as names
from gateway.telemetry.instruments import INSTRUMENTS
from gateway.telemetry.prometheus import to_text
from gateway.wire.frames import MetricKind, MetricPoint


def families(points: list[MetricPoint]) -> list[Metric]:
    return list(text_string_to_metric_families(to_text(points).decode()))


def test_histograms_are_cumulative() -> None:
    """Each bucket counts what lies below its bound; sum and count follow."""
    values: list[int | float] = [1, 2, *[0] * 11, 4, 3.5]
    point = MetricPoint(names.LOOP_LAG.name, (), MetricKind.HISTOGRAM, [*values[:12], 4, 3.5])
    [family] = families([point])
    assert (family.name, family.type) == ("gateway_event_loop_lag_seconds", "histogram")
    buckets = [(sample.labels["le"], sample.value) for sample in family.samples if "le" in sample.labels]
    assert [*buckets[:2], buckets[-1]] == [("0.001", 1), ("0.002", 3), ("+Inf", 7)]
    rest = {sample.name: sample.value for sample in family.samples if "le" not in sample.labels}
    assert rest == {"gateway_event_loop_lag_seconds_sum": 3.5, "gateway_event_loop_lag_seconds_count": 7}


def test_points_of_one_metric_stand_together() -> None:
    """The format wants each family once."""
    first, other = names.REQUESTS.point(1, "a", "u", "t"), names.WORKERS.point(2)
    found = families([first, other, names.REQUESTS.point(5, "b", "", "t")])
    assert [family.name for family in found] == ["ai_gateway_requests", "gateway_workers"]
    assert [sample.labels.get("username") for sample in found[0].samples] == ["u", None]


def test_labels_beside_those_of_the_instrument() -> None:
    """They bring their names."""
    [family] = families([names.REQUESTS.point(1, "a", "", "t", "llm_gateway_metadata_team=x=y", "other")])
    assert family.samples[0].labels == {
        "model_name": "a",
        "tenant_name": "t",
        "llm_gateway_metadata_team": "x=y",
    }


def test_unknown_metrics_and_other_buckets_are_left_out() -> None:
    """A worker of another version may be there for a moment."""
    odd = MetricPoint(names.LOOP_LAG.name, (), MetricKind.HISTOGRAM, [1, 2])
    assert families([MetricPoint("gone", (), MetricKind.SUM, [1])]) == []
    assert not any(family.samples for family in families([odd]))


@given(st.text(), st.integers(0, 2**60))
def test_any_label_and_number_reads_back(label: str, value: int) -> None:
    """Quotes, newlines, backslashes: nothing breaks a line or is lost."""
    label = label.encode("utf-8", "replace").decode()
    [family] = families([names.REQUESTS.point(value, label, "u", "t")])
    [sample] = family.samples
    assert sample.labels.get("model_name", "") == label
    assert sample.value == value


def test_every_metric_is_understood() -> None:
    """With every label set, of every kind."""
    points = []
    for one in INSTRUMENTS.values():
        values: list[int | float] = [1] * (len(one.bounds) + 2) if one.bounds else [1.5]
        points.append(MetricPoint(one.name, ("x",) * len(one.labels), one.kind, values))
    found = families(points)
    assert len(found) == len(INSTRUMENTS)
    assert all(family.documentation for family in found)
    assert not {family.type for family in found} - {"counter", "gauge", "histogram"}


def test_nothing_is_nothing() -> None:
    """An empty text is valid."""
    assert to_text([]) == b""
