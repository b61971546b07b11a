"""From the configuration to every credential in force, with whom it signs in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from gateway.config import Config, SecretMissing, SecretSource, VirtualAccount
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.identity_provider import IdentityProvider
from gateway.config.manifests.issued_token import end_of, reference_of
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.role import CallingRoles, ModelGrant
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.identity.dashboard_tokens import Claims, DashboardKey, DashboardTokens
from gateway.identity.metadata import NOTHING, GivenMetadata
from gateway.identity.rights import Granted, Rights
from gateway.identity.tokens import DEMO_TOKEN_SHA256, Credential, Identity, SignedTokens
from gateway.model import ALL_USERS, Caller, subjects_of

if TYPE_CHECKING:
    from gateway.identity.signed_tokens import Account, Provider, Ring

_ACCOUNT: Final = "provider-account/"


class Keys(Protocol):
    """Where the keys of identity providers are; see `gateway.identity.key_rings`."""

    def ring(self, address: str) -> Ring:
        """Those of an address."""


def compile_identity(
    config: Config,
    secrets: SecretSource,
    rights: Rights,
    *,
    is_loopback: bool,
    keys: Keys | None = None,
    dashboard: DashboardKey | None = None,
) -> Identity:
    """Every token in force; one without a value is left out.

    Args:
        config: Checked as a whole, so that no two callers share a token or a name.
        secrets: Where tokens are read.
        rights: Who may use what.
        is_loopback: The quickstart's token, which everybody knows, may be taken.
        keys: Of identity providers; None: their tokens are not taken.
        dashboard: Of who is signed in there; None: their tokens are not taken.
    """
    signed: SignedTokens | None = None
    if config.identity_providers and keys is not None:
        signed = _signed_tokens(config, rights, keys)
    if dashboard is not None:
        signed = DashboardTokens(dashboard, _dashboard_callers(config, rights), signed)
    return Identity(
        (
            credential
            for caller, manifest in _callers(config, rights)
            for credential in _credentials(caller, manifest, secrets)
            if is_loopback or credential.sha256 != DEMO_TOKEN_SHA256
        ),
        signed,
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
            # What all users may use is nobody's alone; virtual accounts need a right of their own to it.
            if model.authorized_subjects is not None and ALL_USERS not in model.authorized_subjects
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
        yield _of_account(account, roles, rights, given), account
    users = _Users(config, rights, given)
    for token in config.access_tokens:
        yield users.caller(token), token


def _of_account(account: VirtualAccount, roles: CallingRoles, rights: Rights, given: GivenMetadata) -> Caller:
    granted = Granted(account.models, account.grants(roles) if account.permissions else ())
    subjects = subjects_of("virtualaccount", account.name)
    usable = rights.of(granted, subjects)
    tags = given.to(subjects, account.metadata if account.tags else NOTHING)
    return Caller(account.name, usable.models, usable.accounts, tags=tags)


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
        self._accounts = frozenset(account.name for account in config.virtual_accounts)
        self._named = {token.user for token in config.access_tokens} | rights.named("user")

    def caller(self, token: PersonalAccessToken) -> Caller:
        """Who calls with *token*."""
        return self._of(token.user, tuple(self._teams.get(token.user, ())), token.models)

    def signed_in(self, user: str, teams: Sequence[str]) -> Caller:
        """Who calls with a token of an identity provider, who is in these *teams* too.

        What a personal access token lets its user do belongs to that token.
        """
        listed = self._teams.get(user, ())
        return self._of(user, tuple(dict.fromkeys((*listed, *teams))), ())

    def admin(self, user: str) -> Caller:
        """Who calls from the dashboard as an admin: every model that is not kept for others."""
        return self._of(user, tuple(self._teams.get(user, ())), ("*",))

    def is_named(self, user: str, teams: Sequence[str]) -> bool:
        """Whether anything is said about *user*, by name or by their *teams*."""
        return bool(teams) or user in self._teams or user in self._named

    def is_virtual_account(self, user: str) -> bool:
        """Whether an application has that name."""
        return user in self._accounts

    def _of(self, user: str, teams: tuple[str, ...], models: tuple[str, ...]) -> Caller:
        patterns = dict.fromkeys((*models, *(pattern for team in teams for pattern in self._patterns[team])))
        subjects = subjects_of("user", user, teams)
        usable = self._rights.of(Granted(tuple(patterns)), subjects)
        tags = self._given.to(subjects)
        return Caller(user, usable.models, usable.accounts, kind="user", teams=teams, tags=tags)


def _dashboard_callers(config: Config, rights: Rights) -> Callable[[Claims, float], Caller | None]:
    """Who calls from the dashboard: admins, and viewers who are users of models too."""
    users = _Users(config, rights, GivenMetadata.of(config))
    manifests: dict[str, list[PersonalAccessToken]] = {}
    for token in config.access_tokens:
        manifests.setdefault(token.user, []).append(token)

    def find(claims: Claims, now_s: float) -> Caller | None:
        if claims.admin:
            return replace(users.admin(claims.sub), is_dashboard=True)
        for manifest in manifests.get(claims.sub, ()):
            if manifest.expires_at is None or now_s < manifest.expires_at.timestamp():
                return replace(users.caller(manifest), is_dashboard=True)
        return None

    return find


def _signed_tokens(config: Config, rights: Rights, keys: Keys) -> SignedTokens:
    # It needs a library that comes with an extra.
    from gateway.identity.signed_tokens import SignedTokens as Tokens  # noqa: PLC0415 - see above

    given = GivenMetadata.of(config)
    accounts = _mapped_accounts(config, rights, given)
    providers = [
        _provider(manifest, config, keys, accounts.get(manifest.name, {}))
        for manifest in config.identity_providers
    ]
    return Tokens(providers, _Users(config, rights, given))


def _provider(
    manifest: IdentityProvider, config: Config, keys: Keys, accounts: Mapping[str, Account]
) -> Provider:
    from gateway.identity.signed_tokens import Provider  # noqa: PLC0415 - as above

    teams: dict[str, tuple[str, ...]] = {}
    for team in config.teams:
        for mapping in team.identity_provider_mapping:
            if mapping.identity_provider == manifest.name:
                teams[mapping.value] = (*teams.get(mapping.value, ()), team.name)
    return Provider(
        name=manifest.name,
        issuer=manifest.issuer,
        audiences=manifest.audiences,
        algorithms=frozenset(manifest.algorithms),
        subject_claim=manifest.subject_claim,
        user_claim=manifest.user_claim,
        groups_claim=manifest.groups_claim,
        user_domains=frozenset(manifest.user_domains),
        admits_unknown=manifest.unknown_users == "allow",
        leeway_s=float(manifest.leeway_seconds),
        ring=keys.ring(manifest.jwks_uri),
        accounts=accounts,
        teams=teams,
    )


def _mapped_accounts(config: Config, rights: Rights, given: GivenMetadata) -> dict[str, dict[str, Account]]:
    """Virtual accounts, by identity provider and by what its subject claim must be."""
    from gateway.identity.signed_tokens import Account  # noqa: PLC0415 - as above

    roles = CallingRoles.among(config.roles)
    found: dict[str, dict[str, Account]] = {}
    for account in config.virtual_accounts:
        for mapping in account.identity_provider_mapping:
            expires_at = account.expires_at
            found.setdefault(mapping.identity_provider, {})[mapping.value] = Account(
                _of_account(account, roles, rights, given),
                None if expires_at is None else expires_at.timestamp(),
            )
    return found
