"""The official SDKs of OpenAI and Anthropic find models of Bedrock as they find their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote

import anthropic
import openai
import pytest
from openai.types.responses import Response

from tests.rig.bedrock_stack import BedrockStack, running_bedrock_stack
from tests.rig.bedrock_upstream import (
    TEXT,
    read_recorded,
    recorded_body,
)
from tests.rig.requires import requires, shared_folder
from tests.unit.translate.reassembly import converse_reply

SAID: Final[list[Any]] = [{"role": "user", "content": "Say grün."}]
WEATHER: Final[dict[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}


def recorded_paths() -> dict[str, dict[str, Any]]:
    """What was recorded of Converse and answered well, by path."""
    folder = shared_folder() / "recordings"
    found = read_recorded(folder) if folder.is_dir() else {}
    return {
        path: item
        for path, item in found.items()
        if item["status"] == 200 and path.endswith(("/converse", "/converse-stream"))
    }


RECORDED: Final = recorded_paths()
PATHS: Final = pytest.mark.parametrize("path", list(RECORDED) or ["none"])
IDS: Final = sorted({unquote(path.split("/")[2]) for path in RECORDED})
SYNTHETIC: Final = ("good", "throttled", "failing", "broken", "cut", "anthropic.claude-sonnet-4-5")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BedrockStack]:
    shared = shared_folder() / "recordings"
    accounts = {
        "aws": {name: name for name in SYNTHETIC},
        "recorded": {f"m{at}": name for at, name in enumerate(IDS)},
    }
    with running_bedrock_stack(
        tmp_path_factory.mktemp("bedrock_models"), accounts, recordings=shared if shared.is_dir() else None
    ) as stack:
        yield stack


@pytest.fixture
def stack(running: BedrockStack) -> BedrockStack:
    """With nothing noted yet."""
    running.upstream.forget()
    return running


def name_of(path: str) -> str:
    """The recorded model of a path, by its name here."""
    return f"recorded/m{IDS.index(unquote(path.split('/')[2]))}"


def parts_of(reply: Any) -> tuple[str, list[tuple[str, Any]], int, int]:
    """Text, tool calls and usage of a reply of Converse."""
    content = reply["output"]["message"]["content"]
    calls = [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block]
    text = "".join(block.get("text", "") for block in content)
    usage = reply.get("usage") or {}
    return text, calls, usage.get("inputTokens", 0), usage.get("outputTokens", 0)


def test_chat(stack: BedrockStack) -> None:
    """A whole answer, signed for; its input has what the cache gave."""
    completion = stack.openai.chat.completions.create(model="aws/good", messages=SAID, max_tokens=60)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (11, 5)
    [asked] = stack.upstream.asked
    assert asked.target == "/model/good/converse"
    assert asked.json == {
        "messages": [{"role": "user", "content": [{"text": "Say grün."}]}],
        "inferenceConfig": {"maxTokens": 60},
    }
    assert len(stack.upstream.scopes) == 1


def test_chat_stream(stack: BedrockStack) -> None:
    """The same in pieces, with the usage for who asks."""
    stream = stack.openai.chat.completions.create(
        model="aws/good", messages=SAID, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(filter(None, said)) == TEXT.replace(" ", "")
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 11
    [asked] = stack.upstream.asked
    assert asked.target == "/model/good/converse-stream"


def test_messages(stack: BedrockStack) -> None:
    """A whole answer, and the same in pieces, put together by the SDK."""
    message = stack.anthropic.messages.create(model="aws/good", messages=SAID, max_tokens=60)
    assert [block.to_dict() for block in message.content] == [{"type": "text", "text": TEXT}]
    assert message.usage.input_tokens == 7
    assert message.usage.cache_read_input_tokens == 4
    with stack.anthropic.messages.stream(model="aws/good", messages=SAID, max_tokens=60) as events:
        streamed = events.get_final_message()
    assert streamed.content[0].to_dict()["text"] == TEXT.replace(" ", "")
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("end_turn", 5)


def test_tools_and_thinking_reach_claude(stack: BedrockStack) -> None:
    """In Bedrock's words, with what is Claude's own beside them."""
    model = "aws/anthropic.claude-sonnet-4-5"
    stack.openai.chat.completions.create(
        model=model,
        messages=SAID,
        reasoning_effort="low",
        tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}],
    )
    assert stack.sent["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2048
    assert stack.sent["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": WEATHER}
    stack.anthropic.messages.create(
        model=model,
        max_tokens=9,
        system=[{"type": "text", "text": "be", "cache_control": {"type": "ephemeral"}}],
        messages=SAID,
        tools=[{"name": "weather", "input_schema": WEATHER}],
        tool_choice={"type": "any"},
    )
    assert stack.sent["system"] == [{"text": "be"}, {"cachePoint": {"type": "default"}}]
    assert stack.sent["toolConfig"]["toolChoice"] == {"any": {}}


def test_a_picture_on_the_web_is_refused(stack: BedrockStack) -> None:
    """Before Bedrock is asked, with what to do instead."""
    content: Any = [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]
    with pytest.raises(openai.BadRequestError, match="s3://"):
        stack.openai.chat.completions.create(
            model="aws/good", messages=[{"role": "user", "content": content}]
        )
    assert stack.upstream.asked == []


def test_throttling(stack: BedrockStack) -> None:
    """Each SDK's own error, with the time to wait."""
    with pytest.raises(openai.RateLimitError, match="please wait") as caught:
        stack.openai.chat.completions.create(model="aws/throttled", messages=SAID)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "3"
    with pytest.raises(anthropic.RateLimitError, match="please wait") as told:
        stack.anthropic.messages.create(model="aws/throttled", messages=SAID, max_tokens=9)
    assert told.value.body is not None
    assert told.value.response.headers["retry-after"] == "3"


def test_a_stream_that_fails_at_once(stack: BedrockStack) -> None:
    """Is no stream for the caller, but an error."""
    with pytest.raises(openai.InternalServerError):
        list(stack.openai.chat.completions.create(model="aws/failing", messages=SAID, stream=True))
    with pytest.raises(anthropic.InternalServerError):
        list(stack.anthropic.messages.create(model="aws/failing", messages=SAID, max_tokens=9, stream=True))


@pytest.mark.parametrize(
    ("model", "words"), [("broken", "Too many tokens"), ("cut", "before it was complete")]
)
def test_a_stream_that_breaks(stack: BedrockStack, model: str, words: str) -> None:
    """Ends with an error and never as if it were whole."""
    with pytest.raises(openai.APIError, match=words):  # noqa: PT012 - what comes before the error is read too
        for at, _ in enumerate(
            stack.openai.chat.completions.create(model=f"aws/{model}", messages=SAID, stream=True)
        ):
            if at == 0:
                stack.upstream.let_end()
    stack.upstream.forget()
    with pytest.raises(anthropic.APIError, match=words):  # noqa: PT012 - likewise
        for at, _ in enumerate(
            stack.anthropic.messages.create(model=f"aws/{model}", messages=SAID, max_tokens=9, stream=True)
        ):
            if at == 0:
                stack.upstream.let_end()


def streamed_chat(stack: BedrockStack, model: str) -> Any:
    """An answer in pieces, put together by the SDK, which makes an error of one that was too long."""
    options: Any = {"include_usage": True}
    with stack.openai.chat.completions.stream(model=model, messages=SAID, stream_options=options) as events:
        try:
            return events.get_final_completion()
        except openai.LengthFinishReasonError as error:
            return error.completion


@requires("recordings")
@PATHS
def test_recorded_models_in_chat(stack: BedrockStack, path: str) -> None:
    """Whatever Bedrock really answered comes out whole in OpenAI's SDK: words, tools, usage."""
    is_stream = path.endswith("-stream")
    body = recorded_body(RECORDED[path])
    text, calls, asked, said = parts_of(converse_reply(body) if is_stream else json.loads(body))
    model = name_of(path)
    if is_stream:
        completion: Any = streamed_chat(stack, model)
    else:
        completion = stack.openai.chat.completions.create(model=model, messages=SAID)
    message = completion.choices[0].message
    assert (message.content or "") == text
    found = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []]
    assert found == calls
    assert (completion.choices[0].finish_reason == "tool_calls") is bool(calls)
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (asked, said)


@requires("recordings")
@PATHS
def test_recorded_models_in_messages(stack: BedrockStack, path: str) -> None:
    """The same in Anthropic's SDK."""
    is_stream = path.endswith("-stream")
    body = recorded_body(RECORDED[path])
    text, calls, asked, said = parts_of(converse_reply(body) if is_stream else json.loads(body))
    model = name_of(path)
    if is_stream:
        with stack.anthropic.messages.stream(model=model, messages=SAID, max_tokens=99) as events:
            message: Any = events.get_final_message()
    else:
        message = stack.anthropic.messages.create(model=model, messages=SAID, max_tokens=99)
    assert "".join(block.text for block in message.content if block.type == "text") == text
    assert [(block.name, block.input) for block in message.content if block.type == "tool_use"] == calls
    assert (message.stop_reason == "tool_use") is bool(calls)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (asked, said)


def streamed_response(stack: BedrockStack, model: str, **more: Any) -> Response:
    """A response in pieces, put together by the SDK, which has no word for one that is cut short."""
    with stack.openai.responses.stream(model=model, input="Say grün.", **more) as events:
        last = list(events)[-1]
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


def test_responses(stack: BedrockStack) -> None:
    """A whole answer, and the same in pieces; its input has what the cache gave; what was lost is named."""
    raw = stack.openai.responses.with_raw_response.create(
        model="aws/good", input="Say grün.", instructions="Be kind.", max_output_tokens=60, truncation="auto"
    )
    response = raw.parse()
    assert raw.headers["x-tfy-dropped-params"] == "truncation"
    assert (response.output_text, response.status) == (TEXT, "completed")
    assert response.usage is not None
    assert response.usage.input_tokens_details.cached_tokens == 4
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11, 5)
    [asked] = stack.upstream.asked
    assert asked.target == "/model/good/converse"
    assert asked.json == {
        "messages": [{"role": "user", "content": [{"text": "Say grün."}]}],
        "system": [{"text": "Be kind."}],
        "inferenceConfig": {"maxTokens": 60},
    }
    assert len(stack.upstream.scopes) == 1
    streamed = streamed_response(stack, "aws/good")
    assert streamed.output_text == TEXT.replace(" ", "")
    assert streamed.usage == response.usage
    assert stack.upstream.asked[-1].target == "/model/good/converse-stream"


def test_tools_and_thinking_of_responses_reach_claude(stack: BedrockStack) -> None:
    """With what Claude signed in the turn before, and a schema for the answer."""
    turns: Any = [
        {"role": "user", "content": "Say grün."},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "anthropic-thinking:sig",
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Rain"},
    ]
    shape: Any = {"format": {"type": "json_schema", "name": "out", "schema": WEATHER}}
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER}]
    stack.openai.responses.create(
        model="aws/anthropic.claude-sonnet-4-5",
        input=turns,
        tools=tools,
        text=shape,
        reasoning={"effort": "low"},
    )
    assert stack.sent["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2048
    assert stack.sent["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"] == {"json": WEATHER}
    assert stack.sent["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {}}},
    ]
    told = stack.sent["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(told["schema"]) == {**WEATHER, "additionalProperties": False}


def test_errors_of_responses(stack: BedrockStack) -> None:
    """Bedrock's own, and those before it is asked, whole and streamed; half a stream never looks whole."""
    for is_stream in (False, True):
        with pytest.raises(openai.RateLimitError, match="please wait") as caught:
            stack.openai.responses.create(model="aws/throttled", input="hi", stream=is_stream)
        assert caught.value.response.headers["retry-after"] == "3"
    with pytest.raises(openai.InternalServerError):
        list(stack.openai.responses.create(model="aws/failing", input="hi", stream=True))
    stack.upstream.forget()
    with pytest.raises(openai.BadRequestError, match="web_search"):
        stack.openai.responses.create(model="aws/good", input="hi", tools=[{"type": "web_search"}])
    assert stack.upstream.asked == []


def test_a_response_that_breaks(stack: BedrockStack) -> None:
    """Ends as one that failed, and where Bedrock did not say so with an error; never as if it were whole."""
    events: list[Any] = []
    for event in stack.openai.responses.create(model="aws/broken", input="hi", stream=True):
        if not events:
            stack.upstream.let_end()
        events.append(event)
    assert "response.output_text.delta" in [event.type for event in events]
    *_, error, last = events
    assert (error.type, error.code, error.message) == ("error", "rate_limit_exceeded", "Too many tokens.")
    assert (last.type, last.response.status) == ("response.failed", "failed")
    stack.upstream.forget()
    kinds: list[str] = []
    with pytest.raises(openai.APIError, match="before it was complete"):  # noqa: PT012 - as above
        for event in stack.openai.responses.create(model="aws/cut", input="hi", stream=True):
            if not kinds:
                stack.upstream.let_end()
            kinds.append(event.type)
    assert kinds[-1] == "response.output_text.delta"


@requires("recordings")
@PATHS
def test_recorded_models_in_responses(stack: BedrockStack, path: str) -> None:
    """The same as responses."""
    is_stream = path.endswith("-stream")
    body = recorded_body(RECORDED[path])
    text, calls, asked, said = parts_of(converse_reply(body) if is_stream else json.loads(body))
    model = name_of(path)
    response = (
        streamed_response(stack, model)
        if is_stream
        else stack.openai.responses.create(model=model, input="Say grün.")
    )
    assert response.output_text == text
    found = [
        (item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"
    ]
    assert found == calls
    usage = response.usage
    assert (usage.input_tokens if usage else 0, usage.output_tokens if usage else 0) == (asked, said)
