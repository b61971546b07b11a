"""The official `openai` SDK, pointed at the gateway, finds what it expects, streamed and whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.rig.behaviours import TEXT
from tests.rig.llama_server import SENTENCE
from tests.rig.manifests import NARROW_TOKEN
from tests.rig.requires import requires
from tests.rig.sdk_stack import LLAMA_MODEL, LLMOCK_MODEL, SdkStack
from tests.rig.until import until_async

PREFIXES = ["", "/v1", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"]
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say grün."}]
# The SDK has no type of its own for a name and a schema.
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: list[ChatCompletionToolParam] = [
    {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": SCHEMA}}
]
MODELS = [
    pytest.param(LLMOCK_MODEL, "gpt-4o", marks=requires("llmock"), id="llmock"),
    pytest.param(LLAMA_MODEL, SENTENCE, marks=requires("xllamacpp"), id="llama.cpp"),
    pytest.param("fake/normal", TEXT, id="fake"),
]


@pytest.mark.parametrize(("model", "text"), MODELS)
def test_chat(client: OpenAI, model: str, text: str) -> None:
    """A whole answer with its usage."""
    completion = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=60)
    assert completion.choices[0].message.content is not None
    assert text in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 0


@pytest.mark.parametrize(("model", "text"), MODELS)
def test_chat_stream(client: OpenAI, model: str, text: str) -> None:
    """The same in pieces, without a usage chunk nobody asked for."""
    chunks = list(client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=60, stream=True))
    assert text in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert len(chunks) > 4
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize(("model", "text"), MODELS)
def test_chat_stream_with_usage(client: OpenAI, model: str, text: str) -> None:
    """A client that asks gets the usage chunk last."""
    stream = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=60, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].choices == []


@pytest.mark.parametrize(("model", "text"), MODELS)
async def test_async_chat(stack: SdkStack, model: str, text: str) -> None:
    """The asynchronous client, whole and streamed."""
    async with stack.async_client() as client:
        completion = await client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=60)
        assert text in (completion.choices[0].message.content or "")
        pieces = [
            chunk.choices[0].delta.content or ""
            async for chunk in await client.chat.completions.create(
                model=model, messages=MESSAGES, max_tokens=60, stream=True
            )
        ]
    assert text in "".join(pieces)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(LLMOCK_MODEL, marks=requires("llmock"), id="llmock"),
        pytest.param(LLAMA_MODEL, marks=requires("xllamacpp"), id="llama.cpp"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tool_call(client: OpenAI, model: str, *, stream: bool) -> None:
    """One tool call, its arguments valid against the schema."""
    arguments: dict[str, Any] = {
        "model": model, "messages": MESSAGES, "tools": TOOLS, "tool_choice": "required", "max_tokens": 200,
    }  # fmt: skip
    if stream:
        name, text, reason = "", "", None
        for chunk in client.chat.completions.create(stream=True, **arguments):
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                for call in choice.delta.tool_calls or []:
                    assert call.function is not None
                    name += call.function.name or ""
                    text += call.function.arguments or ""
    else:
        choice = client.chat.completions.create(**arguments).choices[0]
        assert choice.message.tool_calls
        (whole,) = choice.message.tool_calls
        name, text, reason = whole.function.name, whole.function.arguments, choice.finish_reason
    assert (name, json.loads(text), reason) == ("weather", {"city": "Paris"}, "tool_calls")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls(client: OpenAI, *, stream: bool) -> None:
    """Two calls in one answer keep ids, order and arguments, also put together from a stream by the SDK."""
    if stream:
        with client.chat.completions.stream(model="fake/tools", messages=MESSAGES) as events:
            calls = events.get_final_completion().choices[0].message.tool_calls
    else:
        completion = client.chat.completions.create(model="fake/tools", messages=MESSAGES)
        calls = completion.choices[0].message.tool_calls  # type: ignore[assignment]
    assert [(call.id, call.function.name, call.function.arguments) for call in calls or []] == [
        ("call_a", "weather", '{"city":"Köln"}'),
        ("call_b", "time", "{}"),
    ]


@requires("llmock")
def test_tool_loop(client: OpenAI) -> None:
    """The whole turn: call, result, answer."""
    first = client.chat.completions.create(model=LLMOCK_MODEL, messages=MESSAGES, tools=TOOLS)
    message = first.choices[0].message
    assert message.tool_calls
    conversation: list[Any] = [
        *MESSAGES,
        message.to_dict(),
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"},
    ]
    second = client.chat.completions.create(model=LLMOCK_MODEL, messages=conversation, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    assert second.choices[0].message.content


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(LLMOCK_MODEL, marks=requires("llmock"), id="llmock"),
        pytest.param("fake/normal", id="fake"),
    ],
)
def test_embeddings(client: OpenAI, model: str) -> None:
    """Several inputs, one vector each (the SDK asks for base64 by itself)."""
    reply = client.embeddings.create(model=model, input=["a", "b"])
    assert [item.index for item in reply.data] == [0, 1]
    assert all(isinstance(number, float) for number in reply.data[0].embedding)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        pytest.param(LLAMA_MODEL, SENTENCE, marks=requires("xllamacpp"), id="llama.cpp"),
        pytest.param("fake/normal", TEXT, id="fake"),
    ],
)
def test_completions(client: OpenAI, model: str, text: str) -> None:
    """The old endpoint, whole and streamed."""
    whole = client.completions.create(model=model, prompt="x", max_tokens=60)
    assert text in whole.choices[0].text
    pieces = client.completions.create(model=model, prompt="x", max_tokens=60, stream=True)
    assert text in "".join(piece.choices[0].text for piece in pieces if piece.choices)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix(stack: SdkStack, prefix: str) -> None:
    """Any base URL that TrueFoundry's clients use."""
    with stack.client(prefix=prefix) as client:
        assert "fake/normal" in {model.id for model in client.models.list()}
        completion = client.chat.completions.create(model="fake/normal", messages=MESSAGES)
        assert completion.choices[0].message.content == TEXT
        stream = client.chat.completions.create(model="fake/normal", messages=MESSAGES, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == TEXT


def test_models_list(stack: SdkStack) -> None:
    """Only the caller's own."""
    with stack.client(token=NARROW_TOKEN) as client:
        models = list(client.models.list())
    assert [model.id for model in models] == ["fake/normal"]
    assert models[0].object == "model"
    assert models[0].owned_by
    assert isinstance(models[0].created, int)


@requires("llmock")
def test_models_list_has_more_than_openais(client: OpenAI) -> None:
    """The SDK reads the list, and gives what it does not know as it came."""
    [model] = [model for model in client.models.list() if model.id == "llmock/gpt-4o"]
    assert model.owned_by == "llmock"
    assert model.model_extra is not None
    assert model.model_extra["context_window"] == 128_000
    assert model.model_extra["price"]["input"] == 2.5
    assert "chat" in model.model_extra["model_types"]


def test_raw_response_headers(client: OpenAI) -> None:
    """What a client can learn about its call."""
    raw = client.chat.completions.with_raw_response.create(model="fake/normal", messages=MESSAGES)
    assert raw.headers["x-tfy-resolved-model"] == "fake/normal"
    assert raw.headers["traceparent"].startswith("00-")
    assert "total;dur=" in raw.headers["server-timing"]
    assert raw.request_id == raw.headers["x-request-id"]
    completion = raw.parse()
    assert completion.choices[0].message.content == TEXT
    assert completion._request_id == raw.request_id


def test_streaming_response(client: OpenAI) -> None:
    """The SDK's way to the bytes themselves."""
    with client.chat.completions.with_streaming_response.create(
        model="fake/normal", messages=MESSAGES, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert list(response.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_wrong_token(stack: SdkStack) -> None:
    """AuthenticationError, with the gateway's code and request id."""
    with stack.client(token="wrong") as client, pytest.raises(AuthenticationError) as caught:
        client.chat.completions.create(model="fake/normal", messages=MESSAGES)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.type == "authentication_error"
    assert caught.value.request_id


def test_model_of_somebody_else(stack: SdkStack) -> None:
    """PermissionDeniedError."""
    with stack.client(token=NARROW_TOKEN) as client, pytest.raises(PermissionDeniedError) as caught:
        client.chat.completions.create(model="fake/tools", messages=MESSAGES)
    assert caught.value.code == "model_not_allowed"


def test_unknown_model(client: OpenAI) -> None:
    """NotFoundError with names that would work."""
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="fake/normale", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert "fake/normal" in caught.value.message


def test_bad_body(client: OpenAI) -> None:
    """BadRequestError of the gateway's own."""
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="fake/normal", messages=MESSAGES, extra_body={"stream": "yes"})
    assert caught.value.code == "invalid_body"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
        (500, InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_provider_errors(client: OpenAI, status: int, kind: type[APIStatusError], *, stream: bool) -> None:
    """The provider's own error reaches the application as if there were no gateway."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=f"fake/error-{status}", messages=MESSAGES, stream=stream)
    assert caught.value.code == f"provider_code_{status}"
    assert caught.value.type == f"provider_type_{status}"
    assert caught.value.response.headers["x-tfy-error-source"] == "upstream"
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["vendor_field"] == [1, 2]


@requires("llmock")
def test_llmock_error(stack: SdkStack, client: OpenAI) -> None:
    """A rate limit of a provider that we did not write, its retry-after kept."""
    assert stack.llmock is not None
    stack.llmock.fail_next(429)
    with pytest.raises(RateLimitError) as caught:
        client.chat.completions.create(model=LLMOCK_MODEL, messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("down/refused", 502, "upstream_unreachable"),
        ("fake/html-502", 502, "upstream_bad_reply"),
        ("fake/hang", 504, "upstream_timeout"),
    ],
)
def test_failing_provider(client: OpenAI, model: str, status: int, code: str, *, stream: bool) -> None:
    """No answer is an error of its own kind."""
    # Only who hangs is to run into it.
    limit = {"x-tfy-request-timeout": "300" if model == "fake/hang" else "60000"}
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=MESSAGES, stream=stream, extra_headers=limit)
    assert (caught.value.status_code, caught.value.code) == (status, code)


@pytest.mark.parametrize("model", ["fake/cut-clean", "fake/cut-reset", "fake/error-after-content"])
def test_cut_stream_raises(client: OpenAI, model: str) -> None:
    """The SDK raises in the loop: an application cannot take half an answer for a whole one."""
    stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
    pieces: list[str] = []
    with pytest.raises(APIError) as caught:
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert "".join(pieces) == "The quick brown "
    assert not isinstance(caught.value, APIStatusError)


def test_closing_a_stream_early(stack: SdkStack, client: OpenAI) -> None:
    """`stream.close()` in the application ends the provider's work."""
    stream = client.chat.completions.create(model="fake/hang-mid-stream", messages=MESSAGES, stream=True)
    next(iter(stream))
    stream.close()
    assert stack.upstream.exchanges[-1].was_aborted.wait(60)


async def test_cancelling_a_task(stack: SdkStack) -> None:
    """Cancelling the application's task does too, before the first byte."""
    async with stack.async_client() as client:
        task = asyncio.ensure_future(client.chat.completions.create(model="fake/hang", messages=MESSAGES))
        await until_async(lambda: stack.upstream.exchanges, what="the call to reach the provider")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        exchange = stack.upstream.exchanges[-1]
        await until_async(exchange.was_aborted.is_set, what="the provider's connection to be closed")
