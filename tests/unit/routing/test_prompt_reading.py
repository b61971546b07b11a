"""What a call asks, read in every dialect of callers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE, INVOKE
from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import GENERATE
from gateway.endpoints.openai_call import parse_call
from gateway.model import Call, Endpoint
from gateway.routing.prompt_reading import MAX_QUESTION_CHARACTERS, Prompt, read_prompt
from tests.unit.makers import make_call

PICTURE: Final = "A" * 100_000


def of_openai(endpoint: Endpoint) -> Callable[[dict[str, Any]], Call]:
    """Makes calls of an endpoint that has the model in the body."""
    return lambda body: parse_call(
        endpoint, json.dumps({"model": "a/b", **body}).encode(), model=None, account=None
    )


def of_gemini(body: dict[str, Any]) -> Call:
    """A call of Google's."""
    return read_gemini_call(GENERATE, json.dumps(body).encode(), model="a/b")


def of_bedrock(endpoint: Endpoint) -> Callable[[dict[str, Any]], Call]:
    """Makes calls of Bedrock's."""
    return lambda body: read_bedrock_call(endpoint, json.dumps(body).encode(), model="a/b")


MAKERS: Final = {
    "chat": of_openai(CHAT),
    "completion": of_openai(COMPLETION),
    "embedding": of_openai(EMBEDDING),
    "messages": of_openai(MESSAGES),
    "responses": of_openai(RESPONSE),
    "gemini": of_gemini,
    "converse": of_bedrock(CONVERSE),
    "invoke": of_bedrock(INVOKE),
}


@pytest.mark.parametrize(
    ("dialect", "body", "expected"),
    [
        pytest.param(
            "chat",
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "First"},
                    {"role": "assistant", "content": "Answer"},
                    {"role": "user", "content": "Last"},
                ],
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "response_format": {"type": "json_object"},
                "reasoning_effort": "HIGH",
            },
            Prompt("Last", 4, turns=4, tools=1, wants_shape=True, effort="high"),
            id="chat",
        ),
        pytest.param(
            "chat",
            {
                "messages": [
                    {"role": "user", "content": "Go"},
                    {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
                    {"role": "tool", "tool_call_id": "1", "content": "result"},
                ],
                "thinking": {"type": "enabled", "budget_tokens": 30_000},
            },
            Prompt("Go", 2, turns=3, has_results=True, effort="high"),
            id="chat of an agent",
        ),
        pytest.param("completion", {"prompt": "Once"}, Prompt("Once", 4, turns=1), id="completion"),
        pytest.param("completion", {"prompt": [1, 2]}, Prompt(turns=2), id="tokens"),
        pytest.param("embedding", {"input": "x"}, Prompt(), id="embedding"),
        pytest.param(
            "messages",
            {
                "system": "Be brief.",
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Go"}]},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {}}],
                    },
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "1", "content": "r"}],
                    },
                ],
                "tools": [{"name": "f", "input_schema": {}}],
                "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
            },
            Prompt("Go", 2, turns=4, tools=1, has_results=True, wants_shape=True, effort="low"),
            id="messages",
        ),
        pytest.param(
            "messages",
            {"messages": [{"role": "user", "content": "Go"}], "thinking": {"type": "disabled"}},
            Prompt("Go", 2, turns=1, effort="none"),
            id="messages without thought",
        ),
        pytest.param(
            "responses",
            {
                "instructions": "Be brief.",
                "input": "Go",
                "reasoning": {"effort": "medium"},
                "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}},
                "tools": [{"type": "web_search"}],
            },
            Prompt("Go", 2, turns=2, tools=1, wants_shape=True, effort="medium"),
            id="responses",
        ),
        pytest.param(
            "responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
                    {"type": "function_call_output", "call_id": "1", "output": "r"},
                ]
            },
            Prompt("Go", 2, turns=2, has_results=True),
            id="responses of an agent",
        ),
        pytest.param(
            "gemini",
            {
                "systemInstruction": {"parts": [{"text": "Be brief."}]},
                "contents": [{"role": "user", "parts": [{"text": "Go"}]}],
                "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
                "generationConfig": {"responseSchema": {}, "thinkingConfig": {"thinkingLevel": "HIGH"}},
            },
            Prompt("Go", 2, turns=2, tools=2, wants_shape=True, effort="high"),
            id="gemini",
        ),
        pytest.param(
            "converse",
            {
                "system": [{"text": "Be brief."}],
                "messages": [{"role": "user", "content": [{"text": "Go"}]}],
                "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]},
                "outputConfig": {"textFormat": {"type": "json_schema"}},
                "additionalModelRequestFields": {"output_config": {"effort": "max"}},
            },
            Prompt("Go", 2, turns=2, tools=1, wants_shape=True, effort="max"),
            id="converse",
        ),
        pytest.param(
            "invoke",
            {"anthropic_version": "v", "messages": [{"role": "user", "content": "Go"}]},
            Prompt("Go", 2, turns=1),
            id="invoke",
        ),
    ],
)
def test_what_is_asked(dialect: str, body: dict[str, Any], expected: Prompt) -> None:
    """The last words of a user, and what is about them; sizes have a test of their own."""
    found = read_prompt(MAKERS[dialect](body))
    assert found.text_bytes < 400
    assert msgspec.structs.replace(found, text_bytes=0) == expected


def chat(*messages: object, **more: Any) -> Prompt:
    """What is read of a chat."""
    return read_prompt(make_call(messages=list(messages), **more))


def test_pictures_are_no_text() -> None:
    """A megabyte of picture makes no question harder by its size."""
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    found = chat({"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]})
    assert found.has_media
    assert found.question == "What is it?"
    assert found.text_bytes < 1000


def test_pictures_that_tools_gave_are_no_text_either() -> None:
    """Screenshots are what agents look at."""
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    result = {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "image", "source": source}]}
    body = {"messages": [{"role": "user", "content": "Go"}, {"role": "user", "content": [result]}]}
    found = read_prompt(MAKERS["messages"](body))
    assert (found.question, found.has_results) == ("Go", True)
    assert found.text_bytes < 1000


def test_long_texts_count_as_a_whole() -> None:
    """Of a long question the beginning and the end are looked into."""
    found = chat({"role": "user", "content": "begin " + "x" * 200_000 + " end"})
    assert found.question.startswith("begin ")
    assert found.question.endswith(" end")
    assert len(found.question) == MAX_QUESTION_CHARACTERS + 1
    assert found.question_bytes == 200_010
    assert 200_010 <= found.text_bytes <= 200_100


def test_what_stands_far_back_counts_by_its_size() -> None:
    """A question that sixteen turns were said after is no longer the question."""
    said = {"role": "assistant", "content": "and so on"}
    assert chat({"role": "user", "content": "Go"}, *[said] * 15).question == "Go"
    assert chat({"role": "user", "content": "Go"}, *[said] * 16).question == ""


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param("[" + ",".join(["1"] * 300_000) + "]", id="of numbers"),
        pytest.param(json.dumps([{"role": "user", "content": "x"}] * 60_000), id="of messages"),
        pytest.param(json.dumps([{"role": "user", "content": [{"a": 1}] * 100_000}]), id="of parts"),
    ],
)
def test_a_body_of_very_many_members_is_not_taken_apart(messages: str) -> None:
    """It takes long, and whoever sends so much asks for much."""
    body = b'{"model":"a/b","messages":' + messages.encode() + b"}"
    found = read_prompt(parse_call(CHAT, body, model=None, account=None))
    assert found == Prompt(text_bytes=len(body))


def test_a_turn_of_many_megabytes_is_not_read() -> None:
    """It is a film, as far as anybody knows."""
    found = chat({"role": "user", "content": "x" * 5_000_000})
    assert (found.question, found.has_media) == ("", True)
    assert found.text_bytes == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"reasoning_effort": 3}, id="of another type"),
        pytest.param({"reasoning_effort": "x" * 100_000}, id="far too long"),
        pytest.param({"reasoning": "high"}, id="no object"),
        pytest.param({"reasoning": {"effort": 3}}, id="no word"),
        pytest.param({"thinking": {"type": "enabled"}}, id="without a budget"),
    ],
)
def test_effort_that_cannot_be_read(body: dict[str, Any]) -> None:
    """Says nothing."""
    assert chat(**body).effort == ""


def test_nothing_of_what_was_said_is_shown() -> None:
    """A log may have it."""
    assert "secret" not in repr(chat({"role": "user", "content": "secret"}))


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "parts", "input", "tool_use_id", "source", "user"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
FIELDS: Final = st.sampled_from(
    [
        *("messages", "prompt", "input", "instructions", "system", "contents", "systemInstruction", "tools"),
        *("toolConfig", "generationConfig", "response_format", "text", "reasoning", "thinking"),
        *("reasoning_effort", "output_config", "additionalModelRequestFields", "anthropic_version"),
    ]
)


@pytest.mark.parametrize("dialect", MAKERS)
@given(body=st.dictionaries(FIELDS, JSON, max_size=5))
def test_any_body_can_be_read(dialect: str, body: dict[str, Any]) -> None:
    """Whatever its shape: that is the provider's to refuse."""
    found = read_prompt(MAKERS[dialect](body))
    assert found.text_bytes >= 0
    assert found.turns >= 0
