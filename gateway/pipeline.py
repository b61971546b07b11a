"""The life of one request, top to bottom.

    receive the head   edge                      404, 405
    identify           identity                  401, before a byte of the body is read
    read               edge, endpoints           413, 400
    plan               routing                   404, 403, 503
    attempt            for each target in turn:  502, 503, 504
      address          translate, providers      the upstream request, in the target's dialect
      exchange         upstream                  one, cancellable
      classify         translate                 good, or an error that may be tried again
    stream             translate                 upstream bytes > client bytes, usage on the way
    settle             leaving `_Settlement`     once, on every way out

What is between the caller's dialect and the target's is a `Pair` (`gateway.translate`), found once per
attempt; where both are the same it is a relay. Limits and guardrails take their places between these when
their issues build them. Each stage is an explicit call; there is no other middleware. What is written here
runs for every request: configuration work belongs in the `Snapshot`.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Protocol

from gateway.endpoints.catalogue import CHAT, RESPONSE
from gateway.endpoints.openai_call import STRICT_HEADER, parse_call, with_strictness
from gateway.endpoints.openai_models import find_model
from gateway.endpoints.openai_reply import excerpt
from gateway.endpoints.provider_path import read_query, with_query, without_parameters
from gateway.endpoints.stored_state import state_made, state_made_by, wants_sealed
from gateway.endpoints.wording import WORDINGS, Wording, dialect_of, wording_for
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    GatewayShutdown,
    InternalError,
    InvalidBody,
    ModelNotFound,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gateway.model import (
    Call,
    CallFacts,
    Client,
    Dialect,
    Endpoint,
    Passage,
    Plan,
    Target,
    UpstreamReply,
    UpstreamRequest,
)
from gateway.providers.headers import forwarded_headers, response_headers
from gateway.relay import MAX_ERROR_BYTES, mask, relay_reply, without_credentials, without_keys
from gateway.responder import SUCCESS, Answer, Responder
from gateway.routing.sticking import Sticking
from gateway.routing.stored import StoredObjects
from gateway.snapshot import Snapshot
from gateway.telemetry.call_notes import read_notes
from gateway.telemetry.call_trace import AttemptTrace, CallTrace, begin_trace
from gateway.translate.counts_beside import with_counts_beside
from gateway.translate.pair import Pair, ReplyStream
from gateway.translate.registry import pair_of

MAX_REPLY_BYTES: Final = 256 * 1024 * 1024
"""Longest whole reply that is taken from a provider; big batches of embeddings stay well below."""

MAX_HELD_BYTES: Final = 1024 * 1024
"""Most of a stream that is held back while it has no content yet."""

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TIMEOUT_MS: Final = re.compile(r"0{0,9}[1-9][0-9]{0,8}")
_EVENT_STREAM: Final = b"text/event-stream"
_STREAMS_ELSEWHERE: Final[dict[Dialect, bytes]] = {"converse": b"application/vnd.amazon.eventstream"}
"""What a stream is called by the dialects that do not send server-sent events."""

_FIRST_ERROR: Final = 400
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_DETAIL_CHARACTERS: Final = 200
_CUT_S: Final = 1.0
_CUT_STREAM: Final = "The provider's stream ended before it was complete."

_log: Final = logging.getLogger(__name__)


class Upstream(Protocol):
    """One exchange with a provider; see `gateway.upstream`."""

    async def pass_on(self, passage: Passage) -> UpstreamReply:
        """Send a request of any kind and read the head; raises the upstream errors, and the body's."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send and read the head; raises the upstream errors."""


@dataclass(slots=True)
class CurrentSnapshot:
    """The configuration in force; replaced whole, and read once per request."""

    snapshot: Snapshot


Stages = Callable[[Responder, Snapshot], Awaitable[None]]
"""What one kind of request does between the entry and the exit that all share."""


class Pipeline:
    """Takes each request through its stages."""

    def __init__(
        self,
        current: CurrentSnapshot,
        upstream: Upstream,
        record: Callable[[CallTrace], None],
        *,
        max_body_bytes: int,
        random: Random,
        stored: StoredObjects | None = None,
    ) -> None:
        """Wire the stages.

        Args:
            current: Where the configuration in force is found.
            upstream: The provider's side.
            record: Takes the trace of each request when it has ended.
            max_body_bytes: Longest body accepted.
            random: Source of trace ids.
            stored: Remembers which account made which object; None: nothing does.
        """
        self._current = current
        self._upstream = upstream
        self._record = record
        self._max_body_bytes = max_body_bytes
        self._random = random
        self._stored = stored
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[asyncio.Task[Any]] = set()

    async def call_model(self, client: Client, endpoint: Endpoint) -> None:
        """Answer a call of a model that its body names."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            trace = responder.trace
            caller = snapshot.identity.identify(client.headers)
            trace.identified(caller)
            refuse_encoding(client)
            body = await self.read_body(client, trace)
            call = parse_call(
                endpoint,
                body,
                model=client.headers.get("x-tfy-model-name"),
                account=client.headers.get("x-tfy-provider-name"),
            )
            trace.asked(call)
            notes = read_notes(client.headers)
            trace.noted(notes)
            timeout_s = request_timeout_s(client)
            facts = CallFacts(caller, endpoint, client.headers, notes.metadata, call)
            plan = snapshot.routing.plan(call.model, facts)
            if self._stored is not None and (plan.route is not None or endpoint.name == RESPONSE.name):
                plan = Sticking(self._stored, snapshot.accounts, snapshot.routing).stick(plan, facts, call)
                responder.notes_parts = endpoint.name == RESPONSE.name and (
                    plan.route is not None or wants_sealed(call)
                )
            await self.answer_call(responder, call, plan, timeout_s)

        await self.serve(client, endpoint, stages)

    async def list_models(self, client: Client) -> None:
        """Answer with the models the caller may use."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            caller = snapshot.identity.identify(client.headers)
            responder.trace.identified(caller)
            body = snapshot.models_of(caller, dialect_of(client.headers))
            await responder.answer(Answer(200, [], body))

        await self.serve(client, None, stages)

    async def show_model(self, client: Client, name: str) -> None:
        """Answer with one model, if the caller may use it."""

        async def stages(responder: Responder, snapshot: Snapshot) -> None:
            caller = snapshot.identity.identify(client.headers)
            responder.trace.identified(caller)
            body = find_model(snapshot.models_of(caller, dialect_of(client.headers)), name)
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
        self, client: Client, endpoint: Endpoint | None, stages: Stages, wording: Wording | None = None
    ) -> None:
        """Run *stages* between the one entry and the one exit of every request.

        Args:
            client: Who asks.
            endpoint: For what.
            stages: What happens.
            wording: How errors are worded, where the endpoint's dialect does not say it.
        """
        snapshot = self._current.snapshot
        with self._settling(client, endpoint, snapshot, wording) as responder:
            try:
                await stages(responder, snapshot)
            except GatewayError as error:
                await responder.fail(error)
            except ClientDisconnected:
                raise
            except Exception:
                _log.exception("request %s failed by a bug of the gateway", responder.request_id)
                responder.trace.fail_open_attempts(InternalError.code, "the gateway failed")
                await responder.fail(InternalError("The gateway failed; its log has this request's id."))

    @property
    def open_count(self) -> int:
        """Requests now inside."""
        return len(self._open)

    async def cut_open_calls(self) -> None:
        """End every request that is still inside; each is recorded as cut."""
        tasks = set(self._open)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CUT_S)

    def entered(self) -> asyncio.Task[Any] | None:
        """Count the current task as a request inside; give it to `left` at its end."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        # Without the loop it is looked up each time, which asks the system for our process id.
        task = asyncio.current_task(self._loop)
        if task is not None:
            self._open.add(task)
        return task

    def left(self, task: asyncio.Task[Any] | None, trace: CallTrace) -> None:
        """Record a request that has ended."""
        if task is not None:
            self._open.discard(task)
        self._record(trace)

    def _settling(
        self, client: Client, endpoint: Endpoint | None, snapshot: Snapshot, wording: Wording | None
    ) -> _Settlement:
        given = client.headers.get("x-request-id")
        is_usable = given is not None and _REQUEST_ID.fullmatch(given)
        request_id = given if given is not None and is_usable else f"{self._random.getrandbits(128):032x}"
        trace = begin_trace(
            client,
            endpoint,
            request_id=request_id,
            config_version=snapshot.version,
            random=self._random,
            telemetry=snapshot.telemetry,
        )
        words = wording or wording_for(endpoint, client.headers)
        return _Settlement(self, Responder(client, trace, request_id, words, self._stored))

    async def read_body(self, client: Client, trace: CallTrace) -> bytes:
        """The body of a call, whole; raises as `Client.read_body`."""
        began_ns = time.perf_counter_ns()
        try:
            return await client.read_body(self._max_body_bytes)
        finally:
            trace.body_ns += time.perf_counter_ns() - began_ns

    async def answer_call(
        self, responder: Responder, call: Call, plan: Plan, timeout_s: float | None
    ) -> None:
        """Answer a call that has been read and planned."""
        responder.trace.planned(plan)
        with responder.client.watch():
            await self._attempt_targets(responder, call, plan, timeout_s)

    async def _attempt_targets(
        self, responder: Responder, call: Call, plan: Plan, timeout_s: float | None
    ) -> None:
        """Try each target, each as often as its policy says, until one has answered."""
        last: GatewayError | Answer | None = None
        for target in plan.targets:
            for retry in range(1 + target.retry.retries):
                if retry:
                    await pause(responder.trace, target.retry.delay_ms)
                last = await self._attempt(responder, call, target, timeout_s)
                if last is None:
                    return
                if last.status not in target.retry.on_status:
                    break
        if isinstance(last, GatewayError):
            raise last
        if last is not None:
            await responder.answer(last)

    async def _attempt(
        self, responder: Responder, call: Call, target: Target, timeout_s: float | None
    ) -> GatewayError | Answer | None:
        """Try *target* once.

        Returns:
            None when the caller has been answered; else a failure or the provider's refusal, nothing sent
            yet.
        """
        try:
            pair = pair_of(call.endpoint, target)
        except UnsupportedParameter as error:
            # Nothing was tried, so there is no attempt to tell of.
            return error
        attempt = responder.trace.attempt(target)
        try:
            if call.endpoint.dialect != target.dialect:
                call = with_strictness(call, responder.client.headers.get(STRICT_HEADER))
            request = self._address(responder, call, attempt, pair, timeout_s)
            reply = await self._upstream.exchange(request)
            try:
                attempt.status_code = reply.status
                attempt.token = reply.token
                if call.is_stream and reply.status in SUCCESS:
                    refusal = await _relay_stream(responder, call, attempt, pair, reply)
                elif call.endpoint.reply == "bytes":
                    refusal = await relay_reply(
                        responder, attempt, reply, call.endpoint, dialect="openai", locate=lambda _: None
                    )
                else:
                    refusal = await _take_whole(responder, call, attempt, pair, reply)
            finally:
                reply.close()
        except GatewayError as error:
            mask(error, attempt)
            attempt.failed(error.code, error.for_operator, error.excerpt)
            attempt.ended()
            if responder.client.has_started:
                await responder.fail(error)
                return None
            return error
        # One that is broken off from outside stays open: the settlement knows by whom, and ends it.
        attempt.ended()
        return refusal

    def _address(
        self, responder: Responder, call: Call, attempt: AttemptTrace, pair: Pair, timeout_s: float | None
    ) -> UpstreamRequest:
        target = attempt.target
        body, responder.left_out = pair.write(call, target)
        headers = forwarded_headers(target, responder.client.headers)
        if target.propagate_trace:
            headers += responder.trace.propagation(attempt).items()
        path = target.one_path
        if path is None:
            url = target.base_url + pair.path(call, target) + target.query
        else:
            url = target.base_url + (path.stream if call.is_stream else path.whole)
        # Google refuses a query that it does not know, such as the `beta=true` of Anthropic's SDKs.
        if call.endpoint.passes_query and call.endpoint.dialect == target.dialect and not target.is_predicted:
            query = read_query(responder.client.query).rest
            url = with_query(url, without_parameters(query, call.endpoint.kept_parameters))
        return UpstreamRequest(
            url=url,
            headers=headers,
            body=body,
            timeout_s=timeout_s,
            lines=target.lines.stream if call.is_stream else target.lines.whole,
            token=target.token,
            signing=target.signing,
        )


def _is_kept(call: Call, target: Target) -> bool:
    """Whether the provider keeps its reply, so that it can be asked for by its id."""
    if call.endpoint.name == RESPONSE.name:
        return target.has_responses and bytes(call.fields.get("store", _TRUE)) != _FALSE
    # Whether a chat is kept is said in it.
    if "store" not in call.fields or call.endpoint is not CHAT:
        return False
    return target.dialect == "openai" and bytes(call.fields["store"]) == _TRUE


def _note_parts(
    responder: Responder, call: Call, target: Target, reply: bytes, read: Callable[..., list[str]]
) -> None:
    """Note of which account parts of a reply are, where another could be asked to go on from them."""
    if responder.notes_parts:
        responder.made_parts(read(reply, is_kept=_is_kept(call, target)), target)


async def _take_whole(
    responder: Responder, call: Call, attempt: AttemptTrace, pair: Pair, reply: UpstreamReply
) -> Answer | None:
    """Read a whole reply; send it on if it is good, give it back if it is the provider's own error.

    Raises:
        UpstreamBadReply: It is neither an answer nor an error that a caller could read.
    """
    body = await reply.read(MAX_REPLY_BYTES if reply.status in SUCCESS else MAX_ERROR_BYTES)
    headers = response_headers(reply.headers)
    if reply.status in SUCCESS:
        body, facts = pair.read(call, body, started_at_ns=responder.trace.started_at_ns)
        if attempt.target.dialect == "converse":
            body, facts = with_counts_beside(call, body, facts, reply.headers)
        attempt.answered(facts)
        if _is_kept(call, attempt.target):
            responder.made(attempt.response_id, attempt.target)
        _note_parts(responder, call, attempt.target, body, state_made)
        attempt.ended()
        body = without_keys(body, attempt)
        if responder.trace.content is not None:
            responder.trace.content.keep(body)
        await responder.answer(Answer(reply.status, headers, body))
        return None
    refusal = pair.read_error(reply.status, body) if reply.status >= _FIRST_ERROR else None
    if refusal is None:
        msg = f"The provider answered with status {reply.status} and a body that is not a JSON error."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    attempt.failed(str(reply.status), f"The provider answered with status {reply.status}.")
    if refusal.retry_after_s is not None and not any(name == b"retry-after" for name, _ in headers):
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    return Answer(refusal.status, headers, without_credentials(refusal.body, attempt))


async def _relay_stream(
    responder: Responder, call: Call, attempt: AttemptTrace, pair: Pair, reply: UpstreamReply
) -> Answer | None:
    """Relay a stream as it comes, once it has content.

    Raises:
        UpstreamBadReply: It is no event stream, begins with an error, or ends before it is complete.
    """
    content_type = next((value for name, value in reply.headers if name == b"content-type"), b"").lower()
    if not content_type.startswith(_stream_type(call, attempt.target)):
        msg = "The provider was asked for a stream and answered with something else."
        beginning = f"{content_type.decode('latin-1')}: {excerpt(await reply.read_chunk())}"
        raise UpstreamBadReply(msg, excerpt=beginning)
    reader = pair.open_stream(call, started_at_ns=responder.trace.started_at_ns)
    try:
        await _pump(responder, call, attempt, reply, reader)
    finally:
        if responder.client.has_started:
            attempt.answered(reader.facts())
    if not responder.client.has_started or not (reader.failure or reader.is_complete):
        msg = "The provider's stream began with an error." if reader.failure else _CUT_STREAM
        raise UpstreamBadReply(msg, excerpt=excerpt(reader.failure))
    if reader.failure:
        # The provider's own error event has gone out already, in the caller's dialect.
        error = UpstreamBadReply("The provider's stream carried an error.", excerpt=excerpt(reader.failure))
        mask(error, attempt)
        attempt.failed(error.code, error.for_operator, error.excerpt)
        await responder.end_after_error(error)
    else:
        attempt.ended()
        await responder.end_stream()
        await reply.finish()
    return None


def _stream_type(call: Call, target: Target) -> bytes:
    """The media type of what *target* streams: where it is relayed, that of its callers."""
    if call.endpoint.dialect == target.dialect:
        return call.endpoint.stream_type
    return _STREAMS_ELSEWHERE.get(target.dialect, _EVENT_STREAM)


async def _pump(
    responder: Responder, call: Call, attempt: AttemptTrace, reply: UpstreamReply, reader: ReplyStream
) -> None:
    """Move events from provider to caller; nothing goes out before there is content."""
    client = responder.client
    content = responder.trace.content
    held: list[bytes] = []
    held_bytes = 0
    is_open = True
    while is_open and not reader.has_ended:
        data = await reply.read_chunk()
        is_open = bool(data)
        events = reader.feed(data) if is_open else reader.finish()
        if reader.has_data:
            attempt.first_chunk()
        if reader.failure:
            events = without_credentials(events, attempt)
        if content is not None and events:
            content.keep(events)
        if not client.has_started:
            held.append(events)
            held_bytes += len(events)
            if held_bytes > MAX_HELD_BYTES:
                raise UpstreamBadReply("The provider's stream goes on and on without content.")
            if reader.failure or not reader.has_content:
                continue
            if _is_kept(call, attempt.target):
                responder.made(reader.facts().response_id, attempt.target)
            await responder.start_stream(reply, call.endpoint.stream_type)
            events = b"".join(held)
        if events:
            _note_parts(responder, call, attempt.target, events, state_made_by)
            await client.write(events)


async def pause(trace: CallTrace, delay_ms: int) -> None:
    """Wait before another try; the wait is no overhead of ours."""
    began_ns = time.perf_counter_ns()
    await asyncio.sleep(delay_ms / 1000)
    trace.paused_ns += time.perf_counter_ns() - began_ns


def refuse_encoding(client: Client) -> None:
    """Say why a compressed body cannot be read, before it is.

    Raises:
        InvalidBody: The body is compressed.
    """
    encoding = client.headers.get("content-encoding") or "identity"
    if encoding.lower() != "identity":
        msg = f"content-encoding {encoding[:40]} is not taken. Send the body uncompressed."
        raise InvalidBody(msg, param="content-encoding")


def request_timeout_s(client: Client) -> float | None:
    """`x-tfy-request-timeout` in seconds, None when not given.

    Raises:
        InvalidBody: It is not a positive whole number of milliseconds.
    """
    text = client.headers.get("x-tfy-request-timeout")
    if text is None:
        return None
    if not _TIMEOUT_MS.fullmatch(text):
        msg = "x-tfy-request-timeout must be a positive whole number of milliseconds."
        raise InvalidBody(msg, param="x-tfy-request-timeout")
    return int(text) / 1000


class _Settlement:
    """The one exit of every request: whatever ended it, its trace is closed and recorded once."""

    __slots__ = ("_pipeline", "_responder", "_task")

    def __init__(self, pipeline: Pipeline, responder: Responder) -> None:
        self._pipeline = pipeline
        self._responder = responder
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Responder:
        self._task = self._pipeline.entered()
        return self._responder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        trace = self._responder.trace
        has_left = isinstance(error, ClientDisconnected)
        if has_left:
            trace.disconnected()
        elif isinstance(error, asyncio.CancelledError):
            trace.cut(GatewayShutdown.code, "the gateway ended before the reply did")
            trace.responded(trace.status_code or GatewayShutdown.status)
        elif error is not None:
            trace.cut(
                InternalError.code, f"{type(error).__name__}: the request was ended before its reply was"
            )
        trace.ended()
        self._pipeline.left(self._task, trace)
        return has_left
