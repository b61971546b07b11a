"""What calls add up to."""

from __future__ import annotations

import math

import pytest

from gateway.tracestore import buckets
from gateway.tracestore.rollup import LabelSet, coarse, duration_ms, label_set, roll_up
from tests.unit.tracestore.call_maker import MINUTE_S, NS, make_row


def test_calls_add_up_by_minute_of_their_end_and_labels() -> None:
    """A call counts when it is over, once."""
    end_ns = (MINUTE_S + 61) * NS
    rows = [
        make_row(1, start_ns=MINUTE_S * NS, end_ns=MINUTE_S * NS + NS, first_chunk_ms=20.0, cost_usd=None),
        make_row(2, start_ns=MINUTE_S * NS, end_ns=MINUTE_S * NS + 3 * NS),
        make_row(3, start_ns=MINUTE_S * NS, end_ns=end_ns, input_tokens=None),
    ]
    rollups = roll_up(rows)
    labels = LabelSet("openai-main/gpt-4o", "openai-main/gpt-4o", "app1", "2xx", "")
    assert set(rollups) == {(MINUTE_S, labels), (MINUTE_S + 60, labels)}
    first = rollups[MINUTE_S, labels]
    assert (first.calls, first.errors, first.input_tokens, first.output_tokens) == (2, 0, 20, 10)
    assert (first.latency_sum_ms, first.latency_max_ms, first.cost_usd) == (4000.0, 3000.0, 0.25)
    assert (first.first_chunks, first.first_chunk_sum_ms) == (1, 20.0)
    assert first.latency_buckets[buckets.bucket_of(1000.0)] == 1
    assert sum(first.latency_buckets) == 2
    assert sum(first.first_chunk_buckets) == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"model": "made-up", "resolved_model": ""}, "other", id="asked, not resolved"),
        pytest.param({"model": "", "resolved_model": ""}, "", id="none asked"),
        pytest.param({"model": "vm/chat"}, "vm/chat", id="resolved"),
        pytest.param({"model": "m" * 999}, "m" * 200, id="too long"),
    ],
)
def test_model_label_is_bounded(fields: dict[str, object], expected: str) -> None:
    """Names that anyone can make up do not become labels."""
    assert label_set(make_row(1, **fields)).model == expected


@pytest.mark.parametrize(
    ("status", "expected"), [(200, "2xx"), (499, "4xx"), (503, "5xx"), (0, "other"), (999, "other")]
)
def test_status_class(status: int, expected: str) -> None:
    """Five classes, whatever is sent."""
    assert label_set(make_row(status_code=status)).status_class == expected


def test_coarse_labels_keep_only_what_is_bounded() -> None:
    """Status class and whether there was an error survive."""
    assert coarse(LabelSet("a", "b", "c", "5xx", "boom")) == LabelSet(
        "other", "other", "other", "5xx", "other"
    )
    assert coarse(LabelSet("a", "b", "c", "2xx", "")) == LabelSet("other", "other", "other", "2xx", "")


def test_clock_set_back_gives_no_negative_duration() -> None:
    """Time may jump under a call."""
    assert duration_ms(make_row(end_ns=1)) == 0.0


def test_absurd_numbers_are_kept_out_of_the_sums() -> None:
    """A provider may report anything."""
    (rollup,) = roll_up(
        [make_row(cost_usd=math.nan, first_chunk_ms=math.inf, input_tokens=2**63 + 5)]
    ).values()
    assert (rollup.cost_usd, rollup.first_chunks) == (0.0, 0)
    assert rollup.input_tokens == 2**40
