"""Tokens that an identity provider has signed (JWTs): whose they are, and why not.

What a token says is believed after its signature was checked, with a key that the provider of its issuer
publishes and in a way that this key is for. It is checked once: what came of it is kept, by the token's hash,
as long as token, key and configuration last, so a token in use costs a look-up.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import jwt

from gateway.config.manifests.access_token import find_user
from gateway.errors import GatewayError, IdentityUnavailable, InvalidApiKey
from gateway.identity.key_set import Key, KeySet
from gateway.identity.token_reading import UnreadableError, Unverified, looks_signed, read_unverified
from gateway.model import Caller

if TYPE_CHECKING:
    from jwt.types import Options

MAX_HELD: Final = 16_384
"""Tokens that are kept; with more in use some are checked again."""

MAX_REFUSED: Final = 4096
REFUSED_FOR_S: Final = 30.0
"""How long a token that was checked in vain is refused without another look."""

_MAX_USER_CHARACTERS: Final = 256
_CHALLENGE: Final = (("www-authenticate", 'Bearer error="invalid_token"'),)
# Keys are changed before they are used, and if not, our copy is renewed within a second or so: worth a try of
# SDKs, which ask this header.
_AGAIN: Final = (*_CHALLENGE, ("x-should-retry", "true"), ("retry-after", "1"))
_NOW: Final[Options] = {"require": ["exp", "iss", "aud"]}
_AT_ANY_TIME: Final[Options] = {**_NOW, "verify_exp": False}
_SIGN_IN: Final = "Sign in at the identity provider again and send a new one."
_ASK: Final = "Ask the gateway's operator."


class Ring(Protocol):
    """Where the keys of a provider are; see `gateway.identity.key_rings`."""

    @property
    def keys(self) -> KeySet | None:
        """Those it publishes, as far as is known; None: nothing is known."""

    def ask(self) -> None:
        """Have them renewed soon."""


class Users(Protocol):
    """What the configuration says of users; see `gateway.identity.compile`."""

    def is_named(self, user: str, teams: Sequence[str]) -> bool:
        """Whether anything there is about them, by name or by their *teams*."""

    def is_virtual_account(self, user: str) -> bool:
        """Whether an application has that name."""

    def signed_in(self, user: str, teams: Sequence[str]) -> Caller:
        """The caller, who is in these *teams* beside those that list them."""


@dataclass(frozen=True, slots=True)
class Account:
    """A virtual account that a provider's token may stand for."""

    caller: Caller
    expires_at_s: float | None


@dataclass(frozen=True, slots=True)
class Provider:
    """An identity provider, as its manifest says.

    Attributes:
        accounts: By what the subject claim must be.
        teams: By what must be in the groups claim, their names.
        admits_unknown: Users of whom the configuration says nothing may call, as members of `everyone`.
    """

    name: str
    issuer: str
    audiences: tuple[str, ...]
    algorithms: frozenset[str]
    subject_claim: str
    user_claim: str
    groups_claim: str
    user_domains: frozenset[str]
    admits_unknown: bool
    leeway_s: float
    ring: Ring
    accounts: Mapping[str, Account]
    teams: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Held:
    """A token that was found good."""

    caller: Caller
    ends_at_s: float
    ring: Ring
    key: bytes


@dataclass(frozen=True, slots=True)
class _Refused:
    """One that was not."""

    message: str
    detail: str
    ends_at_s: float
    ring: Ring
    keys: KeySet


class SignedTokens:
    """The tokens of all identity providers of one configuration."""

    def __init__(
        self, providers: Sequence[Provider], users: Users, *, now_s: Callable[[], float] = time.time
    ) -> None:
        """Take tokens of *providers*, no two of which have one issuer."""
        self._providers = {provider.issuer: provider for provider in providers}
        self._users = users
        self._now_s = now_s
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()

    def find(self, token: bytes, digest: bytes) -> Caller | None:
        """The caller whose *token* it is; None when it has not the form of one.

        Args:
            token: As it was sent.
            digest: The SHA-256 of it.

        Raises:
            InvalidApiKey: It has the form, and is not good.
            IdentityUnavailable: Nobody can say, as the provider's keys were never read.
        """
        held = self._held.get(digest)
        if held is not None and self._now_s() < held.ends_at_s:
            keys = held.ring.keys
            if keys is not None and held.key in keys.digests:
                self._held.move_to_end(digest)
                return held.caller
        return self._check(token, digest) if looks_signed(token) else None

    def find_again(self, token: bytes, digest: bytes) -> Caller | None:
        """As `find`, for a *token* that was good before and may be too old by now.

        Raises:
            As `find`.
        """
        held = self._held.get(digest)
        if held is not None and self._now_s() < held.ends_at_s:
            return self.find(token, digest)
        if not looks_signed(token):
            return None
        try:
            provider, keys, said = self._read(token)
            key = _find_key(provider, keys, said)
            return self._resolve(provider, _verify(token, said.algorithm, key, provider, _AT_ANY_TIME))[0]
        except _RefusedError as error:
            raise _invalid(error.message, error.detail) from error

    def knows(self, digest: bytes) -> bool:
        """Whether a token with this hash was found good lately."""
        return digest in self._held

    def _check(self, token: bytes, digest: bytes) -> Caller:
        refused = self._refused.get(digest)
        if refused is not None and self._now_s() < refused.ends_at_s and refused.keys is refused.ring.keys:
            raise _invalid(refused.message, refused.detail)
        provider, keys, said = self._read(token)
        key = _find_key(provider, keys, said)
        try:
            claims = _verify(token, said.algorithm, key, provider)
            caller, ends_at_s = self._resolve(provider, claims)
        except _RefusedError as error:
            if error.lasts and keys is not None:
                until_s = self._now_s() + REFUSED_FOR_S
                self._refused[digest] = _Refused(error.message, error.detail, until_s, provider.ring, keys)
                _bound(self._refused, MAX_REFUSED)
            raise _invalid(error.message, error.detail) from error
        self._held[digest] = _Held(caller, ends_at_s, provider.ring, key.digest)
        _bound(self._held, MAX_HELD)
        return caller

    def _read(self, token: bytes) -> tuple[Provider, KeySet | None, Unverified]:
        """Whose *token* it is by what it says of itself, the keys that are known of it, and what it says.

        Raises:
            InvalidApiKey: It cannot be read, or is nobody's.
        """
        try:
            said = read_unverified(token)
        except UnreadableError as error:
            raise _invalid(f"This token cannot be read: {error}.") from error
        provider = self._providers.get(said.issuer)
        if provider is None:
            message = "This is no API key that is known here, and no token of an identity provider that is."
            raise _invalid(message, self._why_nobodys(said.issuer))
        return provider, provider.ring.keys, said

    def _why_nobodys(self, issuer: str) -> str:
        """What the operator is told of an *issuer* that is in no manifest; it may be made up."""
        for near in (issuer + "/", issuer.removesuffix("/")):
            if (provider := self._providers.get(near)) is not None:
                return (
                    f"its issuer differs from that of identity provider {provider.name} by a slash at the end"
                )
        return "its issuer is that of no manifest"

    def _resolve(self, provider: Provider, claims: Mapping[str, Any]) -> tuple[Caller, float]:
        """Who that is, and until when."""
        ends_at_s = float(claims["exp"]) + provider.leeway_s
        subjects = _texts(_claim(claims, provider.subject_claim))
        accounts = [provider.accounts[value] for value in subjects if value in provider.accounts]
        if accounts:
            _check_email(provider, provider.subject_claim, claims)
            account = min(accounts, key=lambda found: found.caller.name)
            account_ends_at_s = math.inf if account.expires_at_s is None else account.expires_at_s
            if self._now_s() >= account_ends_at_s:
                raise _RefusedError(f"The virtual account of this token has expired. {_ASK}", provider)
            return account.caller, min(ends_at_s, account_ends_at_s)
        user = self._user(provider, claims)
        groups = _texts(_claim(claims, provider.groups_claim))
        teams = tuple(dict.fromkeys(team for group in groups for team in provider.teams.get(group, ())))
        if not provider.admits_unknown and not self._users.is_named(user, teams):
            message = f"This token is good, but its user has no access to this gateway. {_ASK}"
            raise _RefusedError(message, provider, "no manifest names the user or a group of the token")
        return self._users.signed_in(user, teams), ends_at_s

    def _user(self, provider: Provider, claims: Mapping[str, Any]) -> str:
        claim = provider.user_claim
        user = _claim(claims, claim)
        if not isinstance(user, str) or len(user) > _MAX_USER_CHARACTERS or find_user(user) != user:
            raise _RefusedError(f"This token has no name of a user in its claim {claim}. {_ASK}", provider)
        _check_email(provider, claim, claims)
        if provider.user_domains and user.rpartition("@")[2].lower() not in provider.user_domains:
            message = f"The identity provider of this token is not for users of this domain. {_ASK}"
            raise _RefusedError(message, provider)
        if self._users.is_virtual_account(user):
            # What is kept for a caller (files, batches, sessions) is kept by its name.
            message = f"The user of this token has the name of a virtual account. {_ASK}"
            raise _RefusedError(message, provider)
        return user


class _RefusedError(Exception):
    """A token that is not good.

    Attributes:
        lasts: So it will be found in a moment.
    """

    def __init__(self, message: str, provider: Provider, why: str = "", *, lasts: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.detail = f"identity provider {provider.name}{': ' if why else ''}{why}"
        self.lasts = lasts


def _find_key(provider: Provider, keys: KeySet | None, said: Unverified) -> Key:
    """The key with which the signature is to be checked.

    Raises:
        InvalidApiKey: There is none: no signature is looked at.
        IdentityUnavailable: Nothing is known of its keys.
    """
    if said.algorithm not in provider.algorithms:
        message = "This token is signed in a way that is not taken here, or not at all."
        raise _invalid(message, f"identity provider {provider.name}")
    if keys is None:
        provider.ring.ask()
        message = "The identity provider's keys could not be read yet, so no token of it can be checked."
        detail = f"identity provider {provider.name}"
        raise IdentityUnavailable(message, detail=detail, headers=(("retry-after", "1"),))
    key = keys.find(said.kid, said.algorithm)
    if key is not None:
        return key
    if said.kid is None:
        message = "This token does not say with which key it is signed."
        raise _invalid(message, f"identity provider {provider.name}")
    if keys.has(said.kid):
        message = "This token names a key that is not for the way in which it is signed."
        raise _invalid(message, f"identity provider {provider.name}")
    provider.ring.ask()
    message = f"This token is signed with a key that its identity provider does not publish. {_SIGN_IN}"
    raise InvalidApiKey(message, detail=f"identity provider {provider.name}", headers=_AGAIN)


def _verify(
    token: bytes, algorithm: str, key: Key, provider: Provider, how: Options = _NOW
) -> dict[str, Any]:
    """The claims of *token*, which are true; *how* says whether it has to be good now."""
    try:
        return jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            audience=provider.audiences,
            issuer=provider.issuer,
            leeway=provider.leeway_s,
            options=how,
        )
    except jwt.ExpiredSignatureError:
        raise _RefusedError(f"This token has expired. {_SIGN_IN}", provider) from None
    except jwt.ImmatureSignatureError:
        message = "This token is not valid yet. The clocks of its maker and of the gateway may differ."
        raise _RefusedError(message, provider, lasts=False) from None
    except jwt.InvalidAudienceError:
        message = "This token is for another service: none of its audiences is this gateway's."
        raise _RefusedError(message, provider) from None
    except jwt.MissingRequiredClaimError as error:
        message = f"This token has no {error.claim}, and such tokens are not taken."
        raise _RefusedError(message, provider) from None
    except jwt.InvalidSignatureError:
        raise _RefusedError("The signature of this token is wrong.", provider) from None
    except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError) as error:
        # The library's words may quote the token.
        raise _RefusedError("This token cannot be read.", provider, type(error).__name__) from None


def _check_email(provider: Provider, claim: str, claims: Mapping[str, Any]) -> None:
    """That the *claim* which says who it is, is no email that anybody could have written there."""
    # Some write it as text.
    if claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        message = "The identity provider has not verified the email of this token. Verify it there."
        raise _RefusedError(message, provider)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path of names with dots (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _invalid(message: str, detail: str = "") -> GatewayError:
    return InvalidApiKey(message, detail=detail, headers=_CHALLENGE)


def _bound(kept: OrderedDict[bytes, Any], most: int) -> None:
    if len(kept) > most:
        kept.popitem(last=False)
