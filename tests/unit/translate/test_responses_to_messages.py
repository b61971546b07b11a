"""A Responses request for a Messages target: what is refused. What is written is in golden files."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter
from gateway.translate import responses_to_messages
from tests.golden.responses_cases import all_cases, make_responses_call
from tests.rig.examples import examples
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import spoilt
from tests.unit.translate.test_responses_to_chat import REQUESTS, said, user

TARGET: Final = make_target(model_id="claude-sonnet-4-6")


def write(model_id: str = "claude-sonnet-4-6", **members: Any) -> dict[str, Any]:
    call = make_responses_call(model="a/b", **{"input": "hi", **members})
    body, _ = responses_to_messages.write(call, make_target(model_id=model_id))
    written: dict[str, Any] = json.loads(body)
    return written


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedParameter, "previous_response_id"),
        ({"tools": [{"type": "file_search"}]}, UnsupportedParameter, "tools[0].type"),
        ({"input": user({"type": "input_text", "text": 7})}, InvalidBody, "input[0].text"),
        (
            {"input": user({"type": "input_image", "file_id": "f"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        ({"input": user({"type": "input_image", "image_url": "data:,x"})}, InvalidBody, "input[0].image_url"),
        ({"input": user({"type": "input_file", "file_id": "f"})}, UnsupportedParameter, "input[0].file_data"),
        (
            {"input": user({"type": "input_file", "file_data": "data:text/csv;base64,YQ=="})},
            UnsupportedParameter,
            "input[0].file_data",
        ),
        (
            {"input": user({"type": "input_audio", "input_audio": {}})},
            UnsupportedParameter,
            "input[0].content",
        ),
        ({"input": said({"type": "input_image"})}, UnsupportedParameter, "input[0].content"),
        ({"text": {"format": "json"}}, InvalidBody, "text.format"),
        ({"text": {"format": {"type": "xml"}}}, UnsupportedParameter, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, InvalidBody, "text.format.schema"),
        ({"reasoning": {"effort": 7}}, InvalidBody, "reasoning.effort"),
    ],
)
def test_refused(members: dict[str, Any], error: type[GatewayError], param: str) -> None:
    """Each names the field at fault."""
    with pytest.raises(error) as caught:
        write(**members)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_refused_by_setting() -> None:
    """What would be left out is refused where the operator wants it."""
    call = make_responses_call(model="a/b", input="hi", top_logprobs=2)
    with pytest.raises(UnsupportedParameter) as caught:
        responses_to_messages.write(call, make_target(unsupported="reject"))
    assert caught.value.param == "top_logprobs"


@settings(max_examples=examples(150))
@given(REQUESTS)
def test_random_requests_never_crash(members: dict[str, Any]) -> None:
    """Whatever a caller sends is a request, or an error of ours; what is written can be answered."""
    try_request(members)


@settings(max_examples=examples(400))
@given(spoilt([case.request for case in all_cases()]))
def test_spoilt_requests_never_crash(members: Any) -> None:
    """Nor do requests in which one thing is wrong, wherever it is."""
    try_request(members if isinstance(members, dict) else {})


def try_request(members: dict[str, Any]) -> None:
    try:
        call = make_responses_call(**{**members, "model": "a/b"})
        body, _ = responses_to_messages.write(call, TARGET)
    except GatewayError:
        return
    json.loads(body)
    responses_to_messages.open_stream(call, started_at_ns=0)


def test_bare_base64_is_a_pdf() -> None:
    """OpenAI's own examples leave out the data URL."""
    written = write(input=user({"type": "input_file", "file_data": "JVBERi0="}))
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    assert written["messages"][0]["content"] == [{"type": "document", "source": source}]


def test_no_effort() -> None:
    """Is no thinking, which is what a request without it is."""
    assert write(reasoning={"effort": "none", "summary": "auto"}).keys() == {
        "model",
        "max_tokens",
        "messages",
    }


def test_sampling() -> None:
    """One of both: newer models take no more."""
    assert write(top_p=0.5)["top_p"] == 0.5
    assert write(temperature=0.5, top_p=1) == {**write(), "temperature": 0.5}


def test_path() -> None:
    """Whole and streamed."""
    call = make_responses_call(model="a/b", input="hi")
    assert responses_to_messages.path(call, TARGET) == "/messages"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_what_is_no_error(body: bytes) -> None:
    """A caller could not read it."""
    assert responses_to_messages.read_error(500, body) is None


@pytest.mark.parametrize(("status", "told"), [(400, 400), (429, 429), (529, 503)])
def test_errors_in_openais_shape(status: int, told: int) -> None:
    """And with a status that OpenAI's callers know."""
    error = {"type": "rate_limit_error", "message": "slow down"}
    refusal = responses_to_messages.read_error(status, json.dumps({"type": "error", "error": error}).encode())
    assert refusal is not None
    assert refusal.status == told
    said_error = json.loads(refusal.body)["error"]
    assert (said_error["message"], said_error["type"]) == ("slow down", "rate_limit_error")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"include": ["message.output_text.logprobs"]}, "include.message.output_text.logprobs"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        (
            {"input": user({"type": "input_image", "image_url": "https://a", "detail": "low"})},
            "input.content.detail",
        ),
        ({"tools": [{"type": "web_search", "search_context_size": "high"}]}, "tools[0].search_context_size"),
        (
            {"tools": [{"type": "function", "name": "f", "output_schema": {"type": "object"}}]},
            "tools[0].output_schema",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_named_when_left_out(members: dict[str, Any], expected: str) -> None:
    """What Messages has no word for is named."""
    call = make_responses_call(model="a/b", **{"input": "hi", **members})
    _, dropped = responses_to_messages.write(call, make_target(model_id="claude-sonnet-4-6"))
    assert dropped == (expected,)


@pytest.mark.parametrize(
    "members",
    [
        {"instructions": "Write a haiku.", "input": []},
        {"input": [{"role": "developer", "content": "Write a haiku."}]},
    ],
)
def test_a_system_prompt_alone(members: dict[str, Any]) -> None:
    """OpenAI answers it, Anthropic wants a turn of the user's."""
    body = write(**members)
    assert "system" not in body
    asked = {"role": "user", "content": [{"type": "text", "text": "Write a haiku."}]}
    assert body["messages"] == [asked]


def test_a_picture_under_another_name() -> None:
    """Anthropic knows no `image/jpg`, and refuses what is another than it says."""
    picture = {"type": "input_image", "image_url": "data:image/jpg;base64,/9j/4AAQ"}
    (turn,) = write(input=user(picture))["messages"]
    assert turn["content"][0]["source"]["media_type"] == "image/jpeg"


def test_a_strict_schema_that_is_too_deep() -> None:
    """It is the caller's mistake."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(600):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidBody):
        write(tools=[{"type": "function", "name": "f", "strict": True, "parameters": schema}])


def test_prefill_that_ends_in_blanks() -> None:
    """Claude refuses it, and callers of another dialect cannot know that."""
    body = write(input=[{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "So: \n"}])
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "So:"}]}
