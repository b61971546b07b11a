"""Minutes-long tokens of who is signed in to the dashboard, for calls from its playground.

The control process signs one for each call with a key in the state folder, which the workers of this host
read there; so whoever may not read that folder can neither make nor change one, and another gateway's are
foreign here. What the bearer may call is worked out by the worker, not written in the token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets as randomness
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gateway.errors import InvalidApiKey
from gateway.identity.tokens import SignedTokens
from gateway.model import Caller

FILE_NAME: Final = "dashboard-tokens.key"
LIFE_S: Final = 300.0
"""From minting to the last moment at which a call may begin."""

_PREFIX: Final = b"gwd_"
# What a signature is good for is signed with it: one key is one purpose, and stays so.
_PURPOSE: Final = b"gateway dashboard to data plane, 1\0"
_KEY_BYTES: Final = 32
_MODE: Final = 0o600
_LONGEST: Final = 2048
_READ_AGAIN_S: Final = 1.0
_CHALLENGE: Final = (("www-authenticate", "Bearer"),)


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token says.

    Attributes:
        sub: The user's name at the dashboard.
        admin: Whether their role there is admin.
        exp: Unix time from which it is refused.
    """

    sub: str
    admin: bool
    exp: float


class DashboardKey:
    """The key in the state folder. The control process makes it; workers read it when a token comes."""

    def __init__(self, state_dir: Path, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        """Use the one in *state_dir*; *monotonic_s* is a clock."""
        self._file = state_dir / FILE_NAME
        self._monotonic_s = monotonic_s
        self._key = b""
        self._read_at_s = float("-inf")

    def mint(self, user: str, *, is_admin: bool, now_s: float) -> str:
        """A token of *user*, good for `LIFE_S` from *now_s* (Unix time) on.

        Raises:
            OSError: The key cannot be made or read.
        """
        key = self._current() or self._make()
        claims = msgspec.json.encode(Claims(user, is_admin, now_s + LIFE_S))
        payload = base64.urlsafe_b64encode(claims)
        return (_PREFIX + payload + b"." + _sign(key, payload)).decode()

    def derived(self, purpose: bytes) -> bytes:
        """A key for another *purpose*: the same for as long as the one in the state folder is.

        Raises:
            OSError: That cannot be made or read.
        """
        return hmac.digest(self._current() or self._make(), purpose + b"\0", "sha256")

    def read(self, token: bytes) -> Claims | None:
        """What *token* says, None when it was not signed with this key."""
        payload, _, signature = token.removeprefix(_PREFIX).rpartition(b".")
        if len(token) > _LONGEST or not self._is_signed(payload, signature):
            return None
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(payload), type=Claims)
        except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _is_signed(self, payload: bytes, signature: bytes) -> bool:
        key = self._current()
        if key and hmac.compare_digest(_sign(key, payload), signature):
            return True
        # Somebody may have removed the file, and control made another; whoever guesses must not make us
        # read it for each guess.
        if self._monotonic_s() - self._read_at_s < _READ_AGAIN_S:
            return False
        self._read()
        return bool(self._key) and hmac.compare_digest(_sign(self._key, payload), signature)

    def _current(self) -> bytes:
        if not self._key and self._monotonic_s() - self._read_at_s >= _READ_AGAIN_S:
            self._read()
        return self._key

    def _read(self) -> None:
        self._read_at_s = self._monotonic_s()
        try:
            is_private = not self._file.stat().st_mode & 0o077
            key = self._file.read_bytes() if is_private else b""
        except OSError:
            key = b""
        self._key = key if len(key) == _KEY_BYTES else b""

    def _make(self) -> bytes:
        """Make the file anew, whole before it has its name."""
        key = randomness.token_bytes(_KEY_BYTES)
        fresh = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
        fresh.replace(self._file)
        self._key = key
        return key


class DashboardTokens:
    """Finds who calls with such a token, and passes any other one on; see `gateway.identity.tokens`."""

    def __init__(
        self,
        key: DashboardKey,
        find_caller: Callable[[Claims, float], Caller | None],
        others: SignedTokens | None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            key: What they are signed with.
            find_caller: Who that is at a time, None where they may call nothing.
            others: Of identity providers.
            now_s: Unix time.
        """
        self._key = key
        self._find_caller = find_caller
        self._others = others
        self._now_s = now_s

    def find(self, token: bytes, digest: bytes) -> Caller | None:
        """The caller whose *token* it is; None when it is none that is signed.

        Raises:
            GatewayError: It has the form of a signed one, and is not good.
        """
        if not token.startswith(_PREFIX):
            return None if self._others is None else self._others.find(token, digest)
        claims = self._key.read(token)
        if claims is None:
            return None
        now_s = self._now_s()
        if now_s >= claims.exp:
            raise InvalidApiKey("This token of the dashboard has expired.", headers=_CHALLENGE)
        caller = self._find_caller(claims, now_s)
        if caller is None:
            message = (
                "You are signed in to the dashboard as a viewer, and there is no personal access token (pat) "
                "whose user has your name, so there is nothing that you may call."
            )
            raise InvalidApiKey(message, headers=_CHALLENGE)
        return caller

    def find_again(self, token: bytes, digest: bytes) -> Caller | None:
        """As `find`, for a token that was good before; of the dashboard's own nothing goes on for so long."""
        if token.startswith(_PREFIX):
            return self.find(token, digest)
        return None if self._others is None else self._others.find_again(token, digest)

    def knows(self, digest: bytes) -> bool:
        """Whether a token with this hash was found good lately; of the dashboard's own nobody is told one."""
        return self._others is not None and self._others.knows(digest)


def _sign(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, "sha256").hex().encode()
