"""Role bindings: several subjects get several rights at once."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.config.manifests.part import Label, Manifest, Part, Text
from gateway.config.manifests.role import CallingRoles, ModelGrant
from gateway.config.manifests.virtual_account import find_grant


class BoundSubject(Part):
    """Who gets the rights."""

    type: Literal["user", "team", "virtualaccount", "agent", "external-identity"]
    """The kind of subject; an `agent` and an `external-identity` do not call yet."""
    name: Text
    """The user's email, or the name."""

    @property
    def subject(self) -> str:
        """As rules name it."""
        return f"{self.type}:{self.name}"


class BoundPermission(Part):
    """A right."""

    resource_type: Text = Field(alias="resourceType")
    """The kind of resource: `provider-account` for models, `tenant` for all of them."""
    resource_fqn: Text = Field(alias="resourceFqn")
    """`<tenant>:<provider>:<account>`, with `:model:<name>` for one model; the tenant is not compared."""
    role: Text
    """`provider-account-access`, `provider-account-manager` and roles of `role` let the subjects call."""

    def grant(self, roles: CallingRoles) -> ModelGrant | None:
        """What it lets the subjects call; None when it is about something else."""
        return find_grant(self.resource_type, self.resource_fqn, self.role, roles)


class RoleBinding(Manifest):
    """Several subjects get several rights at once."""

    type: Literal["role-binding"]
    name: Label
    """Name of the binding, without meaning."""
    subjects: tuple[BoundSubject, ...]
    """Who gets the rights."""
    permissions: tuple[BoundPermission, ...]
    """The rights."""

    def grants(self, roles: CallingRoles) -> tuple[ModelGrant, ...]:
        """What all of the subjects may call by it."""
        granted = (permission.grant(roles) for permission in self.permissions)
        return tuple(grant for grant in granted if grant is not None)
