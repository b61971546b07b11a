"""Callers of every kind at once: whole answers, streams, embeddings, big bodies, sessions over WebSockets.

Calls begin at random times at a steady rate, whatever becomes of those before. Each has an end that is
expected; what is not expected is kept with its reason, and nothing is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from tests.rig.behaviours import BY_MODEL, TEXT, stream
from tests.rig.fake_upstream import Behaviour
from tests.rig.manifests import APP_TOKEN
from tests.rig.raw_http import events

CHAT: Final = "/v1/chat/completions"
PACE_S: Final = 0.08
WORDS: Final = 25
"""A paced stream lasts two seconds."""

BIG: Final = "x" * 3_000_000
PROVIDER: Final[dict[str, Behaviour]] = {**BY_MODEL, "paced": stream(pace_s=PACE_S, words=WORDS)}
"""How the models of the fake provider behave."""

_PATIENCE_S: Final = 120.0
"""A call that takes longer is a finding; measurements on the same machine may stop everything for a while."""

_JOIN_S: Final = 130.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of call.

    Attributes:
        weight: Its share of all calls.
        body: As JSON; None: a session over a WebSocket.
        is_right: Whether a whole answer is what it should be: status and body.
        leaves: The caller leaves in the middle of the answer.
        spans: How many spans its trace has at least.
    """

    name: str
    weight: float
    path: str
    body: Mapping[str, Any] | None
    is_right: Callable[[int, bytes], bool]
    leaves: bool = False
    spans: int = 2
    token: str = APP_TOKEN


def chat_ask(model: str, content: str = "Hi", **more: Any) -> dict[str, Any]:
    """The body of a chat call."""
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def has_text(status: int, body: bytes) -> bool:
    """The whole right answer of the fake provider."""
    try:
        return status == 200 and json.loads(body)["choices"][0]["message"]["content"] == TEXT
    except (ValueError, LookupError):
        return False


def is_whole_stream(status: int, body: bytes) -> bool:
    """A stream to its end, of whatever length."""
    return status == 200 and events(body)[-1:] == ["[DONE]"]


def has_status(*wanted: int) -> Callable[[int, bytes], bool]:
    """One of these."""
    return lambda status, _: status in wanted


GOOD_ASKS: Final[Sequence[Ask]] = (
    Ask("chat", 6, CHAT, chat_ask("fake/normal"), has_text),
    Ask("short stream", 4, CHAT, chat_ask("fake/normal", stream=True), is_whole_stream),
    Ask("paced stream", 3, CHAT, chat_ask("fake/paced", stream=True), is_whole_stream),
    Ask("embeddings", 2, "/v1/embeddings", {"model": "fake/normal", "input": ["a", "b"]}, has_status(200)),
    Ask("big prompt", 0.3, CHAT, chat_ask("fake/normal", BIG), has_text),
    Ask("session", 0.5, "/v1/realtime?model=voices/m", None, has_status(101), spans=1),
)
"""Of accounts `fake` (models `normal`, `paced`) and `voices` (`m`)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that did not end as it should, or how long one took that did.

    Attributes:
        why: What came instead; "" for nothing.
        was_cut: The connection ended, as it does when a process is killed.
        had_begun: The answer had.
    """

    name: str
    began_s: float
    ended_s: float
    why: str = ""
    was_cut: bool = False
    had_begun: bool = False


@dataclass(slots=True)
class Tally:
    """What became of all calls.

    Attributes:
        begun: By the name of the kind; `right` likewise, of those that ended as they should.
        ended: The same one by one.
        due: How many spans the trace of each right call must have, and when the call ended.
    """

    begun: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    failed: list[Ended] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    due: dict[str, tuple[int, float]] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """Calls that have not ended."""
        return self.begun.total() - self.right.total() - len(self.failed)

    @property
    def cut_streams(self) -> list[Ended]:
        """Answers that began and did not come to their end."""
        return [one for one in self.failed if one.had_begun]

    @property
    def failed_requests(self) -> list[Ended]:
        """The others that failed."""
        return [one for one in self.failed if not one.had_begun]


class MixedLoad:
    """Callers of one address.

    Attributes:
        tally: Of all their calls.
    """

    def __init__(
        self,
        base_url: str,
        calls_per_s: float,
        *,
        asks: Sequence[Ask] = GOOD_ASKS,
        seed: int = 7,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare them; *base_url* is without `/v1`, and times are told in those of *now_s*."""
        self.tally = Tally()
        self._base_url = base_url
        self._calls_per_s = calls_per_s
        self._asks = asks
        self._weights = [one.weight for one in asks]
        self._random = Random(seed)
        self._now_s = now_s
        self._calls: set[asyncio.Task[None]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run_in_thread, name="mixed load", daemon=True)

    # -- in a thread of its own

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Begin no more calls, and wait for those that are open."""
        self._stop.set()
        self._thread.join(_JOIN_S)

    def _run_in_thread(self) -> None:
        asyncio.run(self.run(self._stop.is_set))

    # -- in a loop

    async def run(self, is_over: Callable[[], bool]) -> None:
        """Begin calls until *is_over*, and wait for those that are open."""
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            while not is_over():
                [ask] = self._random.choices(self._asks, self._weights)
                self._begin(self._make(session, ask), ask.name)
                await asyncio.sleep(self._random.expovariate(self._calls_per_s))
            if self._calls:
                await asyncio.wait(self._calls, timeout=_PATIENCE_S)

    def _begin(self, call: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(call, name=name)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        self.tally.begun[name] += 1

    async def _make(self, session: aiohttp.ClientSession, ask: Ask) -> None:
        trace_id, began_s, tally = secrets.token_hex(16), self._now_s(), self.tally
        headers = {
            "authorization": f"Bearer {ask.token}",
            "content-type": "application/json",
            "traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01",
        }
        had_begun = was_cut = False
        why = ""
        try:
            if ask.body is None:
                status, body = 101, await self._converse(session, ask, headers)
            elif ask.leaves:
                status, body = await self._leave(session, ask, headers), b""
            else:
                async with session.post(
                    self._base_url + ask.path, data=_encoded(ask), headers=headers
                ) as reply:
                    had_begun, status = reply.status == 200, reply.status
                    body = await reply.read()
            tally.statuses[f"{ask.name} {status}"] += 1
            if not ask.is_right(status, body):
                why = f"{status} {body[-300:].decode(errors='replace')}"
        except TimeoutError:
            why = f"nothing for {_PATIENCE_S:g} s"
        except (aiohttp.ClientError, OSError) as error:
            why = repr(error)
            was_cut = isinstance(error, (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError))
        if why:
            tally.failed.append(Ended(ask.name, began_s, self._now_s(), why, was_cut, had_begun))
            return
        tally.right[ask.name] += 1
        tally.ended.append(Ended(ask.name, began_s, self._now_s()))
        tally.due[trace_id] = (ask.spans, self._now_s())

    async def _converse(self, session: aiohttp.ClientSession, ask: Ask, headers: dict[str, str]) -> bytes:
        """One session of the realtime API, with one response."""
        async with session.ws_connect(self._base_url + ask.path, headers=headers, max_msg_size=0) as socket:
            await _said(socket)
            await socket.send_str(json.dumps({"type": "response.create"}))
            kinds = [json.loads(await _said(socket))["type"] for _ in range(3)]
        if kinds[-1] != "response.done" or socket.close_code != aiohttp.WSCloseCode.OK:
            raise aiohttp.ClientError(f"{kinds}, closed with {socket.close_code}")
        return b""

    async def _leave(self, session: aiohttp.ClientSession, ask: Ask, headers: dict[str, str]) -> int:
        """Begin a call and go, before or in the middle of its answer."""
        status = 200
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._random.uniform(0.05, 1.0)):
                async with session.post(
                    self._base_url + ask.path, data=_encoded(ask), headers=headers
                ) as reply:
                    status = reply.status
                    async for _ in reply.content.iter_any():
                        pass
        return status


def _encoded(ask: Ask) -> BytesIO:
    """What is sent: as a file, since aiohttp would rather not be given much at once."""
    return BytesIO(json.dumps(ask.body).encode())


async def _said(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The next message.

    Raises:
        aiohttp.ServerDisconnectedError: There is none.
    """
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise aiohttp.ServerDisconnectedError(f"{message.type.name} instead of a message")
    return str(message.data)
