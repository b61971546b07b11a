"""`gateway admin ...`: the accounts of the dashboard, by whoever has an account on the gateway's host.

Works on the state folder, beside a running gateway or without one; what it changes is in force at once, and
in the audit log, without anything secret.
"""

from __future__ import annotations

import getpass
import sys
import time
from pathlib import Path
from typing import Final

from gateway.control.audit import OPERATOR, AuditTrail
from gateway.control.sign_in.accounts import LINK_S, AccountRefused, Accounts, Token
from gateway.control.sign_in.roles import Role
from gateway.store.audit_log import FOLDER, AuditLog

_DONE: Final = 0
_FAILED: Final = 1
_DAY_S: Final = 86_400.0
_INVITED: Final = " (no password yet)"


def find_accounts(state_dir: Path) -> Accounts:
    """The accounts in *state_dir*.

    Raises:
        AccountRefused: No gateway has run there: most likely another folder is meant.
    """
    if not state_dir.is_dir():
        raise AccountRefused(
            f"{state_dir} is no state folder: start the gateway first, or name it: --state-dir"
        )
    return Accounts(state_dir)


def link_of(secret: str, origin: str) -> str:
    """The page that *secret* opens, to set a password once."""
    return f"{origin}/first#{secret}"


def make_link(state_dir: Path, name: str, origin: str) -> str:
    """A one-time link, which the audit log has as made by a command.

    Raises:
        AccountRefused, OSError, ValueError: There is to be none.
    """
    link = link_of(_make_link(state_dir, name), origin)
    _note(state_dir, "operator.link_made", name)
    return link


def print_link(state_dir: Path, name: str, origin: str) -> int:
    """Print a one-time link."""
    try:
        link = make_link(state_dir, name, origin)
    except (AccountRefused, OSError, ValueError) as error:
        return _fail(error)
    return _say(f"{link}\nIt works once, for {LINK_S / 3600:.0f} hours.")


def set_password(state_dir: Path, name: str) -> int:
    """Ask for a password and set it; from a pipe, the first line is it."""
    try:
        accounts = find_accounts(state_dir)
        password = _ask(name) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        # Makes the first user where there is none, and ends links made before.
        accounts.use_link(_make_link(state_dir, name), password)
    except (AccountRefused, OSError, ValueError) as error:
        return _fail(error)
    _note(state_dir, "operator.password_set", name)
    return _say(f"The password of {name} is set; sessions from before have ended.")


def add_token(state_dir: Path, name: str, role: Role, days: int | None) -> int:
    """Print a new token, on standard output alone."""
    try:
        valid_s = None if days is None else days * _DAY_S
        _, secret = find_accounts(state_dir).make_token(name, role, valid_s)
    except (AccountRefused, OSError, ValueError) as error:
        return _fail(error)
    _note(state_dir, "admin_token.created", name)
    return _say(secret)


def revoke_token(state_dir: Path, token_id: str) -> int:
    """End a token."""
    try:
        token = find_accounts(state_dir).revoke_token(token_id)
    except (AccountRefused, OSError, ValueError) as error:
        return _fail(error)
    _note(state_dir, "admin_token.revoked", token.name)
    return _say(f"{token.name} is revoked.")


def print_accounts(state_dir: Path) -> int:
    """Print users and tokens, without anything secret."""
    try:
        accounts = find_accounts(state_dir)
        users = [
            f"user   {user.role:7} {user.name}{'' if user.has_password else _INVITED}"
            for user in accounts.users()
        ]
        tokens = [
            f"token  {token.role:7} {token.id}  {token.name}{_until(token)}" for token in accounts.tokens()
        ]
    except (AccountRefused, OSError, ValueError) as error:
        return _fail(error)
    return _say("\n".join([*users, *tokens]) or "There are no users and no tokens yet: gateway admin link")


def _until(token: Token) -> str:
    if token.expires_at_s is None:
        return ""
    return time.strftime(" (until %Y-%m-%dT%H:%M:%SZ)", time.gmtime(token.expires_at_s))


def _make_link(state_dir: Path, name: str) -> str:
    accounts = find_accounts(state_dir)
    is_first = accounts.find_user(name) is None
    secret = accounts.make_link(name)
    if is_first:
        _note(state_dir, "operator.created", name)
    return secret


def _note(state_dir: Path, action: str, name: str) -> None:
    AuditTrail(AuditLog(state_dir / FOLDER)).commanded(action, OPERATOR, name)


def _ask(name: str) -> str:
    password = getpass.getpass(f"New password of {name}: ")
    if getpass.getpass("Once more: ") != password:
        raise AccountRefused("the two are not the same")
    return password


def _say(text: str) -> int:
    sys.stdout.write(text + "\n")
    return _DONE


def _fail(error: Exception) -> int:
    sys.stderr.write(f"gateway admin: {error}\n")
    return _FAILED
