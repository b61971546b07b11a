"""Passing a provider's reply on as it is: whole where it is small JSON, else piece by piece.

What is read on the way (usage, ids) is read from what passes; of a reply no more than `MAX_PASSING_BYTES` is
held, of a stream the event that is coming, and a slow caller makes the provider wait. Once the head has gone
out, a reply that breaks off is broken off here too: nothing is written that could be taken for the rest of a
file. Only a stream of a model's own events ends with one that says so, and a subscription that has had none.
What a model answers is looked at before: a success without an answer is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from gateway.endpoints.anthropic_paths import own_links
from gateway.endpoints.catalogue import SPEECH
from gateway.endpoints.invoke_reply import with_header_counts
from gateway.endpoints.object_ids import ids_beside, ids_made
from gateway.endpoints.openai_events import EventReader, ObjectFacts, ToldReader, read_object
from gateway.endpoints.openai_paths import FORM_CALLS, tells_again
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    MEDIA_BYTES_PER_TOKEN,
    ReplyFacts,
    excerpt,
    is_json_object,
)
from gateway.endpoints.passing_object import PassingObject
from gateway.endpoints.passing_stream import PASSING, BeginPassing, PassingStream
from gateway.endpoints.passing_usage import guess_passed, read_passed
from gateway.endpoints.spoken_usage import find_spoken
from gateway.endpoints.told_status import told_status
from gateway.errors import ClientDisconnected, GatewayError, UpstreamBadReply, forget_frames
from gateway.model import Dialect, Endpoint, HeaderPairs, UpstreamReply
from gateway.providers.passage_headers import passage_response_headers
from gateway.redaction import SHORTEST_KEY, without_secrets
from gateway.responder import SUCCESS, Answer, Responder
from gateway.telemetry.call_trace import AttemptTrace
from gateway.wire.key_mask import KeyMask
from gateway.wire.retry_after import wish_in_headers

MAX_PASSING_BYTES: Final = 1024 * 1024
"""JSON up to this long is read whole, so that a cut one is an error with a status."""

_USAGE_S: Final = 0.25
"""How long the end of a reply, which has what that used, is waited for when its caller has left."""

MAX_ERROR_BYTES: Final = 1024 * 1024
"""Longest error of a provider that is passed on."""

_MAX_OBJECT_BYTES: Final = 64 * 1024
"""A longer reply to a GET is a list, not one object."""

_FIRST_ERROR: Final = 400
_FORBIDDEN: Final = 403
_FLAGGED: Final = re.compile(rb'violates usage guidelines|SAFETY_CHECK_TYPE|"flagged_input"', re.IGNORECASE)
"""What xAI and OpenRouter refuse with 403 for what is asked; the same status says that a key has no right."""

_BODILESS: Final = frozenset({204, 205, 304})
_DETAIL_CHARACTERS: Final = 200
_SESSIONS: Final = "/agents/sessions"
_RESPONSE: Final = "resp_"
_MASK: Final = b"***"
_PAGE: Final = b"text/html"
_TEXT: Final = b"text/"
_EVENTS: Final = b"text/event-stream"
_NO_ANSWER: Final = "The provider answered with success, and without an answer."

Locate = Callable[[str], str | None]
"""Where a redirect of the provider leads on our side, None when it must not be followed."""

Adapt = Callable[[HeaderPairs], HeaderPairs]
"""What a caller gets of a reply's headers, of those that pass."""


async def relay_reply(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    endpoint: Endpoint,
    *,
    dialect: Dialect | None,
    locate: Locate,
    adapt: Adapt | None = None,
) -> Answer | None:
    """Pass *reply* on.

    Args:
        responder: To whom.
        attempt: Whose reply it is; learns what the reply says of itself.
        reply: Its head read.
        endpoint: What was asked.
        dialect: Whose API was asked, where it is known: there an error is a JSON object, or a bad reply.
        locate: For the address of a redirect.
        adapt: For the headers of the reply.

    Returns:
        None when the caller has been answered; the provider's error, nothing sent yet, of a known API.

    Raises:
        UpstreamBadReply: An error of a known API that is no JSON object, or of any that is too long; or
            nothing comes as announced; or of a call of a model, a success that is no answer.
    """
    if dialect is not None and reply.status >= _FIRST_ERROR:
        return await take_error(attempt, reply)
    headers = passage_response_headers(reply.headers)
    if adapt is not None:
        headers = adapt(headers)
    location = _header(reply.headers, b"location").decode("latin-1")
    if location and (own := locate(location)) is not None:
        headers.append((b"location", own.encode("latin-1")))
    headers = [(name, without_keys(value, attempt)) for name, value in headers]
    if reply.status >= _FIRST_ERROR:
        await _relay_error(responder, attempt, reply, headers)
        return None
    if dialect is None and (keys := _keys_of(attempt)):
        reply = _Masked(reply, keys)
    await _relay_good(responder, attempt, reply, headers, endpoint, dialect)
    return None


async def _relay_good(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
    dialect: Dialect | None,
) -> None:
    """Pass on what is no error, by its kind; *dialect* as `relay_reply` has it."""
    kind = _header(reply.headers, b"content-type").partition(b";")[0].strip().lower()
    if kind == _PAGE and _is_answer(reply, endpoint):
        raise UpstreamBadReply(_NO_ANSWER, excerpt=excerpt(await reply.read_chunk()))
    if kind in PASSING and responder.client.method == "POST":
        responder.trace.streamed()
    # Of lines of JSON each goes out when it comes.
    if kind == b"application/json" or (kind.endswith(b"+json") and kind not in PASSING):
        await _relay_json(responder, attempt, reply, headers, endpoint)
    elif kind == _EVENTS and dialect is not None:
        await _relay_known(responder, attempt, reply, headers, endpoint)
    elif kind in PASSING and dialect is None and _spends(responder, endpoint):
        await _relay_unknown(responder, attempt, reply, headers, endpoint, PASSING[kind])
    elif kind == _EVENTS:
        await _relay_subscription(responder, attempt, reply, headers, endpoint)
    else:
        await _relay_pieces(responder, attempt, reply, headers, endpoint)


def without_credentials(body: bytes, attempt: AttemptTrace) -> bytes:
    """An error of the provider as it came, but for our key: some quote it, and no caller may see it."""
    text = body.decode(errors="surrogateescape")
    keys = [value for value in _sent(attempt) if len(value) >= SHORTEST_KEY]
    masked = without_secrets(text, keys)
    return body if masked == text else masked.encode(errors="surrogateescape")


def without_keys(body: bytes, attempt: AttemptTrace) -> bytes:
    """A good whole reply as it came, but for our key: a server that mirrors its requests would give it away.

    The same for a header of what is passed on. A search in C for each key: 0.2 us in a reply of a kilobyte.
    Streams of known paths are not searched: whoever has those does not mirror.
    """
    for key in _keys_of(attempt):
        if key in body:
            body = body.replace(key, _MASK)
    return body


def _keys_of(attempt: AttemptTrace) -> Sequence[bytes]:
    """What it was signed in with."""
    keys = attempt.target.lines.keys
    return (attempt.token.encode(), *keys) if attempt.token else keys


def note_failure(attempt: AttemptTrace, error: GatewayError) -> None:
    """Note that *attempt* ended with *error*, its credentials kept out of what the spans say of that.

    Whoever keeps the error keeps nothing of the attempt with it.
    """
    forget_frames(error)
    masked = without_secrets(error.detail, _sent(attempt))
    if attempt.token:
        # Those that are known before a call are masked by whoever writes the span.
        error.excerpt = without_secrets(error.excerpt, (attempt.token,))
    # Cut last: the end may fall into a key.
    error.detail = masked[:_DETAIL_CHARACTERS]
    attempt.waited_for_caller = error.waited_for_caller
    attempt.failed(error.code, error.for_operator, error.excerpt)


def _sent(attempt: AttemptTrace) -> Iterator[str]:
    """Values of headers that may be credentials."""
    yield from (value for _, value in attempt.target.headers)
    if attempt.token:
        yield attempt.token


def no_error(status: int, headers: HeaderPairs, body: bytes) -> UpstreamBadReply:
    """What becomes of a *body* in place of an error, such as a balancer's page: its status and wish count."""
    message = f"The provider answered with status {status} and a body that is not a JSON error."
    error = UpstreamBadReply(message, excerpt=excerpt(body), headers=wish_in_headers(headers))
    error.own_status = status
    return error


def note_told(attempt: AttemptTrace, error: UpstreamBadReply, body: bytes) -> UpstreamBadReply:
    """Note the status that *body*, a success that is none, tells: it counts as if it had come under that."""
    error.own_status = error.own_status or told_status(body)
    note_flagged(attempt, error.own_status, body)
    return error


def note_flagged(attempt: AttemptTrace, status: int, body: bytes) -> None:
    """Note whether a refusal is of what was asked, and not of our key."""
    if status == _FORBIDDEN and _FLAGGED.search(body):
        attempt.is_callers_to_refuse = True


async def take_error(attempt: AttemptTrace, reply: UpstreamReply) -> Answer:
    """The provider's own error, of a known API, as the caller gets it.

    Raises:
        UpstreamBadReply: It is no JSON object, or too long.
    """
    body = await reply.read(MAX_ERROR_BYTES)
    if not is_json_object(body):
        raise no_error(reply.status, passage_response_headers(reply.headers), body)
    attempt.failed(str(reply.status), f"The provider answered with status {reply.status}.")
    note_flagged(attempt, reply.status, body)
    headers = [pair for pair in passage_response_headers(reply.headers) if pair[0] != b"content-type"]
    return Answer(reply.status, headers, without_credentials(body, attempt))


async def _relay_error(
    responder: Responder, attempt: AttemptTrace, reply: UpstreamReply, headers: HeaderPairs
) -> None:
    """Pass an error of any kind on, whole, since our key may be anywhere in it."""
    body = await reply.read(MAX_ERROR_BYTES)
    attempt.failed(str(reply.status), f"The provider answered with status {reply.status}.")
    attempt.ended()
    await responder.pass_whole(reply.status, headers, without_credentials(body, attempt))


async def _relay_json(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    parts: list[bytes] = []
    size = 0
    while size <= MAX_PASSING_BYTES and (data := await reply.read_chunk()):
        parts.append(data)
        size += len(data)
    if size > MAX_PASSING_BYTES:
        await _relay_long(responder, attempt, _Begun(reply, parts), headers, endpoint)
        return
    body = b"".join(parts)
    if _is_answer(reply, endpoint):
        # An error inside, or what is no JSON, is none.
        try:
            read_object(endpoint, body, asked_bytes=0)
        except UpstreamBadReply as error:
            note_told(attempt, error, body)
            raise
    facts = read_passed(attempt.target.dialect, body)
    if facts is not None:
        _learn(responder, attempt, endpoint, _with_counts_beside(facts, reply.headers))
    if reply.status < _FIRST_ERROR:
        _guess_untold(responder, attempt, body)
        _note_objects(responder, attempt, body)
    _note_spoken(responder, attempt)
    attempt.ended()
    if reply.status < _FIRST_ERROR and attempt.target.dialect == "anthropic":
        body = own_links(body)
    await responder.pass_whole(reply.status, headers, without_keys(body, attempt))


async def _relay_long(
    responder: Responder, attempt: AttemptTrace, reply: _Begun, headers: HeaderPairs, endpoint: Endpoint
) -> None:
    """Pass JSON on that is too long to be held, and look at what it says that it used."""
    if not _spends(responder, endpoint):
        await _relay_pieces(responder, attempt, reply, headers, endpoint)
        return
    looked_at = _LookedAt(reply, PassingObject(attempt.target.dialect))
    try:
        is_whole = await _pass_pieces(responder, attempt, looked_at, headers, endpoint)
    except (asyncio.CancelledError, ClientDisconnected):
        # Whoever leaves at its last bytes has had most of what is to be paid.
        await looked_at.hear()
        raise
    finally:
        _note_looked_at(responder, attempt, endpoint, looked_at)
    if is_whole:
        # Of so much at once nothing but what was asked is guessed: embeddings and pictures are as long.
        _guess_untold(responder, attempt, b"")
        await _end(responder, attempt)


def _with_counts_beside(facts: ReplyFacts | ObjectFacts, headers: HeaderPairs) -> ReplyFacts | ObjectFacts:
    """What `InvokeModel` answers is the model's own, and Bedrock counts beside it."""
    return facts if facts.usage is not None else with_header_counts(facts, headers)


def _learn(
    responder: Responder, attempt: AttemptTrace, endpoint: Endpoint, facts: ReplyFacts | ObjectFacts
) -> None:
    """Note what a reply says of itself."""
    # An object that is a session of an agent tells what that has used so far.
    if not _spends(responder, endpoint, facts.response_id) or endpoint.path.startswith(_SESSIONS):
        facts = msgspec.structs.replace(facts, usage=None)
    attempt.answered(facts)


def _guess_untold(responder: Responder, attempt: AttemptTrace, body: bytes) -> None:
    """Note an estimate where a model's whole reply does not tell what it used: by its text."""
    call = responder.trace.call
    if attempt.usage is None and call is not None and call.endpoint.counts_tokens:
        usage = guess_passed(body, asked_bytes=_asked_bytes(responder))
        if usage is not None:
            attempt.used(usage)


def _note_objects(responder: Responder, attempt: AttemptTrace, body: bytes) -> None:
    """Note which account has the objects that a reply tells of, before the caller can ask for them."""
    method = responder.client.method
    object_ids: list[str] = []
    if method == "POST":
        object_ids = ids_made(body)
    elif method == "GET" and len(body) <= _MAX_OBJECT_BYTES:
        object_ids = ids_beside(body)
    for object_id in object_ids:
        responder.made(object_id, attempt.target)


def _spends(responder: Responder, endpoint: Endpoint, object_id: str = "") -> bool:
    """Whether a reply's usage is of this call: what is fetched, cancelled or changed was counted before.

    On Anthropic's own paths it is what an agent used so far, the same again with each answer.
    """
    client = responder.client
    if client.method != "POST" or endpoint.dialect == "anthropic":
        return False
    return not tells_again(endpoint, client.path, object_id)


async def _relay_known(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass a stream of events on whose path is known."""
    headers += ((b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
    headers = _without_repeats(headers)
    if _is_answer(reply, endpoint):
        await _relay_answer(responder, attempt, reply, headers, endpoint)
    elif endpoint.dialect == "openai":
        await _relay_events(responder, attempt, reply, headers, endpoint)
    else:
        # Events of an agent's session, without an end or a usage of their own.
        await _relay_subscription(responder, attempt, reply, headers, endpoint)


async def _relay_subscription(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass events on as they come, of which nothing is read."""
    await _open_subscription(responder, reply, headers)
    await _relay_pieces(responder, attempt, reply, headers, endpoint)


async def _open_subscription(responder: Responder, reply: UpstreamReply, headers: HeaderPairs) -> None:
    """Send the head to who fetches events, before there are any.

    SDKs of agents' sessions wait for it, and only then ask for what the events will be about. What has a
    length is there already.
    """
    if responder.client.method == "GET" and not _header(reply.headers, b"content-length"):
        await responder.open_passage(reply.status, headers)


async def _relay_events(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass a stream of events on, in whole events."""
    reader = ToldReader(endpoint, asked_bytes=0)
    await _open_subscription(responder, reply, headers)
    is_noted = has_events = False
    failure: GatewayError | None = None
    try:
        is_open = True
        while is_open:
            events, is_open = await _next_events(attempt, reply, reader)
            if not is_noted and reader.object_id and responder.client.method == "POST":
                responder.made(reader.object_id, attempt.target)
                is_noted = True
            if not responder.client.has_started:
                await responder.start_passage(reply.status, headers)
            if events:
                has_events = True
                await responder.client.write(events)
    except GatewayError as error:
        failure = error
    finally:
        facts = reader.facts()
        if not _spends(responder, endpoint, facts.response_id):
            facts = msgspec.structs.replace(facts, usage=None)
        attempt.answered(facts)
    if failure is None:
        await _end(responder, attempt)
    elif has_events:
        _break_off(responder, attempt, failure)
    else:
        await _fail_begun(responder, attempt, failure)


async def _relay_answer(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass on what a model streams, once it has content; what fails later ends with an event that says so."""
    reader = EventReader(endpoint, asked_bytes=0)
    failure: GatewayError | None = None
    try:
        events, is_open = await _first_content(attempt, reply, reader)
        await responder.start_passage(reply.status, headers)
        while True:
            is_last = not is_open or reader.has_ended
            if is_last and not reader.failure:
                # Whoever reads that this is the end waits for no other.
                attempt.answered(reader.facts())
                _note_spoken(responder, attempt)
                responder.settle()
            if events:
                await responder.client.write(events)
            if is_last:
                break
            events, is_open = await _next_events(attempt, reply, reader)
    except GatewayError as error:
        failure = error
    except (asyncio.CancelledError, ClientDisconnected):
        # A transcript has been told when its usage comes.
        await hear_usage(reply, reader)
        raise
    finally:
        attempt.answered(reader.facts())
        if responder.client.has_started:
            _note_spoken(responder, attempt)
    if failure is not None:
        await _fail_begun(responder, attempt, failure)
        return
    if reader.failure:
        # The provider's own event has gone out already.
        told = UpstreamBadReply("The provider's stream carried an error.", excerpt=excerpt(reader.failure))
        note_failure(attempt, told)
        await responder.end_after_error(told)
        return
    await _end(responder, attempt)
    await reply.finish()


async def hear_usage(reply: _Pieces, reader: _Reads) -> None:
    """Wait a little for the end of a stream whose caller has left: it has what was used."""
    with contextlib.suppress(GatewayError, TimeoutError):
        async with asyncio.timeout(_USAGE_S):
            while not reader.has_ended:
                data = await reply.read_chunk()
                if not data:
                    # Some servers leave out the blank line after their last event.
                    reader.finish()
                    return
                reader.feed(data)


async def _first_content(
    attempt: AttemptTrace, reply: UpstreamReply, reader: EventReader
) -> tuple[bytes, bool]:
    """Events up to the first with content, and whether more can come.

    Raises:
        UpstreamBadReply: The stream begins with an error, ends without content, or goes on and on.
    """
    held: list[bytes] = []
    held_bytes = 0
    is_open = True
    while is_open and not reader.has_ended and held_bytes <= MAX_PASSING_BYTES:
        events, is_open = await _next_events(attempt, reply, reader)
        held.append(events)
        held_bytes += len(events)
        if reader.has_content and not reader.failure:
            return b"".join(held), is_open
    if held_bytes > MAX_PASSING_BYTES:
        raise UpstreamBadReply("The provider's stream goes on and on without content.")
    message = "began with an error" if reader.failure else "ended before it was complete"
    error = UpstreamBadReply(f"The provider's stream {message}.", excerpt=excerpt(reader.failure))
    raise note_told(attempt, error, reader.failure)


async def _next_events(
    attempt: AttemptTrace, reply: UpstreamReply, reader: EventReader
) -> tuple[bytes, bool]:
    """What comes next of a stream, in whole events, and whether more can come."""
    data = await reply.read_chunk()
    events = reader.feed(data) if data else reader.finish()
    if reader.has_data:
        attempt.first_chunk()
    if reader.failure:
        events = without_credentials(events, attempt)
    return events, bool(data)


async def _relay_unknown(
    responder: Responder,
    attempt: AttemptTrace,
    reply: UpstreamReply,
    headers: HeaderPairs,
    endpoint: Endpoint,
    begin: BeginPassing,
) -> None:
    """Pass a stream on of whose path nothing is known, as it comes, and look at what it says that it used."""
    passing = begin(attempt.target.dialect, _asked_bytes(responder))
    await _relay_looked_at(responder, attempt, _LookedAt(_Timed(reply, attempt), passing), headers, endpoint)


async def _relay_looked_at(
    responder: Responder,
    attempt: AttemptTrace,
    reply: _LookedAt,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass a reply on as it comes, and note what it tells."""
    try:
        is_whole = await _pass_pieces(responder, attempt, reply, headers, endpoint)
    finally:
        # Of a caller that has left too: what its provider had sent until then.
        _note_looked_at(responder, attempt, endpoint, reply)
    if is_whole:
        await _end(responder, attempt)


def _note_looked_at(
    responder: Responder, attempt: AttemptTrace, endpoint: Endpoint, reply: _LookedAt
) -> None:
    """Note what a reply tells, or the part of it that came."""
    reply.look()
    facts = reply.passing.facts()
    _learn(responder, attempt, endpoint, _with_counts_beside(facts, reply.headers))
    # Of what else streams, or is so long, nothing can be asked for again.
    if facts.response_id.startswith(_RESPONSE):
        responder.made(facts.response_id, attempt.target)


def _asked_bytes(responder: Responder) -> int:
    """How long the call is; of what is no text, how long a text of as many tokens would be."""
    call = responder.trace.call
    size = 0 if call is None else call.body_bytes
    kind = (responder.client.headers.get("content-type") or "").lower()
    is_text = not kind or "json" in kind or kind.startswith("text/")
    return size if is_text else size // MEDIA_BYTES_PER_TOKEN * BYTES_PER_TOKEN


class _Pieces(Protocol):
    """What is needed of a reply that is passed on as it comes."""

    status: int
    headers: HeaderPairs

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end."""


class _Reads(Protocol):
    """What is needed of who reads a stream."""

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow."""

    def feed(self, data: bytes) -> bytes:
        """Take *data*."""

    def finish(self) -> bytes:
        """Take the end."""


class _Masked:
    """A reply of a path that is not known, whose server may mirror what it was asked: without our keys.

    It takes 0.4 us for a piece as events come in, 10 us for one of 64 KiB.
    """

    def __init__(self, reply: UpstreamReply, keys: Sequence[bytes]) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.token = reply.token
        self._reply = reply
        self._mask = KeyMask(keys)
        self.read = reply.read
        self.finish = reply.finish
        self.close = reply.close

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        while data := await self._reply.read_chunk():
            if data := self._mask.feed(data):
                return data
        return self._mask.finish()


class _Begun:
    """A reply of which some pieces have been read before."""

    def __init__(self, reply: UpstreamReply, parts: list[bytes]) -> None:
        """Begin with *parts*, which are taken."""
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        # The list of whoever read them: what has gone out is held by nobody.
        parts.reverse()
        self._parts = parts

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        if self._parts:
            # One in each turn, as they came: whoever looks at them is not to do so at all of them at once.
            await asyncio.sleep(0)
            return self._parts.pop()
        return await self._reply.read_chunk()


class _Timed:
    """A stream of which it is noted when pieces of it came."""

    def __init__(self, reply: _Pieces, attempt: AttemptTrace) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._attempt = attempt

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        data = await self._reply.read_chunk()
        if data:
            self._attempt.first_chunk()
        return data


class _LookedAt:
    """A reply whose pieces are looked at one by one, each when it has gone out: none waits for that."""

    def __init__(self, reply: _Pieces, passing: PassingStream) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self.passing = passing
        self._piece = b""

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        self.look()
        self._piece = await self._reply.read_chunk()
        if not self._piece:
            self.passing.end()
        return self._piece

    def look(self) -> None:
        """Look at the piece that has gone out, once."""
        piece, self._piece = self._piece, b""
        if piece:
            self.passing.see(piece)

    async def hear(self) -> None:
        """Wait a little for its end, that nobody gets any more."""
        with contextlib.suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(_USAGE_S):
                while await self.read_chunk():
                    pass


async def _relay_pieces(
    responder: Responder,
    attempt: AttemptTrace,
    reply: _Pieces,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> None:
    """Pass bytes on as they come, of which nothing is read."""
    if await _pass_pieces(responder, attempt, reply, headers, endpoint):
        await _end(responder, attempt)


async def _pass_pieces(
    responder: Responder,
    attempt: AttemptTrace,
    reply: _Pieces,
    headers: HeaderPairs,
    endpoint: Endpoint,
) -> bool:
    """Pass bytes on as they come, but for their end; whether that has come.

    Else what has begun is broken off, or has ended with an event that says so.
    """
    length = _header(reply.headers, b"content-length")
    is_bodiless = reply.status in _BODILESS
    # With its length a reply that breaks off cannot be taken for a whole one.
    if length and not is_bodiless:
        headers = [*headers, (b"content-length", length)]
    try:
        data = b"" if is_bodiless else await reply.read_chunk()
        if not data and _is_answer(reply, endpoint) and not _may_be_empty(reply, endpoint):
            raise UpstreamBadReply(_NO_ANSWER, detail="an empty body")
    except GatewayError as error:
        await _fail_begun(responder, attempt, error)
        return False
    if not responder.client.has_started:
        await responder.start_passage(reply.status, headers)
    _note_spoken(responder, attempt)
    try:
        while data:
            await responder.client.write(data)
            data = await reply.read_chunk()
    except GatewayError as error:
        _break_off(responder, attempt, error)
        return False
    return True


async def _end(responder: Responder, attempt: AttemptTrace) -> None:
    """End a reply that is whole, when what it used has been noted."""
    attempt.ended()
    await responder.end_stream()


def _note_spoken(responder: Responder, attempt: AttemptTrace) -> None:
    """Note what is paid for of a text that is spoken, where the reply does not tell: see `find_spoken`."""
    asked = attempt.sent or responder.trace.call
    if attempt.usage is None and asked is not None and (spoken := find_spoken(asked)) is not None:
        attempt.used(spoken)


def _is_answer(reply: _Pieces, endpoint: Endpoint) -> bool:
    """Whether *reply* should be a model's: a success that is none is a failure, and another may be asked."""
    return reply.status in SUCCESS and (endpoint is SPEECH or endpoint.path in FORM_CALLS)


def _may_be_empty(reply: _Pieces, endpoint: Endpoint) -> bool:
    """The text of silence is, and no sound."""
    return endpoint is not SPEECH and _header(reply.headers, b"content-type").lower().startswith(_TEXT)


def _break_off(responder: Responder, attempt: AttemptTrace, error: GatewayError) -> None:
    """End a reply that has begun without its end: the server closes the connection, and the caller sees it.

    Raises:
        GatewayError: *error*, while it can still be answered.
    """
    if not responder.client.has_started:
        raise error
    note_failure(attempt, error)
    responder.trace.cut(error.code, error.for_operator)


async def _fail_begun(responder: Responder, attempt: AttemptTrace, error: GatewayError) -> None:
    """Say in an event that a reply failed that has begun: one of events, or of which the head alone is out.

    Raises:
        GatewayError: *error*, while it can still be answered.
    """
    _break_off(responder, attempt, error)
    await responder.fail(error)


def _header(headers: HeaderPairs, name: bytes) -> bytes:
    return next((value for key, value in headers if key == name), b"")


def _without_repeats(headers: HeaderPairs) -> HeaderPairs:
    return list(dict(headers).items())
