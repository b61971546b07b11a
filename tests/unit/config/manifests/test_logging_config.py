"""Rules on the recording of bodies."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.manifests.logging_config import LoggingConfig
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text, found

RULE = "type: gateway-logging-config\nname: rule\nlog: true\n"


def test_what_is_not_written() -> None:
    """A rule without conditions is about all calls and masks nothing."""
    rule = LoggingConfig.model_validate({"type": "gateway-logging-config", "name": "r", "log": False})
    assert (rule.when.subjects.in_, rule.when.models.not_in, rule.when.metadata) == (None, (), {})
    assert (rule.redact_with.presets, rule.redact_with.custom_patterns) == ((), ())


def test_rules_are_in_force(tmp_path: Path) -> None:
    """Each manifest is one rule, in the order of their names."""
    rules = RULE.replace("name: rule", "name: b"), RULE.replace("name: rule", "name: a")
    checked = check_text(tmp_path, ACCOUNT, CALLER, *rules, strict=True)
    assert checked.not_in_force == ()
    assert [rule.name for rule in accepted_config(checked).logging_configs] == ["a", "b"]


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        pytest.param("'['", "not a regular expression", id="malformed"),
        pytest.param("'a*'", "matches nothing as well", id="empty match"),
        pytest.param("''", "must not be empty", id="empty"),
        pytest.param("'" + "a" * 1001 + "'", "longer than 1000 characters", id="long"),
    ],
)
def test_patterns_that_cannot_be_used(tmp_path: Path, pattern: str, what: str) -> None:
    """Said when the configuration is checked, not when a call comes."""
    text = f"{RULE}redact_with: {{custom_patterns: [{{pattern: {pattern}}}]}}\n"
    (problem,) = check_text(tmp_path, ACCOUNT, CALLER, text).errors
    assert problem.path == "redact_with.custom_patterns.0.pattern"
    assert what in f"{problem.message}. {problem.fix}"


def test_preset_that_nobody_knows(tmp_path: Path) -> None:
    """An error: a slip must not record what was to be masked."""
    checked = check_text(tmp_path, ACCOUNT, CALLER, RULE + "redact_with: {presets: [emial]}\n")
    assert checked.errors


@pytest.mark.parametrize("field", ["capture_headers", "capture_baggage"])
def test_name_that_may_hold_a_credential(tmp_path: Path, field: str) -> None:
    """It is said that it is never captured."""
    text = f"type: gateway-global-settings\ntelemetry_settings: {{{field}: [x-team, X-Api-Key]}}\n"
    (line,) = found(check_text(tmp_path, ACCOUNT, CALLER, text))
    assert f"telemetry_settings.{field}.1: the name says that it may hold a credential" in line
