"""Budgets as manifests have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, accepted_config, check_text, found

RULES = "type: gateway-budget-config\nrules:\n"
TENANT = "type: tenant-budget-config\nname: b\n"
OF_TEAM = "type: team-budget-config\nname: b\nteam_name: ml\n"
REST = "applies_to: {type: aggregate}\nmode: enforce\n"


def findings(folder: Path, text: str) -> list[str]:
    return [line.split(" ", 2)[2] for line in found(check_text(folder, text, ACCOUNT, CALLER, TEAM))]


def test_all_kinds_are_in_force(tmp_path: Path) -> None:
    """One manifest of rules, and one for each newer budget."""
    rules = RULES + "  - {id: r, when: {}, limit_to: 0.5, unit: cost_per_day}\n"
    limits = "limits: {cost_per_day: 20, tokens_per_month: 5}\n"
    budgets = (TENANT + limits + REST, OF_TEAM + limits + REST)
    checked = check_text(tmp_path, rules, *budgets, ACCOUNT, CALLER, TEAM, strict=True)
    config = accepted_config(checked)
    assert checked.problems == ()
    [rule] = config.budgets[0].rules
    assert (rule.limit_to, rule.audit_mode, rule.budget_applies_per, rule.alerts) == (0.5, False, (), None)
    assert config.tenant_budgets[0].limits.model_dump(exclude_none=True) == {
        "cost_per_day": 20,
        "tokens_per_month": 5,
    }
    assert config.team_budgets[0].team_name == "ml"


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        pytest.param("unit: cost_per_hour", "unit: expected one of: cost_per_day", id="unit"),
        pytest.param("limit_to: -1", "limit_to: must be at least 0", id="below nothing"),
        pytest.param("limit_to: '5'", "limit_to: expected a number", id="text"),
        pytest.param("limit_to: 2000000000", "limit_to is more than 1000000000 USD", id="too dear"),
        pytest.param(
            "budget_applies_per: [user, model]",
            "budget_applies_per: more than one thing is counted apart",
            id="two",
        ),
        pytest.param("budget_applies_per: [key]", "budget_applies_per.0: not something that", id="unknown"),
        pytest.param("budget_applies_per: [team]", "budget_applies_per.0: teams are not", id="per team"),
    ],
)
def test_rules_that_cannot_be(tmp_path: Path, rule: str, what: str) -> None:
    """Said where they are written."""
    written = {"id": "r", "when": "{}", "limit_to": "1", "unit": "cost_per_day"}
    key, _, value = rule.partition(": ")
    written[key] = value
    text = RULES + "  - {" + ", ".join(f"{name}: {value}" for name, value in written.items()) + "}\n"
    [line] = findings(tmp_path, text)
    assert what in line


def test_tokens_are_whole(tmp_path: Path) -> None:
    """Half a USD can be spent, half a token cannot; and of tokens there may be more."""
    rule = "  - {id: r, when: {}, limit_to: %s, unit: tokens_per_day}\n"
    [line] = findings(tmp_path, RULES + rule % "0.5")
    assert line == "rules.0: limit_to is a part of a token. Write a whole number"
    assert findings(tmp_path, RULES + rule % "2000000000") == []


@pytest.mark.parametrize("kind", [TENANT, OF_TEAM], ids=["tenant", "team"])
@pytest.mark.parametrize(
    ("lines", "what"),
    [
        pytest.param("limits: {}", "limits: no limit is written", id="none"),
        pytest.param("limits: {cost_per_day: -1}", "must be at least 0", id="below nothing"),
        pytest.param("limits: {tokens_per_day: 1.5}", "expected a whole number", id="half a token"),
        pytest.param(
            "limits: {cost_per_day: 1}\nalerts: {notification_target: [{type: fax}]}",
            "alerts.notification_target.0",
            id="fax",
        ),
        pytest.param(
            "limits: {cost_per_day: 1}\nalerts: {thresholds: [101]}", "must be at most 100", id="above all"
        ),
    ],
)
def test_budgets_that_cannot_be(tmp_path: Path, kind: str, lines: str, what: str) -> None:
    """Said where they are written."""
    [line] = findings(tmp_path, f"{kind}{lines}\n{REST}")
    assert what in line


@pytest.mark.parametrize("kind", [TENANT, OF_TEAM], ids=["tenant", "team"])
@pytest.mark.parametrize("beside", ["tokens_per_lifetime", "cost_per_day", "tokens_per_month"])
def test_lifetimes_stand_beside_others(tmp_path: Path, kind: str, beside: str) -> None:
    """Of money and tokens, and of what begins anew: TrueFoundry takes any of its limits together."""
    assert findings(tmp_path, f"{kind}limits: {{cost_per_lifetime: 5, {beside}: 9}}\n{REST}") == []


def test_what_must_be_written(tmp_path: Path) -> None:
    """What is meant by a budget is not guessed, as TrueFoundry does not."""
    lines = findings(tmp_path, "type: team-budget-config\nname: b\n")
    assert {line.partition(":")[0] for line in lines} == {"limits", "applies_to", "mode", "team_name"}


def test_a_team_has_no_teams(tmp_path: Path) -> None:
    """A team's budget narrows by its members only."""
    text = OF_TEAM + "limits: {cost_per_day: 1}\nwhen: {subjects: {teams: {in: [ops]}}}\n" + REST
    [line] = findings(tmp_path, text)
    assert line.startswith("when.subjects.teams: unknown field")
