"""What only shows when manifests are seen together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.cross_checks import CallableNames
from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, check_text, found

TWO_MODELS = """\
type: provider-account/openai
name: main
integrations:
  - {name: gpt-4o, model_id: a, model_types: [chat]}
  - {name: org/small, model_id: b}
"""
VIRTUAL_MODELS = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    slug: chat-slug
    alias: [chat-alias]
    routing_config:
      type: priority-based-routing
      load_balance_targets: [{target: main/gpt-4o}]
"""


def caller(**fields: str) -> str:
    text = CALLER
    for name, value in fields.items():
        lines = [line for line in text.splitlines() if not line.startswith(f"{name}:")]
        text = "\n".join([*lines, f"{name}: {value}"]) + "\n"
    return text


def findings(folder: Path, *texts: str) -> list[str]:
    return [line for line in found(check_text(folder, *texts)) if "not in force" not in line]


def test_what_fits_together_has_no_finding(tmp_path: Path) -> None:
    """The base of every test here."""
    assert findings(tmp_path, ACCOUNT, CALLER) == []


def test_account_names_are_one_space(tmp_path: Path) -> None:
    """Also with accounts that are not in force; other manifests may share a name."""
    texts = [ACCOUNT, CALLER, "type: provider-account/elevenlabs\nname: lab\n", "type: policy\nname: lab\n"]
    assert findings(tmp_path, *texts) == [
        (
            "error 17 name: the account name 'lab' belongs to the provider-account/self-hosted-model in "
            f"{tmp_path}/m.yaml:1. Give one of them another name; models are called <name>/<model>"
        )
    ]


def test_members_are_emails(tmp_path: Path) -> None:
    """A warning where they are written as rules write subjects: nobody would be that member."""
    members = "members: ['user:a@x.io', 'team:ml', 'virtualaccount:app', 'acme:user:b@x.io', 'c@x.io']"
    team = TEAM.replace("members: [a@x.io]", members)
    assert findings(tmp_path, ACCOUNT, CALLER, team) == [
        "warning 18 members.0: 'user:a@x.io' is no email of a user. Write a@x.io",
        "warning 18 members.1: 'team:ml' is no email of a user. Write the email of a user",
        "warning 18 members.2: 'virtualaccount:app' is no email of a user. Write the email of a user",
        "warning 18 members.3: 'acme:user:b@x.io' is no email of a user. Write b@x.io",
    ]


@pytest.mark.parametrize(
    ("url", "end"),
    [
        ("http://localhost:8000/v1/chat/completions", "/chat/completions"),
        ("http://localhost:8000/v1/completions/", "/completions"),
        ("http://localhost:8000/v1/messages", "/messages"),
        ("http://localhost:8000/v1/embeddings", "/embeddings"),
    ],
)
def test_addresses_of_calls(tmp_path: Path, url: str, end: str) -> None:
    """A warning, of a server of one's own and of an account: each call would be asked for below a call."""
    account = TWO_MODELS.replace("name: main\n", f"name: main\nbase_url: {url}\n")
    told = f"it ends in '{end}', which is added to it for each call. Remove '{end}' from its end"
    assert findings(tmp_path, ACCOUNT.replace("http://localhost:8000/v1", url), account, CALLER) == [
        f"warning 7 integrations.0.url: {told}",
        f"warning 13 base_url: {told}",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://messages",
        "http://h/completions/v1",
        "http://h/my-embeddings",
        "http://h",
        "http://h/v2/rerank",
    ],
)
def test_other_addresses(tmp_path: Path, url: str) -> None:
    """Nothing is said of those that only look a little like it."""
    assert findings(tmp_path, ACCOUNT.replace("http://localhost:8000/v1", url), CALLER) == []


def test_integration_names_are_unique_in_an_account(tmp_path: Path) -> None:
    """The second would never be called."""
    text = TWO_MODELS.replace("org/small", "gpt-4o")
    assert findings(tmp_path, text, caller(models='["main/*"]')) == [
        (
            "error 5 integrations.1.name: the model name 'gpt-4o' is already on line 4. Give one of "
            "them another name"
        )
    ]


def test_an_account_without_models(tmp_path: Path) -> None:
    """A warning: it may be filled later."""
    text = "type: provider-account/openai\nname: main\nintegrations: []\n"
    assert findings(tmp_path, text, ACCOUNT, CALLER) == [
        "warning 3 integrations: the account has no models. Add one, or remove the account"
    ]


def test_unknown_types_of_model(tmp_path: Path) -> None:
    """A warning: providers invent them faster than gateways are upgraded."""
    assert findings(tmp_path, ACCOUNT.replace("[chat]", "[chta, hologram]"), CALLER) == [
        "warning 9 integrations.0.model_types.0: unknown type of model. Did you mean 'chat'?",
        (
            "warning 9 integrations.0.model_types.1: unknown type of model. Known are: chat, "
            "completion, embedding, "
            "realtime, rerank, audio_transcription, audio_translation, text_to_speech, moderation, "
            "image, responses, ocr"
        ),
    ]


def test_only_one_manifest_of_global_settings(tmp_path: Path) -> None:
    """Whatever their names; which one would count?"""
    texts = ["type: gateway-global-settings\n", "type: gateway-global-settings\nname: other\n"]
    assert findings(tmp_path, ACCOUNT, CALLER, *texts) == [
        (
            f"error 18 type: global settings are already in {tmp_path}/m.yaml:16. Put all of them "
            f"into one manifest"
        )
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"models": '["main/*", "*", "main/org/*", "vm/chat", "chat-slug", "chat-alias"]'}, [], id="fit"
        ),
        pytest.param(
            {"models": '["main/gpt-4"]'},
            ["models.0: 'main/gpt-4' matches no model. Did you mean 'main/gpt-4o'?"],
            id="near",
        ),
        pytest.param(
            {"models": '["*", "zzz"]'},
            ["models.1: 'zzz' matches no model. Write <account>/<model>; '*' stands for any text"],
            id="far",
        ),
        pytest.param(
            {"models": "[]"},
            [
                (
                    "models: neither models nor permissions let this account call a model. "
                    'Add models: ["<account>/*"]'
                )
            ],
            id="nothing allowed",
        ),
        pytest.param(
            {"tokens": "[]", "models": '["*"]'},
            ["tokens: no tokens, so nobody can call as this account. Add tokens: [env:NAME]"],
            id="no tokens",
        ),
    ],
)
def test_models_of_a_caller(tmp_path: Path, fields: dict[str, str], expected: list[str]) -> None:
    """Patterns that match nothing are slips; slugs and models that are not in force yet match."""
    lines = findings(tmp_path, TWO_MODELS, VIRTUAL_MODELS, caller(**fields))
    assert [line.split(" ", 2)[2] for line in lines] == expected
    assert all(line.startswith("warning") for line in lines)


def permission(fqn: str, role: str = "provider-account-access") -> str:
    return f"[{{resource_fqn: '{fqn}', resource_type: provider-account, role_id: {role}}}]"


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        pytest.param(permission("acme:openai:main"), [], id="account"),
        pytest.param(permission("acme:openai:main:model:org/small"), [], id="model"),
        pytest.param(permission("acme:virtual-model:vm:model:chat"), [], id="virtual model"),
        pytest.param(permission("acme:openai:main", "provider-account-manager"), [], id="manager"),
        pytest.param(
            permission("acme:openai:mian"),
            ["permissions.0.resource_fqn: there is no account 'mian' of openai. Did you mean 'main'?"],
            id="near account",
        ),
        pytest.param(
            permission("acme:openai:zzz"),
            [
                (
                    "permissions.0.resource_fqn: there is no account 'zzz' of openai. Name an "
                    "account of this configuration"
                )
            ],
            id="far account",
        ),
        pytest.param(
            permission("acme:groq:main"),
            ["permissions.0.resource_fqn: there is no account 'main' of groq. Its provider is 'openai'"],
            id="other provider",
        ),
        pytest.param(
            permission("acme:openai:main:model:gpt4o"),
            ["permissions.0.resource_fqn: there is no model 'gpt4o' there. Did you mean 'main/gpt-4o'?"],
            id="near model",
        ),
        pytest.param(
            permission("acme:mcp"),
            [
                (
                    "permissions.0: lets the account call nothing here. Models need a resource_fqn "
                    "<tenant>:<provider>:<account>[:model:<name>] and the role provider-account-access or "
                    "provider-account-manager"
                )
            ],
            id="something else",
        ),
        pytest.param(
            permission("acme:openai:main", "viewer"),
            [
                (
                    "permissions.0: lets the account call nothing here. Models need a resource_fqn "
                    "<tenant>:<provider>:<account>[:model:<name>] and the role provider-account-access or "
                    "provider-account-manager"
                )
            ],
            id="another role",
        ),
    ],
)
def test_permissions_of_a_caller(tmp_path: Path, permissions: str, expected: list[str]) -> None:
    """Each names an account, or a model, of this configuration."""
    lines = findings(tmp_path, TWO_MODELS, VIRTUAL_MODELS, caller(models='["*"]', permissions=permissions))
    assert [line.split(" ", 2)[2] for line in lines] == expected
    assert all(line.startswith("warning") for line in lines)


def test_destinations(tmp_path: Path) -> None:
    """`local` is taken, and a destination without an exporter is none."""
    assert findings(tmp_path, ACCOUNT, CALLER, "type: gateway-otel-config\nname: local\n") == [
        (
            "warning 16 type: the manifest names no destination. Add otel_traces_exporter_config, or "
            "remove the manifest"
        ),
        "error 17 name: 'local' is the name of the gateway's own trace store. Choose another name",
    ]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        pytest.param("main/small", True, id="name"),
        pytest.param("main/a[b]", True, id="name with a pattern's characters"),
        pytest.param("main/*", True, id="pattern"),
        pytest.param("*/s?all", True, id="any account"),
        pytest.param("main/[st]mall", True, id="one of"),
        pytest.param("MAIN/*", False, id="case matters"),
        pytest.param("main", False, id="account alone"),
        pytest.param("", False, id="empty"),
    ],
)
def test_pattern_names_a_model(pattern: str, *, matches: bool) -> None:
    """Patterns are matched as the snapshot does it, and found out once."""
    names = CallableNames(frozenset(), frozenset({"main/small", "main/a[b]"}))
    assert [names.has_match(pattern) for _ in range(2)] == [matches, matches]
    assert names._matches == {pattern: matches}


def test_filters_on_attributes_that_are_off(tmp_path: Path) -> None:
    """Manifests from TrueFoundry filter by its own attributes, and would send nothing without a word."""
    destination = (
        "type: gateway-otel-config\nname: otel\notel_traces_exporter_config:\n"
        "  type: http\n  endpoint: https://otlp.example/v1/traces\n  when:\n"
        "    - {key: gen_ai.operation.name, value: [chat]}\n    - {key: tfy.span_type, value: [Model]}\n"
    )
    switch = "type: gateway-global-settings\ntelemetry_settings: {tfy_attributes: true}\n"
    assert findings(tmp_path, ACCOUNT, CALLER, destination) == [
        (
            "warning 23 otel_traces_exporter_config.when.1.key: no span has 'tfy.span_type' while "
            "tfy_attributes is off, so none is sent. Write telemetry_settings: {tfy_attributes: true} in "
            "gateway-global-settings"
        )
    ]
    assert findings(tmp_path, ACCOUNT, CALLER, destination, switch) == []


def test_there_is_a_bound_for_destinations(tmp_path: Path) -> None:
    """A call's mask has 64 bits; one more would get nothing and never say so."""
    one = """type: gateway-otel-config
name: d{}
otel_traces_exporter_config: {{type: http, endpoint: "http://h/"}}
"""
    many = [one.format(number) for number in range(65)]
    assert findings(tmp_path, ACCOUNT, CALLER, *many[:64]) == []
    (finding,) = findings(tmp_path, ACCOUNT, CALLER, *many)
    assert "type: there are more than 64 destinations" in finding


def test_roles(tmp_path: Path) -> None:
    """One that is built in is not made anew, and what looks like a permission on accounts is one."""
    role = "type: role\nname: {}\nresourceType: tenant\npermissions: ['{}']\n"
    use = "provider-account:UseIntegrations"
    assert found(check_text(tmp_path, ACCOUNT, CALLER, role.format("r", use))) == []
    assert found(check_text(tmp_path, ACCOUNT, CALLER, role.format("provider-account-access", use))) == [
        "error 17 name: the role 'provider-account-access' is built in. Choose another name"
    ]
    slip = found(check_text(tmp_path, ACCOUNT, CALLER, role.format("r", "provider-account:UseIntegration")))
    assert any(
        "there is no such permission. Did you mean 'provider-account:UseIntegrations'" in one for one in slip
    )


def test_ids_of_tokens(tmp_path: Path) -> None:
    """Each is another within a manifest; those of different callers may be alike."""
    issued = '{{id: {}, hash: "sha256:{}", created_at: "2026-11-26T10:00:00Z"}}'
    first, second, third = (issued.format("t1", digit * 64) for digit in "abc")
    caller = "type: virtual-account\nname: {}\nmodels: ['lab/*']\ntokens: [{}]\n"
    apart = (caller.format("a", first), caller.format("b", second))
    assert found(check_text(tmp_path, ACCOUNT, *apart)) == []
    together = caller.format("a", f"{first}, {third}")
    assert found(check_text(tmp_path, ACCOUNT, together)) == [
        "error 14 tokens.1.id: the token 't1' is there already. Give each a name of its own"
    ]


def test_tokens_without_an_age(tmp_path: Path) -> None:
    """They are told where they would be expected to end."""
    [problem] = found(check_text(tmp_path, ACCOUNT, CALLER + "auto_rotate: {}\n"))
    assert "warning 13 tokens.0: nothing says how old this token is" in problem
