"""Following the configuration that is in Redis: what is put there comes here, where it is watched like files.

By asking which set is in force, four times a second: one small question, whatever happened since the last.
While Redis is away the set that came last stays, and so does one that is newer and cannot be read. One that
this host cannot keep, as on a full disk, is brought whole each time, so it is tried less and less often.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gateway.config.manifest_set import SetName, SetUnusable
from gateway.control.config_sets import NothingThere
from gateway.control.config_status import Rejected
from gateway.store.config_store import ConfigAwayError

EVERY_S: Final = 0.25

LONGEST_S: Final = 5.0
"""Between two tries to keep a set; the watch looks as often at whether there is room."""

OK: Final = "ok"
AWAY: Final = "away"
EMPTY: Final = "empty"
UNUSABLE: Final = "unusable"

_FIX: Final = "Update this gateway, or put a configuration there that it can read"

_log: Final = logging.getLogger(__name__)


class Sets(Protocol):
    """Those of Redis: see `gateway.control.config_sets`."""

    place: str

    def take(self) -> bool:
        """Bring the one in force; whether it was new."""

    def here(self) -> SetName | None:
        """Which one is here."""


class Following:
    """Follows one store.

    Attributes:
        word: ok; away: Redis cannot be used; empty: it has none; unusable: it has one that this gateway
            cannot read or keep.
        refused: The last one, while it is unusable.
        refusals: How many were.
        wait_s: How long until it is asked again.
    """

    def __init__(
        self, sets: Sets, *, every_s: float = EVERY_S, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        """Prepare; *every_s* is how long to wait between two questions."""
        self.word = AWAY
        self.refused: Rejected | None = None
        self.refusals = 0
        self._now_ns = now_ns
        self._sets = sets
        self._every_s = every_s
        self.wait_s = every_s
        self._told: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.follow_once()
            await asyncio.sleep(self.wait_s)

    async def follow_once(self) -> None:
        """Ask once; what is in the way is noted."""
        word, problem, wait_s = OK, None, self._every_s
        try:
            if await asyncio.to_thread(self._sets.take):
                _log.info("set %s came from %s", self._sets.here(), self._sets.place)
        except ConfigAwayError as error:
            word, problem = AWAY, f"{self._sets.place} cannot be used: {error}"
        except NothingThere as error:
            word, problem = EMPTY, str(error)
        except SetUnusable as error:
            word, problem = UNUSABLE, str(error)
        except OSError as error:
            word, problem = UNUSABLE, f"the state folder cannot be written: {error.strerror or error}"
            wait_s = min(2 * self.wait_s, LONGEST_S)
        if problem is not None and problem != self._told:
            _log.warning("%s; the configuration that came last stays", problem)
            if word == UNUSABLE:
                self.refused = Rejected(self._now_ns(), ({"message": problem, "fix": _FIX},))
                self.refusals += 1
        if word != UNUSABLE:
            self.refused = None
        self.word, self._told, self.wait_s = word, problem, wait_s

    def report(self) -> Mapping[str, object]:
        """What `GET /api/config` says of where the configuration comes from."""
        here = self._sets.here()
        return {"kind": "redis", "place": self._sets.place, "state": self.word, "set": here and here.number}
