"""Bedrock's answers for callers of chat: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.translate import chat_to_converse
from tests.golden.converse_replies import (
    REPLIES,
    THOUGHT,
    converse_events,
    converse_reply,
    event,
    exception,
)
from tests.rig.requires import requires
from tests.unit.makers import make_call, make_target
from tests.unit.recorded import read_recorded
from tests.unit.translate import reassembly
from tests.unit.translate.foreign_streams import json_of

TARGET: Final = make_target(dialect="converse", model_id="anthropic.claude-sonnet-4-6")
CALL: Final = make_call(stream=True, stream_options={"include_usage": True})
WHOLE: Final = make_call()
AT_NS: Final = 5_000_000_000
START: Final = event("messageStart", role="assistant")
TEXT: Final = event("contentBlockDelta", contentBlockIndex=0, delta={"text": "grün"})
STOP: Final = event("messageStop", stopReason="end_turn")
END: Final = event("metadata", usage={"inputTokens": 3, "outputTokens": 9})


def relay(pieces: list[bytes]) -> tuple[bytes, chat_to_converse.ChunkStream]:
    stream = chat_to_converse.open_stream(CALL, started_at_ns=AT_NS)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def read(reply: Any, call: Any = WHOLE) -> dict[str, Any]:
    body, _ = chat_to_converse.read(call, json.dumps(reply).encode(), started_at_ns=AT_NS)
    found: dict[str, Any] = json.loads(body)
    return found


def test_held_back_until_content() -> None:
    """The start is no content, so that another target may still be asked."""
    _, stream = relay([START])
    assert (stream.has_data, stream.has_content) == (True, False)
    _, stream = relay([START + TEXT])
    assert stream.has_content


@given(st.lists(st.integers(0, 600)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a frame or a letter, the caller gets the same."""
    data = START + TEXT + STOP + END
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete


def test_a_cut_stream_has_no_end() -> None:
    """Half an answer never looks whole, wherever a frame is cut."""
    data = START + TEXT + STOP + END
    for at in range(len(data)):
        passed, stream = relay([data[:at]])
        assert b"[DONE]" not in passed
        assert not stream.is_complete
        assert stream.facts().usage.source == "partial"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttlingException", "rate_limit_exceeded"),
        ("modelStreamErrorException", "model_error"),
        ("serviceUnavailableException", "overloaded"),
        ("validationException", None),
        ("internalServerException", None),
        ("brandNewException", None),
    ],
)
def test_an_exception_ends_it(kind: str, code: str | None) -> None:
    """It is told in OpenAI's words, and nothing follows."""
    passed, stream = relay([START + TEXT + exception(kind, "no") + STOP + END])
    last = json.loads(passed.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: "))
    assert (last["error"]["code"], last["error"]["message"]) == (code, "no")
    assert stream.has_ended
    assert stream.failure
    assert not stream.is_complete


def test_an_exception_at_once() -> None:
    """Nothing but the error is said, and there is no content: it can be tried again."""
    passed, stream = relay([exception("throttlingException", "slow down")])
    assert passed.startswith(b'data: {"error"')
    assert (stream.has_content, bool(stream.failure)) == (False, True)


def test_odd_messages_say_nothing() -> None:
    """What is of an unknown kind, or without what it should have, changes nothing."""
    odd = event("brandNew", x=1) + event("contentBlockDelta", delta={"new": 1}) + event("contentBlockStop")
    assert relay([START, odd, TEXT + STOP + END])[0] == relay([START + TEXT + STOP + END])[0]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"message":"no"}'])
def test_no_error_and_no_reply(body: bytes) -> None:
    """A page is no error that a caller could read, and no reply."""
    with pytest.raises(GatewayError):
        chat_to_converse.read(WHOLE, body, started_at_ns=0)
    if not body.startswith(b"{"):
        assert chat_to_converse.read_error(502, body) is None


@pytest.mark.parametrize("name", REPLIES)
def test_streamed_is_whole(name: str) -> None:
    """A streamed answer, put together, is the one that would have come whole."""
    whole = read(REPLIES[name])["choices"][0]
    passed, stream = relay(converse_events(REPLIES[name]))
    said, reason = reassembly.chat_message(passed)
    for call in whole["message"].get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert {"refusal": None, **said} == whole["message"]
    assert reason == whole["finish_reason"]
    assert stream.is_complete


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Streamed and whole say the same of every recorded stream, and its usage is the recorded one."""
    count = 0
    for item in read_recorded(recordings, "bedrock-converse", is_stream=True):
        count += 1
        passed, stream = relay([item.body])
        assert stream.is_complete, item.name
        reply = reassembly.converse_reply(item.body)
        whole = read(reply)
        said, reason = reassembly.chat_message(passed)
        choice = whole["choices"][0]
        for call in choice["message"].get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        assert {"refusal": None, **said} == choice["message"], item.name
        assert reason == choice["finish_reason"]
        assert whole["usage"]["prompt_tokens"] == reply["usage"]["inputTokens"]
        assert stream.facts().usage.output_tokens == reply["usage"]["outputTokens"]
        assert relay([item.body[at : at + 1] for at in range(len(item.body))])[0] == passed
        for at in range(0, len(item.body), 997):
            assert relay([item.body[:at], item.body[at:]])[0] == passed
    assert count == 27


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Each whole one is an answer with its words, each error one with its message."""
    for item in read_recorded(recordings, "bedrock-converse", is_stream=False):
        found = json.loads(item.body)
        if item.status != 200:
            refusal = chat_to_converse.read_error(item.status, item.body)
            assert refusal is not None
            assert json.loads(refusal.body)["error"]["message"] == found["message"]
            continue
        said = read(found)["choices"][0]["message"]
        texts = [block["text"] for block in found["output"]["message"]["content"] if "text" in block]
        assert (said["content"] or "") == "".join(texts), item.name


ANY: Final = json_of(
    "text", "toolUse", "toolUseId", "input", "name", "reasoningContent", "reasoningText", "signature",
    "redactedContent", "citationsContent", "citations", "citation", "location", "web", "url", "start",
    "delta", "message", "content", "output", "stopReason", "usage", "toolResult",
)  # fmt: skip


@given(ANY)
def test_any_answer(value: Any) -> None:
    """Whatever Bedrock sends is an answer or a bad reply, whole, streamed or as an error."""
    for body in (value, converse_reply() | {"output": {"message": {"content": [value, {"text": value}]}}}):
        try:
            read(body)
        except GatewayError:
            continue
    chat_to_converse.read_error(500, json.dumps(value).encode())
    chat_to_converse.read_error(500, json.dumps({"message": value}).encode())
    kinds = ("contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
    names = ("start", "delta", "contentBlockIndex", "stopReason", "usage", "trace")
    passed, _ = relay([event(kind, **dict.fromkeys(names, value)) for kind in kinds])
    assert all(json.loads(line[6:]) for line in passed.splitlines() if line.startswith(b"data: {"))


def test_too_deep() -> None:
    """A body that is nested deeper than can be read is refused, not a crash."""
    body = b'{"model":"a/b","messages":' + b"[" * 5000 + b"]" * 5000 + b"}"
    with pytest.raises(GatewayError) as caught:
        chat_to_converse.write(parse_call(CHAT, body, model=None, account=None), TARGET)
    assert caught.value.status == 400


@pytest.mark.parametrize("shows", [None, True, False])
def test_thoughts_are_shown_or_not(*, shows: bool | None) -> None:
    """Whole and streamed alike: there unless the caller wants what is strictly OpenAI's."""
    call = msgspec.structs.replace(CALL, shows_thoughts=shows)
    stream = chat_to_converse.open_stream(call, started_at_ns=0)
    reply = converse_reply(THOUGHT, {"text": "grün"})
    passed = b"".join([stream.feed(piece) for piece in converse_events(reply)])
    whole, _ = chat_to_converse.read(call, json.dumps(reply).encode(), started_at_ns=0)
    for said in (passed, whole):
        assert (b"reasoning_content" in said) is (shows is not False)
        assert (b"thinking_blocks" in said) is (shows is not False)
        assert "grün".encode() in said
    assert stream.is_complete


@pytest.mark.parametrize(
    ("model_id", "shows", "expected"),
    [
        ("anthropic.claude-opus-4-7", True, {"type": "adaptive", "display": "summarized"}),
        ("anthropic.claude-opus-4-7", None, {"type": "adaptive"}),
        ("anthropic.claude-sonnet-4-5-v1:0", True, {"type": "enabled", "budget_tokens": 8192}),
    ],
)
def test_hidden_thoughts_are_asked_for(
    model_id: str, *, shows: bool | None, expected: dict[str, Any]
) -> None:
    """Of models that hide them, and only where the caller said that it wants them."""
    call = msgspec.structs.replace(make_call(reasoning_effort="medium"), shows_thoughts=shows)
    body, _ = chat_to_converse.write(call, make_target(dialect="converse", model_id=model_id))
    assert json.loads(body)["additionalModelRequestFields"]["thinking"] == expected


def test_ids_are_of_the_call() -> None:
    """Bedrock gives none, so one answer has one id, and the next another."""
    first = read(REPLIES["text"])["id"]
    passed, _ = relay(converse_events(REPLIES["text"]))
    assert passed.count(first.encode()) == passed.count(b"data: {")
    later, _ = chat_to_converse.read(WHOLE, json.dumps(REPLIES["text"]).encode(), started_at_ns=AT_NS + 1)
    assert json.loads(later)["id"] != first
