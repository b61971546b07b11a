"""Tables that replicas of the gateway share, in Redis or Valkey.

They say which target a session stays with, and which account made a stored object. A host's own table has the
word: what it knows is not asked for. What it does not know is asked once, for `TIMEOUT_S` at most, and kept
there like its own (`ReplicatedTable.hear`). What is noted here is told off the way of calls, in the order in
which it was noted; while the server is away the last `MOST_UNTOLD` wait, and what has to go is counted by
reason.

In the server a table is `BUCKETS` hashes of at most `PLACES` fields. A bucket that is full loses what would
have ended first, so that its size has a bound whatever its settings: a server that counts budgets is not to
throw away anything by itself. All keys have one hash tag, and times are the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.model import TABLE_VALUE_BYTES, Table
from gateway.store.redis_line import Line, LineError, Lines
from gateway.store.replicas import secrets_in, shown
from gateway.tasks import end, spawn

TIMEOUT_S: Final = 0.05
"""How long a call waits for what others know."""

BUCKETS: Final = 16_384
PLACES: Final = 64
"""Of each bucket: a million entries in all."""

MOST_UNTOLD: Final = 10_000
MOST_ASKED: Final = 500
"""Calls that wait for an answer at the same time; more are not asked for."""

FULL: Final = "full"
SHUTDOWN: Final = "shutdown"
FOUND: Final = "found"
UNKNOWN: Final = "unknown"
AWAY: Final = "away"
TIMEOUT: Final = "timeout"
BUSY: Final = "busy"

_GRACE_S: Final = 0.001
_TOLD_S: Final = 1.0
_RETRY_S: Final = 0.25
_CLOSE_S: Final = 0.5
_HEARTBEAT_S: Final = 2.0
_AT_ONCE: Final = 100
_MS_PER_S: Final = 1000
_PREFIX: Final = "{gateway:kept}:"
_HOME: Final = f"{_PREFIX}home".encode()
_ENTRY: Final = struct.Struct(f"<{TABLE_VALUE_BYTES}sQ")
_BUCKET_OF: Final = struct.Struct("<Q")

_NOW: Final = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# KEYS: the buckets. ARGV: a key for each. The answer: for each the value, and for how many milliseconds more.
_FIND: Final = f"""{_NOW}
local found = {{}}
for at, bucket in ipairs(KEYS) do
  local value, left_ms = redis.call('HGET', bucket, ARGV[at]), 0
  if value then left_ms = math.max(0, tonumber(string.sub(value, {TABLE_VALUE_BYTES + 1})) - now_ms) end
  if left_ms == 0 then value = '' end
  found[at] = string.sub(value .. string.rep('\\0', {TABLE_VALUE_BYTES}), 1, {TABLE_VALUE_BYTES})
    .. struct.pack('<I8', left_ms)
end
return table.concat(found)
"""

# KEYS: the buckets. ARGV: for each a key, a value, for how many milliseconds it is kept, and from which byte
# on a value that is there has to be the same to be replaced.
_PUT: Final = f"""{_NOW}
local PLACES, VALUE = {PLACES}, {TABLE_VALUE_BYTES}
local function ends(value) return tonumber(string.sub(value, VALUE + 1)) end
local function make_room(bucket)
  local all, first, first_ends = redis.call('HGETALL', bucket), nil, math.huge
  for at = 1, #all, 2 do
    local ends_ms = ends(all[at + 1])
    if ends_ms <= now_ms then redis.call('HDEL', bucket, all[at]) end
    if ends_ms < first_ends then first, first_ends = all[at], ends_ms end
  end
  if first_ends > now_ms then redis.call('HDEL', bucket, first) end
end
for at, bucket in ipairs(KEYS) do
  local key, value, keep_ms, same = ARGV[at * 4 - 3], ARGV[at * 4 - 2], ARGV[at * 4 - 1], ARGV[at * 4]
  local known = redis.call('HGET', bucket, key)
  local is_others = known and ends(known) > now_ms
    and string.sub(known, same + 1, VALUE) ~= string.sub(value, same + 1, VALUE)
  if not is_others then
    if not known and redis.call('HLEN', bucket) >= PLACES then make_room(bucket) end
    redis.call('HSET', bucket, key, value .. string.format('%.0f', now_ms + keep_ms))
    if redis.call('PTTL', bucket) < tonumber(keep_ms) then redis.call('PEXPIRE', bucket, keep_ms) end
  end
end
return ''
"""

_log: Final = logging.getLogger(__name__)


class _Note(msgspec.Struct, frozen=True):
    """What is to be told.

    Attributes:
        ends_s: By the monotonic clock.
        same_from: As in `RemoteTables.table`.
    """

    value: bytes
    ends_s: float
    same_from: int


class RemoteTables:
    """The tables of one server, for one worker, over one connection.

    Attributes:
        place: Its address, without what is secret in it.
        is_away: The server does not answer.
        dropped: What was noted and will not be told, by reason.
        lookups: What was asked for, by outcome; `away`, `timeout` and `busy` were not found out.
        now_s: A clock that only goes forward.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = TIMEOUT_S,
        most_untold: int = MOST_UNTOLD,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is connected before `start`.

        Args:
            url: `redis://`, `rediss://` or `unix://`; may hold a password. A cluster by any of its nodes.
            timeout_s: How long a call waits for an answer.
            most_untold: How much is kept to be told.
            now_s: As the attribute.
        """
        self.place = shown(url)
        self.is_away = True
        self.dropped: dict[str, int] = dict.fromkeys((FULL, SHUTDOWN), 0)
        self.lookups: dict[str, int] = dict.fromkeys((FOUND, UNKNOWN, AWAY, TIMEOUT, BUSY), 0)
        self._secrets = secrets_in(url)
        self._lines = Lines(url, client_name="gateway-tables")
        self._timeout_s = timeout_s
        self._most_untold = most_untold
        self.now_s = now_s
        self._line: Line | None = None
        self._shas: list[str] = []
        self._untold: dict[tuple[bytes, bytes], _Note] = {}
        self._asked = 0
        self._has_untold = asyncio.Event()
        self._is_over = asyncio.Event()
        self._is_told = asyncio.Event()
        self._is_told.set()
        self._is_told_away = self._is_told_shared = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def table(self, name: str, local: Table, *, same_from: int = TABLE_VALUE_BYTES) -> ReplicatedTable:
        """The table *name*.

        Args:
            name: Letters.
            local: Of the host.
            same_from: What is there already is replaced only by what is the same from this byte on.
        """
        return ReplicatedTable(self, name.encode(), local, same_from)

    def start(self) -> None:
        """Begin to connect, again and again if need be."""
        spawn(self._keep_line(), name="redis-tables", owner=self._tasks)

    async def close(self) -> None:
        """Tell what is still untold, if that takes no time, and let go of the connection."""
        if not self.is_away:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._is_told.wait()
        self._is_told_away = True
        await end(self._tasks)
        self.dropped[SHUTDOWN] += len(self._untold)
        self._untold.clear()

    def note(self, table: bytes, key: bytes, note: _Note) -> None:
        """Have something told, soon."""
        # Anew at the end, so that what was noted last is the last to go.
        if self._untold.pop((table, key), None) is None and len(self._untold) >= self._most_untold:
            del self._untold[next(iter(self._untold))]
            self.dropped[FULL] += 1
        self._untold[table, key] = note
        self._is_told.clear()
        self._has_untold.set()

    async def find(self, table: bytes, keys: Sequence[bytes]) -> bytes | None:
        """Ask for *keys*; None when there is no answer in time."""
        line = self._line
        if line is None or self.is_away or self._asked >= MOST_ASKED:
            self.lookups[AWAY if line is None or self.is_away else BUSY] += 1
            return None
        words = ("EVALSHA", self._shas[0], len(keys), *[_bucket(table, key) for key in keys], *keys)
        self._asked += 1
        try:
            answer = await self._answer(line, words, self._timeout_s)
        finally:
            self._asked -= 1
        if answer is None:
            self.lookups[TIMEOUT] += 1
        elif len(answer) != len(keys) * _ENTRY.size:
            line.end("its answer is none to what was asked")
            self.lookups[AWAY] += 1
            return None
        return answer

    async def _answer(self, line: Line, words: tuple[Any, ...], timeout_s: float) -> bytes | None:
        """Ask, and give the line up when there is no answer for *timeout_s*."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bytes | None] = loop.create_future()

        def answered(data: bytes | None) -> None:
            if not waiting.done():
                waiting.set_result(data)

        def give_up() -> None:
            if not waiting.done():
                line.end(f"no answer within {timeout_s * _MS_PER_S:.0f} ms")

        line.ask(words, answered)
        # Twice: where this process itself stood still, the answer is there and has not been read yet.
        timer = loop.call_later(timeout_s, loop.call_later, _GRACE_S, give_up)
        try:
            return await waiting
        finally:
            timer.cancel()

    def _over(self, why: str) -> None:
        """Note that a line has failed."""
        self.is_away = True
        self._is_over.set()
        if not self._is_told_away:
            self._is_told_away = True
            for secret in self._secrets:
                why = why.replace(secret, "***")
            _log.warning(
                "%s cannot be used: %s; until it can, sessions and stored objects are this host's own",
                self.place,
                why,
            )

    def _note_works(self) -> None:
        """Note that the server does what it is asked; one that only lets itself be connected to does not."""
        if self._is_told_away or not self._is_told_shared:
            _log.info("sessions and stored objects are shared by %s", self.place)
        self._is_told_away, self._is_told_shared = False, True

    async def _keep_line(self) -> None:
        while True:
            try:
                connection, self._shas = await self._lines.open((_FIND, _PUT), _HOME)
            except LineError as error:
                self._over(str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            self._is_over.clear()
            self._line = Line(connection, self._over)
            self.is_away = False
            try:
                await self._tell_on(self._line)
            finally:
                line, self._line = self._line, None
                await line.close()
            await asyncio.sleep(_RETRY_S)

    async def _tell_on(self, line: Line) -> None:
        """Tell what is noted while the line holds, one piece after the other."""
        over = spawn(self._is_over.wait(), name="redis-tables-over", owner=self._tasks)
        try:
            while not self._is_over.is_set():
                if not self._untold:
                    self._is_told.set()
                    self._has_untold.clear()
                    news = spawn(self._has_untold.wait(), name="redis-tables-news", owner=self._tasks)
                    waits = (over, news)
                    done, _ = await asyncio.wait(
                        waits, timeout=_HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    news.cancel()
                    # Else a connection that has ended would be noticed by the call that asks next.
                    if not done and await self._answer(line, ("EXISTS", _HOME), _TOLD_S) is not None:
                        self._note_works()
                    continue
                await self._tell(line)
        finally:
            over.cancel()

    async def _tell(self, line: Line) -> None:
        now_s = self.now_s()
        told = {where: self._untold.pop(where) for where in list(self._untold)[:_AT_ONCE]}
        buckets: list[bytes] = []
        arguments: list[bytes | int] = []
        for (table, key), note in told.items():
            keep_ms = round((note.ends_s - now_s) * _MS_PER_S)
            if keep_ms > 0:
                buckets.append(_bucket(table, key))
                arguments += (key, note.value, keep_ms, note.same_from)
        if not buckets:
            return
        is_told = False
        try:
            words = ("EVALSHA", self._shas[1], len(buckets), *buckets, *arguments)
            is_told = await self._answer(line, words, _TOLD_S) is not None
        finally:
            if is_told:
                self._note_works()
            else:
                self._keep_untold(told)

    def _keep_untold(self, told: dict[tuple[bytes, bytes], _Note]) -> None:
        """Put *told*, which nobody has taken, before what was noted since."""
        kept = {**told, **self._untold}
        for where in list(kept)[: max(0, len(kept) - self._most_untold)]:
            del kept[where]
            self.dropped[FULL] += 1
        self._untold = kept


class ReplicatedTable:
    """`gateway.model.Table` of a host, which tells and hears of others: `gateway.model.Elsewhere`."""

    def __init__(self, remote: RemoteTables, name: bytes, local: Table, same_from: int) -> None:
        """Prepare; see `RemoteTables.table`."""
        self._remote = remote
        self._name = name
        self._local = local
        self._same_from = same_from

    def put(self, key: bytes, value: bytes, *, keep_s: int) -> None:
        """Keep it here at once, and have it told."""
        self._local.put(key, value, keep_s=keep_s)
        note = _Note(value.ljust(TABLE_VALUE_BYTES, b"\0"), self._remote.now_s() + keep_s, self._same_from)
        self._remote.note(self._name, key, note)

    def find(self, key: bytes) -> bytes | None:
        """What is kept here, of others too if it was heard of."""
        return self._local.find(key)

    async def hear(self, keys: Sequence[bytes]) -> bool:
        """Ask others for those of *keys* that are not known here; whether one was found."""
        unknown = [key for key in keys if self._local.find(key) is None]
        if not unknown:
            return False
        answer = await self._remote.find(self._name, unknown)
        if answer is None:
            return False
        is_found = False
        for key, (value, left_ms) in zip(unknown, _ENTRY.iter_unpack(answer), strict=True):
            self._remote.lookups[FOUND if left_ms else UNKNOWN] += 1
            if left_ms:
                is_found = True
                self._local.put(key, value, keep_s=max(1, left_ms // _MS_PER_S))
        return is_found


def _bucket(table: bytes, key: bytes) -> bytes:
    (number,) = _BUCKET_OF.unpack_from(key)
    return b"%s%s:%d" % (_PREFIX.encode(), table, number % BUCKETS)
