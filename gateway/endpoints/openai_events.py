"""Replies of OpenAI's younger endpoints: objects with usage of their own, and streams of typed events.

Pure. Responses, images, speech and transcriptions share it: each event of a stream has a `type`, the last one
carries the usage, and there is no `[DONE]`. Bytes pass through unchanged, in whole events, as in
`openai_stream`.

Shapes: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final

import msgspec

from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    UNREADABLE,
    count_of,
    estimate_usage,
    excerpt,
    read_usage,
    text_of,
)
from gateway.endpoints.said_text import OF_RESPONSE, text_bytes
from gateway.endpoints.stream_reading import count_objects, may_be_answer
from gateway.endpoints.usage_parts import with_parts
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Sampling, Usage
from gateway.wire.sse import DATA_LINE, DONE, EventCutter, split_events

MAX_PRELUDE_BYTES: Final = 256 * 1024
"""Events that only announce a reply are held back up to here: they repeat instructions and tools."""

_ENDS: Final = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.cancelled",
        "image_generation.completed",
        "image_edit.completed",
        "speech.audio.done",
        "transcript.text.done",
    }
)
_DRAWS: Final = "image_generation"
_ERROR: Final = "error"
_FAILED: Final = "response.failed"
_FAILURES: Final = frozenset({"error", _FAILED})
_PRELUDE: Final = frozenset(
    {"response.created", "response.queued", "response.in_progress", "response.content_part.added"}
)
_ITEM_ADDED: Final = "response.output_item.added"
_ITEM_DONE: Final = "response.output_item.done"
_SAYS: Final = frozenset({"message", "function_call", "custom_tool_call"})
"""Items after which a response may end."""

_ITEMS_WITHOUT_CONTENT: Final = frozenset({"message", "reasoning"})
_PROVIDERS_MISTAKES: Final = frozenset({"server_error", "rate_limit_exceeded"})
"""Of the errors of a response; the others are about what was asked, so another target would say the same."""

_CALLERS_MISTAKES: Final = re.compile(
    r"(?:invalid_|image_).*"
    r"|unsupported_image_media_type|empty_image_file|failed_to_download_image"
    r"|bio_policy|cyber_policy|misalignment_policy_violation"
)
"""Those that are so for certain. https://platform.openai.com/docs/api-reference/responses/object"""

# Decides whether events are worth decoding. Runs of a thread have no `type`, so any usage is.
_TELLING: Final = re.compile(
    rb'"(?:response\.(?:output_item\.done|created|queued|in_progress|completed|incomplete|cancelled|failed)"'
    rb'|image_(?:generation|edit)\.completed"|speech\.audio\.done"|transcript\.text\.done"|error"'
    rb'|usage"\s*:\s*\{)'
)


class TypedReply(msgspec.Struct):
    """What the gateway reads of an object or an event; all of it may be missing or of another type."""

    type: Any = None
    id: Any = None
    object: Any = None
    model: Any = None
    status: Any = None
    usage: Any = None
    error: Any = None
    response: msgspec.Raw = msgspec.Raw(b"null")
    item: Any = None
    tool_usage: Any = None
    # Left undecoded: they are long, and looked at where one of them has drawn a picture.
    tools: msgspec.Raw = msgspec.Raw(b"null")


class ObjectFacts(msgspec.Struct, frozen=True):
    """As `ReplyFacts`; `usage` is None where nothing was counted and nothing costs tokens."""

    response_id: str
    response_model: str
    finish_reasons: tuple[str, ...]
    usage: Usage | None


_replies: Final = msgspec.json.Decoder(TypedReply)
_tools: Final = msgspec.json.Decoder(list[Any] | None)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HAVE_ANSWERS: Final = frozenset({"image", "moderation", "audio_transcription", "audio_translation"})
_OF_NOTES: Final = frozenset(
    {
        *("code", "created", "detail", "details", "error_code", "error_msg", "id", "message", "model", "msg"),
        *("object", "path", "reason", "request_id", "status", "status_code", "success", "timestamp"),
        *("title", "trace_id", "type", "usage"),
    }
)
"""Members that are no answer. Vendors have names of their own for what is one."""


def _has_answer(endpoint: Endpoint, reply: TypedReply, body: bytes) -> bool:
    """Whether *body* is more than an error or a note: {"detail": ...}, or {"code": 500, "data": null}."""
    # An error of vLLM's older versions and of others after them.
    if reply.object == _ERROR:
        return False
    if endpoint is RESPONSE:
        return reply.object is not None or reply.id is not None
    if endpoint.name not in _HAVE_ANSWERS:
        return True
    # Left undecoded: a picture is megabytes.
    try:
        members = _members.decode(body).items()
    except UNREADABLE:
        # A name that is no text, which `find_reply` skips: no note has one.
        return True
    return any(name not in _OF_NOTES and bytes(memoryview(told)[:4]) != b"null" for name, told in members)


def find_reply(body: bytes) -> TypedReply | None:
    """What *body* says of itself if it is a JSON object, else None."""
    try:
        return _replies.decode(body)
    except UNREADABLE:
        return None


def read_object(endpoint: Endpoint, body: bytes, *, asked_bytes: int) -> ObjectFacts:
    """Read the body of a successful whole reply.

    A response that failed by what was asked is an answer too: it says why, has been paid for, and can be
    fetched again.

    Raises:
        UpstreamBadReply: It is no JSON object, nothing but an error or a note, or a response that its
            provider could not make.
    """
    reply = find_reply(body)
    if reply is None:
        raise UpstreamBadReply(
            "The provider answered with something that is not a JSON reply.", excerpt=excerpt(body)
        )
    if reply.error is not None and (reply.object is None or _is_providers_mistake(reply)):
        raise UpstreamBadReply(
            "The provider answered with success and an error inside.", excerpt=excerpt(body)
        )
    if not _has_answer(endpoint, reply, body):
        raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
    usage = add_drawn(read_usage(reply.usage), reply)
    if usage is None and endpoint.counts_tokens:
        usage = estimate_usage(asked_bytes, len(body))
    return object_facts(reply, usage)


def add_drawn(usage: Usage | None, reply: TypedReply) -> Usage | None:
    """*usage* with what the tool that draws has used, which a response counts apart."""
    if usage is None or not isinstance(reply.tool_usage, dict):
        return usage
    told: object = reply.tool_usage.get("image_gen")
    drawn = read_usage(told)
    if not isinstance(told, dict) or drawn is None or not (drawn.input_tokens or drawn.output_tokens):
        return usage
    cached = told.get("cached_tokens_details")
    if isinstance(cached, dict):
        cached_images = count_of(cached.get("cached_image_tokens"))
        drawn = msgspec.structs.replace(drawn, cached_image_input_tokens=cached_images)
    if drawn.image_output_tokens is None:
        # The details may be missing, and what it gives is pictures.
        drawn = msgspec.structs.replace(drawn, image_output_tokens=drawn.output_tokens)
    try:
        tools = _tools.decode(reply.tools)
    except UNREADABLE:
        tools = []
    drawing = (tool for tool in tools or () if isinstance(tool, dict) and tool.get("type") == _DRAWS)
    model_id = text_of(next(drawing, {}).get("model"))
    return with_parts(usage, [Sampling(model_id, drawn)])


def _is_providers_mistake(reply: TypedReply) -> bool:
    return reply.status == "failed" and _code_of(reply) in _PROVIDERS_MISTAKES


def _code_of(reply: TypedReply) -> str:
    return text_of(reply.error.get("code")) if isinstance(reply.error, dict) else ""


def object_facts(reply: TypedReply, usage: Usage | None) -> ObjectFacts:
    """What the trace wants to know of an object."""
    status = text_of(reply.status)
    return ObjectFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=(status,) if status else (),
        usage=usage,
    )


class EventReader:
    """One stream of typed events; the interface of `openai_stream.StreamReader`.

    Attributes:
        has_data: An event with data has been seen.
        has_content: More than announcements of the reply has come.
        has_ended: The last event, or an error, was seen.
        failure: Data of the event that said so when the reply failed, b"" while none did.
    """

    def __init__(self, endpoint: Endpoint, *, asked_bytes: int) -> None:
        self._endpoint = endpoint
        self._asked_bytes = asked_bytes
        self._cutter = EventCutter()
        self._seen_bytes = 0
        # Events since the reply itself began, of a token at least, and their text.
        self._pieces = 0
        self._said_bytes = 0
        self._is_said = False
        self._reply = TypedReply()
        self._usage: Usage | None = None
        # The usage came with the last event, so that it is of all.
        self._is_counted = False
        self.has_data = False
        self.has_content = False
        self.has_ended = False
        self.failure = b""

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole events, maybe none.

        Raises:
            UpstreamBadReply: One event is too long (`wire.sse`), or is seen to be no JSON.
        """
        whole = self._cutter.cut(data)
        self._seen_bytes += len(whole)
        if self.has_content and not self.has_ended and not _TELLING.search(whole):
            events = count_objects(whole)
            if events:
                self._pieces += events
                self._said_bytes += text_bytes(OF_RESPONSE, whole)
                return whole
        return b"".join([event for event in split_events(whole) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream and give what is left: some servers leave out the last blank line."""
        event = self._cutter.rest()
        return event + b"\n\n" if event and self._passes(event) else b""

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole."""
        return self.has_ended and not self.failure

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""
        return self._is_said

    @property
    def object_id(self) -> str:
        """Of the object that the stream is about, "" while it has not said."""
        return text_of(self._reply.id)

    @property
    def _said_tokens(self) -> int:
        return max(self._pieces, self._said_bytes // BYTES_PER_TOKEN)

    def facts(self) -> ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        usage = self._usage
        if usage is None and self._endpoint.counts_tokens:
            usage = estimate_usage(self._asked_bytes, self._said_tokens * BYTES_PER_TOKEN)
        if usage is not None and not self.is_complete and not self._is_counted:
            said = usage.output_tokens
            if self._endpoint.counts_tokens:
                said = max(said or 0, self._said_tokens)
            usage = msgspec.structs.replace(usage, output_tokens=said, source="partial")
        return object_facts(self._reply, usage)

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        if self.has_ended:
            # Nothing may follow an error, nor an end, which some send twice.
            return False
        lines = DATA_LINE.findall(event)
        if not lines:
            return True
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if not data:
            return True
        self.has_data = True
        if data == DONE:
            # Some servers of the API send one; none is added.
            self.has_ended = True
            return True
        told = find_reply(data)
        if told is None:
            self.has_content = may_be_answer(data) or self.has_content
        else:
            self._take(told, data)
        if self.has_content:
            self._pieces += 1
            self._said_bytes += text_bytes(OF_RESPONSE, data)
        return True

    def _take(self, told: TypedReply, data: bytes) -> None:
        kind = text_of(told.type)
        inner = find_reply(bytes(told.response)) or told
        is_failure = kind in _FAILURES or (told.type is None and told.error is not None)
        if kind == _FAILED and _CALLERS_MISTAKES.fullmatch(_code_of(inner)):
            # An answer, as it is where the same comes whole: nobody else would say another thing.
            is_failure, self.has_content, self.has_ended = False, True, True
        if is_failure:
            self.failure = self.failure or data
        elif not _is_announcement(told, kind) or self._seen_bytes > MAX_PRELUDE_BYTES:
            self.has_content = True
        if is_failure or kind in _ENDS:
            self.has_ended = True
        if kind == _ITEM_DONE and isinstance(told.item, dict):
            self._is_said = text_of(told.item.get("type")) in _SAYS
        if inner.id is not None:
            self._reply = inner
        usage = add_drawn(read_usage(inner.usage) or read_usage(told.usage), inner)
        if usage is not None:
            self._usage, self._is_counted = usage, self.has_ended


class ToldReader(EventReader):
    """One stream of events that tell of something, and are no answer: whatever they say goes on.

    After an error a session of an agent has events still, and a stream that is resumed begins where it likes.
    """

    def _passes(self, event: bytes) -> bool:
        self.has_ended = False
        # What is no JSON leaves no hole where nothing is one answer.
        with suppress(UpstreamBadReply):
            super()._passes(event)
        return True


def _is_announcement(told: TypedReply, kind: str) -> bool:
    """Whether an event only says that something will come: a response, an empty message, a part of one."""
    if kind == _ITEM_ADDED and isinstance(told.item, dict):
        return text_of(told.item.get("type")) in _ITEMS_WITHOUT_CONTENT
    return kind in _PRELUDE
