"""From manifests to routes: virtual models, and the rules of `gateway-load-balancing-config`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.config import Config, SecretMissing, SecretReference
from gateway.config.manifests import load_balancing
from gateway.config.manifests.global_settings import CircuitBreakerSettings, TimeoutSettings
from gateway.config.manifests.load_balancing import (
    ComplexityTarget,
    HeadersOverride,
    PriorityTarget,
    RoutingConfig,
    RoutingTarget,
    TargetTimeouts,
    WeightedTarget,
    model_name,
)
from gateway.model import FallbackPolicy, ListedModel, RetryPolicy, Target, TimeLimits
from gateway.providers.headers import with_own_headers
from gateway.routing.circuit import CircuitRules
from gateway.routing.load_balancing import LoadBalancing, Rule
from gateway.routing.route import Candidate, Route, SlaCutoff
from gateway.routing.runtime import Runtime
from gateway.routing.strategies import MAKERS, make_strategy

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
        routes = {id(route): route for route in self.by_name.values()}
        for route in (*routes.values(), *(self.rules.routes() if self.rules is not None else ())):
            for candidate in route.candidates:
                yield candidate.target


def time_limits(settings: TimeoutSettings, own: TargetTimeouts | None = None) -> TimeLimits:
    """How long attempts may take, by the settings of all targets and by those of one."""

    def limit(name: str) -> int | None:
        written: int | None = getattr(own, name, None)
        common: int | None = getattr(settings, name)
        return common if written is None else written

    request_ms = limit("request_ms")
    return TimeLimits(
        connect_s=(limit("connect_ms") or 0) / 1000,
        first_token_s=(limit("first_token_ms") or 0) / 1000,
        gap_s=(limit("gap_ms") or 0) / 1000,
        whole_s=None if request_ms is None else request_ms / 1000,
    )


def circuit_rules(settings: CircuitBreakerSettings) -> CircuitRules:
    """When the circuits of targets open."""
    return CircuitRules(
        failures=settings.failures,
        failure_ratio=settings.failure_ratio,
        window_s=settings.window_ms / 1000,
        cool_down_s=settings.cool_down_ms / 1000,
        max_cool_down_s=settings.max_cool_down_ms / 1000,
    )


def compile_routes(
    config: Config, targets: Mapping[str, Target], runtime: Runtime, resolve: ResolveIn
) -> Routes:
    """Work out every route.

    Args:
        config: Checked as a whole already, so that every target exists.
        targets: Of the accounts, by name.
        runtime: What the worker has.
        resolve: Gives secret values.
    """
    making = _Making(targets, runtime, config.global_settings.timeout_settings, resolve)
    by_name: dict[str, Route] = {}
    models: list[ListedModel] = []
    other_names: dict[str, tuple[str, ...]] = {}
    for group in config.virtual_models:
        for model in group.integrations:
            name = f"{group.name}/{model.name}"
            if model.routing_config.type not in MAKERS:
                continue
            route = making.route(name, model.routing_config, group.source.folder)
            by_name |= dict.fromkeys((name, *model.other_names), route)
            other_names[name] = model.other_names
            windows = [candidate.target.context_window for candidate in route.candidates]
            known = [window for window in windows if window is not None]
            models.append(
                ListedModel(
                    name,
                    group.name,
                    frozenset(model.model_types),
                    context_window=min(known) if len(known) == len(windows) else None,
                )
            )
    rules = [
        Rule(
            making.route(rule.id, rule, manifest.source.folder),
            rule.when.subjects,
            rule.when.models,
            rule.when.metadata,
        )
        for manifest in config.load_balancing
        for rule in manifest.rules
        if rule.type in MAKERS
    ]
    return Routes(by_name, LoadBalancing(rules, other_names) if rules else None, tuple(models))


def _cutoff(written: load_balancing.SlaCutoff | None) -> SlaCutoff | None:
    if written is None:
        return None
    return SlaCutoff(written.time_to_first_token_ms, written.time_per_output_token_ms)


@dataclass(frozen=True, slots=True)
class _Making:
    """What each route is made with."""

    targets: Mapping[str, Target]
    runtime: Runtime
    timeouts: TimeoutSettings
    resolve: ResolveIn

    def route(self, name: str, routing: RoutingConfig, folder: Path) -> Route:
        candidates = [self._candidate(written, folder) for written in routing.load_balance_targets]
        strategy = make_strategy(name, routing, self.runtime)
        return Route(name, candidates, strategy, self.runtime.health)

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
        retry = written.retry_config
        target = dataclasses.replace(
            self.targets[model_name(written.target)],
            retry=RetryPolicy(retry.attempts, retry.delay, frozenset(retry.on_status_codes)),
            fallback=FallbackPolicy(frozenset(written.fallback_status_codes), written.fallback_candidate),
            limits=time_limits(self.timeouts, written.timeouts),
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
