"""A Responses request for a chat target: what is refused. What is written is in golden files."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter
from gateway.model import Quirks, Target
from gateway.translate import responses_to_chat
from gateway.translate.pair import Refusal
from tests.golden.responses_cases import all_cases, make_responses_call
from tests.rig.examples import examples
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of, spoilt

TARGET: Final = make_target()
REQUESTS: Final = st.dictionaries(
    st.sampled_from(
        [
            *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "metadata", "include"),
            *("max_output_tokens", "temperature", "top_p", "top_logprobs", "truncation", "user", "stream"),
            *("previous_response_id", "parallel_tool_calls", "service_tier", "max_tool_calls", "strange"),
        ]
    ),
    json_of(
        *(
            "type",
            "role",
            "user",
            "assistant",
            "content",
            "input_text",
            "input_image",
            "image_url",
            "input_file",
        ),
        *(
            "text",
            "function",
            "name",
            "parameters",
            "function_call",
            "function_call_output",
            "call_id",
            "output",
        ),
        *(
            "arguments",
            "reasoning",
            "summary",
            "format",
            "json_schema",
            "schema",
            "effort",
            "high",
            "message",
        ),
        *("web_search", "custom", "allowed_tools", "mode", "tools", "auto", "file_data", "encrypted_content"),
    ),
    max_size=6,
)


def write(**members: Any) -> dict[str, Any]:
    body, _ = responses_to_chat.write(make_responses_call(model="a/b", **members), TARGET)
    written: dict[str, Any] = json.loads(body)
    return written


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def said(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": list(parts)}]


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedParameter, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, UnsupportedParameter, "tools[0].type"),
        ({"input": user({"type": "input_text"})}, InvalidBody, "input[0].text"),
        (
            {"input": user({"type": "input_image", "file_id": "f"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        (
            {"input": user({"type": "input_file", "file_url": "u"})},
            UnsupportedParameter,
            "input[0].file_data",
        ),
        ({"input": user({"type": "input_audio"})}, InvalidBody, "input[0].input_audio"),
        ({"input": user({"type": "strange"})}, UnsupportedParameter, "input[0].content"),
        ({"input": said({"type": "input_image"})}, UnsupportedParameter, "input[0].content"),
        ({"text": {"format": "json"}}, InvalidBody, "text.format"),
        ({"text": {"format": {}}}, InvalidBody, "text.format.type"),
        ({"text": {"format": {"type": "xml"}}}, UnsupportedParameter, "text.format.type"),
    ],
)
def test_refused(members: dict[str, Any], error: type[GatewayError], param: str) -> None:
    """Each names the field at fault."""
    with pytest.raises(error) as caught:
        write(**{"input": "hi", **members})
    assert (caught.value.status, caught.value.param) == (400, param)


def test_refused_by_setting() -> None:
    """What would be left out is refused where the operator wants it."""
    call = make_responses_call(model="a/b", input="hi", truncation="auto")
    with pytest.raises(UnsupportedParameter) as caught:
        responses_to_chat.write(call, make_target(unsupported="reject"))
    assert caught.value.param == "truncation"


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
        body, _ = responses_to_chat.write(call, TARGET)
    except GatewayError:
        return
    json.loads(body)
    responses_to_chat.open_stream(call, started_at_ns=0)


def test_nothing_of_tools_without_tools() -> None:
    """Servers refuse it."""
    assert write(input="hi", parallel_tool_calls=True, tool_choice="auto").keys() == {"model", "messages"}


def test_reasoning_that_only_its_provider_can_read() -> None:
    """Leaves no message behind."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    assert write(input=[item])["messages"] == []


def test_path() -> None:
    """Whole and streamed."""
    call = make_responses_call(model="a/b", input="hi")
    assert responses_to_chat.path(call, TARGET) == "/chat/completions"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_what_is_no_error(body: bytes) -> None:
    """A caller could not read it."""
    assert responses_to_chat.read_error(500, body) is None


def test_errors_pass() -> None:
    """They have one shape in both APIs."""
    body = b'{"error": {"message": "x"}}'
    assert responses_to_chat.read_error(429, body) == Refusal(429, body)


SYSTEM: Final = {"role": "developer", "content": "kind"}
PARTS: Final = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]


def messages_of(target: Target = TARGET, **members: Any) -> list[dict[str, Any]]:
    body, _ = responses_to_chat.write(make_responses_call(model="a/b", **members), target)
    written: list[dict[str, Any]] = json.loads(body)["messages"]
    return written


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("kind", "be\n\nkind"),
        ("", "be"),
        (PARTS, [{"type": "text", "text": text} for text in ("be", "a", "b")]),
    ],
)
def test_instructions_and_a_developer(content: Any, expected: Any) -> None:
    """They are one message, as Codex sends both and many templates refuse a second; a later one stays."""
    first, hello, later = messages_of(
        instructions="be",
        input=[{"role": "developer", "content": content}, {"role": "user", "content": "hi"}, SYSTEM],
    )
    assert first == {"role": "system", "content": expected}
    assert hello["role"] == "user"
    assert later == {"role": "system", "content": "kind"}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (make_target(model_id="deepseek-v4-pro"), "hm"),
        (make_target(model_id="gpt-5"), None),
        (make_target(quirks={"chat": Quirks(refused_in_messages=("reasoning_content",))}), None),
    ],
)
def test_thoughts_go_back(target: Target, expected: str | None) -> None:
    """To those who want them with calls of tools, not to those who refuse them."""
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    (said,) = messages_of(target, input=[thought, call])
    assert said.get("reasoning_content") == expected
    assert said["tool_calls"][0]["id"] == "c"
