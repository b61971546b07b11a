"""Sets of manifests in Redis or Valkey: the one in force, and those before it.

What a set is does not matter here: bytes with a digest. Each that is put has the next number; the last is in
force. Who puts one may say which it is a change of, and is told when that is not the last any more. Calls
block, for `TIMEOUT_S` or so at most, or as long as a patient caller wants; they are for threads and commands.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as TooLate
from redis.retry import Retry

from gateway.store.replicas import secrets_in, shown, trusting

KEPT_SETS: Final = 50
TIMEOUT_S: Final = 1.0

PATIENT_TIMEOUT_S: Final = 5.0
"""What an exchange may take where it is waited for: one that stood still goes on with what it was asked."""

PATIENCE_S: Final = 15.0
"""How long a command, and the first start of a gateway, try: a pause or a failover, and well below the 60 s
that our probes give a container to start."""

_AGAIN_S: Final = 0.5
_PREFIX: Final = "{gateway:config}:"
_KEYS: Final = tuple(f"{_PREFIX}{part}" for part in ("head", "sets", "notes"))
_DETAIL_CHARACTERS: Final = 200

# KEYS: the head, the sets and the notes on them by number. ARGV: the set, the note, the digest, what number
# and digest the last has to have ('' for any), how many are kept, and which put it is: one whose answer was
# lost is asked for again, and not to be done twice. The answer: 1, the new one, or 0, the last.
_PUT: Final = """
local head, sets, notes = KEYS[1], KEYS[2], KEYS[3]
local number, digest = redis.call('HGET', head, 'n') or '0', redis.call('HGET', head, 'd') or ''
if redis.call('HGET', head, 'p') == ARGV[6] and digest == ARGV[3] then return {1, number .. '-' .. digest} end
if ARGV[4] ~= '' and ARGV[4] ~= number .. '-' .. digest then return {0, number .. '-' .. digest} end
local new = redis.call('HINCRBY', head, 'n', 1)
redis.call('HSET', head, 'd', ARGV[3], 'p', ARGV[6])
redis.call('HSET', sets, new, ARGV[1])
local time = redis.call('TIME')
redis.call('HSET', notes, new, time[1] .. ' ' .. ARGV[2])
redis.call('HDEL', sets, new - ARGV[5])
redis.call('HDEL', notes, new - ARGV[5])
return {1, new .. '-' .. ARGV[3]}
"""


# What a server says that is about to be another, or is not whole.
_PASSING: Final = (ConnectionLost, TooLate, OSError, ReadOnlyError, TryAgainError, AskError, ClusterDownError)
_LASTING: Final = (AuthenticationError, AuthorizationError)


class ConfigAwayError(Exception):
    """The server cannot be used; the message says why, without what is secret in its address.

    Attributes:
        may_pass: It may be of use by and by, and may do then what it was asked for.
    """

    def __init__(self, why: str, *, may_pass: bool = True) -> None:
        super().__init__(why)
        self.may_pass = may_pass


@dataclass(frozen=True)
class Patience:
    """Of whoever has nothing to go on with.

    Attributes:
        for_s: How long it is tried.
        tell: Is told once in each call what is waited for.
    """

    for_s: float
    tell: Callable[[ConfigAwayError], None]


class NotTheLastError(Exception):
    """What was to be changed is not the last set any more.

    Attributes:
        last: Number and digest of that, `0-` where there is none.
    """

    def __init__(self, last: str) -> None:
        super().__init__("another configuration was put meanwhile")
        self.last = last


class Note(msgspec.Struct, frozen=True):
    """What is known of a set beside what is in it.

    Attributes:
        number: See `gateway.store.config_store`.
        digest: Of the set.
        version: Of the configuration.
        at_s: Unix time of the server.
        by: Who put it.
        gateway: Version of the gateway that checked it.
        manifests: How many.
        what: Why, such as "rollback of 3"; may be empty.
    """

    number: int
    digest: str
    version: str
    at_s: int
    by: str
    gateway: str
    manifests: int
    what: str = ""

    @property
    def name(self) -> str:
        """Of the set: what `head` is while it is in force."""
        return f"{self.number}-{self.digest}"


class ConfigStore:
    """The sets of one server. Thread-safe.

    Attributes:
        place: Its address, without what is secret in it.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, patience: Patience | None = None) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`; may hold a password. A cluster by any of its nodes.
            timeout_s: How long each exchange with the server may take.
            patience: With a server that cannot be used; None: the first time is the last.
        """
        self._patience = patience
        self.place = shown(url)
        self._secrets = secrets_in(url)
        self._lock = threading.Lock()
        self._redis: Redis = Redis.from_url(
            trusting(url),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
            protocol=2,
            client_name="gateway-config",
        )
        self._command: Any = self._redis.execute_command  # redis has no types here
        where = self._redis.connection_pool.connection_kwargs
        self._home: dict[str, Any] = {name: where[name] for name in ("host", "port") if name in where}

    def head(self) -> str:
        """Number and digest of the set in force, "" where there is none.

        Raises:
            ConfigAwayError: The server cannot be used; so in all that follow.
        """
        number, digest = self._do(lambda: self._command("HMGET", _KEYS[0], "n", "d"))
        return (
            ""
            if number is None
            else f"{number.decode(errors='replace')}-{(digest or b'').decode(errors='replace')}"
        )

    def find(self, number: int) -> bytes | None:
        """The set of this number, None when it is not kept any more."""
        found: bytes | None = self._do(lambda: self._command("HGET", _KEYS[1], number))
        return found

    def put(self, packed: bytes, note: Note, expected: str | None = None) -> str:
        """Put a set in force.

        Args:
            packed: The set.
            note: On it; its number and time are not used.
            expected: What `head` has to be, `0-` for nothing; None: whatever there is.

        Returns:
            Its number and digest.

        Raises:
            NotTheLastError: The head is another, and has not the same in it.
        """
        about = {
            "digest": note.digest,
            "version": note.version,
            "by": note.by,
            "gateway": note.gateway,
            "manifests": note.manifests,
            "what": note.what,
        }
        words = (packed, json.dumps(about), note.digest, expected or "", KEPT_SETS, uuid.uuid4().hex)
        is_put, name = self._do(lambda: self._command("EVAL", _PUT, len(_KEYS), *_KEYS, *words))
        last: str = name.decode()
        # The same set is in force already where an answer was lost and the question asked again.
        if not is_put and last.partition("-")[2] != note.digest:
            raise NotTheLastError(last)
        return last

    def notes(self) -> list[Note]:
        """On all that are kept, the last first; of a newer gateway what this one knows of it."""
        found: dict[bytes, bytes] = self._do(lambda: self._command("HGETALL", _KEYS[2]))
        notes = []
        for number, text in found.items():
            at_s, _, about = text.partition(b" ")
            with contextlib.suppress(ValueError, TypeError):
                note = {**json.loads(about), "number": int(number), "at_s": int(at_s)}
                notes.append(msgspec.convert(note, Note))
        return sorted(notes, key=lambda note: note.number, reverse=True)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.connection_pool.disconnect()

    def _do(self, ask: Callable[[], Any]) -> Any:
        with self._lock:
            patience = self._patience
            if patience is None:
                return self._do_once(ask)
            until_s = time.monotonic() + patience.for_s
            is_told = False
            while True:
                try:
                    return self._do_once(ask)
                except ConfigAwayError as error:
                    if not error.may_pass or time.monotonic() >= until_s:
                        raise
                    if not is_told:
                        patience.tell(error)
                        is_told = True
                time.sleep(_AGAIN_S)

    def _do_once(self, ask: Callable[[], Any]) -> Any:
        try:
            try:
                return ask()
            except MovedError as moved:
                # A node of a cluster says which one has the keys; it stays the one until that fails.
                self._turn_to({**({"host": moved.host} if moved.host else {}), "port": moved.port})
                return ask()
        except (RedisError, OSError) as error:
            self._turn_to(self._home)
            raise ConfigAwayError(self._told(error), may_pass=_may_pass(error)) from error

    def _turn_to(self, where: dict[str, Any]) -> None:
        self._redis.connection_pool.disconnect()
        self._redis.connection_pool.reset()
        self._redis.connection_pool.connection_kwargs.update(where)

    def _told(self, error: BaseException) -> str:
        text = (str(error) or type(error).__name__).rstrip(".")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_DETAIL_CHARACTERS]


def _may_pass(error: BaseException) -> bool:
    is_distrust = isinstance(error.__context__, ssl.SSLCertVerificationError)
    return isinstance(error, _PASSING) and not isinstance(error, _LASTING) and not is_distrust
