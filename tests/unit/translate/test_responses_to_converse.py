"""A Responses request for a model of Bedrock: what is refused. What is written is in golden files."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given, settings

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter
from gateway.translate import responses_to_converse
from tests.golden.converse_replies import complaints_of
from tests.golden.responses_cases import Case, all_cases, make_responses_call
from tests.rig.examples import examples
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import spoilt
from tests.unit.translate.test_responses_to_chat import REQUESTS, said, user

CASES: Final = [case for case in all_cases() if case.pair_name == "responses_to_converse"]
TARGETS: Final = [
    make_target(model_id=model_id, dialect="converse")
    for model_id in (
        "amazon.nova-2-lite-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-sonnet-4-6",
        "meta.llama4-maverick-17b-instruct-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/x/y",
    )
]
PICTURE: Final = "data:image/png;base64,iVBORw0KGgo="


def write(**members: Any) -> dict[str, Any]:
    call = make_responses_call(model="a/b", **{"input": "hi", **members})
    body, _ = responses_to_converse.write(call, TARGETS[1])
    written: dict[str, Any] = json.loads(body)
    return written


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bedrock_takes_it(case: Case) -> None:
    """Each body is one by AWS's own description of the call."""
    body, _ = responses_to_converse.write(case.call(), case.target)
    assert complaints_of(json.loads(body)) == ""


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedParameter, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, UnsupportedParameter, "tools[0].type"),
        ({"tool_choice": {"type": "web_search"}}, UnsupportedParameter, "tool_choice"),
        ({"input": user({"type": "input_text", "text": 7})}, InvalidBody, "input[0].text"),
        (
            {"input": user({"type": "input_image", "file_id": "f"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        (
            {"input": user({"type": "input_image", "image_url": "https://x.test/a.png"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        (
            {"input": user({"type": "input_image", "image_url": "data:image/png,x"})},
            InvalidBody,
            "input[0].image_url",
        ),
        (
            {"input": user({"type": "input_image", "image_url": "data:image/tiff;base64,AAAA"})},
            UnsupportedParameter,
            "input[0].image_url",
        ),
        ({"input": user({"type": "input_file", "file_id": "f"})}, UnsupportedParameter, "input[0].file_data"),
        (
            {"input": user({"type": "input_file", "file_url": "https://x.test/a.pdf"})},
            UnsupportedParameter,
            "input[0].file_url",
        ),
        (
            {"input": user({"type": "input_file", "filename": "a.exe", "file_data": "AAAA"})},
            UnsupportedParameter,
            "input[0].file_data",
        ),
        ({"input": user({"type": "input_audio", "input_audio": {}})}, InvalidBody, "input[0].input_audio"),
        (
            {"input": user({"type": "input_audio", "input_audio": {"data": "A", "format": "x"}})},
            UnsupportedParameter,
            "input[0].input_audio",
        ),
        ({"input": user({"type": "input_new"})}, UnsupportedParameter, "input[0].content"),
        ({"input": said({"type": "input_image"})}, UnsupportedParameter, "input[0].content"),
        (
            {
                "input": [
                    {"role": "developer", "content": [{"type": "input_image", "image_url": PICTURE}]},
                ]
            },
            UnsupportedParameter,
            "input[0].content",
        ),
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
    call = make_responses_call(model="a/b", input="hi", truncation="auto")
    with pytest.raises(UnsupportedParameter) as caught:
        responses_to_converse.write(call, make_target(dialect="converse", unsupported="reject"))
    assert caught.value.param == "truncation"


def test_a_document_of_plain_base64_is_what_its_name_says() -> None:
    """As OpenAI's own examples have it: no data URL, and a name."""
    part = {"type": "input_file", "filename": "table.csv", "file_data": "YSxi"}
    [message] = write(input=user(part))["messages"]
    assert message["content"][0]["document"]["format"] == "csv"


@settings(max_examples=examples(150))
@given(REQUESTS)
def test_random_requests_never_crash(members: dict[str, Any]) -> None:
    """Whatever a caller sends is a request, or an error of ours; what is written can be answered."""
    try_request(members)


@settings(max_examples=examples(300))
@given(spoilt([case.request for case in CASES]))
def test_spoilt_requests_never_crash(members: Any) -> None:
    """Nor do requests in which one thing is wrong, wherever it is."""
    try_request(members if isinstance(members, dict) else {})


def try_request(members: dict[str, Any]) -> None:
    for target in TARGETS:
        try:
            call = make_responses_call(**{**members, "model": "a/b"})
            body, _ = responses_to_converse.write(call, target)
        except GatewayError:
            continue
        assert json.loads(body)["messages"]
        responses_to_converse.open_stream(call, started_at_ns=0)


def test_path() -> None:
    """Whole and streamed."""
    whole, stream = (
        make_responses_call(model="a/b", input="hi", stream=is_stream) for is_stream in (False, True)
    )
    assert responses_to_converse.path(whole, TARGETS[2]) == "/model/anthropic.claude-sonnet-4-6/converse"
    path = responses_to_converse.path(stream, TARGETS[0])
    assert path == "/model/amazon.nova-2-lite-v1%3A0/converse-stream"


def test_whom_it_is_for_is_named_where_it_is_lost() -> None:
    """By the name that the caller has for it, beside what is lost with it."""
    members = {"metadata": {"a": "b"}, "safety_identifier": "ü"}
    call = make_responses_call(model="a/b", input="hi", **members)
    body, left_out = responses_to_converse.write(call, TARGETS[1])
    assert left_out == ("metadata", "safety_identifier")
    assert "requestMetadata" not in json.loads(body)


def test_prefill_that_ends_in_blanks() -> None:
    """Claude refuses it, and callers of another dialect cannot know that."""
    body = write(input=[{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "So: \n"}])
    assert body["messages"][-1] == {"role": "assistant", "content": [{"text": "So:"}]}
