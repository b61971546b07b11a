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
_NOTHING: Final = (b"null", b"[]")
UNREADABLE: Final = (ValueError, RecursionError)
"""What decoding foreign JSON raises: malformed, not UTF-8, nested too deeply."""

BYTES_PER_TOKEN: Final = 4
"""What a token is taken to be where the provider does not count."""


class Choice(msgspec.Struct):
    """What the gateway reads of one choice, of a reply or of a chunk."""

    index: Any = None
    finish_reason: Any = None
    delta: Any = None
    text: Any = None

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
    error: Any = None
    # Left undecoded: a batch of embeddings is megabytes of numbers. (`Raw | None` would not stay raw.)
    data: msgspec.Raw = msgspec.Raw(b"null")


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
        return msgspec.convert(members, Reply)


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
    has_answer = bytes(reply.data) not in _NOTHING if endpoint.name == "embedding" else bool(reply.choices)
    if not has_answer:
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    usage = read_usage(reply.usage) or estimate_usage(asked_bytes, len(body))
    return ReplyFacts(
        response_id=text_of(reply.id),
        response_model=text_of(reply.model),
        finish_reasons=tuple(
            text_of(choice.finish_reason) for choice in reply.choices or () if choice.finish_reason
        ),
        usage=usage,
    )


def read_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    input_tokens = count_of(usage.get("prompt_tokens"))
    output_tokens = count_of(usage.get("completion_tokens"))
    if input_tokens is None and output_tokens is None:
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        source="provider",
        cached_input_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_output_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
        # OpenAI has no such count; OpenRouter, which has its dialect, does.
        cache_write_input_tokens=_detail(usage, "prompt_tokens_details", "cache_write_tokens"),
    )


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


def _detail(usage: dict[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return count_of(details.get(name)) if isinstance(details, dict) else None


def count_of(value: object) -> int | None:
    """*value* if it can be a number of tokens."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53
    return value if is_count else None  # type: ignore[return-value]  # is_count says it is an int


def text_of(value: object) -> str:
    """*value* if it is a text, else "". What UTF-8 cannot carry (half a surrogate pair) becomes `?`."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode(errors="replace").decode()
