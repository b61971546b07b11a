"""Google's dialect on both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import ARRAY, CALLS, COUNT, EMBED, GENERATE, STREAM
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Endpoint
from gateway.translate import gemini_relay
from gateway.translate.gemini_models import generate_path
from gateway.translate.pair import Refusal
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import Recorded, recorded_answers

TARGET = make_target("main/flash", model_id="flash-1", dialect="gemini")
REPLY = (
    b'{ "candidates": [ {"content": {"parts": [{"text": "\\u00e9"}]}, "finishReason": "STOP"}'
    b' ],\n"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5}, "modelVersion": "flash-001" }'
)
FILES = ("gemini-generate-content", "vertex-generate-content")


def call(endpoint: Endpoint = GENERATE, **members: Any) -> Call:
    return read_gemini_call(endpoint, json.dumps(members).encode(), model="main/flash")


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_path(verb: str) -> None:
    """The target's own id, and the word that was asked."""
    assert gemini_relay.path(call(CALLS[verb]), TARGET) == f"/models/flash-1:{verb}"


def test_write() -> None:
    """The body goes out as it came."""
    asked = call(contents=[], x=1)
    assert gemini_relay.write(asked, TARGET) == (asked.body, ())
    assert gemini_relay.write(asked, TARGET)[0] is asked.body


def test_read() -> None:
    """So does the reply come back, with what it said of itself."""
    body, facts = gemini_relay.read(call(), REPLY, started_at_ns=0)
    assert body is REPLY
    assert (facts.response_model, facts.finish_reasons) == ("flash-001", ("STOP",))
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (7, 5)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (GENERATE, b"{}"),
        (GENERATE, b'{"error": {"code": 500}}'),
        (EMBED, b'{"error": {"code": 500}}'),
        (COUNT, b"<html>"),
        (COUNT, b"[]"),
    ],
)
def test_no_reply(endpoint: Endpoint, body: bytes) -> None:
    """A success without an answer is a failure."""
    with pytest.raises(UpstreamBadReply):
        gemini_relay.read(call(endpoint), body, started_at_ns=0)


@pytest.mark.parametrize(
    "body",
    [b'{"error": {"code": 429, "message": "x"}}', b'[{"error": {"code": 429}}]'],
    ids=["object", "array"],
)
def test_error(body: bytes) -> None:
    """Google's own error passes as it is, also in an array."""
    assert gemini_relay.read_error(429, body) == Refusal(429, body)


def test_other_errors() -> None:
    """So does an object of another shape, and when to try again is told where Google tells it."""
    assert gemini_relay.read_error(502, b'{"message": "x"}') == Refusal(502, b'{"message": "x"}')
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}]
    body = json.dumps({"error": {"code": 429, "details": details}}).encode()
    assert gemini_relay.read_error(429, body) == Refusal(429, body, 17)


@pytest.mark.parametrize("id_", ["flash", "tunedModels/t", "endpoints/1", "publishers/x/models/y", "a b@1"])
def test_path_as_for_other_dialects(id_: str) -> None:
    """A model is at the same place, whoever asks it."""
    target = make_target("main/flash", model_id=id_, dialect="gemini")
    assert gemini_relay.path(call(), target) == generate_path(target, is_stream=False)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'"x"'])
def test_no_error(body: bytes) -> None:
    """What nobody could read as an error is none."""
    assert gemini_relay.read_error(502, body) is None


def endpoint_of(item: Recorded) -> Endpoint:
    return ARRAY if item.body.lstrip().startswith(b"[") else STREAM


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Each passes byte for byte, and its usage is the provider's own."""
    found = recorded_answers(recordings, *FILES, is_stream=False)
    assert len(found) > 50
    for item in found:
        body, facts = gemini_relay.read(call(), item.body, started_at_ns=0)
        assert (body, facts.usage.source) == (item.body, "provider"), item.name
        assert facts.finish_reasons, item.name


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Cut at any byte each passes byte for byte, is whole, and tells the same."""
    found = recorded_answers(recordings, *FILES, is_stream=True)
    assert {endpoint_of(item) for item in found} == {STREAM, ARRAY}
    for item in found:
        asked = call(endpoint_of(item))
        stream = gemini_relay.open_stream(asked, started_at_ns=0)
        pieces = [stream.feed(item.body[at : at + 1]) for at in range(len(item.body))]
        assert b"".join(pieces) + stream.finish() == item.body, item.name
        told = {stream.facts()}
        # Every cut of the short ones; of a long one some thousand, never at like places.
        for place in range(0, len(item.body) + 1, 1 + 2 * (len(item.body) // 4000)):
            stream = gemini_relay.open_stream(asked, started_at_ns=0)
            given = stream.feed(item.body[:place]) + stream.feed(item.body[place:]) + stream.finish()
            assert given == item.body, (item.name, place)
            assert stream.is_complete, (item.name, place)
            told.add(stream.facts())
        (facts,) = told
        assert facts.usage.source == "provider", item.name


@requires("recordings")
def test_recorded_streams_without_their_end(recordings: Path) -> None:
    """None that lacks its last event looks whole, and none gives half of one."""
    for item in recorded_answers(recordings, *FILES, is_stream=True):
        mark = b",\r\n{" if endpoint_of(item) is ARRAY else b"data: "
        end = item.body.rfind(mark)
        if end <= 0:
            continue
        stream = gemini_relay.open_stream(call(endpoint_of(item)), started_at_ns=0)
        given = stream.feed(item.body[: end + 9]) + stream.finish()
        assert item.body.startswith(given), item.name
        assert len(given) <= end, item.name
        assert stream.facts().usage.source == "partial" or not stream.is_complete, item.name
