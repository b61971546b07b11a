"""Role bindings as manifests have them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.role import CallingRoles, ModelGrant
from gateway.config.manifests.role_binding import RoleBinding

BUILT_IN = CallingRoles()


def binding(kind: str = "team", role: str = "provider-account-access") -> RoleBinding:
    permission = {"resourceType": "provider-account", "resourceFqn": "t:openai:main", "role": role}
    return RoleBinding.model_validate(
        {
            "type": "role-binding",
            "name": "b",
            "subjects": [{"type": kind, "name": "ml"}],
            "permissions": [permission],
        }
    )


def test_who_gets_what() -> None:
    """Subjects are named as rules name them; a role that is not to call grants nothing."""
    assert binding().subjects[0].subject == "team:ml"
    assert binding().permissions[0].grant(BUILT_IN) == ModelGrant("openai", "main", None)
    assert binding().grants(BUILT_IN) == (ModelGrant("openai", "main", None),)
    assert binding(role="viewer").permissions[0].grant(BUILT_IN) is None
    assert binding(role="viewer").grants(BUILT_IN) == ()


def test_roles_of_one_s_own() -> None:
    """They grant what the built-in ones grant."""
    roles = CallingRoles(of_accounts=frozenset({"viewer"}))
    assert binding(role="viewer").grants(roles) == (ModelGrant("openai", "main", None),)


def test_kinds() -> None:
    """Others than TrueFoundry's are slips."""
    assert binding("agent").subjects[0].subject == "agent:ml"
    with pytest.raises(ValidationError, match="type"):
        binding("group")
