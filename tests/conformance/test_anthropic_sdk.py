"""The official `anthropic` SDK, pointed at the gateway, finds what it expects of models of either dialect."""

from __future__ import annotations

from typing import Any, Final

import pytest
from anthropic import (
    Anthropic,
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from anthropic.types import MessageParam, ToolParam

from tests.rig.behaviours import TEXT
from tests.rig.manifests import NARROW_TOKEN, PROVIDER_KEY
from tests.rig.sdk_stack import SdkStack

PREFIXES: Final = ["", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"]
MESSAGES: Final[list[MessageParam]] = [{"role": "user", "content": "Say grün."}]
TOOLS: Final[list[ToolParam]] = [
    {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
]
# The same answer from a model of either dialect.
MODELS: Final = ["claude/normal", "fake/normal"]
TOOL_MODELS: Final = ["claude/tools", "fake/tools"]


@pytest.mark.parametrize("model", MODELS)
def test_message(claude: Anthropic, model: str) -> None:
    """A whole answer with its usage, cached tokens apart."""
    message = claude.messages.create(model=model, messages=MESSAGES, max_tokens=60)
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": TEXT}]
    assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
    assert message.usage.cache_read_input_tokens == 4
    assert message.usage.output_tokens == 5


@pytest.mark.parametrize("model", MODELS)
def test_stream(claude: Anthropic, model: str) -> None:
    """The same in pieces, put together by the SDK, with the same usage."""
    whole = claude.messages.create(model=model, messages=MESSAGES, max_tokens=60)
    with claude.messages.stream(model=model, messages=MESSAGES, max_tokens=60) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert "".join(pieces) == TEXT
    assert len(pieces) > 3
    assert message.content[0].to_dict()["text"] == TEXT
    assert message.stop_reason == "end_turn"
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens"):
        assert getattr(message.usage, name) == getattr(whole.usage, name)


@pytest.mark.parametrize("model", MODELS)
async def test_async(stack: SdkStack, model: str) -> None:
    """The asynchronous client, whole and streamed."""
    async with stack.async_anthropic() as client:
        message = await client.messages.create(model=model, messages=MESSAGES, max_tokens=60)
        assert message.content[0].to_dict()["text"] == TEXT
        async with client.messages.stream(model=model, messages=MESSAGES, max_tokens=60) as stream:
            assert (await stream.get_final_message()).content[0].to_dict()["text"] == TEXT


@pytest.mark.parametrize("model", TOOL_MODELS)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_tools(claude: Anthropic, model: str, *, is_stream: bool) -> None:
    """Two calls in one answer keep ids, order and arguments, the second without any."""
    arguments: dict[str, Any] = {"model": model, "messages": MESSAGES, "max_tokens": 60, "tools": TOOLS}
    if is_stream:
        with claude.messages.stream(**arguments) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**arguments)
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [(use.name, use.input) for use in uses] == [("weather", {"city": "Köln"}), ("time", {})]
    assert message.stop_reason == "tool_use"
    assert len({use.id for use in uses}) == 2


@pytest.mark.parametrize("model", TOOL_MODELS)
def test_tool_loop(stack: SdkStack, claude: Anthropic, model: str) -> None:
    """The next turn: what was called and what it gave arrives under the same ids."""
    first = claude.messages.create(model=model, messages=MESSAGES, max_tokens=60, tools=TOOLS)
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns: list[Any] = [
        *MESSAGES,
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": results},
    ]
    claude.messages.create(model=model.replace("tools", "normal"), messages=turns, max_tokens=60, tools=TOOLS)
    upstream = stack.claude if model.startswith("claude") else stack.upstream
    sent = upstream.exchanges[-1].body.decode()
    assert all(sent.count(result["tool_use_id"]) == 2 for result in results)


def test_thinking(claude: Anthropic) -> None:
    """Thoughts pass with their signature."""
    with claude.messages.stream(model="claude/thinks", messages=MESSAGES, max_tokens=60) as stream:
        block = stream.get_final_message().content[0]
    assert block.to_dict() == {"type": "thinking", "thinking": "hm", "signature": "sig"}


def test_count_tokens(claude: Anthropic) -> None:
    """Counted by a model that can; others say that they cannot."""
    assert claude.messages.count_tokens(model="claude/normal", messages=MESSAGES).input_tokens == 17
    with pytest.raises(BadRequestError, match="does not answer /v1/messages/count_tokens"):
        claude.messages.count_tokens(model="fake/normal", messages=MESSAGES)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix(stack: SdkStack, prefix: str) -> None:
    """Any base URL that TrueFoundry's clients use."""
    with stack.anthropic(prefix=prefix) as client:
        message = client.messages.create(model="claude/normal", messages=MESSAGES, max_tokens=60)
        assert message.content[0].to_dict()["text"] == TEXT


def test_models(stack: SdkStack) -> None:
    """The caller's own, in the shape that this SDK reads."""
    with stack.anthropic(token=NARROW_TOKEN) as client:
        models = list(client.models.list())
    assert [(model.id, model.type) for model in models] == [("fake/normal", "model")]


def test_betas_stay_with_anthropic(stack: SdkStack, claude: Anthropic) -> None:
    """Betas and the version go to a model that speaks Anthropic and to no other; keys are ours everywhere."""
    for model in MODELS:
        headers = {"anthropic-beta": "x-2026-01-01"}
        claude.messages.create(model=model, messages=MESSAGES, max_tokens=60, extra_headers=headers)
    (to_claude,), (to_openai,) = stack.claude.exchanges, stack.upstream.exchanges
    assert to_claude.header("anthropic-beta") == "x-2026-01-01"
    assert to_claude.header("anthropic-version")
    assert to_claude.header("x-api-key") == PROVIDER_KEY
    assert not [name for name, _ in to_openai.headers if name.startswith(("anthropic-", "x-api-key"))]


@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("claude/error-400", BadRequestError, "invalid_request_error"),
        ("claude/error-401", AuthenticationError, "authentication_error"),
        ("claude/error-404", NotFoundError, "not_found_error"),
        ("claude/error-429", RateLimitError, "rate_limit_error"),
        ("claude/error-500", InternalServerError, "api_error"),
        ("claude/error-529", APIStatusError, "overloaded_error"),
        ("fake/error-400", BadRequestError, "invalid_request_error"),
        ("fake/error-429", RateLimitError, "rate_limit_error"),
        ("fake/error-500", InternalServerError, "api_error"),
        ("fake/html-502", InternalServerError, "api_error"),
        ("claude/html", InternalServerError, "api_error"),
        ("down/refused", InternalServerError, "api_error"),
        ("claude/none", NotFoundError, "not_found_error"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_errors(
    claude: Anthropic, model: str, error: type[APIStatusError], kind: str, *, is_stream: bool
) -> None:
    """Ours and the provider's, whichever it speaks: the SDK's own classes, Anthropic's types, an id."""
    with pytest.raises(error) as caught:
        claude.messages.create(model=model, messages=MESSAGES, max_tokens=60, stream=is_stream)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == kind
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    if "429" in model:
        assert caught.value.response.headers["retry-after"] == "7"


def test_wrong_key(stack: SdkStack) -> None:
    """Refused before the model is looked at, in Anthropic's words."""
    with stack.anthropic(token="wrong") as client, pytest.raises(AuthenticationError):
        client.messages.create(model="claude/normal", messages=MESSAGES, max_tokens=60)


@pytest.mark.parametrize("model", ["claude/cut", "claude/error-after-content", "fake/cut-clean"])
def test_cut_stream_raises(claude: Anthropic, model: str) -> None:
    """The SDK raises in the loop: an application cannot take half an answer for a whole one."""
    pieces: list[str] = []
    with (
        pytest.raises(APIError),
        claude.messages.stream(model=model, messages=MESSAGES, max_tokens=60) as stream,
    ):
        pieces.extend(stream.text_stream)
    assert TEXT.startswith("".join(pieces))
    assert pieces


def test_unknown_fields_and_roles(stack: SdkStack, claude: Anthropic) -> None:
    """What is newer than this gateway reaches Anthropic as it is."""
    turns: list[Any] = [*MESSAGES, {"role": "oracle", "content": "?"}]
    extra = {"x_new": {"a": 1.50}, "context_management": {"edits": []}}
    claude.messages.create(model="claude/normal", messages=turns, max_tokens=60, extra_body=extra)
    sent = stack.claude.exchanges[-1].json
    assert sent == {**extra, "model": "normal", "messages": turns, "max_tokens": 60}


def test_dropped_params(claude: Anthropic) -> None:
    """A caller learns what the model could not do."""
    raw = claude.messages.with_raw_response.create(
        model="fake/normal", messages=MESSAGES, max_tokens=60, extra_body={"x_new": 1, "top_k": 3}
    )
    assert set(raw.headers["x-tfy-dropped-params"].split(", ")) == {"top_k", "x_new"}
    assert raw.parse().type == "message"
