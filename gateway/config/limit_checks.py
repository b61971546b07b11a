"""What is wrong with rules on limits and budgets, seen beside the models and callers that they name."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.budgets import BudgetConfig, BudgetRule, TeamBudgetConfig, TenantBudgetConfig
from gateway.config.manifests.limited_calls import MembersWhen, PerModel, RuleWhen, Subjects
from gateway.config.manifests.load_balancing import model_name
from gateway.config.manifests.logging_config import ValueFilter
from gateway.config.manifests.rate_limits import RateLimitingConfig, RateLimitRule, TenantRateLimitConfig
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading

_CALLER: Final = "virtualaccount:"
_SUBJECTS: Final = ("user:", "team:", _CALLER)


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may name.

    Attributes:
        models: By every name, in force or not.
        accounts: Of them.
        callers: Virtual accounts.
    """

    models: frozenset[str]
    accounts: frozenset[str]
    callers: frozenset[str]


def check_limits(
    documents: Sequence[Document],
    readings: Sequence[Reading],
    models: frozenset[str],
    accounts: frozenset[str],
) -> Iterator[Problem]:
    """Findings about them; *models* and *accounts* are what may be called."""
    callers = frozenset(document.name for document in documents if document.type == "virtual-account")
    known = Known(models, accounts, callers)
    for reading in readings:
        match reading.written:
            case RateLimitingConfig() as config:
                yield from _check_rules(reading.document, config.rules, known)
                yield from _check_reached(reading.document, config.rules)
            case BudgetConfig(rules=budgets):
                yield from _check_rules(reading.document, budgets, known)
            case TenantRateLimitConfig() | TenantBudgetConfig() | TeamBudgetConfig() as rule:
                yield from _check_when(reading.document, rule.when, known)
                yield from _check_overrides(reading.document, rule.applies_to, known)


def _check_rules(
    document: Document, rules: Sequence[RateLimitRule | BudgetRule], known: Known
) -> Iterator[Problem]:
    if not rules:
        yield document.warning(("rules",), "there are no rules", "Add one, or remove the manifest")
    first: dict[str, int] = {}
    for index, rule in enumerate(rules):
        path: FieldPath = ("rules", index)
        if rule.id in first:
            line = document.line_of(("rules", first[rule.id], "id"))
            message = f"the rule '{rule.id}' is already on line {line}"
            yield document.error((*path, "id"), message, "Give one of them another id")
        first.setdefault(rule.id, index)
        yield from _check_rule_when(document, (*path, "when"), rule.when, known)


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
    everybody = when.subjects is None or not {"*", "team:everyone"}.isdisjoint(when.subjects)
    return everybody and (when.models is None or "*" in when.models) and not when.metadata


def _check_rule_when(document: Document, path: FieldPath, when: RuleWhen, known: Known) -> Iterator[Problem]:
    yield from check_subjects(document, (*path, "subjects"), when.subjects, known.callers)
    yield from _check_not_empty(document, (*path, "models"), when.models)
    for index, name in enumerate(when.models or ()):
        yield from _check_known(document, (*path, "models", index), model_name(name), known.models, "model")


def check_subjects(
    document: Document, path: FieldPath, subjects: Sequence[str] | None, callers: Collection[str]
) -> Iterator[Problem]:
    """Slips in a list of *subjects* that stands at *path*, where the virtual accounts are *callers*."""
    yield from _check_not_empty(document, path, subjects)
    for index, subject in enumerate(subjects or ()):
        here = (*path, index)
        if not subject.startswith((*_SUBJECTS, "*")):
            yield document.warning(
                here, f"'{subject}' is no kind of subject", f"Write one of {', '.join(_SUBJECTS)} and a name"
            )
        elif subject.startswith(_CALLER):
            name = subject.removeprefix(_CALLER)
            yield from _check_known(document, here, name, callers, "virtual account")


def _check_when(document: Document, when: MembersWhen, known: Known) -> Iterator[Problem]:
    subjects = when.subjects
    members = [("users", subjects.users)]
    if isinstance(subjects, Subjects):
        members.append(("teams", subjects.teams))
    for key, listed in members:
        yield from _check_not_empty(document, ("when", "subjects", key, "in"), listed.in_)
    for key, values in when.metadata.items():
        yield from _check_not_empty(document, ("when", "metadata", key, "in"), values.in_)
    for path, names, whole, what in (
        (("subjects", "virtual_accounts"), subjects.virtual_accounts, known.callers, "virtual account"),
        (("models",), when.models, known.models, "model"),
        (("provider_accounts",), when.provider_accounts, known.accounts, "account"),
    ):
        yield from _check_filter(document, ("when", *path), names, whole, what)


def _check_filter(
    document: Document, path: FieldPath, names: ValueFilter, known: Collection[str], what: str
) -> Iterator[Problem]:
    yield from _check_not_empty(document, (*path, "in"), names.in_)
    for key, listed in (("in", names.in_ or ()), ("not_in", names.not_in)):
        for index, name in enumerate(listed):
            yield from _check_known(document, (*path, key, index), model_name(name), known, what)


def _check_not_empty(
    document: Document, path: FieldPath, listed: Collection[str] | None
) -> Iterator[Problem]:
    """Nothing is in an empty list, which is another thing than no list."""
    if listed is not None and not listed:
        yield document.warning(path, "an empty list, which matches nothing", "Remove it to mean all")


def _check_overrides(document: Document, applies_to: object, known: Known) -> Iterator[Problem]:
    if isinstance(applies_to, PerModel):
        for index, override in enumerate(applies_to.overrides):
            for number, name in enumerate(override.models):
                path: FieldPath = ("applies_to", "overrides", index, "models", number)
                yield from _check_known(document, path, model_name(name), known.models, "model")


def _check_known(
    document: Document, path: FieldPath, pattern: str, known: Collection[str], what: str
) -> Iterator[Problem]:
    """A pattern that matches nothing is a slip, or of what comes later."""
    if pattern not in known and not any(fnmatch.fnmatchcase(name, pattern) for name in known):
        fix = nearest(pattern, known) or "'*' stands for any text"
        yield document.warning(path, f"'{pattern}' matches no {what}", fix)
