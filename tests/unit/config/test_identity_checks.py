"""Identity providers, and who of them is whom."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, TEAM, check_text, found

IDP = """\
type: external-identity-provider
name: acme
issuer: https://login.acme.example/
audiences: [api://gateway]
jwks_uri: https://login.acme.example/keys
"""


def mapped(manifest: str, value: str = "g", provider: str = "acme") -> str:
    return f"{manifest}identity_provider_mapping: [{{identity_provider: {provider}, value: {value}}}]\n"


def test_a_good_set(tmp_path: Path) -> None:
    """Is enough to call, without any token; a group may be in several teams."""
    account = mapped('type: virtual-account\nname: app\nmodels: ["lab/*"]\n')
    checked = check_text(
        tmp_path, ACCOUNT, IDP, account, mapped(TEAM), mapped(TEAM.replace("name: ml", "name: ops"))
    )
    assert found(checked) == []
    assert checked.config is not None
    assert [provider.name for provider in checked.config.identity_providers] == ["acme"]
    assert found(check_text(tmp_path, ACCOUNT, IDP)) == []


def test_two_of_one_issuer(tmp_path: Path) -> None:
    """Nobody could say whose a token is."""
    [problem] = found(check_text(tmp_path, ACCOUNT, IDP, IDP.replace("name: acme", "name: other")))
    assert problem.startswith("error")
    assert "issuer: this issuer is already that of 'acme'" in problem


def test_unknown_providers(tmp_path: Path) -> None:
    """A mapping to nowhere is told, with the nearest name."""
    [problem] = found(check_text(tmp_path, ACCOUNT, IDP, mapped(CALLER, provider="acm")))
    assert "there is no identity provider 'acm'" in problem
    assert "'acme'" in problem
    problems = found(check_text(tmp_path, ACCOUNT, CALLER, mapped(TEAM)))
    assert any("Add a manifest of type external-identity-provider" in one for one in problems)


def test_two_accounts(tmp_path: Path) -> None:
    """One subject is one account; the same mapping twice in one is no harm."""
    other = 'type: virtual-account\nname: zoo\nmodels: ["lab/*"]\n'
    problems = found(check_text(tmp_path, ACCOUNT, IDP, mapped(CALLER), mapped(other)))
    assert ["already the virtual account 'app'" in one for one in problems] == [True]
    assert found(check_text(tmp_path, ACCOUNT, IDP, mapped(CALLER), mapped(other, "h"))) == []


def test_users_that_no_manifest_lists(tmp_path: Path) -> None:
    """Where a provider signs users in, naming one that has no token is no slip."""
    rule = (
        "type: gateway-rate-limiting-config\nname: r\nrules:\n"
        "  - {id: u, when: {subjects: ['user:new@x.io']}, limit_to: 5, unit: requests_per_minute}\n"
    )
    shared = ACCOUNT + "collaborators: [{subject: 'user:new@x.io', role_id: provider-account-access}]\n"
    assert found(check_text(tmp_path, shared, CALLER, IDP, rule)) == []
    problems = found(check_text(tmp_path, shared, CALLER, rule))
    assert len([one for one in problems if "new@x.io" in one]) == 2


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration is refused, and what to install is said."""
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "jwt" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    checked = check_text(tmp_path, ACCOUNT, IDP)
    assert checked.config is None
    [problem] = found(checked)
    assert "needs PyJWT, which is not installed" in problem
    assert "pip install 'gateway[jwt]'" in problem
    assert found(check_text(tmp_path, ACCOUNT, CALLER)) == []
