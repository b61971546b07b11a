"""The life of one request, top to bottom.

    receive the head   edge                      404, 405
    identify           identity                  401, before a byte of the body is read
    read               edge, endpoints           413, 400
    plan               routing                   404, 403, 503
    admit              limits                    429, 402
    judge              classifier                where a model says how hard the call is
    failover           for each target in turn:  408, 502, 503, 504
      attempt          until it is good, or not
        address        translate, providers      the upstream request, in the target's dialect
        exchange       upstream                  one, cancellable
        classify, hold translate                 good, or an error that may be tried again, here or elsewhere
    deliver            translate                 upstream bytes > client bytes, usage on the way
    settle             settlement                once, before the end of the answer, or on any other way out

What is between the caller's dialect and the target's is a `Pair` (`gateway.translate`), found once per
attempt; where both are the same it is a relay. Limits on a target are asked before its first
attempt. Guardrails take their places between these when their issue builds them. Each stage is an explicit
call; there is no other middleware. What is written here runs for every request: configuration work belongs in
the `Snapshot`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final

import msgspec

from gateway.attempt import NO_WISHES, WISHES, Upstream, Wishes, read_wishes
from gateway.classifier import Classifier
from gateway.endpoints.catalogue import COMPLETION, RESPONSE
from gateway.endpoints.further_models import NAMING, further_models, reach
from gateway.endpoints.long_json import OF_CALL, Bounds, LongJson
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_models import find_model
from gateway.endpoints.realtime import REALTIME
from gateway.endpoints.stored_state import may_name_state, state_named, wants_sealed
from gateway.endpoints.wording import WORDINGS, Wording, dialect_of, wording_for
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    GatewayShutdown,
    IdentityUnavailable,
    InternalError,
    InvalidBody,
    ModelNotFound,
    NoTargetAvailable,
    Overloaded,
    forget_frames,
)
from gateway.failover import Failover
from gateway.limits.estimate import Estimate
from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking
from gateway.limits.permit import CallPermit
from gateway.long_work import LONG_BYTES, LongWork
from gateway.model import (
    AttemptObserver,
    Call,
    Caller,
    CallFacts,
    Classification,
    Client,
    Dialect,
    Endpoint,
    Plan,
    Target,
)
from gateway.overload.gate import Gate, gate_without_bounds
from gateway.overload.priorities import USUAL, Priority
from gateway.process import give_way
from gateway.responder import Answer, Responder, refuse_untraced
from gateway.routing.accounts import Accounts
from gateway.routing.sessions import Sessions
from gateway.routing.sticking import Sticking
from gateway.routing.stored import StoredObjects
from gateway.settlement import settle
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import NO_NOTES, read_notes
from gateway.telemetry.call_trace import CallTrace, begin_trace

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_MODEL: Final = "x-tfy-model-name"
_ACCOUNT: Final = "x-tfy-provider-name"
_DETAIL_CHARACTERS: Final = 200
_CUT_S: Final = 1.0
_LOOKS_AT_ONCE: Final = 100
_MOST_DROPPING: Final = 512
"""Refused calls whose bodies are taken in at once; beyond that their connections end with the answer."""

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class CurrentSnapshot:
    """The configuration in force; replaced whole, and read once per request."""

    snapshot: Snapshot


Stages = Callable[[Responder, Snapshot], Awaitable[None]]
"""What one kind of request does between the entry and the exit that all share."""

Identify = Callable[[Snapshot], Caller]
"""How a caller is found who does not say so in the usual headers."""


class Pipeline:
    """Takes each request through its stages.

    Attributes:
        failover: Tries targets in turn, for what is passed on too.
    """

    def __init__(
        self,
        current: CurrentSnapshot,
        upstream: Upstream,
        record: Callable[[CallTrace], None],
        *,
        max_body_bytes: int,
        random: Random,
        stored: StoredObjects | None = None,
        health: AttemptObserver | None = None,
        sessions: Sessions | None = None,
        limiter: Limiter | None = None,
        gate: Gate | None = None,
        long_work: LongWork | None = None,
    ) -> None:
        """Wire the stages.

        Args:
            current: Where the configuration in force is found.
            upstream: The provider's side.
            record: Takes the trace of each request when it has ended.
            max_body_bytes: Longest body accepted.
            random: Source of trace ids, and of jitter.
            stored: Remembers which account made which object; None: nothing does.
            health: Learns of attempts, and may hold them back; None: nobody.
            sessions: Remembers which target a session stays with; None: nothing does.
            limiter: Admits calls where limits are configured; None: none are.
            gate: Turns calls away when there are too many; None: there are never too many.
            long_work: Of the worker; None: it has none but this.
        """
        self._current = current
        self._limiter = limiter
        self._long_work = long_work or LongWork()
        self.failover = Failover(
            upstream, random, health=health, sessions=sessions, long_work=self._long_work
        )
        self._classifier = Classifier(upstream, health=health)
        self._sessions = sessions
        self._record = record
        self._max_body_bytes = max_body_bytes
        self._random = random
        self._stored = stored
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dropping = 0
        self._gate = gate_without_bounds() if gate is None else gate
        self._open = self._gate.open

    def call_model(self, client: Client, endpoint: Endpoint) -> Coroutine[Any, Any, None]:
        """Answer a call of a model that its body names."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            trace = responder.trace
            caller = snapshot.identity.identify(client.headers)
            trace.identified(caller)
            refuse_encoding(client)
            body = await self.read_body(client, trace)
            # Most callers send few of ours, or none; only what is there is read.
            own = responder.own_headers
            model = client.headers.get(_MODEL) if _MODEL in own else None
            account = client.headers.get(_ACCOUNT) if _ACCOUNT in own else None
            reading = partial(parse_call, endpoint, body, model=model, account=account)
            call = reading() if len(body) < LONG_BYTES else await self._read_long(endpoint, body, reading)
            trace.asked(call)
            notes = read_notes(client.headers, caller.tags) if own or caller.tags else NO_NOTES
            trace.noted(notes)
            wishes = NO_WISHES if WISHES.isdisjoint(own) else read_wishes(client.headers)
            facts = CallFacts(caller, endpoint, client.headers, notes.metadata, call)
            if call.body_bytes >= LONG_BYTES:
                await self._long_work.take_turn()
            refusal: GatewayError | None = None
            try:
                plan = snapshot.routing.plan(call.model, facts)
            except NoTargetAvailable as error:
                if not isinstance(error.plan, Plan):
                    raise
                # Who goes on from something may be answered where that is, whatever tier the call is of.
                forget_frames(error)
                refusal, plan = error, error.plan
            if plan.session is not None:
                plan = await self.at_home(plan, snapshot, call.model, facts)
            is_response = endpoint.name == RESPONSE.name
            if self._stored is not None and (
                is_response or (plan.route is not None and may_name_state(call, body))
            ):
                plan = await self._stick(self._stored, snapshot, plan, facts, call)
                responder.notes_parts = is_response and (plan.route is not None or wants_sealed(call))
            if refusal is not None and not plan.targets:
                raise refusal
            check_further(call.fields, endpoint.dialect, plan, caller, snapshot.accounts)
            if snapshot.has_rules:
                await self.admit(responder.trace, snapshot, facts, plan)
            await self.answer_call(responder, call, plan, wishes)

        return self.serve(client, endpoint, stages)

    async def _stick(
        self, stored: StoredObjects, snapshot: Snapshot, plan: Plan, facts: CallFacts, call: Call
    ) -> Plan:
        """*plan*, or another for the account that has what the call goes on from; raises as `Sticking`."""
        if stored.is_shared:
            await stored.hear([state.name for state in state_named(call)])
        return Sticking(stored, snapshot.accounts, snapshot.routing).stick(plan, facts, call)

    async def at_home(self, plan: Plan, snapshot: Snapshot, model: str, facts: CallFacts) -> Plan:
        """*plan*, or another where a session that is new here stays with a target by what replicas know."""
        place = plan.session
        if place is None or self._sessions is None or not await self._sessions.hear(place):
            return plan
        return snapshot.routing.plan(model, facts)

    async def admit(self, trace: CallTrace, snapshot: Snapshot, facts: CallFacts, plan: Plan) -> None:
        """Take what a call needs of the limits on the name that it asked for.

        Raises:
            Overloaded: Its priority, known now, is too low for what is going on.
            RateLimitExceeded, BudgetExceeded: One of them has no room for it.
            LimitsUnavailable: Nobody can say whether one has.
        """
        # Not the one of the facts: what a path of Bedrock's is called for is told by its plan.
        call = trace.call
        priorities, limiter, limits = snapshot.priorities, self._limiter, snapshot.limits
        if priorities is not None and priorities.depend_on_model and self._gate.is_tight:
            model = plan.targets[0].name if call is None else call.model
            self._gate.check_inside(priorities.of(facts.caller, model, facts.metadata))
        if limiter is None or limits is None or call is None:
            return
        aside = self._long_work.do_aside if trace.held_bytes >= LONG_BYTES else None
        targets = plan.targets if plan.classification is None else _may_answer(plan, plan.classification)
        need = Estimate(call, targets, limiter.sizes, aside)
        name = call.model
        if plan.route is None:
            # A plan of one target is that target's, by whatever name it was asked for. An account as a whole
            # looks like all of its models, `main/`.
            name = plan.targets[0].name
            name = name if "/" in name else f"{name}/"
        asking = Asking(facts.caller, name, facts.metadata, need)
        began_ns = time.perf_counter_ns()
        permit = CallPermit(limiter, limits, asking)
        waiting = permit.begin(plan)
        if waiting is not None:
            await waiting
        trace.permit = permit
        trace.limit_ns = time.perf_counter_ns() - began_ns
        if permit.is_refused and permit.refusal is not None:
            permit.refusal.plan = plan
            raise permit.refusal

    async def list_models(self, client: Client) -> None:
        """Answer with the models the caller may use."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            caller = snapshot.identity.identify(client.headers)
            responder.trace.identified(caller)
            # The playground asks whenever somebody opens it, and nobody wants to see that among calls.
            responder.trace.is_recorded = not caller.is_dashboard
            body = snapshot.models_of(caller, dialect_of(client.headers))
            await responder.answer(Answer(200, [], body))

        await self.serve(client, None, stages)

    async def show_model(self, client: Client, name: str) -> None:
        """Answer with one model, if the caller may use it."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            caller = snapshot.identity.identify(client.headers)
            responder.trace.identified(caller)
            route = snapshot.routing.find_route(name)
            listed = name if route is None else route.name
            body = find_model(snapshot.models_of(caller, dialect_of(client.headers)), listed)
            if body is None:
                message = (
                    f"There is no model {name[:_DETAIL_CHARACTERS]} for you. GET /v1/models lists yours."
                )
                raise ModelNotFound(message, param="model")
            await responder.answer(Answer(200, [], body))

        await self.serve(client, None, stages)

    async def refuse(self, client: Client, error: GatewayError, dialect: Dialect | None = None) -> None:
        """Answer a request that has no endpoint; its headers tell the dialect where *dialect* does not."""

        async def stages(_responder: Responder, _snapshot: Snapshot) -> None:
            raise error

        await self.serve(client, None, stages, None if dialect is None else WORDINGS[dialect])

    async def serve(
        self,
        client: Client,
        endpoint: Endpoint | None,
        stages: Stages,
        wording: Wording | None = None,
        identify: Identify | None = None,
    ) -> None:
        """Run *stages* between the one entry and the one exit of every request.

        Where the gateway is overloaded it may not come to that: then a call of an *endpoint* is turned away.

        Args:
            client: Who asks.
            endpoint: For what.
            stages: What happens.
            wording: How errors are worded, where the endpoint's dialect does not say it.
            identify: Finds the caller, where it is not in the headers as usual.
        """
        snapshot = self._current.snapshot
        gate = self._gate
        if not self._open:
            # It looks as long as there are calls.
            gate.lateness.watch()
        if gate.is_tight and endpoint is not None:
            refusal = gate.refusal(_priority_unread(client, snapshot, identify))
            if refusal is not None:
                await self._turn_away(client, endpoint, snapshot, wording, identify, refusal)
                return
        is_refused = False
        # Sessions look after that themselves.
        is_known_again = identify is None and endpoint is not REALTIME
        settling = self._settling(client, endpoint, snapshot, wording, is_known_again=is_known_again)
        with settling as responder:
            try:
                await stages(responder, snapshot)
                if len(self._open) == 1 and not responder.tells_replicas:
                    # What follows may wait: the server's thread sends the answer, and interrupts nobody.
                    give_way()
            except GatewayError as error:
                is_refused = True
                try:
                    await responder.fail(error)
                finally:
                    forget_frames(error)
            except ClientDisconnected:
                raise
            except Exception:
                is_refused = True
                _log.exception("request %s failed by a bug of the gateway", responder.request_id)
                responder.trace.fail_open_attempts(InternalError.code, "the gateway failed")
                await responder.fail(InternalError("The gateway failed; its log has this request's id."))
        if is_refused:
            await self.drop_body(client)

    async def _turn_away(
        self,
        client: Client,
        endpoint: Endpoint,
        snapshot: Snapshot,
        wording: Wording | None,
        identify: Identify | None,
        refusal: Overloaded,
    ) -> None:
        """Refuse a call for as little work as can be, so that there is time for others."""
        if self._gate.may_trace():
            with self._settling(client, endpoint, snapshot, wording) as responder:
                with contextlib.suppress(GatewayError):
                    responder.trace.identified(_caller_of(client, snapshot, identify))
                await responder.fail(refusal)
        else:
            words = wording or wording_for(endpoint, client.headers)
            with contextlib.suppress(ClientDisconnected):
                await refuse_untraced(client, words, refusal, self._request_id(client))
        if refusal.reason != "cpu" or not client.is_short:
            await self.drop_body(client)

    async def drop_body(self, client: Client) -> None:
        """Take in what is left of a body after an answer that did not need it: a refusal, of whomever.

        Unread it would break the connection off, and whoever sends the body may never read the answer: a
        balancer takes it for a crash, and may send the gateway nothing more.
        """
        if self._dropping < _MOST_DROPPING:
            self._dropping += 1
            try:
                await client.drop_body()
            finally:
                self._dropping -= 1

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in force now; a request that has begun holds its own."""
        return self._current.snapshot

    @property
    def open_count(self) -> int:
        """Requests now inside."""
        return len(self._open)

    async def cut_open_calls(self) -> None:
        """End every request that is still inside; each is recorded as cut."""
        tasks = {one.task for one in self._open}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CUT_S)

    async def cut_refused_calls(self, lasting_s: float) -> None:
        """Break off what has been coming for *lasting_s* to a caller whose key is good no more.

        What began before goes on to its end, which of a model's answer comes soon. A subscription has none.
        """
        since_ns = time.perf_counter_ns() - int(lasting_s * 1e9)
        looked_at = 0
        for one in list(self._open):
            if not one.is_lasting(since_ns):
                continue
            one.cut_if_refused(self._current.snapshot)
            looked_at += 1
            if not looked_at % _LOOKS_AT_ONCE:
                await asyncio.sleep(0)

    def entered(self, settlement: _Settlement) -> asyncio.Task[Any] | None:
        """Count the current task as a request inside; *settlement* is given to `left` at its end."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        # Without the loop it is looked up each time, which asks the system for our process id.
        task = asyncio.current_task(self._loop)
        if task is not None:
            self._open.add(settlement)
        return task

    def left(self, settlement: _Settlement, trace: CallTrace) -> None:
        """Record a request that has ended, unless it is the dashboard's own."""
        self._open.discard(settlement)
        if trace.held_bytes:
            self._gate.let_go(trace.held_bytes)
        if trace.is_recorded:
            self._record(trace)

    def _settling(
        self,
        client: Client,
        endpoint: Endpoint | None,
        snapshot: Snapshot,
        wording: Wording | None,
        *,
        is_known_again: bool = False,
    ) -> _Settlement:
        request_id = self._request_id(client)
        trace = begin_trace(
            client,
            endpoint,
            request_id=request_id,
            config_version=snapshot.version,
            random=self._random,
            telemetry=snapshot.telemetry,
        )
        words = wording or wording_for(endpoint, client.headers)
        responder = Responder(client, trace, request_id, words, self._stored, snapshot.keep_alive)
        return _Settlement(self, responder, is_known_again=is_known_again)

    def _request_id(self, client: Client) -> str:
        given = client.headers.get("x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given
        return self._random.getrandbits(128).to_bytes(16, "big").hex()

    async def read_body(self, client: Client, trace: CallTrace, limit_bytes: int | None = None) -> bytes:
        """The body of a call, whole, of *limit_bytes* at most (None: of what every body may have).

        Raises:
            Overloaded: There is no room for it.
            As `Client.read_body`.
        """
        began_ns = time.perf_counter_ns()
        try:
            body = await client.read_body(
                limit_bytes or self._max_body_bytes, partial(self.hold, client, trace)
            )
            if len(body) >= LONG_BYTES:
                await self._long_work.take_turn()
            return body
        finally:
            trace.body_ns += time.perf_counter_ns() - began_ns

    async def read_json(self, client: Client, trace: CallTrace, bounds: Bounds = OF_CALL) -> bytes:
        """The body of a call that is JSON, whole.

        Raises:
            InvalidBody: It is long, and made of more than *bounds* let it.
            As `read_body`.
        """
        body = await self.read_body(client, trace)
        if len(body) >= LONG_BYTES:
            await self._look_through(body, bounds)
        return body

    async def _read_long(self, endpoint: Endpoint, body: bytes, reading: Callable[[], Call]) -> Call:
        """What *reading* finds in a long *body*; raises as it does, and as `_look_through`."""
        await self._look_through(body, OF_CALL)
        # There may be a million prompts, which are counted.
        return await self._long_work.do_aside(reading) if endpoint is COMPLETION else reading()

    async def _look_through(self, body: bytes, bounds: Bounds) -> None:
        """Look what a long body is made of before anything is made of it.

        Raises:
            InvalidBody: Of more than *bounds* let it.
        """
        looking = LongJson(body, bounds=bounds)
        while not looking.is_over and not looking.is_dense:
            looking.look_on()
            await self._long_work.take_turn()
        if not looking.is_over:
            await self._long_work.do_aside(looking.look_to_its_end)

    def hold(self, client: Client, trace: CallTrace, size_bytes: int) -> None:
        """Hold so much of the body of a call, to its end.

        Raises:
            Overloaded: There is no room for it.
        """
        self._gate.hold(size_bytes, lambda: _priority_of(trace.caller, client, self._current.snapshot))
        trace.held_bytes += size_bytes

    async def answer_call(self, responder: Responder, call: Call, plan: Plan, wishes: Wishes) -> None:
        """Answer a call that has been read and planned."""
        if call.body_bytes >= LONG_BYTES:
            await self._long_work.take_turn()
        with responder.client.watch():
            if plan.classification is not None:
                plan = await self._classifier.decide(responder.trace, plan)
            responder.trace.planned(plan)
            await self.failover.answer(responder, call, plan, wishes)


def refuse_encoding(client: Client) -> None:
    """Say why a compressed body cannot be read, before it is.

    Raises:
        InvalidBody: The body is compressed.
    """
    encoding = client.headers.get("content-encoding")
    if encoding and encoding.lower() != "identity":
        msg = f"content-encoding {encoding[:40]} is not taken. Send the body uncompressed."
        raise InvalidBody(msg, param="content-encoding")


def check_further(
    fields: Mapping[str, msgspec.Raw], dialect: Dialect, plan: Plan, caller: Caller, accounts: Accounts
) -> None:
    """Check the right of *caller* to the models that a call names beside its own.

    Args:
        fields: The members of its body.
        dialect: What it speaks.
        plan: Who may be asked.
        caller: Who calls.
        accounts: Every account.

    Raises:
        ModelNotAllowed: There is none to one of them, at a target that would be asked by that name.
    """
    if NAMING.isdisjoint(fields):
        return
    targets = plan.targets if plan.classification is None else _may_answer(plan, plan.classification)
    # The right to an account is that to each of its models: with it nothing has to be read.
    asked = dict.fromkeys(
        one.account for one in targets if one.account not in caller.accounts and reach(one.dialect, dialect)
    )
    if asked:
        for model in further_models(fields):
            for account in asked:
                accounts.check_named(account, model.name, model.field, caller)


def _may_answer(plan: Plan, classification: Classification) -> Sequence[Target]:
    """Who may be asked for an answer, whatever a model that is asked first says of the call."""
    plans = (plan, *classification.plans.values())
    return tuple({target.name: target for one in plans for target in one.targets}.values())


def _caller_of(client: Client, snapshot: Snapshot, identify: Identify | None) -> Caller:
    return snapshot.identity.identify(client.headers) if identify is None else identify(snapshot)


def _priority_unread(client: Client, snapshot: Snapshot, identify: Identify | None) -> Priority:
    """That of a call of which nothing has been looked at yet."""
    if snapshot.priorities is None:
        return USUAL
    try:
        return _priority_of(_caller_of(client, snapshot, identify), client, snapshot)
    except GatewayError:
        # What is wrong with it is said if it gets that far.
        return USUAL


def _priority_of(caller: Caller | None, client: Client, snapshot: Snapshot) -> Priority:
    """The highest priority that a call of *caller* may have, by its head.

    Raises:
        InvalidBody: A header that says it is malformed.
    """
    if snapshot.priorities is None or caller is None:
        return USUAL
    return snapshot.priorities.at_best(caller, read_notes(client.headers, caller.tags).metadata)


class _Settlement:
    """The one exit of every request: whatever ended it, its trace is closed and recorded once."""

    __slots__ = ("_is_known_again", "_pipeline", "_refusal", "_responder", "task")

    def __init__(self, pipeline: Pipeline, responder: Responder, *, is_known_again: bool) -> None:
        """Prepare.

        Args:
            pipeline: Whose.
            responder: Of the request.
            is_known_again: Its headers tell who calls, also later.
        """
        self._pipeline = pipeline
        self._responder = responder
        self._is_known_again = is_known_again
        self._refusal: GatewayError | None = None
        self.task: asyncio.Task[Any] | None = None

    def is_lasting(self, since_ns: int) -> bool:
        """Whether it began before that, its reply is coming, and its caller can be looked at again."""
        responder = self._responder
        caller = responder.trace.caller
        return (
            responder.trace.start_ns <= since_ns
            and not responder.trace.end_ns
            and self._is_known_again
            and responder.client.has_started
            and caller is not None
            and not caller.is_dashboard
        )

    def cut_if_refused(self, snapshot: Snapshot) -> None:
        """End it where its caller's key is good no more, by *snapshot*."""
        try:
            snapshot.identity.identify_again(self._responder.client.headers)
        except IdentityUnavailable:
            # Nobody knows.
            return
        except GatewayError as error:
            forget_frames(error)
            self._refusal = error
            if self.task is not None:
                self.task.cancel()

    def __enter__(self) -> Responder:
        self.task = self._pipeline.entered(self)
        return self._responder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        self._responder.stop_pings()
        trace = self._responder.trace
        has_left = isinstance(error, ClientDisconnected)
        if has_left:
            trace.disconnected()
        elif isinstance(error, asyncio.CancelledError) and self._refusal is not None:
            trace.shut_out(self._refusal.code, self._refusal.for_operator)
        elif isinstance(error, asyncio.CancelledError):
            trace.cut(GatewayShutdown.code, "the gateway ended before the reply did")
            trace.responded(trace.status_code or GatewayShutdown.status)
        elif error is not None:
            trace.cut(
                InternalError.code, f"{type(error).__name__}: the request was ended before its reply was"
            )
        if not trace.end_ns:
            # Else whoever sent the end of the answer has noted that.
            trace.ended()
        settle(trace)
        self._pipeline.left(self, trace)
        return has_left
