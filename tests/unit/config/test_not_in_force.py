"""What is not built is told once for each manifest, and kept from the consumers."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.config.document import STRICT
from gateway.config.manifests.known import IN_FORCE
from gateway.config.manifests.part import Part
from gateway.config.manifests.provider_account import SelfHostedIntegration
from gateway.config.not_in_force import FIELDS, VALUES, without
from gateway.config.shape import fields_of, find_part, item_annotation
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text

OPENAI: Final = """\
type: provider-account/openai
name: main
integrations:
  - {name: a, model_id: a}
  - {name: b, model_id: b}
"""
OTEL: Final = """\
type: gateway-otel-config
name: sink
otel_traces_exporter_config:
  type: http
  endpoint: https://sink.example
"""
GLOBAL: Final = "type: gateway-global-settings\n"
ROUTE: Final = """\
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    routing_config:
      type: latency-based-routing
      load_balance_targets: [{{target: lab/qwen, override_params: {{{}}}}}]
"""


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (OPENAI + "ownedBy: {account: x}", "provider-account/openai: ownedBy"),
        (
            ACCOUNT + "    tls_settings: {ca_cert: x}",
            "provider-account/self-hosted-model: integrations.tls_settings",
        ),
        (
            "type: role\nname: r\nresourceType: tenant\npermissions: ['team:ReadTeam']\n",
            "role: permissions",
        ),
        (CALLER + "notification_target: {type: email}", "virtual-account: notification_target"),
        (CALLER + "secret_store_config: {a: b}", "virtual-account: secret_store_config"),
        (CALLER + "ownedBy: {team: x}", "virtual-account: ownedBy"),
        *(
            (GLOBAL + field, f"gateway-global-settings: {field.partition(':')[0]}")
            for field in (
                "semantic_cache_settings: {semantic_cache_embedding_model: a}",
                "guardrail_settings: {timeout_ms: 1}",
            )
        ),
        (
            ROUTE.format("prompt_version_fqn: chat_prompt:t/ml/p:1, temperature: 0"),
            (
                "provider-account/virtual-model: "
                "integrations.routing_config.load_balance_targets.override_params.prompt_version_fqn"
            ),
        ),
        ("type: policy\nname: ml", "policy"),
    ],
)
def test_what_is_written_and_not_built(tmp_path: Path, text: str, label: str) -> None:
    """Told by type and field, as a warning that it may stay, as an error with what to do when strict."""
    others = [one for one in (ACCOUNT, CALLER) if one.splitlines()[0] not in text]
    checked = check_text(tmp_path, *others, text)
    assert checked.errors == ()
    assert checked.not_in_force == (label,)
    [problem] = [one for one in checked.problems if "not in force yet" in one.message]
    assert problem.fix.endswith("it may stay")
    strict = check_text(tmp_path, *others, text, strict=True)
    assert [one.message for one in strict.errors] == [problem.message]
    assert [one.fix.partition("effect")[2] for one in strict.errors] == [
        f", and {STRICT}: take it out, or switch that off"
    ]
    assert strict.not_in_force == (label,)


@pytest.mark.parametrize(
    "text",
    [
        OPENAI + "collaborators: []\ndiscount_percent: 5\npropagate_trace: true\nownedBy:",
        CALLER + "tags: {}",
        OTEL
        + "  encoding: proto\n  compression: gzip\n  when: []\n  sampling: {ratio: 1.0}\n"
        + "  exclude_request_data: no",
        GLOBAL + "guardrail_settings: {timeout_ms: 5000}\ntelemetry_settings: {}",
    ],
    ids=["account", "caller", "otel", "global"],
)
def test_what_says_the_default_is_in_force(tmp_path: Path, text: str) -> None:
    """It asks for what happens anyway."""
    others = [one for one in (ACCOUNT, CALLER) if one.splitlines()[0] not in text]
    checked = check_text(tmp_path, *others, text, strict=True)
    assert (checked.errors, checked.not_in_force) == ((), ())


def test_once_for_each_manifest(tmp_path: Path) -> None:
    """A hundred models with such a field are one warning, at the first."""
    integrations = ACCOUNT.partition("integrations:\n")[2] + "    tls_settings: {ca_cert: x}\n"
    text = ACCOUNT + "    tls_settings: {ca_cert: x}\n" + integrations.replace("name: qwen", "name: other")
    [problem] = [one for one in check_text(tmp_path, text, CALLER).problems if "not in force" in one.message]
    assert (problem.line, problem.path) == (10, "integrations.0.tls_settings")
    assert problem.message == "not in force yet (and 1 more in this manifest)"


def test_consumers_see_the_default(tmp_path: Path) -> None:
    """Nobody acts on half a feature: what is not in force is as if not written."""
    account = ACCOUNT + "    tls_settings: {ca_cert: x}\nownedBy: {account: x}\n"
    config = accepted_config(check_text(tmp_path, account, CALLER + "secret_store_config: {a: b}\n"))
    assert config.provider_accounts[0].owned_by is None
    [integration] = config.provider_accounts[0].integrations
    assert isinstance(integration, SelfHostedIntegration)
    assert integration.tls_settings is None
    assert config.virtual_accounts[0].secret_store_config is None
    assert config.documents[-1].body["secret_store_config"] == {"a": "b"}


def test_members_of_a_mapping(tmp_path: Path) -> None:
    """Those that are not in force are left out, and the others stay."""
    text = ROUTE.format("prompt_version_fqn: p, temperature: 0")
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, text))
    routing = config.virtual_models[0].integrations[0].routing_config
    assert routing.load_balance_targets[0].override_params == {"temperature": 0}


def test_without() -> None:
    """Taken out of a copy, from lists too, whatever the order."""
    body: dict[str, Any] = {"a": [{"x": 1, "y": 2}, {"x": 3}, {"x": 4}], "b": 1}
    assert without(body, [("a", 0), ("b",), ("a", 0, "x"), ("a", 2, "x")]) == {"a": [{"x": 3}, {}]}
    assert body["b"] == 1


def resolve(model: type[Part], pattern: str) -> bool:
    annotation: Any = model
    for step in pattern.split("."):
        if step == "*":
            annotation = item_annotation(annotation)
            continue
        # Where there is a choice, each of these is one of it.
        tags = ("http", "certificate", "token", "weight-based-routing", "slack-webhook")
        found = (find_part(annotation, {"type": tag}) for tag in tags)
        part = next((part for part in found if part is not None), None)
        if part is None or step not in fields_of(part):
            return False
        annotation = fields_of(part)[step].annotation
        if typing.get_origin(annotation) is dict:
            return True
    return True


def test_the_table_names_fields_that_exist() -> None:
    """A row that names nothing would report nothing."""
    rows = [(kind, pattern) for kind, patterns in FIELDS.items() for pattern in patterns]
    rows += [(kind, f"{row.part}.{row.key}") for kind, values in VALUES.items() for row in values]
    assert [row for row in rows if not resolve(IN_FORCE[row[0]], row[1])] == []
