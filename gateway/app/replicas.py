"""Telling other replicas which targets are not to be asked, and hearing it of them, four times a second.

While Redis is away each host goes by what it knows itself. The log says so when that begins and when it ends,
and `/readyz` all the while; nothing waits for it but what is done here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.routing.shared_circuits import SharedCircuits
from gateway.store.replica_records import Heard, Record, ReplicasAwayError
from gateway.store.target_board import TargetBoard

EVERY_S: Final = 0.25
MAX_TOLD: Final = 256
"""Records of one exchange."""

FRESH_S: Final = 3.0
"""Workers see only when something was shared last: after so long Redis is away."""

OFF: Final = "off"
OK: Final = "ok"
AWAY: Final = "away"

_log: Final = logging.getLogger(__name__)


def word_of(board: TargetBoard, *, now_s: Callable[[], float] = time.time) -> str:
    """What `/readyz` of a worker says: whether something has been shared lately."""
    return OK if 0 <= now_s() - board.shared_at_s <= FRESH_S else AWAY


class Replicas(Protocol):
    """Where replicas meet; see `gateway.store.replicas`."""

    @property
    def place(self) -> str:
        """Its address, without what is secret in it."""

    async def exchange(self, records: Sequence[Record]) -> Heard:
        """Tell *records* and hear what is news; raises `ReplicasAwayError`."""

    def hear_all(self) -> None:
        """Let the next exchange give everything."""

    async def close(self) -> None:
        """Let go of the connection."""


class Sharing:
    """Shares the circuits of this host.

    Attributes:
        word: What `/readyz` says of it.
    """

    def __init__(
        self,
        circuits: SharedCircuits,
        replicas: Replicas,
        *,
        names: Callable[[], Sequence[str]],
        on_shared: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            circuits: What this host knows.
            replicas: Where it is told.
            names: Of the targets that are configured; another object when they have changed.
            on_shared: Called after each exchange.
        """
        self.word = AWAY
        self._circuits = circuits
        self._replicas = replicas
        self._find_names = names
        self._names: Sequence[str] | None = None
        self._on_shared = on_shared
        self._is_told_away = False

    async def run(self) -> None:
        """Share until cancelled."""
        try:
            while True:
                await self.share_once()
                await asyncio.sleep(EVERY_S)
        finally:
            await self._replicas.close()

    async def share_once(self) -> None:
        """One exchange; that there can be none is noted."""
        names = self._find_names()
        if names is not self._names:
            self._names = names
            self._circuits.configure(names)
            self._replicas.hear_all()
        records = self._circuits.news(MAX_TOLD)
        try:
            heard = await self._replicas.exchange(records)
        except ReplicasAwayError as error:
            self._note_away(error)
            return
        self._circuits.exchanged(records, heard)
        self._on_shared()
        if self.word != OK:
            _log.info("what replicas know of targets is shared by %s", self._replicas.place)
        self.word, self._is_told_away = OK, False

    def _note_away(self, error: ReplicasAwayError) -> None:
        self.word = AWAY
        if not self._is_told_away:
            _log.warning(
                "%s cannot be used: %s; until it can, this host goes by what it knows of targets itself",
                self._replicas.place,
                error,
            )
        self._is_told_away = True
