"""Secrets in the open, without a value, or shared are found, and not one is shown."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import SecretSource, check
from gateway.config.document import STRICT, Document
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text, found

CANARY: Final = "canary-secret-0001"
LITERAL: Final = (
    "the secret itself stands in the manifest. Write env:NAME, file:PATH or tfy-secret://OWNER:GROUP:KEY; "
)
OTEL: Final = (
    "type: gateway-otel-config\nname: s\notel_traces_exporter_config:\n  type: http\n  endpoint: http://h\n"
)


def secured(reference: str) -> str:
    return f"{ACCOUNT}    auth_data: {{type: bearer-auth, bearer_token: '{reference}'}}\n"


def caller(name: str, *tokens: str) -> str:
    return f"type: virtual-account\nname: {name}\ntokens: {list(tokens)}\nmodels: ['*']\n"


def test_literals_are_warned_of(tmp_path: Path) -> None:
    """In every field that holds a secret, and in headers that usually do."""
    headers = (
        f"  headers: {{Authorization: ApiKey {CANARY}, x-api-key: {CANARY}, x-team: ml, Cookie: {CANARY}}}\n"
    )
    lines = found(check_text(tmp_path, secured(CANARY), caller("a", CANARY), OTEL + headers))
    assert [line.partition(": ")[0] for line in lines if LITERAL in line] == [
        "warning 10 integrations.0.auth_data.bearer_token",
        "warning 14 tokens.0",
        "warning 22 otel_traces_exporter_config.headers.Authorization",
        "warning 22 otel_traces_exporter_config.headers.x-api-key",
        "warning 22 otel_traces_exporter_config.headers.Cookie",
    ]
    assert len(lines) == 5
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize("strict", [False, True])
def test_what_has_no_value(tmp_path: Path, *, strict: bool) -> None:
    """A warning with what follows from it; strict: an error that says why it is one."""
    texts = [
        secured("env:KEY"),
        caller("a", "file:t"),
        OTEL + "  headers: {Authorization: 'ApiKey env:ELASTIC'}\n",
    ]
    severity = "error" if strict else "warning"

    def then(consequence: str) -> str:
        return f"until then {STRICT if strict else consequence}"

    assert found(check_text(tmp_path, *texts, strict=strict)) == [
        (
            f"{severity} 10 integrations.0.auth_data.bearer_token: environment variable KEY is not set. "
            f"Set it and start the gateway again; {then('the account is unavailable')}"
        ),
        (
            f"{severity} 14 tokens.0: file {tmp_path}/t cannot be read (no such file or directory). "
            f"Create it, or let the gateway's user read it; {then('this token does not work')}"
        ),
        (
            f"{severity} 22 otel_traces_exporter_config.headers.Authorization: environment variable "
            f"ELASTIC is not set. "
            f"Set it and start the gateway again; {then('the destination is disabled')}"
        ),
    ]


def test_with_values_nothing_is_found(tmp_path: Path) -> None:
    """Each from its place."""
    (tmp_path / "t").write_text("token\n")
    texts = [
        secured("env:KEY"),
        caller("a", "file:t"),
        OTEL + "  headers: {Authorization: 'ApiKey env:ELASTIC'}\n",
    ]
    environ = {"KEY": "k", "ELASTIC": "e"}
    assert found(check_text(tmp_path, *texts, strict=True, environ=environ)) == []


def test_one_token_for_two_callers(tmp_path: Path) -> None:
    """Whichever way it is written, it would not say who calls; twice in one account is harmless."""
    digest = hashlib.sha256(b"t").hexdigest()
    texts = [ACCOUNT, caller("a", "env:T", "env:T"), caller("b", f"sha256:{digest}")]
    assert found(check_text(tmp_path, *texts, environ={"T": "t"})) == [
        (
            f"error 18 tokens.0: the same token is in {tmp_path}/m.yaml:13, of the account 'a'. "
            "Give each caller a token of its own"
        )
    ]
    assert found(check_text(tmp_path, *texts[:2], caller("b", "env:U"), environ={"T": "t", "U": "u"})) == []


def test_one_token_with_two_lives(tmp_path: Path) -> None:
    """What is issued ends and is revoked by its entry, which a second one would make of no effect."""
    digest = hashlib.sha256(b"t").hexdigest()
    entry = f'hash: "sha256:{digest}", created_at: "2026-11-26T10:00:00Z"'
    one, other = f"{{id: t-1, {entry}}}", f"{{id: t-2, {entry}}}"
    account = "type: virtual-account\nname: a\nmodels: ['*']\ntokens: [{}, {}]\n"
    for first, second, at in (
        (one, "env:T", "1"),
        ("env:T", one, "1.hash"),
        (one, other, "1.hash"),
    ):
        [line] = found(check_text(tmp_path, ACCOUNT, account.format(first, second), environ={"T": "t"}))
        assert line == (
            f"warning 14 tokens.{at}: the same token is on line 14: revoking or ending one leaves the other. "
            "Remove one of the two"
        )


def test_hashes_elsewhere_are_errors(tmp_path: Path) -> None:
    """A hash cannot be sent to a provider."""
    [error] = [
        line for line in found(check_text(tmp_path, secured("sha256:" + "0" * 64), CALLER)) if "error" in line
    ]
    assert "'sha256:' works for tokens only" in error


PLACES: dict[str, list[tuple[str | int, ...]]] = {
    "provider-account/openai": [
        ("auth_data",),
        ("auth_data", "api_key"),
        ("auth_data", "type"),
        ("base_url",),
        ("integrations",),
        ("integrations", 0),
        ("integrations", 0, "model_id"),
        ("integrations", 0, "cost"),
        ("propagate_trace",),
        ("integrations", 0, "cost", "metric"),
        ("discount_percent",),
    ],
    "virtual-account": [
        ("tokens",),
        ("tokens", 0),
        ("tokens", 0, "x"),
        ("expiration_date",),
        ("permissions",),
        ("models",),
        ("token_type",),
        ("permissions", 0, "role_id"),
    ],
    "gateway-otel-config": [
        ("otel_traces_exporter_config", "headers"),
        ("otel_traces_exporter_config", "headers", "authorization"),
        ("otel_traces_exporter_config", "endpoint"),
        ("otel_traces_exporter_config", "encoding"),
        ("otel_traces_exporter_config", "batch"),
        ("otel_traces_exporter_config", "sampling", "ratio"),
    ],
}
BODIES: dict[str, dict[str, object]] = {
    "provider-account/openai": {
        "name": "main",
        "auth_data": {"type": "api-key", "api_key": "env:A"},
        "integrations": [{"name": "a", "model_id": "a", "cost": {"metric": "public_cost"}}],
    },
    "virtual-account": {"name": "a", "tokens": ["env:T"], "permissions": [{}]},
    "gateway-otel-config": {
        "name": "s",
        "otel_traces_exporter_config": {
            "type": "http",
            "endpoint": "http://h",
            "headers": {"authorization": "env:A"},
            "sampling": {},
        },
    },
}
FORMS = ["{}", "env:{}!", "file:\0{}", "tfy-secret://{}", "sha256:{}", " {} ", "{}\n", "https://u:{}@h/", "http://h/#{}",
         "Bearer env:{}!", "http://{}:99999/", "ht tp://{}"]  # fmt: skip


def put(value: object, path: tuple[str | int, ...], new: object) -> object:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(value) if isinstance(value, list) else []
        return [put(items[0] if items else None, rest, new), *items[1:]]
    fields = dict(value) if isinstance(value, dict) else {}
    return {**fields, step: put(fields.get(step), rest, new)}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_secret_in_the_wrong_place_is_never_shown(data: st.DataObject) -> None:
    """Property: wherever a secret is pasted, and however it is garbled, no message and no `repr` has it."""
    kind = data.draw(st.sampled_from(sorted(PLACES)))
    path = data.draw(st.sampled_from(PLACES[kind]))
    text = data.draw(st.sampled_from(FORMS)).format(CANARY)
    values: list[object] = [text, [text], {"api_key": text}, {"type": text}]
    value = data.draw(st.sampled_from(values))
    # A pattern of models is no secret and is quoted; a mapping's keys are its path.
    if path == ("models",):
        value = text
    body = put({"type": kind, **BODIES[kind]}, path, value)
    assert isinstance(body, dict)
    document = Document(kind, "n", body, Path("m.yaml"), 1)
    secrets = SecretSource({"A": CANARY, "T": CANARY})
    checked = check.check_documents([document], strict=False, secrets=secrets)
    assert CANARY not in "".join(str(problem) for problem in checked.problems)
    assert CANARY not in repr(checked.problems)


def test_a_configuration_does_not_show_its_literals(tmp_path: Path) -> None:
    """Not in `repr`, which ends up in logs and tracebacks."""
    headers = f"  headers: {{Authorization: ApiKey {CANARY}}}\n"
    config = accepted_config(check_text(tmp_path, secured(CANARY), caller("a", CANARY), OTEL + headers))
    assert CANARY not in repr(config)
    assert CANARY not in config.provider_accounts[0].model_dump_json()


def test_channels_of_alerts(tmp_path: Path) -> None:
    """A URL in the open is warned of, one without a value too; a resource name is not in force."""
    text = (
        "type: tenant-budget-config\nname: b\nlimits: {cost_per_day: 1}\nmode: audit\n"
        "applies_to: {type: aggregate}\nalerts:\n  notification_target:\n"
    )
    channels = ("https://hooks.test/x", "env:HOOK", "acme:slack:acct:notification-channel:ops")
    lines = "".join(f"    - {{type: slack-webhook, notification_channel: '{one}'}}\n" for one in channels)
    checked = check_text(tmp_path, ACCOUNT, CALLER, text + lines)
    assert [
        (problem.path.removeprefix("alerts.notification_target."), problem.message)
        for problem in checked.problems
    ] == [
        ("0.notification_channel", "the secret itself stands in the manifest"),
        ("1.notification_channel", "environment variable HOOK is not set"),
        ("2", "not in force yet"),
    ]
    assert "nobody is told there of what is spent" in checked.problems[1].fix
