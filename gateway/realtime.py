"""Sessions of the realtime API: the caller's WebSocket, the provider's, and messages between them.

    identify           identity                  401, as an HTTP answer to the handshake
    plan               routing                   400, 404, 403, 503, likewise
    accept             edge                      from here on errors are events, and then a close code
    dial               failover, upstream        target after target; the caller's first message waits
    relay              here                      each message as it is; who is slow makes the other side wait
    look               identity, routing         whether the caller still may, by the configuration in force
    count              limits                    after each response; where nothing is left, the session ends
    settle             the pipeline's exit       usage from the events that passed, once

The entry, the exit and the trace are the pipeline's. A session is one task with two pumps beside it. Each
pump holds one message, so nothing queues up here.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

from gateway.attempt import Wishes, outcome_of, read_wishes, whole_limit_s
from gateway.endpoints.openai_call import full_name, unread_call
from gateway.endpoints.provider_path import read_query
from gateway.endpoints.realtime import REALTIME, WORDING, SessionUsage, provider_error_event
from gateway.endpoints.realtime_url import names_no_model, query_model, realtime_url
from gateway.errors import (
    BodyTooLarge,
    ClientDisconnected,
    GatewayError,
    GatewayShutdown,
    IdentityUnavailable,
    InvalidBody,
    ModelNotFound,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
    forget_frames,
)
from gateway.failover import Failover, Failure, abandoned
from gateway.model import CallFacts, Client, Outcome, Passage, Target
from gateway.pipeline import Pipeline
from gateway.providers.headers import FORWARDED_UP, names_an_account
from gateway.providers.passage_headers import passage_headers
from gateway.relay import no_error, note_failure, without_credentials
from gateway.responder import Answer, Responder
from gateway.settlement import spent_by
from gateway.snapshot import Snapshot
from gateway.tasks import end, spawn
from gateway.telemetry.call_notes import read_notes
from gateway.telemetry.call_trace import AttemptTrace
from gateway.upstream.sockets import MAX_MESSAGE_BYTES, Closed, HandshakeRefused, Pong, ProviderSocket
from gateway.wire import close_codes

_SWITCHING: Final = 101
_REFUSED: Final = frozenset({401, 403})
_USAGE_S: Final = 0.25
_CUT_S: Final = 0.7
_MAX_CHARACTER_BYTES: Final = 4
_PING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session may be silent, in seconds.

    Attributes:
        idle_s: Without a message from either side, then it is closed.
        stall_s: One side takes nothing of what is sent to it.
        ping_s: Without anything from the provider, then it is asked whether it is there; it has `pong_s`.
        token_every_s: How often the caller's token is looked at, though the configuration is the same.
        look_every_s: How often all this is looked at.
    """

    idle_s: float = 900.0
    stall_s: float = 300.0
    ping_s: float = 30.0
    pong_s: float = 20.0
    token_every_s: float = 5.0
    look_every_s: float = 1.0


class CallerSocket(Client, Protocol):
    """The caller's end of a session, given by the edge.

    Attributes:
        subprotocols: Those that the provider gets.
    """

    subprotocols: tuple[str, ...]

    async def accept(self) -> None:
        """Open it; raises `ClientDisconnected`."""

    async def receive(self) -> str | bytes | int:
        """The next message, or the code with which the caller has closed."""

    async def send(self, message: str | bytes) -> None:
        """Send a message, once the transport takes it; raises `ClientDisconnected`."""

    async def close(self, code: int, reason: str = "") -> None:
        """Close; nobody may be receiving."""


class Dials(Protocol):
    """The provider's side; see `gateway.upstream`."""

    async def dial(self, passage: Passage) -> ProviderSocket:
        """Open a WebSocket; raises the upstream errors and `HandshakeRefused`."""


@dataclass(frozen=True, slots=True)
class _Ending:
    """Why a session is over.

    Attributes:
        of_caller: The caller ended it.
        code: As it was received.
        error: What went wrong, None when it was closed by somebody.
    """

    code: int = close_codes.NORMAL
    reason: str = ""
    of_caller: bool = False
    error: GatewayError | None = None


class Realtime:
    """Takes sessions through their stages."""

    def __init__(self, pipeline: Pipeline, upstream: Dials, limits: SessionLimits | None = None) -> None:
        """Wire the stages.

        Args:
            pipeline: Has the entry and the exit of every request.
            upstream: The provider's side.
            limits: How long what may take.
        """
        self._pipeline = pipeline
        self._upstream = upstream
        self._limits = limits or SessionLimits()
        self._sessions: set[asyncio.Task[Any]] = set()
        self._is_draining = False

    async def serve(self, socket: CallerSocket) -> None:
        """Serve one session, from its handshake to its end."""
        task = asyncio.current_task()
        assert task is not None, "in a task"  # noqa: S101 - says it to the type checker
        self._sessions.add(task)

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            trace = responder.trace
            caller = snapshot.identity.identify(socket.headers)
            trace.identified(caller)
            if self._is_draining:
                raise GatewayShutdown("The gateway is shutting down. Connect again.")
            trace.noted(read_notes(socket.headers, caller.tags))
            own = read_query(socket.query)
            account = socket.headers.get("x-tfy-provider-name") or own.account
            named = socket.headers.get("x-tfy-model-name") or own.model or query_model(own.rest)
            wishes = read_wishes(socket.headers)
            if not named:
                message = "The session names no model. Connect to /v1/realtime?model=<account>/<model>."
                raise InvalidBody(message, param="model")
            model = full_name(named, account)
            trace.asked(unread_call(REALTIME, model))
            facts = CallFacts(caller, REALTIME, socket.headers, trace.notes.metadata)
            plan = snapshot.routing.plan(model, facts)
            if plan.session is not None:
                plan = await self._pipeline.at_home(plan, snapshot, model, facts)
            trace.planned(plan)
            target = plan.targets[0]
            if target.dialect != REALTIME.dialect:
                message = f"{target.name} has no realtime API: its provider speaks another dialect."
                raise InvalidBody(message, param="model")
            if snapshot.has_rules:
                await self._pipeline.admit(trace, snapshot, facts, plan)
            dialing = _Dialing(self._upstream, self._pipeline.failover, socket, responder, own.rest, wishes)
            right = _Right(self._pipeline, socket, snapshot, model, self._limits.token_every_s)
            await _Session(self._limits, socket, responder, dialing, right).run()

        try:
            await self._pipeline.serve(socket, REALTIME, stages, WORDING)
        finally:
            self._sessions.discard(task)

    async def drain(self, timeout_s: float) -> int:
        """Take no more sessions and wait for the open ones; how many have to be cut."""
        self._is_draining = True
        if self._sessions:
            await asyncio.wait(set(self._sessions), timeout=timeout_s)
        return len(self._sessions)

    async def cut(self) -> None:
        """End the sessions that are still open; each is recorded as cut."""
        tasks = set(self._sessions)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=2 * _CUT_S)


class _Dialing:
    """Opening the provider's WebSocket; its attempts are those of `gateway.failover.Attempts`."""

    can_repeat = True

    def __init__(
        self,
        upstream: Dials,
        failover: Failover,
        socket: CallerSocket,
        responder: Responder,
        query: str,
        wishes: Wishes,
    ) -> None:
        """Prepare.

        Args:
            upstream: The provider's side.
            failover: Tries one target after another.
            socket: The caller's end.
            responder: The session's.
            query: The caller's without what is ours.
            wishes: The caller's.
        """
        self._upstream = upstream
        self._failover = failover
        self._socket = socket
        self._responder = responder
        self._trace = responder.trace
        self._wishes = wishes
        self.query = query
        self.provider: asyncio.Future[ProviderSocket] = asyncio.get_running_loop().create_future()

    async def run(self) -> Failure | None:
        """Dial until somebody is there; gives why nobody is."""
        assert self._trace.plan is not None, "planned"  # noqa: S101 - says it to the type checker
        targets = self._trace.plan.targets
        return await self._failover.first_good(self._trace, targets, self, self._wishes.retry)

    async def make(self, target: Target) -> Failure | None:
        """Dial *target*."""
        attempt = self._trace.attempt(target)
        failure: Failure
        try:
            provider = await self._upstream.dial(self._passage(attempt))
        except HandshakeRefused as answer:
            attempt.status_code = answer.status
            attempt.token = answer.token
            failure = self._read_refusal(answer, attempt)
        except GatewayError as error:
            failure = error
        except asyncio.CancelledError:
            self._failover.ended(self._trace, target, abandoned(attempt))
            raise
        else:
            attempt.status_code = _SWITCHING
            self._failover.answered(self._trace, attempt)
            # Of the opening alone: how long a session lasts says nothing.
            self._failover.health.ended(target, Outcome("good", _SWITCHING))
            self.provider.set_result(provider)
            return None
        if isinstance(failure, GatewayError):
            note_failure(attempt, failure)
        else:
            attempt.failed(str(failure.status), _refusal_message(failure))
        attempt.ended()
        self._failover.ended(self._trace, target, outcome_of(attempt, failure, self._wishes.limits))
        return failure

    def _read_refusal(self, answer: HandshakeRefused, attempt: AttemptTrace) -> Failure:
        body = without_credentials(answer.body, attempt)
        event = provider_error_event(body, request_id=self._responder.request_id)
        if event is not None:
            return Answer(answer.status, answer.headers, event)
        return no_error(answer.status, answer.headers, answer.body)

    def _passage(self, attempt: AttemptTrace) -> Passage:
        target, headers = attempt.target, self._socket.headers
        callers = [(name, value) for name in FORWARDED_UP if (value := headers.get(name)) is not None]
        attempt.is_callers_to_refuse = names_an_account(callers)
        traced = self._trace.propagation(attempt).items() if target.propagate_trace else ()
        sent = passage_headers(target, callers, traced)
        if self._socket.subprotocols:
            sent.append(("sec-websocket-protocol", ", ".join(self._socket.subprotocols)))
        return Passage(
            method="GET",
            url=realtime_url(target, self.query),
            headers=sent,
            body=b"",
            timeout_s=whole_limit_s(self._wishes.limits, target),
            token=target.token,
            limits=target.limits,
            tls=target.tls,
        )


class _Right:
    """Whether the caller of a session still may have it.

    A session lasts for as long as both sides like, and begins responses all the time. So it ends with its
    token, and with the right to its model, as any other call would be refused.
    """

    def __init__(
        self, pipeline: Pipeline, socket: CallerSocket, snapshot: Snapshot, model: str, every_s: float
    ) -> None:
        """Prepare; so far it may, by *snapshot*."""
        self._every_s = every_s
        self._pipeline = pipeline
        self._headers = socket.headers
        self._snapshot = snapshot
        self._model = model
        self._looked_s = 0.0

    def refusal(self, now_s: float) -> GatewayError | None:
        """Why it may not any more, None when it may.

        Args:
            now_s: A clock: the end of a token is looked for once in a while, a changed configuration always.
        """
        snapshot = self._pipeline.snapshot
        if snapshot is self._snapshot and now_s - self._looked_s < self._every_s:
            return None
        self._snapshot, self._looked_s = snapshot, now_s
        try:
            caller = snapshot.identity.identify_again(self._headers)
            snapshot.routing.check_right(self._model, caller)
        except (IdentityUnavailable, ModelNotFound):
            # Nobody knows; or the model is there no more, which is nothing against its caller.
            return None
        except GatewayError as error:
            forget_frames(error)
            return error
        return None


class _Session:
    """One session."""

    def __init__(
        self,
        limits: SessionLimits,
        socket: CallerSocket,
        responder: Responder,
        dialing: _Dialing,
        right: _Right,
    ) -> None:
        self._right = right
        self._limits = limits
        self._socket = socket
        self._responder = responder
        self._trace = responder.trace
        self._dialing = dialing
        self._used = SessionUsage()
        self._is_transcription = names_no_model(dialing.query)
        self._loop = asyncio.get_running_loop()
        self._provider = dialing.provider
        self._tasks: set[asyncio.Task[Any]] = set()
        now_s = self._loop.time()
        self._heard_s = now_s
        self._provider_heard_s = now_s
        self._pinged_s = 0.0
        # Since when a message waits to be taken, 0 while none does.
        self._to_caller_s = 0.0
        self._to_provider_s = 0.0

    async def run(self) -> None:
        """Accept, dial, relay, close."""
        await self._socket.accept()
        self._trace.responded(_SWITCHING)
        try:
            upward = spawn(self._upward(), name="realtime-up", owner=self._tasks)
            dialing = spawn(self._dialing.run(), name="realtime-dial", owner=self._tasks)
            await asyncio.wait({upward, dialing}, return_when=asyncio.FIRST_COMPLETED)
            if not dialing.done():
                await self._stop()
                await self._finish(upward.result() or _Ending(close_codes.LOST, of_caller=True))
                return
            failure = dialing.result()
            if failure is not None:
                await self._refuse(failure)
                return
            ending = await self._relay(upward, self._provider.result())
            if ending.of_caller and self._used.is_answering:
                await self._hear_usage(self._provider.result())
            self._settle()
            await self._finish(ending)
        except asyncio.CancelledError:
            await self._cut()
            raise
        finally:
            await self._stop()
            self._settle()
            if self._provider.done():
                await self._provider.result().close(close_codes.GOING_AWAY)

    async def _refuse(self, failure: Failure) -> None:
        """Tell the caller why no provider gives a session."""
        await self._stop()
        if isinstance(failure, GatewayError):
            await self._fail(failure)
            return
        message = _refusal_message(failure)
        self._trace.cut(str(failure.status), message)
        with contextlib.suppress(ClientDisconnected):
            await self._socket.send(failure.body.decode())
        await self._socket.close(close_codes.code_of_status(failure.status), message)
        self._trace.ended()

    # -- relaying

    async def _relay(self, upward: asyncio.Task[_Ending | None], provider: ProviderSocket) -> _Ending:
        now_s = self._loop.time()
        self._heard_s = self._provider_heard_s = now_s
        downward = spawn(self._downward(provider), name="realtime-down", owner=self._tasks)
        pumps: set[asyncio.Task[_Ending | None]] = {upward, downward}
        while True:
            done, pumps = await asyncio.wait(
                pumps, timeout=self._limits.look_every_s, return_when=asyncio.FIRST_COMPLETED
            )
            # What the provider says last goes before what the caller does.
            for pump in sorted(done, key=lambda task: task is upward):
                if (ending := pump.result()) is not None:
                    return ending
            if not done and (ending := await self._look(provider)) is not None:
                return ending

    async def _upward(self) -> _Ending | None:
        """Move messages from the caller to the provider; None when that takes no more."""
        while True:
            message = await self._socket.receive()
            if isinstance(message, int):
                return _Ending(message, of_caller=True)
            if _is_too_long(message):
                text = f"A message is longer than {MAX_MESSAGE_BYTES} bytes. Send it in parts."
                return _Ending(error=BodyTooLarge(text))
            provider = await asyncio.shield(self._provider)
            if (refusal := self._right.refusal(self._loop.time())) is not None:
                return _Ending(error=refusal)
            self._heard_s = self._to_provider_s = self._loop.time()
            if not await provider.send(message):
                return None
            self._to_provider_s = 0.0

    async def _downward(self, provider: ProviderSocket) -> _Ending | None:
        """Move messages from the provider to the caller."""
        while True:
            message = await provider.receive()
            self._provider_heard_s = self._loop.time()
            self._pinged_s = 0.0
            if isinstance(message, Pong):
                continue
            if isinstance(message, Closed):
                return _end_of_provider(message)
            self._heard_s = self._to_caller_s = self._provider_heard_s
            was_used = isinstance(message, str) and self._used.see(message)
            try:
                await self._socket.send(message)
            except ClientDisconnected:
                return _Ending(close_codes.LOST, of_caller=True)
            self._to_caller_s = 0.0
            if was_used and (refusal := await self._count()) is not None:
                return _Ending(error=refusal)
            self._provider_heard_s = self._loop.time()

    async def _count(self) -> GatewayError | None:
        """Count what a response or a transcription used; why the session may not go on, if so."""
        permit = self._trace.permit
        if permit is None:
            return None
        self._settle()
        refusal = await permit.use(spent_by(self._trace))
        return refusal if isinstance(refusal, GatewayError) else None

    async def _look(self, provider: ProviderSocket) -> _Ending | None:
        """Whether the session has been silent for too long, or its caller may not have it any more."""
        limits, now_s = self._limits, self._loop.time()
        if (refusal := self._right.refusal(now_s)) is not None:
            return _Ending(error=refusal)
        if self._to_caller_s:
            if now_s - self._to_caller_s > limits.stall_s:
                return _Ending(close_codes.LOST, of_caller=True)
        elif not self._pinged_s:
            if now_s - self._provider_heard_s > limits.ping_s:
                self._pinged_s = now_s
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PING_S):
                        await provider.ping()
        elif now_s - self._pinged_s > limits.pong_s:
            return _Ending(error=UpstreamTimeout("The provider does not answer any more.", detail="no pong"))
        if self._to_provider_s and now_s - self._to_provider_s > limits.stall_s:
            message = f"The provider has taken nothing for {limits.stall_s:g} s."
            return _Ending(error=UpstreamTimeout(message, detail="stalled"))
        if now_s - self._heard_s > limits.idle_s:
            return _Ending(close_codes.GOING_AWAY, f"no message for {limits.idle_s:g} s")
        return None

    # -- ending

    async def _hear_usage(self, provider: ProviderSocket) -> None:
        """Wait a little for the end of a response whose caller has left: it has what the response used.

        Its sound is there long before it has been heard, so some callers leave then.
        """
        await self._stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_USAGE_S):
                while self._used.is_answering:
                    message = await provider.receive()
                    if isinstance(message, Closed):
                        return
                    if isinstance(message, str):
                        self._used.see(message)

    async def _finish(self, ending: _Ending) -> None:
        """Close both sides as *ending* says."""
        if ending.of_caller:
            if not self._provider.done():
                raise ClientDisconnected
            await self._provider.result().close(close_codes.code_for_provider(ending.code))
            await self._stop()
            # Without a code the caller may also be there and have sent what is no message: that says why.
            await self._socket.close(
                close_codes.TOO_BIG, f"over {MAX_MESSAGE_BYTES} bytes, or no valid WebSocket"
            )
            was_left = ending.code == close_codes.LOST
            if was_left or (ending.code == close_codes.NO_CODE and self._used.is_answering):
                raise ClientDisconnected
        elif ending.error is not None:
            await self._stop()
            await self._fail(ending.error, ending.code)
            return
        else:
            if ending.code not in close_codes.GOOD_ENDS:
                message = f"The provider closed the session with code {ending.code}."
                self._trace.attempts[-1].failed(str(ending.code), message)
                self._trace.cut(str(ending.code), message)
            await self._stop()
            await self._socket.close(close_codes.code_for_caller(ending.code), ending.reason)
        self._trace.ended()

    async def _fail(self, error: GatewayError, code: int = close_codes.NORMAL) -> None:
        """Tell the caller of an error of ours, and close: with *code*, or with what says the same."""
        attempt = self._trace.answer
        if attempt is not None and not attempt.end_ns:
            if error.source == "gateway" or error.status in _REFUSED:
                # A limit has ended it, or the loss of a right: the provider has done nothing wrong.
                attempt.ended()
            else:
                note_failure(attempt, error)
        self._trace.cut(error.code, error.for_operator)
        words = WORDING.event(
            error, request_id=self._responder.request_id, trace_id=self._trace.trace_id.hex()
        )
        with contextlib.suppress(ClientDisconnected):
            await self._socket.send(words.decode())
        if code == close_codes.NORMAL:
            code = close_codes.code_of_status(error.status)
        await self._socket.close(code, error.code)
        self._trace.ended()

    async def _cut(self) -> None:
        """Close both sides because the gateway ends; it has little time for it."""
        await self._stop()
        waits = [self._socket.close(close_codes.GOING_AWAY, "the gateway is shutting down")]
        if self._provider.done():
            waits.append(self._provider.result().close(close_codes.GOING_AWAY))
        closing = {spawn(wait, name="realtime-cut", owner=self._tasks) for wait in waits}
        await asyncio.wait(closing, timeout=_CUT_S)

    async def _stop(self) -> None:
        """End the pumps: a WebSocket cannot be closed while somebody waits on it."""
        await end(self._tasks)

    def _settle(self) -> None:
        """Note what was used so far."""
        total = self._used.total()
        if total is None:
            return
        attempt = self._trace.attempts[-1]
        attempt.used(total)
        if self._used.transcribed is not None and not self._is_transcription:
            # Another model made these, at a price that nobody tells.
            spoken, price = self._used.spoken, attempt.target.price
            attempt.cost_usd = price.cost_usd(spoken) if spoken is not None and price is not None else None


def _refusal_message(answer: Answer) -> str:
    """Of a handshake, for spans, and for whoever sees no events."""
    return f"The provider answered with status {answer.status}."


def _is_too_long(message: str | bytes) -> bool:
    if isinstance(message, str) and len(message) * _MAX_CHARACTER_BYTES > MAX_MESSAGE_BYTES:
        return len(message.encode()) > MAX_MESSAGE_BYTES
    return len(message) > MAX_MESSAGE_BYTES


def _end_of_provider(closed: Closed) -> _Ending:
    if not closed.error:
        return _Ending(closed.code, closed.reason)
    if closed.code == close_codes.LOST:
        message = "The provider's connection ended before the session did."
        return _Ending(error=UpstreamUnreachable(message, detail=closed.error))
    if closed.code == close_codes.TOO_BIG:
        message = f"The provider sent a message of over {MAX_MESSAGE_BYTES} bytes."
        return _Ending(closed.code, error=UpstreamBadReply(message, detail=closed.error))
    return _Ending(
        error=UpstreamBadReply("The provider sent what is no valid WebSocket.", detail=closed.error)
    )
