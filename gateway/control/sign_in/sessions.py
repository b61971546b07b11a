"""Sessions of browsers: kept by the server as hashes, in the state folder, so that they outlive a restart.

Where the file is damaged all of them have ended, and it is set aside by the next who signs in: to do so again
is a small thing, and to keep everybody out until somebody looks at the host is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeGuard

from gateway.store.private_json import PrivateJson

FILE_NAME: Final = "sessions.json"
IDLE_S: Final = 12 * 3600.0
LONGEST_S: Final = 7 * 24 * 3600.0

# How exactly it is known when a session was used last: each use is not worth a write.
_SEEN_EVERY_S: Final = 300.0
_MAX_SESSIONS: Final = 1000
_TOKEN_BYTES: Final = 32

_log: Final = logging.getLogger(__name__)


class Sessions:
    """The sessions of one state folder. Thread-safe; `begin`, `note_use` and `end` write to the disk."""

    def __init__(self, state_dir: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._file = PrivateJson(state_dir / FILE_NAME)
        self._now_s = now_s

    def begin(self, who: dict[str, str]) -> str:
        """A new session of *who* (what proves it still; the caller's business); gives its secret."""
        secret = secrets.token_urlsafe(_TOKEN_BYTES)
        now_s = self._now_s()
        with self._change() as content:
            live = {key: one for key, one in content.items() if self._is_live(one)}
            while len(live) >= _MAX_SESSIONS:
                del live[min(live, key=lambda key: live[key]["seen_at"])]
            content.clear()
            content.update(live)
            content[_digest(secret)] = {"who": who, "begun_at": now_s, "seen_at": now_s}
        return secret

    def find(self, secret: str) -> dict[str, str] | None:
        """Whose session it is, None when it is none or has ended."""
        found = self._read().get(_digest(secret))
        if found is None or not self._is_live(found):
            return None
        who: dict[str, str] = found["who"]
        return who

    def is_use_new(self, secret: str) -> bool:
        """Whether it is to be noted that this session is used: for some minutes it was not."""
        return self._is_due(self._read().get(_digest(secret)))

    def note_use(self, secret: str) -> None:
        """Keep a session from ending for want of use."""
        with self._change() as content:
            # Another request may have done so meanwhile.
            if self._is_due(found := content.get(_digest(secret))):
                found["seen_at"] = self._now_s()

    def end(self, secret: str) -> None:
        """End a session."""
        with self._change() as content:
            content.pop(_digest(secret), None)

    def _read(self) -> dict[str, Any]:
        try:
            return self._file.read()
        except ValueError:
            return {}

    @contextlib.contextmanager
    def _change(self) -> Iterator[dict[str, Any]]:
        aside = self._file.set_damaged_aside()
        if aside is not None:
            _log.error(
                "the sessions of the dashboard cannot be read: kept as %s, everybody signs in again", aside
            )
        with self._file.change() as content:
            yield content

    def _is_due(self, session: dict[str, Any] | None) -> TypeGuard[dict[str, Any]]:
        return session is not None and self._now_s() - session["seen_at"] > _SEEN_EVERY_S

    def _is_live(self, session: object) -> bool:
        match session:
            case {"who": dict(), "seen_at": float() as seen_at_s, "begun_at": float() as begun_at_s}:
                now_s = self._now_s()
                return now_s - seen_at_s < IDLE_S and now_s - begun_at_s < LONGEST_S
        # Written by somebody else: it goes when the next one begins.
        return False


def csrf_token(secret: str) -> str:
    """What pages of the session with this secret send with each change; it does not tell the secret."""
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
