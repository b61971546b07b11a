"""How each feature of the matrix is asked for with the official SDKs, and what an answer of theirs says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import anthropic
import httpx
import openai
from botocore.exceptions import ClientError
from google import genai
from google.genai import types
from google.genai.errors import APIError as GoogleError

from tests.rig.bedrock_stack import TIMEOUT_S, bedrock_client
from tests.rig.manifests import APP_TOKEN
from tests.rig.matrix_answers import RANKS, VECTOR, Said, golden
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
    """The two clients of one server that most tests need."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic


@dataclass(frozen=True)
class AllClients(Clients):
    """Every official client of one server.

    Attributes:
        google: The one of an account, "" where the server is a provider.
        bedrock: Of Bedrock's runtime.
    """

    google: Callable[[str], genai.Client]
    bedrock: Any


def all_clients(
    running: ExitStack, url: str, google_url: str, bedrock_path: str = "", *, retries: int = 0
) -> AllClients:
    """Every client of the server at *url*, until *running* ends.

    Args:
        google_url: Of the `{account}` that Google's client asks for.
        retries: Of OpenAI's and Anthropic's.
    """
    options: dict[str, Any] = {"api_key": APP_TOKEN, "max_retries": retries, "timeout": TIMEOUT_S}

    @cache
    def of_google(account: str) -> genai.Client:
        at = types.HttpOptions(base_url=google_url.format(account=account), timeout=int(TIMEOUT_S * 1000))
        client = genai.Client(api_key=APP_TOKEN, http_options=at)
        running.callback(client.close)
        return client

    return AllClients(
        running.enter_context(openai.OpenAI(base_url=f"{url}/v1", **options)),
        running.enter_context(anthropic.Anthropic(base_url=url, **options)),
        of_google,
        running.enter_context(closing(bedrock_client(url + bedrock_path))),
    )


@dataclass(frozen=True)
class Told:
    """What a client was told.

    Attributes:
        items: The answer as the SDK gives it: one object, or the events until their end.
        error: What the SDK raised.
        headers: Of the response.
    """

    items: tuple[Any, ...]
    error: Exception | None
    headers: Any

    @property
    def left_out(self) -> tuple[str, ...]:
        """Fields that the model was not sent."""
        names = self.headers.get("x-tfy-dropped-params", "")
        return tuple(filter(None, names.split(", ")))

    @property
    def has_failed(self) -> bool:
        """By an error, or by an event that says so and that the SDK passes on."""
        return self.error is not None or self.items[-1].get("type") in {"error", "response.failed"}


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


def _rerank(_: str) -> dict[str, Any]:
    return {"query": QUESTION, "documents": ["one", "two"], "top_n": 2}


def _generate(feature: str) -> dict[str, Any]:
    config: dict[str, Any] = {"temperature": 0.5}
    if feature == "tools":
        tool = {**_TOOL, "parameters_json_schema": _PARAMETERS}
        config["tools"] = [{"function_declarations": [tool, {"name": "get_time"}]}]
    return {"contents": QUESTION, "config": config}


def _converse(feature: str) -> dict[str, Any]:
    more: dict[str, Any] = {}
    if feature == "tools":
        tools = (
            {**_TOOL, "inputSchema": {"json": _PARAMETERS}},
            {"name": "get_time", "inputSchema": {"json": _NOTHING}},
        )
        more["toolConfig"] = {"tools": [{"toolSpec": tool} for tool in tools]}
    return {"messages": [{"role": "user", "content": [{"text": QUESTION}]}], **more}


def _invoke(feature: str) -> dict[str, Any]:
    return {"body": json.dumps({"anthropic_version": "bedrock-2023-05-31", **_messages(feature)})}


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


def _said_in_ranks(items: list[dict[str, Any]], **_: bool) -> Said:
    ranks = [(result["index"], result["relevance_score"]) for result in items[0]["results"]]
    assert ranks == list(RANKS)
    return Said()


def _said_by_gemini(items: list[dict[str, Any]], **_: bool) -> Said:
    parts = [
        part
        for item in items
        for candidate in item["candidates"]
        for part in (candidate["content"] or {}).get("parts") or []
    ]
    usage = items[-1]["usage_metadata"]
    calls = [part["function_call"] for part in parts if part.get("function_call")]
    return Said(
        "".join(part.get("text") or "" for part in parts if not part.get("thought")),
        _read([(call["name"], json.dumps(call["args"])) for call in calls]),
        usage=(
            usage["prompt_token_count"],
            usage["candidates_token_count"] + usage["thoughts_token_count"],
        ),
    )


def _said_in_converse(items: list[dict[str, Any]], *, is_stream: bool) -> Said:
    if not is_stream:
        blocks, usage = items[0]["output"]["message"]["content"], items[0]["usage"]
        uses = [block["toolUse"] for block in blocks if "toolUse" in block]
        calls = [(use["name"], json.dumps(use["input"])) for use in uses]
        text = "".join(block.get("text", "") for block in blocks)
    else:
        usage = items[-1]["metadata"]["usage"]
        starts = [item["contentBlockStart"] for item in items if "contentBlockStart" in item]
        deltas = [item["contentBlockDelta"] for item in items if "contentBlockDelta" in item]
        text = "".join(each["delta"].get("text", "") for each in deltas)
        calls = [
            (start["start"]["toolUse"]["name"], "".join(_input_of(deltas, start["contentBlockIndex"])))
            for start in starts
        ]
    asked = usage["inputTokens"] + usage["cacheReadInputTokens"] + usage["cacheWriteInputTokens"]
    return Said(text, _read(calls), usage=(asked, usage["outputTokens"]))


def _input_of(deltas: list[dict[str, Any]], index: int) -> list[str]:
    return [each["delta"]["toolUse"]["input"] for each in deltas if each["contentBlockIndex"] == index]


def _read(calls: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Arguments as one text has them, whatever their blanks."""
    return tuple((name, json.dumps(json.loads(arguments or "{}"))) for name, arguments in calls)


def _events(items: list[dict[str, Any]]) -> bytes:
    return b"".join([f"data: {json.dumps(item)}\n\n".encode() for item in items])


# -- how an SDK is called


@dataclass
class Answer:
    """What has come so far."""

    items: list[Any] = field(default_factory=list)
    headers: Any = field(default_factory=dict)


Call = Callable[..., None]


def _calls(operation: Callable[[Clients], Any], *, must_ask_usage: bool = False) -> Call:
    """What OpenAI's and Anthropic's SDKs have; *must_ask_usage*: streams tell usage only who asks."""

    def call(clients: Clients, model: str, given: dict[str, Any], told: Answer, *, is_stream: bool) -> None:
        arguments = {"model": model, **given}
        if is_stream:
            arguments["stream"] = True
        if is_stream and must_ask_usage:
            arguments["stream_options"] = {"include_usage": True}
        raw = operation(clients).with_raw_response.create(**arguments)
        told.headers = raw.headers
        answer = raw.parse()
        for item in answer if is_stream else [answer]:
            told.items.append(item.to_dict())

    return call


def _call_rerank(clients: Clients, model: str, given: dict[str, Any], told: Answer, **_: bool) -> None:
    """No SDK of OpenAI's has ranks, but its client posts anything."""
    body = {"model": model, **given}
    response = clients.openai.post("/rerank", cast_to=httpx.Response, body=body)
    told.headers = response.headers
    told.items.append(response.json())


def _call_google(
    clients: AllClients, model: str, given: dict[str, Any], told: Answer, *, is_stream: bool
) -> None:
    account, _, model = model.rpartition("/")
    models = clients.google(account).models
    if not is_stream:
        _add_googles(told, models.generate_content(model=model, **given))
        return
    for chunk in models.generate_content_stream(model=model, **given):
        _add_googles(told, chunk)


def _add_googles(told: Answer, answer: Any) -> None:
    told.headers = answer.sdk_http_response.headers
    told.items.append(answer.model_dump(mode="json", exclude={"sdk_http_response"}))


def _call_converse(
    clients: AllClients, model: str, given: dict[str, Any], told: Answer, *, is_stream: bool
) -> None:
    if is_stream:
        answer = clients.bedrock.converse_stream(modelId=model, **given)
        told.headers = answer["ResponseMetadata"]["HTTPHeaders"]
        with closing(answer["stream"]) as events:
            told.items.extend(events)
        return
    answer = clients.bedrock.converse(modelId=model, **given)
    told.headers = answer.pop("ResponseMetadata")["HTTPHeaders"]
    told.items.append(answer)


def _call_invoke(
    clients: AllClients, model: str, given: dict[str, Any], told: Answer, *, is_stream: bool
) -> None:
    if is_stream:
        answer = clients.bedrock.invoke_model_with_response_stream(modelId=model, **given)
        told.headers = answer["ResponseMetadata"]["HTTPHeaders"]
        with closing(answer["body"]) as events:
            told.items.extend(json.loads(event["chunk"]["bytes"]) for event in events)
        return
    answer = clients.bedrock.invoke_model(modelId=model, **given)
    told.headers = answer["ResponseMetadata"]["HTTPHeaders"]
    told.items.append(json.loads(answer["body"].read()))


# -- one row for each path that a caller asks


@dataclass(frozen=True)
class Path:
    """One path of the gateway.

    Attributes:
        dialect: What its callers speak.
        call: Asks with an SDK.
        ask: The arguments that ask for a feature.
        read: What an answer says.
        features: Those that it has.
        can_stream: It has streams.
        model: Which of an account's models is called.
        is_opaque: Nobody but the caller reads what a model answers, so that an error in it is an answer.
        accounts: Columns of the docs; none: those that every path has.
    """

    dialect: str
    call: Call
    ask: Callable[[str], dict[str, Any]]
    read: Callable[..., Said]
    features: tuple[str, ...]
    can_stream: bool = True
    model: str = "m"
    is_opaque: bool = False
    accounts: tuple[str, ...] = ()


_FAILURES: Final = ("error status", "error inside", "cut")
_ALL: Final = (
    "text", "tools", "image", "JSON schema", "reasoning", "rare fields", "its own alone", *_FAILURES,
)  # fmt: skip
_TEXT: Final = ("text", *_FAILURES)
_TOOLS: Final = ("text", "tools", *_FAILURES)
PATHS: Final[dict[str, Path]] = {
    "chat completions": Path(
        "openai", _calls(lambda clients: clients.openai.chat.completions, must_ask_usage=True),
        _chat, _said_in_chat, _ALL,
    ),
    "completions": Path(
        "openai", _calls(lambda clients: clients.openai.completions, must_ask_usage=True),
        lambda _: {"prompt": QUESTION}, _said_in_completion, _TEXT,
    ),
    "Responses": Path(
        "openai", _calls(lambda clients: clients.openai.responses), _responses, _said_in_responses, _ALL
    ),
    "Messages": Path(
        "anthropic", _calls(lambda clients: clients.anthropic.messages), _messages, _said_in_messages, _ALL
    ),
    "embeddings": Path(
        "openai", _calls(lambda clients: clients.openai.embeddings),
        lambda _: {"input": QUESTION, "encoding_format": "float"}, _said_in_embedding, _TEXT,
        can_stream=False, model="e",
    ),
    "rerank": Path("openai", _call_rerank, _rerank, _said_in_ranks, _TEXT, can_stream=False, model="r"),
    "Google's SDK: generateContent": Path(
        "gemini", _call_google, _generate, _said_by_gemini, _TOOLS,
        accounts=("Gemini", "Vertex with Gemini", "Vertex with Claude", "Bedrock"),
    ),
    "Amazon's SDK: Converse": Path(
        "converse", _call_converse, _converse, _said_in_converse, _TOOLS,
        accounts=("Bedrock", "Anthropic", "Gemini"),
    ),
    "Amazon's SDK: InvokeModel": Path(
        "converse", _call_invoke, _invoke, _said_in_messages, _TOOLS,
        is_opaque=True, accounts=("Bedrock", "Anthropic", "Gemini"),
    ),
}  # fmt: skip


def ask(clients: Clients, path: Path, feature: str, model: str, *, is_stream: bool) -> Told:
    """One call with the SDK; what it raises is told too."""
    told = Answer()
    try:
        path.call(clients, model, path.ask(feature), told, is_stream=is_stream)
    except (openai.APIStatusError, anthropic.APIStatusError, GoogleError) as error:
        response: Any = error.response
        return Told(tuple(told.items), error, told.headers or response.headers)
    except ClientError as error:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return Told(tuple(told.items), error, told.headers or headers)
    except (openai.APIError, anthropic.APIError) as error:
        return Told(tuple(told.items), error, told.headers)
    return Told(tuple(told.items), None, told.headers)
