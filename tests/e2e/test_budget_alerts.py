"""Webhooks are told what budgets have spent, once: docs/limits.md."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limited_gateway import USD_OF_A_CALL, budget, paid_account
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, NARROW_TOKEN, chat, virtual_account
from tests.rig.until import until
from tests.rig.webhook import Webhook

SECRET = "canary-webhook"


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


def start(
    start_gateway: StartGateway, upstream: FakeUpstream, hook: Webhook, url: str = ""
) -> GatewayProcess:
    target = {"type": "slack-webhook", "notification_channel": "env:HOOK"}
    alerts = {"thresholds": [50, 75, 100], "notification_target": [target]}
    each = {"type": "per-virtual-account"}
    limits = {"cost_per_lifetime": 4 * USD_OF_A_CALL}
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        virtual_account("other", ["env:NARROW_TOKEN"], ["*"]),
        budget("team-spend", ["paid/m"], 0, limits=limits, applies_to=each, alerts=alerts),
    ]
    return start_gateway(documents, workers=4, environment={**ENVIRONMENT, "HOOK": url or hook.url})


def spend(gateway: GatewayProcess, calls: int, token: str = APP_TOKEN) -> None:
    for _ in range(calls):
        assert chat(gateway, "paid/m", token=token, max_tokens=USD_OF_A_CALL).status == 200


def reached_by(gateway: GatewayProcess, calls: int) -> list[Any]:
    """What the spans of the last *calls* say of thresholds, the earliest first."""

    def traces() -> list[dict[str, Any]]:
        _, listed = gateway.control("GET", f"/api/traces?limit={calls}")
        found: list[dict[str, Any]] = listed["traces"]
        return found if len(found) == calls else []

    told: list[Any] = []
    newest_first: list[dict[str, Any]] = until(traces, what="the traces")
    for trace in reversed(newest_first):
        _, whole = gateway.control("GET", f"/api/traces/{trace['trace_id']}")
        told.append(json.loads(whole["spans"][0]["attributes"].get("gateway.budget.reached", "[]")))
    return told


def test_the_call_that_reaches_it(start_gateway: StartGateway, upstream: FakeUpstream, hook: Webhook) -> None:
    """Its SERVER span says so, and no other's, whichever worker it came to."""
    gateway = start(start_gateway, upstream, hook)
    spend(gateway, 4)
    reached = [
        [{"rule": "team-spend", "limit": "cost_per_lifetime", "percent": percent}]
        for percent in (50.0, 75.0, 100.0)
    ]
    assert reached_by(gateway, 4) == [[], *reached]


@pytest.mark.long
def test_once_across_a_restart(start_gateway: StartGateway, upstream: FakeUpstream, hook: Webhook) -> None:
    """Each threshold is told when it is passed, and not again by a gateway that starts anew."""
    gateway = start(start_gateway, upstream, hook)
    spend(gateway, 2)
    until(lambda: hook.bodies, what="the first alert")
    (first,) = hook.texts
    assert first.startswith(
        'The budget "team-spend" of virtualaccount app has reached 50 %: '
        f"{2 * USD_OF_A_CALL} of {4 * USD_OF_A_CALL} USD (50.0 %) are used in all."
    )
    gateway.stop()
    gateway.launch()
    until(lambda: gateway.port, what="the gateway to be there again")
    for told in (2, 3):
        spend(gateway, 1)
        until(lambda told=told: len(hook.bodies) == told, what="another alert")  # type: ignore[misc]
    # What was sent a moment ago may be sent again by a process that did not note it.
    until(lambda: _alerts(gateway) == 2, what="it to be noted")
    gateway.signal(signal.SIGKILL, gateway.control_pid())
    assert chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL).status == 429
    spend(gateway, 2, token=NARROW_TOKEN)
    until(lambda: len(hook.bodies) >= 4, what="another's alert, of the new control process")
    gateway.stop()
    assert [text.split(":")[0] for text in hook.texts] == [
        'The budget "team-spend" of virtualaccount app has reached 50 %',
        'The budget "team-spend" of virtualaccount app has reached 75 %',
        'The budget "team-spend" of virtualaccount app has reached 100 %',
        'The budget "team-spend" of virtualaccount other has reached 50 %',
    ]
    assert SECRET not in gateway.log


@pytest.mark.long
def test_a_webhook_that_fails(start_gateway: StartGateway, upstream: FakeUpstream, hook: Webhook) -> None:
    """It is asked again until it takes the alert, the log says so once, and calls wait for nothing."""
    hook.statuses = [500, 302]
    gateway = start(start_gateway, upstream, hook)
    spend(gateway, 2)
    until(lambda: hook.bodies, timeout_s=60, what="the alert to be taken")
    assert (hook.asked, len(hook.bodies)) == (3, 1)
    assert gateway.log.count("is not taken by the webhook env:HOOK: it answered with status 500") == 1
    until(lambda: _alerts(gateway) == 1, what="it to be counted")
    assert 'gateway_budget_alerts_total{outcome="failed"} 2' in _metrics(gateway)
    assert SECRET not in gateway.log


@pytest.mark.long
def test_plain_http_to_elsewhere(start_gateway: StartGateway, upstream: FakeUpstream, hook: Webhook) -> None:
    """Is not done: a budget's figures and the URL would be read on the way."""
    gateway = start(start_gateway, upstream, hook, url=f"http://192.0.2.1/{SECRET}")
    spend(gateway, 2)
    until(lambda: "it is not https" in gateway.log, what="the log to say so")
    assert SECRET not in gateway.log


def _metrics(gateway: GatewayProcess) -> str:
    status, text = gateway.control("GET", "/metrics")
    assert status == 200
    return str(text)


def _alerts(gateway: GatewayProcess) -> int | None:
    """How many were sent, None while control is not there."""
    try:
        text = _metrics(gateway)
    except OSError:
        return None
    found = [
        line for line in text.splitlines() if line.startswith('gateway_budget_alerts_total{outcome="sent"}')
    ]
    return int(float(found[0].split()[-1])) if found else 0
