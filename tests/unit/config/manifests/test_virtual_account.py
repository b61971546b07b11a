"""Callers: until when, and what they may call."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from gateway.config.manifests.role import EVERYTHING, CallingRoles, ModelGrant
from gateway.config.manifests.virtual_account import Permission, VirtualAccount

BUILT_IN = CallingRoles()


def caller(**fields: object) -> VirtualAccount:
    return VirtualAccount.model_validate({"type": "virtual-account", "name": "a", **fields})


def test_expiration() -> None:
    """A day counts to its end in UTC."""
    assert caller(expiration_date="2027-01-31").expires_at == dt.datetime(2027, 2, 1, tzinfo=dt.UTC)


def test_no_expiration() -> None:
    """Never."""
    assert caller().expires_at is None


@pytest.mark.parametrize(
    ("fqn", "expected"),
    [
        ("acme:openai:main", ModelGrant("openai", "main", None)),
        (":openai:main", ModelGrant("openai", "main", None)),
        ("acme:openai:main:model:gpt-4o", ModelGrant("openai", "main", "gpt-4o")),
        ("acme:ollama:lab:model:org/qwen2:7b", ModelGrant("ollama", "lab", "org/qwen2:7b")),
        ("acme:openai", None),
        ("acme:openai:main:prompt:x", None),
        ("acme:openai:main:model:", None),
        ("main", None),
    ],
)
def test_grants_of_a_permission(fqn: str, expected: ModelGrant | None) -> None:
    """The tenant is not compared; what is no model grants nothing."""
    permission = {
        "resource_fqn": fqn,
        "resource_type": "provider-account",
        "role_id": "provider-account-access",
    }
    assert Permission.model_validate(permission).grant(BUILT_IN) == expected
    assert caller(permissions=[permission]).grants(BUILT_IN) == (() if expected is None else (expected,))


def test_a_permission_needs_no_more_than_its_resource() -> None:
    """To call its models is what it is there for; to have everything must be written out."""
    least = Permission.model_validate({"resource_fqn": "acme:openai:main:model:gpt-4o"})
    assert least.grant(BUILT_IN) == ModelGrant("openai", "main", "gpt-4o")
    everything = Permission.model_validate({"resource_fqn": "acme", "resource_type": "tenant"})
    assert everything.grant(CallingRoles(of_everything=frozenset({"all"}))) is None


@pytest.mark.parametrize(
    "slip",
    [
        {"role": "viewer"},
        {"rol_id": "viewer", "resource_type": "provider-account"},
        {"resourceType": "mcp-server", "role_id": None},
    ],
)
def test_what_is_misspelt_is_not_left_out(slip: dict[str, str | None]) -> None:
    """It may have been meant to grant less; where nothing is left out it is only warned of."""
    with pytest.raises(ValidationError, match="needs its resource_type and role_id"):
        Permission.model_validate({"resource_fqn": "t:openai:main", **slip})
    whole = {"resource_fqn": "t:openai:main", "resource_type": "provider-account", "role_id": "viewer"}
    assert Permission.model_validate({**slip, **whole}).grant(BUILT_IN) is None


@pytest.mark.parametrize("name", ["role_id", "resource_type", "resource_fqn"])
def test_a_blank_right_grants_nothing(name: str) -> None:
    """Nor at TrueFoundry, whose types demand a text: a role that was taken out of a line is no default."""
    permission = {
        "resource_fqn": "t:openai:main",
        "resource_type": "provider-account",
        "role_id": "provider-account-access",
    }
    with pytest.raises(ValidationError, match=f"{name} has no value") as refused:
        Permission.model_validate({**permission, name: None})
    fix = refused.value.errors()[0]["ctx"]["fix"]
    assert ("remove the whole line" in fix) is (name != "resource_fqn")


@pytest.mark.parametrize(
    ("role", "may_call"),
    [
        ("provider-account-access", True),
        ("provider-account-manager", True),
        ("viewer", False),
        ("admin", False),
    ],
)
def test_roles(role: str, *, may_call: bool) -> None:
    """A role that is not known to call does not."""
    permission = Permission(resource_fqn="t:openai:main", resource_type="provider-account", role_id=role)
    assert (permission.grant(BUILT_IN) is not None) is may_call


@pytest.mark.parametrize(
    ("kind", "role", "expected"),
    [
        ("tenant", "all", EVERYTHING),
        ("tenant", "some", None),
        ("tenant", "provider-account-access", None),
        ("provider-account", "all", None),
        ("provider-account", "some", ModelGrant("openai", "main", None)),
    ],
)
def test_roles_of_one_s_own(kind: str, role: str, expected: ModelGrant | None) -> None:
    """A role counts on the kind of resource that it is of, and on no other."""
    roles = CallingRoles(frozenset({"some", "provider-account-access"}), frozenset({"all"}))
    permission = Permission(resource_fqn="t:openai:main", resource_type=kind, role_id=role)
    assert permission.grant(roles) == expected


def test_tags_as_metadata() -> None:
    """Texts as they are, all else as its JSON, so that rules can name it."""
    tags = {"a": "x", "b": True, "c": 7, "d": ["ü", 1], "e": None}
    account = VirtualAccount.model_validate({"type": "virtual-account", "name": "a", "tags": tags})
    assert account.metadata == {"a": "x", "b": "true", "c": "7", "d": '["ü", 1]', "e": "null"}
