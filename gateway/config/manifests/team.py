"""Teams: users who may do the same, and whom rules name together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import Label, Manifest, Part, Text, wrong
from gateway.config.manifests.virtual_account import IdentityProviderMapping
from gateway.model import EVERYONE


def _check_team(name: str) -> str:
    if name == EVERYONE:
        raise wrong(f"'{EVERYONE}' is the team of all users, which needs no manifest", "Choose another name")
    return name


class TeamOwner(Part):
    """Who owns a team."""

    account: Text
    """Name of the owning account."""


class Team(Manifest):
    """Users who may do the same, and whom rules name together as `team:<name>`."""

    type: Literal["team"]
    name: Annotated[Label, AfterValidator(_check_team)]
    """The team's name in rules."""
    display_name: str | None = Field(default=None, alias="displayName")
    """A name for people, without meaning."""
    description: str | None = None
    """What it is for, without meaning."""
    managers: tuple[Text, ...] = ()
    """Who manages the members, by email."""
    members: tuple[Text, ...]
    """The users in it, by email as in `user_fqn` of their tokens; upper and lower case differ."""
    models: tuple[Text, ...] = ()
    """What its members may call: patterns as a virtual account's. Extension."""
    owned_by: TeamOwner | None = Field(default=None, alias="ownedBy")
    """Who owns the team."""
    tags: dict[str, Any] = Field(default_factory=dict)
    """Keys and values about the team."""
    identity_provider_mapping: tuple[IdentityProviderMapping, ...] = ()
    """Who of an identity provider is in this team."""
