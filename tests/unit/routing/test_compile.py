"""From manifests to routes."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from gateway.config import SecretSource
from gateway.config.manifests import global_settings
from gateway.config.manifests.global_settings import (
    CircuitBreakerSettings,
    RetrySettings,
    RoutingSettings,
    TimeoutSettings,
)
from gateway.config.manifests.load_balancing import FALLBACK_STATUS_CODES, TargetTimeouts
from gateway.model import FallbackPolicy, KeepAlive, RetryBounds, RetryPolicy, Target, TimeLimits
from gateway.routing.circuit import CircuitRules
from gateway.routing.compile import (
    Routes,
    circuit_rules,
    compile_routes,
    keep_alive,
    retry_policy,
    time_limits,
)
from gateway.routing.route import Route, SlaCutoff
from gateway.routing.runtime import Runtime
from tests.unit.config.writing import CALLER, accepted_config, check_text
from tests.unit.makers import make_caller, make_facts, make_target

MAIN: Final = """\
type: provider-account/openai
name: main
integrations: [{name: small, model_id: a}, {name: large, model_id: b}]
"""
TARGETS: Final = {
    name: make_target(name, context_window=window)
    for name, window in (("main/small", 100), ("main/large", 50))
}
CALLERS: Final = CALLER.replace("lab/*", "*")


def routes_of(
    folder: Path, *texts: str, environ: dict[str, str] | None = None, targets: dict[str, Target] = TARGETS
) -> Routes:
    """The routes of these manifests, beside an account with two models."""
    secrets = SecretSource(environ or {})
    config = accepted_config(check_text(folder, MAIN, CALLERS, *texts, environ=environ))
    return compile_routes(config, targets, Runtime(random=Random(7)), secrets.resolve)


def virtual(routing: dict[str, Any], **more: Any) -> str:
    """A group with this virtual model."""
    model = {"name": "chat", "routing_config": routing, **more}
    return (
        json.dumps({"type": "provider-account/virtual-model", "name": "vm", "integrations": [model]}) + "\n"
    )


def weighted(*targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    """By weight, 1 each where no other is said."""
    written = [{"weight": 1, **target} for target in targets]
    return {"type": "weight-based-routing", "load_balance_targets": written, **more}


def only_target(folder: Path, environ: dict[str, str] | None = None, **fields: Any) -> Target:
    """The target of a virtual model that has one, with these fields."""
    routing = weighted({"target": "main/small", **fields})
    (candidate,) = routes_of(folder, virtual(routing), environ=environ).by_name["vm/chat"].candidates
    return candidate.target


def test_names(tmp_path: Path) -> None:
    """One route by all its names; listed by the first, with what every target can take."""
    routing = weighted({"target": "main/small"}, {"target": "main/large"})
    routes = routes_of(
        tmp_path, virtual(routing, slug="chat", alias=["main/old"], model_types=["chat", "embedding"])
    )
    assert set(routes.by_name) == {"vm/chat", "chat", "main/old"}
    assert len(set(routes.by_name.values())) == 1
    assert routes.by_name["chat"].name == "vm/chat"
    (model,) = routes.models
    assert (model.name, model.account, model.other_names) == ("vm/chat", "vm", ("chat", "main/old"))
    assert model.model_types == {"chat", "embedding"}
    assert model.context_window == 50
    assert routes.rules is None


def test_a_window_that_is_not_known_of_all_is_not_told(tmp_path: Path) -> None:
    """A call that one target takes and another refuses has no window."""
    routing = weighted({"target": "main/small"}, {"target": "main/large"})
    targets = {**TARGETS, "main/large": make_target("main/large")}
    assert routes_of(tmp_path, virtual(routing), targets=targets).models[0].context_window is None


def test_what_a_target_has_where_nothing_is_written(tmp_path: Path) -> None:
    """It is the account's, with the retries, fallbacks and limits of all routes."""
    target = only_target(tmp_path)
    assert target.name == "main/small"
    assert target.retry == RetryPolicy(2, 100, frozenset({429, 500, 502, 503}))
    assert target.fallback == FallbackPolicy(frozenset(FALLBACK_STATUS_CODES), is_candidate=True)
    assert target.limits == TimeLimits()
    assert target.parameters == {}
    assert target.lines is TARGETS["main/small"].lines


def test_overloaded_anthropic_counts_as_unavailable(tmp_path: Path) -> None:
    """It is tried again where a 503 is, as when it is named itself; whoever asks no 503 again asks no 529."""
    targets = {**TARGETS, "main/small": make_target("main/small", dialect="anthropic")}
    for statuses, expected in ((["500", "503"], {500, 503, 529}), (["500"], {500})):
        routing = weighted(
            {"target": "main/small", "retry_config": {"attempts": 1, "on_status_codes": statuses}}
        )
        (candidate,) = routes_of(tmp_path, virtual(routing), targets=targets).by_name["vm/chat"].candidates
        assert candidate.target.retry.on_status == expected


def test_what_a_route_overrides(tmp_path: Path) -> None:
    """Each is put into the target, and the account's own stays as it is."""
    target = only_target(
        tmp_path,
        retry_config={"attempts": 1, "delay": 5, "on_status_codes": ["503"]},
        fallback_status_codes=["500"],
        fallback_candidate=False,
        override_params={"temperature": 0.5, "stop": ["a"], "user": None},
        timeouts={"first_token_ms": 1500, "request_ms": 20_000},
    )
    assert target.retry == RetryPolicy(1, 5, frozenset({503}))
    assert target.fallback == FallbackPolicy(frozenset({500}), is_candidate=False)
    assert target.parameters == {"temperature": b"0.5", "stop": b'["a"]', "user": b"null"}
    assert target.limits == TimeLimits(first_token_s=1.5, whole_s=20.0)
    assert TARGETS["main/small"].parameters == {}


def test_settings_hold_for_every_target(tmp_path: Path) -> None:
    """What the target does not say itself."""
    settings = json.dumps(
        {
            "type": "gateway-global-settings",
            "routing_settings": {
                "retry_budget": {"ratio": 0.1, "min_per_second": 2},
                "max_retry_after_ms": 0,
            },
            "timeout_settings": {"gap_ms": 9000, "connect_ms": 500},
        }
    )
    routing = weighted({"target": "main/small", "timeouts": {"connect_ms": 50}})
    routes = routes_of(tmp_path, virtual(routing), settings + "\n")
    (candidate,) = routes.by_name["vm/chat"].candidates
    assert candidate.target.limits == TimeLimits(connect_s=0.05, gap_s=9.0)
    assert candidate.target.retry.bounds == RetryBounds(0.1, 2, 0.0)


def test_headers(tmp_path: Path) -> None:
    """Set and removed, the values looked up."""
    override = {"set": {"X-Key": "env:OWN", "x-team": "ml"}, "remove": ["Authorization"]}
    target = only_target(tmp_path, environ={"OWN": "own-key"}, headers_override=override)
    assert target.headers == (("x-key", "own-key"), ("x-team", "ml"))
    assert b"x-key: own-key\r\nx-team: ml\r\n" in target.lines.whole
    assert not target.missing_secret


@pytest.mark.parametrize(
    ("value", "reason"), [("env:OWN", "OWN is not set"), ("file:own", "cannot carry")], ids=["missing", "odd"]
)
def test_headers_that_cannot_be_sent(tmp_path: Path, value: str, reason: str) -> None:
    """The target is not available, and the account goes on."""
    (tmp_path / "own").write_text("grün\u2028")
    target = only_target(tmp_path, headers_override={"set": {"x-key": value}})
    assert reason in target.missing_secret


def test_files_lie_beside_their_manifest(tmp_path: Path) -> None:
    """As for accounts."""
    (tmp_path / "own").write_text("from-file\n")
    target = only_target(tmp_path, headers_override={"set": {"x-key": "file:own"}})
    assert ("x-key", "from-file") in target.headers


def test_candidates_of_each_strategy(tmp_path: Path) -> None:
    """What each strategy goes by."""
    small, large = {"target": "main/small"}, {"target": "main/large", "metadata_match": {"env": "prod"}}
    by_weight = weighted({**small, "weight": 3}, large)
    route = routes_of(tmp_path, virtual(by_weight)).by_name["vm/chat"]
    assert [(one.weight, dict(one.metadata)) for one in route.candidates] == [(3, {}), (1, {"env": "prod"})]
    cutoff = {"time_to_first_token_ms": 100, "time_per_output_token_ms": 9}
    by_priority = {
        "type": "priority-based-routing",
        "load_balance_targets": [{**small, "priority": 4}, {**large, "sla_cutoff": cutoff}],
    }
    route = routes_of(tmp_path, virtual(by_priority)).by_name["vm/chat"]
    assert [(one.priority, one.sla) for one in route.candidates] == [(4, None), (0, SlaCutoff(100, 9))]
    by_latency = {"type": "latency-based-routing", "load_balance_targets": [small, large]}
    route = routes_of(tmp_path, virtual(by_latency)).by_name["vm/chat"]
    assert [one.target.name for one in route.candidates] == ["main/small", "main/large"]


def firsts(route: Route, calls: int) -> dict[str, int]:
    """How often each target is the first of a plan."""
    facts = make_facts(make_caller())
    return collections.Counter(route.plan(facts).targets[0].name for _ in range(calls))


def test_plans(tmp_path: Path) -> None:
    """By the weights of the manifest, with what planning is asked for."""
    routing = weighted({"target": "main/small", "weight": 9}, {"target": "main/large", "weight": 1})
    route = routes_of(tmp_path, virtual(routing)).by_name["vm/chat"]
    found = firsts(route, 1000)
    assert set(found) == {"main/small", "main/large"}
    assert 850 < found["main/small"] < 950
    plan = route.plan(make_facts(make_caller()))
    assert plan.route is not None
    assert (plan.route.name, plan.route.strategy) == ("vm/chat", "weight-based-routing")
    assert plan.hedge_after_s is None


def test_sessions(tmp_path: Path) -> None:
    """What makes calls sessions is the manifest's."""
    sticky = {"ttl_seconds": 60, "session_identifiers": [{"source": "headers", "key": "X-User"}]}
    routing = weighted({"target": "main/small"}, {"target": "main/large"}, sticky_routing=sticky)
    route = routes_of(tmp_path, virtual(routing)).by_name["vm/chat"]
    plans = [route.plan(make_facts(make_caller(), headers={"x-user": "u"})) for _ in range(20)]
    assert len({plan.targets[0].name for plan in plans}) == 1
    assert plans[0].session is not None
    assert plans[0].session.keep_s == 60
    assert route.plan(make_facts(make_caller())).session is None


def test_targets_that_are_not_in_force_are_left_out(tmp_path: Path) -> None:
    """And a virtual model without any is no name at all."""
    voices = "type: provider-account/elevenlabs\nname: voices\nintegrations: [{name: v1}]\n"
    one = weighted({"target": "voices/v1"}, {"target": "main/small"})
    route = routes_of(tmp_path, virtual(one), voices).by_name["vm/chat"]
    assert [candidate.target.name for candidate in route.candidates] == ["main/small"]
    none = routes_of(tmp_path, virtual(weighted({"target": "voices/v1"})), voices)
    assert (dict(none.by_name), none.models) == ({}, ())


def test_rules(tmp_path: Path) -> None:
    """Each is a route of its own, with what decides whether it is meant."""
    rules = {
        "type": "gateway-load-balancing-config",
        "rules": [
            {"id": "a", "when": {"models": ["main/small"], "metadata": {"env": "dev"}},
             **weighted({"target": "main/large"})},
            {"id": "b", "when": {"subjects": ["virtualaccount:app"]}, **weighted({"target": "main/small"})},
        ],
    }  # fmt: skip
    routes = routes_of(tmp_path, json.dumps(rules) + "\n")
    assert routes.rules is not None
    dev = make_facts(make_caller(), metadata={"env": "dev"})
    found = [
        routes.rules.find("main/small", dev),
        routes.rules.find("main/small", make_facts(make_caller())),
        routes.rules.find("main/small", make_facts(make_caller(name="other"))),
    ]
    assert [route and route.name for route in found] == ["a", "b", None]
    assert routes.models == ()


def test_every_target_of_every_route_is_known(tmp_path: Path) -> None:
    """Once for each route, whatever names it has: their own credentials are kept off spans."""
    own = {"target": "main/small", "headers_override": {"set": {"x-key": "env:OWN"}}}
    rules = {
        "type": "gateway-load-balancing-config",
        "rules": [{"id": "a", "when": {}, **weighted({"target": "main/large"})}],
    }
    routes = routes_of(
        tmp_path, virtual(weighted(own), slug="chat"), json.dumps(rules) + "\n", environ={"OWN": "own-key"}
    )
    found = [(target.name, dict(target.headers).get("x-key")) for target in routes.targets()]
    assert found == [("main/small", "own-key"), ("main/large", None)]


def test_settings_in_seconds() -> None:
    """Operators write milliseconds."""
    assert time_limits(TimeoutSettings()) == TimeLimits()
    own = TargetTimeouts(request_ms=500)
    assert time_limits(TimeoutSettings(connect_ms=1), own) == TimeLimits(connect_s=0.001, whole_s=0.5)
    assert circuit_rules(CircuitBreakerSettings()) == CircuitRules()
    assert circuit_rules(CircuitBreakerSettings(window_ms=2000, cool_down_ms=10)) == CircuitRules(
        window_s=2.0, cool_down_s=0.01
    )
    assert retry_policy(RetrySettings(attempts=3), RoutingSettings()).bounds == RetryBounds()
    assert keep_alive(None) is None
    assert keep_alive(global_settings.KeepAliveSettings(before_content=True)) == KeepAlive(
        15.0, is_before_content=True
    )
