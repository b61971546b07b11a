"""Who may sign in: users with a password, tokens of programs, and one-time links to set a password.

Kept in the state folder (0600). Of passwords, tokens and links only hashes are kept; a token or a link is
seen once, by whoever made it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.control.sign_in.passwords import fault_of, hash_password, is_password
from gateway.control.sign_in.roles import Role
from gateway.store.private_json import PrivateJson

FILE_NAME: Final = "operators.json"
FIRST_USER: Final = "admin"
LINK_S: Final = 24 * 3600.0
"""How long a one-time link may be used."""

_MAX_USERS: Final = 1000
_MAX_TOKENS: Final = 1000
_MAX_LINKS: Final = 100
_TOKEN_BYTES: Final = 32
# A path ends with a name, and of one of dots alone every client makes another path before it asks.
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[\w.@+-][\w.@+ -]{0,127}")
_NO_NAME: Final = "a name has 1 to 128 letters, digits, spaces or . @ + - _, and is not . or .."
TOKEN_PREFIX: Final = "gwa_"  # noqa: S105 - so that scanners for leaked secrets can know one
"""Of admin tokens."""


class AccountRefused(Exception):
    """What was asked cannot be done; the message says why."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who signs in with a password.

    Attributes:
        mark: Another one after each change of the password: sessions from before end by it.
    """

    name: str
    role: Role
    has_password: bool
    created_at_s: float
    mark: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """What a program sends as Bearer; the token itself is not here.

    Attributes:
        expires_at_s: None: never.
    """

    id: str
    name: str
    role: Role
    created_at_s: float
    expires_at_s: float | None


class Accounts:
    """The accounts of one state folder. Thread-safe; what changes something writes to the disk."""

    def __init__(self, state_dir: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._file = PrivateJson(state_dir / FILE_NAME)
        self._now_s = now_s

    # Users

    def users(self) -> list[User]:
        """All, by name."""
        return sorted(map(_user, self._file.read().get("users", ())), key=lambda user: user.name)

    def find_user(self, name: str) -> User | None:
        """The user *name*."""
        return next((user for user in self.users() if user.name == name), None)

    def has_admin(self) -> bool:
        """Whether an admin can sign in with a password."""
        return any(user.role is Role.ADMIN and user.has_password for user in self.users())

    def first_admin(self) -> str:
        """Who is to have the first password: an admin that there is, else the first user, made by a link."""
        return next((user.name for user in self.users() if user.role is Role.ADMIN), FIRST_USER)

    def check_password(self, name: str, password: str) -> User | None:
        """The user *name* if that is their password. Slow on purpose, as long for a name that is none."""
        found = next((one for one in self._file.read().get("users", ()) if one["name"] == name), None)
        is_right = is_password(password, None if found is None else found.get("password"))
        return _user(found) if is_right and found is not None else None

    def set_password(self, name: str, password: str) -> None:
        """Give the user *name* another password.

        Raises:
            AccountRefused: There is no such user, or the password is too weak.
        """
        kept = _hashed(password)
        with self._file.change() as content:
            _entry(content, name)["password"] = kept

    def add_user(self, name: str, role: Role) -> None:
        """A user without a password; a link lets them set one.

        Raises:
            AccountRefused: The name is taken or cannot be one, or there are too many.
        """
        if not _NAME.fullmatch(name):
            raise AccountRefused(_NO_NAME)
        with self._file.change() as content:
            users = content.setdefault("users", [])
            if any(one["name"] == name for one in users):
                raise AccountRefused(f"there is a user '{name}' already")
            if len(users) >= _MAX_USERS:
                raise AccountRefused(f"there are {_MAX_USERS} users; remove some first")
            users.append({"name": name, "role": role, "password": None, "created_at": self._now_s()})

    def set_role(self, name: str, role: Role) -> None:
        """Make the user *name* a viewer or an admin.

        Raises:
            AccountRefused: There is no such user, or no admin would be left.
        """
        with self._file.change() as content:
            entry = _entry(content, name)
            before, entry["role"] = entry["role"], role
            _check_admin_left(content, before)

    def remove_user(self, name: str) -> None:
        """Remove the user *name*; their sessions and links end.

        Raises:
            AccountRefused: There is no such user, or no admin would be left.
        """
        with self._file.change() as content:
            entry = _entry(content, name)
            content["users"].remove(entry)
            content["links"] = [one for one in content.get("links", ()) if one["user"] != name]
            _check_admin_left(content, entry["role"])

    # Links

    def make_link(self, name: str) -> str:
        """A secret that lets whoever has it set the password of *name*, once, for a day.

        Links made for the same user before end. The first user is made where there is none.

        Raises:
            AccountRefused: There is no such user.
        """
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        with self._file.change() as content:
            if not content.get("users") and name == FIRST_USER:
                user = {"name": name, "role": Role.ADMIN, "password": None, "created_at": self._now_s()}
                content["users"] = [user]
            _entry(content, name)
            kept = [one for one in self._live_links(content) if one["user"] != name]
            entry = {"sha256": _digest(secret), "user": name, "expires_at": self._now_s() + LINK_S}
            content["links"] = [*kept[-_MAX_LINKS + 1 :], entry]
        return secret

    def find_link(self, secret: str) -> str | None:
        """Whose link *secret* is, None when it is none, was used or has expired."""
        digest = _digest(secret)
        links = self._live_links(self._file.read())
        return next((one["user"] for one in links if hmac.compare_digest(one["sha256"], digest)), None)

    def use_link(self, secret: str, password: str) -> User:
        """Set the password of the user whose link it is; the link ends.

        Raises:
            AccountRefused: It is no link, or the password is too weak.
        """
        name = self.find_link(secret)
        if name is None:
            raise AccountRefused("this link was used or has expired")
        kept = _hashed(password)
        digest = _digest(secret)
        with self._file.change() as content:
            links = self._live_links(content)
            # Another process may have used it while the password was hashed.
            if all(one["sha256"] != digest for one in links):
                raise AccountRefused("this link was used or has expired")
            content["links"] = [one for one in links if one["user"] != name]
            entry = _entry(content, name)
            entry["password"] = kept
        return _user(entry)

    # Tokens

    def tokens(self) -> list[Token]:
        """All that have not expired, the newest first."""
        tokens = map(_token, self._file.read().get("tokens", ()))
        return sorted(filter(self._is_live, tokens), key=lambda token: -token.created_at_s)

    def make_token(self, name: str, role: Role, valid_s: float | None = None) -> tuple[Token, str]:
        """A new token, and its secret, which nobody can see again.

        Raises:
            AccountRefused: The name cannot be one, or there are too many.
        """
        if not _NAME.fullmatch(name):
            raise AccountRefused(_NO_NAME)
        secret = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        now_s = self._now_s()
        entry = {
            "id": secrets.token_hex(8),
            "name": name,
            "role": role,
            "sha256": _digest(secret),
            "created_at": now_s,
            "expires_at": None if valid_s is None else now_s + valid_s,
        }
        with self._file.change() as content:
            kept = [one for one in content.get("tokens", ()) if self._is_live(_token(one))]
            if len(kept) >= _MAX_TOKENS:
                raise AccountRefused(f"there are {_MAX_TOKENS} tokens; revoke some first")
            content["tokens"] = [*kept, entry]
        return _token(entry), secret

    def revoke_token(self, token_id: str) -> Token:
        """End a token.

        Raises:
            AccountRefused: There is none with this id.
        """
        with self._file.change() as content:
            tokens = content.get("tokens", [])
            found = next((one for one in tokens if one["id"] == token_id), None)
            if found is None:
                raise AccountRefused("there is no such token")
            tokens.remove(found)
        return _token(found)

    def check_token(self, secret: str) -> Token | None:
        """Whose token *secret* is."""
        digest = _digest(secret)
        found = (
            one for one in self._file.read().get("tokens", ()) if hmac.compare_digest(one["sha256"], digest)
        )
        return next(filter(self._is_live, map(_token, found)), None)

    def find_token(self, token_id: str) -> Token | None:
        """The token with this id."""
        return next((token for token in self.tokens() if token.id == token_id), None)

    def _is_live(self, token: Token) -> bool:
        return token.expires_at_s is None or token.expires_at_s > self._now_s()

    def _live_links(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in content.get("links", ()) if one["expires_at"] > self._now_s()]


def _entry(content: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = next(
        (one for one in content.get("users", ()) if one["name"] == name), None
    )
    if found is None:
        raise AccountRefused(f"there is no user '{name}'")
    return found


def _check_admin_left(content: dict[str, Any], before: str) -> None:
    """*before* is the role of who was changed: a viewer leaves as many admins as there were."""
    if before == Role.ADMIN and all(one["role"] != Role.ADMIN for one in content["users"]):
        raise AccountRefused("this is the last admin: make somebody else one first")


def _hashed(password: str) -> str:
    if (fault := fault_of(password)) is not None:
        raise AccountRefused(fault)
    return hash_password(password)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _user(entry: dict[str, Any]) -> User:
    kept = entry.get("password")
    mark = "" if kept is None else _digest(kept)[:16]
    return User(entry["name"], Role(entry["role"]), kept is not None, entry["created_at"], mark)


def _token(entry: dict[str, Any]) -> Token:
    role = Role(entry["role"])
    return Token(entry["id"], entry["name"], role, entry["created_at"], entry["expires_at"])
