"""From the configuration to who calls."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.config import SecretSource
from gateway.errors import InvalidApiKey
from gateway.identity.compile import compile_identity, compile_rights, known_callers
from gateway.identity.dashboard_tokens import DashboardKey
from gateway.identity.key_set import KeySet, parse_keys
from gateway.identity.rights import Rights
from gateway.identity.tokens import Identity
from gateway.model import Caller
from tests.rig.signed_tokens import SigningKey, claims, key_set
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


def test_a_model_for_all_users_keeps_nobody_out(tmp_path: Path) -> None:
    """TrueFoundry writes such lists where nobody chose any; who was given the model by name has it still."""
    account = (
        "type: provider-account/openai\nname: main\nintegrations:\n"
        "  - {name: small, model_id: s, authorized_subjects: ['team:everyone']}\n"
    )
    app = "type: virtual-account\nname: app\ntokens: ['env:A']\nmodels: [main/small]\n"
    bare = "type: virtual-account\nname: bare\ntokens: ['env:B']\n"
    environ = {"A": "a", "B": "b"}
    config = accepted_config(check_text(tmp_path, account, app, bare, environ=environ))
    rights = compile_rights(config, ["main/small"])
    found = compile_identity(config, SecretSource(environ), rights, is_loopback=False)
    assert caller(found, "a").models == {"main/small"}
    assert caller(found, "b").models == frozenset()


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
        "type: virtual-account\nname: bare\ntokens: ['env:C']\n",
    ]
    users = [pat("t1", "env:A"), pat("t2", "env:B", "b@x.io")]
    environ = {"A": "a", "B": "b", "C": "c"}
    config = accepted_config(check_text(tmp_path, *texts, *users, environ=environ))
    rights = compile_rights(config, ["main/small", "main/large", "more/qwen"])
    found = compile_identity(config, SecretSource(environ), rights, is_loopback=False)
    member, other = caller(found, "a"), caller(found, "b")
    assert member.models == {"main/small", "main/large"}
    assert member.accounts == {"main"}
    assert other.models == {"main/small"}
    assert other.accounts == frozenset()
    assert (member.kind, member.teams) == ("user", ("ml",))
    # All users are meant, and no virtual account.
    assert caller(found, "c").models == frozenset()


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


class OneRing:
    """The keys of a provider that publishes one."""

    def __init__(self, key: SigningKey) -> None:
        self.keys: KeySet | None = parse_keys(key_set(key))

    def ring(self, _address: str) -> OneRing:
        return self

    def ask(self) -> None:
        """Nothing is renewed."""


IDP = (
    "type: external-identity-provider\nname: acme\nissuer: https://login.acme.example/\n"
    "audiences: ['api://gateway']\njwks_uri: https://login.acme.example/keys\n"
)
OTHER_IDP = IDP.replace("acme", "partner")


def signed_in(folder: Path, *texts: str, **said: Any) -> Caller:
    """Who calls with a token of these claims."""
    key = SigningKey("k1")
    config = accepted_config(check_text(folder, *texts, environ={"A": "a"}))
    rights = compile_rights(config, ["lab/qwen", "main/small", "main/large"])
    found = compile_identity(config, SecretSource({"A": "a"}), rights, is_loopback=False, keys=OneRing(key))
    return found.identify(FakeHeaders([("authorization", f"Bearer {key.sign(claims(**said))}")]))


def test_users_of_a_provider(tmp_path: Path) -> None:
    """Teams of manifests and of groups count, as do collaborators; models of a token do not."""
    shared = ACCOUNT + "collaborators: [{subject: 'team:guests', role_id: provider-account-access}]\n"
    ops = "type: team\nname: ops\nmembers: []\nmodels: [main/small]\n" + mapping("acme", "g-ops")
    guests = "type: team\nname: guests\nmembers: [a@x.io]\n"
    texts = (shared, CALLER, IDP, OTHER_IDP, ops, guests, pat("t", "env:A", more="models: [main/large]\n"))
    user = signed_in(tmp_path, *texts, groups=["g-ops"])
    assert (user.name, user.kind, user.teams) == ("a@x.io", "user", ("guests", "ops"))
    assert user.models == {"lab/qwen", "main/small"}
    assert user.accounts == {"lab"}
    partner = signed_in(tmp_path, *texts, groups=["g-ops"], iss="https://login.partner.example/")
    assert partner.teams == ("guests",)


def mapping(provider: str, value: str) -> str:
    return f"identity_provider_mapping: [{{identity_provider: {provider}, value: {value}}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        ACCOUNT + "collaborators: [{subject: 'user:a@x.io', role_id: provider-account-access}]\n",
        ACCOUNT.rstrip() + "\n    authorized_subjects: ['user:a@x.io']\n",
        ACCOUNT + "---\n" + TEAM,
        ACCOUNT + "---\n" + pat("t", "env:A"),
    ],
)
def test_who_is_named(tmp_path: Path, text: str) -> None:
    """Whoever stands in any manifest that gives rights; others are not."""
    assert signed_in(tmp_path, text, CALLER, IDP).name == "a@x.io"
    for other in ("b@x.io", "A@x.io"):
        with pytest.raises(InvalidApiKey, match="no access"):
            signed_in(tmp_path, text, CALLER, IDP, email=other)
    open_idp = IDP + "unknown_users: allow\n"
    assert signed_in(tmp_path, text, CALLER, open_idp, email="b@x.io").models == frozenset()


def test_virtual_accounts_of_a_provider(tmp_path: Path) -> None:
    """Are what they are with a token of their own: rights, tags and date."""
    account = CALLER + "tags: {cost_center: '42'}\n" + mapping("acme", "svc-1")
    caller = signed_in(tmp_path, ACCOUNT, account, IDP, OTHER_IDP, sub="svc-1")
    assert (caller.name, caller.kind) == ("app", "virtualaccount")
    assert caller.models == {"lab/qwen"}
    assert caller.tags == {"cost_center": "42"}
    with pytest.raises(InvalidApiKey, match="no access"):
        signed_in(
            tmp_path, ACCOUNT, account, IDP, OTHER_IDP, sub="svc-1", iss="https://login.partner.example/"
        )
    with pytest.raises(InvalidApiKey, match="name of a virtual account"):
        signed_in(tmp_path, ACCOUNT, account, IDP, email="app")
    gone = account + "expiration_date: '2020-01-31'\n"
    with pytest.raises(InvalidApiKey, match="has expired"):
        signed_in(tmp_path, ACCOUNT, gone, IDP, sub="svc-1")


def test_metadata_of_users_of_a_provider(tmp_path: Path) -> None:
    """Rules give it to them by teams that only their tokens put them in."""
    rules = (
        "type: gateway-metadata-config\nrules:\n"
        "  - {id: t, when: {subjects: ['team:ml']}, metadata_override: {cost_center: '42'}}\n"
    )
    team = "type: team\nname: ml\nmembers: []\n" + mapping("acme", "g-ml")
    caller = signed_in(tmp_path, ACCOUNT, CALLER, IDP, team, rules, email="b@x.io", groups="g-ml")
    assert caller.tags == {"cost_center": "42"}


def test_opaque_tokens_beside_a_provider(tmp_path: Path) -> None:
    """Go on as they are; one that only looks signed is known by its hash."""
    token = SigningKey("k1").sign(claims(iss="https://elsewhere.example/"))
    config = accepted_config(check_text(tmp_path, ACCOUNT, IDP, CALLER.replace(
        f"sha256:{'0' * 64}", f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    )))  # fmt: skip
    rights = compile_rights(config, ["lab/qwen"])
    keys = OneRing(SigningKey("k1"))
    found = compile_identity(config, SecretSource({}), rights, is_loopback=False, keys=keys)
    assert caller(found, token).name == "app"
    with pytest.raises(InvalidApiKey, match="not known here"):
        caller(found, "sk-unknown")


def test_google_sdks_with_a_provider(tmp_path: Path) -> None:
    """The first good token counts, with no hash that an address could be signed for; else the last reason."""
    key = SigningKey("k1")
    config = accepted_config(check_text(tmp_path, ACCOUNT, CALLER, TEAM, IDP))
    found = compile_identity(
        config, SecretSource({}), compile_rights(config, []), is_loopback=False, keys=OneRing(key)
    )
    good, googles = key.sign(claims()), key.sign(claims(iss="https://accounts.google.com"))
    headers = FakeHeaders([("authorization", f"Bearer {googles}")])
    user, sha256 = found.identify_google(headers, good)
    assert (user.name, sha256) == ("a@x.io", b"")
    assert found.knows(good)
    assert not found.knows(googles)
    with pytest.raises(InvalidApiKey, match="has expired"):
        found.identify_google(FakeHeaders([("x-goog-api-key", "AIza")]), key.sign(claims(exp=1000)))


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


def test_stars_are_no_account(tmp_path: Path) -> None:
    """A permission is for the account that it names, letter by letter: `*` is none, and not all of them."""
    caller = CALLER.replace('models: ["lab/*"]\n', "")
    starred = caller + (
        "permissions:\n"
        "  - {resource_fqn: 'acme:*:*', resource_type: provider-account, role_id: provider-account-access}\n"
    )
    checked = check_text(tmp_path, ACCOUNT, starred)
    assert any("there is no account '*'" in problem.message for problem in checked.problems)
    config = accepted_config(checked)
    (known,) = known_callers(config, compile_rights(config, ["lab/qwen"]))
    assert (known.models, known.accounts) == (frozenset(), frozenset())


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


def test_who_is_signed_in_to_the_dashboard(tmp_path: Path) -> None:
    """Admins may call every model that is not kept for others; viewers what a user of their name may."""
    text = pat("b", "sha256:" + "0" * 64, more="models: [lab/qwen]\n")
    over = pat("old", "sha256:" + "1" * 64, user="old@x.io") + "expiration_date: 2020-01-31\nmodels: ['*']\n"
    config = accepted_config(check_text(tmp_path, ACCOUNT, text, over))
    rights = compile_rights(config, ["lab/qwen"])
    key = DashboardKey(tmp_path)
    found = compile_identity(config, SecretSource({}), rights, is_loopback=True, dashboard=key)

    def signed(name: str, *, is_admin: bool) -> Caller:
        return caller(found, key.mint(name, is_admin=is_admin, now_s=time.time()))

    admin = signed("ada", is_admin=True)
    assert (admin.kind, admin.name, admin.models) == ("user", "ada", frozenset({"lab/qwen"}))
    assert admin.is_dashboard
    assert signed("a@x.io", is_admin=False).is_dashboard
    assert signed("a@x.io", is_admin=False).models == {"lab/qwen"}
    for name in ("ada", "old@x.io"):
        with pytest.raises(InvalidApiKey, match="viewer"):
            signed(name, is_admin=False)
