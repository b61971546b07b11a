"""From manifests to what a request uses."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config, SecretSource, check
from gateway.egress import OPEN, EgressRules, read_places
from gateway.errors import InvalidApiKey, NoTargetAvailable, SecretMissingError
from gateway.model import Caller, KeepAlive, RetryPolicy, Usage
from gateway.routing.circuit import CircuitRules
from gateway.routing.runtime import Runtime
from gateway.snapshot import Snapshot, compile_snapshot, missing_secrets
from gateway.tls_files import TlsFiles
from tests.unit.doubles import FakeHeaders, FakeHealth
from tests.unit.makers import make_caller, make_facts


def openai_account(name: str = "main", *models: str, key: str = "env:KEY") -> dict[str, Any]:
    return {
        "type": "provider-account/openai",
        "name": name,
        "auth_data": {"type": "api-key", "api_key": key},
        "integrations": [
            {"name": model, "model_id": model, "type": "integration/model/openai", "model_types": ["chat"]}
            for model in models or ("small", "large")
        ],
    }


LAB: dict[str, Any] = {
    "type": "provider-account/self-hosted-model",
    "name": "lab",
    "integrations": [
        {
            "name": "qwen",
            "type": "integration/model/self-hosted-model",
            "hosted_model_name": "qwen2",
            "url": "http://localhost:8000/v1",
            "model_server": "openai-compatible",
            "model_types": ["chat"],
        }
    ],
}


def virtual_account(tokens: Sequence[str] = ("env:TOKEN",), **more: Any) -> dict[str, Any]:
    return {"type": "virtual-account", "name": "app", "tokens": list(tokens), **more}


def read(folder: Path, *manifests: dict[str, Any], **environ: str) -> tuple[Config, SecretSource]:
    (folder / "m.json").write_text(json.dumps(manifests[0]))
    for number, manifest in enumerate(manifests[1:]):
        (folder / f"m{number}.json").write_text(json.dumps(manifest))
    secrets = SecretSource(environ)
    checked = check.check(folder, strict=False, secrets=secrets)
    assert checked.config is not None, [str(problem) for problem in checked.errors]
    return checked.config, secrets


def compiled(folder: Path, *manifests: dict[str, Any], is_loopback: bool = False, **environ: str) -> Snapshot:
    config, secrets = read(folder, *manifests, **{"KEY": "sk-1", "TOKEN": "t-1", **environ})
    return compile_snapshot(config, secrets, version=config.version, is_loopback=is_loopback)


def signed_in(snapshot: Snapshot, token: str = "t-1") -> Caller:
    return snapshot.identity.identify(FakeHeaders([("x-tfy-api-key", token)]))


def models_of(snapshot: Snapshot, token: str = "t-1") -> set[str]:
    return set(signed_in(snapshot, token).models)


def test_given_metadata(tmp_path: Path) -> None:
    """Worked out with the callers: tags over rules, over the environment's."""
    rule = {"id": "r", "when": {"subjects": ["virtualaccount:a*"]}}
    rules = {
        "type": "gateway-metadata-config",
        "rules": [{**rule, "metadata_override": {"team": "rule", "cost_center": "42"}}],
    }
    app = virtual_account(models=["*"], tags={"team": "ml"})
    other = {**virtual_account(["env:OTHER"], models=["*"]), "name": "other"}
    default = '{"region":"eu","cost_center":"0"}'
    manifests = (openai_account(), app, other, rules)
    snapshot = compiled(tmp_path, *manifests, DEFAULT_GATEWAY_METADATA=default, OTHER="t-2")
    tags = [signed_in(snapshot, token).tags for token in ("t-1", "t-2")]
    assert tags == [
        {"region": "eu", "cost_center": "42", "team": "ml"},
        {"region": "eu", "cost_center": "0"},
    ]


def test_prices_and_context_windows(tmp_path: Path) -> None:
    """Worked out with the targets, and shown in the list of models, which is made once for a caller."""
    account = openai_account("main", "gpt-4o", "unheard-of")
    account["discount_percent"] = 50
    snapshot = compiled(tmp_path, account, LAB, virtual_account(models=["*"]))
    caller = signed_in(snapshot)
    target = snapshot.routing.plan("main/gpt-4o", make_facts(caller)).targets[0]
    assert target.price is not None
    assert target.price.cost_usd(Usage(1000, 100, "provider")) == (1000 * 1.25 + 100 * 5) / 1_000_000
    listed = {model["id"]: model for model in json.loads(snapshot.models_of(caller))["data"]}
    assert listed["main/gpt-4o"]["price"]["input"] == 1.25
    assert listed["main/gpt-4o"]["context_window"] == 128_000
    assert {"price", "context_window"} & (
        listed["main/unheard-of"].keys() | listed["lab/qwen"].keys()
    ) == set()
    assert snapshot.models_of(caller) is snapshot.models_of(caller)


@pytest.mark.parametrize(
    ("grants", "models"),
    [
        pytest.param({}, set(), id="none"),
        pytest.param({"models": ["main/*"]}, {"main/small", "main/large"}, id="an account"),
        pytest.param({"models": ["*"]}, {"main/small", "main/large", "lab/qwen"}, id="all"),
        pytest.param({"models": ["*/s?all", "lab/[pq]*"]}, {"main/small", "lab/qwen"}, id="patterns"),
        pytest.param({"models": ["MAIN/*"]}, set(), id="case matters"),
        pytest.param(
            {"permissions": [{"resource_fqn": "acme:openai:main", "resource_type": "provider-account",
                              "role_id": "provider-account-access"}]},
            {"main/small", "main/large"},
            id="permission for an account",
        ),
        pytest.param(
            {"permissions": [{"resource_fqn": "acme:openai:main:model:small",
                              "resource_type": "provider-account", "role_id": "provider-account-access"}]},
            {"main/small"},
            id="permission for a model",
        ),
        pytest.param(
            {"permissions": [{"resource_fqn": "acme:self-hosted-model:main",
                              "resource_type": "provider-account", "role_id": "provider-account-access"}]},
            set(),
            id="permission for an account of another provider",
        ),
        pytest.param(
            {"models": ["main/small"],
             "permissions": [{"resource_fqn": "x:self-hosted-model:lab",
                              "resource_type": "provider-account", "role_id": "provider-account-manager"}]},
            {"main/small", "lab/qwen"},
            id="both, united",
        ),
    ],
)  # fmt: skip
def test_who_may_use_what(tmp_path: Path, grants: dict[str, Any], models: set[str]) -> None:
    """Patterns and permissions are resolved to names of models that exist, once."""
    assert models_of(compiled(tmp_path, openai_account(), LAB, virtual_account(**grants))) == models


def test_tokens_of_every_kind(tmp_path: Path) -> None:
    """A token may stand in the environment, in a file, or as its hash; one that is missing is left out."""
    (tmp_path / "token").write_text("t-file\n")
    hashed = "sha256:" + hashlib.sha256(b"t-hashed").hexdigest()
    account = virtual_account(["env:TOKEN", "file:token", hashed, "env:NOT_SET"], models=["*"])
    snapshot = compiled(tmp_path, openai_account(), account)
    for token in ("t-1", "t-file", "t-hashed"):
        assert models_of(snapshot, token) == {"main/small", "main/large"}
    for token in ("", "NOT_SET", hashed):
        with pytest.raises(InvalidApiKey):
            models_of(snapshot, token)


@pytest.mark.parametrize(
    ("is_loopback", "token"),
    [(True, "demo-key"), (False, "demo-key")],
    ids=["taken on loopback", "refused elsewhere"],
)
@pytest.mark.parametrize("is_hashed", [False, True], ids=["plain", "hashed"])
def test_demo_token(tmp_path: Path, *, is_loopback: bool, token: str, is_hashed: bool) -> None:
    """The quickstart's token, which everybody knows, works only where nobody else can reach."""
    written = "sha256:" + hashlib.sha256(token.encode()).hexdigest() if is_hashed else "env:TOKEN"
    snapshot = compiled(
        tmp_path,
        openai_account(),
        virtual_account([written, "sha256:" + hashlib.sha256(b"own").hexdigest()], models=["*"]),
        is_loopback=is_loopback,
        TOKEN=token,
    )
    assert models_of(snapshot, "own")
    if is_loopback:
        assert models_of(snapshot, token)
    else:
        with pytest.raises(InvalidApiKey):
            models_of(snapshot, token)


@pytest.mark.parametrize(
    ("days", "works"), [(-1, False), (0, True), (1, True)], ids=["yesterday", "today, to its end", "tomorrow"]
)
def test_expiration(tmp_path: Path, days: int, *, works: bool) -> None:
    """A day of expiration lasts to its end in UTC."""
    # Near midnight the day may change between here and there, so take one that cannot.
    now = dt.datetime.now(dt.UTC)
    if now.hour == 23 and now.minute == 59:
        pytest.skip("a minute before midnight UTC")
    day = (now + dt.timedelta(days=days)).date().isoformat()
    snapshot = compiled(tmp_path, openai_account(), virtual_account(models=["*"], expiration_date=day))
    if works:
        assert models_of(snapshot)
    else:
        with pytest.raises(InvalidApiKey):
            models_of(snapshot)


def test_nothing_is_kept_alive_unless_asked(tmp_path: Path) -> None:
    """The status waits for the first content."""
    assert compiled(tmp_path, openai_account(), virtual_account(models=["*"])).keep_alive is None


def test_retries_are_those_of_the_settings(tmp_path: Path) -> None:
    """Every target gets the retry settings; without any it is asked once."""
    caller = make_caller("main/small")
    none = compiled(tmp_path, openai_account(), virtual_account(models=["*"]))
    assert none.routing.plan("main/small", make_facts(caller)).targets[0].retry.retries == 0
    settings = {
        "type": "gateway-global-settings",
        "retry_settings": {"attempts": 2, "delay": 30, "on_status_codes": ["429", 503]},
    }
    some = compiled(tmp_path, openai_account(), virtual_account(models=["*"]), settings)
    assert some.routing.plan("main/small", make_facts(caller)).targets[0].retry == RetryPolicy(
        2, 30, frozenset({429, 503})
    )


def test_circuits_open_by_the_settings(tmp_path: Path) -> None:
    """What is written in milliseconds is in seconds; what is not written is the default."""
    assert compiled(tmp_path, openai_account()).circuit_rules == CircuitRules(5, 0.5, 30.0, 1.0, 30.0)
    breaker = {"failures": 3, "failure_ratio": 0.25, "window_ms": 20_000, "cool_down_ms": 1_500}
    settings = {"type": "gateway-global-settings", "routing_settings": {"circuit_breaker": breaker}}
    snapshot = compiled(tmp_path, openai_account(), settings)
    assert snapshot.circuit_rules == CircuitRules(3, 0.25, 20.0, 1.5, 30.0)


def test_certificates_and_addresses(tmp_path: Path) -> None:
    """Files are relative to the manifest of the account; rules on addresses are those of the settings."""
    (tmp_path / "ca.pem").write_text("")
    own = {**LAB, "tls": {"ca_file": "ca.pem", "key_file": "own.key"}}
    settings = {"type": "gateway-global-settings", "egress_settings": {"deny": ["evil.test"]}}
    assert compiled(tmp_path, openai_account(), own).egress == OPEN
    snapshot = compiled(tmp_path, openai_account(), own, settings)

    def tls_of(name: str) -> TlsFiles | None:
        return snapshot.routing.plan(name, make_facts(make_caller(name))).targets[0].tls

    assert tls_of("lab/qwen") == TlsFiles(tmp_path / "ca.pem", None, tmp_path / "own.key")
    assert tls_of("main/small") is None
    assert snapshot.egress == EgressRules(deny=read_places(["evil.test"]))


def test_account_without_its_key(tmp_path: Path) -> None:
    """An account whose key is missing is not listed and answers 503; others go on."""
    snapshot = compiled(
        tmp_path,
        openai_account(),
        openai_account("other", "m", key="env:GONE"),
        virtual_account(models=["*"]),
    )
    caller = signed_in(snapshot)
    listed = [item["id"] for item in json.loads(snapshot.models_of(caller))["data"]]
    assert listed == ["main/large", "main/small"]
    with pytest.raises(SecretMissingError) as caught:
        snapshot.routing.plan("other/m", make_facts(caller))
    assert "GONE" in caught.value.detail


def test_who_has_no_key_is_told(tmp_path: Path) -> None:
    """By model, with the reason; those with a key are not in it."""
    config, secrets = read(
        tmp_path, openai_account(), openai_account("other", "m", key="env:GONE"), KEY="sk-1"
    )
    missing = missing_secrets(config, secrets)
    assert list(missing) == ["other/m"]
    assert "GONE" in missing["other/m"]


def test_secret_files_lie_beside_their_manifest(tmp_path: Path) -> None:
    """A relative file belongs to the folder of the manifest that names it."""
    (tmp_path / "key").write_text("sk-file")
    snapshot = compiled(tmp_path, openai_account(key="file:key"), virtual_account(models=["*"]))
    target = snapshot.routing.plan("main/small", make_facts(make_caller("main/small"))).targets[0]
    assert target.headers == (("authorization", "Bearer sk-file"),)


def test_model_list_is_made_once(tmp_path: Path) -> None:
    """A caller's list is made when first asked for, and kept with the configuration."""
    snapshot = compiled(tmp_path, openai_account(), virtual_account(models=["*"]))
    caller = signed_in(snapshot)
    first = snapshot.models_of(caller)
    assert snapshot.models_of(caller) is first
    assert {item["created"] for item in json.loads(first)["data"]} == {snapshot.loaded_at_s}


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """A snapshot in a log line shows no key and no token."""
    snapshot = compiled(
        tmp_path, openai_account(), virtual_account(models=["*"]), KEY="sk-canary", TOKEN="t-canary"
    )
    assert "canary" not in repr(snapshot)


def test_secrets_are_known_to_telemetry(tmp_path: Path) -> None:
    """Keys of providers and tokens of callers are masked, also where another one writes them."""
    snapshot = compiled(
        tmp_path, openai_account(), virtual_account(models=["*"]), KEY="sk-canary", TOKEN="t-canary"
    )
    assert snapshot.telemetry.known.hide("/sk-canary/t-canary/x") == "/***/***/x"


# -- rights


def caller_models(
    folder: Path, *accounts: dict[str, Any], models: Sequence[str] = ()
) -> list[frozenset[str]]:
    """The rights of each virtual account, as the snapshot holds them."""
    tokens = {f"TOKEN_{number}": f"t-{number}" for number in range(len(accounts))}
    named = [
        {**account, "name": f"app{number}", "tokens": [f"env:TOKEN_{number}"]}
        for number, account in enumerate(accounts)
    ]
    snapshot = compiled(folder, openai_account("main", *models), LAB, *named, is_loopback=False, **tokens)
    return [signed_in(snapshot, token).models for token in tokens.values()]


def test_accounts_with_the_same_rights_share_them(tmp_path: Path) -> None:
    """Five hundred accounts of a thousand models are five hundred references, not half a million names."""
    permission = {
        "resource_fqn": "acme:self-hosted-model:lab",
        "resource_type": "provider-account",
        "role_id": "provider-account-access",
    }
    same = virtual_account(models=["main/*"], permissions=[permission])
    other = virtual_account(models=["main/*"])
    first, second, third = caller_models(tmp_path, same, dict(same), other)
    assert first is second
    assert first == {"main/small", "main/large", "lab/qwen"}
    assert third == {"main/small", "main/large"}


def test_exact_name_is_no_pattern(tmp_path: Path) -> None:
    """A model whose name has a pattern's characters in it is meant by its name."""
    first, second = caller_models(
        tmp_path,
        virtual_account(models=["main/a[bc]"]),
        virtual_account(models=["main/a[bd]"]),
        models=["a[bc]", "ab", "ac"],
    )
    assert first == {"main/a[bc]"}
    assert second == {"main/ab"}


def test_grant_of_another_provider_is_none(tmp_path: Path) -> None:
    """A permission names provider and account; one that fits by its account alone gives nothing."""

    def granting(fqn: str) -> dict[str, Any]:
        permission = {
            "resource_fqn": fqn, "resource_type": "provider-account", "role_id": "provider-account-access",
        }  # fmt: skip
        return virtual_account(permissions=[permission])

    found = caller_models(
        tmp_path,
        granting("acme:self-hosted-model:main"),
        granting("acme:self-hosted-model:main:model:small"),
        granting("acme:openai:main:model:gone"),
        granting("acme:openai:gone"),
        granting("acme:openai:main:model:small"),
    )
    assert found == [set(), set(), set(), set(), {"main/small"}]


@pytest.mark.parametrize("unsupported", ["drop", "reject"])
def test_what_targets_may_leave_out(tmp_path: Path, unsupported: str) -> None:
    """One setting for every target."""
    settings = {"type": "gateway-global-settings", "translation_settings": {"unsupported": unsupported}}
    snapshot = compiled(
        tmp_path, openai_account(), virtual_account(models=["*"]), settings, KEY="k", TOKEN="t"
    )
    plan = snapshot.routing.plan("main/small", make_facts(make_caller("main/small")))
    assert plan.targets[0].unsupported == unsupported


def test_models_in_each_dialect(tmp_path: Path) -> None:
    """The same models, each list made once."""
    snapshot = compiled(tmp_path, openai_account(), virtual_account(models=["*"]))
    caller = make_caller("main/small")
    assert json.loads(snapshot.models_of(caller, "anthropic"))["first_id"] == "main/small"
    assert json.loads(snapshot.models_of(caller))["object"] == "list"
    assert snapshot.models_of(caller, "anthropic") is snapshot.models_of(caller, "anthropic")


def permission(resource_fqn: str) -> dict[str, str]:
    return {
        "resource_fqn": resource_fqn,
        "resource_type": "provider-account",
        "role_id": "provider-account-access",
    }


@pytest.mark.parametrize(
    ("grants", "accounts"),
    [
        ({"models": ["*"]}, {"main", "lab"}),
        ({"models": ["main/*"]}, {"main"}),
        ({"models": ["m*/*"]}, {"main"}),
        ({"models": ["*/*"]}, {"main", "lab"}),
        ({"models": ["main/gpt", "lab/qwen"]}, set()),
        ({"models": ["main/g*"]}, set()),
        ({"permissions": [permission("t:openai:main")]}, {"main"}),
        ({"permissions": [permission("t:openai:main:model:gpt")]}, set()),
        ({"permissions": [permission("t:anthropic:main")]}, set()),
    ],
)
def test_who_may_use_an_account_as_a_whole(
    tmp_path: Path, grants: dict[str, Any], accounts: set[str]
) -> None:
    """Who was given all of it, and not who happens to have every model of today."""
    snapshot = compiled(tmp_path, openai_account("main", "gpt"), LAB, virtual_account(**grants))
    caller = signed_in(snapshot)
    assert caller.accounts == accounts
    assert "main" in snapshot.accounts


# -- virtual models

GROUP: dict[str, Any] = {
    "type": "provider-account/virtual-model",
    "name": "vm",
    "integrations": [
        {
            "name": name,
            "slug": slug,
            "alias": alias,
            "routing_config": {
                "type": "weight-based-routing",
                "load_balance_targets": [{"target": "main/small", "weight": 1}],
            },
        }
        for name, slug, alias in (("chat", "chat-slug", ["main/old"]), ("other", "other-slug", []))
    ],
}


@pytest.mark.parametrize(
    ("grants", "models"),
    [
        ({"models": ["vm/*"]}, {"vm/chat", "vm/other"}),
        ({"models": ["vm/chat"]}, {"vm/chat"}),
        ({"models": ["chat-slug"]}, {"vm/chat"}),
        ({"models": ["*-slug"]}, {"vm/chat", "vm/other"}),
        ({"models": ["main/old"]}, {"vm/chat"}),
        ({"models": ["main/o*"]}, {"vm/chat"}),
        ({"models": ["main/small"]}, {"main/small"}),
        ({"models": ["*"]}, {"vm/chat", "vm/other", "main/small", "main/large"}),
        ({"permissions": [permission("t:virtual-model:vm")]}, {"vm/chat", "vm/other"}),
        ({"permissions": [permission("t:virtual-model:vm:model:chat")]}, {"vm/chat"}),
        ({"permissions": [permission("t:virtual-model:vm:model:chat-slug")]}, set()),
        ({"permissions": [permission("t:openai:vm")]}, set()),
        ({"permissions": [permission("t:virtual-model:main")]}, set()),
        ({"permissions": [permission("t:openai:main:model:old")]}, set()),
    ],
)
def test_rights_to_virtual_models(tmp_path: Path, grants: dict[str, Any], models: set[str]) -> None:
    """By any of their names; what counts is the full one, and a group is no account of a provider."""
    snapshot = compiled(tmp_path, openai_account(), GROUP, virtual_account(**grants))
    caller = signed_in(snapshot)
    assert caller.models == models
    assert caller.accounts <= {"main"}


def test_virtual_models_are_called_and_listed(tmp_path: Path) -> None:
    """By who may, with the targets of the configuration."""
    snapshot = compiled(tmp_path, openai_account(), GROUP, virtual_account(models=["chat-slug"]))
    caller = signed_in(snapshot)
    for name in ("vm/chat", "chat-slug", "main/old"):
        (target,) = snapshot.routing.plan(name, make_facts(caller)).targets
        assert target.name == "main/small"
        assert target.retry.retries == 2
    for dialect in ("openai", "anthropic"):
        listed = json.loads(snapshot.models_of(caller, dialect))["data"]
        assert [(model["id"], model["aliases"]) for model in listed] == [
            ("vm/chat", ["chat-slug", "main/old"])
        ]


def test_what_routes_use_is_given(tmp_path: Path) -> None:
    """A worker's own health, which outlives the configuration."""
    config, secrets = read(
        tmp_path, openai_account(), GROUP, virtual_account(models=["*"]), KEY="k", TOKEN="t-1"
    )
    health = FakeHealth()
    health.reasons["main/small"] = "drained"
    snapshot = compile_snapshot(
        config, secrets, version="v", is_loopback=False, runtime=Runtime(health=health)
    )
    caller = signed_in(snapshot)
    with pytest.raises(NoTargetAvailable, match="drained"):
        snapshot.routing.plan("vm/chat", make_facts(caller))
    assert snapshot.routing.plan("main/small", make_facts(caller)).targets[0].name == "main/small"


def test_credentials_of_routes_are_known_to_telemetry(tmp_path: Path) -> None:
    """What a route sends in place of its account's key is masked as that is."""
    group = json.loads(json.dumps(GROUP))
    target = group["integrations"][0]["routing_config"]["load_balance_targets"][0]
    target["headers_override"] = {"set": {"authorization": "Bearer env:OWN"}}
    snapshot = compiled(tmp_path, openai_account(), group, virtual_account(models=["*"]), OWN="sk-canary-own")
    assert snapshot.telemetry.known.hide("/sk-canary-own/") == "/***/"
    assert "canary" not in repr(snapshot)


def test_settings_that_hold_for_every_target(tmp_path: Path) -> None:
    """Limits, bounds of retries, keep-alives and circuits."""
    settings = {
        "type": "gateway-global-settings",
        "timeout_settings": {"gap_ms": 1500},
        "routing_settings": {"circuit_breaker": {"failures": 2}, "retry_budget": {"ratio": 0}},
        "keep_alive_settings": {"interval_ms": 2000},
    }
    snapshot = compiled(tmp_path, openai_account(), virtual_account(models=["*"]), settings)
    (target,) = snapshot.routing.plan("main/small", make_facts(make_caller("main/small"))).targets
    assert target.limits.gap_s == 1.5
    assert target.retry.bounds.budget_ratio == 0
    assert snapshot.keep_alive == KeepAlive(2.0, is_before_content=False)
    assert snapshot.circuit_rules.failures == 2


def test_limits_are_compiled(tmp_path: Path) -> None:
    """Rules on limits are a part of it; without any nothing is looked up for a call."""
    limit = {
        "type": "tenant-rate-limit-config/model",
        "name": "r",
        "limits": {"requests_per_minute": 5},
    }
    caller = make_caller()
    assert compiled(tmp_path, openai_account()).limits is None
    settings = {
        "type": "gateway-global-settings",
        "budget_settings": {"refusal_status": 402},
        "limit_settings": {"when_redis_is_away": "refuse"},
    }
    snapshot = compiled(tmp_path, openai_account(), limit, settings)
    limits = snapshot.limits
    assert limits is not None
    assert snapshot.when_redis_is_away == "refuse"
    assert limits.budget_status == 402
    found = limits.rules.of_call(caller, "main/small", {})
    assert [(meter.rule.id, meter.limit.amount) for meter in found] == [("r", 5)]


def test_priorities_are_compiled(tmp_path: Path) -> None:
    """Without rules all calls are alike and may use all that a worker takes on."""
    plain = compiled(tmp_path, openai_account())
    assert plain.priorities is None
    assert not plain.has_rules
    assert set(plain.shares.values()) == {1.0}
    rule = {"id": "r", "when": {"models": ["main/*"]}, "priority": "low"}
    settings = {"type": "gateway-global-settings", "overload_settings": {"priority_rules": [rule]}}
    snapshot = compiled(tmp_path, openai_account(), settings)
    assert snapshot.priorities is not None
    assert snapshot.has_rules
    assert snapshot.priorities.of(make_caller(), "main/small", {}) == "low"
    assert snapshot.shares == {"high": 1.0, "normal": 1.0, "low": 0.6}
