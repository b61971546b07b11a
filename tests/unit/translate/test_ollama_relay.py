"""OpenAI to Ollama: calls of tools are numbered, all else passes as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.catalogue import CHAT, COMPLETION
from gateway.endpoints.openai_stream import StreamReader
from gateway.model import Quirks
from gateway.translate import ollama_relay, openai_relay
from gateway.translate.ollama_relay import MAX_CALLS
from gateway.translate.registry import find_pair, pair_of
from tests.unit.makers import make_call, make_target

TEXT = b'data: {"id":"c", "choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
END = b'data: {"id":"c", "choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def piece(*calls: tuple[int | None, str]) -> bytes:
    """An event with these calls, by index and id."""
    told = [
        {"id": call_id, "function": {"name": "f", "arguments": '{"a": "ü"}'}}
        | ({} if index is None else {"index": index})
        for index, call_id in calls
    ]
    body = {"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": told}}], "more": 1.50}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def numbers(events: bytes) -> list[tuple[Any, str]]:
    """Of the calls in *events*: index and id."""
    bodies = [json.loads(line[6:]) for line in events.splitlines() if line.startswith(b"data: {")]
    return [
        (call["index"], call["id"])
        for body in bodies
        for choice in body["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]


def sizes(stream: StreamReader) -> set[int]:
    """Of all that *stream* remembers of calls."""
    assert isinstance(stream, ollama_relay._NumberedCalls)
    return {len(kept) for kept in (stream._numbers, stream._current, stream._taken)}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param([[(0, "a")], [(0, "b")], [(0, "c")]], [(0, "a"), (1, "b"), (2, "c")], id="all the same"),
        pytest.param([[(0, "a"), (0, "b")]], [(0, "a"), (1, "b")], id="in one event"),
        pytest.param([[(0, "a")], [(0, "b")], [(1, "c")]], [(0, "a"), (1, "b"), (2, "c")], id="half right"),
        pytest.param([[(None, "a")], [(None, "b")]], [(0, "a"), (1, "b")], id="none, as of old"),
        pytest.param([[(0, "a")], [(0, "")], [(0, "b")], [(0, "")]], None, id="in pieces"),
    ],
)
def test_calls_get_numbers_of_their_own(
    pieces: list[list[tuple[int | None, str]]], expected: list[tuple[int, str]] | None
) -> None:
    """Those of different ids; a piece without one goes on with the call before it."""
    stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
    told = b"".join(stream.feed(piece(*calls)) for calls in pieces) + stream.feed(END + DONE)
    assert numbers(told) == (expected or [(0, "a"), (0, ""), (1, "b"), (1, "")])
    assert told.endswith(END + DONE)
    assert b'"more":1.5' in told
    assert stream.is_complete
    assert stream.facts().finish_reasons == ("tool_calls",)


@pytest.mark.parametrize("in_one", [True, False], ids=["in one event", "in many"])
def test_calls_without_an_end(*, in_one: bool) -> None:
    """What is remembered of a stream has a bound: what is above it has the number that its server gave it."""
    stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
    calls: list[tuple[int | None, str]] = [(0, f"id{number}") for number in range(MAX_CALLS + 50)]
    events = [calls] if in_one else [[call] for call in calls]
    told = numbers(b"".join(stream.feed(piece(*event)) for event in events))
    assert [number for number, _ in told] == [*range(MAX_CALLS), *[0] * 50]
    # Pieces of what is above it are no pieces of the last that was told apart; that goes on as it was.
    assert numbers(stream.feed(piece((0, "")) + piece((0, "id7"), (0, "")))) == [(0, ""), (7, "id7"), (7, "")]
    assert sizes(stream) == {MAX_CALLS, 1}


def test_one_call_by_numbers_without_an_end() -> None:
    """The numbers of a server that has others for each piece are not all remembered either."""
    stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
    told = numbers(b"".join(stream.feed(piece((number, "a"))) for number in range(MAX_CALLS + 50)))
    assert [number for number, _ in told] == [*[0] * (MAX_CALLS + 1), *range(MAX_CALLS + 1, MAX_CALLS + 50)]
    assert sizes(stream) == {MAX_CALLS, 1}


@pytest.mark.parametrize("calls", [[(0, "a")], [(0, "a"), (1, "b")], [(2, "a"), (7, "b")]])
def test_what_is_right_passes_as_it_is(calls: list[tuple[int | None, str]]) -> None:
    """Byte for byte, cut anywhere."""
    whole = TEXT + b"".join(piece(call) for call in calls) + piece(*calls) + END + DONE
    for size in (1, 7, len(whole)):
        stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
        told = b"".join(stream.feed(whole[at : at + size]) for at in range(0, len(whole), size))
        assert told + stream.finish() == whole


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"id":"c","choices":[{"delta":{"content":"say \\"tool_calls\\""}}]}\n\n',
        b'data: {"id":"c","choices":[{"delta":{"tool_calls":null}},7]}\n\n',
        b'data: {"id":"c","choices":{"tool_calls":[1]}}\n\n',
        b': "tool_calls"\n\n',
    ],
)
def test_what_is_no_call_passes_as_it_is(event: bytes) -> None:
    """Words, and what nobody knows."""
    stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
    assert stream.feed(TEXT + event) == TEXT + event


def test_the_last_event_without_its_blank_line() -> None:
    """Is numbered too."""
    stream = ollama_relay.open_stream(make_call(stream=True), started_at_ns=0)
    told = stream.feed(piece((0, "a")) + piece((0, "b")).rstrip(b"\n") + b"\n")
    assert numbers(told + stream.finish()) == [(0, "a"), (1, "b")]


def test_only_of_servers_that_do_so() -> None:
    """The streams of others are not looked at; all but streams is as ever."""
    ollama = make_target(quirks={"chat": Quirks(repeats_index=True)})
    assert find_pair(CHAT, ollama) is pair_of(CHAT, ollama) is ollama_relay
    assert pair_of(COMPLETION, ollama) is openai_relay
    assert (
        pair_of(CHAT, make_target(quirks={"chat": Quirks()})) is pair_of(CHAT, make_target()) is openai_relay
    )
    assert ollama_relay.read is openai_relay.read
    assert ollama_relay.write is openai_relay.write
