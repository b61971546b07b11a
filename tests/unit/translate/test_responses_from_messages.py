"""A Messages reply, whole or streamed, read into a response object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, UpstreamBadReply
from gateway.translate import responses_to_messages
from tests.golden.responses_cases import STARTED_AT_NS, Case, all_cases, read_events_of
from tests.rig.examples import cuts, examples
from tests.rig.requires import requires
from tests.unit.recorded import recorded_answers
from tests.unit.translate.foreign_streams import (
    CALL,
    facts_of,
    json_of,
    outcome,
    run,
    spoilt,
    try_reply,
    try_stream,
)

CASES: Final = [case for case in all_cases() if case.stream and case.pair_name == "responses_to_messages"]
KINDS: Final = st.sampled_from(
    [
        *("message_start", "content_block_start", "content_block_delta", "content_block_stop"),
        *("message_delta", "message_stop", "error", "ping"),
    ]
)
JSON: Final = json_of(
    *(
        "type",
        "message",
        "usage",
        "id",
        "content_block",
        "delta",
        "text",
        "thinking",
        "tool_use",
        "name",
        "input",
    ),
    *(
        "signature",
        "redacted_thinking",
        "data",
        "server_tool_use",
        "web_search_tool_result",
        "content",
        "url",
    ),
    *(
        "partial_json",
        "citation",
        "citations",
        "stop_reason",
        "refusal",
        "stop_details",
        "explanation",
        "query",
    ),
)
BLOCKS: Final = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["text", "thinking", "tool_use", "server_tool_use", "web_search_tool_result", "redacted_thinking"]
        )
    },
    optional=dict.fromkeys(("text", "thinking", "signature", "id", "name", "input", "content", "data"), JSON),
)
EVENTS: Final = (
    st.fixed_dictionaries(
        {"type": KINDS},
        optional={
            "index": st.integers(0, 2),
            "content_block": BLOCKS | JSON,
            "delta": JSON,
            "message": JSON,
            "usage": JSON,
            "error": JSON,
        },
    )
    | JSON
)


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


START: Final = event(
    "message_start", message={"id": "msg_1", "model": "claude", "usage": {"input_tokens": 4}}
)
STOP: Final = event("message_stop")


def text(words: str, index: int = 0) -> bytes:
    delta = {"type": "text_delta", "text": words}
    block = event("content_block_start", index=index, content_block={"type": "text", "text": ""})
    return block + event("content_block_delta", index=index, delta=delta)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cut_gives_the_same_events(case: Case) -> None:
    """Wherever a stream is cut on its way, the caller gets the same events and the trace the same facts."""
    body = case.stream_bytes()
    told, whole = run(responses_to_messages, [body])
    for at in cuts(len(body)):
        again, stream = run(responses_to_messages, [body[:at], body[at:]])
        assert again == told
        assert outcome(stream) == outcome(whole)
    again, _ = run(responses_to_messages, [body[at : at + 1] for at in range(len(body))])
    assert again == told


@settings(max_examples=examples(150))
@given(st.lists(EVENTS, max_size=8))
def test_random_streams_never_crash(events: list[Any]) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    told = try_stream(responses_to_messages, events)
    assert isinstance(told, GatewayError) or read_events_of(told) is not None


@settings(max_examples=examples(150))
@given(st.fixed_dictionaries({"content": st.lists(BLOCKS | JSON)}, optional={"stop_reason": JSON}) | JSON)
def test_random_replies_never_crash(value: Any) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    told = try_reply(responses_to_messages, value)
    assert isinstance(told, GatewayError) or json.loads(told)["object"] == "response"


SPOILT_STREAMS: Final = spoilt([case.stream for case in CASES])
SPOILT_REPLIES: Final = spoilt([case.reply for case in CASES if case.reply])


@settings(max_examples=examples(400))
@given(SPOILT_STREAMS, SPOILT_REPLIES)
def test_spoilt_answers_never_crash(stream: Any, reply: Any) -> None:
    """Nor do answers in which one thing is wrong, wherever it is."""
    events = stream if isinstance(stream, list) else [stream]
    told = try_stream(responses_to_messages, [event for event in events if event != "[DONE]"])
    assert isinstance(told, GatewayError) or read_events_of(told) is not None
    answered = try_reply(responses_to_messages, reply)
    assert isinstance(answered, GatewayError) or json.loads(answered)["object"] == "response"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"type": "message"}', id="no content"),
        pytest.param(b'{"type": "error", "error": {"type": "api_error"}}', id="an error inside"),
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    """A 200 without an answer is a failure of the provider."""
    with pytest.raises(UpstreamBadReply):
        responses_to_messages.read(CALL, body, started_at_ns=STARTED_AT_NS)


@pytest.mark.parametrize("data", [b"data: {oops\n\n", b"data: [1]\n\n"], ids=["no JSON", "no object"])
def test_event_that_cannot_be_read(data: bytes) -> None:
    """Ends the stream: what it said cannot be put into other words."""
    with pytest.raises(UpstreamBadReply):
        run(responses_to_messages, [START, data])


@pytest.mark.parametrize(
    ("body", "has_data", "has_content", "is_complete"),
    [
        pytest.param(event("ping"), False, False, False, id="ping"),
        pytest.param(START, True, False, False, id="start"),
        pytest.param(START + text(""), True, False, False, id="an empty block"),
        pytest.param(START + text("a"), True, True, False, id="text"),
        pytest.param(START + text("a") + STOP, True, True, True, id="whole"),
        pytest.param(START + text("a") + STOP[:-1], True, True, True, id="its last blank line missing"),
        pytest.param(START + text("a") + STOP[:-2], True, True, False, id="its last line cut"),
    ],
)
def test_beginning_and_end(body: bytes, *, has_data: bool, has_content: bool, is_complete: bool) -> None:
    """Nothing is told before there is content, and no end before the stream has one."""
    told, stream = run(responses_to_messages, [body])
    assert (stream.has_data, stream.has_content, stream.is_complete) == (has_data, has_content, is_complete)
    assert bool(told) is has_content
    assert (b"response.completed" in told) is is_complete


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        ({"type": "overloaded_error", "message": "busy"}, "server_error", "busy"),
        ({"type": "rate_limit_error", "message": "slow"}, "rate_limit_exceeded", "slow"),
        (None, "server_error", "The provider's stream ended with an error."),
    ],
)
def test_nothing_follows_an_error(error: Any, code: str, message: str) -> None:
    """Above all no end that makes a failed answer look whole."""
    told, stream = run(responses_to_messages, [START, text("a"), event("error", error=error), STOP])
    assert read_events_of(told)[-1]["response"]["error"] == {"code": code, "message": message}
    assert (stream.is_complete, stream.has_ended, bool(stream.failure)) == (False, True, True)
    assert facts_of(stream).usage.source == "partial"


def test_citation_of_a_document_has_no_equal() -> None:
    """The place it names is in what the caller sent; OpenAI's citations are of pages and stored files."""
    citation = {"type": "char_location", "cited_text": "x", "document_index": 0}
    block = {"type": "text", "text": "a", "citations": [citation, 7]}
    body, _ = responses_to_messages.read(
        CALL, json.dumps({"content": [block]}).encode(), started_at_ns=STARTED_AT_NS
    )
    assert json.loads(body)["output"][0]["content"][0]["annotations"] == []


@requires("recordings")
def test_recorded_answers(recordings: Path) -> None:
    """Real answers come out whole, with what they said and their own count."""
    count = 0
    for item in recorded_answers(recordings, "anthropic-messages", is_stream=True):
        pieces = [item.body[at : at + 100] for at in range(0, len(item.body), 100)]
        told, stream = run(responses_to_messages, pieces)
        assert stream.is_complete, item.name
        assert read_events_of(told)[-1]["type"] in ("response.completed", "response.incomplete")
        assert facts_of(stream).usage.source == "provider"
        count += 1
    for item in recorded_answers(recordings, "anthropic-messages", is_stream=False):
        body, _ = responses_to_messages.read(CALL, item.body, started_at_ns=STARTED_AT_NS)
        response, message = json.loads(body), json.loads(item.body)
        texts = [part.get("text", "") for each in response["output"] for part in each.get("content", [])]
        assert texts == [block["text"] for block in message["content"] if block["type"] == "text"], item.name
        calls = [json.loads(each["arguments"]) for each in response["output"] if "arguments" in each]
        assert calls == [block["input"] for block in message["content"] if block["type"] == "tool_use"]
        count += 1
    assert count > 20
