"""What is wrong with virtual models and load-balancing rules, seen beside the models that they name."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from gateway.config.document import Document, FieldPath
from gateway.config.manifests.known import IN_FORCE, VIRTUAL_MODELS
from gateway.config.manifests.load_balancing import (
    ComplexityBasedRouting,
    LlmClassification,
    LoadBalancingConfig,
    LoadBalancingRule,
    RoutingConfig,
    RoutingTarget,
    model_name,
)
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.virtual_model import VirtualModel, VirtualModelAccount
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.rule_checks import check_rule_ids
from gateway.config.subject_checks import KnownSubjects, check_subjects

_MODEL: Final = "Name a model of an account, as <account>/<model>"
_OTHER_NAME: Final = "Choose another, or remove it"
_WILD: Final = re.compile(r"[*?\[]")
_ANY_MODEL: Final = "Write <account>/<model>; '*' stands for any text"
# TrueFoundry's guides have rules for names that no account has; here such a name is a virtual model's.
_NO_NEW_NAMES: Final = "A rule makes no new name: a virtual model does, and this can be an alias of one"

_FirstPlaces = dict[str, tuple[Document, FieldPath]]


def check_routing(
    documents: Sequence[Document],
    readings: Sequence[Reading],
    names: frozenset[str],
    subjects: KnownSubjects,
) -> Iterator[Problem]:
    """Findings about them; *names* is every name that a call can have for its model, *subjects* who calls."""
    models = _Models(documents, readings)
    taken = models.kinds.keys() | models.not_in_force | models.virtual
    first: _FirstPlaces = {}
    for reading in readings:
        match reading.written:
            case VirtualModelAccount() as group:
                for index, model in enumerate(group.integrations):
                    yield from _check_names(reading.document, index, model, taken, first)
                    path: FieldPath = ("integrations", index, "routing_config")
                    yield from models.check(reading.document, path, model.routing_config)
            case LoadBalancingConfig() as config:
                yield from _check_rules(reading.document, config, models, names)
                for index, rule in enumerate(config.rules):
                    path = ("rules", index, "when", "subjects")
                    yield from check_subjects(reading.document, path, rule.when.subjects, subjects)


def _check_names(
    document: Document, index: int, model: VirtualModel, taken: Collection[str], first: _FirstPlaces
) -> Iterator[Problem]:
    """Findings about slug and aliases: a name stands for one thing.

    Args:
        document: Where the model is, as its integration of number *index*.
        index: See there.
        model: It.
        taken: Names that models have already.
        first: Where each slug and alias was seen first; those of *model* are added.
    """
    written: dict[FieldPath, str] = {}
    if model.slug is not None:
        written["integrations", index, "slug"] = model.slug
    written |= {("integrations", index, "alias", at): name for at, name in enumerate(model.alias)}
    for path, name in written.items():
        if name in taken:
            yield document.error(path, f"'{name}' is the name of a model already", _OTHER_NAME)
        elif name in first:
            other, other_path = first[name]
            message = f"'{name}' is already a name in {other.file}:{other.line_of(other_path)}"
            yield document.error(path, message, _OTHER_NAME)
        first.setdefault(name, (document, path))


class _Models:
    """What a target may be.

    Attributes:
        kinds: What each model of an account in force can do, by its name.
        not_in_force: Names of models of accounts that are not.
        virtual: Names of virtual models, all of each.
    """

    def __init__(self, documents: Sequence[Document], readings: Sequence[Reading]) -> None:
        self.kinds: dict[str, tuple[str, ...]] = {}
        self.virtual: set[str] = set()
        self._virtual_by_any: set[str] = set()
        for reading in readings:
            match reading.written:
                case ProviderAccount() as account:
                    for integration in account.integrations:
                        self.kinds[f"{account.name}/{integration.name}"] = integration.model_types
                case VirtualModelAccount() as group:
                    for model in group.integrations:
                        self.virtual.add(f"{group.name}/{model.name}")
                        self._virtual_by_any |= {f"{group.name}/{model.name}", *model.other_names}
        read = {(reading.document.type, reading.document.name) for reading in readings}
        self.not_in_force = {
            f"{document.name}/{integration.get('name')}"
            for document in documents
            if (document.type, document.name) not in read and document.type not in IN_FORCE
            for integration in _mappings(document.body.get("integrations"))
        }
        # An account with an error of its own has been told of; what it would have is not known.
        self._unread = {
            document.name
            for document in documents
            if (document.type, document.name) not in read
            and document.type in IN_FORCE
            and document.type != VIRTUAL_MODELS
        }

    def check(self, document: Document, path: FieldPath, routing: RoutingConfig) -> Iterator[Problem]:
        """Findings about a `routing_config`."""
        first: dict[object, int] = {}
        for index, target in enumerate(routing.load_balance_targets):
            here: FieldPath = (*path, "load_balance_targets", index, "target")
            yield from self._check_model(document, here, target.target)
            yield from _check_repeated(document, here, target, routing, first)
        if isinstance(routing, ComplexityBasedRouting) and isinstance(
            routing.classification_strategy, LlmClassification
        ):
            model = routing.classification_strategy.model
            here = (*path, "classification_strategy", "model")
            yield from self._check_model(document, here, model)
            kinds = self.kinds.get(model_name(model), ())
            if kinds and "chat" not in kinds:
                yield document.error(here, "the classifier is no chat model", "Name a model of type chat")

    def _check_model(self, document: Document, path: FieldPath, written: str) -> Iterator[Problem]:
        name = model_name(written)
        if name in self.kinds or name.partition("/")[0] in self._unread:
            return
        if name in self._virtual_by_any:
            yield document.error(
                path, f"'{written}' is a virtual model, which no other may have behind it", _MODEL
            )
        elif name in self.not_in_force:
            message = f"'{written}' is of an account that is not in force yet, so it is left out"
            yield document.warning(path, message, "Nothing is sent to it; it may stay")
        else:
            fix = nearest(written, self.kinds) or _MODEL
            yield document.error(path, f"there is no model '{written}'", fix)


def _check_repeated(
    document: Document,
    path: FieldPath,
    target: RoutingTarget,
    routing: RoutingConfig,
    first: dict[object, int],
) -> Iterator[Problem]:
    """A model may stand there twice if the two are for other calls or get other parameters."""
    name = model_name(target.target)
    if isinstance(routing, ComplexityBasedRouting):
        key: object = name
        message, fix = "a model serves one tier", "Remove it here or there"
    else:
        rest = target.model_dump_json(exclude={"target", "weight", "priority"})
        key = (name, rest)
        message, fix = "the same target again", "Remove it here or there, or tell the two apart"
    if key in first:
        line = document.line_of((*path[:-2], first[key], "target"))
        yield document.error(path, f"{message}: '{name}' is already on line {line}", fix)
    first.setdefault(key, int(path[-2]))


def _check_rules(
    document: Document, config: LoadBalancingConfig, models: _Models, names: frozenset[str]
) -> Iterator[Problem]:
    yield from check_rule_ids(document, [rule.id for rule in config.rules])
    for index, rule in enumerate(config.rules):
        path: FieldPath = ("rules", index)
        yield from _check_when(document, path, rule, names)
        yield from models.check(document, path, rule)


def _check_when(
    document: Document, path: FieldPath, rule: LoadBalancingRule, names: frozenset[str]
) -> Iterator[Problem]:
    for index, pattern in enumerate(rule.when.models or ()):
        if pattern not in names and not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            fix = nearest(pattern, names) or _without_a_model(pattern, names)
            yield document.warning((*path, "when", "models", index), f"'{pattern}' matches no model", fix)


def _without_a_model(pattern: str, names: frozenset[str]) -> str:
    """What to write in the place of a *pattern* that is not nearly the name of any model."""
    account, slash, model = pattern.rpartition("/")
    if not slash and (whole := sorted(name for name in names if name.endswith(f"/{model}"))):
        return f"Did you mean '{whole[0]}'?"
    has_account = bool(slash) and any(name.startswith(account + slash) for name in names)
    return _ANY_MODEL if has_account or _WILD.search(pattern) else _NO_NEW_NAMES


def _mappings(items: object) -> Iterator[Mapping[str, object]]:
    for item in items if isinstance(items, list) else []:
        if isinstance(item, Mapping):
            yield item
