"""From manifests to routes: virtual models, and the rules of `gateway-load-balancing-config`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.config import Config, SecretMissing, SecretReference
from gateway.config.manifests import load_balancing
from gateway.config.manifests.global_settings import (
    CircuitBreakerSettings,
    GlobalSettings,
    KeepAliveSettings,
    RetrySettings,
    RoutingSettings,
    TimeoutSettings,
)
from gateway.config.manifests.load_balancing import (
    ComplexityTarget,
    HeadersOverride,
    Hedging,
    PriorityTarget,
    RoutingConfig,
    RoutingTarget,
    TargetTimeouts,
    WeightedTarget,
    model_name,
)
from gateway.model import FallbackPolicy, KeepAlive, ListedModel, RetryBounds, RetryPolicy, Target, TimeLimits
from gateway.providers.anthropic import with_overloaded
from gateway.providers.headers import with_own_headers
from gateway.routing.circuit import CircuitRules
from gateway.routing.hedging import QuantileHedge
from gateway.routing.load_balancing import LoadBalancing, Rule
from gateway.routing.route import Candidate, Hedge, Route, SlaCutoff
from gateway.routing.runtime import Runtime
from gateway.routing.strategies import MAKERS, make_strategy

_MS_PER_S: Final = 1000

ResolveIn = Callable[[SecretReference, Path], str]
"""Gives the value of a secret of a manifest in that folder; raises `gateway.config.SecretMissing`."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Every route of a configuration.

    Attributes:
        by_name: Virtual models by each of their names.
        rules: None without any.
        models: Virtual models as they are listed.
    """

    by_name: Mapping[str, Route]
    rules: LoadBalancing | None
    models: tuple[ListedModel, ...]

    def targets(self) -> Iterator[Target]:
        """Every target as its route has it, with the headers that are its own there."""
        routes = dict.fromkeys(self.by_name.values())
        for route in (*routes, *(self.rules.routes() if self.rules is not None else ())):
            for candidate in route.candidates:
                yield candidate.target


def time_limits(settings: TimeoutSettings, own: TargetTimeouts | None = None) -> TimeLimits:
    """How long attempts may take, by the settings of all targets and by those of one."""
    written = own.model_dump(exclude_none=True) if own is not None else {}
    ms: dict[str, Any] = settings.model_dump() | written
    return TimeLimits(
        connect_s=ms["connect_ms"] / _MS_PER_S,
        first_token_s=ms["first_token_ms"] / _MS_PER_S,
        gap_s=ms["gap_ms"] / _MS_PER_S,
        whole_s=None if ms["request_ms"] is None else ms["request_ms"] / _MS_PER_S,
    )


def retry_policy(settings: RetrySettings, routing: RoutingSettings) -> RetryPolicy:
    """How often a target is tried again, by its own settings and those of all."""
    budget = routing.retry_budget
    bounds = RetryBounds(budget.ratio, budget.min_per_second, routing.max_retry_after_ms / _MS_PER_S)
    return RetryPolicy(settings.attempts, settings.delay, frozenset(settings.on_status_codes), bounds)


def keep_alive(settings: KeepAliveSettings | None) -> KeepAlive | None:
    """What is sent while a stream is silent."""
    if settings is None:
        return None
    return KeepAlive(settings.interval_ms / _MS_PER_S, settings.before_content)


def circuit_rules(settings: CircuitBreakerSettings) -> CircuitRules:
    """When the circuits of targets open."""
    return CircuitRules(
        failures=settings.failures,
        failure_ratio=settings.failure_ratio,
        window_s=settings.window_ms / _MS_PER_S,
        cool_down_s=settings.cool_down_ms / _MS_PER_S,
        max_cool_down_s=settings.max_cool_down_ms / _MS_PER_S,
    )


def compile_routes(
    config: Config, targets: Mapping[str, Target], runtime: Runtime, resolve: ResolveIn
) -> Routes:
    """Work out every route.

    Args:
        config: Checked as a whole already: a target that there is not is of an account that is not in force.
        targets: Of the accounts, by name.
        runtime: What the worker has.
        resolve: Gives secret values.
    """
    making = _Making(targets, runtime, config.global_settings, resolve)
    by_name: dict[str, Route] = {}
    models: list[ListedModel] = []
    other_names: dict[str, tuple[str, ...]] = {}
    for group in config.virtual_models:
        for model in group.integrations:
            name = f"{group.name}/{model.name}"
            route = making.route(name, model.routing_config, group.source.folder)
            if route is not None:
                by_name |= dict.fromkeys((name, *model.other_names), route)
                other_names[name] = model.other_names
                window = _narrowest(candidate.target.context_window for candidate in route.candidates)
                types = frozenset(model.model_types)
                models.append(ListedModel(name, group.name, types, model.other_names, window))
    rules = list(_rules(config, making))
    return Routes(by_name, LoadBalancing(rules, other_names) if rules else None, tuple(models))


def _rules(config: Config, making: _Making) -> Iterator[Rule]:
    for manifest in config.load_balancing:
        for rule in manifest.rules:
            route = making.route(rule.id, rule, manifest.source.folder, is_rule=True)
            if route is not None:
                yield Rule(route, rule.when.subjects, rule.when.models, rule.when.metadata)


def _narrowest(windows: Iterable[int | None]) -> int | None:
    """What a call may have whoever answers it; None when that is not known of one of them."""
    known = list(windows)
    return None if None in known else min(window for window in known if window is not None)


def _hedge(written: Hedging | None) -> Hedge | None:
    if written is None:
        return None
    return QuantileHedge(
        written.quantile, min_delay_ms=written.min_delay_ms, max_delay_ms=written.max_delay_ms
    )


def _cutoff(written: load_balancing.SlaCutoff | None) -> SlaCutoff | None:
    if written is None:
        return None
    return SlaCutoff(written.time_to_first_token_ms, written.time_per_output_token_ms)


@dataclass(frozen=True, slots=True)
class _Making:
    """What each route is made with."""

    targets: Mapping[str, Target]
    runtime: Runtime
    settings: GlobalSettings
    resolve: ResolveIn

    def route(
        self, name: str, routing: RoutingConfig, folder: Path, *, is_rule: bool = False
    ) -> Route | None:
        """The route *name*; None when neither its strategy nor one of its targets is in force."""
        candidates = [
            self._candidate(written, folder)
            for written in routing.load_balance_targets
            if model_name(written.target) in self.targets
        ]
        if not candidates or routing.type not in MAKERS:
            return None
        strategy = make_strategy(name, routing, self.runtime, self.targets)
        hedge = _hedge(routing.hedging)
        return Route(name, candidates, strategy, self.runtime.health, hedge_after=hedge, is_rule=is_rule)

    def _candidate(self, written: RoutingTarget, folder: Path) -> Candidate:
        target = self._target(written, folder)
        metadata = written.metadata_match
        match written:
            case WeightedTarget():
                return Candidate(target, metadata, weight=written.weight)
            case PriorityTarget(sla_cutoff=sla):
                return Candidate(target, metadata, priority=written.priority, sla=_cutoff(sla))
            case ComplexityTarget():
                return Candidate(target, metadata, tier=written.tier)
            case _:
                return Candidate(target, metadata)

    def _target(self, written: RoutingTarget, folder: Path) -> Target:
        named = self.targets[model_name(written.target)]
        retry = retry_policy(written.retry_config, self.settings.routing_settings)
        target = dataclasses.replace(
            named,
            retry=with_overloaded(retry) if named.dialect == "anthropic" else retry,
            fallback=FallbackPolicy(frozenset(written.fallback_status_codes), written.fallback_candidate),
            limits=time_limits(self.settings.timeout_settings, written.timeouts),
            parameters={name: msgspec.json.encode(value) for name, value in written.override_params.items()},
        )
        return self._with_headers(target, written.headers_override, folder)

    def _with_headers(self, target: Target, override: HeadersOverride, folder: Path) -> Target:
        if not override.set_ and not override.remove:
            return target
        try:
            own = [(name.lower(), self.resolve(value, folder)) for name, value in override.set_.items()]
            return with_own_headers(target, own, override.remove)
        except (SecretMissing, ValueError) as error:
            return dataclasses.replace(target, missing_secret=target.missing_secret or str(error))
