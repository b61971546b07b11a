"""The official `openai` SDK's Responses with models of Gemini, through a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from openai import APIError, BadRequestError, RateLimitError
from openai.types.responses import Response

from gateway.wire.sse import read_events
from tests.rig.gemini_stack import (
    MODEL,
    TEXT,
    GeminiStack,
    answers,
    parts_in,
    running_gemini_stack,
    sends,
    signed_calls,
    usage_in,
)
from tests.rig.manifests import PROVIDER_KEY
from tests.rig.requires import requires
from tests.unit.recorded import recorded_of_gemini

ASKED: Final[dict[str, Any]] = {"model": MODEL, "input": "Say grün."}
SHOWN: Final[dict[str, Any]] = {"reasoning": {"summary": "auto"}}
TOOLS: Final[list[Any]] = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    }
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeminiStack]:
    with running_gemini_stack(tmp_path_factory.mktemp("gemini")) as stack:
        yield stack


@pytest.fixture
def stack(running: GeminiStack) -> GeminiStack:
    """The running stack, the upstream's records cleared."""
    running.upstream.forget()
    return running


def streamed(stack: GeminiStack, **more: Any) -> Response:
    """The response that a stream adds up to for the SDK."""
    with stack.openai.responses.stream(**{**ASKED, **more}) as events:
        return events.get_final_response()


def says_what_it_said(response: Response, replies: list[Any]) -> None:
    """All texts, thoughts, calls and tokens of the provider's *replies* are in the SDK's *response*."""
    parts = parts_in(replies)
    said = [part.get("text", "") for part in parts if not part.get("thought")]
    assert response.output_text == "".join(said)
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    assert "".join(thoughts) == "".join(part.get("text", "") for part in parts if part.get("thought"))
    calls = [
        (item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"
    ]
    asked = [part["functionCall"] for part in parts if "functionCall" in part]
    assert calls == [(call["name"], call["args"]) for call in asked]
    usage = usage_in(replies)
    assert response.usage is not None
    used = response.usage.input_tokens, response.usage.output_tokens
    assert used == (usage.input_tokens or 0, usage.output_tokens or 0)


def test_a_call(stack: GeminiStack) -> None:
    """It goes where Gemini generates, signed in with the account's key; what it did not get is named."""
    raw = stack.openai.responses.with_raw_response.create(**ASKED, instructions="Be kind.", user="u")
    assert raw.parse().output_text == TEXT
    assert raw.headers["x-tfy-dropped-params"] == "user"
    (exchange,) = stack.upstream.exchanges
    assert exchange.path == "/v1beta/models/gemini-3.5-flash:generateContent"
    assert exchange.header("x-goog-api-key") == PROVIDER_KEY
    assert exchange.json == {
        "contents": [{"role": "user", "parts": [{"text": "Say grün."}]}],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
    }


@requires("recordings")
def test_recorded_replies(stack: GeminiStack, recordings: Path) -> None:
    """Every whole answer of Google's is the same answer as a response."""
    for item in recorded_of_gemini(recordings, is_stream=False):
        if item.status == 200:
            stack.play(answers(200, item.body))
            response = stack.openai.responses.create(**ASKED, **SHOWN)
            says_what_it_said(response, [json.loads(item.body)])


@requires("recordings")
def test_recorded_streams(stack: GeminiStack, recordings: Path) -> None:
    """Every streamed one too; cut before its end it never looks whole."""
    for item in recorded_of_gemini(recordings, is_stream=True):
        stack.play(sends(item.body))
        says_what_it_said(streamed(stack, **SHOWN), list(map(json.loads, read_events(item.body))))
        stack.play(sends(item.body.rstrip()[:-40], is_whole=False))
        with pytest.raises((APIError, RuntimeError)):
            streamed(stack)


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@requires("recordings")
def test_a_loop_of_tools(stack: GeminiStack, recordings: Path, *, is_stream: bool) -> None:
    """What came back is sent back: calls with their ids and the signature of the first, results in order."""
    behaviour, signed = signed_calls(recordings, is_stream=is_stream)
    stack.play(behaviour)
    asked = {**ASKED, "tools": TOOLS}
    response = streamed(stack, tools=TOOLS) if is_stream else stack.openai.responses.create(**asked)
    calls = [item for item in response.output if item.type == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "ok"} for call in reversed(calls)
    ]
    turns = [{"role": "user", "content": "x"}, *(item.to_dict() for item in response.output), *results]
    stack.openai.responses.create(**{**asked, "input": turns})
    _, model, user = stack.upstream.exchanges[-1].json["contents"]
    assert model["parts"] == signed
    assert [part["functionResponse"]["id"] for part in user["parts"]] == ["dv8szvqe", "j80tal12"]


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_errors(stack: GeminiStack, *, is_stream: bool) -> None:
    """Google's errors in OpenAI's shape, under their status."""
    for status, kind in ((400, BadRequestError), (429, RateLimitError)):
        error = {"code": status, "message": "No.", "status": "X"}
        stack.play(answers(status, json.dumps({"error": error}).encode()))
        with pytest.raises(kind, match="No"):
            stack.openai.responses.create(**ASKED, stream=is_stream)
