"""Which destinations get a call."""

from __future__ import annotations

import random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import OtelConfig
from gateway.model import TraceContext
from gateway.telemetry.sampling import ALL_DESTINATIONS, NO_DESTINATION, Sampling

LOW: Final = bytes(9) + bytes(7)
"""A trace id that only a ratio of 1 takes."""
HIGH: Final = bytes(9) + b"\xff" * 7
"""A trace id that every ratio over 0 takes."""


def config(name: str, **sampling: Any) -> OtelConfig:
    exporter = {"type": "http", "endpoint": "https://h", "sampling": sampling}
    return OtelConfig.model_validate(
        {"type": "gateway-otel-config", "name": name, "otel_traces_exporter_config": exporter}
    )


def sampling(*wishes: dict[str, Any]) -> Sampling:
    return Sampling([config(str(index), **wish) for index, wish in enumerate(wishes)])


def parent(flags: int, state: str = "") -> TraceContext:
    return TraceContext(HIGH, bytes(range(8)), flags, state)


def wanted(
    plan: Sampling,
    trace_id: bytes = HIGH,
    context: TraceContext | None = None,
    *,
    is_error: bool = False,
    took_ms: int = 0,
) -> int:
    return plan.destinations(trace_id, context, is_error=is_error, took_ns=took_ms * 1_000_000)


def test_callers_random_value() -> None:
    """Who says its own R is sampled by that and not by the id."""
    plan = sampling({"ratio": 0.5, "parent_based": False})
    assert wanted(plan, HIGH, parent(1, "a=b,ot=rv:00000000000001")) & 1 == 0
    assert wanted(plan, LOW, parent(1, "ot=rv:80000000000000")) & 1 == 1
    assert plan.head_flags(LOW, parent(0, "ot=rv:80000000000000")) == 1


def test_without_settings() -> None:
    """Everything goes everywhere, but for what the caller drops."""
    for plan in (Sampling(), sampling({}), sampling({"keep_errors": True})):
        assert wanted(plan, LOW) == ALL_DESTINATIONS
        assert wanted(plan, LOW, parent(1)) == ALL_DESTINATIONS
        assert wanted(plan, HIGH, parent(0), is_error=True) == NO_DESTINATION
        assert plan.head_flags(LOW, None) == 3
        assert plan.head_state(LOW, None) == ""
        assert plan.head_state(LOW, parent(1, "ot=th:8,v=1")) == "ot=th:8,v=1"
        assert [plan.head_flags(LOW, parent(flags)) for flags in (0, 1, 3)] == [0, 1, 3]


@pytest.mark.parametrize(
    ("wish", "trace_id", "context", "outcome", "is_wanted"),
    [
        pytest.param({"ratio": 0.5}, LOW, None, {}, False, id="below the ratio"),
        pytest.param({"ratio": 0.5}, HIGH, None, {}, True, id="in the ratio"),
        pytest.param({"ratio": 0}, HIGH, None, {}, False, id="ratio of nothing"),
        pytest.param({"ratio": 0.5}, HIGH, parent(0), {}, False, id="dropped by the caller"),
        pytest.param({"ratio": 0.5}, LOW, parent(1), {}, True, id="sampled by the caller, below the ratio"),
        pytest.param({"ratio": 0}, LOW, parent(1), {}, True, id="sampled by the caller, ratio of nothing"),
        pytest.param(
            {"ratio": 0.5, "parent_based": False}, LOW, parent(1), {}, False, id="caller not followed, below"
        ),
        pytest.param(
            {"ratio": 0, "parent_based": False, "keep_errors": True},
            LOW,
            parent(0),
            {"is_error": True},
            True,
            id="caller not followed, error kept",
        ),
        pytest.param(
            {"ratio": 0.5, "parent_based": False}, HIGH, parent(0), {}, True, id="caller not followed"
        ),
        pytest.param({"parent_based": False}, LOW, parent(0), {}, True, id="caller not followed, all wanted"),
        pytest.param({"ratio": 0}, HIGH, None, {"is_error": True}, False, id="error, not kept"),
        pytest.param(
            {"ratio": 0, "keep_errors": True}, HIGH, None, {"is_error": True}, True, id="error, kept"
        ),
        pytest.param({"ratio": 0, "keep_errors": True}, HIGH, None, {}, False, id="no error"),
        pytest.param(
            {"ratio": 0, "keep_errors": True},
            HIGH,
            parent(0),
            {"is_error": True},
            False,
            id="error that the caller drops",
        ),
        pytest.param({"ratio": 0, "keep_slower_than_ms": 100}, HIGH, None, {"took_ms": 101}, True, id="slow"),
        pytest.param(
            {"ratio": 0, "keep_slower_than_ms": 100}, HIGH, None, {"took_ms": 100}, False, id="quick enough"
        ),
    ],
)
def test_one_destination(
    wish: dict[str, Any],
    trace_id: bytes,
    context: TraceContext | None,
    outcome: dict[str, Any],
    *,
    is_wanted: bool,
) -> None:
    """By the caller's decision, the ratio, and what is kept in any case."""
    assert bool(wanted(sampling(wish), trace_id, context, **outcome) & 1) is is_wanted


def test_each_destination_has_its_own_ratio() -> None:
    """Bits are those of the manifests, also of one without traces; bits of no destination stay set."""
    metrics = OtelConfig.model_validate({"type": "gateway-otel-config", "name": "m"})
    plan = Sampling([config("a", ratio=0), metrics, config("b", ratio=1.0)])
    assert wanted(plan) == ALL_DESTINATIONS & ~1


@pytest.mark.parametrize(
    ("wishes", "trace_id", "context", "flags"),
    [
        pytest.param([{"ratio": 0.5}], LOW, None, 2, id="nobody takes it"),
        pytest.param([{"ratio": 0.5}], HIGH, None, 3, id="one takes it"),
        pytest.param([{"ratio": 0}, {"ratio": 1.0}], LOW, None, 3, id="the other takes it"),
        pytest.param([{"ratio": 0.5}], LOW, parent(1), 1, id="as the caller said"),
        pytest.param([{"ratio": 0.5}], HIGH, parent(0), 0, id="as the caller said, not"),
        pytest.param([{"parent_based": False}], LOW, parent(0), 1, id="caller not followed"),
        pytest.param([{"ratio": 0.5, "parent_based": False}], LOW, parent(3), 2, id="other flags stay"),
        pytest.param(
            [{"ratio": 0.5, "parent_based": False}, {}], LOW, parent(1), 1, id="one of two follows the caller"
        ),
    ],
)
def test_head_decision(
    wishes: list[dict[str, Any]], trace_id: bytes, context: TraceContext | None, flags: int
) -> None:
    """What callers and providers are told before anything is known of the outcome; ids of ours are random."""
    assert sampling(*wishes).head_flags(trace_id, context) == flags


@pytest.mark.parametrize(
    ("wishes", "trace_id", "context", "expected"),
    [
        pytest.param([{"ratio": 0.5}], HIGH, None, "ot=th:8", id="taken"),
        pytest.param([{"ratio": 0.5}], LOW, None, "", id="not taken"),
        pytest.param([{"ratio": 0.25}, {"ratio": 0.5}], HIGH, None, "ot=th:8", id="most is taken"),
        pytest.param([{"ratio": 0.5}], HIGH, parent(1, "v=1"), "v=1", id="caller's probability not known"),
        pytest.param(
            [{"ratio": 0.5}], HIGH, parent(1, "v=1,ot=th:e"), "ot=th:e,v=1", id="caller's threshold"
        ),
        pytest.param([{"ratio": 0.5}], LOW, parent(1, "ot=th:e,v=1"), "v=1", id="caller's cannot be"),
        pytest.param([{"ratio": 0.5}], HIGH, parent(0, "v=1"), "v=1", id="dropped by the caller"),
        pytest.param(
            [{"ratio": 0.5, "parent_based": False}],
            HIGH,
            parent(0, "v=1,ot=rv:ffffffffffffff"),
            "ot=th:8;rv:ffffffffffffff,v=1",
            id="caller not followed",
        ),
        pytest.param(
            [{"ratio": 0.5, "parent_based": False}], LOW, parent(1, "ot=th:0"), "", id="not followed, dropped"
        ),
    ],
)
def test_head_state(
    wishes: list[dict[str, Any]], trace_id: bytes, context: TraceContext | None, expected: str
) -> None:
    """What providers are told beside the flags: the probability with which the trace is taken, if known."""
    assert sampling(*wishes).head_state(trace_id, context) == expected


@given(
    st.binary(min_size=16, max_size=16),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
)
def test_smaller_ratio_takes_a_part_of_the_larger(trace_id: bytes, one: float, other: float) -> None:
    """Sampling is consistent: destinations see the same traces, some of them more."""
    smaller, larger = sorted((one, other))
    mask = wanted(sampling({"ratio": smaller}, {"ratio": larger}), trace_id)
    assert not (mask & 1 and not mask & 2)


def test_ratio_is_kept() -> None:
    """Of many random ids about that share."""
    source = random.Random(1)
    plan = sampling({"ratio": 0.2})
    taken = sum(wanted(plan, source.randbytes(16)) & 1 for _ in range(20_000))
    assert 3_700 < taken < 4_300
