"""Role bindings as manifests have them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.role_binding import RoleBinding
from gateway.config.manifests.virtual_account import ModelGrant


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
    assert binding().permissions[0].grant == ModelGrant("openai", "main", None)
    assert binding().grants == (ModelGrant("openai", "main", None),)
    assert binding(role="viewer").permissions[0].grant is None
    assert binding(role="viewer").grants == ()


def test_kinds() -> None:
    """Others than TrueFoundry's are slips."""
    assert binding("agent").subjects[0].subject == "agent:ml"
    with pytest.raises(ValidationError, match="type"):
        binding("group")
