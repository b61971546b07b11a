"""Roles of an organisation's own, beside those that are built in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import Field

from gateway.config.manifests.part import Label, Manifest, Text

USE: Final = "provider-account:UseIntegrations"
"""The permission to call models."""
ACCOUNT_PERMISSIONS: Final = frozenset(
    {
        USE,
        *(f"provider-account:{action}ProviderAccount" for action in ("Create", "Read", "Manage", "Delete")),
    }
)
"""All permissions on provider accounts."""
BUILT_IN: Final = frozenset({"provider-account-access", "provider-account-manager"})
"""Of an account, those that let their holders call."""

_TENANT: Final = "tenant"


class Role(Manifest):
    """A role: what whoever has it may do."""

    type: Literal["role"]
    name: Label
    """What bindings, permissions and collaborators name it by."""
    display_name: str | None = Field(default=None, alias="displayName")
    """A name for people, without meaning."""
    description: str | None = None
    """What it is for, without meaning."""
    resource_type: Text = Field(alias="resourceType")
    """What it is a role of: `tenant` (everything) or `provider-account`; of all else it lets nobody call."""
    permissions: tuple[Text, ...]
    """What it lets its holders do; `provider-account:UseIntegrations` is to call models."""


@dataclass(frozen=True, slots=True)
class CallingRoles:
    """Names of the roles that let their holders call.

    Attributes:
        of_accounts: Of one account, or of one model.
        of_everything: Of all accounts.
    """

    of_accounts: frozenset[str] = BUILT_IN
    of_everything: frozenset[str] = frozenset()

    @staticmethod
    def among(roles: Iterable[Role]) -> CallingRoles:
        """Those that are built in, and those of *roles*."""
        calling = [role for role in roles if USE in role.permissions]
        return CallingRoles(
            BUILT_IN.union(role.name for role in calling if role.resource_type == "provider-account"),
            frozenset(role.name for role in calling if role.resource_type == _TENANT),
        )


@dataclass(frozen=True, slots=True)
class ModelGrant:
    """The right to call models of one account.

    Attributes:
        provider: The account's type without `provider-account/`.
        integration: None: every model of the account.
    """

    provider: str
    account: str
    integration: str | None


EVERYTHING: Final = ModelGrant("", "", None)
"""The right to call every model of every account; no resource of a manifest is read as this one."""
