"""The bytes that every measured request and reply consists of.

Pure. Both ends of a measurement share them: the upstream answers exactly `REPLY`, the load generator accepts
nothing else, so whatever lies between them cannot get faster by losing or changing bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

import orjson

from perf import messages_dialect, responses_dialect

CHAT_PATH: Final = "/v1/chat/completions"
STATS_PATH: Final = "/perf/stats"
UPSTREAM_MODEL: Final = "perf-model"
# The sizes of the published figures in docs and README, so that runs stay comparable with each other.
REQUEST_BYTES: Final = 553
REPLY_BYTES: Final = 1126
STREAM_CHUNKS: Final = 100
"""Content events of a streamed reply; usage and the end mark follow."""

_SENTENCE: Final = "The quick brown fox jumps over the lazy dog while the gateway counts its tokens. "


def _padding(size: int) -> str:
    return (_SENTENCE * (size // len(_SENTENCE) + 1))[:size]


class Dialect(enum.StrEnum):
    """The API that a call, and what answers it, are written for."""

    CHAT = "chat"
    MESSAGES = "messages"
    RESPONSES = "responses"

    @property
    def path(self) -> str:
        """Where such calls go."""
        return {
            Dialect.CHAT: CHAT_PATH,
            Dialect.MESSAGES: messages_dialect.PATH,
            Dialect.RESPONSES: responses_dialect.PATH,
        }[self]


class _Words(Protocol):
    """How calls and answers of a dialect are written and read. A module is one."""

    def request(self, model: str, text: str, **members: Any) -> bytes: ...

    def reply(self, model: str, text: str) -> bytes: ...

    def events(self, model: str, words: Sequence[str]) -> tuple[bytes, ...]: ...

    def text_of(self, answer: Any) -> Any: ...

    def streamed_text(self, stream: Sequence[Any]) -> str: ...


# Chat's are below: what is measured most has pace and sizes of its own.
_WORDS: Final[Mapping[Dialect, _Words]] = {
    Dialect.MESSAGES: messages_dialect,
    Dialect.RESPONSES: responses_dialect,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of call, and what answers it.

    Attributes:
        pace_ms: Between two events of a stream of chat, and before an answer of chat that is no stream; 0: as
            fast as they can be written.
    """

    size_bytes: int = REQUEST_BYTES
    is_stream: bool = False
    pace_ms: int = 0
    dialect: Dialect = Dialect.CHAT

    @property
    def name(self) -> str:
        """For people."""
        if not self.is_stream:
            return f"{self.size_bytes:,} bytes"
        return f"streams paced {self.pace_ms} ms" if self.pace_ms else "streams"

    def request(self, model: str) -> bytes:
        """The body of the call."""
        words = _WORDS.get(self.dialect)
        if words is not None:
            members = {"stream": True} if self.is_stream else {}
            return _fitting(lambda text: words.request(model, text, **members), self.size_bytes)
        # Usage is asked for by the caller, so that a gateway which wants to know it changes nothing.
        stream = {"stream": True, "stream_options": {"include_usage": True}} if self.is_stream else {}
        # The upstream's pace travels in a field that every gateway passes on.
        user = {"user": f"{PACE}{self.pace_ms}"} if self.pace_ms else {}
        return chat_request(model, self.size_bytes, **stream, **user)

    def reply(self) -> bytes:
        """The body of the answer."""
        return b"".join(stream_events(dialect=self.dialect)) if self.is_stream else REPLIES[self.dialect]


SMALL_CHAT: Final = Ask()
PACE: Final = "pace_ms="
"""What stands before the pace in `user`."""


def chat_request(model: str, size_bytes: int = REQUEST_BYTES, **members: Any) -> bytes:
    """The JSON body of a chat call of exactly *size_bytes*, with *members* more.

    Raises:
        ValueError: *size_bytes* is smaller than the call without any text.
    """

    def body(text: str) -> bytes:
        return orjson.dumps(
            {
                "model": model,
                "messages": [
                    {"role": "system", "content": "You are a helpful assistant."},
                    {"role": "user", "content": text},
                ],
                "temperature": 0.2,
                "max_tokens": 256,
                **members,
            }
        )

    return _fitting(body, size_bytes)


def _fitting(body: Callable[[str], bytes], size_bytes: int) -> bytes:
    missing = size_bytes - len(body(""))
    if missing < 0:
        raise ValueError(f"the call does not fit {size_bytes} bytes")
    return body(_padding(missing))


def _word(number: int) -> str:
    return f"word{number} "


def _chat_reply(text: str) -> bytes:
    return orjson.dumps(
        {
            "id": "chatcmpl-perf0000000000000000000000",
            "object": "chat.completion",
            "created": 1764000000,
            "model": UPSTREAM_MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 112, "completion_tokens": 164, "total_tokens": 276},
            "system_fingerprint": "fp_perf000000",
        }
    )


_REPLY_TEXT: Final = _padding(REPLY_BYTES - len(_chat_reply("")))
REPLY: Final = _chat_reply(_REPLY_TEXT)
REPLIES: Final = {
    Dialect.CHAT: REPLY,
    **{dialect: words.reply(UPSTREAM_MODEL, _REPLY_TEXT) for dialect, words in _WORDS.items()},
}
"""The same text in each dialect."""

_STREAM_TEXT: Final = "".join(_word(number) for number in range(STREAM_CHUNKS))


def says_the_same(body: bytes, dialect: Dialect = Dialect.CHAT) -> bool:
    """Whether *body* has the text of a reply, whole or streamed: who writes it anew must keep that."""
    try:
        if body.startswith((b"data:", b"event:")):
            return _streamed_text(body, dialect) == _STREAM_TEXT
        return bool(_text_of(orjson.loads(body), dialect) == _REPLY_TEXT)
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False


def _text_of(answer: Any, dialect: Dialect) -> Any:
    words = _WORDS.get(dialect)
    return answer["choices"][0]["message"]["content"] if words is None else words.text_of(answer)


def _streamed_text(body: bytes, dialect: Dialect) -> str:
    """The text of a stream that came to its end.

    Raises:
        LookupError: It did not.
    """
    words = _WORDS.get(dialect)
    if words is None:
        return _streamed_chat(body)
    lines = (line for line in body.splitlines() if line.startswith(b"data:"))
    return words.streamed_text([orjson.loads(line.removeprefix(b"data:")) for line in lines])


def _streamed_chat(body: bytes) -> str:
    """The same of a stream of chat.

    Raises:
        LookupError: The end mark is missing.
    """
    *chunks, end = (line.removeprefix(b"data:").strip() for line in body.split(b"\n\n") if line.strip())
    if end != b"[DONE]":
        raise LookupError("no end mark")
    deltas = (choice["delta"] for chunk in chunks for choice in orjson.loads(chunk)["choices"])
    return "".join(delta.get("content") or "" for delta in deltas)


@cache
def stream_events(chunks: int = STREAM_CHUNKS, *, dialect: Dialect = Dialect.CHAT) -> tuple[bytes, ...]:
    """The server-sent events of a streamed reply: *chunks* of content, and the others of its dialect.

    Of chat these are usage and the end mark.
    """
    words = _WORDS.get(dialect)
    if words is not None:
        return words.events(UPSTREAM_MODEL, [_word(number) for number in range(chunks)])

    def event(choices: list[dict[str, object]], usage: dict[str, int] | None) -> bytes:
        chunk = {
            "id": "chatcmpl-perf0000000000000000000000",
            "object": "chat.completion.chunk",
            "created": 1764000000,
            "model": UPSTREAM_MODEL,
            "choices": choices,
            "usage": usage,
        }
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    content = tuple(
        event([{"index": 0, "delta": {"content": _word(number)}, "finish_reason": None}], None)
        for number in range(chunks)
    )
    usage = {"prompt_tokens": 112, "completion_tokens": chunks, "total_tokens": 112 + chunks}
    return (*content, event([], usage), b"data: [DONE]\n\n")
