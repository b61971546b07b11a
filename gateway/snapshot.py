"""From what operators write (`Config`) to what a request uses (`Snapshot`).

Everything that depends on configuration alone is worked out here, once per change. A request takes one
`Snapshot` and keeps it to its end, so a change never meets a request half-way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from gateway.config import Config, SecretMissing, SecretSource
from gateway.config.manifests.known import VIRTUAL_MODELS
from gateway.config.manifests.virtual_account import ModelGrant, VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.endpoints.anthropic_models import anthropic_model_list
from gateway.endpoints.openai_models import model_list
from gateway.identity.metadata import GivenMetadata
from gateway.identity.tokens import DEMO_TOKEN_SHA256, Credential, Identity
from gateway.limits.compile import compile_limits
from gateway.limits.permit import LimitPolicy
from gateway.model import Caller, Dialect, KeepAlive, Target
from gateway.pricing.target_prices import with_prices
from gateway.providers.addressing import Resolve
from gateway.providers.registry import make_targets
from gateway.routing.accounts import Accounts
from gateway.routing.circuit import CircuitRules
from gateway.routing.compile import (
    circuit_rules,
    compile_routes,
    keep_alive,
    retry_policy,
    time_limits,
)
from gateway.routing.direct import Routing
from gateway.routing.runtime import Runtime
from gateway.telemetry.plan import PLAIN, TelemetryPlan, compile_telemetry
from gateway.telemetry.secrets_in_spans import KnownSecrets, keys_of

_VIRTUAL: Final = VIRTUAL_MODELS.removeprefix("provider-account/")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One configuration in force.

    Attributes:
        version: As in `GET /api/config`.
        loaded_at_s: Unix time.
        telemetry: How calls are traced.
        accounts: For calls that are for an account and no model.
        keep_alive: Of streams, None for nothing.
        circuit_rules: When targets are left alone.
        limits: How much callers may have, None for as much as they like.
    """

    version: str
    loaded_at_s: int
    identity: Identity
    routing: Routing
    telemetry: TelemetryPlan = PLAIN
    accounts: Accounts = field(default_factory=lambda: Accounts(()))
    keep_alive: KeepAlive | None = None
    circuit_rules: CircuitRules = field(default_factory=CircuitRules)
    limits: LimitPolicy | None = None
    _model_lists: dict[tuple[str, Dialect], bytes] = field(default_factory=dict)

    def models_of(self, caller: Caller, dialect: Dialect = "openai") -> bytes:
        """The body of `GET /v1/models` for *caller*, made when first asked for."""
        found = self._model_lists.get((caller.name, dialect))
        if found is None:
            models = self.routing.models_of(caller)
            if dialect == "anthropic":
                found = anthropic_model_list(models, created=self.loaded_at_s)
            else:
                found = model_list(models, created=self.loaded_at_s)
            self._model_lists[caller.name, dialect] = found
        return found


def compile_snapshot(
    config: Config,
    secrets: SecretSource,
    *,
    version: str,
    is_loopback: bool,
    runtime: Runtime | None = None,
) -> Snapshot:
    """Work out a `Snapshot`.

    Args:
        config: Checked as a whole already; what is missing there has been reported there.
        secrets: Where secret values are read, now and only now.
        version: The name of this configuration.
        is_loopback: The data plane cannot be reached from other hosts, so the quickstart's token may be
            taken.
        runtime: What routes use that lives longer; None: nothing is known of targets and sessions.
    """
    loaded_at = datetime.now(UTC)
    settings = config.global_settings
    retry = retry_policy(settings.retry_settings, settings.routing_settings)
    limits = time_limits(settings.timeout_settings)
    unsupported = settings.translation_settings.unsupported
    targets: list[Target] = []
    providers: dict[str, str] = {}
    for account in config.provider_accounts:
        providers[account.name] = account.type.removeprefix("provider-account/")
        made = make_targets(account, _resolver(secrets, account.source.folder), retry)
        targets += [
            replace(target, unsupported=unsupported, limits=limits)
            for target in with_prices(made, account, loaded_at.date())
        ]
    routes = compile_routes(
        config, {target.name: target for target in targets}, runtime or Runtime(), secrets.resolve
    )
    rules = compile_limits(config)
    rights = _Rights(targets, providers, config.virtual_models)
    identity = Identity(_credentials(config, secrets, rights, is_loopback=is_loopback))
    return Snapshot(
        version=version,
        loaded_at_s=int(loaded_at.timestamp()),
        identity=identity,
        routing=Routing(targets, routes.by_name, routes.rules, routes.models),
        telemetry=compile_telemetry(
            config, KnownSecrets(keys_of([*targets, *routes.targets()]), identity.knows)
        ),
        accounts=Accounts(targets),
        keep_alive=keep_alive(settings.keep_alive_settings),
        circuit_rules=circuit_rules(settings.routing_settings.circuit_breaker),
        limits=LimitPolicy(rules, settings.budget_settings.refusal_status) if rules else None,
    )


def _resolver(secrets: SecretSource, folder: Path) -> Resolve:
    return lambda reference: secrets.resolve(reference, folder)


def _credentials(
    config: Config, secrets: SecretSource, rights: _Rights, *, is_loopback: bool
) -> list[Credential]:
    credentials = []
    given = GivenMetadata.of(config)
    for account in config.virtual_accounts:
        caller = Caller(account.name, rights.of(account), rights.accounts_of(account))
        if tags := given.to(caller.subjects, account.metadata):
            caller = replace(caller, tags=tags)
        expires_at_s = account.expires_at.timestamp() if account.expires_at else None
        for token in account.tokens:
            try:
                digest = secrets.token_sha256(token, account.source.folder)
            except SecretMissing:
                continue
            if is_loopback or digest != DEMO_TOKEN_SHA256:
                credentials.append(Credential(digest, caller, expires_at_s))
    return credentials


class _Rights:
    """Which models a virtual account may use; accounts with the same rights share one set.

    A virtual model is one of them by its full name, whichever of its names the right was written with: slugs
    and aliases may look like models of another account.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        providers: Mapping[str, str],
        groups: Sequence[VirtualModelAccount] = (),
    ) -> None:
        self._providers = providers
        self._groups = frozenset(group.name for group in groups)
        self._full_names = {target.name: target.name for target in targets}
        for group in groups:
            for model in group.integrations:
                name = f"{group.name}/{model.name}"
                self._full_names |= dict.fromkeys((name, *model.other_names), name)
        self._of_account: dict[str, set[str]] = {}
        for name in self._full_names.values():
            self._of_account.setdefault(name.partition("/")[0], set()).add(name)
        self._matched: dict[str, frozenset[str]] = {}
        self._shared: dict[tuple[object, ...], frozenset[str]] = {}

    def of(self, account: VirtualAccount) -> frozenset[str]:
        """Names of the models that *account* may use."""
        key = (account.models, account.grants)
        found = self._shared.get(key)
        if found is None:
            matched = [self._matching(pattern) for pattern in account.models]
            granted = [self._granted(grant) for grant in account.grants]
            found = frozenset().union(*matched, *granted)
            self._shared[key] = found
        return found

    def accounts_of(self, account: VirtualAccount) -> frozenset[str]:
        """Names of the provider accounts that *account* may use as a whole.

        What says so is a pattern for every model of one (`main/*`, `*`) or a permission without a model, and
        not that all models it has today are listed: the right must not grow or shrink with that list.
        """
        owners = [pattern[:-2] for pattern in account.models if pattern.endswith("/*")]
        if "*" in account.models:
            owners.append("*")
        granted = {
            grant.account
            for grant in account.grants
            if grant.integration is None and self._providers.get(grant.account) == grant.provider
        }
        return frozenset(
            name
            for name in self._providers
            if name in granted or any(fnmatchcase(name, owner) for owner in owners)
        )

    def _matching(self, pattern: str) -> frozenset[str]:
        if pattern in self._full_names:
            return frozenset((self._full_names[pattern],))
        found = self._matched.get(pattern)
        if found is None:
            found = frozenset(
                full_name for name, full_name in self._full_names.items() if fnmatchcase(name, pattern)
            )
            self._matched[pattern] = found
        return found

    def _granted(self, grant: ModelGrant) -> frozenset[str]:
        provider = _VIRTUAL if grant.account in self._groups else self._providers.get(grant.account)
        if provider != grant.provider:
            return frozenset()
        names = self._of_account.get(grant.account, set())
        if grant.integration is not None:
            return frozenset(names & {f"{grant.account}/{grant.integration}"})
        return frozenset(names)
