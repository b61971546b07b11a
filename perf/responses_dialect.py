"""A call of OpenAI's Responses and what answers it, in the sizes of the chat call's. Pure.

Events and their order: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

PATH: Final = "/v1/responses"
_ID: Final = "resp_perf0000000000000000000000000000"
_ITEM: Final = "msg_perf00000000000000000000000000000"


def request(model: str, text: str, **members: Any) -> bytes:
    """The body of a call whose answer is not stored."""
    return orjson.dumps(
        {
            "model": model,
            "instructions": "You are a helpful assistant.",
            "input": text,
            "temperature": 0.2,
            "max_output_tokens": 256,
            "store": False,
            **members,
        }
    )


def reply(model: str, text: str) -> bytes:
    """The body of the answer."""
    return orjson.dumps(_response(model, "completed", text, 164))


def events(model: str, words: Sequence[str]) -> tuple[bytes, ...]:
    """The answer as a stream, one event a word and those around them."""
    text = "".join(words)
    at = {"item_id": _ITEM, "output_index": 0, "content_index": 0}
    begun = {**_item(""), "status": "in_progress", "content": []}
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _response(model, "in_progress", None, None)}),
        ("response.in_progress", {"response": _response(model, "in_progress", None, None)}),
        ("response.output_item.added", {"output_index": 0, "item": begun}),
        ("response.content_part.added", {**at, "part": _part("")}),
        *[("response.output_text.delta", {**at, "delta": word, "logprobs": []}) for word in words],
        ("response.output_text.done", {**at, "text": text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": _part(text)}),
        ("response.output_item.done", {"output_index": 0, "item": _item(text)}),
        ("response.completed", {"response": _response(model, "completed", text, len(words))}),
    ]
    return tuple(_event(kind, number, members) for number, (kind, members) in enumerate(told))


def text_of(answer: Any) -> Any:
    """What an answer says.

    Raises:
        LookupError: It is none, as `TypeError`.
    """
    return answer["output"][0]["content"][0]["text"]


def streamed_text(stream: Sequence[Any]) -> str:
    """What a stream of decoded events says.

    Raises:
        LookupError: It did not come to its end, or the end says something else.
    """
    text = "".join(event["delta"] for event in stream if event["type"] == "response.output_text.delta")
    if stream[-1]["type"] != "response.completed" or text_of(stream[-1]["response"]) != text:
        raise LookupError("no end, or another one")
    return text


def _response(model: str, status: str, text: str | None, output_tokens: int | None) -> dict[str, Any]:
    usage = None
    if output_tokens is not None:
        usage = {
            "input_tokens": 112,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 112 + output_tokens,
        }
    return {
        "id": _ID,
        "object": "response",
        "created_at": 1764000000,
        "status": status,
        "model": model,
        "output": [] if text is None else [_item(text)],
        "error": None,
        "incomplete_details": None,
        "store": False,
        "usage": usage,
    }


def _item(text: str) -> dict[str, Any]:
    return {
        "id": _ITEM,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _event(kind: str, number: int, members: dict[str, Any]) -> bytes:
    event = {"type": kind, "sequence_number": number, **members}
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event))
