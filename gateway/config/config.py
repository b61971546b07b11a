"""The whole configuration: what operators wrote, checked, as far as it is in force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.document import Document
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.budgets import BudgetConfig, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.global_settings import GlobalSettings
from gateway.config.manifests.identity_provider import IdentityProvider
from gateway.config.manifests.load_balancing import LoadBalancingConfig
from gateway.config.manifests.logging_config import LoggingConfig
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.manifests.otel_config import OtelConfig
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.rate_limits import RateLimitingConfig, TenantRateLimitConfig
from gateway.config.manifests.role import Role
from gateway.config.manifests.role_binding import RoleBinding
from gateway.config.manifests.team import Team
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount

_VERSION_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without errors.

    What is not in force (`gateway.config.not_in_force`) is in `documents` and nowhere else: the manifests
    here carry the default in its place.

    Attributes:
        documents: All of them, also of types that are not in force, ordered by type and name.
        provider_accounts: Ordered by type and name, like all the manifests.
        default_metadata: Of the environment, below what manifests say.
        global_settings: The defaults when no manifest sets them.
        version: The same documents have the same version, whatever files they stand in.
        files: See `referenced_files`.
    """

    documents: tuple[Document, ...]
    provider_accounts: tuple[ProviderAccount, ...]
    virtual_models: tuple[VirtualModelAccount, ...]
    load_balancing: tuple[LoadBalancingConfig, ...]
    virtual_accounts: tuple[VirtualAccount, ...]
    teams: tuple[Team, ...]
    access_tokens: tuple[PersonalAccessToken, ...]
    roles: tuple[Role, ...]
    role_bindings: tuple[RoleBinding, ...]
    identity_providers: tuple[IdentityProvider, ...]
    otel_configs: tuple[OtelConfig, ...]
    logging_configs: tuple[LoggingConfig, ...]
    rate_limits: tuple[RateLimitingConfig, ...]
    tenant_rate_limits: tuple[TenantRateLimitConfig, ...]
    budgets: tuple[BudgetConfig, ...]
    tenant_budgets: tuple[TenantBudgetConfig, ...]
    team_budgets: tuple[TeamBudgetConfig, ...]
    metadata_configs: tuple[MetadataConfig, ...]
    default_metadata: Mapping[str, str]
    global_settings: GlobalSettings
    version: str
    files: tuple[Path, ...]

    def virtual_names(self) -> dict[str, tuple[str, ...]]:
        """All names of each virtual model, by each of them, the full one first."""
        found: dict[str, tuple[str, ...]] = {}
        for group in self.virtual_models:
            for model in group.integrations:
                every = (f"{group.name}/{model.name}", *model.other_names)
                found |= dict.fromkeys(every, every)
        return found

    def referenced_files(self) -> tuple[Path, ...]:
        """Files that hold its secrets, existing or not: a change of one is a change of the configuration."""
        return self.files


def version_of(documents: Sequence[Document]) -> str:
    """The version of a set of documents."""
    bodies = [[document.type, document.name, document.body] for document in in_order(documents)]
    canonical = json.dumps(bodies, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_VERSION_LENGTH]


def in_order(documents: Sequence[Document]) -> tuple[Document, ...]:
    """*documents* by type and name, so that neither files nor their names decide the order of anything."""
    return tuple(sorted(documents, key=lambda document: (document.type, document.name)))
