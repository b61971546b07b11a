"""The keys of identity providers, held by a worker and renewed beside its calls.

The last good set of each address is in the state folder too, so that neither a provider that is away nor a
restart meanwhile keeps callers out. What a provider has withdrawn is seen when it can be asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from gateway.errors import GatewayError
from gateway.identity.key_set import MAX_BYTES, KeySet, parse_keys
from gateway.identity.token_reading import UnreadableError
from gateway.model import Fetch
from gateway.tasks import end, spawn

FOLDER: Final = "keys"
"""In the state folder."""

ANSWER_WITHIN_S: Final = 10.0
RENEWED_AFTER_S: Final = 300.0
"""Where the answer does not say for how long it may be kept."""

_SHORTEST_S: Final = 60.0
_LONGEST_S: Final = 3600.0
EARLY_AFTER_S: Final = 5.0
"""Between two questions to a provider, whatever tokens come."""

_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_OK: Final = 200
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)

State = Literal["ok", "stale", "away"]
"""ok; the last question failed and the keys are those of before; there are none at all."""

_log: Final = logging.getLogger(__name__)


class KeyRing:
    """The keys of one address."""

    def __init__(self, address: str, file: Path, now_s: Callable[[], float]) -> None:
        """Take up the keys that *file* has of *address*, if any."""
        self.address = address
        self.is_failing = False
        self.was_asked = asyncio.Event()
        self.first = asyncio.Event()
        self._file = file
        self._now_s = now_s
        self._asked_at_s = float("-inf")
        self._body = self._kept()
        self._keys = _parsed(self._body)
        if self._keys is not None:
            self.first.set()

    @property
    def keys(self) -> KeySet | None:
        """Those it publishes, as far as is known; None: nothing is known."""
        return self._keys

    @property
    def state(self) -> State:
        """How it is with them."""
        if self._keys is None:
            return "away"
        return "stale" if self.is_failing else "ok"

    def ask(self) -> None:
        """Have them renewed soon."""
        self.was_asked.set()

    async def renew(self, fetch: Fetch) -> float:
        """Ask for them.

        Returns:
            For how many seconds the answer may be kept.

        Raises:
            GatewayError, UnreadableError: There is no good answer; the keys are those of before.
        """
        self._asked_at_s = self._now_s()
        answer = await fetch(self.address, limit_bytes=MAX_BYTES, timeout_s=ANSWER_WITHIN_S)
        if answer.status != _OK:
            raise UnreadableError(f"it answered {answer.status}")
        if answer.body != self._body:
            keys = parse_keys(answer.body)
            self._keys, self._body = keys, answer.body
            await asyncio.to_thread(self._keep, answer.body)
        return _kept_for_s(answer.headers)

    def early_after_s(self) -> float:
        """How long until it may be asked out of its turn."""
        return max(0.0, self._asked_at_s + EARLY_AFTER_S - self._now_s())

    def _kept(self) -> bytes:
        try:
            with self._file.open("rb") as file:
                kept = json.loads(file.read(4 * MAX_BYTES))
            if kept["address"] != self.address:
                return b""
            return str(kept["keys"]).encode()
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return b""

    def _keep(self, body: bytes) -> None:
        content = json.dumps({"address": self.address, "keys": body.decode(errors="replace")})
        # Each worker has its own, and the last to rename it wins: they all read the same.
        beside = self._file.with_suffix(f".{os.getpid()}.new")
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(content)
            beside.replace(self._file)
        except OSError as error:
            _log.warning(
                "%s: %s; after a restart the keys of %s are asked for anew", beside, error, self.address
            )


class KeyRings:
    """The keys of all addresses of a worker."""

    def __init__(
        self, fetch: Fetch, folder: Path, random: Random, *, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare.

        Args:
            fetch: Reaches the providers.
            folder: Of the state, below which the keys are kept.
            random: So that not all workers ask at the same time.
            now_s: A clock that only goes forward.
        """
        self._fetch = fetch
        self._folder = folder / FOLDER
        self._random = random
        self._now_s = now_s
        self._rings: dict[str, KeyRing] = {}
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}

    def ring(self, address: str) -> KeyRing:
        """The keys of *address*; nothing is asked before `follow`."""
        ring = self._rings.get(address)
        if ring is None:
            name = hashlib.sha256(address.encode()).hexdigest()[:16]
            ring = KeyRing(address, self._folder / f"{name}.json", self._now_s)
            self._rings[address] = ring
        return ring

    async def follow(self, addresses: Collection[str], *, wait_s: float) -> None:
        """Keep the keys of these up to date and forget all others.

        Args:
            addresses: All that are in use.
            wait_s: How long to wait, at most, for those of which there are none yet.
        """
        for address in [*self._tasks.keys() - set(addresses)]:
            await end(self._tasks.pop(address))
        for address in [*self._rings.keys() - set(addresses)]:
            del self._rings[address]
        rings = [self.ring(address) for address in addresses]
        for ring in rings:
            if ring.address not in self._tasks:
                owner: set[asyncio.Task[Any]] = set()
                spawn(self._renew(ring), name="keys", owner=owner)
                self._tasks[ring.address] = owner
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                for ring in rings:
                    await ring.first.wait()

    def word(self) -> str | None:
        """The worst state of any, None where no identity provider is configured."""
        states = {ring.state for ring in self._rings.values()}
        return next((state for state in ("away", "stale", "ok") if state in states), None)

    async def close(self) -> None:
        """Ask no more."""
        for owner in self._tasks.values():
            await end(owner)

    async def _renew(self, ring: KeyRing) -> None:
        failures = 0
        while True:
            ring.was_asked.clear()
            try:
                kept_for_s = await ring.renew(self._fetch)
            except (GatewayError, UnreadableError) as error:
                if not failures:
                    self._tell(ring, error)
                wait_s = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
                failures += 1
            else:
                if failures:
                    _log.info("the keys of %s can be read again", ring.address)
                failures = 0
                wait_s = kept_for_s
            ring.is_failing = failures > 0
            ring.first.set()
            try:
                async with asyncio.timeout(wait_s * self._random.uniform(0.8, 1.0)):
                    await ring.was_asked.wait()
            except TimeoutError:
                continue
            # Whoever sends tokens with invented names of keys shall not have the provider asked all the time.
            await asyncio.sleep(min(ring.early_after_s(), wait_s))

    def _tell(self, ring: KeyRing, error: Exception) -> None:
        why = error.for_operator if isinstance(error, GatewayError) else str(error)
        until = "its tokens are refused" if ring.keys is None else "those of before are used"
        _log.warning("the keys of the identity provider at %s cannot be read: %s; until they can, %s",
                     ring.address, why, until)  # fmt: skip


def _parsed(body: bytes) -> KeySet | None:
    try:
        return parse_keys(body) if body else None
    except UnreadableError:
        return None


def _kept_for_s(headers: Mapping[str, str]) -> float:
    said = _MAX_AGE.search(headers.get("cache-control", ""))
    return RENEWED_AFTER_S if said is None else min(max(float(said[1]), _SHORTEST_S), _LONGEST_S)
