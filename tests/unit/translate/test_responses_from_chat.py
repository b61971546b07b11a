"""A chat completion, whole or streamed, read into a response object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError, UpstreamBadReply
from gateway.model import Usage
from gateway.translate import responses_to_chat
from tests.golden.responses_cases import STARTED_AT_NS, Case, all_cases, read_events_of
from tests.rig.examples import cuts, examples
from tests.rig.requires import requires
from tests.unit.recorded import OPENAI_REPLIES, OPENAI_SHAPED, recorded_answers
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

CASES: Final = [case for case in all_cases() if case.stream and case.pair_name == "responses_to_chat"]
DONE: Final = b"data: [DONE]\n\n"
JSON: Final = json_of(
    *("choices", "delta", "message", "content", "role", "tool_calls", "index", "id", "function", "name"),
    *("arguments", "finish_reason", "length", "usage", "prompt_tokens", "error", "logprobs", "top_logprobs"),
    *(
        "token",
        "logprob",
        "bytes",
        "refusal",
        "reasoning_content",
        "annotations",
        "url_citation",
        "apply_patch",
    ),
)
CHOICES: Final = st.fixed_dictionaries({"delta": JSON}, optional={"finish_reason": JSON, "logprobs": JSON})
CHUNKS: Final = (
    st.fixed_dictionaries({"choices": st.lists(CHOICES, max_size=2)}, optional={"usage": JSON}) | JSON
)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(finish: str | None = None, *, index: int = 0, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "model": "small", "created": 7, "choices": [choice]})


def call(index: int | None, call_id: str | None = None, name: str | None = None, text: str = "") -> bytes:
    found: dict[str, Any] = {"function": {"name": name, "arguments": text}}
    found |= {} if index is None else {"index": index}
    return chunk(tool_calls=[{**found, "id": call_id}])


def items(*pieces: bytes) -> list[dict[str, Any]]:
    """The output at the end of a stream."""
    told, stream = run(responses_to_chat, [*pieces, chunk("stop"), DONE])
    assert stream.is_complete
    output: list[dict[str, Any]] = read_events_of(told)[-1]["response"]["output"]
    return output


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cut_gives_the_same_events(case: Case) -> None:
    """Wherever a stream is cut on its way, the caller gets the same events and the trace the same facts."""
    body = case.stream_bytes()
    told, whole = run(responses_to_chat, [body])
    for at in cuts(len(body)):
        again, stream = run(responses_to_chat, [body[:at], body[at:]])
        assert again == told
        assert outcome(stream) == outcome(whole)
    again, _ = run(responses_to_chat, [body[at : at + 1] for at in range(len(body))])
    assert again == told


@settings(max_examples=examples(150))
@given(st.lists(CHUNKS, max_size=5))
def test_random_streams_never_crash(events: list[Any]) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    told = try_stream(responses_to_chat, events)
    assert isinstance(told, GatewayError) or read_events_of(told) is not None


@settings(max_examples=examples(150))
@given(st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": JSON}) | JSON)}) | JSON)
def test_random_replies_never_crash(value: Any) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    told = try_reply(responses_to_chat, value)
    assert isinstance(told, GatewayError) or json.loads(told)["object"] == "response"


SPOILT_STREAMS: Final = spoilt([case.stream for case in CASES])
SPOILT_REPLIES: Final = spoilt([case.reply for case in CASES if case.reply])


@settings(max_examples=examples(400))
@given(SPOILT_STREAMS, SPOILT_REPLIES)
def test_spoilt_answers_never_crash(stream: Any, reply: Any) -> None:
    """Nor do answers in which one thing is wrong, wherever it is."""
    events = stream if isinstance(stream, list) else [stream]
    told = try_stream(responses_to_chat, [event for event in events if event != "[DONE]"])
    assert isinstance(told, GatewayError) or read_events_of(told) is not None
    answered = try_reply(responses_to_chat, reply)
    assert isinstance(answered, GatewayError) or json.loads(answered)["object"] == "response"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"choices": []}', id="no choices"),
        pytest.param(b'{"choices": [{}]}', id="no message"),
        pytest.param(b'{"error": {"message": "busy"}}', id="an error inside"),
    ],
)
def test_what_is_no_completion(body: bytes) -> None:
    """A 200 without an answer is a failure of the provider."""
    with pytest.raises(UpstreamBadReply):
        responses_to_chat.read(CALL, body, started_at_ns=STARTED_AT_NS)


@pytest.mark.parametrize("data", [b"data: {oops\n\n", b"data: [1]\n\n"], ids=["no JSON", "no object"])
def test_event_that_cannot_be_read(data: bytes) -> None:
    """Ends the stream: what it said cannot be put into other words."""
    with pytest.raises(UpstreamBadReply):
        run(responses_to_chat, [chunk(content="a"), data])


@pytest.mark.parametrize(
    ("pieces", "has_content", "is_complete"),
    [
        ([chunk(role="assistant", content="")], False, False),
        ([event({"choices": [], "usage": {"prompt_tokens": 1}})], False, False),
        ([chunk(content="a")], True, False),
        ([chunk(reasoning="a")], True, False),
        ([chunk(refusal="a")], True, False),
        ([call(0, "call_1", "f")], True, False),
        ([chunk("stop")], True, True),
        ([chunk("stop"), b"data: {"], True, False),
        ([DONE], False, True),
        ([chunk(content="a"), DONE], True, True),
    ],
)
def test_beginning_and_end(pieces: list[bytes], *, has_content: bool, is_complete: bool) -> None:
    """Nothing is told before there is content, and no end before the stream has one."""
    told, stream = run(responses_to_chat, pieces)
    assert (stream.has_content, stream.is_complete) == (has_content, is_complete)
    assert stream.is_said is any(b'"stop"' in piece for piece in pieces)
    ended = [event for event in read_events_of(told) if event["type"] == "response.completed"]
    assert bool(ended) is is_complete
    is_told = (has_content or is_complete) and pieces != [chunk("stop"), b"data: {"]
    assert bool(told) is is_told


@pytest.mark.parametrize("before", [[], [chunk(content="a")]], ids=["at first", "after content"])
def test_reply_that_its_provider_could_not_finish(before: list[bytes]) -> None:
    """The finish reason `error` is no end of an answer."""
    with pytest.raises(UpstreamBadReply, match="ended with an error"):
        run(responses_to_chat, [*before, chunk("error"), DONE])


def test_nothing_follows_the_end_or_an_error() -> None:
    """Above all no end that makes a failed answer look whole."""
    error = event({"error": "busy"})
    told, stream = run(responses_to_chat, [chunk(content="a"), error, chunk(content="b"), DONE])
    assert read_events_of(told)[-1]["response"]["error"] == {"code": "server_error", "message": "busy"}
    assert (stream.failure, stream.is_complete, stream.has_ended) == (b'{"error": "busy"}', False, True)
    assert facts_of(stream).usage.source == "partial"
    told, _ = run(responses_to_chat, [DONE, chunk(content="b")])
    assert read_events_of(told)[-1]["type"] == "response.completed"


def test_what_was_counted_before_most_of_it() -> None:
    """Of a reply that did not end the output is what was counted or what came, whichever is more."""
    told = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 1}}
    _, stream = run(responses_to_chat, [event(told), *[chunk(content="a")] * 4])
    assert facts_of(stream).usage == Usage(12, 5, "partial")


def test_facts() -> None:
    """The provider's own words: its id, its model, its finish reason, its count."""
    usage = {"prompt_tokens": 5, "completion_tokens": 6}
    _, stream = run(responses_to_chat, [chunk(content="a"), chunk("length"), event({"usage": usage}), DONE])
    facts = stream.facts()
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == (
        "chatcmpl-1",
        "small",
        ("length",),
    )
    assert facts.usage == Usage(5, 6, "provider")


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        (
            [call(0, "c1", "f", "{"), call(1, "c2", "g", "["), call(0, text="}"), call(1, text="]")],
            ["c1{}", "c2[]"],
        ),
        ([call(0, "c1", "f", "1"), call(0, "c2", "f", "2")], ["c11", "c22"]),
        ([call(0, "c1", "f", "1"), call(0, "c1", "f", "2")], ["c112"]),
        ([call(None, "c1", "f", "1"), call(None, None, None, "2")], ["c112"]),
        ([call(0, None, "f", "1")], ["call_1_01"]),
        ([call(3, None, None, "1")], []),
        ([call(0, "c1"), call(0, None, "f", "1")], ["c11"]),
        ([call(0, "c1", None, "["), call(0, text="1"), call(0, None, "f", "]")], ["c1[1]"]),
        ([call(0, "c1", "f", "{"), chunk(content="so"), call(0, text="}")], ["c1{}"]),
        ([call(0, "c1", "f"), chunk(content="so"), call(0, text="[1]")], ["c1[1]"]),
    ],
    ids=[
        *("mixed", "one index for all", "named twice", "no index", "no id", "never begun"),
        *(
            "name after the id",
            "name after arguments",
            "words between its pieces",
            "words before its arguments",
        ),
    ],
)
def test_calls(pieces: list[bytes], calls: list[str]) -> None:
    """Calls as servers write them, and as they should not."""
    found = [
        item["call_id"] + item["arguments"] for item in items(*pieces) if item["type"] == "function_call"
    ]
    assert found == calls


def test_call_that_is_cut() -> None:
    """It is incomplete, and not only what was said behind it."""
    told, _ = run(
        responses_to_chat, [call(0, "c1", "f", '{"a":'), chunk(content="so"), chunk("length"), DONE]
    )
    found = read_events_of(told)[-1]["response"]["output"]
    assert {item["type"]: item["status"] for item in found} == dict.fromkeys(
        ("function_call", "message"), "incomplete"
    )


def test_arguments_as_an_object() -> None:
    """Some servers write them so."""
    (item,) = items(chunk(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]))
    assert item["arguments"] == '{"a":1}'


def test_content_in_parts() -> None:
    """Some servers write it so."""
    (item,) = items(chunk(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, 7]))
    assert item["content"][0]["text"] == "ab"


def test_thoughts_among_the_parts() -> None:
    """As models of Mistral have them."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    thoughts, answer = items(chunk(content=[thought, {"type": "text", "text": "a"}]), chunk(content="b"))
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert answer["content"][0]["text"] == "ab"


def test_other_choices_are_passed_over() -> None:
    """A response has one answer."""
    (item,) = items(chunk(content="a"), chunk(index=1, content="b"))
    assert item["content"][0]["text"] == "a"


def test_numbers_that_json_has_not() -> None:
    """Servers write -Infinity for what is too unlikely to have a number."""
    logprobs = b'{"content":[{"token":"a","logprob":-Infinity}]}'
    data = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":' + logprobs + b"}]}"
    (item,) = items(data + b"\n\n")
    assert item["content"][0]["logprobs"] == [{"token": "a", "logprob": -9999.0, "bytes": []}]


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_SHAPED)
def test_recorded_streams(recordings: Path, name: str) -> None:
    """Real streams come out whole."""
    for item in recorded_answers(recordings, name, is_stream=True):
        told, stream = run(
            responses_to_chat, [item.body[at : at + 100] for at in range(0, len(item.body), 100)]
        )
        assert stream.is_complete, item.name
        assert read_events_of(told)[-1]["type"] in ("response.completed", "response.incomplete")


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_REPLIES)
def test_recorded_replies(recordings: Path, name: str) -> None:
    """Real replies come out with what they said."""
    for item in recorded_answers(recordings, name, is_stream=False):
        body, facts = responses_to_chat.read(CALL, item.body, started_at_ns=STARTED_AT_NS)
        response, completion = json.loads(body), json.loads(item.body)
        said = completion["choices"][0]["message"]
        texts = [part.get("text", "") for each in response["output"] for part in each.get("content", [])]
        assert (said.get("content") or "") in "".join(texts), item.name
        calls = [each["call_id"] for each in response["output"] if each["type"] == "function_call"]
        assert calls == [each["id"] for each in said.get("tool_calls") or []], item.name
        assert facts.response_id == completion["id"]
