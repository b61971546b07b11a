"""perf/responses_dialect.py."""

from __future__ import annotations

import orjson
import pytest

from perf import responses_dialect


def decoded(events: tuple[bytes, ...]) -> list[dict[str, object]]:
    """The data of each event, whose name must be its type."""
    found = []
    for event in events:
        name, data = event.removesuffix(b"\n\n").split(b"\n")
        found.append(orjson.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + str(found[-1]["type"]).encode()
    return found


def test_streamed_and_whole_say_the_same() -> None:
    """What is read back is what was written, and the model is named."""
    reply = orjson.loads(responses_dialect.reply("m", "one two"))
    assert reply["model"] == "m"
    assert responses_dialect.text_of(reply) == "one two"
    stream = decoded(responses_dialect.events("m", ["one ", "two"]))
    assert responses_dialect.streamed_text(stream) == "one two"


def test_a_stream_without_its_end_says_nothing() -> None:
    """A relay that loses the last event must not look good."""
    stream = decoded(responses_dialect.events("m", ["one ", "two"]))
    with pytest.raises(LookupError):
        responses_dialect.streamed_text(stream[:-1])


def test_a_call_has_the_text_and_what_else_is_asked() -> None:
    """The model, the text and the members."""
    call = orjson.loads(responses_dialect.request("m", "hello", stream=True))
    assert (call["model"], call["stream"]) == ("m", True)
    assert "hello" in str(call)
