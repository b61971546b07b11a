"""A call of Anthropic's Messages and what answers it, in the sizes of the chat call's. Pure.

Events and their order: https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

PATH: Final = "/v1/messages"
_ID: Final = "msg_perf00000000000000000000"


def request(model: str, text: str, **members: Any) -> bytes:
    """The body of a call."""
    messages = [{"role": "user", "content": text}]
    system = "You are a helpful assistant."
    return orjson.dumps(
        {
            "model": model,
            "system": system,
            "messages": messages,
            "temperature": 0.2,
            "max_tokens": 256,
            **members,
        }
    )


def reply(model: str, text: str) -> bytes:
    """The body of the answer."""
    return orjson.dumps(
        {
            **_message(model),
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 112, "output_tokens": 164},
        }
    )


def events(model: str, words: Sequence[str]) -> tuple[bytes, ...]:
    """The answer as a stream, one event a word and those around them."""
    start = {"type": "text", "text": ""}
    return (
        _event("message_start", message=_message(model)),
        _event("content_block_start", index=0, content_block=start),
        *[
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            for word in words
        ],
        _event("content_block_stop", index=0),
        _event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": len(words)},
        ),
        _event("message_stop"),
    )


def text_of(answer: Any) -> Any:
    """What an answer says.

    Raises:
        LookupError: It is none, as `TypeError`.
    """
    return answer["content"][0]["text"]


def streamed_text(stream: Sequence[Any]) -> str:
    """What a stream of decoded events says.

    Raises:
        LookupError: It did not come to its end.
    """
    if stream[-1]["type"] != "message_stop":
        raise LookupError("no end")
    return "".join(
        event["delta"].get("text", "") for event in stream if event["type"] == "content_block_delta"
    )


def _message(model: str) -> dict[str, Any]:
    return {
        "id": _ID,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 112, "output_tokens": 1},
    }


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **members}))
