"""From the configuration to every credential in force, with whom it signs in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from gateway.config import Config, SecretMissing, SecretReference, SecretSource
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.part import Source
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.virtual_account import ModelGrant
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.identity.metadata import GivenMetadata
from gateway.identity.rights import Granted, Rights
from gateway.identity.tokens import DEMO_TOKEN_SHA256, Credential, Identity
from gateway.model import Caller

_ACCOUNT: Final = "provider-account/"


def compile_identity(config: Config, secrets: SecretSource, rights: Rights, *, is_loopback: bool) -> Identity:
    """Every token in force; one without a value is left out.

    Args:
        config: Checked as a whole, so that no two callers share a token or a name.
        secrets: Where tokens are read.
        rights: Who may use what.
        is_loopback: The quickstart's token, which everybody knows, may be taken.
    """
    return Identity(
        Credential(digest, caller, None if expires_at is None else expires_at.timestamp())
        for caller, tokens, expires_at, source in _callers(config, rights)
        for digest in _hashes(tokens, secrets, source)
        if is_loopback or digest != DEMO_TOKEN_SHA256
    )


def compile_rights(config: Config, models: Iterable[str]) -> Rights:
    """Who may use what.

    Args:
        config: Where accounts and role bindings say who may use them.
        models: `<account>/<integration>` of all that are no virtual models.
    """
    shared: dict[str, list[ModelGrant]] = {}
    owners: list[ProviderAccount | VirtualModelAccount] = [*config.provider_accounts, *config.virtual_models]
    for owner in owners:
        grant = ModelGrant(owner.type.removeprefix(_ACCOUNT), owner.name, None)
        for collaborator in owner.collaborators:
            if collaborator.may_call:
                shared.setdefault(collaborator.subject, []).append(grant)
    for binding in config.role_bindings:
        for bound in binding.subjects:
            shared.setdefault(bound.subject, []).extend(binding.grants)
    return Rights(
        models,
        {account.name: account.type.removeprefix(_ACCOUNT) for account in config.provider_accounts},
        config.virtual_models,
        shared=shared,
        reserved={
            f"{account.name}/{model.name}": frozenset(model.authorized_subjects)
            for account in config.provider_accounts
            for model in account.integrations
            if model.authorized_subjects is not None
        },
    )


def known_callers(config: Config, rights: Rights) -> Iterator[Caller]:
    """Everybody who is configured, with a token in force or not."""
    return (caller for caller, *_ in _callers(config, rights))


_Signed = tuple[Caller, tuple[SecretReference, ...], dt.datetime | None, Source]


def _callers(config: Config, rights: Rights) -> Iterator[_Signed]:
    given = GivenMetadata.of(config)
    for account in config.virtual_accounts:
        caller = Caller(account.name, frozenset())
        granted = Granted(account.models, account.grants)
        caller = _complete(caller, granted, rights, given.to(caller.subjects, account.metadata))
        yield caller, account.tokens, account.expires_at, account.source
    users = _Users(config, rights, given)
    for token in config.access_tokens:
        yield users.caller(token), token.tokens, token.expires_at, token.source


def _complete(caller: Caller, granted: Granted, rights: Rights, tags: Mapping[str, str]) -> Caller:
    usable = rights.of(granted, caller.subjects)
    return replace(caller, models=usable.models, accounts=usable.accounts, tags=tags)


def _hashes(tokens: tuple[SecretReference, ...], secrets: SecretSource, source: Source) -> Iterator[bytes]:
    for token in tokens:
        try:
            yield secrets.token_sha256(token, source.folder)
        except SecretMissing:
            continue  # reported by the check already


class _Users:
    """Users, with what their teams let them do."""

    def __init__(self, config: Config, rights: Rights, given: GivenMetadata) -> None:
        self._rights = rights
        self._given = given
        self._teams: dict[str, list[str]] = {}
        self._patterns: dict[str, tuple[str, ...]] = {}
        for team in config.teams:
            self._patterns[team.name] = team.models
            for member in dict.fromkeys(team.members):
                self._teams.setdefault(member, []).append(team.name)

    def caller(self, token: PersonalAccessToken) -> Caller:
        """Who calls with *token*."""
        teams = tuple(self._teams.get(token.user, ()))
        patterns = dict.fromkeys(
            (*token.models, *(pattern for team in teams for pattern in self._patterns[team]))
        )
        caller = Caller(token.user, frozenset(), kind="user", teams=teams)
        return _complete(caller, Granted(tuple(patterns)), self._rights, self._given.to(caller.subjects))
