"""Stand-ins for the ends of a request: the caller's side, the provider's side, and the headers between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from gateway.edge.lookout import DisconnectWatch, Lookout, Watch
from gateway.errors import BodyTooLarge, ClientDisconnected, GatewayError, UpstreamBadReply
from gateway.model import (
    CallFacts,
    Decision,
    HeaderPairs,
    HeldLimit,
    HeldLimits,
    LimitNote,
    LimitsSaid,
    Outcome,
    Passage,
    Reached,
    SkipReason,
    Spent,
    Target,
    UpstreamReply,
    UpstreamRequest,
)
from gateway.routing.route import Route, TargetTimes

Step = bytes | GatewayError | asyncio.Event | Callable[[], object]
"""Of a reply's body: bytes that arrive, an error, something to wait for, or something that happens then."""


class FakeHeaders:
    """`gateway.model.Headers` of these pairs."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    def get(self, name: str) -> str | None:
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def get_all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def starting_with(self, prefix: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key for key, _ in self._pairs if key.startswith(prefix)))

    def raw(self, names: Sequence[bytes]) -> tuple[bytes | None, ...]:
        return tuple(
            [value.encode("latin-1", "replace") for key, value in self._pairs if key.encode() in names]
        )


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class FakeHealth:
    """`gateway.routing.route.HealthView` of targets of which this is known; the rest are well.

    Attributes:
        reasons: Why a target is not to be asked.
        waits_s: How long until it may be.
        known: How quick it is, by its name and the window that is asked for; `first` to its first tokens.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, SkipReason] = {}
        self.waits_s: dict[str, float] = {}
        self.known: dict[tuple[str, float], TargetTimes] = {}
        self.first: dict[tuple[str, float], list[float]] = {}

    def are_well(self, names: tuple[str, ...]) -> bool:
        return not any(name in self.reasons for name in names)

    def skip_reason(self, name: str) -> SkipReason | None:
        return self.reasons.get(name)

    def wait_s(self, name: str) -> float:
        return self.waits_s.get(name, 0.0)

    def times(self, name: str, *, window_s: float) -> TargetTimes:
        return self.known.get((name, window_s), TargetTimes())

    def first_tokens_ms(self, name: str, *, window_s: float) -> Sequence[float]:
        return self.first.get((name, window_s), ())


class FakeObserver:
    """`gateway.model.AttemptObserver` that lets nobody ask some targets.

    Attributes:
        outcomes: How attempts ended: of which target, how, with which status.
    """

    def __init__(self, *, closed_to: Collection[str] = ()) -> None:
        self._closed_to = closed_to
        self.outcomes: list[tuple[str, str, int]] = []

    def admit(self, target: Target) -> SkipReason | None:
        return "circuit" if target.name in self._closed_to else None

    def wait_s(self, _: str) -> float:
        """Nobody knows."""
        return 0.0

    def went_well(self, _: Target) -> bool:
        """All of it is wanted."""
        return True

    def ended(self, target: Target, outcome: Outcome) -> None:
        self.outcomes.append((target.name, outcome.verdict, outcome.status))


class Instead:
    """A rule that gives every call of one model another's targets."""

    def __init__(self, model: str, route: Route) -> None:
        self._model = model
        self._route = route

    def find(self, model: str, _: CallFacts) -> Route | None:
        return self._route if model == self._model else None


class FakePermit:
    """`gateway.model.Permit` of a call that these limits held for."""

    is_near = False

    def __init__(self, *notes: LimitNote) -> None:
        self.said = (_said(notes),) if notes else ()
        self.refusal: Exception | None = None
        self.reached: Sequence[Reached] = ()

    def has_admitted(self, target: Target) -> bool:
        del target
        return True

    async def admit_target(self, target: Target) -> bool:
        del target
        return True

    async def admit_beside(self, target: Target) -> bool:
        del target
        return True

    def forgo(self, target: Target) -> None:
        """Nothing was taken."""

    async def use(self, spent: Sequence[Spent]) -> Exception | None:
        """Nothing is used up."""
        del spent
        return None

    def may_read(self, target: Target) -> int | None:
        """No limit asked."""
        del target
        return None

    def may_use(self, target: Target) -> tuple[int, float]:
        """No limit asked."""
        del target
        return 0, 0.0

    def settle(self, spent: Sequence[Spent]) -> None:
        """Nothing was taken."""

    def headers(self) -> HeaderPairs:
        return []


def _said(notes: Sequence[LimitNote]) -> LimitsSaid:
    """What limits said, from each of these."""
    outcomes = [note.outcome for note in notes]
    held = HeldLimits(
        tuple(HeldLimit(note.rule, note.kind, note.is_budget, note.target, note.limit) for note in notes)
    )
    decision = Decision(
        outcomes.index("refused") if "refused" in outcomes else None,
        tuple(note.used for note in notes),
        tuple(note.reset_s for note in notes),
        0.0,
    )
    without_room = tuple(at for at, outcome in enumerate(outcomes) if outcome != "allowed")
    return LimitsSaid(held, (), decision, without_room)


class _LookoutNow(Lookout):
    def add(self, watch: Watch) -> None:
        watch.begin()


class FakeClient:
    """A caller that keeps what it was sent; `leave` makes it go.

    Attributes:
        status: None until a head was sent.
        pieces: What the body was sent in.
        is_ended: The response is complete.
        on_write: Called after each piece of a stream.
    """

    method = "POST"
    scheme = "http"
    server_address = "127.0.0.1"
    server_port: int | None = 8787
    peer_address = "192.0.2.7"

    def __init__(
        self,
        *headers: tuple[str, str],
        body: bytes | None = b"",
        path: str = "/v1/chat/completions",
        route: str = "/v1/chat/completions",
        method: str = "POST",
        query: str = "",
        pieces: Sequence[bytes] | None = None,
        declared_bytes: int | None = None,
    ) -> None:
        self.method = method
        self.query = query
        self._body_pieces = [body or b""] if pieces is None else list(pieces)
        self._declared_bytes = len(body or b"") if pieces is None else declared_bytes
        self.path = path
        self.route = route
        self.has_started = False
        self.status: int | None = None
        self.sent_headers: list[tuple[str, str]] = []
        self.pieces: list[bytes] = []
        self.is_ended = False
        self.was_read = False
        self.is_dropped = False
        self.on_write: Callable[[], object] = lambda: None
        self._headers = FakeHeaders(headers)
        self._body = body
        self._gone: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    @property
    def headers(self) -> FakeHeaders:
        return self._headers

    def header(self, name: str) -> str | None:
        """A header that was sent; it must not have been sent twice."""
        values = [value for key, value in self.sent_headers if key == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def has_body(self) -> bool:
        return any(self._body_pieces)

    @property
    def declared_bytes(self) -> int | None:
        return self._declared_bytes

    async def read_piece(self) -> bytes:
        self.was_read = True
        await asyncio.sleep(0)
        return self._body_pieces.pop(0) if self._body_pieces else b""

    async def until_gone(self) -> None:
        await self._gone
        raise ClientDisconnected

    def leave(self) -> None:
        if not self._gone.done():
            self._gone.set_result({"type": "http.disconnect"})

    async def read_body(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        hold(len(self._body or b""))
        self.was_read = True
        if self._body is None:
            raise ClientDisconnected
        if len(self._body) > limit_bytes:
            raise BodyTooLarge("too long")
        return self._body

    @property
    def is_short(self) -> bool:
        return self.declared_bytes is not None and self.declared_bytes < 100

    async def drop_body(self) -> None:
        self.is_dropped = True

    def watch(self) -> AbstractContextManager[object]:
        lookout = _LookoutNow(asyncio.get_running_loop())
        return DisconnectWatch(lambda: self._gone, lookout)  # type: ignore[arg-type,return-value]  # a future, as Granian's

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self.start(status, headers)
        self.pieces.append(body)
        await self.end()

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        assert not self.has_started, "a second head"
        self.has_started = True
        self.status = status
        self.sent_headers = [(name.decode(), value.decode("latin-1")) for name, value in headers]
        await asyncio.sleep(0)

    async def write(self, data: bytes) -> None:
        assert self.has_started, "a piece before the head"
        assert not self.is_ended, "a piece after the end"
        self.pieces.append(data)
        self.on_write()
        await asyncio.sleep(0)

    async def end(self) -> None:
        assert not self.is_ended, "a second end"
        self.is_ended = True
        await asyncio.sleep(0)


class FakeReply:
    """A provider's answer, step by step.

    Attributes:
        is_closed: `close` was called.
        was_read: The body was read to its end before that.
    """

    def __init__(self, status: int, headers: Mapping[str, str], *steps: Step) -> None:
        self.status = status
        self.token = ""
        self.headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]
        self.is_closed = False
        self.was_read = False
        self._steps = list(steps)

    async def read_chunk(self) -> bytes:
        while self._steps:
            step = self._steps.pop(0)
            await asyncio.sleep(0)
            match step:
                case bytes():
                    return step
                case GatewayError():
                    raise step
                case asyncio.Event():
                    await step.wait()
                case _:
                    step()
        self.was_read = True
        return b""

    async def read(self, limit_bytes: int) -> bytes:
        parts = []
        while data := await self.read_chunk():
            parts.append(data)
            if sum(map(len, parts)) > limit_bytes:
                raise UpstreamBadReply("too long")
        return b"".join(parts)

    async def finish(self) -> None:
        while await self.read_chunk():
            pass

    def close(self) -> None:
        self.is_closed = True


class FakeUpstream:
    """Answers as scripted, one item for each exchange.

    Attributes:
        requests: What was asked.
        passages: What was passed on, and `bodies` what it had.
        on_exchange: Awaited before each answer.
    """

    def __init__(self, *script: FakeReply | GatewayError | Exception | asyncio.Event) -> None:
        self._script = list(script)
        self.requests: list[UpstreamRequest] = []
        self.passages: list[Passage] = []
        self.bodies: list[bytes] = []

    async def pass_on(self, passage: Passage) -> UpstreamReply:
        self.passages.append(passage)
        if not isinstance(passage.body, bytes):
            pieces = []
            while data := await passage.body.read_piece():
                pieces.append(data)
            self.bodies.append(b"".join(pieces))
        else:
            self.bodies.append(passage.body)
        return await self._next()

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        self.requests.append(request)
        return await self._next()

    async def _next(self) -> UpstreamReply:
        await asyncio.sleep(0)
        item = self._script.pop(0)
        if isinstance(item, asyncio.Event):
            await item.wait()
            item = self._script.pop(0)
        if isinstance(item, FakeReply):
            return item
        assert isinstance(item, Exception)
        raise item
