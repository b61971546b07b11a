"""From what operators write (`Config`) to what a request uses (`Snapshot`).

Everything that depends on configuration alone is worked out here, once per change. A request takes one
`Snapshot` and keeps it to its end, so a change never meets a request half-way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from gateway.config import Config, SecretSource
from gateway.config.egress_checks import egress_rules
from gateway.config.manifests.client_tls import ClientTls
from gateway.config.tls_checks import tls_files
from gateway.egress import OPEN, EgressRules
from gateway.endpoints.anthropic_models import anthropic_model_list
from gateway.endpoints.openai_models import model_list
from gateway.identity.compile import Keys, compile_identity, compile_rights
from gateway.identity.dashboard_tokens import DashboardKey
from gateway.identity.tokens import Identity
from gateway.limits.compile import compile_limits
from gateway.limits.permit import LimitPolicy
from gateway.model import Caller, Dialect, KeepAlive, Target
from gateway.overload.priorities import SHARES_WITHOUT_RULES, Priorities, Priority, compile_priorities
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
        priorities: Who goes first when not all can, None where all are alike.
        when_redis_is_away: What decides on limits then.
        egress: Which addresses may be called.
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
    priorities: Priorities | None = None
    when_redis_is_away: Literal["local", "refuse"] = "local"
    egress: EgressRules = OPEN
    _model_lists: dict[tuple[frozenset[str], Dialect], bytes] = field(default_factory=dict)

    @property
    def has_rules(self) -> bool:
        """Whether a call may be refused by a rule once it is known what it asks for."""
        return self.limits is not None or self.priorities is not None

    @property
    def shares(self) -> Mapping[Priority, float]:
        """Of what a worker takes on, how much calls of each priority may use."""
        return SHARES_WITHOUT_RULES if self.priorities is None else self.priorities.shares

    def models_of(self, caller: Caller, dialect: Dialect = "openai") -> bytes:
        """The body of `GET /v1/models` for *caller*, made when first asked for with its rights."""
        found = self._model_lists.get((caller.models, dialect))
        if found is None:
            models = self.routing.models_of(caller)
            if dialect == "anthropic":
                found = anthropic_model_list(models, created=self.loaded_at_s)
            else:
                found = model_list(models, created=self.loaded_at_s)
            self._model_lists[caller.models, dialect] = found
        return found


def missing_secrets(config: Config, secrets: SecretSource) -> dict[str, str]:
    """Why models of *config* cannot be asked for want of a key, by their names; the others are not in it."""
    settings = config.global_settings
    retry = retry_policy(settings.retry_settings, settings.routing_settings)
    return {
        target.name: target.missing_secret
        for account in config.provider_accounts
        for target in make_targets(account, _resolver(secrets, account.source.folder), retry)
        if target.missing_secret
    }


def compile_snapshot(
    config: Config,
    secrets: SecretSource,
    *,
    version: str,
    is_loopback: bool,
    runtime: Runtime | None = None,
    keys: Keys | None = None,
    dashboard: DashboardKey | None = None,
) -> Snapshot:
    """Work out a `Snapshot`.

    Args:
        config: Checked as a whole already; what is missing there has been reported there.
        secrets: Where secret values are read, now and only now.
        version: The name of this configuration.
        is_loopback: The data plane cannot be reached from other hosts, so the quickstart's token may be
            taken.
        runtime: What routes use that lives longer; None: nothing is known of targets and sessions.
        keys: Of identity providers; None: their tokens are not taken.
        dashboard: Of who is signed in there; None: their tokens are not taken.
    """
    loaded_at = datetime.now(UTC)
    settings = config.global_settings
    retry = retry_policy(settings.retry_settings, settings.routing_settings)
    limits = time_limits(settings.timeout_settings)
    unsupported = settings.translation_settings.unsupported
    targets: list[Target] = []
    for account in config.provider_accounts:
        made = make_targets(account, _resolver(secrets, account.source.folder), retry)
        tls = None if account.tls == ClientTls() else tls_files(account.tls, account.source.folder)
        targets += [
            replace(target, unsupported=unsupported, limits=limits, tls=tls)
            for target in with_prices(made, account, loaded_at.date())
        ]
    by_name = {target.name: target for target in targets}
    routes = compile_routes(config, by_name, runtime or Runtime(), secrets.resolve)
    rules = compile_limits(config)
    rights = compile_rights(config, by_name)
    identity = compile_identity(
        config, secrets, rights, is_loopback=is_loopback, keys=keys, dashboard=dashboard
    )
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
        priorities=compile_priorities(settings.overload_settings, config.virtual_names()),
        when_redis_is_away=settings.limit_settings.when_redis_is_away,
        egress=egress_rules(settings.egress_settings),
    )


def _resolver(secrets: SecretSource, folder: Path) -> Resolve:
    return lambda reference: secrets.resolve(reference, folder)
