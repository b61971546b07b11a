"""Reading an OpenAI-shaped reply: usage, ids, and whether a 200 is really a failure.

Shapes: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Usage

_COMPLETION: Final = b'"choices"'
_EXCERPT_BYTES: Final = 1024
_NULL_TEXT: Final = b"null"
_NULL: Final = msgspec.Raw(_NULL_TEXT)
_SOME: Final = msgspec.Raw(b"{}")
_NOTHING: Final = (_NULL_TEXT, b"[]")
_NOTHING_MORE: Final[dict[str, Any]] = {}
_MAX_S: Final = 1e9
_MOST_TOKENS: Final = 1 << 53
UNREADABLE: Final = (ValueError, RecursionError)
"""What decoding foreign JSON raises: malformed, not UTF-8, nested too deeply."""

FAILED: Final = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons of a choice that the provider could not finish: OpenRouter's, with servers like it, and
DeepSeek's (https://api-docs.deepseek.com/api/create-chat-completion)."""

BYTES_PER_TOKEN: Final = 4
"""What a token is taken to be where the provider does not count."""

MEDIA_BYTES_PER_TOKEN: Final = 500
"""The same of what is no text. Of sound and film that is 32 tokens a second at 128 kbit/s."""


class Choice(msgspec.Struct):
    """What the gateway reads of one choice, of a reply or of a chunk."""

    index: Any = None
    finish_reason: Any = None
    delta: Any = None
    text: Any = None
    # Left undecoded: of a whole reply it is nearly all of it, and only whether it is there is asked.
    message: msgspec.Raw = _NULL

    @property
    def has_content(self) -> bool:
        """Of a chunk: it carries more than a role."""
        delta = self.delta if isinstance(self.delta, dict) else {}
        return bool(self.finish_reason or self.text or any(delta[name] for name in delta if name != "role"))


class Reply(msgspec.Struct):
    """What the gateway reads of a reply, or of one chunk of a stream; all of it may be missing or null."""

    id: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    x_groq: Any = None
    error: Any = None
    # Left undecoded: a batch of embeddings is megabytes of numbers. (`Raw | None` would not stay raw.)
    data: msgspec.Raw = _NULL


_replies: Final = msgspec.json.Decoder(Reply)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class ReplyFacts(msgspec.Struct, frozen=True):
    """What the trace and the limits want to know of a reply.

    Attributes:
        response_id: `id`, "" when none.
        response_model: `model` as the provider gave it, "" when none.
        finish_reasons: One per choice, in order.
    """

    response_id: str
    response_model: str
    finish_reasons: tuple[str, ...]
    usage: Usage


def decode_reply(data: bytes) -> Reply:
    """Decode the members the gateway reads.

    What Python's own lenient parser reads is read: servers write NaN and -Infinity as log probabilities, and
    half surrogate pairs where a token ends inside a character; such a reply is no failure.

    Raises:
        ValueError: *data* is not a JSON object of that shape.
        RecursionError: It is nested too deeply.
    """
    try:
        return _replies.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        members = json.loads(data, strict=False)
        if not isinstance(members, dict):
            raise
        members["data"] = msgspec.Raw(json.dumps(members.get("data")).encode())
        choices = members.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and "message" in choice:
                choice["message"] = _NULL if choice["message"] is None else _SOME
        return msgspec.convert(members, Reply)


def _is_answered(choices: list[Choice] | None) -> bool:
    """Whether there is a message in one of them, or a text, be they empty."""
    for choice in choices or ():
        # Not copied to be compared: a picture in it is megabytes.
        if choice.text is not None or bytes(memoryview(choice.message)[:4]) != _NULL_TEXT:
            return True
    return False


def read_reply(endpoint: Endpoint, body: bytes, *, asked_bytes: int) -> ReplyFacts:
    """Read the body of a successful whole reply.

    Args:
        endpoint: What was asked.
        body: The whole body.
        asked_bytes: Size of the call, for the estimate when the provider reports no usage.

    Raises:
        UpstreamBadReply: It is not JSON, has an error inside, or lacks what the endpoint must give.
    """
    try:
        reply = decode_reply(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    if reply.error is not None:
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    choices = reply.choices
    has_answer = bytes(reply.data) not in _NOTHING if endpoint.name == "embedding" else _is_answered(choices)
    if not has_answer:
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    finish_reasons: list[str] = []
    for choice in choices or ():
        reason = choice.finish_reason
        if isinstance(reason, str) and reason in FAILED:
            msg = "The provider's reply ended with an error."
            raise UpstreamBadReply(msg, excerpt=excerpt(body))
        if reason:
            finish_reasons.append(text_of(reason))
    # Numbers are no tokens, and would be thousands.
    said_bytes = 0 if endpoint.name == "embedding" else len(body)
    usage = read_usage(reply.usage) or estimate_usage(asked_bytes, said_bytes)
    return ReplyFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=tuple(finish_reasons),
        usage=usage,
    )


def read_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense.

    Input and output as chat names them, or as Responses, images and transcriptions do; a transcription may be
    counted in seconds instead. The counts of `Usage` include what OpenAI's include.
    """
    if not isinstance(usage, dict):
        return None
    get = usage.get
    input_tokens = count_of(get("prompt_tokens"))
    output_tokens = count_of(get("completion_tokens"))
    if input_tokens is not None or output_tokens is not None:
        asked, answered = get("prompt_tokens_details"), get("completion_tokens_details")
    else:
        input_tokens = count_of(get("input_tokens"))
        output_tokens = count_of(get("output_tokens"))
        if input_tokens is None and output_tokens is None:
            return _read_duration(usage)
        # Transcriptions have `token` where images and Responses have `tokens`.
        asked = get("input_tokens_details") or get("input_token_details")
        answered = get("output_tokens_details") or get("output_token_details")
    if asked is None and answered is None:
        return Usage(input_tokens, output_tokens, "provider", _cached_beside(usage))
    details = asked if isinstance(asked, dict) else _NOTHING_MORE
    more = answered if isinstance(answered, dict) else _NOTHING_MORE
    reasoning_tokens = count_of(more.get("reasoning_tokens"))
    if reasoning_tokens:
        output_tokens = _with_reasoning(input_tokens, output_tokens, reasoning_tokens, get("total_tokens"))
    cached_tokens = count_of(details.get("cached_tokens"))
    read = Usage(
        input_tokens,
        output_tokens,
        "provider",
        _cached_beside(usage) if cached_tokens is None else cached_tokens,
        reasoning_tokens,
        # Of OpenAI's newer models, and of OpenRouter.
        count_of(details.get("cache_write_tokens")),
    )
    for group in (details, more):
        if group.get("audio_tokens") or group.get("image_tokens"):
            return _with_media(read, details, more)
    return read


def _cached_beside(usage: dict[str, Any]) -> int | None:
    """Cached input where Moonshot and Together AI, and where DeepSeek has it, beside OpenAI's details."""
    cached_tokens = count_of(usage.get("cached_tokens"))
    return count_of(usage.get("prompt_cache_hit_tokens")) if cached_tokens is None else cached_tokens


def _with_media(usage: Usage, asked: dict[str, Any], answered: dict[str, Any]) -> Usage:
    """The *usage* with the tokens of audio and images, of the few replies that have any."""
    of_cached = asked.get("cached_tokens_details")
    cached = of_cached if isinstance(of_cached, dict) else _NOTHING_MORE
    return msgspec.structs.replace(
        usage,
        cached_audio_input_tokens=count_of(cached.get("audio_tokens")),
        cached_image_input_tokens=count_of(cached.get("image_tokens")),
        audio_input_tokens=count_of(asked.get("audio_tokens")),
        image_input_tokens=count_of(asked.get("image_tokens")),
        audio_output_tokens=count_of(answered.get("audio_tokens")),
        image_output_tokens=count_of(answered.get("image_tokens")),
    )


def _with_reasoning(
    input_tokens: int | None, output_tokens: int | None, reasoning_tokens: int, total: object
) -> int | None:
    """The output with reasoning: xAI counts it beside the output, which shows in the total."""
    if input_tokens is None or output_tokens is None:
        return output_tokens
    with_reasoning = output_tokens + reasoning_tokens
    return with_reasoning if total == input_tokens + with_reasoning else output_tokens


def _read_duration(usage: dict[str, Any]) -> Usage | None:
    """The usage of a transcription that is paid by its length."""
    return read_seconds(usage.get("seconds")) if usage.get("type") == "duration" else None


def read_seconds(seconds: object) -> Usage | None:
    """The usage of so many *seconds* of sound, None where that is no length."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    return Usage(None, None, "provider", audio_s=float(seconds)) if 0 <= seconds < _MAX_S else None


def usage_beside(chunk: Reply) -> object:
    """Usage where Groq puts it in streams that were not asked for any; None elsewhere."""
    return chunk.x_groq.get("usage") if isinstance(chunk.x_groq, dict) else None


def estimate_usage(asked_bytes: int, reply_bytes: int) -> Usage:
    """A guess from sizes, four bytes a token, marked as one."""
    return Usage(asked_bytes // BYTES_PER_TOKEN, reply_bytes // BYTES_PER_TOKEN, "estimated")


def is_json_object(body: bytes) -> bool:
    """Whether *body* is a JSON object, so that an error of the provider can pass unchanged."""
    try:
        body.decode()
        _members.decode(body)
    except UNREADABLE:
        return False
    return True


def excerpt(body: bytes) -> str:
    """The beginning of a bad body, for the operator's span once it is masked and cut."""
    beginning = body[:_EXCERPT_BYTES]
    if _COMPLETION in beginning:
        # A reply that was cut: what the model said is content, and goes on spans only where content may.
        return "the beginning of a completion"
    return beginning.decode(errors="replace")


def count_of(value: object) -> int | None:
    """*value* if it can be a number of tokens."""
    # `type` and not `isinstance`: what is true or false is no number.
    return value if type(value) is int and 0 <= value < _MOST_TOKENS else None


def text_of(value: object) -> str:
    """*value* if it is a text, else "". What UTF-8 cannot carry (half a surrogate pair) becomes `?`."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode(errors="replace").decode()
