"""The official `openai` SDK with a model that speaks Anthropic finds what it finds with OpenAI's."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from openai import (
    APIError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)
from openai.types.chat import ChatCompletionMessageParam

from tests.rig.behaviours import TEXT
from tests.rig.sdk_stack import SdkStack

MESSAGES: Final[list[ChatCompletionMessageParam]] = [{"role": "user", "content": "Say grün."}]
ASKED: Final[dict[str, Any]] = {"messages": MESSAGES, "max_tokens": 60}


def test_chat(client: OpenAI) -> None:
    """A whole answer; its input includes what the cache gave and took."""
    completion = client.chat.completions.create(model="claude/normal", **ASKED)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 5)
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 4


def test_version(stack: SdkStack, client: OpenAI) -> None:
    """A caller that knows nothing of Anthropic's versions asks for the one whose answers are read here."""
    client.chat.completions.create(model="claude/normal", **ASKED)
    assert stack.claude.exchanges[-1].header("anthropic-version") == "2023-06-01"


def test_stream(client: OpenAI) -> None:
    """The same in pieces, with the usage chunk for who asks."""
    chunks = list(client.chat.completions.create(model="claude/normal", stream=True, **ASKED))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert chunks[-1].choices[0].finish_reason == "stop"
    options: Any = {"include_usage": True}
    stream = client.chat.completions.create(
        model="claude/normal", stream=True, stream_options=options, **ASKED
    )
    last = list(stream)[-1]
    assert last.usage is not None
    assert last.usage.prompt_tokens == 11


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_tools(client: OpenAI, *, is_stream: bool) -> None:
    """Two calls in one answer keep ids, order and arguments, also put together from a stream by the SDK."""
    if is_stream:
        with client.chat.completions.stream(model="claude/tools", messages=MESSAGES) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(model="claude/tools", **ASKED).choices[0].message
    assert message.content == "I look."
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls or []
    ]
    assert calls == [("toolu_a", "weather", {"city": "Köln"}), ("toolu_b", "time", {})]


def test_thoughts_come_back(stack: SdkStack, client: OpenAI) -> None:
    """What was thought goes along in the next turn with its signature, if the message is sent back."""
    message = client.chat.completions.create(model="claude/thinks", **ASKED).choices[0].message
    turns: list[Any] = [*MESSAGES, message.to_dict(), {"role": "user", "content": "and?"}]
    client.chat.completions.create(model="claude/thinks", messages=turns)
    said = stack.claude.exchanges[-1].json["messages"][1]["content"]
    assert said[0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert said[1] == {"type": "text", "text": TEXT}


def test_refusal(client: OpenAI) -> None:
    """A refusal is no answer that was cut."""
    completion = client.chat.completions.create(model="claude/refuses", **ASKED)
    assert completion.choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("model", "error", "kind", "code"),
    [
        ("claude/error-400", BadRequestError, "invalid_request_error", None),
        ("claude/error-404", NotFoundError, "not_found_error", "model_not_found"),
        ("claude/error-429", RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
        ("claude/error-529", InternalServerError, "overloaded_error", "overloaded"),
        ("claude/html", InternalServerError, "upstream_error", "upstream_bad_reply"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_errors(
    client: OpenAI, model: str, error: type[APIStatusError], kind: str, code: str | None, *, is_stream: bool
) -> None:
    """Anthropic's errors in OpenAI's words, with what to wait for and its own id."""
    with pytest.raises(error) as caught:
        client.chat.completions.create(model=model, stream=is_stream, **ASKED)
    assert (caught.value.type, caught.value.code) == (kind, code)
    if model == "claude/error-429":
        assert caught.value.response.headers["retry-after"] == "7"
        assert "req_fake" in caught.value.response.headers["x-upstream-request-id"]


@pytest.mark.parametrize("model", ["claude/cut", "claude/error-after-content"])
def test_cut_stream_raises(client: OpenAI, model: str) -> None:
    """An application cannot take half an answer for a whole one."""
    stream = client.chat.completions.create(model=model, stream=True, **ASKED)
    pieces: list[str] = []
    with pytest.raises(APIError):
        pieces.extend(chunk.choices[0].delta.content or "" for chunk in stream)
    assert TEXT.startswith("".join(pieces))
    assert pieces


def test_closing_a_stream_early(stack: SdkStack, client: OpenAI) -> None:
    """A caller that leaves ends the work of a model of another dialect too."""
    for patience_s in (0.3, 2.0, 8.0):
        with pytest.raises(APIError):
            client.with_options(timeout=patience_s).chat.completions.create(model="claude/hang", **ASKED)
        # A busy machine may need as long to ask.
        if stack.claude.exchanges:
            break
    assert stack.claude.exchanges[-1].was_aborted.wait(60)


def test_embeddings_are_refused(client: OpenAI) -> None:
    """Anthropic has none."""
    with pytest.raises(BadRequestError) as caught:
        client.embeddings.create(model="claude/normal", input="a")
    assert caught.value.code == "unsupported_parameter"


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_strictly_openai(client: OpenAI, strict: str, *, is_stream: bool) -> None:
    """A caller decides with a header whether it sees what Claude thought; nothing is said to be ignored."""
    headers = {"x-tfy-strict-openai": strict}
    asked: dict[str, Any] = {"model": "claude/thinks", "stream": is_stream, "extra_headers": headers, **ASKED}
    reply = client.chat.completions.with_raw_response.create(**asked)
    assert "x-tfy-ignored-headers" not in reply.headers
    found: Any = reply.parse()
    said = json.dumps([chunk.to_dict() for chunk in found] if is_stream else found.to_dict())
    assert ("reasoning_content" in said) is (strict == "false")


def test_strictness_that_is_neither(client: OpenAI) -> None:
    """A value that says nothing is refused, and the header named."""
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model="claude/normal", extra_headers={"x-tfy-strict-openai": "maybe"}, **ASKED
        )
    assert caught.value.param == "x-tfy-strict-openai"
