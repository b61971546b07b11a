"""Settings for every request."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.global_settings import GlobalSettings, RetrySettings, TelemetrySettings


def test_defaults() -> None:
    """Nothing is tried again unless asked for."""
    settings = GlobalSettings(type="gateway-global-settings")
    assert settings.retry_settings.attempts == 0
    assert settings.name == "default"
    assert settings.logging_settings is None
    assert settings.telemetry_settings.semconv == "latest"
    assert settings.budget_settings.refusal_status == 429


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
