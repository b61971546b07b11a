"""Who is told that a budget is nearly spent, and in which words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from gateway.config import SecretReference
from gateway.limits.alerts import Channel, Watch, body_of, key_of, passed, text_of, watched, watches_of
from gateway.limits.compile import compile_limits
from gateway.limits.readings import Reading
from gateway.limits.rules import MICRO_USD, Rule, meters
from tests.unit.control.limit_desk import budget, config_of
from tests.unit.limits.limits import budget_of, limit_of

HOOK = Channel("slack-webhook", SecretReference("env:HOOK"), Path())


def reading_of(rule: Rule, used: float, entity: tuple[str, ...] = (), begin_s: float | None = 0) -> Reading:
    meter = next(meters(rule, entity, is_enforced=True))
    return Reading(meter, round(used * MICRO_USD), 0, begin_s, None, None)


def alerts(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"alerts": {"notification_target": list(targets), **more}}


def hook(channel: str = "env:HOOK", kind: str = "slack-webhook") -> dict[str, str]:
    return {"type": kind, "notification_channel": channel}


def test_watches_of_every_kind_of_budget() -> None:
    """Their thresholds in order, each once; those that tell nobody are not watched."""
    mail = {"type": "email", "notification_channel": "t:smtp:x:y:z", "to_emails": ["a@x.io"]}
    rule = {
        "id": "v1",
        "when": {},
        "limit_to": 1,
        "unit": "cost_per_day",
        **alerts(hook(kind="ms-teams-webhook")),
    }
    config = config_of(
        budget("two", {"cost_per_day": 1.0}, **alerts(hook(), hook(), thresholds=[90, 50, 90])),
        budget("mail", {"cost_per_day": 1.0}, **alerts(mail, hook("t:slack:a:notification-channel:b"))),
        budget("none", {"cost_per_day": 1.0}, **alerts()),
        budget("silent", {"cost_per_day": 1.0}, **alerts(hook(), thresholds=[])),
        {
            **budget("of-team", {"cost_per_day": 1.0}, **alerts(hook())),
            "type": "team-budget-config",
            "team_name": "ml",
        },
        {"type": "gateway-budget-config", "name": "b", "rules": [rule]},
    )
    watches = watches_of(config)
    assert {
        key: (watch.thresholds, [one.kind for one in watch.channels]) for key, watch in watches.items()
    } == {
        ("gateway-budget-config", "v1"): ((75.0, 90.0, 95.0, 100.0), ["ms-teams-webhook"]),
        ("tenant-budget-config", "two"): ((50.0, 90.0), ["slack-webhook"]),
        ("team-budget-config", "of-team"): ((75.0, 90.0, 95.0, 100.0), ["slack-webhook"]),
    }
    found = watched(compile_limits(config).every(), watches)
    assert sorted(rule.id for rule in found) == ["of-team", "two", "v1"]


@pytest.mark.parametrize(
    ("used", "expected"), [(0, ()), (7.4, ()), (7.5, (75.0,)), (9.6, (75.0, 95.0)), (30, (75.0, 95.0))]
)
def test_thresholds_that_are_passed(used: float, expected: tuple[float, ...]) -> None:
    """From exactly that share on."""
    assert passed(reading_of(budget_of(10), used), Watch((75.0, 95.0), (HOOK,))) == expected


def test_what_an_alert_is_remembered_by() -> None:
    """Another threshold, entity, window, limit or channel is another alert; what is used is not of it."""
    rule = budget_of(10, per=("user",))
    first = key_of(reading_of(rule, 8, ("a",)), 75.0, HOOK)
    assert key_of(reading_of(rule, 9, ("a",)), 75.0, HOOK) == first
    others = {
        key_of(reading_of(rule, 8, ("a",)), 90.0, HOOK),
        key_of(reading_of(rule, 8, ("b",)), 75.0, HOOK),
        key_of(reading_of(rule, 8, ("a",), 60.0), 75.0, HOOK),
        key_of(reading_of(budget_of(20, per=("user",)), 8, ("a",)), 75.0, HOOK),
        key_of(
            reading_of(rule, 8, ("a",)), 75.0, dataclasses.replace(HOOK, url=SecretReference("env:OTHER"))
        ),
        key_of(reading_of(rule, 8, ("a",)), 75.0, dataclasses.replace(HOOK, kind="ms-teams-webhook")),
    }
    assert len(others | {first}) == 7


def test_what_people_are_told() -> None:
    """Which budget, of whom, how much of what, in which window, and what happens next."""
    each = budget_of(10, per=("metadata.team",), id="teams")
    start, end = "2026-01-01T00:00:00.000000Z", "2026-02-01T00:00:00.000000Z"
    assert text_of(reading_of(each, 8, ("maps",)), (50.0, 75.0), start, end) == (
        'The budget "teams" of metadata.team maps has reached 50, 75 %: 8 of 10 USD (80.0 %) are used '
        "from 2026-01-01 until 2026-02-01 (UTC). Calls are refused once it is used up."
    )
    assert "of metadata.team (none) has" in text_of(reading_of(each, 8, ("",)), (75.0,), None, None)
    spent = text_of(reading_of(budget_of(10), 10), (100.0,), None, None)
    assert spent.endswith("10 of 10 USD (100.0 %) are used in all. Calls beyond it are refused.")
    assert text_of(reading_of(budget_of(10, mode="audit"), 10), (100.0,), None, None).endswith(
        "It only watches."
    )
    soft = budget_of(10, mode="soft_enforce")
    for used, when in ((10, "Calls beyond it are refused"), (8, "Calls are refused once it is used up")):
        told = text_of(reading_of(soft, used), (75.0,), None, None)
        assert told.endswith(f"{when} unless another budget has room.")
    tokens = dataclasses.replace(limit_of("tokens", 10 * MICRO_USD), is_budget=True)
    assert "8000000 of 10000000 tokens" in text_of(reading_of(tokens, 8), (75.0,), None, None)


def test_names_are_no_markup() -> None:
    """A caller writes metadata: no mention of a channel, no link."""
    assert body_of("slack-webhook", "a <!channel> & b") == {"text": "a &lt;!channel&gt; &amp; b"}
    card = body_of("ms-teams-webhook", "a [x](https://evil.test)")
    assert card["attachments"][0]["content"]["body"][0]["text"] == "a (x](https://evil.test)"
