"""From a folder of manifests to a `Config`, or to everything that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from gateway.config import loader
from gateway.config.config import Config, in_order, version_of
from gateway.config.cross_checks import check_all
from gateway.config.document import Document
from gateway.config.egress_checks import check_egress
from gateway.config.elastic_checks import check_elastic, check_elastic_variables
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.budgets import BudgetConfig, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.global_settings import GlobalSettings
from gateway.config.manifests.identity_provider import IdentityProvider
from gateway.config.manifests.known import CALLERS, IN_FORCE, MODEL_ACCOUNTS, NOT_IN_FORCE, VIRTUAL_MODELS
from gateway.config.manifests.load_balancing import LoadBalancingConfig
from gateway.config.manifests.logging_config import LoggingConfig
from gateway.config.manifests.metadata_config import MetadataConfig
from gateway.config.manifests.otel_config import OtelConfig
from gateway.config.manifests.part import Manifest
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.rate_limits import RateLimitingConfig, TenantRateLimitConfig
from gateway.config.manifests.role import Role
from gateway.config.manifests.role_binding import RoleBinding
from gateway.config.manifests.team import Team
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.config.metadata_environment import default_metadata
from gateway.config.not_in_force import unbuilt_document
from gateway.config.otel_environment import with_environment
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem, Severity
from gateway.config.reading import Reading, read_document
from gateway.config.secret_checks import check_secrets, find_files
from gateway.config.secrets import SecretSource
from gateway.config.sign_in_checks import check_sign_in
from gateway.config.tls_checks import check_tls, check_tls_variables

_M = TypeVar("_M", bound=Manifest)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check.

    Attributes:
        config: None when there is an error among the problems.
        problems: By file and line.
        not_in_force: What loaded and has no effect yet, such as
            `gateway-global-settings: semantic_cache_settings`.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    not_in_force: tuple[str, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse the configuration."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def check(path: Path, *, strict: bool, secrets: SecretSource) -> Checked:
    """Check every manifest under *path*. With *strict*, what is not in force or has no secret is an error.

    Never raises for what a manifest may hold.
    """
    loaded = loader.load(path)
    problems = [*loaded.problems, *_check_not_empty(loaded.documents, path)]
    return _check(loaded.documents, problems, strict=strict, secrets=secrets)


def check_destinations(path: Path, *, secrets: SecretSource) -> Checked:
    """The same for who wants to try destinations only: models and callers may still be missing."""
    loaded = loader.load(path)
    return _check(loaded.documents, list(loaded.problems), strict=False, secrets=secrets)


def check_documents(documents: Sequence[Document], *, strict: bool, secrets: SecretSource) -> Checked:
    """The same for documents that are loaded already, such as the accepted set."""
    where = documents[0].file if documents else Path("configuration")
    return _check(documents, list(_check_not_empty(documents, where)), strict=strict, secrets=secrets)


def _check(
    documents: Sequence[Document],
    problems: list[Problem],
    *,
    strict: bool,
    secrets: SecretSource,
) -> Checked:
    by_strictness = Severity.ERROR if strict else Severity.WARNING
    readings: list[Reading] = []
    not_in_force: set[str] = set()
    for document in documents:
        reading = _read(document, problems, not_in_force, by_strictness)
        if reading is not None:
            readings.append(reading)
    problems += check_all(documents, readings)
    problems += check_secrets(readings, secrets, by_strictness)
    problems += check_sign_in(readings, secrets, by_strictness)
    problems += check_elastic(readings, secrets)
    problems += check_tls(readings, by_strictness)
    problems += check_egress(readings)
    config = None
    if not any(problem.severity is Severity.ERROR for problem in problems):
        config, found = with_environment(
            _to_config(documents, readings, find_files(readings, secrets)), secrets.environ
        )
        given, wrong = default_metadata(secrets.environ)
        config = replace(config, default_metadata=given)
        problems += (*found, *wrong)
        problems += check_elastic_variables(config, secrets)
        problems += check_tls_variables(config)
    problems.sort(key=lambda problem: (str(problem.file), problem.line))
    return Checked(config, tuple(problems), tuple(sorted(not_in_force)))


def _read(
    document: Document, problems: list[Problem], not_in_force: set[str], unbuilt_severity: Severity
) -> Reading | None:
    model = IN_FORCE.get(document.type)
    if model is None:
        if document.type in NOT_IN_FORCE:
            unbuilt = unbuilt_document(document)
            not_in_force.add(unbuilt.label)
            problems.append(unbuilt.to_problem(document, unbuilt_severity))
        else:
            fix = (
                nearest(document.type, {*IN_FORCE, *NOT_IN_FORCE}) or "'gateway schema' lists the known types"
            )
            problems.append(document.error(("type",), f"unknown type '{document.type}'", fix))
        return None
    reading = read_document(document, model, problems)
    if reading is not None:
        for unbuilt in reading.unbuilt:
            not_in_force.add(unbuilt.label)
            problems.append(unbuilt.to_problem(document, unbuilt_severity))
    return reading


def _check_not_empty(documents: Iterable[Document], where: Path) -> Iterable[Problem]:
    types = {document.type for document in documents}
    if not any(kind in IN_FORCE for kind in types & (MODEL_ACCOUNTS - {VIRTUAL_MODELS})):
        message = "no provider account, so there is no model to call"
        fix = "Add a manifest of type provider-account/openai, or another of docs/providers.md"
        yield Problem(where, 1, "(configuration)", Severity.ERROR, message, fix)
    if types.isdisjoint(CALLERS):
        message = (
            "no virtual account, personal access token or identity provider, "
            "so every call is refused with 401"
        )
        fix = "Add a manifest of type virtual-account or pat"
        yield Problem(where, 1, "(configuration)", Severity.WARNING, message, fix)


def _to_config(documents: Sequence[Document], readings: Sequence[Reading], files: tuple[Path, ...]) -> Config:
    by_document = {(reading.document.type, reading.document.name): reading.in_force for reading in readings}
    ordered = in_order(documents)
    manifests = [
        by_document[document.type, document.name]
        for document in ordered
        if (document.type, document.name) in by_document
    ]
    accounts: list[ProviderAccount] = [
        manifest for manifest in manifests if isinstance(manifest, ProviderAccount)
    ]
    settings = _of(manifests, GlobalSettings)
    return Config(
        documents=ordered,
        provider_accounts=tuple(accounts),
        virtual_models=_of(manifests, VirtualModelAccount),
        load_balancing=_of(manifests, LoadBalancingConfig),
        virtual_accounts=_of(manifests, VirtualAccount),
        teams=_of(manifests, Team),
        access_tokens=_of(manifests, PersonalAccessToken),
        roles=_of(manifests, Role),
        role_bindings=_of(manifests, RoleBinding),
        identity_providers=_of(manifests, IdentityProvider),
        otel_configs=_of(manifests, OtelConfig),
        logging_configs=_of(manifests, LoggingConfig),
        rate_limits=_of(manifests, RateLimitingConfig),
        tenant_rate_limits=_of(manifests, TenantRateLimitConfig),
        budgets=_of(manifests, BudgetConfig),
        tenant_budgets=_of(manifests, TenantBudgetConfig),
        team_budgets=_of(manifests, TeamBudgetConfig),
        metadata_configs=_of(manifests, MetadataConfig),
        default_metadata={},
        global_settings=settings[0] if settings else GlobalSettings(type="gateway-global-settings"),
        version=version_of(documents),
        files=files,
    )


def _of(manifests: Iterable[Manifest], kind: type[_M]) -> tuple[_M, ...]:
    return tuple(manifest for manifest in manifests if isinstance(manifest, kind))
