"""Providers that answer, fail in six ways and recover, by a schedule that chance makes before it begins."""

from __future__ import annotations

import asyncio
import bisect
import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

FIRST_TOKEN_LIMIT_S: Final = 10.0
"""After so long without content an attempt is given up, by whomever."""

_BURST_S: Final = 2.0
_OK: Final = 200
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_UNREACHABLE: Final = 502
_UNAVAILABLE: Final = 503
_TIMEOUT: Final = 504


class Trouble(enum.Enum):
    """What is wrong with a provider."""

    REFUSED = "refuses connections"
    ERRORS = "answers 503"
    SILENT = "does not answer"
    LIMITED = "answers 429 with Retry-After"
    SOME_ERRORS = "answers 500 to three of ten"
    SLOW = "takes six times as long"

    @property
    def is_whole(self) -> bool:
        """No call is answered."""
        return self in _WHOLE


@dataclass(frozen=True, slots=True)
class Episode:
    """A time of trouble, in seconds from the beginning."""

    target: str
    trouble: Trouble
    begins_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked.

    Attributes:
        is_wrong: No provider takes it: a mistake of the caller.
    """

    number: int
    caller: str
    tokens: int
    is_wrong: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What an attempt came to; the time that it took has passed.

    Attributes:
        status: 502 and 504 where there was no answer.
        retry_after_s: As the provider says, None when it does not.
        first_token_s: To the first content of a good one.
    """

    status: int
    retry_after_s: int | None = None
    first_token_s: float = 0.0

    @property
    def is_good(self) -> bool:
        """The call is answered."""
        return self.status == _OK


_WHOLE: Final[dict[Trouble | None, tuple[float, Reply]]] = {
    Trouble.REFUSED: (0.002, Reply(_UNREACHABLE)),
    Trouble.ERRORS: (0.05, Reply(_UNAVAILABLE)),
    Trouble.SILENT: (FIRST_TOKEN_LIMIT_S, Reply(_TIMEOUT)),
    Trouble.LIMITED: (0.03, Reply(_TOO_MANY, retry_after_s=5)),
}
"""Where no call is answered: after so long this comes, whatever is asked."""


@dataclass(frozen=True, slots=True)
class Character:
    """What a provider is like when nothing is wrong.

    Attributes:
        capacity_per_s: Calls; beyond that, and a burst, it answers 429.
    """

    name: str
    first_token_s: float
    per_token_s: float
    capacity_per_s: float


class Provider:
    """One of them.

    Attributes:
        attempts: All that it was asked.
        troubled_at_s: When it was asked while it could answer nothing.
        good_at_s: When it gave good answers.
    """

    def __init__(
        self, character: Character, episodes: Iterable[Episode], random: Random, now_s: Callable[[], float]
    ) -> None:
        self.name = character.name
        self.attempts = 0
        self.troubled_at_s: list[float] = []
        self.good_at_s: list[float] = []
        self._character = character
        self._episodes = sorted(
            (one for one in episodes if one.target == character.name), key=lambda one: one.begins_s
        )
        self._begins = [one.begins_s for one in self._episodes]
        self._random = random
        self._now_s = now_s
        self._left = character.capacity_per_s * _BURST_S
        self._filled_s = 0.0

    def episode(self) -> Episode | None:
        """What is wrong now."""
        now_s = self._now_s()
        at = bisect.bisect_right(self._begins, now_s) - 1
        return self._episodes[at] if at >= 0 and now_s < self._episodes[at].ends_s else None

    async def ask(self, call: Call) -> Reply:
        """Make one attempt."""
        episode = self.episode()
        trouble = None if episode is None else episode.trouble
        self.attempts += 1
        if trouble is not None and trouble.is_whole:
            self.troubled_at_s.append(self._now_s())
        after_s, reply = self._react(call, trouble)
        await asyncio.sleep(after_s)
        if reply.is_good:
            self.good_at_s.append(self._now_s())
        return reply

    def _react(self, call: Call, trouble: Trouble | None) -> tuple[float, Reply]:
        """How long it takes, and what comes of it."""
        if trouble in _WHOLE:
            return _WHOLE[trouble]
        if not self._has_room():
            return 0.03, Reply(_TOO_MANY, retry_after_s=1)
        if trouble is Trouble.SOME_ERRORS and self._random.random() < 0.3:
            return 0.05, Reply(_SERVER_ERROR)
        if call.is_wrong:
            return 0.02, Reply(_BAD_REQUEST)
        slow = 6.0 if trouble is Trouble.SLOW else 1.0
        first_s = slow * self._character.first_token_s * self._random.lognormvariate(0.0, 0.3)
        rest_s = slow * self._character.per_token_s * (call.tokens - 1) * self._random.uniform(0.9, 1.1)
        return first_s + rest_s, Reply(_OK, first_token_s=first_s)

    def _has_room(self) -> bool:
        now_s = self._now_s()
        rate = self._character.capacity_per_s
        self._left = min(rate * _BURST_S, self._left + rate * (now_s - self._filled_s))
        self._filled_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


def make_characters(random: Random, count: int = 10) -> list[Character]:
    """Half of them about equally quick, half of them slower by up to three times."""
    return [
        Character(
            f"provider-{number}/model",
            first_token_s=random.uniform(0.2, 0.6),
            per_token_s=0.010
            * (random.uniform(1.0, 1.15) if number < count // 2 else random.uniform(1.4, 3.0)),
            capacity_per_s=35.0,
        )
        for number in range(count)
    ]


def make_episodes(random: Random, names: Sequence[str], length_s: float) -> list[Episode]:
    """Each provider is well for some minutes and then in trouble for a while, whichever; and once most are.

    That outage of six at one time lasts for a minute in the middle, and nobody else has trouble then.
    """
    outage_s = length_s / 2, length_s / 2 + 60.0
    episodes = []
    for number, name in enumerate(names):
        now_s = random.expovariate(1 / 120)
        while now_s < length_s:
            ends_s = now_s + random.uniform(15.0, 60.0)
            if ends_s < outage_s[0] - 30.0 or now_s > outage_s[1] + 30.0:
                episodes.append(Episode(name, random.choice(list(Trouble)), now_s, ends_s))
            now_s = ends_s + 30.0 + random.expovariate(1 / 150)
        if number % 5 < 3 and outage_s[1] < length_s:
            episodes.append(Episode(name, Trouble.ERRORS, *outage_s))
    return episodes
