"""Which pairs there are, and what holds for every one of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT, COMPACTION, MODEL_CALLS, RERANK, RESPONSE, SPEECH
from gateway.endpoints.gemini_catalogue import MODEL
from gateway.endpoints.openai_paths import find_openai_path
from gateway.endpoints.realtime import REALTIME
from gateway.errors import InvalidBody, InvalidJson, UnsupportedParameter, UpstreamBadReply
from gateway.model import Dialect, Endpoint, RerankApi
from gateway.translate import (
    rerank_relay,
    rerank_to_cohere,
    rerank_to_nemo,
    rerank_to_tei,
    rerank_to_vertex,
    responses_to_chat,
    responses_to_converse,
    responses_to_gemini,
    responses_to_messages,
)
from gateway.translate.pair import Pair
from gateway.translate.registry import PAIRS, can_answer, find_pair, pair_of
from tests.rig.examples import examples
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of, spoilt
from tests.unit.translate.ways import (
    RECORDINGS,
    STARTED_AT_NS,
    WAYS,
    Way,
    event_of,
    outcome,
    recorded_streams,
    replies,
    run,
    said_in,
    streams,
)
from tests.unit.translate.ways import requests as known_calls

WORDS: Final = (
    "messages", "input", "content", "type", "text", "tool_calls", "tools", "choices", "delta", "output",
    "usage", "error", "message", "role", "user", "index", "stop_reason", "finish_reason", "response",
    "candidates", "parts", "functionCall", "finishReason", "usageMetadata", "promptFeedback",
    "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "toolUse", "reasoningContent",
)  # fmt: skip


def test_same_dialect_is_always_possible() -> None:
    """Whatever can be asked can be asked of a target that speaks the same."""
    for endpoint in MODEL_CALLS:
        target = make_target(dialect=endpoint.dialect)
        assert pair_of(endpoint, target) is PAIRS[endpoint.name, endpoint.dialect]


SOUND = find_openai_path("/audio/transcriptions")
assert SOUND is not None


@pytest.mark.parametrize(
    ("endpoint", "changes", "can"),
    [
        (CHAT, {"dialect": "anthropic"}, True),
        (CHAT, {"dialect": "nomic"}, False),
        (RESPONSE, {"has_responses": False}, True),
        (COMPACTION, {"has_responses": False}, False),
        (SPEECH, {}, True),
        (SPEECH, {"dialect": "gemini"}, False),
        (SOUND, {}, True),
        (SOUND, {"dialect": "anthropic"}, False),
        (REALTIME, {}, True),
        (REALTIME, {"dialect": "gemini"}, False),
        (MODEL, {"dialect": "gemini"}, True),
    ],
)
def test_who_can_answer(endpoint: Endpoint, changes: dict[str, Any], *, can: bool) -> None:
    """Of calls who has a pair; of what is passed on as it is, who speaks the same."""
    assert can_answer(endpoint, make_target(**changes)) is can


@pytest.mark.parametrize(
    ("dialect", "pair"),
    [
        ("openai", responses_to_chat),
        ("anthropic", responses_to_messages),
        ("gemini", responses_to_gemini),
        ("converse", responses_to_converse),
    ],
)
def test_targets_without_a_responses_api(dialect: Dialect, pair: Pair) -> None:
    """Creating a response is put into other words; the paths below it cannot be."""
    target = make_target(dialect=dialect, has_responses=False)
    assert pair_of(RESPONSE, target) is pair
    with pytest.raises(UnsupportedParameter, match="does not answer /v1/responses/compact"):
        pair_of(COMPACTION, target)


@pytest.mark.parametrize(
    ("dialect", "api", "pair"),
    [
        ("openai", "", rerank_relay),
        ("openai", "tei", rerank_to_tei),
        ("openai", "nemo", rerank_to_nemo),
        ("gemini", "vertex", rerank_to_vertex),
        ("cohere", "", rerank_to_cohere),
    ],
)
def test_servers_that_rank(dialect: Dialect, api: RerankApi, pair: Pair) -> None:
    """Each in its own words; what else it answers is of its dialect."""
    target = make_target(dialect=dialect, rerank_api=api)
    assert pair_of(RERANK, target) is pair
    assert find_pair(RERANK, target) is pair
    if dialect == "openai":
        assert pair_of(CHAT, target) is PAIRS["chat", "openai"]


def test_what_no_target_of_a_dialect_can_do() -> None:
    """The refusal names the model and the path, and says what to do."""
    endpoint = dataclasses.replace(CHAT, name="poem", route="/v1/poems")
    with pytest.raises(UnsupportedParameter, match="acct/small does not answer /v1/poems") as caught:
        pair_of(endpoint, make_target())
    assert caught.value.param == "model"


# -- what holds for every pair, also for those to come


STREAMED: Final = [way for way in WAYS if way.endpoint.can_stream]
EVERY_WAY: Final = pytest.mark.parametrize("way", WAYS, ids=str)
# One way for each pair and shape: what takes minutes is not done twice.
READERS: Final = list({(way.pair, way.shape): way for way in reversed(STREAMED)}.values())
EVERY_STREAM: Final = pytest.mark.parametrize("way", STREAMED, ids=str)
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
UNKNOWN: Final = st.dictionaries(st.sampled_from(["x_new", "x_newer", "x_other"]), JSON, max_size=3)
ASKED: Final = {"stream": True, "messages": [{"role": "user", "content": "hi"}], "input": "hi"}


def test_no_pair_is_forgotten() -> None:
    """The properties below are held against every row but relays of other APIs' own calls."""
    carried = {(way.endpoint.name, way.target.dialect) for way in WAYS}
    asked = {endpoint.name for endpoint in MODEL_CALLS}
    assert carried >= {row for row in PAIRS if row[0] in asked}


# Made once for each way, as each looks through all that it is made of when it is first drawn from.
@cache
def _calls(way: Way) -> st.SearchStrategy[Any]:
    return spoilt(known_calls(way.endpoint)) | json_of(*WORDS)


@cache
def _answers(way: Way) -> st.SearchStrategy[Any]:
    return spoilt(replies(way)) | json_of(*WORDS)


@cache
def _events(way: Way) -> st.SearchStrategy[list[Any]]:
    known = [said for events in streams(way.shape) for event in events for said in said_in(way.shape, event)]
    return st.lists(spoilt(known) | json_of(*WORDS), max_size=6)


@EVERY_STREAM
def test_any_cut(way: Way) -> None:
    """Wherever a stream is cut, in a letter too, the caller gets the same and the trace learns the same."""
    call = way.call(ASKED)
    for events in streams(way.shape):
        body = b"".join(events)
        told, whole = run(way, call, [body])
        assert told
        # A hundred places of a long one, as one shape has 64 of them; below it is cut at all at once.
        for at in range(0, len(body), max(7, len(body) // 100 | 1)):
            again, stream = run(way, call, [body[:at], body[at:]])
            assert again == told
            assert outcome(stream) == outcome(whole)
        single, _ = run(way, call, [body[at : at + 1] for at in range(len(body))])
        assert single == told


@pytest.mark.long
@requires("recordings")
@pytest.mark.parametrize("way", [way for way in READERS if way.shape in RECORDINGS], ids=str)
def test_every_cut_of_recorded_streams(way: Way, recordings: Path) -> None:
    """The same for real streams, cut at each of their bytes."""
    call = way.call(ASKED)
    found = recorded_streams(recordings, way.shape)
    assert found
    for item in found:
        told, whole = run(way, call, [item.body])
        expected = outcome(whole)
        for at in range(1, len(item.body)):
            again, stream = run(way, call, [item.body[:at], item.body[at:]])
            assert again == told, f"{item.name} at {at}"
            assert outcome(stream) == expected, f"{item.name} at {at}"


@EVERY_STREAM
def test_a_stream_without_its_end_is_not_whole(way: Way) -> None:
    """However far it comes, short of its last event that matters it is not taken for a whole one."""
    call = way.call(ASKED)
    for events in streams(way.shape):
        for count in range(len(events)):
            _, stream = run(way, call, events[:count])
            rest = run(way, call, events)[1]
            if stream.is_complete:
                # What follows are words about it: usage, an end marker.
                assert rest.is_complete
                assert stream.facts().finish_reasons == rest.facts().finish_reasons


@EVERY_WAY
def test_known_calls_are_written(way: Way) -> None:
    """Some at least: what is below would else be held against refusals alone."""
    written = []
    for members in known_calls(way.endpoint):
        with suppress(UnsupportedParameter, InvalidBody):
            written.append(way.pair.write(way.call(members), way.target))
    assert written


@EVERY_WAY
@settings(max_examples=examples(30))
@given(data=st.data())
def test_any_call_is_written_or_refused(way: Way, data: st.DataObject) -> None:
    """Whatever a body holds, known or not: JSON for the target, or an error of ours."""
    members = data.draw(_calls(way))
    if not isinstance(members, dict):
        return
    try:
        body, left_out = way.pair.write(way.call(members), way.target)
        path = way.pair.path(way.call(members), way.target)
    except (InvalidJson, InvalidBody, UnsupportedParameter):
        return
    assert json.loads(body).get("model") == way.target.model_id or way.target.model_id in path
    assert path.startswith("/")
    assert all(isinstance(name, str) for name in left_out)


@EVERY_WAY
@settings(max_examples=examples(30))
@given(data=st.data())
def test_any_reply_is_read_or_refused(way: Way, data: st.DataObject) -> None:
    """Whatever a target answers: JSON for the caller, or an error of ours."""
    value = data.draw(_answers(way))
    with contextlib.suppress(UpstreamBadReply):
        body, _ = way.pair.read(way.call(ASKED), json.dumps(value).encode(), started_at_ns=STARTED_AT_NS)
        assert isinstance(json.loads(body), dict)
    refusal = way.pair.read_error(data.draw(st.integers(400, 599)), json.dumps(value).encode())
    if refusal is not None:
        told = json.loads(refusal.body)
        # Google's own callers get an error in its list, where Google sent one.
        is_listed = way.is_relay and isinstance(told, list)
        assert isinstance(told[0] if is_listed else told, dict)


@EVERY_STREAM
@settings(max_examples=examples(30))
@given(data=st.data())
def test_any_stream_is_told_or_refused(way: Way, data: st.DataObject) -> None:
    """Whatever events a target sends, cut anywhere: whole events for the caller, or an error of ours."""
    values = data.draw(_events(way))
    body = b"".join([event_of(way.shape, value) for value in values])
    cut = data.draw(st.integers(0, len(body)))
    try:
        told, stream = run(way, way.call(ASKED), [body[:cut], body[cut:]])
    except UpstreamBadReply:
        return
    assert told == b"" or told.endswith(b"\n\n")
    stream.facts()


@pytest.mark.parametrize("way", [way for way in WAYS if way.is_relay], ids=str)
@settings(max_examples=examples(30))
@given(members=UNKNOWN)
def test_what_is_not_known_passes(way: Way, members: dict[str, Any]) -> None:
    """The same dialect on both sides: what nobody knows reaches the target, and comes back, as it is."""
    asked = {**ASKED, "stream": way.endpoint.can_stream, **members}
    body, left_out = way.pair.write(way.call(asked), way.target)
    sent = json.loads(body)
    sent.pop("stream_options", None)
    named = {} if way.endpoint.dialect == "gemini" else {"model": way.target.model_id}
    assert same(sent, {**json.loads(json.dumps(asked)), **named})
    assert left_out == ()
    reply = json.dumps({**replies(way)[0], **members}).encode()
    assert way.pair.read(way.call(ASKED), reply, started_at_ns=STARTED_AT_NS)[0] == reply
    if not way.endpoint.can_stream:
        return
    first, *rest = streams(way.shape)[0]
    name, mark, text = first.rpartition(b"data: ")
    event = name + mark + json.dumps({**json.loads(text), **members}).encode() + b"\n\n"
    told, _ = run(way, way.call({**ASKED, "stream_options": {"include_usage": True}}), [event, *rest])
    assert told == event + b"".join(rest)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON; what is no number is equal to itself here."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
