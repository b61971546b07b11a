"""How each feature of the matrix is asked for with the official SDKs, and what an answer of theirs says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai

from tests.rig.matrix_upstream import VECTOR, Said, golden
from tests.unit.translate.reassembly import message

PICTURE: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n canary").decode()
QUESTION: Final = "canary question"
SCHEMA: Final[dict[str, Any]] = golden("JSON schema").request["text"]["format"]["schema"]
_TOOL: Final = {"name": "get_weather", "description": "Weather now."}
_PARAMETERS: Final = {"type": "object", "properties": {"city": {"type": "string"}}}
_NOTHING: Final = {"type": "object", "properties": {}}
_ADDRESS: Final = f"data:image/png;base64,{PICTURE}"


@dataclass(frozen=True)
class Clients:
    """The two official clients of one server."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic


@dataclass(frozen=True)
class Told:
    """What a client was told.

    Attributes:
        items: The answer as the SDK gives it: one object, or the events until their end.
        error: What the SDK raised.
        headers: Of the response.
    """

    items: tuple[Any, ...]
    error: openai.APIError | anthropic.APIError | None
    headers: Any

    @property
    def left_out(self) -> tuple[str, ...]:
        """Fields that the model was not sent."""
        names = self.headers.get("x-tfy-dropped-params", "")
        return tuple(filter(None, names.split(", ")))


# -- what is asked


def _chat(feature: str) -> dict[str, Any]:
    content: Any = QUESTION
    more: dict[str, Any] = {}
    match feature:
        case "tools":
            tools = [{**_TOOL, "parameters": _PARAMETERS}, {"name": "get_time"}]
            more["tools"] = [{"type": "function", "function": tool} for tool in tools]
        case "image":
            picture = {"type": "image_url", "image_url": {"url": _ADDRESS}}
            content = [{"type": "text", "text": QUESTION}, picture]
        case "JSON schema":
            shape = {"name": "city", "schema": SCHEMA, "strict": True}
            more["response_format"] = {"type": "json_schema", "json_schema": shape}
        case "reasoning":
            more["reasoning_effort"] = "high"
        case "rare fields":
            more |= {"seed": 7, "user": "canary"}
        case "its own alone":
            more |= {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    return {"messages": [{"role": "user", "content": content}], **more}


def _responses(feature: str) -> dict[str, Any]:
    content: Any = QUESTION
    more: dict[str, Any] = {}
    match feature:
        case "tools":
            tools = [{**_TOOL, "parameters": _PARAMETERS}, {"name": "get_time", "parameters": _NOTHING}]
            more["tools"] = [{"type": "function", "strict": False, **tool} for tool in tools]
        case "image":
            picture = {"type": "input_image", "image_url": _ADDRESS, "detail": "auto"}
            content = [{"type": "input_text", "text": QUESTION}, picture]
        case "JSON schema":
            shape = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
            more["text"] = {"format": shape}
        case "reasoning":
            more["reasoning"] = {"effort": "high"}
        case "rare fields":
            more |= {"truncation": "auto", "max_tool_calls": 3}
        case "its own alone":
            more["previous_response_id"] = "resp_1"
    return {"input": [{"role": "user", "content": content}], **more}


def _messages(feature: str) -> dict[str, Any]:
    content: Any = QUESTION
    more: dict[str, Any] = {}
    match feature:
        case "tools":
            tools = {**_TOOL, "input_schema": _PARAMETERS}, {"name": "get_time", "input_schema": _NOTHING}
            more["tools"] = list(tools)
        case "image":
            source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
            content = [{"type": "text", "text": QUESTION}, {"type": "image", "source": source}]
        case "JSON schema":
            more["extra_body"] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
        case "reasoning":
            more["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        case "rare fields":
            more["extra_body"] = {"top_k": 3, "inference_geo": "eu"}
        case "its own alone":
            content = [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 4000, **more}


# -- what is answered


def _said_in_chat(items: list[dict[str, Any]], *, is_stream: bool) -> Said:
    choices = [choice for item in items for choice in item["choices"]]
    parts = [choice["delta" if is_stream else "message"] for choice in choices]
    calls: dict[int, list[str]] = {}
    for part in parts:
        for number, call in enumerate(part.get("tool_calls") or []):
            function = calls.setdefault(call.get("index", number), ["", ""])
            function[0] += call["function"].get("name") or ""
            function[1] += call["function"].get("arguments") or ""
    usage = items[-1]["usage"]
    return Said(
        "".join(part.get("content") or "" for part in parts),
        _read([(name, arguments) for name, arguments in calls.values()]),
        "".join(part.get("reasoning_content") or "" for part in parts),
        (usage["prompt_tokens"], usage["completion_tokens"]),
    )


def _said_in_completion(items: list[dict[str, Any]], **_: bool) -> Said:
    usage = items[-1]["usage"]
    text = "".join(choice["text"] for item in items for choice in item["choices"])
    return Said(text, usage=(usage["prompt_tokens"], usage["completion_tokens"]))


def _said_in_responses(items: list[dict[str, Any]], *, is_stream: bool) -> Said:
    response = items[-1]["response"] if is_stream else items[0]
    text = "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
        if part["type"] == "output_text"
    )
    if is_stream:
        deltas = [item["delta"] for item in items if item["type"] == "response.output_text.delta"]
        assert "".join(deltas) == text
    thoughts = "".join(
        part["text"]
        for item in response["output"]
        if item["type"] == "reasoning"
        for part in [*(item.get("content") or []), *item["summary"]]
    )
    calls = [
        (item["name"], item["arguments"]) for item in response["output"] if item["type"] == "function_call"
    ]
    usage = response["usage"]
    return Said(text, _read(calls), thoughts, (usage["input_tokens"], usage["output_tokens"]))


def _said_in_messages(items: list[dict[str, Any]], *, is_stream: bool) -> Said:
    whole = message(_events(items)) if is_stream else items[0]
    blocks, usage = whole["content"], whole["usage"]
    cached = (usage.get(f"cache_{kind}_input_tokens") or 0 for kind in ("read", "creation"))
    return Said(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        _read(
            [(block["name"], json.dumps(block["input"])) for block in blocks if block["type"] == "tool_use"]
        ),
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        (usage["input_tokens"] + sum(cached), usage["output_tokens"]),
    )


def _said_in_embedding(items: list[dict[str, Any]], **_: bool) -> Said:
    assert items[0]["data"][0]["embedding"] == VECTOR
    return Said(usage=(items[0]["usage"]["prompt_tokens"], 0))


def _read(calls: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Arguments as one text has them, whatever their blanks."""
    return tuple((name, json.dumps(json.loads(arguments or "{}"))) for name, arguments in calls)


def _events(items: list[dict[str, Any]]) -> bytes:
    return b"".join([f"data: {json.dumps(item)}\n\n".encode() for item in items])


# -- one row for each path that a caller asks


@dataclass(frozen=True)
class Path:
    """One path of the gateway.

    Attributes:
        dialect: What its callers speak.
        operation: What of an SDK calls it.
        ask: The arguments that ask for a feature.
        read: What an answer says.
        features: Those that it has.
        can_stream: It has streams.
        must_ask_usage: Its streams tell usage only who asks.
    """

    dialect: str
    operation: Callable[[Clients], Any]
    ask: Callable[[str], dict[str, Any]]
    read: Callable[..., Said]
    features: tuple[str, ...]
    can_stream: bool = True
    must_ask_usage: bool = False


_FAILURES: Final = ("error status", "error inside", "cut")
_ALL: Final = (
    "text", "tools", "image", "JSON schema", "reasoning", "rare fields", "its own alone", *_FAILURES,
)  # fmt: skip
_TEXT: Final = ("text", *_FAILURES)
PATHS: Final[dict[str, Path]] = {
    "chat completions": Path(
        "openai", lambda clients: clients.openai.chat.completions, _chat, _said_in_chat, _ALL,
        must_ask_usage=True,
    ),
    "completions": Path(
        "openai", lambda clients: clients.openai.completions, lambda _: {"prompt": QUESTION},
        _said_in_completion, _TEXT, must_ask_usage=True,
    ),
    "Responses": Path(
        "openai", lambda clients: clients.openai.responses, _responses, _said_in_responses, _ALL
    ),
    "Messages": Path(
        "anthropic", lambda clients: clients.anthropic.messages, _messages, _said_in_messages, _ALL
    ),
    "embeddings": Path(
        "openai", lambda clients: clients.openai.embeddings,
        lambda _: {"input": QUESTION, "encoding_format": "float"}, _said_in_embedding, _TEXT,
        can_stream=False,
    ),
}  # fmt: skip


def ask(clients: Clients, path: Path, feature: str, model: str, *, is_stream: bool) -> Told:
    """One call with the SDK; what it raises is told too."""
    arguments = {"model": model, **path.ask(feature)}
    if is_stream:
        arguments["stream"] = True
    if is_stream and path.must_ask_usage:
        arguments["stream_options"] = {"include_usage": True}
    items: list[Any] = []
    headers: Any = {}
    try:
        raw = path.operation(clients).with_raw_response.create(**arguments)
        headers = raw.headers
        answer = raw.parse()
        if is_stream:
            items.extend(item.to_dict() for item in answer)
        else:
            items.append(answer.to_dict())
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return Told(tuple(items), error, headers or error.response.headers)
    except (openai.APIError, anthropic.APIError) as error:
        return Told(tuple(items), error, headers)
    return Told(tuple(items), None, headers)
