"""The caller's answer: the only place that writes to the caller, in the caller's dialect.

What is sent is noted on the trace in the same call, so the two cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

import msgspec

from gateway.endpoints.bedrock_error import KIND_HEADER
from gateway.endpoints.call_limits import FIRST_TOKEN_HEADER, WHOLE_HEADER
from gateway.endpoints.openai_call import STRICT_HEADER
from gateway.endpoints.retry_wish import RETRY_HEADER
from gateway.endpoints.wording import Wording
from gateway.errors import GatewayError, Overloaded
from gateway.model import Client, HeaderPairs, KeepAlive, Plan, Target, UpstreamReply
from gateway.pings import Pings
from gateway.providers.headers import response_headers
from gateway.routing.stored import Origin, StoredObjects
from gateway.settlement import settle
from gateway.telemetry.applied_configurations import applied_configurations
from gateway.telemetry.call_notes import CONVERSATION_HEADER, LOGGING_HEADER, METADATA_HEADER
from gateway.telemetry.call_trace import CallTrace

SUCCESS: Final = range(200, 300)
_FIRST_ERROR: Final = 400
ACTED_ON: Final = frozenset(
    {
        "x-tfy-api-key",
        "x-tfy-provider-name",
        "x-tfy-model-name",
        WHOLE_HEADER,
        FIRST_TOKEN_HEADER,
        RETRY_HEADER,
        METADATA_HEADER,
        LOGGING_HEADER,
        CONVERSATION_HEADER,
        STRICT_HEADER,
    }
)
"""Those of the caller's headers that are not said to be ignored; docs/headers.md has what each does."""

_OK: Final = 200
_OF_THE_ANSWER: Final = frozenset(
    {b"x-tfy-resolved-model", b"x-tfy-applied-configurations", b"x-tfy-dropped-params"}
)
_TEXT: Final = b"text/"
_UTF_8: Final = b"; charset=utf-8"
_OWN: Final = "x-tfy-"
_NOT_SENT: Final = re.compile(r"[^\x20-\x7e]")
_MAX_NAMES_CHARACTERS: Final = 512
_JSON: Final = (b"content-type", b"application/json")


class Answer(msgspec.Struct, frozen=True):
    """A whole response for the caller.

    Attributes:
        own_status: What its provider said in place of `status`, where the caller's dialect knows that not, or
            meant by it; 0.
    """

    status: int
    headers: HeaderPairs
    body: bytes
    own_status: int = 0


async def refuse_untraced(client: Client, wording: Wording, error: GatewayError, request_id: str) -> None:
    """Send a refusal that no trace tells of."""
    headers: HeaderPairs = [
        (b"x-request-id", request_id.encode()),
        *((name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers),
        _JSON,
        (b"x-tfy-error-source", error.source.encode()),
    ]
    if wording.id_header:
        headers.append((wording.id_header, request_id.encode()))
    if wording.kind is not None:
        headers.append((KIND_HEADER, wording.kind(error).encode()))
    await client.respond(error.status, headers, wording.body(error, request_id=request_id, trace_id=""))


class Responder:
    """One request with its trace, and all that is sent to its caller.

    Attributes:
        own_headers: Names of those of the caller's headers that are named like ours.
        tells_replicas: Others are to hear of what this call has made; its caller may ask them next.
        notes_parts: Parts of the reply are remembered too: a later call could go on from them elsewhere.
    """

    __slots__ = (
        "_keep_alive",
        "_pings",
        "_stored",
        "_wording",
        "client",
        "notes_parts",
        "own_headers",
        "request_id",
        "tells_replicas",
        "trace",
    )

    def __init__(
        self,
        client: Client,
        trace: CallTrace,
        request_id: str,
        wording: Wording,
        stored: StoredObjects | None = None,
        keep_alive: KeepAlive | None = None,
    ) -> None:
        self._stored = stored
        self._keep_alive = keep_alive
        self._pings: Pings | None = None
        self.client = client
        self.trace = trace
        self.request_id = request_id
        self.notes_parts = False
        self.tells_replicas = False
        self.own_headers = client.headers.starting_with(_OWN)
        self._wording = wording

    def made(self, object_id: str, target: Target) -> None:
        """Note which account made an object, before its caller can ask for it."""
        if self._stored is not None and self.trace.caller is not None and object_id:
            self.tells_replicas = self._stored.is_shared
            self._stored.made(object_id, target, self.trace.caller)

    def made_parts(self, names: Iterable[str], target: Target) -> None:
        """Note the same of parts of a reply."""
        if self._stored is not None and self.trace.caller is not None:
            self.tells_replicas = self._stored.is_shared
            for name in names:
                self._stored.made_part(name, target, self.trace.caller)

    async def find_made(self, object_ids: Sequence[str]) -> Origin | None:
        """Where the first of *object_ids* that is known comes from, None when none was made here.

        Other replicas are asked of what is not known on this host.
        """
        if self._stored is None:
            return None
        found = self._stored.find(object_ids)
        if found is None and await self._stored.hear(object_ids):
            found = self._stored.find(object_ids)
        return found

    async def answer(self, answer: Answer) -> None:
        """Send a whole response; a provider's error says that it is the provider's."""
        if self._pings is not None:
            self.stop_pings()
        if self.client.has_started:
            await self._refuse_within(answer)
            return
        headers = self._headers(answer.headers)
        headers.append(_JSON)
        if answer.status not in SUCCESS:
            headers.append((b"x-tfy-error-source", b"upstream"))
            self.trace.failed(str(answer.status), f"the provider answered with status {answer.status}")
        self.trace.responded(answer.status)
        self.settle()
        await self.client.respond(answer.status, headers, answer.body)
        self.trace.ended()

    async def _refuse_within(self, answer: Answer) -> None:
        """Send a provider's error where the head of a stream has gone out already, without any content."""
        await self.client.write(self._wording.refusal_event(answer.body))
        self.trace.cut(str(answer.status), f"the provider answered with status {answer.status}")
        await self.end_stream()

    async def fail(self, error: GatewayError) -> None:
        """Send an error of ours: a whole response, or the last event of a stream that has begun."""
        self.stop_pings()
        if self.client.has_started:
            await self.client.write(self._word(self._wording.event, error))
            await self.end_after_error(error)
            return
        if isinstance(error.plan, Plan):
            self.trace.planned(error.plan)
        if isinstance(error, Overloaded):
            self.trace.turned_away(error)
        self.trace.failed(error.code, error.for_operator)
        self.trace.responded(error.status)
        headers = self._headers(
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in error.headers]
        )
        headers += (_JSON, (b"x-tfy-error-source", error.source.encode()))
        if self._wording.kind is not None:
            headers.append((KIND_HEADER, self._wording.kind(error).encode()))
        self.settle()
        await self.client.respond(error.status, headers, self._word(self._wording.body, error))

    async def pass_whole(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Send a reply of the provider as it is, its own content type included."""
        head = self._passage_head(status, headers)
        self.settle()
        if body:
            await self.client.respond(status, head, body)
        else:
            # A length would be wrong for a 204, and says nothing new for others.
            await self.client.start(status, head)
            await self.client.end()
        self.trace.ended()

    async def start_passage(self, status: int, headers: HeaderPairs) -> None:
        """Send the head of a reply that is passed on as it comes."""
        await self.client.start(status, self._passage_head(status, headers))

    async def open_passage(self, status: int, headers: HeaderPairs) -> None:
        """Send it at once, when nothing may follow for a while."""
        await self.start_passage(status, headers)
        # The server keeps a head until something follows, were it nothing.
        await self.client.write(b"")

    def _passage_head(self, status: int, headers: HeaderPairs) -> HeaderPairs:
        head = self._headers(headers)
        if status >= _FIRST_ERROR:
            head.append((b"x-tfy-error-source", b"upstream"))
            self.trace.failed(str(status), f"the provider answered with status {status}")
        self.trace.responded(status)
        return head

    async def end_after_error(self, error: GatewayError) -> None:
        """End a stream whose last event was an error; no end marker follows it."""
        self.trace.cut(error.code, error.for_operator)
        await self.end_stream()

    async def end_stream(self) -> None:
        """End the response; from here on the caller has everything, so its leaving is no abort.

        All that is to be known of what the call used has been noted.
        """
        self.stop_pings()
        self.settle()
        await self.client.end()
        self.trace.ended()

    def settle(self) -> None:
        """Count what the call used before its caller can come again, where that may matter.

        As long as its limits are far away that waits until the answer has gone out, which is so much sooner.
        """
        permit = self.trace.permit
        if permit is not None and permit.is_near:
            settle(self.trace)

    def begin_waiting(self, media_type: bytes) -> None:
        """Keep the connection of a stream's caller alive while there is no content, if that is wanted."""
        settings = self._keep_alive
        if settings is not None and settings.is_before_content and self._wording.ping:
            self._pings = Pings(settings.interval_s, lambda: self._ping_first(media_type))

    async def start_stream(self, reply: UpstreamReply, media_type: bytes) -> None:
        """Send the head of a stream, if it has not gone out with a ping."""
        if self._pings is not None:
            # One that is under way may be about to send it.
            await self._pings.beside(self._start_after_pings(reply, media_type))
            return
        await self._start(reply.status, self._headers(response_headers(reply.headers)), media_type)
        if self._keep_alive is not None and self._wording.ping:
            self._pings = Pings(self._keep_alive.interval_s, self._ping)

    def write(self, events: bytes) -> Coroutine[Any, Any, None]:
        """Send a piece of a stream: whole events."""
        writing = self.client.write(events)
        return writing if self._pings is None else self._pings.beside(writing)

    def stop_pings(self) -> None:
        """Send no more signs of life."""
        if self._pings is not None:
            self._pings.stop()
            self._pings = None

    async def _start_after_pings(self, reply: UpstreamReply, media_type: bytes) -> None:
        if not self.client.has_started:
            await self._start(reply.status, self._headers(response_headers(reply.headers)), media_type)

    async def _ping_first(self, media_type: bytes) -> None:
        """Send a ping, and the head of the stream before the first: it cannot say yet who answers."""
        if not self.client.has_started:
            headers = [pair for pair in self._headers([]) if pair[0] not in _OF_THE_ANSWER]
            await self._start(_OK, headers, media_type)
        await self._ping()

    async def _ping(self) -> None:
        await self.client.write(self._wording.ping)

    async def _start(self, status: int, headers: HeaderPairs, media_type: bytes) -> None:
        headers += (
            (b"content-type", media_type + _UTF_8 if media_type.startswith(_TEXT) else media_type),
            (b"cache-control", b"no-cache"),
            # nginx in front would otherwise gather the stream.
            (b"x-accel-buffering", b"no"),
        )
        self.trace.responded(status)
        await self.client.start(status, headers)

    def _word(self, word: Callable[..., bytes], error: GatewayError) -> bytes:
        return word(error, request_id=self.request_id, trace_id=self.trace.trace_id.hex())

    def _headers(self, more: HeaderPairs) -> HeaderPairs:
        trace = self.trace
        headers = [
            (b"x-request-id", self.request_id.encode()),
            (b"traceparent", trace.traceparent().encode()),
            (b"server-timing", trace.server_timing()),
            *more,
        ]
        attempts = trace.attempts
        if attempts:
            answer = attempts[trace.answering - 1]
            headers.append((b"x-tfy-resolved-model", answer.target.name.encode()))
            if answer.left_out:
                # The caller's own words: whatever they hold, they are no line of the head.
                names = _NOT_SENT.sub("?", ", ".join(answer.left_out))[:_MAX_NAMES_CHARACTERS]
                headers.append((b"x-tfy-dropped-params", names.encode()))
        plan, permit = trace.plan, trace.permit
        if permit is not None or (plan is not None and plan.route is not None):
            applied = applied_configurations(trace)
            if applied is not None:
                headers.append((b"x-tfy-applied-configurations", applied))
            if permit is not None:
                headers += permit.headers()
        if self._wording.id_header:
            headers.append((self._wording.id_header, self.request_id.encode()))
        if self.own_headers and not ACTED_ON.issuperset(self.own_headers):
            ignored = ", ".join([name for name in self.own_headers if name not in ACTED_ON])
            headers.append((b"x-tfy-ignored-headers", ignored.encode("latin-1", errors="replace")))
        return headers
