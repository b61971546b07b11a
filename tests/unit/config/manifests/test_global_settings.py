"""Settings for every request."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config.manifests.global_settings import (
    EgressSettings,
    GlobalSettings,
    OverloadSettings,
    RetrySettings,
    TelemetrySettings,
)
from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found


def test_defaults() -> None:
    """Nothing is tried again unless asked for."""
    settings = GlobalSettings(type="gateway-global-settings")
    assert settings.retry_settings.attempts == 0
    assert settings.name == "default"
    assert settings.logging_settings is None
    assert settings.telemetry_settings.semconv == "latest"
    assert settings.budget_settings.refusal_status == 429
    assert not settings.budget_settings.alerts_over_http
    assert settings.limit_settings.when_redis_is_away == "local"
    assert settings.egress_settings == EgressSettings(private_addresses="allow", allow=(), deny=())


def test_status_codes_as_text_or_number() -> None:
    """TrueFoundry writes them as text."""
    retry = RetrySettings.model_validate({"attempts": 2, "on_status_codes": ["503", 429]})
    assert retry.on_status_codes == (503, 429)
    assert RetrySettings(attempts=1).on_status_codes == (429, 500, 502, 503)


def test_content_has_a_bound() -> None:
    """More than a worker can keep, or a destination take in one request, could never arrive."""
    assert TelemetrySettings(max_content_bytes=1_048_576).max_content_bytes == 1_048_576
    with pytest.raises(ValidationError, match="less than or equal to 1048576"):
        TelemetrySettings(max_content_bytes=1_048_577)


def test_what_holds_for_targets_where_nothing_is_written() -> None:
    """Circuits, retries and limits have defaults; nothing is sent into silence unless asked for."""
    settings = GlobalSettings(type="gateway-global-settings")
    assert settings.routing_settings.model_dump() == {
        "circuit_breaker": {
            "failures": 5,
            "failure_ratio": 0.5,
            "window_ms": 30_000,
            "cool_down_ms": 1_000,
            "max_cool_down_ms": 30_000,
        },
        "retry_budget": {"ratio": 0.2, "min_per_second": 10},
        "max_retry_after_ms": 5_000,
    }
    assert settings.timeout_settings.model_dump() == {
        "connect_ms": 10_000,
        "first_token_ms": 300_000,
        "gap_ms": 300_000,
        "request_ms": None,
    }
    assert settings.keep_alive_settings is None


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        pytest.param(
            "routing_settings: {circuit_breaker: {cool_down_ms: 5000, max_cool_down_ms: 1000}}",
            "routing_settings.circuit_breaker: max_cool_down_ms is less than cool_down_ms. Write a greater "
            "max_cool_down_ms",
            id="cool-down longer than the longest",
        ),
        pytest.param(
            "routing_settings: {circuit_breaker: {failure_ratio: 0}}",
            "routing_settings.circuit_breaker.failure_ratio: must be above 0. Write a number above 0",
            id="no share at all",
        ),
        pytest.param(
            "routing_settings: {circuit_breaker: {failures: 0}}",
            "routing_settings.circuit_breaker.failures: must be above 0. Write a number above 0",
            id="no failures at all",
        ),
        pytest.param(
            "routing_settings: {retry_budget: {ratio: -1}}",
            "routing_settings.retry_budget.ratio: must be at least 0. Write a number at least 0",
            id="a budget below nothing",
        ),
        pytest.param(
            "timeout_settings: {gap_ms: 0}",
            "timeout_settings.gap_ms: must be above 0. Write a number above 0",
            id="no time at all",
        ),
        pytest.param(
            "timeout_settings: {request_ms: 100000000}",
            "timeout_settings.request_ms: must be at most 86,400,000. Write a number at most 86,400,000",
            id="more than a day",
        ),
        pytest.param(
            "keep_alive_settings: {interval_ms: 10}",
            "keep_alive_settings.interval_ms: must be at least 1,000. Write a number at least 1,000",
            id="a hundred a second",
        ),
    ],
)  # fmt: skip
def test_slips(tmp_path: Path, written: str, finding: str) -> None:
    """Each is told with how to mend it."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, f"type: gateway-global-settings\n{written}\n")
    assert found(checked) == [f"error 17 {finding}"]


def test_low_calls_have_no_more_than_normal_ones() -> None:
    """The other way round `low` would not be low."""
    assert OverloadSettings(low_share=0.9).normal_share == 0.9
    with pytest.raises(ValidationError, match="low_share is greater than normal_share"):
        OverloadSettings(normal_share=0.5)
