"""Virtual accounts: the applications that may call."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, Strict, model_validator

from gateway.config.manifests.expiration import Expiration, parse_expiration
from gateway.config.manifests.issued_token import ListedToken
from gateway.config.manifests.metadata_config import check_metadata
from gateway.config.manifests.part import Label, Manifest, Part, PositiveCount, Text, wrong
from gateway.config.manifests.role import EVERYTHING, CallingRoles, ModelGrant

_FQN: Final = re.compile(r"[^:]*:([^:]+):([^:]+)(?::model:(.+))?")


def find_grant(resource_type: str, resource_fqn: str, role: str, roles: CallingRoles) -> ModelGrant | None:
    """What *role* on a resource lets its holder call; None when it is about something else."""
    if resource_type == "tenant":
        return EVERYTHING if role in roles.of_everything else None
    match = _FQN.fullmatch(resource_fqn)
    if match is None or role not in roles.of_accounts:
        return None
    return ModelGrant(match[1], match[2], match[3])


class Permission(Part):
    """A right, as TrueFoundry writes it; what it has besides the resource may be left out here."""

    resource_fqn: Text
    """`<tenant>:<provider>:<account>`, with `:model:<name>` for one model; the tenant is not compared."""
    resource_type: Text = "provider-account"
    """The kind of resource: `provider-account` for models, `tenant` for all of them."""
    role_id: Text = "provider-account-access"
    """`provider-account-access`, `provider-account-manager` and roles of `role` let the account call."""

    @model_validator(mode="before")
    @classmethod
    def _check_left_out(cls, value: Any) -> Any:
        """Whoever writes `role: viewer`, or blanks a role, has left nothing out, and means to grant less."""
        if isinstance(value, dict):
            known, written = cls.model_fields.keys(), {name for name in value if value[name] is not None}
            if not (written <= known or known <= written):
                what = "needs its resource_type and role_id where another field of it is unknown"
                raise wrong(what, "Rename the unknown field, or remove it")
            blank = sorted(known & value.keys() - written)
            if blank:
                or_default = (
                    "" if "resource_fqn" in blank else ", or remove the whole line to have the default"
                )
                raise wrong(f"{', '.join(blank)} has no value", f"Write one{or_default}")
        return value

    def grant(self, roles: CallingRoles) -> ModelGrant | None:
        """What it lets the account call; None when it is about something else."""
        return find_grant(self.resource_type, self.resource_fqn, self.role_id, roles)


class AutoRotate(Part):
    """How old tokens may become."""

    auto_rotate_interval: Annotated[int, Strict(), Field(ge=30)] = 360
    """Days from its making until a token is due for another one."""
    grace_period: PositiveCount = 30
    """Days that it still works from then on, and that a token which was rotated does."""

    @property
    def interval(self) -> dt.timedelta:
        """Until a token is due."""
        return dt.timedelta(days=self.auto_rotate_interval)

    @property
    def grace(self) -> dt.timedelta:
        """How long it works from then on."""
        return dt.timedelta(days=self.grace_period)


class IdentityProviderMapping(Part):
    """Who of an identity provider is this account."""

    identity_provider: Text
    """Name of the identity provider."""
    value: Text
    """What its subject claim must be."""


class VirtualAccountOwner(Part):
    """Who owns a virtual account."""

    account: Text | None = None
    """Name of the owning account."""
    team: Text
    """Name of the owning team."""


class VirtualAccount(Manifest):
    """An application that may call the gateway."""

    type: Literal["virtual-account"]
    name: Label
    """The caller's name in traces and limits."""
    tokens: tuple[ListedToken, ...] = ()
    """Any of these signs the caller in: references, `sha256:` and a hash, or what was issued. Extension."""
    models: tuple[Text, ...] = ()
    """What it may call: patterns (`*`, `?`, `[...]`) of `<account>/<integration>`, and slugs. Extension."""
    permissions: tuple[Permission, ...] = ()
    """What it may call, as TrueFoundry writes it; united with `models`."""
    expiration_date: Expiration | None = None
    """The last day that it may call, to its end in UTC, or an RFC 3339 time."""
    auto_rotate: AutoRotate | None = None
    """How old tokens may become."""
    notification_target: dict[str, Any] | None = None
    """Who is told when the token changes."""
    secret_store_config: dict[str, Any] | None = None
    """Where a new token is stored."""
    owned_by: VirtualAccountOwner | None = Field(default=None, alias="ownedBy")
    """Who owns the account."""
    tags: Annotated[dict[Text, Any], AfterValidator(check_metadata)] = Field(default_factory=dict)
    """Keys and values of the metadata of each of its calls, in place of what is written or given else."""
    identity_provider_mapping: tuple[IdentityProviderMapping, ...] = ()
    """Who of an identity provider is this account."""
    token_type: Literal["jwt", "opaque"] | None = None
    """The form of tokens that are issued: `opaque` (random, also without it) or `jwt`."""

    @property
    def expires_at(self) -> dt.datetime | None:
        """The first moment, in UTC, at which its tokens no longer work; None: never."""
        return None if self.expiration_date is None else parse_expiration(self.expiration_date)

    @property
    def longest_life(self) -> dt.timedelta | None:
        """How long a token works from its making on; None: as long as its dates say."""
        return None if self.auto_rotate is None else self.auto_rotate.interval + self.auto_rotate.grace

    @property
    def metadata(self) -> dict[str, str]:
        """Its tags as metadata: what is not text is its JSON."""
        return {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            for key, value in self.tags.items()
        }

    def grants(self, roles: CallingRoles) -> tuple[ModelGrant, ...]:
        """What `permissions` let it call."""
        granted = (permission.grant(roles) for permission in self.permissions)
        return tuple(grant for grant in granted if grant is not None)
