"""Reading whole replies: usage, ids, and whether a success is really a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING
from gateway.endpoints.openai_reply import (
    UNREADABLE,
    ReplyFacts,
    decode_reply,
    estimate_usage,
    excerpt,
    is_json_object,
    read_reply,
    read_usage,
    text_of,
)
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Usage
from tests.rig.requires import requires
from tests.unit.recorded import OPENAI_REPLIES, read_recorded

CHOICE: dict[str, Any] = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
GOOD: dict[str, Any] = {
    "id": "chat-1",
    "model": "small-1",
    "choices": [CHOICE],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
}

COUNTS = st.none() | st.booleans() | st.integers() | st.text()
USAGES = st.recursive(
    COUNTS,
    lambda inner: st.dictionaries(
        st.sampled_from(
            [
                *("prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens"),
                *("completion_tokens_details", "reasoning_tokens", "total_tokens", "input_tokens"),
                *("input_tokens_details", "audio_tokens", "image_tokens", "type", "seconds"),
            ]
        ),
        inner,
    ),
)
NAMES = st.sampled_from(["id", "model", "choices", "usage", "error", "data", "finish_reason", "index"])
JSON_REPLIES = st.recursive(
    COUNTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner)
).map(lambda value: json.dumps(value).encode())


def read(body: bytes | dict[str, Any], endpoint: Endpoint = CHAT) -> ReplyFacts:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_reply(endpoint, data, asked_bytes=400)


def test_good_reply() -> None:
    """A reply tells its id, model, finish reasons and usage."""
    assert read(GOOD) == ReplyFacts("chat-1", "small-1", ("stop",), Usage(3, 4, "provider"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"id": None, "model": None}, ("", "", ("stop",)), id="null"),
        pytest.param({"id": 7, "model": ["x"]}, ("", "", ("stop",)), id="other types"),
        pytest.param(
            {"choices": [CHOICE, {**CHOICE, "finish_reason": "length"}]},
            ("chat-1", "small-1", ("stop", "length")),
            id="two choices, in order",
        ),
        pytest.param({"choices": [{"message": {}}]}, ("chat-1", "small-1", ()), id="no finish reason"),
        pytest.param({"error": None}, ("chat-1", "small-1", ("stop",)), id="error that is null"),
        pytest.param({"data": 7, "new": {"x": [1]}}, ("chat-1", "small-1", ("stop",)), id="unknown fields"),
    ],
)
def test_reply_with_less_or_more(changes: dict[str, Any], expected: tuple[str, str, tuple[str, ...]]) -> None:
    """What a provider leaves out or adds spoils nothing."""
    facts = read({**GOOD, **changes})
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == expected


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        pytest.param(b"", CHAT, id="empty"),
        pytest.param(b"<html>busy</html>", CHAT, id="HTML"),
        pytest.param(b'{"choices":[{}]', CHAT, id="cut"),
        pytest.param(b"[]", CHAT, id="array"),
        pytest.param(b"null", CHAT, id="null"),
        pytest.param(b'{"id":"\xff","choices":[{}]}', CHAT, id="not UTF-8"),
        pytest.param(b'{"id":' + b"[" * 100_000, CHAT, id="nested without end"),
        pytest.param(b"\x1f\x8b\x08\x00gzip", CHAT, id="compressed all the same"),
        pytest.param(b'{"error":{"message":"busy"},"choices":[{}]}', CHAT, id="error inside"),
        pytest.param(b'{"error":"busy"}', CHAT, id="error as text"),
        pytest.param(b"{}", CHAT, id="nothing inside"),
        pytest.param(b'{"choices":[]}', CHAT, id="no choice"),
        pytest.param(b'{"choices":null}', CHAT, id="choices null"),
        pytest.param(b'{"choices":"stop"}', CHAT, id="choices of another type"),
        pytest.param(b'{"choices":[null]}', CHAT, id="choice null"),
        pytest.param(b'{"choices":[{"finish_reason":"stop"}]}', CHAT, id="choice without message"),
        pytest.param(b'{"choices":[{"message":null}]}', CHAT, id="message null"),
        pytest.param(
            b'{"choices":[{"message":null,"logprobs":NaN}]}', CHAT, id="message null, read leniently"
        ),
        pytest.param(b'{"choices":[{"text":null}]}', COMPLETION, id="completion without text"),
        pytest.param(b'{"choices":[]}', COMPLETION, id="completion without choice"),
        pytest.param(b'{"data":null}', EMBEDDING, id="embedding without data"),
        pytest.param(b'{"choices":[{}]}', EMBEDDING, id="embedding with choices"),
        pytest.param(b'{"data":[]}', EMBEDDING, id="embedding of nothing"),
        pytest.param(b'{"data":[]}', CHAT, id="chat with data"),
        pytest.param(b'{"choices":[{"finish_reason":"error"}]}', CHAT, id="choice that failed"),
        pytest.param(
            b'{"choices":[{"message":{"content":"Hal"},"finish_reason":"insufficient_system_resource"}]}',
            CHAT,
            id="choice that DeepSeek broke off",
        ),
    ],
)
def test_success_that_is_none(body: bytes, endpoint: Endpoint) -> None:
    """A success without an answer is a bad reply; its first bytes are for the operator only."""
    with pytest.raises(UpstreamBadReply) as caught:
        read(body, endpoint)
    assert caught.value.excerpt == excerpt(body)
    assert not caught.value.excerpt or caught.value.excerpt not in caught.value.for_operator


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(rb'{"choices":[{"message":{"content":"\ud83d"}}]}', id="half a surrogate pair"),
        pytest.param(b'{"choices":[{"message":{},"logprobs":-Infinity}]}', id="infinity"),
        pytest.param(b'{"choices":[{"message":{"content":"a\tb"}}]}', id="bare control character"),
    ],
)
def test_reply_that_lenient_parsers_read(body: bytes) -> None:
    """A reply that clients' parsers read is not turned into a 502."""
    read(body)


@pytest.mark.parametrize(
    ("choice", "endpoint"),
    [
        pytest.param({"message": {"content": None}}, CHAT, id="message without content"),
        pytest.param({"text": ""}, COMPLETION, id="empty text"),
    ],
)
def test_an_answer_that_says_nothing_is_one(choice: dict[str, Any], endpoint: Endpoint) -> None:
    """A model may have nothing to say; only a choice without a place for words is none."""
    assert read({"choices": [choice]}, endpoint).finish_reasons == ()


def test_embedding() -> None:
    """An embedding's answer is its data; it has no output tokens."""
    body = {"model": "e-1", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 5, "total_tokens": 5}}
    assert read(body, EMBEDDING) == ReplyFacts("", "e-1", (), Usage(5, None, "provider"))


def test_usage_is_estimated_where_the_provider_does_not_count() -> None:
    """Without a count, four bytes are a token, and the estimate says that it is one."""
    body = json.dumps({"choices": [CHOICE]}).encode()
    assert read(body).usage == Usage(100, len(body) // 4, "estimated") == estimate_usage(400, len(body))
    vectors = json.dumps({"data": [{"embedding": [0.123456789] * 400}]}).encode()
    assert read_reply(EMBEDDING, vectors, asked_bytes=400).usage == Usage(100, 0, "estimated")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(None, None, id="none"),
        pytest.param({}, None, id="empty"),
        pytest.param("12", None, id="text"),
        pytest.param([1, 2], None, id="list"),
        pytest.param(
            {"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0, "provider"), id="zero stays zero"
        ),
        pytest.param({"prompt_tokens": 5}, Usage(5, None, "provider"), id="input only"),
        pytest.param({"completion_tokens": 5}, Usage(None, 5, "provider"), id="output only"),
        pytest.param(
            {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4},
            Usage(9, 2, "provider", 4),
            id="cached beside, as Moonshot and Together AI tell it",
        ),
        pytest.param(
            {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_cache_hit_tokens": 4,
                "prompt_cache_miss_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
            Usage(9, 2, "provider", 4, 1),
            id="and DeepSeek",
        ),
        pytest.param(
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 3}, "cached_tokens": 4},
            Usage(9, None, "provider", 3),
            id="OpenAI's own place first",
        ),
        pytest.param({"total_tokens": 5}, None, id="total only"),
        pytest.param({"prompt_tokens": -1}, None, id="negative"),
        pytest.param({"prompt_tokens": True}, None, id="boolean"),
        pytest.param({"prompt_tokens": 1.5}, None, id="fraction"),
        pytest.param({"prompt_tokens": 1 << 60}, None, id="beyond sense"),
        pytest.param(
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
            Usage(9, 8, "provider", 4, 0, 2),
            id="details",
        ),
        pytest.param(
            {"prompt_tokens": 9, "prompt_tokens_details": None, "completion_tokens_details": [7]},
            Usage(9, None, "provider"),
            id="details of another type",
        ),
        pytest.param(
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"audio_tokens": 60, "image_tokens": 7, "cached_tokens": 0},
                "completion_tokens_details": {"audio_tokens": 40, "image_tokens": 3, "reasoning_tokens": 2},
            },
            Usage(
                *(100, 50, "provider", 0, 2),
                audio_input_tokens=60,
                image_input_tokens=7,
                audio_output_tokens=40,
                image_output_tokens=3,
            ),
            id="audio and images",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            Usage(10, 12, "provider", None, 7),
            id="reasoning beside the output, as xAI counts",
        ),
        pytest.param(
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            Usage(10, 5, "provider", None, 4),
            id="reasoning in the output, as OpenAI counts",
        ),
        pytest.param(
            {
                "input_tokens": 36,
                "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
                "output_tokens": 87,
                "output_tokens_details": {"reasoning_tokens": 60},
                "total_tokens": 123,
            },
            Usage(36, 87, "provider", 8, 60, 4),
            id="Responses",
        ),
        pytest.param(
            {
                "total_tokens": 100,
                "input_tokens": 50,
                "output_tokens": 50,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens_details": {"text_tokens": 0, "image_tokens": 50},
            },
            Usage(50, 50, "provider", image_input_tokens=40, image_output_tokens=50),
            id="images",
        ),
        pytest.param(
            {
                "input_tokens": 132,
                "output_tokens": 121,
                "total_tokens": 253,
                "input_token_details": {
                    "text_tokens": 119,
                    "audio_tokens": 13,
                    "image_tokens": 0,
                    "cached_tokens": 74,
                    "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 10, "image_tokens": 0},
                },
                "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
            },
            Usage(
                *(132, 121, "provider", 74),
                audio_input_tokens=13,
                image_input_tokens=0,
                audio_output_tokens=91,
                cached_audio_input_tokens=10,
                cached_image_input_tokens=0,
            ),
            id="a spoken response",
        ),
        pytest.param(
            {
                "type": "tokens",
                "input_tokens": 14,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
                "output_tokens": 45,
                "total_tokens": 59,
            },
            Usage(14, 45, "provider", audio_input_tokens=14),
            id="transcription by tokens",
        ),
        pytest.param(
            {"type": "duration", "seconds": 9},
            Usage(None, None, "provider", audio_s=9.0),
            id="transcription by its length",
        ),
        pytest.param({"type": "duration", "seconds": True}, None, id="no length"),
        pytest.param({"type": "duration", "seconds": -1}, None, id="negative length"),
        pytest.param({"seconds": 9}, None, id="length of something else"),
    ],
)
def test_usage_of_the_provider(usage: object, expected: Usage | None) -> None:
    """The provider's count is taken where it makes sense, each number on its own."""
    assert read_usage(usage) == expected


@given(USAGES)
def test_no_usage_is_an_error(usage: object) -> None:
    """Whatever stands in `usage`, counts are whole numbers from zero, or absent."""
    found = read_usage(usage)
    if found is not None:
        counts = msgspec.structs.asdict(found)
        assert (counts.pop("source"), counts.pop("samplings")) == ("provider", ())
        seconds = counts.pop("audio_s")
        assert seconds is None or (type(seconds) is float and seconds >= 0)
        assert all(count is None or (type(count) is int and count >= 0) for count in counts.values())


@given(st.binary() | JSON_REPLIES)
def test_any_body_is_read_or_a_bad_reply(body: bytes) -> None:
    """No body does anything but tell its facts or count as a bad reply."""
    for endpoint in (CHAT, EMBEDDING):
        try:
            facts = read(body, endpoint)
        except UpstreamBadReply:
            continue
        assert all(isinstance(reason, str) for reason in facts.finish_reasons)


@pytest.mark.parametrize(
    ("body", "is_object"),
    [
        (b'{"error":{}}', True),
        (b" {} ", True),
        (b"[]", False),
        (b'"text"', False),
        (b"", False),
        (b"<html>", False),
        (b"{} trailing", False),
        (b'{"a":"\xff"}', False),
        (b'{"a":' + b"[" * 100_000, False),
    ],
    ids=["object", "space", "array", "text", "empty", "HTML", "trailing", "not UTF-8", "nested"],
)
def test_json_object(body: bytes, *, is_object: bool) -> None:
    """Only a whole JSON object is an error that may pass to a client."""
    assert is_json_object(body) is is_object


def test_decode_reply_of_another_shape() -> None:
    """What is no reply raises what the callers catch."""
    for body in (b"[]", b'{"id":"\xff"}', b'{"id":' + b"[" * 100_000):
        with pytest.raises(UNREADABLE):
            decode_reply(body)


def test_excerpt_is_short_and_text() -> None:
    """Of a body of megabytes only the beginning is taken, whatever bytes it has."""
    assert excerpt(b"a" * 3_000_000) == "a" * 1024
    assert excerpt(b"\xff" * 3) == "\ufffd" * 3
    assert excerpt(b"a" + "ü".encode() * 600).endswith("ü\ufffd")


def test_text_of() -> None:
    """Only a text is one, and every one can be written."""
    assert [text_of(value) for value in ("a", None, 7, ["a"])] == ["a", "", "", ""]
    assert text_of("é\ud800") == "é?"


def test_facts_can_be_written() -> None:
    """Half a surrogate pair in the reply's names is replaced; nothing downstream could encode it."""
    body = rb'{"id":"i\ud800","model":"m\ud800","choices":[{"text":"","finish_reason":"f\ud800"}]}'
    facts = read_reply(CHAT, body, asked_bytes=1)
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("i?", "m?", ("f?",))


@requires("recordings")
@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        *((name, CHAT) for name in OPENAI_REPLIES),
        ("openai-completions", COMPLETION),
        ("openai-embeddings", EMBEDDING),
    ],
)
def test_recorded_replies(recordings: Path, name: str, endpoint: Endpoint) -> None:
    """The usage told of a real reply is the one in its body, and real errors pass as JSON."""
    for item in read_recorded(recordings, name, is_stream=False):
        if item.status != 200:
            assert is_json_object(item.body), item.name
            continue
        body = json.loads(item.body)
        facts = read(item.body, endpoint)
        assert (facts.response_id, facts.response_model) == (body.get("id") or "", body["model"]), item.name
        reasons = tuple(choice["finish_reason"] for choice in body.get("choices", ()))
        assert facts.finish_reasons == reasons, item.name
        usage = body.get("usage")
        if usage is None:
            assert facts.usage.source == "estimated", item.name
        else:
            counted = (usage["prompt_tokens"], usage.get("completion_tokens"), "provider")
            assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.usage.source) == counted, (
                item.name
            )


def test_what_the_model_said_is_not_in_an_excerpt() -> None:
    """A completion that was cut is content, and an excerpt goes on spans whether content may or not."""
    assert "SECRET" not in excerpt(b'{"choices":[{"message":{"content":"SECRET')
    assert excerpt(b"<html>busy</html>") == "<html>busy</html>"
