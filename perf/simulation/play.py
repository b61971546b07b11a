"""One contender, all calls of a run, and what was seen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from perf.simulation.contenders import Contender, Make
from perf.simulation.virtual_time import VirtualLoop, run
from perf.simulation.world import Call, Character, Episode, Provider

_LOOK_S: Final = 0.05
_CALLERS: Final = 500
_WRONG_SHARE: Final = 0.01
_MEAN_TOKENS: Final = 50
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all contenders of a run.

    Attributes:
        seed: Of everything that is left to chance.
    """

    characters: Sequence[Character]
    episodes: Sequence[Episode]
    calls: int
    calls_per_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of the calls of one contender.

    Attributes:
        statuses: Of all calls, as their callers saw them.
        wrong: Calls that no provider would have taken.
        unlike: Calls that were answered twice, or answered and failed, or neither; there must be none.
        attempts: At all providers.
        troubled_at_s: When a provider was asked while it could answer nothing, by its name.
        times_s: From call to answer, of good ones, the shortest first.
        avoided: When it got no calls, from and to.
        good_at_s: When it gave good answers.
    """

    statuses: Counter[int]
    wrong: int
    unlike: int
    attempts: int
    troubled_at_s: Mapping[str, Sequence[float]]
    times_s: Sequence[float]
    avoided: Mapping[str, Sequence[tuple[float, float]]]
    good_at_s: Mapping[str, Sequence[float]]

    @property
    def calls(self) -> int:
        """All of them."""
        return self.statuses.total()

    @property
    def troubled(self) -> int:
        """Attempts at providers that could answer nothing."""
        return sum(len(times) for times in self.troubled_at_s.values())

    @property
    def failed(self) -> int:
        """Calls that were right, and not answered."""
        return self.calls - self.wrong - self.statuses[_OK]


def play(setting: Setting, make: Make) -> Seen:
    """Let a contender have all calls."""
    return run(lambda loop: _Play(setting, make, loop).all_calls())


class _Play:
    def __init__(self, setting: Setting, make: Make, loop: VirtualLoop) -> None:
        self._setting = setting
        self._loop = loop
        # Each its own chance, so that every contender has the same calls.
        self._chance = Random(setting.seed)
        self._providers = {
            character.name: Provider(
                character, setting.episodes, Random(f"{setting.seed} {character.name}"), loop.time
            )
            for character in setting.characters
        }
        self._contender: Contender = make(self._providers, Random(f"{setting.seed} contender"), loop.time)
        self._statuses: Counter[int] = Counter()
        self._wrong = 0
        self._unlike = 0
        self._times_s: list[float] = []
        self._avoided: dict[str, list[tuple[float, float]]] = {name: [] for name in self._providers}
        self._avoided_since_s: dict[str, float] = {}

    async def all_calls(self) -> Seen:
        """The calls come as they like, on average at the rate; it ends when all have ended."""
        looking = self._loop.create_task(self._look())
        running: set[asyncio.Task[None]] = set()
        for number in range(self._setting.calls):
            await asyncio.sleep(self._chance.expovariate(self._setting.calls_per_s))
            task = self._loop.create_task(self._one(self._next_call(number)))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        looking.cancel()
        self._note_avoided()
        providers = self._providers.values()
        return Seen(
            self._statuses,
            self._wrong,
            self._unlike,
            sum(one.attempts for one in providers),
            {one.name: one.troubled_at_s for one in providers},
            sorted(self._times_s),
            self._avoided,
            {one.name: one.good_at_s for one in providers},
        )

    def _next_call(self, number: int) -> Call:
        chance = self._chance
        return Call(
            number,
            f"app-{chance.randrange(_CALLERS)}",
            tokens=2 + round(chance.expovariate(1 / _MEAN_TOKENS)),
            is_wrong=chance.random() < _WRONG_SHARE,
        )

    async def _one(self, call: Call) -> None:
        began_s = self._loop.time()
        status = await self._contender.call(call)
        self._statuses[status] += 1
        self._wrong += call.is_wrong
        self._unlike += self._contender.answers.pop(call.number, 0) != (status == _OK)
        if status == _OK:
            self._times_s.append(self._loop.time() - began_s)

    async def _look(self) -> None:
        """Look again and again at whom the contender gives no calls."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now_s = self._loop.time()
            for name in self._providers:
                is_avoided = self._contender.skip_reason(name) is not None
                if is_avoided:
                    self._avoided_since_s.setdefault(name, now_s)
                elif name in self._avoided_since_s:
                    self._avoided[name].append((self._avoided_since_s.pop(name), now_s))

    def _note_avoided(self) -> None:
        """What lasts to the end."""
        for name, since_s in self._avoided_since_s.items():
            self._avoided[name].append((since_s, self._loop.time()))
