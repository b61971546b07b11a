"""Where replicas of the gateway tell each other something: Redis or Valkey.

A table of records, of which the newer one stands. Each exchange is one script: it keeps what of ours is newer
than what is there, and gives what others have put there since the exchange before. Times are the server's, so
that replicas need not agree on one. Records end by themselves, and nothing else is in the server: if it loses
them, or is another one all at once, the next exchange says so (`Heard.is_new`) and each replica tells what it
knows again.

Whatever the server does, an exchange ends within `EXCHANGE_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, RedisError

from gateway.store.replica_records import Heard, Record, ReplicasAwayError

EXCHANGE_S: Final = 1.0
"""What an exchange may take as a whole, the connection included."""

_SOCKET_S: Final = 0.5
TARGETS: Final = "{gateway:targets}"
"""Where circuits are told."""

GATEWAYS: Final = "{gateway:replicas}"
"""Where gateways say what they are."""

_KEPT_S: Final = 86_400
_US_PER_S: Final = 1_000_000
_DETAIL_CHARACTERS: Final = 200

# KEYS: the records, in which order they came, when each ends. ARGV: a name for a table that is begun, that of
# the one we know, how far we know it, how long the keys are kept; then of each record its field, order, value
# and milliseconds. '@' has the table's name, '#' counts what came.
_SCRIPT: Final = """
local records, order, ends = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local name = redis.call('HGET', records, '@')
if not name then
  redis.call('DEL', order, ends)
  name = ARGV[1]
  redis.call('HSET', records, '@', name)
end
for _, field in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', now_ms, 'LIMIT', 0, 1000)) do
  redis.call('HDEL', records, field)
  redis.call('ZREM', order, field)
  redis.call('ZREM', ends, field)
end
for at = 5, #ARGV, 4 do
  local field = ARGV[at]
  local known = redis.call('HGET', records, field)
  if not known or tonumber(ARGV[at + 1]) > tonumber(string.match(known, '^(%d+) ')) then
    redis.call('HSET', records, field, ARGV[at + 1] .. ' ' .. ARGV[at + 2])
    redis.call('ZADD', order, redis.call('HINCRBY', records, '#', 1), field)
    redis.call('ZADD', ends, now_ms + ARGV[at + 3], field)
  end
end
local from = '-inf'
if name == ARGV[2] then from = '(' .. ARGV[3] end
local told = {}
for _, field in ipairs(redis.call('ZRANGEBYSCORE', order, from, '+inf')) do
  told[#told + 1] = field
  told[#told + 1] = redis.call('HGET', records, field)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[4]) end
return {time[1], time[2], name, redis.call('HGET', records, '#') or '0', told}
"""


class Replicas:
    """The table of one server."""

    def __init__(self, url: str, *, about: str = TARGETS, now_s: Callable[[], float] = time.time) -> None:
        """Prepare; nothing is connected yet.

        Args:
            url: `redis://`, `rediss://` or `unix://`; may hold a password.
            about: Which table, `TARGETS` or `GATEWAYS`.
            now_s: Unix time.
        """
        self.place = shown(url)
        self._secrets = secrets_in(url)
        self._now_s = now_s
        self._redis: Redis = Redis.from_url(
            trusting(url),
            socket_timeout=_SOCKET_S,
            socket_connect_timeout=_SOCKET_S,
            # A connection that has ended since the exchange before is made anew. More is not tried: who asks
            # every quarter of a second tries again by itself.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
            max_connections=1,
            protocol=2,
        )
        self._exchange: Any = self._redis.register_script(_SCRIPT)
        where = self._redis.connection_pool.connection_kwargs
        self._home: dict[str, Any] = {name: where[name] for name in ("host", "port") if name in where}
        self._keys = [f"{about}:{part}" for part in ("records", "order", "ends")]
        self._table = ""
        self._known = 0

    async def exchange(self, records: Sequence[Record]) -> Heard:
        """Tell *records*, some hundreds at most, and hear what is news.

        Raises:
            ReplicasAwayError: The server cannot be reached, does not answer in time, or refuses.
        """
        arguments: list[str | int] = [secrets.token_hex(8), self._table, self._known, _KEPT_S]
        for record in records:
            arguments += (record.field, record.order, record.value, max(1, round(record.keep_s * 1000)))
        began_s = self._now_s()
        try:
            async with asyncio.timeout(EXCHANGE_S):
                answer = await self._ask(arguments)
        except (RedisError, OSError, TimeoutError) as error:
            await self._turn_to(self._home)
            raise ReplicasAwayError(self._told(error)) from error
        ended_s = self._now_s()
        seconds, microseconds, name, count, told = answer
        is_new = name.decode() != self._table
        self._table, self._known = name.decode(), int(count)
        server_s = int(seconds) + int(microseconds) / _US_PER_S
        heard = tuple(_records(zip(told[::2], told[1::2], strict=True)))
        return Heard(server_s - (began_s + ended_s) / 2, ended_s - began_s, is_new, heard)

    def hear_all(self) -> None:
        """Let the next exchange give every record, as if nothing had been heard."""
        self._known = 0

    async def close(self) -> None:
        """Let go of the connection."""
        await self._let_go()

    async def _ask(self, arguments: list[str | int]) -> Any:
        try:
            return await self._exchange(keys=self._keys, args=arguments)
        except MovedError as moved:
            # A node of a cluster says which one has the keys; it stays the one until that cannot be used.
            await self._turn_to(
                {"host": moved.host, "port": moved.port} if moved.host else {"port": moved.port}
            )
            return await self._exchange(keys=self._keys, args=arguments)

    async def _turn_to(self, where: dict[str, Any]) -> None:
        """Open the next connection there; one that was open would be opened again where it was."""
        await self._let_go()
        self._redis.connection_pool.reset()  # type: ignore[no-untyped-call]  # redis has no types here
        self._redis.connection_pool.connection_kwargs.update(where)

    async def _let_go(self) -> None:
        """End the connection: what is still to come on it belongs to a question that nobody asks any more."""
        try:
            async with asyncio.timeout(_SOCKET_S):
                await self._redis.connection_pool.disconnect()
        except (RedisError, OSError, TimeoutError):
            pass

    def _told(self, error: BaseException) -> str:
        text = (str(error) or type(error).__name__).rstrip(".")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_DETAIL_CHARACTERS]


def shown(url: str) -> str:
    """Where *url* leads, without what is secret in it."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def secrets_in(url: str) -> tuple[str, ...]:
    """What must not be told of *url*."""
    parts = urlsplit(url)
    found = {parts.password or "", unquote(parts.password or "")}
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def trusting(url: str) -> str:
    """*url* as redis has to get it, so that an authority which it names is trusted however that writes.

    Python 3.13 and later also refuse certificates that RFC 5280 wants to be written otherwise: see
    `gateway.tls_files`, which trusts in the same way.
    """
    names_authority = "ssl_ca_certs=" in urlsplit(url).query
    return f"{url}&ssl_exclude_verify_flags=VERIFY_X509_STRICT" if names_authority else url


def _records(pairs: Iterable[tuple[bytes, bytes]]) -> Iterator[Record]:
    for field, value in pairs:
        order, _, text = value.partition(b" ")
        # What is none was put there by somebody else, and is no reason to hear nothing any more.
        with contextlib.suppress(ValueError):
            yield Record(field.decode(), int(order), text.decode())
