"""OpenAI's answers for callers of Messages: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.model import Call
from gateway.translate import messages_to_chat
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import OPENAI_REPLIES, OPENAI_SHAPED, read_recorded, recorded_answers
from tests.unit.translate.reassembly import message
from tests.unit.translate.test_chat_to_messages import ANY_JSON, FIELDS

TARGET: Final = make_target(model_id="gpt-5")


def make_messages_call(**members: Any) -> Call:
    body = json.dumps({"model": "a/b", "max_tokens": 5, **members}).encode()
    return parse_call(MESSAGES, body, model=None, account=None)


CALL: Final = make_messages_call(messages=[], stream=True)


def relay(pieces: list[bytes]) -> tuple[bytes, messages_to_chat.EventStream]:
    stream = messages_to_chat.open_stream(CALL, started_at_ns=0)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def chunk(delta: Any, reason: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": [choice], **more}).encode() + b"\n\n"


FIRST: Final = chunk({"role": "assistant", "content": ""})
TEXT: Final = chunk({"content": "grün"})
LAST: Final = chunk({}, "stop")
DONE: Final = b"data: [DONE]\n\n"


def test_held_back_until_content() -> None:
    """A role alone is no content, so that another target may still be asked."""
    _, stream = relay([FIRST])
    assert (stream.has_data, stream.has_content, stream.has_ended) == (True, False, False)
    _, stream = relay([FIRST + TEXT])
    assert stream.has_content


@given(st.lists(st.integers(0, 500)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a letter too, the caller gets the same."""
    data = FIRST + TEXT + LAST + DONE
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete
    assert stream.is_said
    assert stream.has_ended


@pytest.mark.parametrize("data", [FIRST + TEXT, FIRST + TEXT + LAST[:-5], b""])
def test_a_cut_stream_has_no_end(data: bytes) -> None:
    """Half an answer never looks whole."""
    passed, stream = relay([data])
    assert b"message_stop" not in passed
    assert not stream.is_complete


def test_an_error_ends_it() -> None:
    """It is told in Anthropic's words, and nothing follows."""
    passed, stream = relay([FIRST + TEXT + b'data: {"error":{"message":"down"}}\n\n' + LAST + DONE])
    assert passed.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error\n")
    assert stream.failure
    assert not stream.is_complete


def test_only_the_first_choice() -> None:
    """A message has one."""
    other = b'data: {"id":"c","choices":[{"index":1,"delta":{"content":"no"}}]}\n\n'
    assert message(relay([FIRST + other + TEXT + LAST + DONE])[0])["content"] == [
        {"type": "text", "text": "grün"}
    ]


def test_calls_without_numbers() -> None:
    """Some servers count nothing: a piece with another id is another call, one without any goes on."""
    pieces = [
        chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": '{"x":'}}]}),
        chunk({"tool_calls": [{"function": {"arguments": "1}"}}]}),
        chunk({"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
        chunk({"function_call": {"name": "h", "arguments": ""}}, "tool_calls"),
    ]
    said = message(relay([*pieces, DONE])[0])
    assert [(block["id"], block["name"], block["input"]) for block in said["content"]] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {}),
        ("toolu_c_2", "h", {}),
    ]
    assert said["stop_reason"] == "tool_use"


def test_calls_of_one_number() -> None:
    """Some servers give every call the same: a piece with a name and another id is another call."""
    pieces = [
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "1}"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": '{"y":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "2}"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "h", "arguments": {"z": 3}}}]}),
        LAST,
    ]
    said = message(relay([*pieces, DONE])[0])
    assert [(block["id"], block["name"], block["input"]) for block in said["content"]] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {"y": 2}),
        ("c", "h", {"z": 3}),
    ]


def test_a_name_that_comes_after_the_id() -> None:
    """The block of a call begins with both, so it waits, and so do those behind it."""
    pieces = [
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"x":1}'}}]}),
        LAST,
    ]
    said = message(relay([*pieces, DONE])[0])
    assert [(block["id"], block["name"], block["input"]) for block in said["content"]] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {}),
    ]


def test_words_between_the_pieces_of_a_call() -> None:
    """They wait: the block of the call must not be closed before its arguments are whole."""
    pieces = [
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}}]}),
        chunk({"content": "so"}),
        chunk({"content": " be it"}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        LAST,
    ]
    said = message(relay([*pieces, DONE])[0])
    assert said["content"] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "text", "text": "so be it"},
    ]


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_SHAPED)
def test_recorded_streams(recordings: Path, name: str) -> None:
    """Every recorded stream makes one whole message, the same at whatever byte it is cut."""
    for item in recorded_answers(recordings, name, is_stream=True):
        if item.choices > 1:
            continue
        passed, stream = relay([item.body])
        assert stream.is_complete, item.name
        assert passed.endswith(b'data: {"type":"message_stop"}\n\n')
        said = message(passed)
        assert said["content"] or said["usage"], item.name
        usage = stream.facts().usage
        read = said["usage"]
        counted = read["input_tokens"] + read["cache_read_input_tokens"] + read["cache_creation_input_tokens"]
        assert counted == usage.input_tokens
        for at in range(0, len(item.body), 1 + len(item.body) // 300):
            assert relay([item.body[:at], item.body[at:]])[0] == passed


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_REPLIES)
def test_recorded_replies(recordings: Path, name: str) -> None:
    """Every recorded reply is a message, every recorded error one of Anthropic's shape."""
    for item in read_recorded(recordings, name, is_stream=False):
        if item.status != 200:
            refusal = messages_to_chat.read_error(item.status, item.body)
            assert refusal is not None
            assert json.loads(refusal.body)["error"]["message"]
            continue
        body, _ = messages_to_chat.read(CALL, item.body, started_at_ns=0)
        assert json.loads(body)["type"] == "message"


@given(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON), st.lists(ANY_JSON, max_size=3))
def test_any_call(fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    for members in ({"messages": messages, **fields}, {**fields, "messages": messages}):
        try:
            body, _ = messages_to_chat.write(make_messages_call(**members), TARGET)
        except GatewayError:
            continue
        json.loads(body)


@given(ANY_JSON)
def test_any_answer(value: Any) -> None:
    """Whatever a provider sends is an answer or a bad reply, whole, streamed or as an error."""
    for body in (
        value,
        {"choices": value},
        {"choices": [{"message": value}]},
        {"choices": [value], "usage": value},
        {"choices": [{"message": {"thinking_blocks": [value, {"a": value}], "tool_calls": [value]}}]},
    ):
        try:
            json.loads(messages_to_chat.read(CALL, json.dumps(body).encode(), started_at_ns=0)[0])
        except GatewayError:
            continue
    messages_to_chat.read_error(500, json.dumps(value).encode())
    messages_to_chat.read_error(500, json.dumps({"error": value}).encode())
    calls = {"tool_calls": [value, value], "content": value, "thinking_blocks": [value]}
    for pieces in ([chunk(value), chunk(calls)], [chunk(calls, value), chunk({"tool_calls": value}), DONE]):
        passed, _ = relay([FIRST, *pieces])
        message(passed)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param({"type": "redacted_thinking", "data": {"id": "c"}}, id="data that are no text"),
        pytest.param({"type": "redacted_thinking"}, id="no data"),
        pytest.param({"type": "thinking", "thinking": ["hm"]}, id="a thought that is no text"),
        pytest.param({"type": "thinking", "thinking": "hm", "signature": 5}, id="a signature that is none"),
        pytest.param({"type": ["thinking"], "thinking": "hm"}, id="a type that is none"),
        pytest.param({"type": "text", "text": "hm"}, id="no thought"),
    ],
)
def test_what_is_no_thought(block: dict[str, Any]) -> None:
    """An official client would fail on a block that Messages has not, so the caller gets the rest."""
    said = {"role": "assistant", "content": "Hello", "thinking_blocks": [block]}
    body = json.dumps({"id": "c", "model": "m", "choices": [{"message": said, "finish_reason": "stop"}]})
    whole = json.loads(messages_to_chat.read(CALL, body.encode(), started_at_ns=0)[0])
    passed, _ = relay([FIRST, chunk({"thinking_blocks": [block]}), TEXT, LAST, DONE])
    assert whole["content"] == [{"type": "text", "text": "Hello"}]
    assert message(passed)["content"] == [{"type": "text", "text": "grün"}]


def test_a_thought_with_its_number() -> None:
    """As streams of chat have it, by which clients put them together; no block of Messages has one."""
    block = {"index": 0, "type": "redacted_thinking", "data": "RD"}
    passed, _ = relay([FIRST, chunk({"thinking_blocks": [block]}), TEXT, LAST, DONE])
    assert message(passed)["content"][0] == {"type": "redacted_thinking", "data": "RD"}


@pytest.mark.parametrize(
    ("told", "reason", "stopped_at"),
    [
        pytest.param({"stop_reason": "END"}, "stop_sequence", "END", id="vLLM's"),
        pytest.param({"matched_stop": "END"}, "stop_sequence", "END", id="SGLang's"),
        pytest.param({"stop_reason": 128001}, "end_turn", None, id="a token"),
        pytest.param({"stop_reason": "eos"}, "end_turn", None, id="no text of the caller's"),
        pytest.param({}, "end_turn", None, id="not told"),
    ],
)
def test_text_that_it_stopped_at(told: dict[str, Any], reason: str, stopped_at: str | None) -> None:
    """It is told where the server says so, whole and streamed."""
    call = make_messages_call(messages=[], stream=True, stop_sequences=["STOP", "END"])
    choice = {"index": 0, "finish_reason": "stop", **told}
    body = {"id": "c", "model": "m", "choices": [{**choice, "message": {"content": "Hi"}}]}
    whole = json.loads(messages_to_chat.read(call, json.dumps(body).encode(), started_at_ns=0)[0])
    stream = messages_to_chat.open_stream(call, started_at_ns=0)
    last = b"data: " + json.dumps({"choices": [{**choice, "delta": {}}]}).encode() + b"\n\n"
    streamed = message(b"".join(map(stream.feed, (FIRST, TEXT, last, DONE))))
    for found in (whole, streamed):
        assert (found["stop_reason"], found["stop_sequence"]) == (reason, stopped_at)


def test_too_deep() -> None:
    """A body that is nested deeper than it can be rebuilt is refused, not a crash."""
    deep = '{"type":"document","source":{"type":"content","content":[' * 900 + "]}}" * 900
    body = f'{{"model":"a/b","messages":[{{"role":"user","content":[{deep}]}}]}}'.encode()
    with pytest.raises(GatewayError) as caught:
        messages_to_chat.write(parse_call(MESSAGES, body, model=None, account=None), TARGET)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "said"}}, "said"),
        ({"error": "said"}, "said"),
        ({"object": "error", "message": "said"}, "said"),
        ({"detail": "said"}, "said"),
        ({"detail": [{"loc": ["body"], "msg": "one"}, 5]}, '[{"loc":["body"],"msg":"one"},5]'),
        ({"detail": {}}, "The provider answered with an error."),
    ],
)
def test_what_servers_call_an_error(body: object, message: str) -> None:
    """Its words arrive, wherever a server has them: a caller acts on "context length" and its like."""
    refusal = messages_to_chat.read_error(400, json.dumps(body).encode())
    assert refusal is not None
    assert json.loads(refusal.body)["error"] == {"type": "invalid_request_error", "message": message}


def test_no_page_is_an_error() -> None:
    """HTML tells a caller nothing."""
    assert messages_to_chat.read_error(502, b"<html>") is None
