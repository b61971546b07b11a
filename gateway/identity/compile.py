"""From the configuration to every credential in force, with whom it signs in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.config import Config, SecretMissing, SecretSource, VirtualAccount
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.issued_token import end_of, reference_of
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.role import CallingRoles, ModelGrant
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.identity.metadata import NOTHING, GivenMetadata
from gateway.identity.rights import Granted, Rights
from gateway.identity.tokens import DEMO_TOKEN_SHA256, Credential, Identity
from gateway.model import Caller, subjects_of

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
        credential
        for caller, manifest in _callers(config, rights)
        for credential in _credentials(caller, manifest, secrets)
        if is_loopback or credential.sha256 != DEMO_TOKEN_SHA256
    )


def compile_rights(config: Config, models: Iterable[str]) -> Rights:
    """Who may use what.

    Args:
        config: Where accounts and role bindings say who may use them.
        models: `<account>/<integration>` of all that are no virtual models.
    """
    roles = CallingRoles.among(config.roles)
    shared: dict[str, list[ModelGrant]] = {}
    owners: list[ProviderAccount | VirtualModelAccount] = [*config.provider_accounts, *config.virtual_models]
    for owner in owners:
        grant = ModelGrant(owner.type.removeprefix(_ACCOUNT), owner.name, None)
        for collaborator in owner.collaborators:
            if collaborator.may_call(roles):
                shared.setdefault(collaborator.subject, []).append(grant)
    for binding in config.role_bindings:
        for bound in binding.subjects:
            shared.setdefault(bound.subject, []).extend(binding.grants(roles))
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


_Signed = VirtualAccount | PersonalAccessToken


def _callers(config: Config, rights: Rights) -> Iterator[tuple[Caller, _Signed]]:
    given = GivenMetadata.of(config)
    roles = CallingRoles.among(config.roles)
    for account in config.virtual_accounts:
        granted = Granted(account.models, account.grants(roles) if account.permissions else ())
        subjects = subjects_of("virtualaccount", account.name)
        usable = rights.of(granted, subjects)
        tags = given.to(subjects, account.metadata if account.tags else NOTHING)
        yield Caller(account.name, usable.models, usable.accounts, tags=tags), account
    users = _Users(config, rights, given)
    for token in config.access_tokens:
        yield users.caller(token), token


def _credentials(caller: Caller, manifest: _Signed, secrets: SecretSource) -> Iterator[Credential]:
    latest, longest, folder = manifest.expires_at, manifest.longest_life, manifest.source.folder
    for token in manifest.tokens:
        try:
            digest = secrets.token_sha256(reference_of(token), folder)
        except SecretMissing:
            continue  # reported by the check already
        ends_at = end_of(token, latest, longest)
        yield Credential(digest, caller, None if ends_at is None else ends_at.timestamp())


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
        subjects = subjects_of("user", token.user, teams)
        usable = self._rights.of(Granted(tuple(patterns)), subjects)
        tags = self._given.to(subjects)
        return Caller(token.user, usable.models, usable.accounts, kind="user", teams=teams, tags=tags)
