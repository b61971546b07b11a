"""The one place that says who somebody is, by what they bring: a token, a session, a password or a link."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from gateway.control.operator import Operator, Role
from gateway.control.sign_in.accounts import TOKEN_PREFIX, AccountRefused, Accounts, Token, User
from gateway.control.sign_in.lockout import Lockout
from gateway.control.sign_in.refusals import Refusals
from gateway.control.sign_in.sessions import Sessions, csrf_token

T = TypeVar("T")
_Found = tuple[Operator, dict[str, str]]
"""An operator, and what a session says that it was begun by."""

ENVIRONMENT: Final = "environment"
"""The operator who has `GATEWAY_ADMIN_TOKEN`."""

# As `openssl rand -hex 16` makes it, or longer. What is only long may be a phrase, of which a guesser has a
# list; nobody writes one in these digits.
_RANDOM: Final = re.compile(rb"[0-9a-fA-F]{32,}")
_RANDOM_DIGITS: Final = 8

# Each check of a password takes 32 MB and a core for a fifth of a second.
_MAX_WAITING: Final = 8

_log: Final = logging.getLogger(__name__)


class TooManyTries(Exception):
    """Somebody guesses, or too many sign in at once.

    Attributes:
        wait_s: When to try again.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many tries")
        self.wait_s = wait_s


class WrongSecret(Exception):
    """The name, the password or the token is wrong; which is not said."""


class Entrance:
    """Knows the operators. Used on the event loop, which reads the small files itself; threads write.

    Attributes:
        refusals: Who was not let in.
    """

    def __init__(
        self,
        state_dir: Path,
        admin_token: str | None,
        *,
        now_s: Callable[[], float] = time.time,
        tick_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open what is kept in *state_dir*."""
        self.accounts = Accounts(state_dir, now_s=now_s)
        self._sessions = Sessions(state_dir, now_s=now_s)
        self._admin_token = None if admin_token is None else admin_token.encode()
        self._is_random = self._admin_token is not None and _looks_random(self._admin_token)
        self._guesses = Lockout(tick_s, free=5, first_s=2.0, most_s=900.0)
        # A program with an old token asks again and again, and may share its address with others.
        self._bearers = Lockout(tick_s, free=30, first_s=1.0, most_s=30.0)
        self.refusals = Refusals(tick_s)
        self._one_by_one = asyncio.Lock()
        self._waiting = 0

    # What comes with each request

    def by_bearer(self, secret: str, address: str) -> Operator | None:
        """Whose token *secret* is.

        One that was made here, or is as random, passes whatever else comes from *address*: nobody guesses it,
        and behind a proxy whoever sends wrong ones would keep every program out.

        Raises:
            TooManyTries: *address* has sent many that were wrong.
        """
        beyond_guessing = self._beyond_guessing(secret)
        if beyond_guessing is not None:
            return beyond_guessing[0]
        if (wait_s := self._bearers.wait_s(address)) > 0:
            self.refusals.note("token.locked", address)
            raise TooManyTries(wait_s)
        found = self._by_token(secret)
        if found is None:
            self._bearers.failed(address)
            self.refusals.note("token.refused", address)
            return None
        return found[0]

    def is_token(self, secret: str) -> bool:
        """Whether *secret*, which was let in before, would be once more: no guess, so none is noted."""
        return bool(secret) and self._by_token(secret) is not None

    def by_session(self, secret: str) -> Operator | None:
        """Whose session it is, as long as what it was begun with is still good."""
        who = self._sessions.find(secret)
        if who is None:
            return None
        found = self._still(who)
        if found is None:
            return None
        return Operator(found[0], found[1], csrf_token(secret), is_user=who["kind"] == "user")

    async def note_use(self, secret: str) -> None:
        """Keep a session from ending for want of use; what is not written is tried at its next use."""
        if not self._sessions.is_use_new(secret):
            return
        try:
            await asyncio.to_thread(self._sessions.note_use, secret)
        except OSError as error:
            _log.error("that a session is used cannot be noted: %s", error.strerror or error)

    # Signing in; each gives the secret of a new session

    async def with_password(self, name: str, password: str, address: str) -> str:
        """Sign in as *name*.

        Raises:
            WrongSecret: That is not their password, or there is no such user.
            TooManyTries: Wait first.
        """
        user = await self._guess(address, lambda: self.accounts.check_password(name, password), name)
        return await asyncio.to_thread(self._sessions.begin, _of_user(user))

    async def with_token(self, secret: str, address: str) -> str:
        """Sign in with a token; one that nobody guesses passes as in `by_bearer`.

        That makes up for no wrong ones: else who has one could guess at a short one without end.

        Raises:
            WrongSecret: It is none.
            TooManyTries: Wait first.
        """
        found = self._beyond_guessing(secret)
        if found is None:
            found = await self._guess(address, lambda: self._by_token(secret))
        _, who = found
        return await asyncio.to_thread(self._sessions.begin, who)

    async def with_link(self, secret: str, password: str, address: str) -> str:
        """Set a password by a one-time link, and sign in.

        Raises:
            WrongSecret: It is no link (any more).
            AccountRefused: The password is too weak.
            TooManyTries: Wait first.
        """
        await self._guess(address, lambda: self.accounts.find_link(secret))
        user = await asyncio.to_thread(self.accounts.use_link, secret, password)
        return await asyncio.to_thread(self._sessions.begin, _of_user(user))

    async def change_password(self, name: str, old: str, new: str, address: str) -> str:
        """Give *name* another password; their other sessions end.

        Raises:
            WrongSecret: *old* is not their password.
            AccountRefused: *new* is too weak.
            TooManyTries: Wait first.
        """
        await self._guess(address, lambda: self.accounts.check_password(name, old), name)
        await asyncio.to_thread(self.accounts.set_password, name, new)
        user = self.accounts.find_user(name)
        if user is None:
            raise AccountRefused(f"there is no user '{name}'")
        return await asyncio.to_thread(self._sessions.begin, _of_user(user))

    def sign_out(self, secret: str) -> None:
        """End a session; writes to the disk, so call it in a thread."""
        self._sessions.end(secret)

    async def _guess(self, address: str, check: Callable[[], T | None], name: str = "") -> T:
        """What *check* finds; one at a time, in a thread, and counted when it finds nothing.

        Args:
            address: Whose guess it is.
            check: Gives None for a wrong one.
            name: Whose secret is guessed, "" for any.
        """
        if self._waiting >= _MAX_WAITING:
            raise TooManyTries(1.0)
        self._waiting += 1
        try:
            async with self._one_by_one:
                known = name if name and self.accounts.find_user(name) is not None else ""
                if (wait_s := self._guesses.wait_s(address)) > 0:
                    self.refusals.note("sign_in.locked", address, known)
                    raise TooManyTries(wait_s)
                found = await asyncio.to_thread(check)
                if found is None:
                    self._guesses.failed(address, name)
                    self.refusals.note("sign_in.failed", address, known)
                    raise WrongSecret
                self._guesses.succeeded(address, name)
                return found
        finally:
            self._waiting -= 1

    def _by_token(self, secret: str) -> _Found | None:
        return self._by_environment(secret) or self._by_made(secret)

    def _beyond_guessing(self, secret: str) -> _Found | None:
        """The same, of tokens that are too random to be found by trying one after the other."""
        found = self._by_environment(secret) if self._is_random else None
        # Looking for one that was made here costs more, and all of those begin so.
        return found or (self._by_made(secret) if secret.startswith(TOKEN_PREFIX) else None)

    def _by_environment(self, secret: str) -> _Found | None:
        given = secret.encode("utf-8", "surrogateescape")
        if self._admin_token is None or not hmac.compare_digest(given, self._admin_token):
            return None
        return Operator(ENVIRONMENT, Role.ADMIN), self._of_environment()

    def _by_made(self, secret: str) -> _Found | None:
        token = self.accounts.check_token(secret)
        return None if token is None else (Operator(token.name, token.role), _of_token(token))

    def _of_environment(self) -> dict[str, str]:
        # Another token in the environment ends the sessions of the one before.
        digest = hashlib.sha256(self._admin_token or b"").hexdigest()[:16]
        return {"kind": ENVIRONMENT, "mark": digest}

    def _still(self, who: dict[str, str]) -> tuple[str, Role] | None:
        """Name and role now of whom a session was begun by, None when they may not any more."""
        if who["kind"] == "user":
            user = self.accounts.find_user(who["name"])
            return None if user is None or user.mark != who["mark"] else (user.name, user.role)
        if who["kind"] == "token":
            token = self.accounts.find_token(who["id"])
            return None if token is None else (token.name, token.role)
        is_same = self._admin_token is not None and who == self._of_environment()
        return (ENVIRONMENT, Role.ADMIN) if is_same else None


def _looks_random(token: bytes) -> bool:
    return _RANDOM.fullmatch(token) is not None and len(set(token.lower())) >= _RANDOM_DIGITS


def _of_user(user: User) -> dict[str, str]:
    return {"kind": "user", "name": user.name, "mark": user.mark}


def _of_token(token: Token) -> dict[str, str]:
    return {"kind": "token", "id": token.id}
