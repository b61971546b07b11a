"""Calls of one session stay with one target, whose cache of the prompt knows them.

What a session is, identifiers say: headers or metadata whose values its calls share. Which target it stays
with is in a table that the workers of a host share and that outlives them, and replicas where there are some.
Only hashes are kept there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

from gateway.model import TABLE_KEY_BYTES, CallFacts, Elsewhere, SessionPlace, Table
from gateway.routing.stored import fingerprint

_PRINT_BYTES: Final = len(fingerprint(""))


@dataclass(frozen=True, slots=True)
class Identifier:
    """One value that the calls of a session share, and where it is.

    Attributes:
        source: As in `session_identifiers`.
        key: The header's name, in any case, or that of the metadata.
    """

    source: Literal["headers", "metadata"]
    key: str


class Sessions:
    """The sessions of a host, and the target that each stays with.

    Args:
        table: Of the host.
        elsewhere: What other replicas know; None where there are none.
    """

    def __init__(self, table: Table, elsewhere: Elsewhere | None = None) -> None:
        self._table = table
        self._elsewhere = elsewhere

    def keep(self, place: SessionPlace, name: str) -> None:
        """Note that the target *name* answered a call of the session, whose time begins anew."""
        self._table.put(place.key, fingerprint(name), keep_s=place.keep_s)

    async def hear(self, place: SessionPlace) -> bool:
        """Ask other replicas of a session that is new here; whether one of them knows its target."""
        return self._elsewhere is not None and await self._elsewhere.hear((place.key,))

    def find(self, key: bytes) -> bytes | None:
        """The fingerprint of the target that a session stays with, None when it is new or over."""
        kept = self._table.find(key)
        return None if kept is None else kept[:_PRINT_BYTES]


class Sticky:
    """What makes the calls of one route sessions."""

    def __init__(
        self, route: str, identifiers: Sequence[Identifier], *, keep_s: int, sessions: Sessions
    ) -> None:
        """Prepare.

        Args:
            route: Its name; sessions of another are others.
            identifiers: What a call must have, all of it, to be part of one. At least one.
            keep_s: How long a session lasts after its last call.
            sessions: Of the host.
        """
        self._route = route
        self._identifiers = tuple(
            Identifier(one.source, one.key.lower() if one.source == "headers" else one.key)
            for one in identifiers
        )
        self._keep_s = keep_s
        self._sessions = sessions
        # Of the route's targets, so there are few; a fingerprint takes half a microsecond.
        self._prints: dict[str, bytes] = {}

    def place_of(self, facts: CallFacts) -> SessionPlace | None:
        """Where the target of a call's session is kept, None for a call that is part of none."""
        values = [self._route]
        for one in self._identifiers:
            found = facts.headers if one.source == "headers" else facts.metadata
            value = found.get(one.key)
            if not value:
                return None
            values.append(value)
        # As Python writes them, quotes and all: ("ab", "c") and ("a", "bc") are two sessions.
        key = blake2b(ascii(values).encode(), digest_size=TABLE_KEY_BYTES).digest()
        return SessionPlace(key, self._keep_s)

    def kept_at(self, place: SessionPlace, names: Sequence[str]) -> int | None:
        """Which of *names* the session stays with; None when it is new, or its target is not among them."""
        kept = self._sessions.find(place.key)
        if kept is None:
            return None
        for at, name in enumerate(names):
            known = self._prints.get(name)
            if known is None:
                known = self._prints[name] = fingerprint(name)
            if known == kept:
                return at
        return None
