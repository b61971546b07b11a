"""What a stream of JSON lines used, by what passes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.passing_lines import PassingLines
from gateway.endpoints.passing_stream import PASSING
from gateway.model import Usage
from gateway.wire.sse import MAX_EVENT_BYTES

ASKED_BYTES = 400
GUESSED_INPUT = 100


def looking() -> PassingLines:
    return PassingLines("openai", ASKED_BYTES)


def line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"


def say(text: str, **more: Any) -> bytes:
    return line(model="m-1", message={"role": "assistant", "content": text, **more}, done=False)


LAST = line(
    model="m-1",
    message={"role": "assistant", "content": ""},
    done=True,
    done_reason="stop",
    prompt_eval_count=7,
    eval_count=5,
)
CHAT = (say("a"), say("b", thinking="c"), say("d"), LAST)
GENERATED = (
    line(model="m-1", response="a", done=False),
    line(model="m-1", response="", done=True, prompt_eval_count=7, eval_count=5),
)


COHERE = (
    line(is_finished=False, event_type="stream-start", generation_id="g"),
    *(line(is_finished=False, event_type="text-generation", text="abcd" * 5) for _ in range(3)),
    line(
        is_finished=True,
        event_type="stream-end",
        response={"text": "abcd" * 15, "meta": {"tokens": {"input_tokens": 7, "output_tokens": 5}}},
    ),
)


@pytest.mark.parametrize(
    "kind",
    [b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/stream+json"],
)
def test_is_known_by_its_media_type(kind: bytes) -> None:
    """All names of it are looked at so."""
    assert PASSING[kind] is PassingLines


@pytest.mark.parametrize("lines", [CHAT, GENERATED], ids=["chat", "generate"])
def test_whole(lines: tuple[bytes, ...]) -> None:
    """What the provider counted, and of which model it is."""
    passing = looking()
    for each in lines:
        passing.see(each)
    passing.end()
    facts = passing.facts()
    assert (facts.response_model, facts.usage) == ("m-1", Usage(7, 5, "provider"))


def test_older_chat_of_cohere() -> None:
    """Its last line tells the whole answer once more, and what was counted."""
    passing = looking()
    passing.see(b"".join(COHERE[:-1]))
    assert passing.facts().usage == Usage(GUESSED_INPUT, 15, "partial")
    passing.see(COHERE[-1])
    assert passing.facts().usage == Usage(7, 5, "provider")


@given(data=st.data())
def test_in_pieces(data: st.DataObject) -> None:
    """However a stream is cut, and wherever it breaks off, it tells the same."""
    whole = b"".join(CHAT)
    whole = whole[: data.draw(st.integers(0, len(whole)))]
    together, apart = looking(), looking()
    together.see(whole)
    at = 0
    while at < len(whole):
        step = data.draw(st.sampled_from((1, 2, 3, 50, 500)))
        apart.see(whole[at : at + step])
        at += step
    assert apart.facts() == together.facts()
    together.end()
    apart.end()
    assert apart.facts() == together.facts()


@pytest.mark.parametrize(
    ("lines", "output_tokens"),
    [
        ((), 0),
        (CHAT[:2], 2),
        ((say("x" * 40), say("", thinking="y" * 40)), 20),
        ((say("\u00e9" * 40),), 20),
        ((line(model="m-1", response="x" * 40, done=False),), 10),
        # As JSON, with the name and all that stands around it.
        ((say("", tool_calls=[{"function": {"name": "a", "arguments": {"b": "x" * 4000}}}]),), 1012),
        ((say("", tool_calls=[]), say("", tool_calls=None)), 2),
        ((line(model="m-1", message=5, response=[], done=False),), 1),
    ],
)
def test_broken_off(lines: tuple[bytes, ...], output_tokens: int) -> None:
    """The text that came, and a token at least for each line."""
    passing = looking()
    passing.see(b"".join(lines) + b'{"model"')
    assert passing.facts().usage == Usage(GUESSED_INPUT, output_tokens, "partial")


def test_left_after_the_last_line() -> None:
    """Who leaves when all was told has had the whole stream."""
    passing = looking()
    passing.see(b"".join(CHAT))
    assert passing.facts().usage == Usage(7, 5, "provider")


def test_last_line_without_an_end() -> None:
    """The end of the stream is the end of the line."""
    passing = looking()
    passing.see(b"".join(CHAT).rstrip())
    passing.end()
    assert passing.facts().usage == Usage(7, 5, "provider")


def test_usage_by_its_name() -> None:
    """Other servers tell it as OpenAI does."""
    passing = looking()
    passing.see(say("a") + line(model="m-1", usage={"prompt_tokens": 7, "completion_tokens": 5}))
    passing.end()
    assert passing.facts().usage == Usage(7, 5, "provider")


def test_failure() -> None:
    """A stream with an error in it is not whole, even if it has ended."""
    passing = looking()
    passing.see(say("a") + line(error="out of memory"))
    passing.end()
    assert passing.facts().usage == Usage(GUESSED_INPUT, 2, "partial")


@pytest.mark.parametrize("last", [{"status": "success"}, {"error": "no such model"}], ids=["good", "failed"])
def test_errands(last: dict[str, str]) -> None:
    """Fetching a model uses none of it."""
    passing = looking()
    passing.see(
        line(status="pulling manifest") + line(status="downloading", total=9, completed=3) + line(**last)
    )
    assert passing.facts().usage is None
    passing.end()
    assert passing.facts().usage is None


def test_too_long_a_line() -> None:
    """It is not held, and counts as media do; what follows it is looked at again."""
    passing = looking()
    for _ in range(9):
        passing.see(b"x" * (1024 * 1024))
        assert len(passing._held) <= MAX_EVENT_BYTES  # what is to be bounded has no other sign
    assert passing.facts().usage == Usage(GUESSED_INPUT, 9 * 1024 * 1024 // 500, "partial")
    passing.see(b"\n" + LAST)
    passing.end()
    assert passing.facts().usage == Usage(7, 5, "provider")


@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from(
                [b"\n", b"\r\n", b"{", b"null\n", b"[1]\n", b'{"done":true}\n', *CHAT, *GENERATED]
            ),
            st.binary(max_size=20),
        )
    ),
    is_ended=st.booleans(),
)
def test_nothing_is_raised(pieces: list[bytes], *, is_ended: bool) -> None:
    """Whatever comes, there is an answer in the end."""
    passing = looking()
    for piece in pieces:
        passing.see(piece)
    if is_ended:
        passing.end()
    usage = passing.facts().usage
    assert usage is None or usage.source in {"provider", "partial", "estimated"}
