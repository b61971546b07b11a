"""Rate limits as manifests have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.manifests.limited_calls import Aggregate
from gateway.config.manifests.rate_limits import TenantRateLimitConfig
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text, found

RULES = "type: gateway-rate-limiting-config\nrules:\n"
TENANT = "type: tenant-rate-limit-config/model\nname: r\n"


def findings(folder: Path, text: str) -> list[str]:
    return [line.split(" ", 2)[2] for line in found(check_text(folder, text, ACCOUNT, CALLER))]


def test_what_is_not_written() -> None:
    """A rule of the newer kind is for all calls together, and refuses."""
    rule = TenantRateLimitConfig.model_validate(
        {"type": "tenant-rate-limit-config/model", "name": "r", "limits": {"requests_per_minute": 1}}
    )
    assert isinstance(rule.applies_to, Aggregate)
    assert (rule.mode, rule.when.subjects.users.in_, rule.when.metadata) == ("enforce", None, {})


def test_both_kinds_are_in_force(tmp_path: Path) -> None:
    """Rules in their order, manifests in that of their names."""
    rule = "  - {id: %s, when: {}, limit_to: 1, unit: parallel_requests}\n"
    tenant = TENANT + "limits: {tokens_per_day: 5}\n"
    texts = (tenant.replace("name: r", "name: b"), tenant.replace("name: r", "name: a"))
    last = "  - {id: z, when: {models: [lab/qwen]}, limit_to: 1, unit: tokens_per_day}\n"
    checked = check_text(tmp_path, RULES + last + rule % "a", *texts, ACCOUNT, CALLER, strict=True)
    config = accepted_config(checked)
    assert checked.problems == ()
    assert [rule.id for rule in config.rate_limits[0].rules] == ["z", "a"]
    assert [manifest.name for manifest in config.tenant_rate_limits] == ["a", "b"]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        pytest.param("unit: requests_per_week", "unit: expected one of: requests_per_minute", id="unit"),
        pytest.param("limit_to: -1", "limit_to: must be at least 0", id="below nothing"),
        pytest.param("limit_to: 1.5", "limit_to: expected a whole number", id="half a request"),
        pytest.param("limit_to: true", "limit_to: expected a whole number", id="a switch"),
        pytest.param("limit_to: 9999999999999999", "limit_to: must be at most", id="beyond counting"),
        pytest.param(
            "rate_limit_applies_per: [teams]",
            "rate_limit_applies_per.0: not something that is counted apart. "
            "Write user, virtualaccount, model or metadata.<key>",
            id="unknown",
        ),
        pytest.param(
            "rate_limit_applies_per: [team]",
            "rate_limit_applies_per.0: teams are not counted apart. "
            "Write a rule for each, with subjects: [team:<name>]",
            id="team",
        ),
        pytest.param(
            "rate_limit_applies_per: [metadata.]",
            "rate_limit_applies_per.0: not something that is counted apart",
            id="no key",
        ),
        pytest.param(
            "rate_limit_applies_per: [user, model, metadata.a]",
            "rate_limit_applies_per: more than 2 things are counted apart",
            id="three",
        ),
        pytest.param(
            "rate_limit_applies_per: [user, user]",
            "rate_limit_applies_per: the same is written twice",
            id="twice",
        ),
    ],
)
def test_rules_that_cannot_be(tmp_path: Path, rule: str, what: str) -> None:
    """Said where they are written."""
    written = {"id": "r", "when": "{}", "limit_to": "1", "unit": "requests_per_minute"}
    key, _, value = rule.partition(": ")
    written[key] = value
    text = RULES + "  - {" + ", ".join(f"{name}: {value}" for name, value in written.items()) + "}\n"
    [line] = findings(tmp_path, text)
    assert what in line


def test_what_must_be_written(tmp_path: Path) -> None:
    """A number without a unit says nothing."""
    lines = findings(tmp_path, RULES + "  - {id: r}\n")
    assert [line.partition(".")[2].partition(". ")[0] for line in lines] == [
        "0.when: the field is missing",
        "0.limit_to: the field is missing",
        "0.unit: the field is missing",
    ]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        pytest.param("limits: {}", "limits: no limit is written", id="none"),
        pytest.param("limits: {requests_per_minute: -1}", "must be at least 0", id="below nothing"),
        pytest.param("limits: {requests_per_week: 1, tokens_per_day: 1}", "unknown field", id="week"),
        pytest.param("limits: {tokens_per_day: 1}\nmode: soft_enforce", "mode: expected one of", id="mode"),
        pytest.param(
            "limits: {tokens_per_day: 1}\napplies_to: {type: per-team}", "applies_to", id="per team"
        ),
        pytest.param(
            "limits: {tokens_per_day: 1}\napplies_to: {type: metadata}", "applies_to.metadata", id="no key"
        ),
        pytest.param(
            "limits: {tokens_per_day: 1}\n"
            "applies_to: {type: per-user, overrides: [{users: [a], limits: {}}]}",
            "applies_to.overrides.0.limits: no limit is written",
            id="an override without a limit",
        ),
        pytest.param(
            "limits: {tokens_per_day: 1}\nlog_request_body_on_block: true",
            "log_request_body_on_block: not in force yet",
            id="bodies",
        ),
    ],
)
def test_manifests_that_cannot_be(tmp_path: Path, lines: str, what: str) -> None:
    """Said where they are written."""
    [line] = findings(tmp_path, TENANT + lines + "\n")
    assert what in line
