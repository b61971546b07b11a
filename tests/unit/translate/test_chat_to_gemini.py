"""Gemini's answers for callers of chat: however they are cut, and whatever they hold."""

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
from gateway.errors import GatewayError, UpstreamBadReply
from gateway.model import Call
from gateway.translate import chat_to_gemini
from gateway.wire.sse import read_events
from tests.golden.gemini_answers import (
    EXHAUSTED,
    FAILURES,
    REPLIES,
    TEXT,
    answer,
    candidate,
    event,
    events,
)
from tests.rig.requires import requires
from tests.unit.makers import make_call, make_target
from tests.unit.recorded import GEMINI_SHAPED, read_recorded, recorded_of_gemini
from tests.unit.translate.reassembly import chat_message

TARGET: Final = make_target(dialect="gemini", model_id="gemini-3.5-flash")
CALL: Final = make_call(stream=True, stream_options={"include_usage": True})
WHOLE: Final = make_call()
NOW_NS: Final = 5_000_000_000


def relay(pieces: list[bytes], call: Call = CALL) -> tuple[bytes, chat_to_gemini.ChunkStream]:
    stream = chat_to_gemini.open_stream(call, started_at_ns=NOW_NS)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def whole(reply: dict[str, Any], call: Call = WHOLE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        chat_to_gemini.read(call, json.dumps(reply).encode(), started_at_ns=NOW_NS)[0]
    )
    return found


def with_arguments(message: dict[str, Any]) -> dict[str, Any]:
    """*message* with the arguments of its calls as what they say."""
    for call in message.get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return message


@pytest.mark.parametrize("name", [name for name in REPLIES if name != "several"])
def test_streamed_and_whole_say_the_same(name: str) -> None:
    """Message, reason and usage, of every kind of answer."""
    passed, stream = relay(events(REPLIES[name]))
    choice = whole(REPLIES[name])["choices"][0]
    said, reason = chat_message(passed)
    assert {"refusal": None, **said} == with_arguments(choice["message"])
    assert (reason, stream.is_complete) == (choice["finish_reason"], True)
    if name != "without_usage":
        chunks = [json.loads(data) for data in read_events(passed)]
        assert chunks[-1]["usage"] == whole(REPLIES[name])["usage"]
    assert passed.endswith(b"data: [DONE]\n\n")


def test_several_answers() -> None:
    """Each chunk says which it belongs to, and each is put together for itself."""
    reply = REPLIES["several"]
    passed, stream = relay(events(reply), make_call(stream=True, n=2))
    assert stream.is_complete
    for choice in whole(reply, make_call(n=2))["choices"]:
        own = []
        for data in read_events(passed):
            chunk = json.loads(data)
            if chunk["choices"][0]["index"] == choice["index"]:
                own.append(b"data: " + data + b"\n\n")
        said, reason = chat_message(b"".join(own))
        assert ({"refusal": None, **said}, reason) == (
            with_arguments(choice["message"]),
            choice["finish_reason"],
        )
    assert not relay(events(REPLIES["text"]), make_call(stream=True, n=2))[1].is_complete


@given(st.lists(st.integers(0, 4000)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a letter too, the caller gets the same."""
    data = b"".join(events(REPLIES["tools"]))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete


@pytest.mark.parametrize("name", [name for name in REPLIES if name not in ("several", "empty")])
def test_a_cut_stream_has_no_end(name: str) -> None:
    """Without its last event no answer looks whole, and neither does one with half an event behind it."""
    for pieces in (events(REPLIES[name])[:-1], [*events(REPLIES[name]), b"data: {"]):
        passed, stream = relay(pieces)
        assert b"[DONE]" not in passed
        assert b'"finish_reason":"' not in passed
        assert not stream.is_complete


@pytest.mark.parametrize("name", FAILURES)
def test_answers_that_are_none(name: str) -> None:
    """With success and without an answer: another target is asked, or the stream ends with an error."""
    with pytest.raises(UpstreamBadReply):
        whole(FAILURES[name])
    passed, stream = relay(events(FAILURES[name]))
    assert not stream.is_complete
    assert b"[DONE]" not in passed
    if name == "nothing":
        assert (passed, stream.has_content) == (b"", False)
    else:
        assert stream.failure
        assert "error" in json.loads(list(read_events(passed))[-1])


@pytest.mark.parametrize("error", [EXHAUSTED, [EXHAUSTED]])
def test_an_error_ends_it(error: Any) -> None:
    """It is told in OpenAI's words, and nothing follows."""
    passed, stream = relay([events(REPLIES["text"])[0], event(error), *events(REPLIES["text"])])
    last = json.loads(list(read_events(passed))[-1])
    assert last["error"]["code"] == "rate_limit_exceeded"
    assert json.loads(stream.failure) == error
    assert (stream.has_ended, stream.is_complete) == (True, False)


def test_whole_errors() -> None:
    """Alone or in a list, with the time to try again; what is no JSON is none that a caller could read."""
    for body in (EXHAUSTED, [EXHAUSTED]):
        refusal = chat_to_gemini.read_error(429, json.dumps(body).encode())
        assert refusal is not None
        assert (refusal.status, refusal.retry_after_s) == (429, 35)
        assert json.loads(refusal.body)["error"]["message"] == "You exceeded your current quota."
    for no_error in (b"<html>", b"[]", b""):
        assert chat_to_gemini.read_error(502, no_error) is None


def test_ids_where_there_are_none() -> None:
    """Of the reply and of its calls: made from the time, so no two turns of a conversation share one."""
    reply = {"candidates": [candidate({"functionCall": {"name": "a"}}, {"functionCall": {"name": "b"}})]}
    first = whole(reply)
    later = json.loads(chat_to_gemini.read(WHOLE, json.dumps(reply).encode(), started_at_ns=NOW_NS + 1)[0])
    ids = [call["id"] for each in (first, later) for call in each["choices"][0]["message"]["tool_calls"]]
    assert len(set(ids)) == 4
    assert (first["id"] != later["id"], first["model"]) == (True, "acct/small")
    said, _ = chat_message(relay([event(reply)])[0])
    assert [call["id"] for call in said["tool_calls"]] == ids[:2]


def test_calls_come_back_under_their_names() -> None:
    """What was told the caller, sent back by it, is what Gemini said: names, ids, signatures, order."""
    for name in ("tools", "tools_with_ids"):
        message = whole(REPLIES[name])["choices"][0]["message"]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in message["tool_calls"]
        ]
        turn = [{"role": "user", "content": "hi"}, message, *reversed(results)]
        body, _ = chat_to_gemini.write(make_call(messages=turn), TARGET)
        said, given_back = json.loads(body)["contents"][1:]
        asked = REPLIES[name]["candidates"][0]["content"]["parts"]
        expected = [
            {**part, "functionCall": {"args": {}, **part["functionCall"]}}
            for part in asked
            if "functionCall" in part
        ]
        assert [part for part in said["parts"] if "functionCall" in part] == expected
        results_of = [part["functionResponse"] for part in given_back["parts"]]
        assert [each["name"] for each in results_of] == ["weather", "time"]
        assert [each.get("id") for each in results_of] == [
            part["functionCall"].get("id") for part in expected
        ]


@pytest.mark.parametrize("shows", [None, True, False])
def test_thoughts_are_shown_or_not(*, shows: bool | None) -> None:
    """Whole and streamed alike: there unless the caller wants what is strictly OpenAI's."""
    for name in ("tools", "signed_text"):
        call = msgspec.structs.replace(CALL, shows_thoughts=shows)
        passed, stream = relay(events(REPLIES[name]), call)
        body = json.dumps(REPLIES[name]).encode()
        reply, _ = chat_to_gemini.read(call, body, started_at_ns=0)
        for said in (passed, reply):
            assert (b"extra_content" in said) is (shows is not False)
            assert (b"reasoning_content" in said) is (shows is not False and name == "tools")
        assert stream.is_complete


@pytest.mark.parametrize("reason", ["LANGUAGE", "SPII", "BLOCKLIST", "OTHER", "IMAGE_SAFETY", "OF_TOMORROW"])
def test_what_stopped_the_model_is_no_good_end(reason: str) -> None:
    """Known or not: nobody takes such an answer for a whole one."""
    choice = whole(answer(candidate(TEXT, reason=reason)))["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert reason in choice["message"]["refusal"]


def test_odd_events_say_nothing() -> None:
    """What is no object changes nothing."""
    odd = b"data: 7\n\n: hi\n\ndata: []\n\ndata: [DONE]\n\n"
    first, *rest = events(REPLIES["text"])
    assert relay([first, odd, *rest])[0] == relay([first, *rest])[0]


def test_event_that_is_no_json_ends_the_stream() -> None:
    """The answer has a hole there."""
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        relay([b"data: {x\n\n", *events(REPLIES["text"])])


def test_too_deep() -> None:
    """A body that is nested deeper than can be read is refused, not a crash."""
    deep = b"[" * 5000 + b"]" * 5000
    schema = b'{"properties":{"a":' * 900 + b"{}" + b"}}" * 900
    tools = b'[{"type":"function","function":{"name":"f","parameters":%b}}]' % schema
    for members in (b'"messages":' + deep, b'"messages":[],"tools":' + tools):
        body = b'{"model":"a/b",' + members + b"}"
        with pytest.raises(GatewayError) as caught:
            chat_to_gemini.write(parse_call(CHAT, body, model=None, account=None), TARGET)
        assert caught.value.status == 400


NAMES: Final = [
    "role", "content", "type", "text", "tool_calls", "function", "arguments", "id", "image_url",
    "url", "file", "file_data", "tool_call_id", "name", "parameters", "extra_content", "google",
    "images", "candidates", "parts", "functionCall", "args", "thought", "thoughtSignature",
    "inlineData", "data", "finishReason", "index", "groundingMetadata", "groundingChunks",
    "groundingSupports", "segment", "web", "uri", "logprobsResult", "chosenCandidates",
    "topCandidates", "token", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason",
    "error", "message", "$ref", "properties", "anyOf", "enum", "required", "items",
]  # fmt: skip
VALUES: Final = [
    "user", "assistant", "system", "tool", "text", "image_url", "file", "function", "allowed_tools",
    "data:;base64,x", "", "STOP", "SAFETY", "MALFORMED_FUNCTION_CALL", "#/properties/a", "object",
]  # fmt: skip
ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)
FIELDS: Final = [
    "tools", "tool_choice", "response_format", "reasoning_effort", "stop", "max_tokens", "thinking",
    "temperature", "metadata", "functions", "function_call", "modalities", "seed", "logprobs", "top_logprobs",
    "presence_penalty", "web_search_options", "extra_body", "generationConfig", "tool_config", "labels",
    "parallel_tool_calls",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON), st.lists(ANY_JSON, max_size=3))
def test_any_call(fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    try:
        body, _ = chat_to_gemini.write(make_call(**fields, messages=messages), TARGET)
    except GatewayError:
        return
    json.loads(body)


@given(ANY_JSON)
def test_any_answer(value: Any) -> None:
    """Whatever a provider sends is an answer or a bad reply, whole, streamed or as an error."""
    said = {"content": {"parts": [value, {"text": value, "functionCall": value, "inlineData": value}]}}
    kinds = [
        value,
        {"candidates": value},
        {
            "candidates": [
                {"finishReason": "STOP", "groundingMetadata": value, "logprobsResult": value, **said}
            ]
        },
        {"promptFeedback": value, "usageMetadata": value},
    ]
    for body in kinds:
        try:
            json.loads(chat_to_gemini.read(WHOLE, json.dumps(body).encode(), started_at_ns=0)[0])
        except GatewayError:
            continue
    chat_to_gemini.read_error(500, json.dumps(value).encode())
    chat_to_gemini.read_error(500, json.dumps({"error": value}).encode())
    passed, _ = relay([event(kind) for kind in kinds])
    assert all(json.loads(data) for data in read_events(passed))


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Every recorded stream, put together, says what its events say, at whatever byte it is cut."""
    seen = 0
    for item in recorded_of_gemini(recordings, is_stream=True):
        passed, stream = relay([item.body])
        assert stream.is_complete, item.name
        said, reason = chat_message(passed)
        expected = joined([json.loads(data) for data in read_events(item.body)])
        found = with_arguments(whole(expected)["choices"][0]["message"])
        assert {"refusal": None, **said} == found, item.name
        assert reason == ("tool_calls" if "tool_calls" in said else "stop")
        assert (
            stream.facts().usage
            == chat_to_gemini.read(WHOLE, json.dumps(expected).encode(), started_at_ns=NOW_NS)[1].usage
        )
        for at in range(0, len(item.body), 211):
            assert relay([item.body[:at], item.body[at:]])[0] == passed
        seen += 1
    assert seen >= 13


def joined(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole reply that these would have been."""
    parts = [part for chunk in chunks for part in chunk["candidates"][0].get("content", {}).get("parts", [])]
    last = chunks[-1]["candidates"][0]
    return {**chunks[-1], "candidates": [{**last, "content": {"role": "model", "parts": parts}}]}


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Texts, calls, reason and counts of every recorded reply survive."""
    seen = 0
    for item in read_recorded(recordings, *GEMINI_SHAPED, is_stream=False):
        if item.status != 200:
            refusal = chat_to_gemini.read_error(item.status, item.body)
            assert refusal is not None
            told = json.loads(refusal.body)["error"]["message"]
            assert (refusal.status, told) == (item.status, json.loads(item.body)["error"]["message"])
            continue
        reply = json.loads(item.body)
        found = whole(reply)
        message = found["choices"][0]["message"]
        parts = reply["candidates"][0].get("content", {}).get("parts", [])
        texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
        assert (message["content"] or "") == "".join(texts), item.name
        calls = [call["function"]["name"] for call in message.get("tool_calls", [])]
        assert calls == [part["functionCall"]["name"] for part in parts if "functionCall" in part]
        counted = reply["usageMetadata"]
        if "totalTokenCount" in counted:
            assert found["usage"]["total_tokens"] == counted["totalTokenCount"]
        seen += 1
    assert seen > 40
