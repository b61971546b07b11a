"""Typed events pass untouched, and say what they are about."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import msgspec
import pytest

from gateway.endpoints.catalogue import IMAGE, MODERATION, RESPONSE
from gateway.endpoints.openai_events import (
    MAX_PRELUDE_BYTES,
    EventReader,
    ToldReader,
    find_reply,
    read_object,
)
from gateway.endpoints.openai_reply import read_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Sampling, Usage
from gateway.wire.sse import MAX_EVENT_BYTES

USAGE = {
    "input_tokens": 21,
    "output_tokens": 8,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens_details": {"reasoning_tokens": 2},
}
COUNTED = Usage(21, 8, "provider", cached_input_tokens=5, reasoning_output_tokens=2)


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


CREATED = event("response.created", response={"id": "resp_1", "model": "m", "status": "in_progress"})
DELTA = event("response.output_text.delta", delta="fü")
COMPLETED = event(
    "response.completed", response={"id": "resp_1", "model": "m-1", "status": "completed", "usage": USAGE}
)
STREAM = CREATED + DELTA * 3 + COMPLETED


def reader() -> EventReader:
    return EventReader(RESPONSE, asked_bytes=400)


def test_any_cut() -> None:
    """However it is cut, the same bytes pass, in whole events, and the same is learned."""
    for cut in range(len(STREAM)):
        stream = reader()
        first, second = stream.feed(STREAM[:cut]), stream.feed(STREAM[cut:])
        assert first + second + stream.finish() == STREAM
        assert first == b"" or first.endswith(b"\n\n")
        facts = stream.facts()
        assert (facts.response_id, facts.response_model) == ("resp_1", "m-1")
        assert (facts.usage, facts.finish_reasons) == (COUNTED, ("completed",))
        assert stream.is_complete


def test_announcements_are_no_content() -> None:
    """A failure that comes right after them can still be a status; they are not held for ever."""
    stream = reader()
    stream.feed(CREATED)
    assert (stream.has_data, stream.has_content) == (True, False)
    stream.feed(DELTA)
    assert stream.has_content
    stream = reader()
    stream.feed(event("response.created", response={"instructions": "x" * MAX_PRELUDE_BYTES}))
    assert stream.has_content


def test_an_error_in_a_list() -> None:
    """As Google writes errors: no client reads it as one."""
    stream = reader()
    with pytest.raises(UpstreamBadReply):
        stream.feed(b'data: [{"error": {"message": "busy"}}]\n\n')


@pytest.mark.parametrize(
    "failure",
    [
        event("error", message="overloaded"),
        event("response.failed", response={"id": "resp_1", "status": "failed", "error": {"code": "x"}}),
        b'data: {"error":{"message":"x"}}\n\n',
    ],
)
def test_failures(failure: bytes) -> None:
    """Whatever says so: the stream has ended, and not well."""
    stream = reader()
    assert stream.feed(CREATED + failure) == CREATED + failure
    assert (stream.has_ended, stream.is_complete, stream.has_content) == (True, False, False)
    assert stream.failure in failure
    assert stream.facts().usage == Usage(100, 0, "partial")


def test_a_failure_that_tells_its_usage() -> None:
    """The provider's count is of all, whatever came: an event may be less than a token."""
    failed = {"id": "resp_1", "status": "failed", "error": {"code": "server_error"}, "usage": USAGE}
    stream = reader()
    stream.feed(CREATED + DELTA * 20 + event("response.failed", response=failed))
    assert (stream.is_complete, stream.facts().usage) == (False, COUNTED)
    stream = reader()
    stream.feed(event("response.in_progress", response={"id": "resp_1", "usage": USAGE}) + DELTA * 20)
    stream.feed(event("error", message="overloaded"))
    assert stream.facts().usage == msgspec.structs.replace(COUNTED, output_tokens=21, source="partial")


@pytest.mark.parametrize(
    "last",
    ["image_generation.completed", "image_edit.completed", "speech.audio.done", "transcript.text.done"],
)
def test_last_events(last: str) -> None:
    """Pictures, speech and transcripts end with an event of their own, which has the usage."""
    stream = EventReader(IMAGE, asked_bytes=1)
    stream.feed(event(last.replace("completed", "partial").replace("done", "delta")))
    assert (stream.is_complete, stream.facts().usage) == (False, None)
    stream.feed(event(last, usage=USAGE))
    assert (stream.is_complete, stream.facts().usage) == (True, COUNTED)


@pytest.mark.parametrize("size", [1, 50, 10_000])
def test_stream_that_is_cut(size: int) -> None:
    """Its usage is a guess, and partial: an event is a token, and what announces is none."""
    stream = reader()
    said = CREATED + event("response.in_progress", response={"instructions": "x" * 999}) + DELTA * 7
    for at in range(0, len(said), size):
        stream.feed(said[at : at + size])
    assert not stream.is_complete
    assert stream.facts().usage == Usage(100, 7, "partial")


@pytest.mark.parametrize("size", [1, 7, 80, 500, 10_000])
def test_long_pieces_of_a_stream_that_is_cut(size: int) -> None:
    """Where an event has more than a token its text counts, and not what is told again."""
    text = event("response.output_text.delta", delta='several "words" of an änswer\n', obfuscation="x" * 99)
    told = event("response.output_text.done", text="x" * 999)
    call = event("response.function_call_arguments.delta", delta='{"city": ')
    said = CREATED + text * 20 + told + call * 3
    stream = reader()
    for at in range(0, len(said), size):
        stream.feed(said[at : at + size])
    assert stream.facts().usage == Usage(100, (20 * 30 + 3 * 9) // 4, "partial")


@pytest.mark.parametrize(
    ("said", "is_said"),
    [
        pytest.param(b"", False, id="nothing"),
        pytest.param(DELTA, False, id="a piece"),
        pytest.param(event("response.output_item.done", item={"type": "message"}), True, id="a message"),
        pytest.param(event("response.output_item.done", item={"type": "reasoning"}), False, id="thoughts"),
        pytest.param(event("response.output_item.done", item=5), False, id="nonsense"),
    ],
)
def test_last_word(said: bytes, *, is_said: bool) -> None:
    """After a message or the call of a tool a response may end; its usage comes then."""
    stream = reader()
    stream.feed(CREATED + DELTA)
    stream.feed(said)
    assert stream.is_said is is_said


def test_what_was_counted_before_most_of_it() -> None:
    """What came tells more than what was begun with."""
    stream = reader()
    begun = event("response.in_progress", response={"usage": {"input_tokens": 12, "output_tokens": 0}})
    stream.feed(begun + DELTA * 3)
    assert stream.facts().usage == Usage(12, 3, "partial")


def test_end_without_a_blank_line() -> None:
    """Counts; half a line is never given."""
    stream = reader()
    stream.feed(COMPLETED[:-1])
    assert stream.finish() == COMPLETED + b"\n"
    assert stream.is_complete
    stream = reader()
    stream.feed(COMPLETED[:-9])
    assert stream.finish() == b""


def test_end_marker_of_others() -> None:
    """Some servers of the API end as completions do."""
    stream = reader()
    assert stream.feed(DELTA + b"data: [DONE]\n\n").endswith(b"data: [DONE]\n\n")
    assert stream.is_complete


def test_what_is_no_object_passes() -> None:
    """The client's parser decides, but it is no answer: until one comes, another target may be asked."""
    stream = reader()
    odd = b": comment\n\ndata:\n\ndata: 7\n\n"
    assert stream.feed(odd) == odd
    assert not stream.has_content


@pytest.mark.parametrize("before", [b"", CREATED + DELTA], ids=["at first", "after content"])
def test_event_that_is_no_json_ends_the_stream(before: bytes) -> None:
    """The answer has a hole there."""
    stream = reader()
    stream.feed(before)
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        stream.feed(b"data: {nonsense\n\n")


def test_an_end_alone_is_no_content() -> None:
    """A stream of nothing but its end marker is no answer."""
    stream = reader()
    stream.feed(b"data: [DONE]\n\n")
    assert (stream.has_content, stream.has_ended) == (False, True)


def test_nothing_follows_the_end() -> None:
    """An end that is sent twice arrives once."""
    stream = reader()
    assert stream.feed(DELTA + COMPLETED + COMPLETED + DELTA) == DELTA + COMPLETED
    assert stream.is_complete


@pytest.mark.parametrize(
    ("kind", "has_content"),
    [("message", False), ("reasoning", False), ("function_call", True), ([], True), ({}, True), (None, True)],
)
def test_items_without_content(kind: object, *, has_content: bool) -> None:
    """An empty message says as little as the announcement of a response; a call of a tool has its name."""
    stream = reader()
    added = {"type": "response.output_item.added", "item": {"type": kind}}
    part = {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}}
    stream.feed(CREATED + b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (added, part)))
    assert stream.has_content is has_content


@pytest.mark.parametrize(
    ("code", "is_answer"), [("server_error", False), ("rate_limit_exceeded", False), ("invalid_prompt", True)]
)
def test_response_that_failed(code: str, *, is_answer: bool) -> None:
    """By the provider it is a failed attempt; by what was asked it is the answer, wherever one asks."""
    error = {"code": code, "message": "x"}
    body = json.dumps({"id": "resp_1", "object": "response", "status": "failed", "error": error}).encode()
    if is_answer:
        assert read_object(RESPONSE, body, asked_bytes=4).finish_reasons == ("failed",)
    else:
        with pytest.raises(UpstreamBadReply, match="error inside"):
            read_object(RESPONSE, body, asked_bytes=4)


@pytest.mark.parametrize(
    ("code", "is_answer"),
    [
        ("server_error", False),
        ("rate_limit_exceeded", False),
        ("vector_store_timeout", False),
        ("", False),
        ("invalid_prompt", True),
        ("invalid_image_url", True),
        ("image_too_large", True),
        ("failed_to_download_image", True),
        ("bio_policy", True),
        ("cyber_policy", True),
        ("misalignment_policy_violation", True),
    ],
)
def test_stream_that_failed(code: str, *, is_answer: bool) -> None:
    """As of a whole one: what was asked is nobody's failure, so nobody else is asked for it."""
    response = {"id": "resp_1", "status": "failed", "error": {"code": code, "message": "x"}}
    failure = event("response.failed", response=response)
    stream = reader()
    assert stream.feed(CREATED + failure) == CREATED + failure
    assert (stream.has_ended, stream.is_complete, stream.has_content) == (True, is_answer, is_answer)
    assert bool(stream.failure) is not is_answer
    assert stream.facts().finish_reasons == ("failed",)


@pytest.mark.parametrize("kind", [{}, [], 1, None, {"error": 1}])
def test_type_that_is_no_text(kind: Any) -> None:
    """An event without a type that could be known passes."""
    odd = b"data: " + json.dumps({"type": kind, "response": kind}).encode() + b"\n\n"
    stream = reader()
    assert stream.feed(CREATED + odd + COMPLETED) == CREATED + odd + COMPLETED
    assert stream.is_complete


def test_endless_event() -> None:
    """One event has a limit."""
    with pytest.raises(UpstreamBadReply):
        reader().feed(b"data: " + b"x" * MAX_EVENT_BYTES)


def test_whole_object() -> None:
    """Id, model, status, usage."""
    body = json.dumps({"id": "resp_1", "object": "response", "model": "m", "status": "failed", "error": {}})
    facts = read_object(RESPONSE, body.encode(), asked_bytes=40)
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("resp_1", "m", ("failed",))
    assert facts.usage == Usage(10, len(body) // 4, "estimated")
    assert read_object(MODERATION, b'{"results":[]}', asked_bytes=40).usage is None


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"<html>", b'{"error":{"message":"x"}}', b'{"id"'),
        *(b"{}", b'{"detail":"Internal"}', b'{"code":500,"msg":"busy","data":null}'),
        b'{"object":"error","message":"busy","type":"InternalServerError","code":500}',
    ],
)
def test_no_object(body: bytes) -> None:
    """Nothing but an error, no response, or no JSON object."""
    with pytest.raises(UpstreamBadReply):
        read_object(RESPONSE, body, asked_bytes=1)


@pytest.mark.parametrize("name", ["image", "moderation", "audio_transcription", "audio_translation"])
@pytest.mark.parametrize("body", [b"{}", b'{"detail":"Internal"}', b'{"code":500,"msg":"busy","data":null}'])
def test_a_note_is_no_answer(name: str, body: bytes) -> None:
    """A picture, a judgement and a text are somewhere in the reply, else another may be asked for them."""
    with pytest.raises(UpstreamBadReply, match="no answer"):
        read_object(dataclasses.replace(IMAGE, name=name), body, asked_bytes=1)


def test_a_name_that_is_no_text() -> None:
    """It is passed on, as everywhere else, and brings nothing down."""
    assert read_object(IMAGE, b'{"data":[1],"\xff":1}', asked_bytes=1).usage is None


@pytest.mark.parametrize("member", ["data", "images", "results", "text", "segments", "output"])
@pytest.mark.parametrize("value", ["[]", '""', "[1]"])
def test_an_empty_answer_is_one(member: str, value: str) -> None:
    """Nothing was said, or all of it was held back; under a name that a vendor has for it."""
    body = f'{{"{member}": {value}}}'.encode()
    assert read_object(IMAGE, body, asked_bytes=1).usage is None


DRAWN = {
    "input_tokens": 50,
    "input_tokens_details": {"image_tokens": 30, "text_tokens": 20},
    "output_tokens": 1000,
    "cached_tokens": 12,
    "cached_tokens_details": {"cached_image_tokens": 10, "cached_text_tokens": 2},
}


@pytest.mark.parametrize(
    ("tools", "model_id"),
    [
        ([{"type": "function"}, {"type": "image_generation", "model": "gpt-image-2"}], "gpt-image-2"),
        ([{"type": "image_generation"}], ""),
        (None, ""),
    ],
)
def test_pictures_that_a_tool_draws(tools: object, model_id: str) -> None:
    """A response counts what another model has drawn apart from its own usage, whole and streamed."""
    response = {"id": "resp_1", "object": "response", "status": "completed", "usage": USAGE, "tools": tools}
    response["tool_usage"] = {"image_gen": DRAWN, "web_search": {"num_requests": 0}}
    drawn = Usage(
        50,
        1000,
        "provider",
        12,
        image_input_tokens=30,
        image_output_tokens=1000,
        cached_image_input_tokens=10,
    )
    expected = Usage(
        71,
        1008,
        "provider",
        17,
        2,
        image_input_tokens=30,
        image_output_tokens=1000,
        cached_image_input_tokens=10,
        samplings=(Sampling(model_id, drawn),),
    )
    assert read_object(RESPONSE, json.dumps(response).encode(), asked_bytes=4).usage == expected
    stream = reader()
    stream.feed(CREATED + DELTA + event("response.completed", response=response))
    assert stream.facts().usage == expected


@pytest.mark.parametrize(
    "told",
    [None, 5, {}, {"image_gen": None}, {"image_gen": {"input_tokens": 0, "output_tokens": 0}}],
)
def test_nothing_drawn(told: object) -> None:
    """A tool that was not used has counts of 0."""
    response = {"id": "resp_1", "object": "response", "usage": USAGE, "tool_usage": told, "tools": "none"}
    assert read_object(RESPONSE, json.dumps(response).encode(), asked_bytes=4).usage == COUNTED


def test_usage_of_both_generations() -> None:
    """Under the names of either; nonsense is none."""
    assert read_usage(USAGE) == COUNTED
    assert read_usage({"prompt_tokens": 1, "completion_tokens": 2}) == Usage(1, 2, "provider")
    assert read_usage({"seconds": 3}) is None
    assert read_usage(None) is None
    assert find_reply(b"[1]") is None


def test_run_of_a_thread() -> None:
    """Its events are objects without a type; the usage is in the last one, far behind the first content."""
    run = b'event: thread.run.%b\ndata: {"id":"run_1","object":"thread.run","model":"m","usage":%b}\n\n'
    said = b'event: thread.message.delta\ndata: {"id":"msg_1","delta":{"content":[{"text":"a"}]}}\n\n'
    stream = EventReader(IMAGE, asked_bytes=1)
    counted = b'{"prompt_tokens":30,"completion_tokens":12}'
    for piece in (run % (b"created", b"null"), said, said, run % (b"completed", counted)):
        assert stream.feed(piece) == piece
    stream.feed(b"event: done\ndata: [DONE]\n\n")
    assert (stream.is_complete, stream.facts().usage) == (True, Usage(30, 12, "provider"))


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_events_that_are_no_answer(step: int) -> None:
    """All of them pass, whatever stands before: an error, an end, the end marker, what is no JSON."""
    whole = (
        b'data: {"type":"error","error":{"message":"m"}}\n\n'
        b'data: {"type":"response.completed","response":{"id":"resp_1"}}\n\ndata: [DONE]\n\n'
        b": ping\n\ndata: ping\n\n"
        b'data: {"type":"turn.completed","usage":{"input_tokens":1,"output_tokens":2}}\n\n'
    )
    reader = ToldReader(RESPONSE, asked_bytes=0)
    passed = b"".join(reader.feed(whole[at : at + step]) for at in range(0, len(whole), step))
    assert (passed + reader.finish(), reader.object_id) == (whole, "resp_1")
    assert reader.facts().usage == Usage(1, 2, "partial")
