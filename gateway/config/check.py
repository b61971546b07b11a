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
from gateway.config.reading import Reading, read_document, unknown_field_warnings
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
    problems = list(loaded.problems)
    if not problems:
        # What is missing may stand in what could not be read, and that is the thing to mend.
        problems += _check_not_empty(loaded.documents, path) if loaded.files else [_no_files(path)]
    return _check(loaded.documents, problems, strict=strict, secrets=secrets)


def check_destinations(path: Path | None, *, secrets: SecretSource) -> Checked:
    """The same for who wants to try destinations only: models and callers may still be missing.

    Without a *path*, that of the environment is all there is.
    """
    if path is None:
        return _check((), [], strict=False, secrets=secrets)
    loaded = loader.load(path)
    return _check(loaded.documents, list(loaded.problems), strict=False, secrets=secrets)


def check_documents(
    documents: Sequence[Document], *, strict: bool, secrets: SecretSource, version: str | None = None
) -> Checked:
    """The same for documents that are loaded already.

    Of an accepted set, whose *version* is known, it is not told once more which fields are unknown.
    """
    where = documents[0].file if documents else Path("configuration")
    problems = list(_check_not_empty(documents, where))
    return _check(documents, problems, strict=strict, secrets=secrets, version=version)


def _check(
    documents: Sequence[Document],
    problems: list[Problem],
    *,
    strict: bool,
    secrets: SecretSource,
    version: str | None = None,
) -> Checked:
    by_strictness = Severity.ERROR if strict else Severity.WARNING
    readings: list[Reading] = []
    not_in_force: set[str] = set()
    for document in documents:
        model = IN_FORCE.get(document.type)
        if version is None and model is not None:
            problems += unknown_field_warnings(document, model)
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
            _to_config(documents, readings, find_files(readings, secrets), version or version_of(documents)),
            secrets.environ,
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


def _no_files(folder: Path) -> Problem:
    message = "no manifest is in this folder: no file whose name ends in .yaml, .yml or .json"
    return Problem(folder, 1, "(file)", Severity.ERROR, message, "Put one there, or name another folder")


def _check_not_empty(documents: Iterable[Document], where: Path) -> Iterable[Problem]:
    types = {document.type for document in documents}
    if not types <= {*IN_FORCE, *NOT_IN_FORCE}:
        return  # One that is misspelt may be what is missing.
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


def _to_config(
    documents: Sequence[Document], readings: Sequence[Reading], files: tuple[Path, ...], version: str
) -> Config:
    by_name = sorted(readings, key=lambda reading: (reading.document.type, reading.document.name))
    manifests = [reading.in_force for reading in by_name]
    accounts: list[ProviderAccount] = [
        manifest for manifest in manifests if isinstance(manifest, ProviderAccount)
    ]
    by_kind: dict[type[Manifest], list[Manifest]] = {}
    for manifest in manifests:
        by_kind.setdefault(type(manifest), []).append(manifest)

    def of(kind: type[_M]) -> tuple[_M, ...]:
        some = [each for found, each in by_kind.items() if issubclass(found, kind)]
        return tuple([manifest for each in some for manifest in each if isinstance(manifest, kind)])

    settings = of(GlobalSettings)
    return Config(
        documents=in_order(documents),
        provider_accounts=tuple(accounts),
        virtual_models=of(VirtualModelAccount),
        load_balancing=of(LoadBalancingConfig),
        virtual_accounts=of(VirtualAccount),
        teams=of(Team),
        access_tokens=of(PersonalAccessToken),
        roles=of(Role),
        role_bindings=of(RoleBinding),
        identity_providers=of(IdentityProvider),
        otel_configs=of(OtelConfig),
        logging_configs=of(LoggingConfig),
        rate_limits=of(RateLimitingConfig),
        tenant_rate_limits=of(TenantRateLimitConfig),
        budgets=of(BudgetConfig),
        tenant_budgets=of(TenantBudgetConfig),
        team_budgets=of(TeamBudgetConfig),
        metadata_configs=of(MetadataConfig),
        default_metadata={},
        global_settings=settings[0] if settings else GlobalSettings(type="gateway-global-settings"),
        version=version,
        files=files,
    )
