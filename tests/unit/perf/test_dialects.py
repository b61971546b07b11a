"""perf/messages_dialect.py and perf/responses_dialect.py, which say the same in other words."""

from __future__ import annotations

from typing import Any, Final

import orjson
import pytest

from perf import messages_dialect, responses_dialect

DIALECTS: Final = pytest.mark.parametrize(
    "dialect", [messages_dialect, responses_dialect], ids=["messages", "responses"]
)


def decoded(events: tuple[bytes, ...]) -> list[dict[str, object]]:
    """The data of each event, whose name must be its type."""
    found = []
    for event in events:
        name, data = event.removesuffix(b"\n\n").split(b"\n")
        found.append(orjson.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + str(found[-1]["type"]).encode()
    return found


@DIALECTS
def test_streamed_and_whole_say_the_same(dialect: Any) -> None:
    """What is read back is what was written, and the model is named."""
    reply = orjson.loads(dialect.reply("m", "one two"))
    assert reply["model"] == "m"
    assert dialect.text_of(reply) == "one two"
    stream = decoded(dialect.events("m", ["one ", "two"]))
    assert dialect.streamed_text(stream) == "one two"


@DIALECTS
def test_a_stream_without_its_end_says_nothing(dialect: Any) -> None:
    """A relay that loses the last event must not look good."""
    stream = decoded(dialect.events("m", ["one ", "two"]))
    with pytest.raises(LookupError):
        dialect.streamed_text(stream[:-1])


@DIALECTS
def test_a_call_has_the_text_and_what_else_is_asked(dialect: Any) -> None:
    """The model, the text and the members."""
    call = orjson.loads(dialect.request("m", "hello", stream=True))
    assert (call["model"], call["stream"]) == ("m", True)
    assert "hello" in str(call)
