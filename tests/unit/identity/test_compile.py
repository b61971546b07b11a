"""From the configuration to who calls."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from gateway.config import SecretSource
from gateway.errors import InvalidApiKey
from gateway.identity.compile import compile_identity, compile_rights
from gateway.identity.rights import Rights
from gateway.identity.tokens import Identity
from gateway.model import Caller
from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, accepted_config, check_text
from tests.unit.doubles import FakeHeaders


def identity(folder: Path, *texts: str, is_loopback: bool = False, **environ: str) -> Identity:
    config = accepted_config(check_text(folder, ACCOUNT, CALLER, *texts, environ=environ))
    rights = Rights(["lab/qwen", "main/small", "main/large"], {"lab": "self-hosted-model", "main": "openai"})
    return compile_identity(config, SecretSource(environ), rights, is_loopback=is_loopback)


def caller(found: Identity, token: str) -> Caller:
    return found.identify(FakeHeaders([("x-api-key", token)]))


def pat(name: str, token: str, user: str = "a@x.io", more: str = "") -> str:
    return f"type: pat\nname: {name}\nuser_fqn: acme:user:{user}\ntokens: ['{token}']\n{more}"


def test_a_user(tmp_path: Path) -> None:
    """May what the teams may and the token says; others' teams are others'."""
    other = "type: team\nname: ops\nmembers: [b@x.io, a@x.io, a@x.io]\nmodels: [main/small]\n"
    nobody = "type: team\nname: x\nmembers: [A@x.io]\nmodels: ['*']\n"
    found = identity(
        tmp_path, TEAM, other, nobody, pat("t1", "env:A"), pat("t2", "env:B", "b@x.io"), A="a", B="b"
    )
    user = caller(found, "a")
    assert (user.name, user.kind, user.teams) == ("a@x.io", "user", ("ml", "ops"))
    assert user.subjects == {"user:a@x.io", "team:ml", "team:ops", "team:everyone"}
    assert user.models == {"lab/qwen", "main/small"}
    assert user.accounts == {"lab"}
    assert caller(found, "b").models == {"main/small"}
    assert caller(found, "b").accounts == frozenset()


def test_two_tokens_of_a_user(tmp_path: Path) -> None:
    """Both are the same user; what one of them alone may is not the other's."""
    found = identity(
        tmp_path, pat("t1", "env:A", more="models: [main/large]\n"), pat("t2", "env:B"), A="a", B="b"
    )
    assert [caller(found, token).name for token in "ab"] == ["a@x.io", "a@x.io"]
    assert [caller(found, token).models for token in "ab"] == [{"main/large"}, frozenset()]


def test_expired_tokens_of_users(tmp_path: Path) -> None:
    """Are refused, each by its own date."""
    gone = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).date().isoformat()
    found = identity(
        tmp_path, pat("t1", "env:A", more=f"expiration_date: '{gone}'\n"), pat("t2", "env:B"), A="a", B="b"
    )
    with pytest.raises(InvalidApiKey, match="expired"):
        caller(found, "a")
    assert caller(found, "b").name == "a@x.io"


def test_metadata_of_users(tmp_path: Path) -> None:
    """Rules and the environment give them as they give virtual accounts, by teams too; they have no tags."""
    rules = (
        "type: gateway-metadata-config\nrules:\n"
        "  - {id: t, when: {subjects: ['team:ml']}, metadata_override: {cost_center: '42'}}\n"
        "  - {id: u, when: {subjects: ['user:b@*']}, metadata_override: {region: us}}\n"
    )
    default = '{"region":"eu"}'
    texts = (TEAM, rules, pat("t1", "env:A"), pat("t2", "env:B", "b@x.io"))
    found = identity(tmp_path, *texts, A="a", B="b", DEFAULT_GATEWAY_METADATA=default)
    assert [caller(found, token).tags for token in "ab"] == [
        {"cost_center": "42", "region": "eu"},
        {"region": "us"},
    ]


@pytest.mark.parametrize("is_loopback", [True, False])
def test_the_demo_token_of_a_user(tmp_path: Path, *, is_loopback: bool) -> None:
    """Everybody knows it, so it is taken on loopback only, and no token without a value is any."""
    found = identity(
        tmp_path, pat("t1", "env:A"), pat("t2", "env:GONE"), is_loopback=is_loopback, A="demo-key"
    )
    assert found.knows("demo-key") is is_loopback
    assert not found.knows("")


def test_accounts_say_who_may_use_them(tmp_path: Path) -> None:
    """Everybody with a role to call, nobody with another; and a model may be for some alone."""
    account = (
        "type: provider-account/openai\nname: main\nintegrations:\n  - {name: small, model_id: s}\n"
        "  - {name: large, model_id: l, authorized_subjects: [team:ml]}\ncollaborators:\n"
        "  - {subject: team:everyone, role_id: provider-account-access}\n"
    )
    viewers = ACCOUNT.replace("lab", "more") + "collaborators: [{subject: team:everyone, role_id: viewer}]\n"
    texts = [
        account,
        viewers,
        CALLER.replace("0" * 64, "2" * 64).replace("app", "x").replace("lab/*", "x"),
        TEAM,
    ]
    users = [pat("t1", "env:A"), pat("t2", "env:B", "b@x.io")]
    environ = {"A": "a", "B": "b"}
    config = accepted_config(check_text(tmp_path, *texts, *users, environ=environ))
    rights = compile_rights(config, ["main/small", "main/large", "more/qwen"])
    found = compile_identity(config, SecretSource(environ), rights, is_loopback=False)
    member, other = caller(found, "a"), caller(found, "b")
    assert member.models == {"main/small", "main/large"}
    assert member.accounts == {"main"}
    assert other.models == {"main/small"}
    assert other.accounts == frozenset()
    assert (member.kind, member.teams) == ("user", ("ml",))


def test_role_bindings(tmp_path: Path) -> None:
    """Everybody who is named gets all that can be called."""
    binding = (
        "type: role-binding\nname: b\nsubjects:\n"
        "  - {type: team, name: ml}\n  - {type: virtualaccount, name: bare}\n"
        "permissions:\n"
        "  - {resourceType: x, resourceFqn: 't:self-hosted-model:lab', role: provider-account-access}\n"
        "  - {resourceType: x, resourceFqn: 't:self-hosted-model:lab', role: viewer}\n"
    )
    bare = "type: virtual-account\nname: bare\ntokens: ['env:C']\n"
    texts = [ACCOUNT, CALLER, TEAM.replace("models", "x-models"), binding, bare]
    users = [pat("t1", "env:A"), pat("t2", "env:B", "b@x.io")]
    environ = {"A": "a", "B": "b", "C": "c"}
    config = accepted_config(check_text(tmp_path, *texts, *users, environ=environ))
    found = compile_identity(
        config, SecretSource(environ), compile_rights(config, ["lab/qwen"]), is_loopback=False
    )
    assert caller(found, "a").models == {"lab/qwen"}
    assert caller(found, "a").accounts == {"lab"}
    assert caller(found, "b").models == frozenset()
    assert caller(found, "c").models == {"lab/qwen"}


def test_roles_of_one_s_own(tmp_path: Path) -> None:
    """One of the tenant gives everything, one of accounts what it is bound to; reserved models stay so."""
    role = "type: role\nname: {}\nresourceType: {}\npermissions: ['provider-account:UseIntegrations']\n"
    account = (
        "type: provider-account/openai\nname: main\nintegrations:\n  - {name: small, model_id: s}\n"
        "  - {name: large, model_id: l, authorized_subjects: [team:ml]}\n"
        "collaborators: [{subject: 'user:b@x.io', role_id: some}, {subject: 'user:c@x.io', role_id: all}]\n"
    )
    binding = (
        "type: role-binding\nname: b\nsubjects: [{type: user, name: a@x.io}]\n"
        "permissions: [{resourceType: tenant, resourceFqn: acme, role: all}]\n"
    )
    users = [pat("t1", "env:A"), pat("t2", "env:B", "b@x.io"), pat("t3", "env:C", "c@x.io")]
    roles = [role.format("all", "tenant"), role.format("some", "provider-account")]
    environ = {"A": "a", "B": "b", "C": "c"}
    config = accepted_config(check_text(tmp_path, ACCOUNT, account, binding, *roles, *users, environ=environ))
    models = ["lab/qwen", "main/small", "main/large"]
    rights = compile_rights(config, models)
    found = compile_identity(config, SecretSource(environ), rights, is_loopback=False)
    assert caller(found, "a").models == {"lab/qwen", "main/small"}
    assert caller(found, "a").accounts == {"lab"}
    assert caller(found, "b").models == {"main/small"}
    assert caller(found, "c").models == frozenset()


def test_tokens_that_were_issued(tmp_path: Path) -> None:
    """Each works until its own end: what it says, or the age that tokens of its account may have."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)

    def issued(token: str, age_days: int, expires_at: dt.datetime | None = None) -> str:
        digest = hashlib.sha256(token.encode()).hexdigest()
        made = (now - dt.timedelta(days=age_days)).isoformat()
        ends = "" if expires_at is None else f', expires_at: "{expires_at.isoformat()}"'
        return f'{{id: {token}, hash: "sha256:{digest}", created_at: "{made}"{ends}}}'

    listed = [
        issued("new", 1),
        issued("due", 95),
        issued("old", 98),
        issued("gone", 1, now - dt.timedelta(seconds=1)),
        "env:A",
    ]
    account = f"type: virtual-account\nname: rot\nmodels: ['lab/*']\ntokens: [{', '.join(listed)}]\n"
    rotation = "auto_rotate: {auto_rotate_interval: 90, grace_period: 7}\n"
    found = identity(tmp_path, account + rotation, A="a")
    assert {caller(found, token).name for token in ("new", "due", "a")} == {"rot"}
    for token in ("old", "gone"):
        with pytest.raises(InvalidApiKey, match="expired"):
            caller(found, token)
    assert caller(identity(tmp_path, account, A="a"), "old").name == "rot"
