"""What is wrong between manifests that are right by themselves."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.config.document import Document, FieldPath
from gateway.config.identity_checks import check_identity_providers
from gateway.config.limit_checks import check_limits
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.global_settings import GlobalSettings
from gateway.config.manifests.issued_token import IssuedToken
from gateway.config.manifests.known import MODEL_ACCOUNTS
from gateway.config.manifests.otel_config import MAX_DESTINATIONS, OtelConfig
from gateway.config.manifests.provider_account import MODEL_TYPES, Integration, ProviderAccount
from gateway.config.manifests.role import (
    ACCOUNT_PERMISSIONS,
    BUILT_IN,
    EVERYTHING,
    CallingRoles,
    Role,
)
from gateway.config.manifests.role_binding import BoundPermission, RoleBinding
from gateway.config.manifests.team import Team
from gateway.config.manifests.virtual_account import Permission, VirtualAccount
from gateway.config.manifests.virtual_model import VirtualModel, VirtualModelAccount
from gateway.config.metadata_checks import check_metadata_rules
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading
from gateway.config.routing_checks import check_routing
from gateway.config.secrets import SecretReference
from gateway.config.subject_checks import (
    check_bound,
    check_callers,
    check_sharing,
    known_subjects,
    subjects_that_share,
)
from gateway.redaction import may_hold_secret

# The local trace store goes by this name among the destinations.
_RESERVED_DESTINATION: Final = "local"
# How TrueFoundry's own attributes of spans begin, which are there by a switch.
_BY_SWITCH: Final = "tfy."
_ADDRESSES: Final = ("base_url", "url", "azure_endpoint")
# Not /rerank, which `cohere-rerank-v2` takes at the end.
_OF_A_CALL: Final = re.compile(r"(?<!/)(/(?:chat/completions|completions|embeddings|messages|responses))/*\Z")
SINGLE: Final = {
    "gateway-global-settings": "global settings",
    "gateway-load-balancing-config": "load-balancing rules",
    "gateway-rate-limiting-config": "rate limits",
    "gateway-budget-config": "budgets",
    "gateway-metadata-config": "rules on metadata",
}
"""Types of which there is one manifest, and what is in it."""


@dataclass(frozen=True, slots=True)
class CallableNames:
    """What may be called, in force or not: a pattern that names what is not built yet is no slip.

    Attributes:
        accounts: (provider, account).
        models: `<account>/<integration>`, slugs and aliases.
    """

    accounts: frozenset[tuple[str, str]]
    models: frozenset[str]
    _matches: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    def has_match(self, pattern: str) -> bool:
        """Whether *pattern* names a model; found out once, since many accounts share their patterns."""
        found = self._matches.get(pattern)
        if found is None:
            found = pattern in self.models or any(fnmatch.fnmatchcase(name, pattern) for name in self.models)
            self._matches[pattern] = found
        return found


def check_all(documents: Sequence[Document], readings: Sequence[Reading]) -> Iterator[Problem]:
    """Every finding about the set as a whole."""
    names = _callable_names(documents)
    yield from _shared_account_names(documents)
    yield from _repeated_settings(documents)
    subjects = known_subjects(documents)
    yield from check_routing(documents, readings, names.models, subjects)
    accounts = frozenset(account for _, account in names.accounts)
    # Of virtual accounts there may be a hundred thousand, and these checks look at none.
    others = [reading for reading in readings if not isinstance(reading.written, VirtualAccount)]
    yield from check_limits(others, names.models, accounts, subjects)
    yield from check_metadata_rules(others, subjects)
    yield from check_callers(others, subjects)
    yield from check_identity_providers(readings)
    roles = CallingRoles.among(_roles(others))
    shares = subjects_that_share(others, roles)
    yield from _too_many_destinations(documents)
    yield from _filters_that_match_nothing(others)
    for reading in readings:
        match reading.written:
            case VirtualAccount() as caller:
                yield from _check_virtual_account(reading.document, caller, names, shares, roles)
            case ProviderAccount() | VirtualModelAccount() as account:
                yield from _check_models(reading.document, account.integrations)
                yield from _check_addresses(reading.document)
                yield from check_sharing(reading.document, account, subjects, roles)
            case PersonalAccessToken(tokens=tokens, models=patterns):
                yield from _check_ids(reading.document, tokens)
                yield from _check_patterns(reading.document, patterns, names)
            case Team(members=members, models=patterns):
                yield from _check_members(reading.document, members)
                yield from _check_patterns(reading.document, patterns, names)
            case RoleBinding() as binding:
                yield from check_bound(reading.document, binding, subjects)
                yield from _check_permissions(reading.document, binding.permissions, names, roles)
            case Role() as role:
                yield from _check_role(reading.document, role)
            case GlobalSettings() as settings:
                yield from _check_captured(reading.document, settings)
            case OtelConfig() as destination:
                yield from _check_destination(reading.document, destination)


def _roles(readings: Iterable[Reading]) -> Iterator[Role]:
    for reading in readings:
        if isinstance(reading.written, Role):
            yield reading.written


def _check_role(document: Document, role: Role) -> Iterator[Problem]:
    if role.name in BUILT_IN:
        message = f"the role '{role.name}' is built in"
        yield document.error(("name",), message, "Choose another name")
    for index, permission in enumerate(role.permissions):
        if permission.startswith("provider-account:") and permission not in ACCOUNT_PERMISSIONS:
            fix = nearest(permission, ACCOUNT_PERMISSIONS) or f"Known are: {', '.join(ACCOUNT_PERMISSIONS)}"
            yield document.warning(("permissions", index), "there is no such permission", fix)


def _shared_account_names(documents: Sequence[Document]) -> Iterator[Problem]:
    first: dict[str, Document] = {}
    for document in documents:
        if document.type not in MODEL_ACCOUNTS:
            continue
        other = first.setdefault(document.name, document)
        if other is not document:
            message = (
                f"the account name '{document.name}' belongs to the {other.type} in {other.file}:{other.line}"
            )
            yield document.error(
                ("name",), message, "Give one of them another name; models are called <name>/<model>"
            )


def _repeated_settings(documents: Sequence[Document]) -> Iterator[Problem]:
    for kind, meaning in SINGLE.items():
        found = [document for document in documents if document.type == kind]
        for document in found[1:]:
            message = f"{meaning} are already in {found[0].file}:{found[0].line}"
            yield document.error(("type",), message, "Put all of them into one manifest")


def _too_many_destinations(documents: Sequence[Document]) -> Iterator[Problem]:
    destinations = [document for document in documents if document.type == "gateway-otel-config"]
    for document in destinations[MAX_DESTINATIONS:]:
        message = f"there are more than {MAX_DESTINATIONS} destinations"
        yield document.error(("type",), message, "Send to a collector that passes on to several")


def _filters_that_match_nothing(readings: Sequence[Reading]) -> Iterator[Problem]:
    """Theirs are on attributes that every span has there, and here none while the switch is off."""
    if any(
        isinstance(reading.written, GlobalSettings) and reading.written.telemetry_settings.tfy_attributes
        for reading in readings
    ):
        return
    for reading in readings:
        if not isinstance(reading.written, OtelConfig):
            continue
        exporter = reading.written.otel_traces_exporter_config
        for index, one in enumerate(() if exporter is None else exporter.when):
            if one.key.startswith(_BY_SWITCH):
                message = f"no span has '{one.key}' while tfy_attributes is off, so none is sent"
                fix = "Write telemetry_settings: {tfy_attributes: true} in gateway-global-settings"
                path: FieldPath = ("otel_traces_exporter_config", "when", index, "key")
                yield reading.document.warning(path, message, fix)


def _check_models(document: Document, models: Sequence[Integration | VirtualModel]) -> Iterator[Problem]:
    if not models:
        yield document.warning(
            ("integrations",), "the account has no models", "Add one, or remove the account"
        )
    first: dict[str, int] = {}
    for index, integration in enumerate(models):
        path: FieldPath = ("integrations", index, "name")
        if integration.name in first:
            line = document.line_of((*path[:1], first[integration.name], "name"))
            message = f"the model name '{integration.name}' is already on line {line}"
            yield document.error(path, message, "Give one of them another name")
        first.setdefault(integration.name, index)
        for number, kind in enumerate(integration.model_types):
            if kind not in MODEL_TYPES:
                fix = nearest(kind, MODEL_TYPES) or f"Known are: {', '.join(MODEL_TYPES)}"
                yield document.warning(
                    ("integrations", index, "model_types", number), "unknown type of model", fix
                )


def _check_members(document: Document, members: Sequence[str]) -> Iterator[Problem]:
    """Members are emails; rules and collaborators name users in another way, and no user's name has a ':'."""
    for index, member in enumerate(members):
        kind, colon, name = member.rpartition(":")
        if colon:
            fix = f"Write {name}" if kind.endswith("user") else "Write the email of a user"
            yield document.warning(("members", index), f"'{member}' is no email of a user", fix)


def _check_addresses(document: Document) -> Iterator[Problem]:
    """Documentation shows whole addresses of calls, and they are copied; no API has its own below one."""
    places: list[tuple[FieldPath, Any]] = [((key,), document.body.get(key)) for key in _ADDRESSES]
    for index, integration in enumerate(document.body.get("integrations") or ()):
        places += [(("integrations", index, key), integration.get(key)) for key in _ADDRESSES]
    for path, url in places:
        found = _OF_A_CALL.search(url) if isinstance(url, str) else None
        if found is not None:
            message = f"it ends in '{found[1]}', which is added to it for each call"
            yield document.warning(path, message, f"Remove '{found[1]}' from its end")


def _check_virtual_account(
    document: Document,
    caller: VirtualAccount,
    names: CallableNames,
    shares: frozenset[str],
    roles: CallingRoles,
) -> Iterator[Problem]:
    if len(caller.tokens) > 1:
        yield from _check_ids(document, caller.tokens)
    if caller.auto_rotate is not None:
        yield from _check_rotation(document, caller)
    if not caller.tokens and not caller.identity_provider_mapping:
        yield document.warning(
            ("tokens",), "no tokens, so nobody can call as this account", "Add tokens: [env:NAME]"
        )
    if not caller.models and not caller.grants(roles) and f"virtualaccount:{caller.name}" not in shares:
        fix = 'Add models: ["<account>/*"]'
        yield document.warning(
            ("models",), "neither models nor permissions let this account call a model", fix
        )
    yield from _check_patterns(document, caller.models, names)
    if caller.permissions:
        yield from _check_permissions(document, caller.permissions, names, roles)


def _check_ids(document: Document, tokens: Sequence[SecretReference | IssuedToken]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, token in enumerate(tokens):
        if not isinstance(token, IssuedToken):
            continue
        if token.id in seen:
            message = f"the token '{token.id}' is there already"
            yield document.error(("tokens", index, "id"), message, "Give each a name of its own")
        seen.add(token.id)


def _check_rotation(document: Document, caller: VirtualAccount) -> Iterator[Problem]:
    for index, token in enumerate(caller.tokens):
        if not isinstance(token, IssuedToken):
            message = "nothing says how old this token is, so auto_rotate does not end it"
            fix = "Make one with 'gateway token create', or write id, hash and created_at"
            yield document.warning(("tokens", index), message, fix)


def _check_permissions(
    document: Document,
    permissions: Sequence[Permission | BoundPermission],
    names: CallableNames,
    roles: CallingRoles,
) -> Iterator[Problem]:
    for index, permission in enumerate(permissions):
        path: FieldPath = ("permissions", index)
        fqn = "resource_fqn" if isinstance(permission, Permission) else "resourceFqn"
        grant = permission.grant(roles)
        if grant is None:
            whom = "the account call nothing here" if isinstance(permission, Permission) else "nobody call"
            yield document.warning(
                path,
                f"lets {whom}",
                f"Models need a {fqn} <tenant>:<provider>:<account>[:model:<name>] and the role "
                f"{' or '.join(sorted(roles.of_accounts))}",
            )
        elif grant == EVERYTHING:
            continue
        elif (grant.provider, grant.account) not in names.accounts:
            fix = _nearest_account(grant.account, names) or "Name an account of this configuration"
            message = f"there is no account '{grant.account}' of {grant.provider}"
            yield document.warning((*path, fqn), message, fix)
        elif grant.integration is not None and f"{grant.account}/{grant.integration}" not in names.models:
            fix = (
                nearest(f"{grant.account}/{grant.integration}", names.models)
                or "Name a model of that account"
            )
            yield document.warning((*path, fqn), f"there is no model '{grant.integration}' there", fix)


def _check_patterns(document: Document, patterns: Sequence[str], names: CallableNames) -> Iterator[Problem]:
    for index, pattern in enumerate(patterns):
        if not names.has_match(pattern):
            fix = nearest(pattern, names.models) or "Write <account>/<model>; '*' stands for any text"
            yield document.warning(("models", index), f"'{pattern}' matches no model", fix)


def _nearest_account(account: str, names: CallableNames) -> str:
    for provider, name in sorted(names.accounts):
        if name == account:
            return f"Its provider is '{provider}'"
    return nearest(account, {name for _, name in names.accounts})


def _check_destination(document: Document, destination: OtelConfig) -> Iterator[Problem]:
    if destination.name == _RESERVED_DESTINATION:
        message = f"'{_RESERVED_DESTINATION}' is the name of the gateway's own trace store"
        yield document.error(("name",), message, "Choose another name")
    if destination.otel_traces_exporter_config is None and destination.otel_metrics_exporter_config is None:
        message = "the manifest names no destination"
        yield document.warning(("type",), message, "Add otel_traces_exporter_config, or remove the manifest")


def _check_captured(document: Document, settings: GlobalSettings) -> Iterator[Problem]:
    for setting in ("capture_headers", "capture_baggage"):
        for index, name in enumerate(getattr(settings.telemetry_settings, setting)):
            path: FieldPath = ("telemetry_settings", setting, index)
            if may_hold_secret(name):
                message = "the name says that it may hold a credential, so it is never captured"
                yield document.warning(path, message, "Remove it")


def _callable_names(documents: Iterable[Document]) -> CallableNames:
    accounts: set[tuple[str, str]] = set()
    models: set[str] = set()
    for document in documents:
        if document.type in MODEL_ACCOUNTS:
            accounts.add((document.type.partition("/")[2], document.name))
            models.update(_models_of(document.name, document.body.get("integrations")))
    return CallableNames(frozenset(accounts), frozenset(models))


def _models_of(account: str, integrations: Any) -> Iterator[str]:
    """Read from plain data, because accounts that are not in force have no model of their own."""
    for integration in integrations if isinstance(integrations, list) else []:
        if not isinstance(integration, Mapping):
            continue
        aliases = integration.get("alias")
        for name in [integration.get("slug"), *(aliases if isinstance(aliases, list) else [])]:
            if isinstance(name, str):
                yield name
        if isinstance(integration.get("name"), str):
            yield f"{account}/{integration['name']}"
