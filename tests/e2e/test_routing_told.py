"""What a call of a name with several targets tells: its caller, its trace, the list of traces, metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.test_metrics import total
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    chat,
    in_turn,
    openai_account,
    trace_id_of,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import Reply
from tests.rig.until import until

ROUTED: Final = "ai_gateway_load_balanced_requests_total"
FAILS_THEN_ANSWERS: Final = ("fake/error-500", "fake/normal")
ROUTES: Final = {
    "chat": in_turn(*FAILS_THEN_ANSWERS),
    "none": in_turn("fake/html-502", "fake/error-500"),
    "early": in_turn("fake/error-first", "fake/normal"),
    "counted": in_turn(*FAILS_THEN_ANSWERS),
}


def documents(upstream_url: str) -> list[Document]:
    return [
        # So often no test has a target fail: each call is to ask both.
        {
            "type": "gateway-global-settings",
            "routing_settings": {"circuit_breaker": {"failures": 1000}},
        },
        openai_account("fake", upstream_url, ["normal", "error-400", "error-500", "html-502", "error-first"]),
        virtual_models("vm", ROUTES, {"chat": {"slug": "best"}, "counted": {"slug": "summed"}}),
        {
            "type": "gateway-load-balancing-config",
            "rules": [
                {
                    "id": "spare-400",
                    "when": {"models": ["fake/error-400"], "metadata": {"team": "search"}},
                    **in_turn("fake/normal"),
                }
            ],
        },
        virtual_account("app", ["env:APP_TOKEN"], ["vm/*", "best", "summed", "fake/error-400"]),
    ]


@pytest.fixture(scope="module")
def routed(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("routed")
    with GatewayProcess(
        folder, documents(upstream_server.base_url), workers=1, environment=ENVIRONMENT
    ) as process:
        yield process


def applied(reply: Reply) -> dict[str, Any]:
    """What the answer's header says of its route."""
    found: dict[str, Any] = json.loads(reply.header("x-tfy-applied-configurations") or "{}")["routing"]
    return found


def stages(reply: Reply) -> list[str]:
    return [part.partition(";")[0] for part in (reply.header("server-timing") or "").split(", ")]


@pytest.mark.parametrize("name", ["vm/chat", "best"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fallback_is_told(routed: GatewayProcess, name: str, *, stream: bool) -> None:
    """By the name that was asked, a span for each attempt, the model that answered; the caller knows too."""
    reply = chat(routed, name, stream=stream)
    assert (reply.status, reply.header("x-tfy-resolved-model")) == (200, "fake/normal")
    assert applied(reply) == {
        "name": "vm/chat",
        "type": "priority-based-routing",
        "candidates": list(FAILS_THEN_ANSWERS),
        "order": list(FAILS_THEN_ANSWERS),
        "skipped": [],
        "attempts": 2,
    }
    assert stages(reply) == ["auth", "route", "limit", "upstream", "overhead", "total", "attempts"]
    server, *clients = routed.trace(trace_id_of(reply))["spans"]
    expected = {
        "gateway.model.asked": name,
        "gateway.model.resolved": "fake/normal",
        "gateway.routing.route": "vm/chat",
        "gateway.routing.strategy": "priority-based-routing",
        "gateway.routing.candidates": list(FAILS_THEN_ANSWERS),
        "gateway.routing.skipped": "[]",
        "gateway.attempts": 2,
    }
    assert {key: server["attributes"].get(key) for key in expected} == expected
    assert [span["attributes"]["gateway.target"] for span in clients] == list(FAILS_THEN_ANSWERS)
    assert [span["status"]["code"] for span in (server, *clients)] == ["UNSET", "ERROR", "UNSET"]
    row = routed.row(trace_id_of(reply))
    assert (row["model"], row["resolved_model"], row["attempts"], row["status"]) == (
        *(name, "fake/normal", 2, "ok"),
    )


def test_all_fail(routed: GatewayProcess) -> None:
    """The caller gets the last failure, and hears of the others."""
    reply = chat(routed, "vm/none")
    assert reply.status == 500
    assert applied(reply)["attempts"] == 2
    server, first, second = routed.trace(trace_id_of(reply))["spans"]
    assert [span["attributes"]["error.type"] for span in (server, first, second)] == [
        *("500", "upstream_bad_reply", "500"),
    ]
    assert routed.row(trace_id_of(reply))["error_type"] == "500"


def test_error_before_content_is_told(routed: GatewayProcess) -> None:
    """A stream that began with an error is a failed attempt, and nothing of it is in the answer."""
    reply = chat(routed, "vm/early", stream=True)
    assert reply.status == 200
    _, first, second = routed.trace(trace_id_of(reply))["spans"]
    assert (first["status"]["code"], second["status"]["code"]) == ("ERROR", "UNSET")


def test_rule_is_told(routed: GatewayProcess) -> None:
    """A rule that takes some calls of a model is named by its id; other calls have no route."""
    reply = chat(routed, "fake/error-400", headers=[("x-tfy-metadata", '{"team":"search"}')])
    assert reply.status == 200
    assert (applied(reply)["name"], applied(reply)["rule_id"]) == ("spare-400", "spare-400")
    server = routed.trace(trace_id_of(reply))["spans"][0]["attributes"]
    assert (server["gateway.model.asked"], server["gateway.routing.route"]) == (
        *("fake/error-400", "spare-400"),
    )
    plain = chat(routed, "fake/error-400")
    assert (plain.status, plain.header("x-tfy-applied-configurations")) == (400, None)
    server = routed.trace(trace_id_of(plain))["spans"][0]["attributes"]
    assert server["gateway.routing.candidates"] == ["fake/error-400"]
    assert "gateway.routing.route" not in server


def test_routes_are_counted(routed: GatewayProcess) -> None:
    """By TrueFoundry's name and label."""

    def count() -> float:
        # A name of its own: metrics come once a second, so those of an earlier test's calls may come now.
        return total(routed, ROUTED, ruleId="vm/counted", model_name="fake/normal", username="app")

    for name in ("vm/counted", "summed"):
        assert chat(routed, name, token=APP_TOKEN).status == 200
    until(lambda: count() == 2, "both calls are counted")
