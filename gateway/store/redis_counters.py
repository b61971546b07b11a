"""Counters that replicas of the gateway share, in Redis or Valkey; `gateway.model.RemoteCounters`.

A question is one script, one round trip. It is answered within `TIMEOUT_S`, or by the host's own counters:
these go on from the last figures that were seen, so what several hosts may together admit too much is what
was left of each limit then, once for each host but one (parallel calls: as many as the limit, for each host).
Once one question had no answer, none is asked until the server has answered again, so that no call waits but
those under way.

Then what was admitted meanwhile is counted there, once: of questions without an answer the server knows
whether it executed them, and it executes none of a former connection any more. A server that has lost its
memory is told what was seen of it last. What a server that takes over for another does not know of its last
moments is not found out, but for parallel calls: those of them that have ended would be under way for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, Protocol

import msgspec

from gateway.model import PARALLEL, ROLLING_SLOTS, Charge, Correction, Counters, Decision, unknown
from gateway.store import counter_scripts as scripts
from gateway.store.counter_scripts import Answer
from gateway.store.redis_line import Line, LineError, Lines
from gateway.store.replicas import secrets_in, shown
from gateway.tasks import end, spawn

FIRST_TRY_S: Final = 2.0
"""How long a start waits for what replicas count together: longer than a connection may take."""

TIMEOUT_S: Final = 0.05

WhenAway = Literal["local", "refuse"]
"""What happens to calls while the server is away: the host's own counters decide, or limits refuse them."""

_GRACE_S: Final = 0.001
_RETRY_S: Final = 0.25
_HEARTBEAT_S: Final = scripts.LEASE_S / 4
_KNOWN: Final = 10_000
_OWED: Final = 50_000
_AT_ONCE: Final = 100
_US_PER_S: Final = 1_000_000
_SCRIPTS: Final = (scripts.RESERVE, scripts.COUNT, scripts.RAISE, scripts.BEGIN)
_RESERVE, _COUNT, _RAISE, _BEGIN = range(4)
_RULES: Final = {"local": "limits are this host's own", "refuse": "limits refuse calls"}

_log: Final = logging.getLogger(__name__)


class LocalCounters(Counters, Protocol):
    """Those of the host: see `gateway.store.counter_table`."""

    def raise_to(self, totals: Sequence[tuple[Charge, int]]) -> None:
        """Let counters have at least so much."""


class _Seen(msgspec.Struct):
    """What a counter had when it was last heard of.

    Attributes:
        at_s: By the server's clock.
        is_local: The host's own counters have been told.
    """

    charge: Charge
    total: int
    at_s: float
    is_local: bool = False


Entry = tuple[Charge, int, int]
"""Of a counter: how much, and in which twelfth of a second of the server's clock."""


class _Question(msgspec.Struct, frozen=True):
    """What the server was asked to change.

    Attributes:
        is_count: It is to be counted in any case, sooner or later.
    """

    entries: tuple[Entry, ...]
    is_count: bool


class RedisCounters:
    """The counters of one server, for one worker.

    Attributes:
        place: Its address, without what is secret in it.
        is_away: The server does not answer.
        when_away: What happens then; may be changed.
        decided_here: How many calls the host's own counters decided, by why: the server was `away`, it had
            `unanswered` this one, or too much was asked at once, `busy`.
        unshared: How many charges it was never told of, since too many had to be kept while it was away.
    """

    def __init__(
        self,
        url: str,
        local: LocalCounters,
        *,
        when_away: WhenAway = "local",
        timeout_s: float = TIMEOUT_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is connected before `start`.

        Args:
            url: `redis://`, `rediss://` or `unix://`; may hold a password. A cluster by any of its nodes.
            local: What decides while the server is away.
            when_away: Whether it does.
            timeout_s: How long a call waits for an answer.
            now_s: Unix time.
        """
        self.place = shown(url)
        self.is_away = True
        self.decided_here: Counter[str] = Counter()
        self.unshared = 0
        self._secrets = secrets_in(url)
        self._lines = Lines(url)
        self._local = local
        self.when_away = when_away
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._ahead_s = 0.0
        self._key = _new_key()
        self._memory = ""
        self._connection = 0
        self._number = 0
        self._counted = 0
        self._line: Line | None = None
        self._shas: list[str] = []
        self._asked: dict[int, _Question] = {}
        self._doubtful: dict[int, _Question] = {}
        self._owed: dict[tuple[bytes, int], tuple[Charge, int]] = {}
        self._held: dict[bytes, tuple[Charge, int]] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._is_told_away = False
        self._is_over = asyncio.Event()
        self._is_tried = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Begin to connect, again and again if need be."""
        spawn(self._keep_line(), name="redis-counters", owner=self._tasks)

    async def tried(self, within_s: float = FIRST_TRY_S) -> None:
        """Wait until the server was reached, or was not; no longer than *within_s*.

        Who counts before that does not know what the others have used.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._is_tried.wait()

    async def close(self) -> None:
        """Have counted what is owed, if that takes no time, and let go of the connection."""
        if self._line is not None and not self.is_away:
            with contextlib.suppress(LineError):
                await self._pay(self._line)
        self.is_away = self._is_told_away = True
        await end(self._tasks)

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Take all *charges* or none."""
        line = self._free_line()
        if line is None or not charges:
            if charges:
                self.decided_here["away" if self.is_away else "busy"] += 1
            return self._reserve_here(charges)
        twelfth = self._twelfth()
        entries = tuple([(charge, charge.amount, twelfth) for charge in charges])
        packed = scripts.pack_charges(charges, is_look=False)
        answer = await self._answer(line, _RESERVE, _Question(entries, is_count=False), packed)
        if answer is None:
            self.decided_here["unanswered"] += 1
            return self._reserve_here(charges)
        if answer.code == scripts.REFUSED:
            return self._decision(charges, answer, answer.used)
        used = tuple([had + charge.amount for had, charge in zip(answer.used, charges, strict=True)])
        self._note_held(entries)
        return self._decision(charges, answer, used)

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        """What `reserve` would answer, with what is counted without this call."""
        line = self._free_line()
        if line is None or not charges:
            return self._usage_here(charges)
        nothing = _Question(tuple([(charge, 0, 0) for charge in charges]), is_count=False)
        answer = await self._answer(line, _RESERVE, nothing, scripts.pack_charges(charges, is_look=True))
        return self._usage_here(charges) if answer is None else self._decision(charges, answer, answer.used)

    async def settle(self, corrections: Sequence[Correction]) -> None:
        """Correct what was taken, wherever it was; does not wait for the server."""
        here: list[Correction] = []
        entries: list[Entry] = []
        for each in corrections:
            is_shared, is_parallel = each.decision.is_shared, each.charge.window_s == PARALLEL
            if not is_shared or (self.is_away and not is_parallel):
                here.append(each)
            if is_shared or not is_parallel:
                entries.append((each.charge, each.amount, self._twelfth_of(each)))
        if here:
            if self.is_away:
                # What is given back was counted by the server alone.
                self._tell_local([each.charge for each in here if each.decision.is_shared])
            self._local.settle(here)
        line = self._free_line()
        if line is None:
            self._owe(entries)
        elif entries:
            self._count(line, tuple(entries))

    def _free_line(self) -> Line | None:
        """Where a call may ask."""
        return None if self.is_away or len(self._asked) >= scripts.RING // 2 else self._line

    def _reserve_here(self, charges: Sequence[Charge]) -> Decision:
        if self.when_away == "refuse" and self.is_away and any(each.is_enforced for each in charges):
            return unknown(charges, self._usage_here(charges))
        self._tell_local(charges)
        decision = self._local.reserve(charges)
        if decision.refused is None:
            twelfth = self._twelfth()
            self._owe([(each, each.amount, twelfth) for each in charges if each.window_s != PARALLEL])
        return decision

    def _usage_here(self, charges: Sequence[Charge]) -> Decision:
        self._tell_local(charges)
        return self._local.usage(charges)

    def _tell_local(self, charges: Sequence[Charge]) -> None:
        """Let the host's counters go on from what the server had."""
        totals = []
        for charge in charges:
            seen = self._seen.get(charge.key)
            if seen is None or seen.is_local:
                continue
            seen.is_local = True
            age_s = self._now_s() + self._ahead_s - seen.at_s
            if charge.window_s == 0 or age_s < charge.window_s:
                totals.append((charge, seen.total))
        if totals:
            self._local.raise_to(totals)

    async def _answer(self, line: Line, script: int, question: _Question, packed: bytes) -> Answer | None:
        """Ask, and wait as long as a call may; None when there is no answer."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer | None] = loop.create_future()
        self._ask(line, script, question, packed, waiting)
        # Twice: where this process itself stood still, the answer is there and has not been read yet.
        late = partial(self._give_up, line, waiting)
        timer = loop.call_later(self._timeout_s, loop.call_later, _GRACE_S, late)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self._give_back(question, waiting.result())
            raise
        finally:
            timer.cancel()

    def _give_up(self, line: Line, waiting: asyncio.Future[Answer | None]) -> None:
        if not waiting.done():
            line.end(f"no answer within {self._timeout_s * 1000:.0f} ms")

    def _ask(
        self,
        line: Line,
        script: int,
        question: _Question,
        packed: bytes,
        waiting: asyncio.Future[Answer | None] | None = None,
    ) -> None:
        if line.is_over:
            # It would never leave, and what is noted as asked is owed when a line ends, which this one has.
            if question.is_count:
                self._owe(question.entries)
            if waiting is not None:
                waiting.set_result(None)
            return
        self._number += 1
        number = self._number
        self._asked[number] = question

        def answered(data: bytes | None) -> None:
            answer = None if data is None else scripts.read_answer(data)
            if answer is not None and answer.code == scripts.UNKNOWN:
                line.end("it has lost its memory")
                answer = None
            elif answer is not None:
                del self._asked[number]
                if question.is_count:
                    self._counted = number
                    self._note_counted(question.entries)
            if waiting is None or waiting.cancelled():
                # Whoever asked has gone, and will not settle it.
                self._give_back(question, answer)
            elif not waiting.done():
                waiting.set_result(answer)

        keys = [self._key, *[scripts.key_of(charge) for charge, _, _ in question.entries]]
        place = scripts.ring_place(number)
        line.ask(scripts.command(self._shas[script], keys, self._connection, number, place, packed), answered)

    def _count(self, line: Line, entries: tuple[Entry, ...]) -> None:
        """Have *entries* counted; what is not heard of is owed."""
        self._ask(line, _COUNT, _Question(entries, is_count=True), scripts.pack_counts(_told(entries)))

    def _give_back(self, question: _Question, answer: Answer | None) -> None:
        if not question.is_count and answer is not None and answer.code == scripts.TAKEN:
            self._note_counted(question.entries)
            self._owe_back(question, int(answer.now_us * ROLLING_SLOTS / _US_PER_S))

    def _decision(self, charges: Sequence[Charge], answer: Answer, used: tuple[int, ...]) -> Decision:
        at_s = answer.now_us / _US_PER_S
        self._ahead_s = at_s - self._now_s()
        reset_s = [
            charge.reset_s(at_s) if total else 0.0 for charge, total in zip(charges, used, strict=True)
        ]
        for at, reset_us in zip(answer.blocking, answer.resets_us, strict=True):
            if reset_us >= 0:
                reset_s[at] = reset_us / _US_PER_S
        refused = min(answer.blocking, key=reset_s.__getitem__) if answer.blocking else None
        for charge, total in zip(charges, used, strict=True):
            if charge.window_s != PARALLEL:
                self._note_seen(charge, total, at_s)
        return Decision(refused, used, tuple(reset_s), at_s, is_shared=True)

    def _note_seen(self, charge: Charge, total: int, at_s: float) -> None:
        seen = self._seen.pop(charge.key, None)
        if seen is None:
            if not total:
                # What was never counted need not be known, and calls that are refused may name any number.
                return
            if len(self._seen) >= _KNOWN:
                del self._seen[next(iter(self._seen))]
        self._seen[charge.key] = _Seen(charge, total, at_s)

    def _note_counted(self, entries: Sequence[Entry]) -> None:
        for charge, amount, _ in entries:
            if charge.window_s != PARALLEL and (seen := self._seen.get(charge.key)) is not None:
                seen.total = max(0, seen.total + amount)
        self._note_held(entries)

    def _note_held(self, entries: Sequence[Entry]) -> None:
        """Note which parallel calls of this worker the server has."""
        for charge, amount, _ in entries:
            if charge.window_s == PARALLEL:
                held = self._held.pop(charge.key, (charge, 0))[1] + amount
                if held > 0:
                    self._held[charge.key] = (charge, held)

    def _owe(self, entries: Sequence[Entry]) -> None:
        """Keep what has to be counted by the server later."""
        for charge, amount, at in entries:
            if not amount:
                continue
            slot = at // charge.window_s if charge.window_s > 0 else 0
            owed = self._owed.get((charge.key, slot))
            if owed is None and len(self._owed) >= _OWED:
                self.unshared += 1
                continue
            self._owed[charge.key, slot] = (charge, amount if owed is None else owed[1] + amount)

    def _owe_back(self, question: _Question, done: int) -> None:
        """Owe the contrary of *question*, which the server executed in the twelfth *done* of its clock."""
        # What was to be taken was counted then; what is to be counted says itself when.
        self._owe(
            [(charge, -amount, at if question.is_count else done) for charge, amount, at in question.entries]
        )

    def _twelfth(self) -> int:
        return int((self._now_s() + self._ahead_s) * ROLLING_SLOTS)

    def _twelfth_of(self, correction: Correction) -> int:
        """Where a correction counts: what is given back where it was taken, what comes on top now."""
        decision = correction.decision
        if correction.amount >= 0:
            return self._twelfth()
        return int((decision.at_s + (0.0 if decision.is_shared else self._ahead_s)) * ROLLING_SLOTS)

    def _over(self, why: str) -> None:
        """Note that a line has failed."""
        self.is_away = True
        for number, question in self._asked.items():
            self._doubtful[number] = question
            if question.is_count:
                self._owe(question.entries)
        self._asked.clear()
        self._is_over.set()
        if not self._is_told_away:
            self._is_told_away = True
            for secret in self._secrets:
                why = why.replace(secret, "***")
            _log.warning("%s cannot be used: %s; until it can, %s", self.place, why, _RULES[self.when_away])

    async def _keep_line(self) -> None:
        while True:
            try:
                line = await self._come_back()
            except LineError as error:
                self._over(str(error))
                self._is_tried.set()
                await asyncio.sleep(_RETRY_S)
                continue
            self._is_tried.set()
            try:
                await self._stay(line)
            finally:
                self._line = None
                await line.close()

    async def _stay(self, line: Line) -> None:
        """While the line holds: be heard of, and pay what is owed."""
        heard_at_s = time.monotonic()
        while not self.is_away:
            try:
                async with asyncio.timeout(_RETRY_S):
                    await self._is_over.wait()
            except TimeoutError:
                if self._owed:
                    self._count(line, self._take_owed())
                if time.monotonic() - heard_at_s >= _HEARTBEAT_S:
                    heard_at_s = time.monotonic()
                    self._is_told_away = False
                    await self._answer(line, _COUNT, _Question((), is_count=True), scripts.pack_counts(()))

    async def _come_back(self) -> Line:
        """Open a line, and bring the server up to date.

        Raises:
            LineError: It cannot be used.
        """
        connection, self._shas = await self._lines.open(_SCRIPTS, self._key)
        self._connection += 1
        self._is_over.clear()
        line = Line(connection, self._over)
        try:
            begun = await self._begin(line)
            await self._bring_up_to_date(line, begun)
            if line.is_over:
                msg = "it has ended meanwhile"
                raise LineError(msg)
            self._line, self.is_away = line, False
        finally:
            if self.is_away:
                line.end("it could not be brought up to date")
                await line.close()
        for seen in self._seen.values():
            seen.is_local = False
        if self._is_told_away or self._connection == 1:
            _log.info("limits are shared by %s", self.place)
        return line

    async def _begin(self, line: Line) -> scripts.Begun:
        """Let the server take questions of this line alone."""
        waiting: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def answered(data: bytes | None) -> None:
            if not waiting.done():
                waiting.set_result(data)

        told = (self._connection, self._memory, secrets.token_hex(8))
        line.ask(scripts.command(self._shas[_BEGIN], [self._key], *told), answered)
        try:
            async with asyncio.timeout(self._timeout_s):
                data = await waiting
        except TimeoutError:
            data = None
        if data is None:
            msg = f"no answer within {self._timeout_s * 1000:.0f} ms"
            raise LineError(msg)
        begun = scripts.read_begun(data)
        self._ahead_s = begun.now_us / _US_PER_S - self._now_s()
        return begun

    async def _bring_up_to_date(self, line: Line, begun: scripts.Begun) -> None:
        known = dict(zip(begun.known[::2], begun.known[1::2], strict=True))
        for number, question in self._doubtful.items():
            noted = known.get(scripts.ring_place(number))
            done = None if noted is None else scripts.Done.read(noted)
            if done is not None and done.number == number:
                # It was executed; what became of it was decided without knowing that.
                self._note_counted(question.entries)
                self._owe_back(question, done.twelfth)
        self._doubtful.clear()
        is_other = self._memory not in ("", begun.memory)
        if is_other:
            await self._remind(line)
        self._memory = begun.memory
        if is_other or self._is_behind(known):
            await self._begin_anew(line)
        await self._pay(line)

    def _is_behind(self, known: Mapping[str, str]) -> bool:
        """Whether the server lacks what this worker has heard that was counted, since another did that."""
        noted = known.get(scripts.ring_place(self._counted))
        return self._counted > 0 and (noted is None or scripts.Done.read(noted).number < self._counted)

    async def _begin_anew(self, line: Line) -> None:
        """Let the server think that this worker has died, and tell another what parallel calls there are."""
        line.ask(("DEL", self._key), _heard)
        self._key, self._counted = _new_key(), 0
        held = tuple([(charge, amount, 0) for charge, amount in self._held.values()])
        self._held.clear()
        self._owe(held)
        await self._begin(line)

    async def _pay(self, line: Line) -> None:
        """Have everything counted that is owed, and wait for it."""
        while True:
            owed = self._take_owed()
            await self._tell(line, _COUNT, _Question(owed, is_count=True), _told(owed))
            if not self._owed:
                break

    async def _remind(self, line: Line) -> None:
        """Tell a server that has forgotten everything what was seen of it last."""
        seen = [
            (each.charge, each.total, int(each.at_s * ROLLING_SLOTS))
            for each in self._seen.values()
            if each.total
        ]
        for start in range(0, len(seen), _AT_ONCE):
            some = tuple(seen[start : start + _AT_ONCE])
            await self._tell(line, _RAISE, _Question(_nothing(some), is_count=False), _told(some))

    async def _tell(
        self, line: Line, script: int, question: _Question, told: list[tuple[int, int, int, int]]
    ) -> None:
        if await self._answer(line, script, question, scripts.pack_counts(told)) is None:
            msg = "no answer when it was told what was counted"
            raise LineError(msg)

    def _take_owed(self) -> tuple[Entry, ...]:
        keys = list(self._owed)[:_AT_ONCE]
        owed = [(slot, self._owed.pop((key, slot))) for key, slot in keys]
        return tuple([(charge, amount, slot * max(0, charge.window_s)) for slot, (charge, amount) in owed])


def _new_key() -> bytes:
    """Of a worker that the server does not know."""
    return scripts.PREFIX + b"worker:" + secrets.token_hex(8).encode()


def _heard(_answer: bytes | None) -> None:
    """Without that it is found out later."""


def _told(entries: Sequence[Entry]) -> list[tuple[int, int, int, int]]:
    return [(amount, charge.window_s, charge.expires_s, at) for charge, amount, at in entries]


def _nothing(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    return tuple([(charge, 0, at) for charge, _, at in entries])
