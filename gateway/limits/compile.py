"""From manifests to rules on limits and budgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gateway.config import Config
from gateway.config.manifests.alerts import BudgetAlert
from gateway.config.manifests.budgets import BudgetRule, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.limited_calls import (
    AnyPer,
    MembersWhen,
    MetadataOverride,
    ModelOverride,
    PerMetadata,
    PerModel,
    PerUser,
    PerVirtualAccount,
    RuleWhen,
    Subjects,
    UserOverride,
    VirtualAccountOverride,
)
from gateway.config.manifests.load_balancing import model_name
from gateway.config.manifests.logging_config import ValueFilter
from gateway.config.manifests.part import Part
from gateway.config.manifests.rate_limits import RateLimitRule, TenantRateLimitConfig
from gateway.limits.matching import Rules
from gateway.limits.rules import MICRO_USD, Limit, Names, Override, Rule, RuleSet, Values, When
from gateway.limits.windows import CALENDAR, PARALLEL_WINDOW, ROLLING, Window
from gateway.model import LimitKind

_KINDS: Mapping[str, LimitKind] = {"requests": "requests", "tokens": "tokens", "cost": "cost"}

_AllNames = Mapping[str, tuple[str, ...]]


def compile_limits(config: Config) -> Rules:
    """Work out every rule."""
    names = config.virtual_names()
    rates = [_rate_rule(manifest.type, rule) for manifest in config.rate_limits for rule in manifest.rules]
    tenant_rates = [_tenant_rate_rule(manifest, names) for manifest in config.tenant_rate_limits]
    budget_rules = [
        _budget_rule(manifest.type, rule) for manifest in config.budgets for rule in manifest.rules
    ]
    manifests: list[TenantBudgetConfig | TeamBudgetConfig] = [*config.tenant_budgets, *config.team_budgets]
    budgets = [_budget(manifest, names) for manifest in manifests]
    return Rules(
        [
            RuleSet("first", tuple(rates)),
            RuleSet("all", tuple(tenant_rates)),
            RuleSet("first_blocks", tuple(budget_rules)),
            RuleSet("all", tuple(budgets)),
        ],
        names,
    )


def _rate_rule(source: str, rule: RateLimitRule) -> Rule:
    limit = _limit(rule.unit, rule.limit_to, ROLLING)
    return Rule(rule.id, source, _rule_when(rule.when), (limit,), rule.rate_limit_applies_per)


def _tenant_rate_rule(manifest: TenantRateLimitConfig, names: _AllNames) -> Rule:
    return Rule(
        id=manifest.name,
        source=manifest.type,
        when=_when(manifest.when),
        limits=_limits(manifest.limits, ROLLING),
        per=_per(manifest.applies_to),
        mode=manifest.mode,
        overrides=tuple(_overrides(manifest.applies_to, ROLLING, names)),
    )


def _budget_rule(source: str, rule: BudgetRule) -> Rule:
    return Rule(
        id=rule.id,
        source=source,
        when=_rule_when(rule.when),
        limits=(_limit(rule.unit, rule.limit_to, CALENDAR),),
        per=rule.budget_applies_per,
        mode="audit" if rule.audit_mode else "enforce",
        is_budget=True,
        thresholds=_thresholds(rule.alerts),
    )


def _budget(manifest: TenantBudgetConfig | TeamBudgetConfig, names: _AllNames) -> Rule:
    when = _when(manifest.when)
    if isinstance(manifest, TeamBudgetConfig):
        when = replace(when, team=manifest.team_name)
    return Rule(
        id=manifest.name,
        source=manifest.type,
        when=when,
        limits=_limits(manifest.limits, CALENDAR),
        per=_per(manifest.applies_to),
        mode=manifest.mode,
        overrides=tuple(_overrides(manifest.applies_to, CALENDAR, names)),
        is_budget=True,
        thresholds=_thresholds(manifest.alerts),
    )


def _thresholds(alerts: BudgetAlert | None) -> tuple[float, ...]:
    """Spans tell of these, whether or not there is a webhook."""
    return () if alerts is None else tuple(sorted(set(alerts.thresholds)))


def _limit(name: str, amount: float, windows: Mapping[str, Window]) -> Limit:
    """The limit that manifests call *name*."""
    kind, _, period = name.partition("_per_")
    if not period:
        return Limit("parallel", PARALLEL_WINDOW, int(amount))
    units = amount * MICRO_USD if kind == "cost" else amount
    return Limit(_KINDS[kind], windows[period], round(units))


def _limits(written: Part, windows: Mapping[str, Window]) -> tuple[Limit, ...]:
    amounts = written.model_dump(exclude_none=True)
    return tuple(_limit(name, amount, windows) for name, amount in amounts.items())


def _rule_when(when: RuleWhen) -> When:
    return When(
        subjects=Names(when.subjects),
        models=Names(None if when.models is None else tuple(model_name(name) for name in when.models)),
        metadata={key: Values(frozenset({value})) for key, value in when.metadata.items()},
    )


def _when(when: MembersWhen) -> When:
    models = when.models
    return When(
        subjects=_subjects(when),
        models=Names(
            None if models.in_ is None else tuple(model_name(name) for name in models.in_),
            tuple(model_name(name) for name in models.not_in),
        ),
        accounts=Names(when.provider_accounts.in_, when.provider_accounts.not_in),
        metadata={
            key: Values(None if values.in_ is None else frozenset(values.in_), frozenset(values.not_in))
            for key, values in when.metadata.items()
        },
    )


def _subjects(when: MembersWhen) -> Names:
    """Who is in one of the lists, and in none of those of who is not meant."""
    subjects = when.subjects
    filters: list[tuple[str, ValueFilter]] = [
        ("user", subjects.users),
        ("virtualaccount", subjects.virtual_accounts),
    ]
    if isinstance(subjects, Subjects):
        filters.append(("team", subjects.teams))
    only = [f"{kind}:{name}" for kind, one in filters for name in one.in_ or ()]
    never = [f"{kind}:{name}" for kind, one in filters for name in one.not_in]
    is_for_all = all(one.in_ is None for _, one in filters)
    return Names(None if is_for_all else tuple(only), tuple(never))


def _per(applies_to: AnyPer) -> tuple[str, ...]:
    match applies_to:
        case PerUser():
            return ("user",)
        case PerVirtualAccount():
            return ("virtualaccount",)
        case PerModel():
            return ("model",)
        case PerMetadata(metadata=key):
            return (f"metadata.{key}",)
        case _:
            return ()


def _overrides(applies_to: Any, windows: Mapping[str, Window], names: _AllNames) -> Iterator[Override]:
    for override in getattr(applies_to, "overrides", ()):
        match override:
            case UserOverride(users=meant) | VirtualAccountOverride(virtual_accounts=meant):
                pass
            case MetadataOverride(metadata_values=meant):
                pass
            case ModelOverride(models=models):
                # A virtual model counts by its full name, whichever of its names is written.
                meant = tuple(names.get(model_name(name), (model_name(name),))[0] for name in models)
        yield Override(frozenset(meant), _limits(override.limits, windows))
