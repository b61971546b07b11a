"""What the tests of both streams into responses share: every cut, random JSON, recorded traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import GatewayError
from gateway.translate.pair import Pair, ReplyStream
from tests.golden.responses_cases import STARTED_AT_NS, make_responses_call

CALL: Final = make_responses_call(
    model="a/b", input="hi", stream=True, tools=[{"type": "custom", "name": "apply_patch"}]
)


# A strategy looks through all that it is made of when it is first drawn from: 5 ms of this one.
@cache
def json_of(*words: str) -> st.SearchStrategy[Any]:
    """Random JSON in which members and texts are now and then *words*, so that it gets deep into a reader."""
    texts = st.sampled_from(words) | st.text(max_size=4) | st.sampled_from(["\ud83d", "1"])
    scalars = st.none() | st.booleans() | st.integers(-2, 1 << 70) | st.floats() | texts
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=6),
        max_leaves=25,
    )


VALUES: Final = st.sampled_from(
    [None, True, -1, 1.5, 1 << 70, "", "x", "\ud83d", [], [1], ["x"], {}, {"type": "x"}]
)
"""What a member may be instead of what it should be."""


@st.composite
def spoilt(draw: st.DrawFn, values: list[Any]) -> Any:
    """One of *values* with something in it replaced, at any depth."""
    value = draw(st.sampled_from(values))
    paths = list(_paths(value))
    return _replaced(value, draw(st.sampled_from(paths)), draw(VALUES))


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from ((step, *path) for path in _paths(inner))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    inner = _replaced(value[path[0]], path[1:], new)
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [*value[: path[0]], inner, *value[path[0] + 1 :]]


def run(pair: Pair, pieces: list[bytes]) -> tuple[bytes, ReplyStream]:
    """What a stream that comes in *pieces* becomes."""
    stream = pair.open_stream(CALL, started_at_ns=STARTED_AT_NS)
    told = b"".join([stream.feed(piece) for piece in pieces])
    return told + stream.finish(), stream


def facts_of(stream: ReplyStream) -> ReplyFacts:
    """What was learned of a stream whose tokens are always counted."""
    facts = stream.facts()
    assert isinstance(facts, ReplyFacts)
    return facts


def outcome(stream: ReplyStream) -> tuple[ReplyFacts, bool, bool, bool, bool, bytes]:
    """Everything that the rest of the gateway reads of a stream."""
    seen = stream.is_complete, stream.has_ended, stream.has_data, stream.has_content
    return facts_of(stream), *seen, stream.failure


def try_stream(pair: Pair, events: list[Any]) -> bytes | GatewayError:
    """A stream of these values; an error of ours is an outcome too."""
    body = b"".join([b"data: " + json.dumps(event).encode() + b"\n\n" for event in events])
    try:
        return run(pair, [body])[0]
    except GatewayError as error:
        return error


def try_reply(pair: Pair, value: Any) -> bytes | GatewayError:
    """A whole reply of this value; an error of ours is an outcome too."""
    try:
        return pair.read(CALL, json.dumps(value).encode(), started_at_ns=STARTED_AT_NS)[0]
    except GatewayError as error:
        return error
