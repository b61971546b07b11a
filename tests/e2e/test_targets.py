"""Targets that fail are left alone by all workers at once, and operators can drain one: docs/routing.md."""

from __future__ import annotations

import signal
from typing import Any, Final

import pytest

from tests.rig.behaviours import forever, provider_error
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import (
    bearer,
    chat,
    chat_body,
    in_turn,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import request_bytes
from tests.rig.until import until

FIRST: Final = "fake/first"
SECOND: Final = "fake/second"
ROUTE: Final = "vm/chat"
LONG_MS: Final = 3_600_000
FAILURES: Final = 5
RECOVERY_S: Final = 60.0


def documents(upstream: FakeUpstream, *, cool_down_ms: int = LONG_MS, **more: Any) -> list[Document]:
    """A name with two targets, the first of which is asked as long as it may be."""
    return [
        openai_account("fake", upstream.base_url, ["first", "second"]),
        virtual_models("vm", {"chat": in_turn(FIRST, SECOND, **more)}),
        {
            "type": "gateway-global-settings",
            "routing_settings": {
                "circuit_breaker": {"cool_down_ms": cool_down_ms, "max_cool_down_ms": cool_down_ms}
            },
        },
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*", "vm/*"]),
    ]


def asked(upstream: FakeUpstream, model: str) -> int:
    """How many requests for *model* the provider has got."""
    return sum(exchange.model == model for exchange in upstream.exchanges)


def entry(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """What the API shows of a target."""
    targets: list[dict[str, Any]] = gateway.get("/api/targets")["targets"]
    return next(one for one in targets if one["target"] == name)


def open_first(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Call until the first target's circuit is open; each call is answered by the second."""
    upstream.play("first", *[provider_error(500)] * 100)
    for _ in range(FAILURES):
        reply = chat(gateway, ROUTE)
        assert (reply.status, reply.header("x-tfy-resolved-model")) == (200, SECOND)
    # On a busy machine a short cool-down may be over by now.
    assert entry(gateway, FIRST)["circuit"] in ("open", "half_open")


def answered_by(gateway: GatewayProcess) -> str | None:
    """Which target answers a call of the route; None while no worker is there."""
    try:
        return chat(gateway, ROUTE).header("x-tfy-resolved-model")
    except OSError:
        return None


def test_what_fails_is_left_alone_by_all_workers(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Five failures, whoever saw them; from the next call on no worker asks, a restarted one neither."""
    gateway = start_gateway(documents(upstream), workers=3)
    open_first(gateway, upstream)
    for _ in range(40):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == SECOND
    assert asked(upstream, "first") == FAILURES
    for pid in gateway.worker_pids():
        gateway.signal(signal.SIGKILL, pid)
    until(lambda: len(gateway.worker_pids()) == 3, "new workers", timeout_s=RECOVERY_S)
    until(lambda: answered_by(gateway) == SECOND, "one of them to answer", timeout_s=RECOVERY_S)
    gateway.stop()
    gateway.start()
    for _ in range(20):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == SECOND
    assert asked(upstream, "first") == FAILURES
    # Who asks for it by its own name is not kept from it.
    assert chat(gateway, FIRST).status == 500
    assert asked(upstream, "first") == FAILURES + 1
    shown = entry(gateway, FIRST)
    assert (shown["skip_reason"], shown["openings"]) == ("circuit", 1)
    gateway.stop()


def test_one_probe_closes_it_for_all_workers(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """After the cool-down one call finds that the target is well, and all ask it again."""
    gateway = start_gateway(documents(upstream, cool_down_ms=300), workers=3)
    open_first(gateway, upstream)
    upstream.forget()
    until(
        lambda: chat(gateway, ROUTE).header("x-tfy-resolved-model") == FIRST, "the first target to be asked"
    )
    for _ in range(20):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == FIRST
    assert entry(gateway, FIRST)["circuit"] == "closed"
    gateway.stop()


def test_a_worker_killed_while_it_probes(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """The next probe comes when its time is over, by another worker, and the target is asked again."""
    limits = {"first_token_ms": 1_000}
    gateway = start_gateway(documents(upstream, cool_down_ms=300, timeouts=limits), workers=1)
    open_first(gateway, upstream)
    upstream.forget()
    upstream.play("first", forever)
    until(lambda: entry(gateway, FIRST)["circuit"] == "half_open", "the cool-down to be over")
    (before,) = gateway.worker_pids()
    with gateway.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        connection.send(request_bytes("POST", "/v1/chat/completions", headers, chat_body(ROUTE)))
        until(lambda: asked(upstream, "first") == 1, "the probe to have begun")
        gateway.signal(signal.SIGKILL, before)
    until(lambda: gateway.worker_pids() not in ([], [before]), "a new worker", timeout_s=RECOVERY_S)
    until(lambda: answered_by(gateway) == FIRST, "the first target to be asked", timeout_s=RECOVERY_S)
    assert entry(gateway, FIRST)["circuit"] == "closed"
    gateway.stop()


@pytest.mark.long
def test_drained(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """No route asks it, on any worker, until it is undrained, restart included; its own name is answered."""
    gateway = start_gateway(documents(upstream), workers=3)
    assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == FIRST
    status, shown = gateway.control("POST", "/api/targets/drain", {"target": FIRST})
    assert (status, shown["is_drained"], shown["skip_reason"]) == (200, True, "drained")
    for _ in range(20):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == SECOND
    assert chat(gateway, FIRST).status == 200
    gateway.stop()
    gateway.start()
    for _ in range(20):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == SECOND
    _, text = gateway.control("GET", "/metrics")
    assert f'gateway_target_state{{gateway_target="{FIRST}",state="drained"}} 1' in text
    assert gateway.control("POST", "/api/targets/undrain", {"target": FIRST})[1]["is_drained"] is False
    for _ in range(20):
        assert chat(gateway, ROUTE).header("x-tfy-resolved-model") == FIRST
    assert gateway.log.count(f"target {FIRST} is drained: ") == 1
    assert gateway.log.count(f"target {FIRST} is drained no more") == 1
    gateway.stop()


def test_a_target_that_is_taken_out(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """It is not shown any more, neither in the answer nor in the metrics; the others go on."""
    gateway = start_gateway(documents(upstream), workers=1)
    assert chat(gateway, FIRST).status == chat(gateway, SECOND).status == 200
    assert [one["target"] for one in gateway.get("/api/targets")["targets"]] == [FIRST, SECOND]
    gateway.write_config(
        [
            openai_account("fake", upstream.base_url, ["second"]),
            virtual_account("app", ["env:APP_TOKEN"], ["fake/*"]),
        ]
    )
    until(
        lambda: [one["target"] for one in gateway.get("/api/targets")["targets"]] == [SECOND],
        "the change to be in force",
    )
    until(lambda: FIRST not in _target_lines(gateway), "the metrics of that moment")
    assert SECOND in _target_lines(gateway)
    assert gateway.control("POST", "/api/targets/drain", {"target": FIRST})[0] == 404
    gateway.stop()


def _target_lines(gateway: GatewayProcess) -> str:
    _, text = gateway.control("GET", "/metrics")
    return "\n".join(line for line in text.splitlines() if line.startswith("gateway_target_"))
