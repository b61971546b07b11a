"""What a reply used that passes as it comes: by the shapes that most APIs have, whatever its path.

Pure. A provider often has the API of another beside its own (chat at Anthropic, Messages at OpenRouter), and
of a path that is not known nothing else tells which it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.endpoints.anthropic_reply import read_message_usage
from gateway.endpoints.cohere_reply import read_cohere_usage
from gateway.endpoints.converse_reply import read_converse_usage
from gateway.endpoints.gemini_counts import read_interaction_usage
from gateway.endpoints.gemini_reply import read_generated_usage
from gateway.endpoints.gemini_stream import GeneratedFacts
from gateway.endpoints.openai_content import decode_leniently, find_object
from gateway.endpoints.openai_events import ObjectFacts, TypedReply, add_drawn, object_facts
from gateway.endpoints.openai_reply import (
    UNREADABLE,
    count_of,
    estimate_usage,
    read_seconds,
    read_usage,
    text_of,
)
from gateway.endpoints.rerank_reply import read_cohere_meta
from gateway.endpoints.said_text import said_in_reply
from gateway.model import Dialect, Usage

_NULL: Final = msgspec.Raw(b"null")
NULL_BYTES: Final = len(_NULL)

_OF_SOUND: Final = ("transcribe", "translate")
"""What a transcription with its details says that it is; it also tells how long the sound is."""

_CACHED_APART: Final = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})


class PassedReply(TypedReply):
    """What is read of a reply, or of an event; all of it may be missing or of another type."""

    delta: Any = None
    x_groq: Any = None
    interaction: msgspec.Raw = _NULL
    candidates: msgspec.Raw = _NULL
    usageMetadata: msgspec.Raw = _NULL  # noqa: N815 - Google's name
    usage_info: Any = None
    task: Any = None
    duration: Any = None
    meta: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None

    @property
    def is_generated(self) -> bool:
        """It is of `generateContent`, or of its stream."""
        # Most events have neither, and each copy takes 0.1 us.
        if len(self.candidates) == NULL_BYTES == len(self.usageMetadata):
            return False
        return bytes(self.candidates).startswith(b"[") or bytes(self.usageMetadata).startswith(b"{")


_replies: Final = msgspec.json.Decoder(PassedReply)
_elements: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OF_PIECES: Final = b'"candidates"'


def find_passed(data: bytes) -> PassedReply | None:
    """What *data* say if they are a JSON object, else None."""
    try:
        return _replies.decode(data)
    except UNREADABLE:
        return None


def read_passed(dialect: Dialect, body: bytes) -> ObjectFacts | None:
    """What a whole reply says of itself, None where it is no JSON object, nor Google's array of pieces.

    Args:
        dialect: What the account speaks on known paths.
        body: The whole body.
    """
    told = find_passed(body)
    if told is None:
        return _read_array(body)
    if told.is_generated:
        found = find_object(body) or {}
        return ObjectFacts(
            response_id=text_of(found.get("responseId")),
            response_model=text_of(found.get("modelVersion")),
            finish_reasons=(),
            usage=read_generated_usage(found.get("usageMetadata")),
        )
    return object_facts(told, add_drawn(find_usage(dialect, told.usage), told) or _read_uncounted(told))


def guess_passed(body: bytes, *, asked_bytes: int) -> Usage | None:
    """An estimate of what a whole reply used that does not tell it, None of an error.

    Args:
        body: The whole body, of a call of a model.
        asked_bytes: Size of the call.
    """
    try:
        told = decode_leniently(body)
    except UNREADABLE:
        told = None
    # Google's may be an array.
    first = told[0] if isinstance(told, list) and told else told
    if isinstance(first, dict) and first.get("error") is not None:
        return None
    return estimate_usage(asked_bytes, said_in_reply(told))


def _read_array(body: bytes) -> ObjectFacts | None:
    """What `streamGenerateContent` says of itself where it is asked for no events: an array of pieces."""
    if _OF_PIECES not in body:
        return None
    try:
        elements = _elements.decode(body)
    except UNREADABLE:
        return None
    facts = GeneratedFacts(asked_bytes=0)
    for element in map(bytes, elements):
        told = find_passed(element)
        if told is None or not told.is_generated:
            # Another's array, which may be half a million numbers, or the error that ends this one.
            break
        facts.learn(find_object(element), element)
    return array_facts(facts)


def array_facts(facts: GeneratedFacts) -> ObjectFacts | None:
    """What the pieces in an array say: the usage is as the last of them has it; None where there are none."""
    usage = read_generated_usage(facts.usage)
    return ObjectFacts(facts.id, facts.model, (), usage) if facts.pieces else None


def find_usage(dialect: Dialect, usage: object) -> Usage | None:
    """The provider's own count by whatever names it has, None when it gave none that makes sense.

    Args:
        dialect: Where names mean one thing here and another there, it is as this has them.
        usage: As it came.
    """
    if not isinstance(usage, dict):
        return None
    for read in _OWN_READINGS.get(dialect, _READINGS):
        if (found := read(usage)) is not None:
            return found
    return None


def read_end(response: bytes) -> Usage | None:
    """What the end of a stream of Cohere's older chat tells, whose `response` is all of it once more."""
    told = find_passed(response) if response.startswith(b"{") else None
    return None if told is None else _read_meta(told.meta)


def _read_uncounted(told: PassedReply) -> Usage | None:
    """What is told by other names than `usage`: Mistral's pages, Cohere's and Ollama's counts, or seconds."""
    if isinstance(told.usage_info, dict):
        pages = count_of(told.usage_info.get("pages_processed"))
        return None if pages is None else Usage(None, None, "provider", pages=pages)
    if (counted := _read_meta(told.meta) or read_eval_counts(told)) is not None:
        return counted
    return read_seconds(told.duration) if told.task in _OF_SOUND else None


def _read_meta(meta: object) -> Usage | None:
    """Cohere's, of embeddings and of what ranks; its older chat tells there what was written too."""
    written = read_cohere_usage(meta)
    return written if written is not None and written.output_tokens is not None else read_cohere_meta(meta)


def read_eval_counts(told: PassedReply) -> Usage | None:
    """Ollama's own count, of its native API; a number that is 0 it leaves out."""
    read, written = count_of(told.prompt_eval_count), count_of(told.eval_count)
    return None if read is None and written is None else Usage(read, written, "provider")


def _read_cached_apart(usage: object) -> Usage | None:
    """Anthropic's, at whomever's: by the names of OpenAI's younger endpoints, without what the cache gave."""
    is_apart = isinstance(usage, dict) and not _CACHED_APART.isdisjoint(usage)
    return read_message_usage(usage) if is_apart else None


_READINGS: Final[tuple[Callable[[object], Usage | None], ...]] = (
    _read_cached_apart,
    read_usage,
    read_interaction_usage,
    read_converse_usage,
    read_cohere_usage,
)
_OWN_READINGS: Final[dict[Dialect, tuple[Callable[[object], Usage | None], ...]]] = {
    "anthropic": (read_message_usage, *_READINGS),
}
