"""Roles of one's own."""

from __future__ import annotations

import pytest

from gateway.config.manifests.role import BUILT_IN, USE, CallingRoles, Role


def role(name: str, kind: str, *permissions: str) -> Role:
    fields = {"type": "role", "name": name, "displayName": name, "description": "", "resourceType": kind}
    return Role.model_validate({**fields, "permissions": permissions})


def test_roles_that_let_call() -> None:
    """By the permission to use integrations, each on what it is a role of."""
    roles = [
        role("all", "tenant", "cluster:ReadCluster", USE),
        role("some", "provider-account", USE),
        role("manager", "provider-account", "provider-account:ManageProviderAccount"),
        role("elsewhere", "workspace", USE),
        role("none", "tenant"),
    ]
    assert CallingRoles.among(roles) == CallingRoles(BUILT_IN | {"some"}, frozenset({"all"}))


@pytest.mark.parametrize("permission", [USE.lower(), "USE_INTEGRATIONS", "UseIntegrations", f"{USE} ", "*"])
def test_what_looks_like_the_permission(permission: str) -> None:
    """It lets nobody call: names are compared letter by letter."""
    assert CallingRoles.among([role("x", "tenant", permission)]) == CallingRoles()
