"""One attempt at one target: address it, exchange, classify, hold; and then stream.

An attempt is *opened* until it is known to be good: a whole reply that is an answer, a stream that has its
first content. Until then nothing of it has gone to the caller, so another may be made in its place. What is
opened is *delivered*; from then on the caller has this answer, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable
from functools import partial
from typing import Final, Protocol

import msgspec

from gateway.deadline import Deadline
from gateway.endpoints.anthropic_error import meant_status
from gateway.endpoints.call_limits import (
    FIRST_TOKEN_HEADER,
    NO_LIMITS,
    WHOLE_HEADER,
    CallLimits,
    read_limits,
)
from gateway.endpoints.catalogue import CHAT, RESPONSE
from gateway.endpoints.converse_error import plain_status
from gateway.endpoints.long_json import MAYBE_MANY_BYTES, has_many_objects
from gateway.endpoints.openai_call import STRICT_HEADER, with_strictness
from gateway.endpoints.openai_reply import excerpt
from gateway.endpoints.provider_path import read_query, with_query, without_parameters
from gateway.endpoints.retry_wish import RETRY_HEADER, RetryWish, read_retry_wish
from gateway.endpoints.stored_state import state_made, state_made_by
from gateway.endpoints.told_status import LONGEST_ERROR_BYTES, is_error, may_be_error, too_long
from gateway.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientDisconnected,
    FirstTokenTimeout,
    GatewayError,
    InvalidBody,
    InvalidFraming,
    UpstreamBadReply,
    UpstreamTimeout,
)
from gateway.long_work import LONG_BYTES, LongWork
from gateway.model import (
    Call,
    Dialect,
    Headers,
    Outcome,
    Passage,
    Target,
    UpstreamReply,
    UpstreamRequest,
    Usage,
)
from gateway.providers.headers import api_version, forwarded_headers, names_an_account, response_headers
from gateway.relay import (
    MAX_ERROR_BYTES,
    hear_usage,
    no_error,
    note_failure,
    note_flagged,
    note_told,
    relay_reply,
    take_error,
    without_credentials,
    without_keys,
)
from gateway.responder import SUCCESS, Answer, Responder
from gateway.telemetry.call_trace import AttemptTrace
from gateway.translate.counts_beside import with_counts_beside
from gateway.translate.pair import Pair, ReplyStream
from gateway.translate.parameters import with_parameters
from gateway.wire.retry_after import wait_in_headers

MAX_REPLY_BYTES: Final = 256 * 1024 * 1024
"""Longest whole reply that is taken from a provider; big batches of embeddings stay well below."""

MAX_HELD_BYTES: Final = 1024 * 1024
"""Most of a stream that is held back while it has no content yet."""

_EVENT_STREAM: Final = b"text/event-stream"
_STREAMS_ELSEWHERE: Final[dict[Dialect, bytes]] = {"converse": b"application/vnd.amazon.eventstream"}
"""What a stream is called by the dialects that do not send server-sent events."""

_FIRST_ERROR: Final = 400
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_FORBIDDEN: Final = 403
_OUR_CREDENTIALS: Final = frozenset({401, _FORBIDDEN})
_NAMED_FILE: Final = re.compile(rb'"(?:fileUri|file_uri|cachedContent|cached_content|s3Location)"')
"""What Google and Bedrock refuse with 403 where the account may not read it."""

_TRUE: Final = b"true"
_FALSE: Final = b"false"
_OF_A_BODY: Final = frozenset(
    {each.code for each in (BodyTimeout, BodyTooLarge, InvalidBody, InvalidFraming)}
)
"""What breaks off an answer that came while the caller's body was still being sent on."""

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_EARLY_S: Final = 0.002
"""By so much a timer may ring too early by another clock: the loop's counts whole milliseconds."""

_REST_S: Final = 1.0
"""So long the rest of what begins as an error is waited for."""

_CUT_STREAM: Final = "The provider's stream ended before it was complete."
_NO_CONTENT: Final = "The provider's stream goes on and on without content."


class Upstream(Protocol):
    """One exchange with a provider; see `gateway.upstream`."""

    async def pass_on(self, passage: Passage) -> UpstreamReply:
        """Send a request of any kind and read the head; raises the upstream errors, and the body's."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send and read the head; raises the upstream errors."""


class Wishes(msgspec.Struct, frozen=True):
    """What a caller wishes of every attempt of its call.

    Attributes:
        limits: How long one may take.
        retry: How often each target is tried, None for as often as its policy says.
    """

    limits: CallLimits
    retry: RetryWish | None


WISHES: Final = frozenset({WHOLE_HEADER, FIRST_TOKEN_HEADER, RETRY_HEADER})
"""The headers with wishes; of a call that has none of them the wishes are `NO_WISHES`."""

NO_WISHES: Final = Wishes(NO_LIMITS, None)


def read_wishes(headers: Headers) -> Wishes:
    """The wishes of a call; raises `InvalidBody` as `read_limits` and `read_retry_wish`."""
    return Wishes(read_limits(headers), read_retry_wish(headers))


class Opened(msgspec.Struct):
    """An attempt that is good so far.

    Attributes:
        attempt: Its notes.
        answer: The whole reply as the caller gets it, None for what is still coming.
        reply: What is still coming, None when nothing is.
        reader: What a stream passes through.
        held: What the caller gets first of a stream.
    """

    attempt: AttemptTrace
    answer: Answer | None = None
    reply: UpstreamReply | None = None
    reader: ReplyStream | None = None
    held: bytes = b""

    def __repr__(self) -> str:
        """Without what was said."""
        return f"Opened({self.attempt.target.name!r})"

    def close(self) -> None:
        """Let go of the connection."""
        if self.reply is not None:
            self.reply.close()


def open_attempt(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    limits: CallLimits,
    long_work: LongWork,
) -> Awaitable[Opened | Answer]:
    """Try a target until it is known whether it answers.

    What is awaited is a coroutine of its own kind: each that only awaits another costs every call.

    Args:
        upstream: The provider's side.
        responder: Whose call it is; nothing is sent to it.
        call: What is asked.
        attempt: Takes the notes.
        pair: Puts the call into the target's words, and its reply into the caller's.
        limits: The caller's.
        long_work: Takes the writing of a long body in other words.

    Returns:
        The provider's own refusal, or what is to be delivered, or else closed.

    Raises:
        GatewayError: There is no answer, or the call cannot be put into the target's words.
    """
    target = attempt.target
    if call.endpoint.dialect != target.dialect:
        call = with_strictness(call, responder.client.headers.get(STRICT_HEADER))
    if target.parameters:
        version = api_version(target, responder.client.headers)
        call = attempt.sent = with_parameters(call, target, api_version=version)
    if (
        call.body_bytes >= MAYBE_MANY_BYTES
        and call.endpoint.dialect != target.dialect
        and (call.body_bytes >= LONG_BYTES or has_many_objects(call.fields))
    ):
        return _open_long(upstream, responder, call, attempt, pair, limits, long_work)
    return _open_written(upstream, responder, call, attempt, pair, limits, pair.write(call, target))


async def _open_long(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    limits: CallLimits,
    long_work: LongWork,
) -> Opened | Answer:
    """As `open_attempt`; its body is written aside."""
    written = await long_work.do_aside(partial(pair.write, call, attempt.target))
    return await _open_written(upstream, responder, call, attempt, pair, limits, written)


def _open_written(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    limits: CallLimits,
    written: tuple[bytes, tuple[str, ...]],
) -> Awaitable[Opened | Answer]:
    """As `open_attempt`, once it is *written* what goes out, and which fields are left out."""
    target, endpoint = attempt.target, call.endpoint
    body, attempt.left_out = written
    headers = forwarded_headers(target, responder.client.headers)
    if headers and names_an_account(headers):
        attempt.is_callers_to_refuse = True
    if target.propagate_trace:
        headers += responder.trace.propagation(attempt).items()
    url = url_of(call, target, pair)
    # Google refuses a query that it does not know, such as the `beta=true` of Anthropic's SDKs.
    if endpoint.passes_query and endpoint.dialect == target.dialect and not target.is_predicted:
        query = read_query(responder.client.query).rest
        url = with_query(url, without_parameters(query, endpoint.kept_parameters))
    request = UpstreamRequest(
        url=url,
        headers=headers,
        body=body,
        timeout_s=target.limits.whole_s if limits.whole_s is None else whole_limit_s(limits, target),
        lines=target.lines.stream if call.is_stream else target.lines.whole,
        token=target.token,
        signing=target.signing,
        limits=target.limits,
        tls=target.tls,
    )
    if call.is_stream:
        return _open_stream_in_time(upstream, responder, call, attempt, pair, request, limits)
    return _open_whole(upstream, responder, call, attempt, pair, request)


def deliver(responder: Responder, call: Call, opened: Opened) -> Awaitable[None]:
    """Send what has been opened to the caller.

    Raises:
        UpstreamBadReply: A stream broke off.
        UpstreamUnreachable, UpstreamTimeout: Likewise.
    """
    if opened.answer is None:
        return _deliver_coming(responder, call, opened)
    if responder.trace.content is not None:
        responder.trace.content.keep(opened.answer.body)
    return responder.answer(opened.answer)


async def _deliver_coming(responder: Responder, call: Call, opened: Opened) -> None:
    """Send a reply that is still coming; as `deliver`."""
    attempt = opened.attempt
    reply, reader = opened.reply, opened.reader
    assert reply is not None, "else there is an answer"  # noqa: S101 - says it to the type checker
    try:
        if reader is not None:
            # Whether it is stored may be the route's wish.
            await _deliver_stream(responder, attempt.sent or call, attempt, reply, reader, opened.held)
        else:
            # It gives no error back: a reply that is one is not opened.
            await relay_reply(
                responder, attempt, reply, call.endpoint, dialect="openai", locate=lambda _: None
            )
    finally:
        reply.close()


def outcome_of(attempt: AttemptTrace, failure: GatewayError | Answer | None, limits: CallLimits) -> Outcome:
    """What an attempt that has ended says of its target.

    Args:
        attempt: Its notes.
        failure: What it ended with, None when the caller was answered.
        limits: The caller's: who allows a millisecond learns nothing of the provider.
    """
    took_ms = (attempt.end_ns - attempt.start_ns) / _NS_PER_MS
    if failure is None:
        if attempt.error_type:
            is_callers = attempt.waited_for_caller or attempt.error_type in _OF_A_BODY
            return Outcome("none" if is_callers else "sick", attempt.status_code, took_ms=took_ms)
        return _good(attempt, took_ms)
    # A balancer's page in place of an error says by its status whose fault it is, as an error does, and an
    # error within a 200 by what it tells.
    told = attempt.status_code if attempt.status_code >= _FIRST_ERROR else failure.own_status
    is_refusal = isinstance(failure, UpstreamBadReply) and told >= _FIRST_ERROR
    if is_refusal or isinstance(failure, Answer):
        status = told if is_refusal else failure.status
        # What a caller calls itself there is refused as our key would be, and is none of the target's doing.
        is_ours = status in _OUR_CREDENTIALS and not attempt.is_callers_to_refuse
        is_sick = max(status, failure.own_status) >= _SERVER_ERROR or is_ours
        asks_for_patience = is_sick or status == _TOO_MANY
        wait_s = wait_asked(failure, time.time()) if asks_for_patience else 0.0
        return Outcome("sick" if is_sick else "none", failure.status, wait_s, took_ms)
    is_callers = (
        attempt.waited_for_caller
        or failure.source != "upstream"
        or is_out_of_callers_time(attempt, failure, limits)
    )
    return Outcome("none" if is_callers else "sick", failure.status, took_ms=took_ms)


def wait_asked(failure: GatewayError | Answer, now_s: float) -> float:
    """For how long the provider wants to be left alone after *failure*, 0.0 where it does not say."""
    if isinstance(failure, Answer):
        return wait_in_headers(failure.headers, now_s)
    if not failure.headers:
        return 0.0
    told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in failure.headers]
    return wait_in_headers(told, now_s)


def is_out_of_callers_time(
    attempt: AttemptTrace, failure: GatewayError | Answer | None, limits: CallLimits
) -> bool:
    """Whether *attempt*, which has ended, was broken off since its caller would wait no longer."""
    if isinstance(failure, UpstreamTimeout) and limits.whole_s is not None:
        return (attempt.end_ns - attempt.start_ns) / _NS_PER_S >= limits.whole_s - _EARLY_S
    return isinstance(failure, FirstTokenTimeout)


def _good(attempt: AttemptTrace, took_ms: float) -> Outcome:
    tokens = attempt.usage.output_tokens if attempt.usage is not None else None
    first_ms: float | None = None
    each_ms: float | None = None
    if attempt.first_content_ns:
        first_ms = (attempt.first_content_ns - attempt.start_ns) / _NS_PER_MS
        if tokens is not None and tokens > 1:
            each_ms = (attempt.end_ns - attempt.first_content_ns) / _NS_PER_MS / (tokens - 1)
    elif tokens:
        # Of a whole reply nobody knows when it began.
        each_ms = took_ms / tokens
    return Outcome("good", attempt.status_code, 0.0, took_ms, first_ms, each_ms)


def _first_token_deadline(limits: CallLimits, target: Target) -> Deadline:
    """The limit on a stream's first content: the target's, or a shorter one of the caller."""
    own_s, callers_s = target.limits.first_token_s, limits.first_token_s
    if callers_s is None or callers_s > own_s:
        return Deadline(own_s, lambda: _no_token(own_s))
    return Deadline(callers_s, lambda: _no_token_in_callers_time(callers_s))


def _no_token(limit_s: float) -> UpstreamTimeout:
    message = f"The provider's stream had no content within {limit_s:g} s."
    return UpstreamTimeout(message, detail="first token")


def _no_token_in_callers_time(limit_s: float) -> FirstTokenTimeout:
    message = f"The provider's stream had no content within the {limit_s:g} s of x-tfy-ttft-timeout-ms."
    # SDKs send a 408 again by themselves, and every target has been tried for it.
    return FirstTokenTimeout(message, headers=(("x-should-retry", "false"),))


def url_of(call: Call, target: Target, pair: Pair) -> str:
    """Where *call* goes, without what its caller has in the query."""
    path = target.one_path
    if path is None:
        return target.base_url + pair.path(call, target) + target.query
    return target.base_url + (path.stream if call.is_stream else path.whole)


def whole_limit_s(limits: CallLimits, target: Target) -> float | None:
    """How long one attempt at *target* may take as a whole, None for no limit."""
    own_s = target.limits.whole_s
    if limits.whole_s is None or own_s is None:
        return limits.whole_s if own_s is None else own_s
    return min(limits.whole_s, own_s)


async def _open_whole(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    request: UpstreamRequest,
) -> Opened | Answer:
    """Read a whole reply; of one that is passed on as bytes its head, if it is no error."""
    reply = await upstream.exchange(request)
    is_read = True
    try:
        attempt.status_code = reply.status
        attempt.token = reply.token
        if call.endpoint.reply != "bytes":
            body = await reply.read(MAX_REPLY_BYTES if reply.status in SUCCESS else MAX_ERROR_BYTES)
            _note_what_was_named(attempt, reply, request)
            return _take_whole(responder, call, attempt, pair, reply, body)
        if reply.status < _FIRST_ERROR:
            is_read = False
            return Opened(attempt, reply=reply)
        return await take_error(attempt, reply)
    finally:
        if is_read:
            reply.close()


def _take_whole(
    responder: Responder, call: Call, attempt: AttemptTrace, pair: Pair, reply: UpstreamReply, body: bytes
) -> Opened | Answer:
    """Read the *body* of a whole reply: the caller's answer if it is good, else the provider's own error.

    Raises:
        UpstreamBadReply: It is neither an answer nor an error that a caller could read.
    """
    headers = response_headers(reply.headers)
    if reply.status in SUCCESS:
        try:
            body, facts = pair.read(call, body, started_at_ns=responder.trace.started_at_ns)
        except UpstreamBadReply as error:
            note_told(attempt, error, body)
            raise
        if attempt.target.dialect == "converse":
            body, facts = with_counts_beside(call, body, facts, reply.headers)
        attempt.answered(facts)
        if ("store" in call.fields or call.endpoint.name == RESPONSE.name) and _is_kept(call, attempt.target):
            responder.made(attempt.response_id, attempt.target)
        if responder.notes_parts:
            parts = state_made(body, is_kept=_is_kept(call, attempt.target))
            responder.made_parts(parts, attempt.target)
        attempt.ended()
        return Opened(attempt, answer=Answer(reply.status, headers, without_keys(body, attempt)))
    return _refused(attempt, pair, reply, headers, body)


def _note_what_was_named(attempt: AttemptTrace, reply: UpstreamReply, request: UpstreamRequest) -> None:
    """Note whether a refusal may be of a file that the caller named: of one of others, or of none, too."""
    if reply.status == _FORBIDDEN and _NAMED_FILE.search(request.body):
        attempt.is_callers_to_refuse = True


def _refused(
    attempt: AttemptTrace,
    pair: Pair,
    reply: UpstreamReply,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
) -> Answer:
    """The provider's own error as the caller gets it; raises as `_take_whole`."""
    refusal = pair.read_error(reply.status, body) if reply.status >= _FIRST_ERROR else None
    if refusal is None:
        raise no_error(reply.status, headers, body)
    attempt.failed(str(reply.status), f"The provider answered with status {reply.status}.")
    note_flagged(attempt, reply.status, body)
    if refusal.retry_after_s is not None and not any(name == b"retry-after" for name, _ in headers):
        headers.append((b"retry-after", str(refusal.retry_after_s).encode()))
    meant = meant_status(reply.status, body)
    if meant == refusal.status and attempt.target.dialect == "converse":
        # Bedrock's own callers are told 424 where its model has failed, or 408.
        meant = plain_status(meant)
    own_status = meant if meant != refusal.status else 0
    return Answer(refusal.status, headers, without_credentials(refusal.body, attempt), own_status)


async def _open_stream_in_time(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    request: UpstreamRequest,
    limits: CallLimits,
) -> Opened | Answer:
    """As `_open_stream`, within the limit on its first content."""
    with _first_token_deadline(limits, attempt.target) as deadline:
        try:
            return await _open_stream(upstream, responder, call, attempt, pair, request)
        finally:
            deadline.disarm()


async def _open_stream(
    upstream: Upstream,
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    pair: Pair,
    request: UpstreamRequest,
) -> Opened | Answer:
    """Hold a stream until it has content.

    Raises:
        UpstreamBadReply: It is no event stream, begins with an error, or ends without content.
    """
    reply = await upstream.exchange(request)
    is_good = False
    try:
        attempt.status_code = reply.status
        attempt.token = reply.token
        if reply.status not in SUCCESS:
            body = await reply.read(MAX_ERROR_BYTES)
            _note_what_was_named(attempt, reply, request)
            return _refused(attempt, pair, reply, response_headers(reply.headers), body)
        content_type = next((value for name, value in reply.headers if name == b"content-type"), b"").lower()
        if not content_type.startswith(_stream_type(call, attempt.target)):
            msg = "The provider was asked for a stream and answered with something else."
            body = await _read_instead(reply)
            beginning = f"{content_type.decode('latin-1')}: {excerpt(body)}"
            raise _failed_at_once(attempt, pair, UpstreamBadReply(msg, excerpt=beginning), body)
        reader = pair.open_stream(call, started_at_ns=responder.trace.started_at_ns)
        held = await _hold(attempt, pair, reply, reader)
        is_good = True
        return Opened(attempt, reply=reply, reader=reader, held=held)
    finally:
        if not is_good:
            reply.close()


def _stream_type(call: Call, target: Target) -> bytes:
    """The media type of what *target* streams: where it is relayed, that of its callers."""
    if call.endpoint.dialect == target.dialect:
        return call.endpoint.stream_type
    return _STREAMS_ELSEWHERE.get(target.dialect, _EVENT_STREAM)


async def _hold(attempt: AttemptTrace, pair: Pair, reply: UpstreamReply, reader: ReplyStream) -> bytes:
    """What comes until there is content; raises as `_open_stream`."""
    held: list[bytes] = []
    held_bytes = 0
    came = b""
    is_open = True
    while is_open and not reader.has_ended:
        data = await reply.read_chunk()
        is_open = bool(data)
        if len(came) < LONGEST_ERROR_BYTES:
            came += data
        events = reader.feed(data) if is_open else reader.finish()
        if reader.has_data:
            attempt.first_chunk()
        held.append(events)
        held_bytes += len(events)
        if reader.has_content and not reader.failure:
            attempt.first_content_ns = time.perf_counter_ns()
            return held[0] if len(held) == 1 else b"".join(held)
        # Only what has none: a picture is one event of megabytes.
        if held_bytes > MAX_HELD_BYTES:
            raise UpstreamBadReply(_NO_CONTENT)
    # Some send an error as it is, and call it a stream of events.
    failure = reader.failure or (came if is_error(came) else b"")
    msg = "The provider's stream began with an error." if failure else _CUT_STREAM
    raise _failed_at_once(attempt, pair, UpstreamBadReply(msg, excerpt=excerpt(failure)), failure)


async def _read_instead(reply: UpstreamReply) -> bytes:
    """What has come in place of a stream: its first piece, and of what begins as an error the rest.

    Of an answer the rest may take as long as a model does, and nobody would read it.
    """
    body = data = await reply.read_chunk()
    with contextlib.suppress(GatewayError, TimeoutError):
        async with asyncio.timeout(_REST_S):
            while data and len(body) < LONGEST_ERROR_BYTES and may_be_error(body):
                data = await reply.read_chunk()
                body += data
    return body


def _failed_at_once(
    attempt: AttemptTrace, pair: Pair, error: UpstreamBadReply, body: bytes
) -> UpstreamBadReply:
    """*error*, of a stream that has begun with what *body* tells, as its caller is to hear of it."""
    note_told(attempt, error, body)
    refusal = pair.read_error(error.own_status, told) if (told := too_long(body)) else None
    if refusal is not None:
        error.answer = Answer(refusal.status, [], without_credentials(refusal.body, attempt))
    return error


async def _deliver_stream(
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    reader: ReplyStream,
    held: bytes,
) -> None:
    """Send a stream that has content, as it comes; raises as `deliver`."""
    if _is_kept(call, attempt.target):
        responder.made(reader.facts().response_id, attempt.target)
    try:
        await responder.start_stream(reply, call.endpoint.stream_type)
        await _pump(responder, call, attempt, reply, reader, held)
    except (asyncio.CancelledError, ClientDisconnected):
        if reader.is_said and _is_guessed(reader.facts().usage):
            # Most tell it after their last word, where some callers leave; only it tells what was thought.
            await hear_usage(reply, reader)
        raise
    finally:
        if not responder.trace.is_settled:
            attempt.answered(reader.facts())
    if reader.failure:
        # The provider's own error event has gone out already, in the caller's dialect.
        error = UpstreamBadReply("The provider's stream carried an error.", excerpt=excerpt(reader.failure))
        note_failure(attempt, error)
        await responder.end_after_error(error)
    elif not reader.is_complete:
        raise UpstreamBadReply(_CUT_STREAM)
    else:
        attempt.ended()
        await responder.end_stream()
        await reply.finish()


def _is_guessed(usage: Usage | None) -> bool:
    return usage is not None and usage.source != "provider"


async def _pump(
    responder: Responder,
    call: Call,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    reader: ReplyStream,
    held: bytes,
) -> None:
    """Move events from provider to caller, first those that are *held*."""
    content = responder.trace.content
    events, is_open = held, True
    while True:
        is_last = not is_open or reader.has_ended
        if is_last and reader.is_complete:
            # Whoever reads that this is the end waits for no other.
            attempt.answered(reader.facts())
            responder.settle()
        if reader.failure:
            events = without_credentials(events, attempt)
        if events:
            if content is not None:
                content.keep(events)
            if responder.notes_parts:
                parts = state_made_by(events, is_kept=_is_kept(call, attempt.target))
                responder.made_parts(parts, attempt.target)
            await responder.write(events)
        if is_last:
            return
        data = await reply.read_chunk()
        is_open = bool(data)
        events = reader.feed(data) if is_open else reader.finish()
        if reader.has_data:
            attempt.first_chunk()


def _is_kept(call: Call, target: Target) -> bool:
    """Whether the provider keeps its reply, so that it can be asked for by its id."""
    if call.endpoint.name == RESPONSE.name:
        return target.has_responses and bytes(call.fields.get("store", _TRUE)) != _FALSE
    # Whether a chat is kept is said in it.
    if "store" not in call.fields or call.endpoint is not CHAT:
        return False
    return target.dialect == "openai" and bytes(call.fields["store"]) == _TRUE
