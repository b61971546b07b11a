"""What is wrong with rules on limits and budgets, seen beside the models and callers that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.budgets import BudgetConfig, BudgetRule, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.global_settings import GlobalSettings, PriorityRule
from gateway.config.manifests.limited_calls import (
    MembersWhen,
    PerModel,
    PerUser,
    PerVirtualAccount,
    RuleWhen,
    Subjects,
)
from gateway.config.manifests.load_balancing import model_name
from gateway.config.manifests.logging_config import ValueFilter
from gateway.config.manifests.rate_limits import RateLimitingConfig, RateLimitRule, TenantRateLimitConfig
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.rule_checks import check_not_empty, check_rule_ids
from gateway.config.subject_checks import KnownSubjects, check_named, check_subjects

# TrueFoundry's older rules had what is counted apart in their ids: `{user}-daily-limit`.
_APART_BY_ID: Final = re.compile(r"\{(user|virtualaccount|model|metadata\.[^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may name.

    Attributes:
        models: By every name, in force or not.
        accounts: Of them.
        subjects: Who may be named.
    """

    models: frozenset[str]
    accounts: frozenset[str]
    subjects: KnownSubjects


def check_limits(
    readings: Sequence[Reading],
    models: frozenset[str],
    accounts: frozenset[str],
    subjects: KnownSubjects,
) -> Iterator[Problem]:
    """Findings about them; *models* and *accounts* are what may be called."""
    known = Known(models, accounts, subjects)
    for reading in readings:
        match reading.written:
            case RateLimitingConfig() as config:
                yield from _check_rules(reading.document, config.rules, known)
                yield from _check_reached(reading.document, config.rules)
                for index, rule in enumerate(config.rules):
                    apart = rule.rate_limit_applies_per
                    yield from _check_id(reading.document, index, rule.id, "rate_limit_applies_per", apart)
            case GlobalSettings(overload_settings=overload) if overload.priority_rules:
                yield from _check_rules(
                    reading.document, overload.priority_rules, known, ("overload_settings", "priority_rules")
                )
            case BudgetConfig(rules=budgets):
                yield from _check_rules(reading.document, budgets, known)
                for index, budget in enumerate(budgets):
                    apart = budget.budget_applies_per
                    yield from _check_id(reading.document, index, budget.id, "budget_applies_per", apart)
            case TenantRateLimitConfig() | TenantBudgetConfig() | TeamBudgetConfig() as rule:
                yield from _check_when(reading.document, rule.when, known)
                yield from _check_overrides(reading.document, rule.applies_to, known)
                if isinstance(rule, TeamBudgetConfig):
                    teams = known.subjects["team"]
                    yield from check_named(reading.document, ("team_name",), rule.team_name, teams, "team")


def _check_rules(
    document: Document,
    rules: Sequence[RateLimitRule | BudgetRule | PriorityRule],
    known: Known,
    path: FieldPath = ("rules",),
) -> Iterator[Problem]:
    yield from check_rule_ids(document, [rule.id for rule in rules], path)
    for index, rule in enumerate(rules):
        yield from _check_rule_when(document, (*path, index, "when"), rule.when, known)


def _check_id(
    document: Document, index: int, name: str, field: str, apart: Sequence[str]
) -> Iterator[Problem]:
    meant = [one for one in dict.fromkeys(_APART_BY_ID.findall(name)) if one not in apart]
    if meant:
        yield document.warning(
            ("rules", index, "id"),
            f"'{{{meant[0]}}}' in it counts nothing apart: all calls of the rule share its limit",
            f"Write {field}: [{', '.join([*apart, *meant])}]",
        )


def _check_reached(document: Document, rules: Sequence[RateLimitRule]) -> Iterator[Problem]:
    """Only the first rule decides, so none behind one for all calls ever does."""
    for index, rule in enumerate(rules[:-1]):
        kinds = {"user", "virtualaccount"}.intersection(rule.rate_limit_applies_per)
        if _is_for_all(rule.when) and len(kinds) != 1:
            yield document.warning(
                ("rules", index + 1),
                f"no call gets here: the rule '{rule.id}' before it is for all",
                f"Move '{rule.id}' to the end; the first rule that a call matches decides",
            )
            return


def _is_for_all(when: RuleWhen) -> bool:
    everybody = when.subjects is None or "*" in when.subjects
    return everybody and (when.models is None or "*" in when.models) and not when.metadata


def _check_rule_when(document: Document, path: FieldPath, when: RuleWhen, known: Known) -> Iterator[Problem]:
    yield from check_subjects(document, (*path, "subjects"), when.subjects, known.subjects)
    for index, name in enumerate(when.models or ()):
        yield from check_named(document, (*path, "models", index), model_name(name), known.models, "model")


def _check_when(document: Document, when: MembersWhen, known: Known) -> Iterator[Problem]:
    subjects = when.subjects
    for key, values in when.metadata.items():
        yield from check_not_empty(document, ("when", "metadata", key, "in"), values.in_)
    for path, names, whole, what in (
        (("subjects", "users"), subjects.users, known.subjects.get("user"), "user"),
        (
            ("subjects", "virtual_accounts"),
            subjects.virtual_accounts,
            known.subjects["virtualaccount"],
            "virtual account",
        ),
        (
            ("subjects", "teams"),
            subjects.teams if isinstance(subjects, Subjects) else ValueFilter(),
            known.subjects["team"],
            "team",
        ),
        (("models",), when.models, known.models, "model"),
        (("provider_accounts",), when.provider_accounts, known.accounts, "account"),
    ):
        yield from _check_filter(document, ("when", *path), names, whole, what)


def _check_filter(
    document: Document, path: FieldPath, names: ValueFilter, known: frozenset[str] | None, what: str
) -> Iterator[Problem]:
    yield from check_not_empty(document, (*path, "in"), names.in_)
    for key, listed in (("in", names.in_ or ()), ("not_in", names.not_in)):
        for index, name in enumerate(listed):
            yield from check_named(document, (*path, key, index), model_name(name), known, what)


def _check_overrides(document: Document, applies_to: object, known: Known) -> Iterator[Problem]:
    """They are for names as they are: `*` stands for nothing there."""
    names: frozenset[str] | None
    match applies_to:
        case PerUser():
            key, names, what = "users", known.subjects.get("user"), "user"
        case PerVirtualAccount():
            key, names, what = "virtual_accounts", known.subjects["virtualaccount"], "virtual account"
        case PerModel():
            key, names, what = "models", known.models, "model"
        case _:
            return
    if names is None:
        return
    for index, override in enumerate(applies_to.overrides):
        for number, name in enumerate(getattr(override, key)):
            if model_name(name) not in names:
                path: FieldPath = ("applies_to", "overrides", index, key, number)
                fix = nearest(name, names) or "Write the whole name: overrides take no patterns"
                yield document.warning(path, f"there is no {what} '{name}', so it has no effect", fix)
