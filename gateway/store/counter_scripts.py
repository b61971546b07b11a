"""What a Redis server does for counters: scripts, and what is said to them and by them.

Each is atomic, and one round trip. All keys have one hash tag, so that in a cluster they are on one node. A
counter of a rolling window is a hash of its slots, a calendar window a number, parallel calls a hash of who
has how many; all end by themselves. Times are the server's.

Each worker has a hash: of which connection it takes questions (`e`), when it was heard of last (`t`), and the
numbers of the last `RING` questions that changed something, each with when it did (`Done`). A question of a
former connection that is executed late changes nothing, and a worker that had no answer can find out whether
its question was executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.model import PARALLEL, ROLLING_SLOTS, Charge

PREFIX: Final = b"{gateway:limits}:"
RING: Final = 1024
"""More questions than these are not asked at once."""

LEASE_S: Final = 20
"""A worker that is not heard of for so long has no parallel calls any more."""

WORKER_KEPT_S: Final = 86_400

LATE_S: Final = 3_600
"""How much longer than its window a calendar's counter is kept: for a worker whose clock is behind, and for
what is asked just before the end and executed after it. Without it each of these would count from nothing."""

TAKEN: Final = 1
REFUSED: Final = 0
UNKNOWN: Final = -1

MOST: Final = 1 << 62
"""A counter goes no further: a server that refuses to count on would be given up, again and again."""

_CONSTANTS: Final = f"""
local SLOTS, PARALLEL, LEASE_MS, WORKER_S = {ROLLING_SLOTS}, {PARALLEL}, {LEASE_S * 1000}, {WORKER_KEPT_S}
local LATE_S, MOST = {LATE_S}, {MOST}
local MEMORY = '{PREFIX.decode()}memory'
local WORKERS = '{PREFIX.decode()}worker:'
"""

# ARGV: connection, number of the question, the place of that in the ring, and what is packed.
_COMMON: Final = (
    _CONSTANTS
    + """
local told = redis.call('TIME')
local now_us = told[1] * 1000000 + told[2]
local twelfths = math.floor(now_us * SLOTS / 1000000)
local worker = KEYS[1]
local function answer(code, ...) return cmsgpack.pack({code, now_us, ...}) end
if redis.call('HGET', worker, 'e') ~= ARGV[1] then return answer(-1) end
local function whole(number) return string.format('%.0f', number) end
local function note()
  redis.call('HSET', worker, ARGV[3], ARGV[2] .. ' ' .. whole(twelfths), 't', whole(now_us / 1000))
  redis.call('EXPIRE', worker, WORKER_S)
end
local function is_over(ends) return ends > 0 and (ends + LATE_S) * 1000000 <= now_us end
local function keep_until(key, ends)
  if ends > 0 then redis.call('EXPIREAT', key, whole(ends + LATE_S)) end
end
local function fields(key)
  local flat, found = redis.call('HGETALL', key), {}
  for at = 1, #flat, 2 do found[flat[at]] = tonumber(flat[at + 1]) end
  return found
end
local function keep(key, window)
  if window > 0 then redis.call('EXPIRE', key, math.ceil(window * (SLOTS + 2) / SLOTS)) end
  if window == PARALLEL then redis.call('EXPIRE', key, WORKER_S) end
end
"""
)

# Packed: whether only to look; of each charge amount, limit, window, end, whether it is enforced. Answers
# what each has (before), which are in the way, and the microseconds until there is room for these.
RESERVE: Final = (
    _COMMON
    + """
local is_look, charges = unpack(cmsgpack.unpack(ARGV[4]))
local used, blocking, resets, slots = {}, {}, {}, {}
local name = string.sub(worker, #WORKERS + 1)
for at, charge in ipairs(charges) do
  local amount, limit, window, _, is_enforced = unpack(charge)
  local key, total, live = KEYS[at + 1], 0, {}
  if window == 0 then
    total = tonumber(redis.call('GET', key) or '0')
  elseif window == PARALLEL then
    live = fields(key)
    for _, has in pairs(live) do total = total + has end
    if total + amount > limit then
      for who, has in pairs(live) do
        local heard = who ~= name and tonumber(redis.call('HGET', WORKERS .. who, 't') or '0')
        if heard and now_us / 1000 - heard > LEASE_MS then
          redis.call('HDEL', key, who)
          total = total - has
        end
      end
    end
  else
    local slot = math.floor(twelfths / window)
    slots[at] = slot
    for field, has in pairs(fields(key)) do
      if tonumber(field) >= slot - SLOTS then
        live[tonumber(field)] = has
        total = total + has
      elseif not is_look then
        redis.call('HDEL', key, field)
      end
    end
  end
  used[at] = total
  if is_enforced and amount > 0 and total + amount > limit then
    local reset_us = -1
    if window > 0 then
      local needed, last = total + amount - limit, slots[at]
      for slot = slots[at] - SLOTS, slots[at] do
        if live[slot] and needed > 0 then
          needed, last = needed - live[slot], slot
        end
      end
      if needed > 0 then last = slots[at] end
      reset_us = (last + SLOTS + 1) * window * 1000000 / SLOTS - now_us
    end
    blocking[#blocking + 1] = at - 1
    resets[#resets + 1] = math.floor(reset_us)
  end
end
if #blocking > 0 then return answer(0, used, blocking, resets) end
if not is_look then
  for at, charge in ipairs(charges) do
    local amount, _, window, ends = unpack(charge)
    local key = KEYS[at + 1]
    if amount == 0 then
      -- Who takes nothing may name any number of counters.
    elseif window == 0 then
      redis.call('INCRBY', key, whole(amount))
      keep_until(key, ends)
    else
      redis.call('HINCRBY', key, window == PARALLEL and name or whole(slots[at]), whole(amount))
      keep(key, window)
    end
  end
  note()
end
return answer(1, used, blocking, resets)
"""
)

# Packed: of each counter amount, window, end, and in which twelfth of a second of the server's clock it is
# counted. What is given back never leaves less than nothing, and nothing more than `MOST`. A counter of
# nothing is none: else calls that fail would leave one for each value of metadata, some of them for ever.
COUNT: Final = (
    _COMMON
    + """
local name = string.sub(worker, #WORKERS + 1)
for at, each in ipairs(cmsgpack.unpack(ARGV[4])) do
  local amount, window, ends, twelfth = unpack(each)
  local key = KEYS[at + 1]
  if window == 0 then
    if not is_over(ends) then
      local has = tonumber(redis.call('GET', key) or '0')
      amount = math.max(math.min(amount, MOST - has), -has)
      if amount ~= 0 and amount + has == 0 then
        redis.call('DEL', key)
      elseif amount ~= 0 then
        redis.call('INCRBY', key, whole(amount))
        keep_until(key, ends)
      end
    end
  else
    local field, is_live = name, true
    if window > 0 then
      local slot = math.min(math.floor(twelfth / window), math.floor(twelfths / window))
      field, is_live = whole(slot), slot >= math.floor(twelfths / window) - SLOTS
    end
    if is_live then
      local has = tonumber(redis.call('HGET', key, field) or '0')
      amount = math.max(math.min(amount, MOST - has), -has)
      if amount ~= 0 and amount + has == 0 then
        redis.call('HDEL', key, field)
      elseif amount ~= 0 then
        redis.call('HINCRBY', key, field, whole(amount))
        keep(key, window)
      end
    end
  end
end
note()
return answer(1)
"""
)

# Packed: of each counter what it had before the server lost its memory, as one worker saw it last; its
# window, its end, and when that was seen. The most that any worker saw counts, and what has been counted
# since comes on top of it, whoever told or counted first.
RAISE: Final = (
    _COMMON
    + """
for at, each in ipairs(cmsgpack.unpack(ARGV[4])) do
  local had, window, ends, twelfth = unpack(each)
  local key = KEYS[at + 1]
  local told = key .. ':told'
  local more = had - tonumber(redis.call('GET', told) or '0')
  local slot, is_live = 0, window == 0 and not is_over(ends)
  if window > 0 then
    local current = math.floor(twelfths / window)
    slot = math.min(math.floor(twelfth / window), current)
    is_live = slot >= current - SLOTS
  end
  if more > 0 and is_live then
    redis.call('SET', told, whole(had))
    if window == 0 then
      redis.call('INCRBY', key, whole(more))
      keep_until(key, ends)
      keep_until(told, ends)
    else
      redis.call('HINCRBY', key, whole(slot), whole(more))
      keep(key, window)
      keep(told, window)
    end
  end
end
note()
return answer(1)
"""
)

# ARGV: the new connection, what the worker calls the server's memory, and a name for one that is new. Answers
# what was known of the worker, and the name. Where the worker is known only the name was thrown away.
BEGIN: Final = (
    _CONSTANTS
    + """
local told = redis.call('TIME')
local now_us = told[1] * 1000000 + told[2]
local known = redis.call('HGETALL', KEYS[1])
redis.call('SET', MEMORY, #known > 0 and ARGV[2] ~= '' and ARGV[2] or ARGV[3], 'NX')
redis.call('HSET', KEYS[1], 'e', ARGV[1], 't', string.format('%.0f', now_us / 1000))
redis.call('EXPIRE', KEYS[1], WORKER_S)
return cmsgpack.pack({1, now_us, known, redis.call('GET', MEMORY)})
"""
)


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What a script says.

    Attributes:
        code: `TAKEN`, `REFUSED`, or `UNKNOWN`: the server does not know this connection of this worker.
        now_us: Its clock, Unix time in microseconds.
        used: What each counter had before.
        blocking: Which charges are in the way; `resets_us` of each, -1 where the server cannot say.
    """

    code: int
    now_us: float
    used: tuple[int, ...] = ()
    blocking: tuple[int, ...] = ()
    resets_us: tuple[int, ...] = ()


class Begun(msgspec.Struct, frozen=True, array_like=True):
    """What a worker is told that begins.

    Attributes:
        known: Of the worker, names and values in turn; nothing of a new one.
        memory: A name that another follows once the server has lost all.
    """

    code: int
    now_us: float
    known: tuple[str, ...]
    memory: str


class Done(msgspec.Struct, frozen=True):
    """A question that changed something.

    Attributes:
        number: Its own.
        twelfth: Of a second, by the server's clock: when that was.
    """

    number: int
    twelfth: int

    @classmethod
    def read(cls, noted: str) -> Done:
        """What a worker's hash says."""
        number, twelfth = noted.split()
        return cls(int(number), int(twelfth))


_pack: Final = msgspec.msgpack.Encoder().encode
read_answer: Final = msgspec.msgpack.Decoder(Answer).decode
read_begun: Final = msgspec.msgpack.Decoder(Begun).decode


def key_of(charge: Charge) -> bytes:
    """Where a counter is; with its window, since keys of two kinds under one name would stop everything."""
    return b"%b%b:%d" % (PREFIX, charge.key, charge.window_s)


def pack_charges(charges: Sequence[Charge], *, is_look: bool) -> bytes:
    """What `RESERVE` is told."""
    told = [(each.amount, each.limit, each.window_s, each.expires_s, each.is_enforced) for each in charges]
    return _pack((is_look, told))


def pack_counts(counts: Sequence[tuple[int, int, int, int]]) -> bytes:
    """What `COUNT` and `RAISE` are told: amount or total, window, end, twelfth of a second."""
    return _pack(counts)


def command(sha: str, keys: Sequence[bytes], *arguments: Any) -> tuple[Any, ...]:
    """The words of a question."""
    return ("EVALSHA", sha, len(keys), *keys, *arguments)


def ring_place(number: int) -> str:
    """Where a question's number is noted."""
    return str(number % RING)
