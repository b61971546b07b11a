"""The list of metrics."""

from __future__ import annotations

import re

import pytest

from gateway.telemetry import instruments as names
from gateway.telemetry.instruments import INSTRUMENTS, Instrument, with_old_names
from gateway.wire.frames import MetricKind, MetricPoint


@pytest.mark.parametrize(
    ("instrument", "expected"),
    [
        (names.INFERENCE_DURATION, "gen_ai_client_inference_duration_seconds"),
        (names.INPUT_TOKENS, "gen_ai_client_inference_usage_input_tokens_total"),
        (names.REQUESTS, "ai_gateway_requests_total"),
        (names.REQUEST_MS, "ai_gateway_request_processing_ms"),
        (names.MEMORY, "process_memory_usage_bytes"),
        (names.CPU_TIME, "process_cpu_time_seconds_total"),
    ],
    ids=lambda value: value.name if isinstance(value, Instrument) else "",
)
def test_prometheus_names(instrument: Instrument, expected: str) -> None:
    """OpenTelemetry's rules for names with dots; TrueFoundry's names stay."""
    assert instrument.prometheus_name == expected


def test_names_are_valid_and_told_apart() -> None:
    """Prometheus takes them all, and no two become one."""
    found = [instrument.prometheus_name for instrument in INSTRUMENTS.values()]
    assert len(found) == len(set(found))
    labels = [label.replace(".", "_") for one in INSTRUMENTS.values() for label in one.labels]
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) for name in [*found, *labels])
    assert all(found.endswith("_total") for one in INSTRUMENTS.values() if one.kind is MetricKind.SUM
               for found in [one.prometheus_name])  # fmt: skip


def test_buckets_rise() -> None:
    """And only histograms have them."""
    for instrument in INSTRUMENTS.values():
        assert list(instrument.bounds) == sorted(set(instrument.bounds))
        assert bool(instrument.bounds) == (instrument.kind is MetricKind.HISTOGRAM)


def test_buckets_are_those_of_the_conventions() -> None:
    """So that dashboards made for them fit."""
    assert (names.SECONDS[0], names.SECONDS[-1], len(names.SECONDS)) == (0.01, 81.92, 14)
    assert (names.TOKENS[0], names.TOKENS[-1], len(names.TOKENS)) == (1, 67_108_864, 14)


def test_older_twins() -> None:
    """Each GenAI histogram goes out under its older name too, both token counts as one of them."""
    labels = ("chat",) * len(names.GEN_AI_LABELS)
    points = [
        MetricPoint(one.name, labels, one.kind, [1])
        for one in (names.INFERENCE_DURATION, names.OPERATION_INPUT_TOKENS, names.OPERATION_OUTPUT_TOKENS)
    ]
    twins = [point for point in with_old_names(points) if point not in points]
    assert [(twin.name, twin.labels[len(labels):]) for twin in twins] == [
        ("gen_ai.client.operation.duration", ()),
        ("gen_ai.client.token.usage", ("input",)),
        ("gen_ai.client.token.usage", ("output",)),
    ]  # fmt: skip
    assert {twin.name for twin in twins} <= INSTRUMENTS.keys()


def test_points_without_an_older_name_stay_alone() -> None:
    """What is not GenAI's has no twin."""
    point = names.REQUESTS.point(1, "m", "u", "t")
    assert list(with_old_names([point])) == [point]
