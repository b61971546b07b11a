"""What a caller may count on, whoever answered: the types of the official SDKs, and the order of a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, get_args

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter, ValidationError

from gateway.wire.sse import DATA_LINE, DONE, split_events

_WHOLE: Final[dict[str, TypeAdapter[Any]]] = {
    "/v1/chat/completions": TypeAdapter(ChatCompletion),
    "/v1/messages": TypeAdapter(Message),
    "/v1/responses": TypeAdapter(Response),
}
_CHUNK: Final = TypeAdapter(ChatCompletionChunk)


def _by_type(events: Any) -> dict[str, TypeAdapter[Any]]:
    """Of a union of events each one's, by what its `type` says."""
    return {
        get_args(each.model_fields["type"].annotation)[0]: TypeAdapter(each)
        for each in get_args(get_args(events)[0])
    }


_MESSAGE_EVENTS: Final = _by_type(RawMessageStreamEvent)
_RESPONSE_EVENTS: Final = _by_type(ResponseStreamEvent)
_DELTAS: Final = frozenset(
    {"text_delta", "input_json_delta", "thinking_delta", "signature_delta", "citations_delta"}
)
_LAST_OF_RESPONSES: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "error"}
)


def check_whole(path: str, said: bytes) -> None:
    """An answer is one of the dialect that *path* belongs to."""
    adapter = _WHOLE.get(path)
    value = json.loads(said)
    if adapter is None:
        return
    for choice in value.get("choices", []):
        _drop_citations(choice["message"])
    for block in value.get("content", []):
        block.pop("citations", None)
    _check_types(adapter, value)


def _check_types(adapter: TypeAdapter[Any], value: Any) -> None:
    """*value* has the types of its dialect; a word may be another, as why it ended."""
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        if any(each["type"] != "literal_error" for each in error.errors()):
            raise


def _drop_citations(message: dict[str, Any]) -> None:
    """Those of documents, which OpenAI's dialect has no words for. What their sources say passes."""
    found = message.get("annotations") or []
    message["annotations"] = [each for each in found if each["type"] != "citation"]


def check_stream(path: str, said: bytes) -> None:
    """Whole events with an end, or an error, and nothing behind it."""
    assert said.endswith(b"\n\n"), said[-100:]
    events = [(_name(event), b"\n".join(DATA_LINE.findall(event))) for event in split_events(said)]
    match path:
        case "/v1/chat/completions":
            _check_chunks([data for _, data in events])
        case "/v1/messages":
            _check_messages(events)
        case "/v1/responses":
            _check_responses(events)


def _name(event: bytes) -> str:
    line = event.partition(b"\n")[0]
    return line.removeprefix(b"event: ").decode() if line.startswith(b"event: ") else ""


def _check_chunks(events: Sequence[bytes]) -> None:
    *earlier, last = events
    assert DONE not in earlier
    chunks = [json.loads(data) for data in (earlier if last == DONE else events)]
    errors = ["error" in chunk for chunk in chunks]
    assert not any(errors[:-1]), "more behind an error"
    assert last == DONE or errors[-1], "no end"
    for chunk, is_error in zip(chunks, errors, strict=True):
        if not is_error:
            for choice in chunk["choices"]:
                _drop_citations(choice["delta"])
            _check_types(_CHUNK, chunk)


def _check_messages(events: Sequence[tuple[str, bytes]]) -> None:
    open_block: int | None = None
    blocks = 0
    kinds: list[str] = []
    for name, data in events:
        event = json.loads(data)
        kind = event["type"]
        assert name == kind
        assert not kinds or kinds[-1] not in ("message_stop", "error"), "more behind the end"
        kinds.append(kind)
        if kind in ("error", "ping"):
            continue
        if event.get("delta", {}).get("type") != "citations_delta":
            _check_types(_MESSAGE_EVENTS[kind], event)
        match kind:
            case "message_start":
                assert kinds.count(kind) == 1
            case "content_block_start":
                assert (open_block, event["index"]) == (None, blocks)
                open_block, blocks = blocks, blocks + 1
            case "content_block_delta":
                assert event["index"] == open_block
                assert event["delta"]["type"] in _DELTAS
            case "content_block_stop":
                assert event["index"] == open_block
                open_block = None
            case "message_delta" | "message_stop":
                assert open_block is None, "a block that is open at the end"
    assert kinds[-1] in ("message_stop", "error"), kinds
    assert kinds[-1] == "error" or kinds[-2] == "message_delta", kinds
    assert kinds[0] in ("message_start", "error"), kinds


def _check_responses(events: Sequence[tuple[str, bytes]]) -> None:
    values = [json.loads(data) for _, data in events]
    kinds = [value["type"] for value in values]
    assert [name for name, _ in events] == kinds
    earlier = kinds[:-2] if kinds[-2:] == ["error", "response.failed"] else kinds[:-1]
    assert not set(earlier) & _LAST_OF_RESPONSES, kinds
    assert kinds[-1] in _LAST_OF_RESPONSES, kinds
    assert kinds[0] in ("response.created", "error"), kinds
    # An error of ours is not counted: where it is made, events are not.
    counted = values[:-1] if kinds[-1] == "error" else values
    assert [value["sequence_number"] for value in counted] == list(range(len(counted)))
    open_items: dict[int, str] = {}
    for value in values:
        if value["type"] != "error":
            _check_types(_RESPONSE_EVENTS[value["type"]], value)
        match value["type"]:
            case "response.output_item.added":
                assert value["output_index"] not in open_items
                open_items[value["output_index"]] = value["item"]["id"]
            case "response.output_item.done":
                assert value["item"]["id"] == open_items[value["output_index"]]
    if kinds[-1] == "response.completed":
        done = [value["item"]["id"] for value in values if value["type"] == "response.output_item.done"]
        assert [item["id"] for item in values[-1]["response"]["output"]] == done
