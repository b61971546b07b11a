"""Gemini's answers for callers of Messages: however they are cut, and whatever they hold."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.endpoints.gemini_reply import read_generated_usage
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError, UpstreamBadReply
from gateway.model import Call
from gateway.translate import messages_to_gemini
from gateway.wire.sse import read_events
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import recorded_of_gemini
from tests.unit.translate.foreign_streams import json_of, spoilt
from tests.unit.translate.reassembly import message
from tests.unit.translate.test_messages_to_chat import make_messages_call

TARGET: Final = make_target(model_id="gemini-3.5-flash", dialect="gemini")
CALL: Final = make_messages_call(messages=[], stream=True)
THINKING: Final = make_messages_call(messages=[], stream=True, thinking={"type": "adaptive"})
RECORDINGS: Final = ("gemini-generate-content", "vertex-generate-content")
NOW_NS: Final = 1_776_000_000_000_000_000
WORDS: Final = (
    "candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "args", "name",
    "id", "finishReason", "index", "promptFeedback", "blockReason", "groundingMetadata", "groundingChunks",
    "web", "uri", "groundingSupports", "usageMetadata", "error", "STOP", "responseId",
)  # fmt: skip


def relay(pieces: list[bytes], call: Call = CALL) -> tuple[bytes, messages_to_gemini.EventStream]:
    stream = messages_to_gemini.open_stream(call, started_at_ns=NOW_NS)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def piece(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


FIRST: Final = event(piece({"text": ""}))
TEXT: Final = event(piece({"text": "grün"}))
LAST: Final = event(piece({"text": ""}, finishReason="STOP"))


def test_held_back_until_content() -> None:
    """An empty text is no content, so that another target may still be asked."""
    _, stream = relay([FIRST])
    assert (stream.has_data, stream.has_content, stream.is_complete) == (True, False, False)
    _, stream = relay([FIRST + TEXT])
    assert stream.has_content


@given(st.lists(st.integers(0, 500)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a letter too, the caller gets the same."""
    data = FIRST + TEXT + LAST
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete
    assert stream.has_ended


@pytest.mark.parametrize(
    "data", [FIRST + TEXT, FIRST + TEXT + LAST[:-9], FIRST + TEXT + LAST + TEXT[:9], b""]
)
def test_a_cut_stream_has_no_end(data: bytes) -> None:
    """Half an answer never looks whole, nor one after which something began."""
    passed, stream = relay([data])
    assert b"message_stop" not in passed
    assert not stream.is_complete


def test_the_end_comes_with_the_end() -> None:
    """What follows the reason to end still counts: a trailing piece has the usage."""
    counted = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4}}
    stream = messages_to_gemini.open_stream(CALL, started_at_ns=NOW_NS)
    passed = stream.feed(TEXT + LAST)
    assert b"message_delta" not in passed
    assert not stream.has_ended
    passed += stream.feed(event(counted)) + stream.finish()
    assert message(passed)["usage"]["output_tokens"] == 4


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_no_answer_is_a_failure(reason: str) -> None:
    """A model that wrote what cannot be read has not answered, and is not taken for one that has."""
    said = piece(finishReason=reason)
    with pytest.raises(UpstreamBadReply, match=reason):
        messages_to_gemini.read(CALL, json.dumps(said).encode(), started_at_ns=NOW_NS)
    passed, stream = relay([TEXT + event(said) + LAST])
    assert stream.failure
    assert not stream.is_complete
    assert passed.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error\n")


def test_an_error_ends_it() -> None:
    """It is told in Anthropic's words, and nothing follows."""
    passed, stream = relay([FIRST + TEXT + event({"error": {"code": 429, "message": "slow"}}) + LAST])
    last = passed.rstrip().rpartition(b"\n\n")[2]
    assert last.startswith(b"event: error\n")
    assert json.loads(last.partition(b"data: ")[2])["error"] == {
        "type": "rate_limit_error",
        "message": "slow",
    }
    assert stream.failure
    assert not stream.is_complete


def test_an_event_that_cannot_be_read() -> None:
    """Without it the answer would have a hole, so it ends there."""
    with pytest.raises(UpstreamBadReply):
        relay([TEXT + b"data: {\n\n" + LAST])


def test_an_openai_marker_at_the_end() -> None:
    """Proxies before Google put it there."""
    assert relay([TEXT + LAST + b"data: [DONE]\n\n"])[0] == relay([TEXT + LAST])[0]


def test_only_the_first_candidate() -> None:
    """A message has one."""
    said = piece({"text": "yes"}, finishReason="STOP")
    said["candidates"].append({"content": {"parts": [{"text": "no"}]}, "index": 1, "finishReason": "STOP"})
    body, _ = messages_to_gemini.read(CALL, json.dumps(said).encode(), started_at_ns=NOW_NS)
    assert json.loads(body)["content"] == [{"type": "text", "text": "yes"}]


def test_ids_are_of_one_call() -> None:
    """Where neither call nor reply has a name, the time tells calls from those of other turns."""
    said = {
        "candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}] * 2}, "finishReason": "STOP"}]
    }
    ids = []
    for now_ns in (NOW_NS, NOW_NS + 1):
        body, _ = messages_to_gemini.read(CALL, json.dumps(said).encode(), started_at_ns=now_ns)
        ids += [block["id"] for block in json.loads(body)["content"]]
    assert len(set(ids)) == 4


@pytest.mark.parametrize("call", [CALL, THINKING], ids=["unasked", "asked"])
@given(signature=st.binary(min_size=1), words=st.booleans())
def test_a_signature_comes_back(call: Call, signature: bytes, words: bool) -> None:  # noqa: FBT001 - drawn
    """What Google signs a call with is at that call in the next turn."""
    written = base64.b64encode(signature).decode()
    parts: list[dict[str, Any]] = [
        *([{"text": "I look."}] if words else []),
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "x"}, "thoughtSignature": written},
        {"functionCall": {"name": "g", "args": {}, "id": "y"}},
    ]
    reply = json.dumps(piece(*parts, finishReason="STOP")).encode()
    content = json.loads(messages_to_gemini.read(call, reply, started_at_ns=NOW_NS)[0])["content"]
    uses = [block for block in content if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use["id"], "content": "ok"} for use in uses]
    messages = [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
    body, left_out = messages_to_gemini.write(make_messages_call(messages=messages), TARGET)
    said, answered = json.loads(body)["contents"]
    given_back = said["parts"][-2].pop("thoughtSignature")
    padded = given_back + "=" * (-len(given_back) % 4)
    assert base64.b64decode(padded.translate(str.maketrans("-_", "+/"))) == signature
    assert said["parts"] == [
        {**part} for part in json.loads(json.dumps(parts)) if part.pop("thoughtSignature", 1)
    ]
    assert [part["functionResponse"]["id"] for part in answered["parts"]] == ["x", "y"]
    assert left_out == ()


def whole_of(body: bytes) -> bytes:
    """The reply that a stream would have been in one piece."""
    merged: dict[str, Any] = {}
    parts: list[Any] = []
    last: dict[str, Any] = {}
    for found in map(json.loads, read_events(body.replace(b"\r", b""))):
        merged |= {name: value for name, value in found.items() if name != "candidates"}
        for candidate in found.get("candidates", []):
            last |= candidate
            parts += candidate.get("content", {}).get("parts", [])
    return json.dumps({**merged, "candidates": [{**last, "content": {"parts": parts}}]}).encode()


@requires("recordings")
@pytest.mark.parametrize("call", [CALL, THINKING], ids=["unasked", "asked"])
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_streams(recordings: Path, name: str, call: Call) -> None:
    """Every recorded stream makes the message that it would have made whole, at whatever byte it is cut."""
    for item in recorded_of_gemini(recordings, name, is_stream=True):
        passed, stream = relay([item.body], call)
        assert stream.is_complete, item.name
        assert passed.endswith(b'data: {"type":"message_stop"}\n\n')
        said = message(passed)
        body, facts = messages_to_gemini.read(call, whole_of(item.body), started_at_ns=NOW_NS)
        assert json.loads(body) == said, item.name
        assert facts == stream.facts()
        for at in range(0, len(item.body), 1 + len(item.body) // 300):
            again, _ = relay([item.body[:at], item.body[at:]], call)
            assert again == passed
            # Short of line ends, which may be missing.
            if at < len(item.body.rstrip()):
                assert not relay([item.body[:at]], call)[1].is_complete, f"{item.name} at {at}"


@requires("recordings")
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_replies(recordings: Path, name: str) -> None:
    """Every recorded reply is a message with all of its tokens, every error one of Anthropic's shape."""
    for item in recorded_of_gemini(recordings, name, is_stream=False):
        if item.status != 200:
            refusal = messages_to_gemini.read_error(item.status, item.body)
            assert refusal is not None
            assert json.loads(refusal.body)["error"]["message"]
            continue
        body, facts = messages_to_gemini.read(THINKING, item.body, started_at_ns=NOW_NS)
        said, found = json.loads(body), json.loads(item.body)
        counts, usage = said["usage"], facts.usage
        assert usage == read_generated_usage(found["usageMetadata"])
        counted = counts["input_tokens"] + counts["cache_read_input_tokens"]
        assert (counted, counts["output_tokens"]) == (usage.input_tokens or 0, usage.output_tokens or 0)
        parts = found["candidates"][0].get("content", {}).get("parts", [])
        for kind, name_of in (("text", "text"), ("thinking", "thinking")):
            told = "".join(block[name_of] for block in said["content"] if block["type"] == kind)
            assert told == "".join(
                part.get("text", "") for part in parts if bool(part.get("thought")) is (kind == "thinking")
            )
        uses = [(block["name"], block["input"]) for block in said["content"] if block["type"] == "tool_use"]
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        assert uses == [(call["name"], call["args"]) for call in calls]
        assert (said["stop_reason"] == "tool_use") is bool(uses)


KNOWN: Final[list[Any]] = [
    piece({"text": "hm", "thought": True}, {"text": "a", "thoughtSignature": "s"}),
    piece({"functionCall": {"name": "f", "args": {"a": [1]}}, "thoughtSignature": "s"}, finishReason="STOP"),
    piece(
        {"text": "a"},
        finishReason="SAFETY",
        finishMessage="m",
        groundingMetadata={
            "webSearchQueries": ["q"],
            "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
            "groundingSupports": [{"segment": {"text": "a"}, "groundingChunkIndices": [0]}],
        },
    ),
    {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 1}},
    {"error": {"code": 500, "message": "m", "status": "INTERNAL", "details": [{"@type": "a/b"}]}},
]


@given(spoilt(KNOWN) | json_of(*WORDS))
def test_any_answer(value: Any) -> None:
    """Whatever a provider sends is an answer or a bad reply, whole, streamed or as an error."""
    for call in (CALL, THINKING):
        try:
            body, _ = messages_to_gemini.read(call, json.dumps(value).encode(), started_at_ns=NOW_NS)
            assert json.loads(body)["type"] == "message"
        except GatewayError:
            pass
        try:
            passed, stream = relay([TEXT + event(value) + event(value) + LAST], call)
        except GatewayError:
            continue
        assert (b"message_stop" in passed) is stream.is_complete
        message(passed)
    messages_to_gemini.read_error(500, json.dumps(value).encode())


def test_no_page_is_an_error() -> None:
    """HTML tells a caller nothing."""
    assert messages_to_gemini.read_error(502, b"<html>") is None


def test_too_deep() -> None:
    """Arguments nested deeper than they can be rebuilt are a bad reply, not a crash."""
    deep = '{"a":' * 1_000_000 + "1" + "}" * 1_000_000
    call = '{"functionCall":{"name":"f","args":' + deep + "}}"
    body = '{"candidates":[{"content":{"parts":[' + call + "]}}]}"
    with pytest.raises(UpstreamBadReply):
        messages_to_gemini.read(CALL, body.encode(), started_at_ns=NOW_NS)
    deep = '{"type":"document","source":{"type":"content","content":[' * 900 + "]}}" * 900
    asked = f'{{"model":"a/b","messages":[{{"role":"user","content":[{deep}]}}]}}'.encode()
    with pytest.raises(GatewayError) as caught:
        messages_to_gemini.write(parse_call(MESSAGES, asked, model=None, account=None), TARGET)
    assert caught.value.status == 400
