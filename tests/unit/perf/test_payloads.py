"""perf/payloads.py."""

from __future__ import annotations

import orjson
import pytest

from perf.payloads import (
    REPLY,
    REPLY_BYTES,
    REQUEST_BYTES,
    STREAM_CHUNKS,
    Ask,
    Dialect,
    chat_request,
    says_the_same,
    stream_events,
)


@pytest.mark.parametrize("model", ["perf-model", "perf/chat"])
def test_requests_have_one_size_whatever_the_model_is_called(model: str) -> None:
    """Contenders know the model by different names, which must not change the work."""
    body = chat_request(model)
    assert len(body) == REQUEST_BYTES
    assert orjson.loads(body)["model"] == model


def test_a_size_that_cannot_be() -> None:
    """Smaller than a call without text: refused instead of silently larger."""
    with pytest.raises(ValueError, match="does not fit"):
        chat_request("perf-model", 10)


def test_reply_is_a_chat_completion_of_the_stated_size() -> None:
    """It reports usage, so that a gateway has tokens to count."""
    assert len(REPLY) == REPLY_BYTES
    assert orjson.loads(REPLY)["usage"]["total_tokens"] == 276


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(REPLY, True, id="the reply itself"),
        pytest.param(
            orjson.dumps(orjson.loads(REPLY) | {"model": "perf/chat", "created": 1}), True, id="written anew"
        ),
        pytest.param(REPLY.replace(b"fox", b"dog"), False, id="other text"),
        pytest.param(REPLY[:-1], False, id="cut"),
        pytest.param(b'{"choices":[]}', False, id="no choice"),
        pytest.param(b'{"choices":null}', False, id="no list"),
    ],
)
def test_an_answer_written_anew_must_keep_the_text(body: bytes, expected: bool) -> None:  # noqa: FBT001  a table
    """What a contender may change, and what not."""
    assert says_the_same(body) is expected


def test_stream_ends_with_usage_and_the_end_mark() -> None:
    """As an OpenAI server ends it."""
    *content, usage, done = stream_events(3)
    assert len(content) == 3
    assert orjson.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"] == 3
    assert done == b"data: [DONE]\n\n"


def test_a_stream_is_asked_for_with_its_usage() -> None:
    """Then a gateway that wants to know it has nothing to change, and all contenders do the same work."""
    call = orjson.loads(Ask(is_stream=True).request("m"))
    assert (call["stream"], call["stream_options"], "user" in call) == (True, {"include_usage": True}, False)


def test_the_reply_to_an_ask() -> None:
    """Its whole body, so that every byte can be compared."""
    assert Ask(size_bytes=2000).reply() == REPLY
    assert Ask(is_stream=True).reply().count(b"\n\n") == STREAM_CHUNKS + 2


@pytest.mark.parametrize("ask", [Ask(), Ask(200_000), Ask(is_stream=True), Ask(is_stream=True, pace_ms=20)])
def test_every_ask_has_the_size_it_says(ask: Ask) -> None:
    """Whatever else is in it."""
    assert len(ask.request("perf-model")) == ask.size_bytes


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (Ask(2_000_000), "2,000,000 bytes"),
        (Ask(is_stream=True), "streams"),
        (Ask(is_stream=True, pace_ms=20), "streams paced 20 ms"),
    ],
)
def test_names_for_people(ask: Ask, name: str) -> None:
    """They stand in what a run says of itself."""
    assert ask.name == name


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "streamed"])
def test_text_is_found_in_every_dialect(dialect: Dialect, *, is_stream: bool) -> None:
    """An answer in another dialect, with another word or without its end is none."""
    ask = Ask(is_stream=is_stream, dialect=dialect)
    body = ask.reply()
    assert len(ask.request("perf-model")) == REQUEST_BYTES
    assert says_the_same(body, dialect)
    assert not any(says_the_same(body, other) for other in Dialect if other is not dialect)
    assert not says_the_same(body.replace(b"word7 ", b"word8 ").replace(b"fox", b"dog"), dialect)
    cut = b"\n\n".join(body.split(b"\n\n")[:-2]) if is_stream else body[:-1]
    assert not says_the_same(cut, dialect)


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect_streams_as_many_chunks(dialect: Dialect) -> None:
    """Whatever comes around them."""
    first, second = (len(stream_events(chunks, dialect=dialect)) for chunks in (3, 5))
    assert second - first == 2
