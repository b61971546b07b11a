"""Streams put together again, as clients do it."""

from __future__ import annotations

import json
from typing import Any

from gateway.wire.aws_event_stream import EventStreamParser
from gateway.wire.sse import read_events


def chat_message(stream: bytes) -> tuple[dict[str, Any], str | None]:
    """The message and the finish reason that the chunks of a chat completion add up to."""
    said: dict[str, Any] = {}
    reason = None
    for chunk in map(json.loads, read_events(stream)):
        for choice in chunk["choices"]:
            reason = choice["finish_reason"] or reason
            for name, value in choice["delta"].items():
                if name == "tool_calls":
                    _add_calls(said.setdefault(name, []), value)
                elif name in ("thinking_blocks", "annotations"):
                    _add_entries(said.setdefault(name, []), value)
                elif isinstance(value, list | str) and said.get(name) is not None:
                    said[name] += value
                else:
                    said[name] = value
    for call in said.get("tool_calls", []):
        del call["index"]
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return said, reason


def _add_calls(calls: list[Any], pieces: list[Any]) -> None:
    for piece in pieces:
        if piece["index"] == len(calls):
            calls.append(json.loads(json.dumps(piece)))
        else:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]


def _add_entries(entries: list[Any], pieces: list[Any]) -> None:
    """As OpenAI's SDKs do it: by their numbers, which a list that comes in one piece need not have."""
    is_first = not entries
    for piece in pieces:
        assert piece.get("index") == len(entries) or is_first
        entries.append({name: value for name, value in piece.items() if name != "index"})


def message(stream: bytes) -> dict[str, Any]:  # noqa: C901 - one case for each event
    """The message that the events of a stream add up to; blocks must come one after the other."""
    said: dict[str, Any] = {}
    written = ""
    for event in map(json.loads, read_events(stream)):
        match event["type"]:
            case "message_start":
                assert not said, "a second start"
                said = event["message"]
            case "content_block_start":
                assert event["index"] == len(said["content"]), "a block out of its turn"
                said["content"].append(dict(event["content_block"]))
                written = ""
            case "content_block_delta":
                assert event["index"] == len(said["content"]) - 1, "of another block than the open one"
                block, delta = said["content"][-1], event["delta"]
                written += delta.get("partial_json", "")
                for name in ("text", "thinking", "signature"):
                    if name in delta:
                        block[name] += delta[name]
            case "content_block_stop":
                if written:
                    said["content"][-1]["input"] = json.loads(written)
            case "message_delta":
                said |= event["delta"]
                said["usage"] |= event["usage"]
            case "message_stop":
                return said
    return said


def converse_reply(stream: bytes) -> dict[str, Any]:
    """The whole reply of Converse that the messages of a stream add up to."""
    blocks: dict[int, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    for message in EventStreamParser().feed(stream):
        event = json.loads(message.payload)
        match message.kind:
            case "contentBlockStart":
                used = event["start"]["toolUse"]
                blocks[event["contentBlockIndex"]] = {"toolUse": {**used, "input": ""}}
            case "contentBlockDelta":
                _add_delta(blocks.setdefault(event["contentBlockIndex"], {}), event["delta"])
            case "messageStop":
                reply["stopReason"] = event["stopReason"]
            case "metadata":
                reply["usage"] = event["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return {**reply, "output": {"message": {"role": "assistant", "content": list(blocks.values())}}}


def _add_delta(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        block["text"] = block.get("text", "") + delta["text"]
