"""A Responses request for a target of Gemini's: what is refused. What is written is in golden files."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.translate import responses_to_gemini
from tests.golden.responses_cases import all_cases, make_responses_call
from tests.rig.examples import examples
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import spoilt
from tests.unit.translate.test_responses_to_chat import REQUESTS, said, user

TARGETS: Final = [
    make_target(model_id=model_id, dialect="gemini")
    for model_id in ("gemini-2.0-flash", "gemini-2.5-pro", "gemini-3.5-flash")
]
SEARCH: Final = {"type": "web_search"}
FUNCTION: Final = {"type": "function", "name": "f"}


def write(**members: Any) -> dict[str, Any]:
    call = make_responses_call(model="a/b", **{"input": "hi", **members})
    body, _ = responses_to_gemini.write(call, TARGETS[-1])
    written: dict[str, Any] = json.loads(body)
    return written


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedParameter, "previous_response_id"),
        ({"tools": [{"type": "file_search"}]}, UnsupportedParameter, "tools[0].type"),
        ({"tools": [SEARCH, FUNCTION]}, UnsupportedParameter, "tools"),
        (
            {"tools": [{**SEARCH, "filters": {"allowed_domains": ["a"]}}]},
            UnsupportedParameter,
            "tools.web_search.filters",
        ),
        ({"input": user({"type": "input_text", "text": 7})}, InvalidBody, "input[0].text"),
        (
            {"input": user({"type": "input_image", "file_id": "f"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        (
            {"input": user({"type": "input_image", "image_url": "ftp://x"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        ({"input": user({"type": "input_file", "file_id": "f"})}, UnsupportedParameter, "input[0].file_url"),
        ({"input": user({"type": "input_audio", "input_audio": {}})}, InvalidBody, "input[0].input_audio"),
        ({"input": user({"type": "input_new"})}, UnsupportedParameter, "input[0].content"),
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


def test_no_search() -> None:
    """A search that must not be made is not offered."""
    assert "tools" not in write(tools=[SEARCH], tool_choice="none")


def test_nothing_but_a_system_prompt() -> None:
    """OpenAI answers it, and Gemini wants something of the user's."""
    found = write(input=[{"role": "developer", "content": "Say hi."}])
    assert found["contents"] == [{"role": "user", "parts": [{"text": "Say hi."}]}]
    assert "systemInstruction" not in found


def test_text_is_no_shape() -> None:
    """It is what an answer is anyway."""
    assert "generationConfig" not in write(text={"format": {"type": "text"}})


def test_what_an_answer_is_for() -> None:
    """OpenAI has it beside the schema, Gemini in it."""
    shape = {"type": "json_schema", "name": "n", "description": "A word.", "schema": {"type": "string"}}
    config = write(text={"format": shape})["generationConfig"]
    assert config["responseJsonSchema"] == {"type": "string", "description": "A word."}


def test_a_search_is_named_as_it_was_called() -> None:
    """There are two names of it."""
    search = {"type": "web_search_preview", "user_location": {"type": "approximate"}}
    call = make_responses_call(model="a/b", input="hi", tools=[search])
    assert responses_to_gemini.write(call, TARGETS[-1])[1] == ("tools.web_search_preview.user_location",)


@settings(max_examples=examples(150))
@given(REQUESTS)
def test_random_requests_never_crash(members: dict[str, Any]) -> None:
    """Whatever a caller sends is a request, or an error of ours; what is written can be answered."""
    try_request(members)


@settings(max_examples=examples(300))
@given(spoilt([case.request for case in all_cases()]))
def test_spoilt_requests_never_crash(members: Any) -> None:
    """Nor do requests in which one thing is wrong, wherever it is."""
    try_request(members if isinstance(members, dict) else {})


def try_request(members: dict[str, Any]) -> None:
    for target in TARGETS:
        try:
            call = make_responses_call(**{**members, "model": "a/b"})
            body, _ = responses_to_gemini.write(call, target)
        except GatewayError:
            continue
        assert "contents" in json.loads(body)
        responses_to_gemini.open_stream(call, started_at_ns=0)


def test_no_answer() -> None:
    """A call that the model could not write is a failure, so that another target may be asked."""
    body = b'{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}'
    call = make_responses_call(model="a/b", input="hi")
    with pytest.raises(UpstreamBadReply, match="MALFORMED_FUNCTION_CALL"):
        responses_to_gemini.read(call, body, started_at_ns=0)


def test_path() -> None:
    """Whole and streamed."""
    whole, stream = (
        make_responses_call(model="a/b", input="hi", stream=is_stream) for is_stream in (False, True)
    )
    assert responses_to_gemini.path(whole, TARGETS[-1]) == "/models/gemini-3.5-flash:generateContent"
    path = responses_to_gemini.path(stream, TARGETS[-1])
    assert path == "/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
