"""Streams of generateContent while they are read, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.gemini_stream import GeneratedFacts, GeneratedSplitter, GeneratedStreamReader
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import MAX_EVENT_BYTES, read_events
from tests.golden.gemini_answers import EXHAUSTED, REPLIES, TEXT, answer, candidate, event, events
from tests.rig.requires import requires
from tests.unit.recorded import recorded_of_gemini

WHOLE: Final = b"".join(events(REPLIES["tools"]))


def relay(pieces: list[bytes]) -> tuple[bytes, GeneratedStreamReader]:
    stream = GeneratedStreamReader(asked_bytes=400)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def test_whole_stream() -> None:
    """Every byte passes; ids, reasons and the last usage are learned."""
    passed, stream = relay([WHOLE])
    facts = stream.facts()
    assert passed == WHOLE
    assert (stream.is_complete, stream.has_ended, stream.failure) == (True, True, b"")
    assert stream.is_said
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("r-1", "gemini-x", ("STOP",))
    assert (facts.usage.input_tokens, facts.usage.output_tokens, facts.usage.source) == (240, 12, "provider")


@given(st.lists(st.integers(0, 4000)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever it is cut, in a letter too, the same bytes pass and the same is learned."""
    edges = [0, *sorted(min(cut, len(WHOLE)) for cut in cuts), len(WHOLE)]
    passed, stream = relay([WHOLE[a:b] for a, b in pairwise(edges)])
    assert passed == WHOLE
    assert stream.facts() == relay([WHOLE])[1].facts()
    assert stream.is_complete


def test_nothing_is_over_before_the_stream_is() -> None:
    """Some models give a reason to end with every piece."""
    stream = GeneratedStreamReader(asked_bytes=0)
    stream.feed(event(answer(candidate(TEXT))))
    assert (stream.has_ended, stream.is_complete) == (False, False)
    stream.feed(event(answer(candidate(TEXT))))
    stream.finish()
    assert (stream.has_ended, stream.is_complete) == (True, True)


@pytest.mark.parametrize("missing", [1, 3, len(event(answer(candidate()))) + 9])
def test_a_cut_stream_is_not_whole(missing: int) -> None:
    """Not without its last event, nor within it; the usage is partial then."""
    stream = relay([WHOLE[: -len(events(REPLIES["tools"])[-1]) - missing]])[1]
    assert not stream.is_complete
    assert stream.facts().usage.source == "partial"


def test_half_an_event_at_the_end() -> None:
    """What hangs on after the last reason is the beginning of something."""
    passed, stream = relay([WHOLE, b"data: {"])
    assert (passed, stream.is_complete) == (WHOLE, False)


def test_as_many_answers_as_were_asked_for() -> None:
    """One of two is half of it, and one that has begun must end."""
    facts = GeneratedFacts(0, choices=2)
    facts.learn(answer(candidate(TEXT, index=0)), b"")
    assert not facts.is_finished
    facts.learn({"candidates": [{"index": 1, "content": {"parts": [TEXT]}}]}, b"")
    assert not facts.is_finished
    facts.learn(answer(candidate(index=1)), b"")
    assert facts.is_finished


def test_a_refused_prompt_is_whole() -> None:
    """There is no answer to wait for."""
    stream = relay(events(REPLIES["blocked"]))[1]
    assert (stream.is_complete, stream.has_content) == (True, True)
    assert stream.facts().finish_reasons == ("PROHIBITED_CONTENT",)


@pytest.mark.parametrize("error", [EXHAUSTED, [EXHAUSTED]])
def test_nothing_follows_an_error(error: Any) -> None:
    """It passes, and what comes after it does not."""
    first = events(REPLIES["text"])[0]
    passed, stream = relay([first, event(error) + b": bye\n\n", WHOLE])
    assert passed == first + event(error)
    assert json.loads(stream.failure) == error
    assert (stream.has_ended, stream.is_complete) == (True, False)


BARE: Final = json.dumps(EXHAUSTED, indent=2).encode()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_an_error_that_is_no_event(end: bytes, *, is_whole: bool) -> None:
    """As Google's own SDKs expect it as well: line by line, as it would have come alone."""
    first = events(REPLIES["text"])[0]
    sent = first + BARE + end
    passed, stream = relay([sent] if is_whole else [bytes([byte]) for byte in sent])
    assert passed.rstrip() == first + BARE
    assert json.loads(stream.failure) == EXHAUSTED
    assert (stream.has_ended, stream.is_complete) == (True, False)
    splitter = GeneratedSplitter()
    pieces = [sent] if is_whole else [bytes([byte]) for byte in sent]
    datas = [data for piece in pieces for data in splitter.feed(piece)] + splitter.finish()
    assert [json.loads(data) for data in datas] == [json.loads(first[6:]), EXHAUSTED]
    assert splitter.tail.strip() == b""


@pytest.mark.parametrize("said", [b"{}", b'{"error": {"code": 429', b"{half", b"id: {", b'[{"a": 1}]'])
def test_what_is_no_error_either(said: bytes) -> None:
    """It is nothing that the stream says."""
    first = events(REPLIES["text"])[0]
    splitter = GeneratedSplitter()
    assert [*splitter.feed(first + said + b"\n\n" + first), *splitter.finish()] == [first[6:-4]] * 2
    assert relay([first + said])[1].failure == b""


@pytest.mark.parametrize("blank", [b"\n", b"\r\n", b" \n\n"], ids=repr)
def test_blank_lines_without_end(blank: bytes) -> None:
    """They are nothing, and looking through a megabyte of them takes no minutes."""
    first = events(REPLIES["text"])[0]
    splitter = GeneratedSplitter()
    assert splitter.feed(first + blank * 300_000 + b"\n" + first) == [first[6:-4]] * 2


@pytest.mark.parametrize(
    ("parts", "has_content"),
    [
        ([{"text": ""}], False),
        ([{"text": "", "thoughtSignature": "c2ln"}], False),
        ([], False),
        ([{"text": "a"}], True),
        ([{"text": "a", "thought": True}], True),
        ([{"functionCall": {"name": "x"}}], True),
        ([{"inlineData": {"data": "x"}}], True),
    ],
)
def test_held_back_until_content(parts: list[dict[str, Any]], *, has_content: bool) -> None:
    """So that another target may still be asked."""
    stream = GeneratedStreamReader(asked_bytes=0)
    stream.feed(event({"candidates": [{"content": {"parts": parts}}]}))
    assert (stream.has_data, stream.has_content) == (True, has_content)


def test_output_of_a_stream_that_was_cut() -> None:
    """Google often counts the answer only in the last event, the prompt in all: what came counts."""
    facts = GeneratedFacts(400)
    said = {"candidates": [{"content": {"parts": [{"text": "a" * 80}]}}]}
    facts.learn({**said, "usageMetadata": {"promptTokenCount": 15, "totalTokenCount": 15}}, b"")
    assert facts.facts(is_complete=False).usage == Usage(15, 20, "partial")
    assert facts.facts(is_complete=True).usage == Usage(15, 0, "provider")
    facts.learn({"usageMetadata": {"candidatesTokenCount": 33, "totalTokenCount": 48}}, b"")
    assert facts.facts(is_complete=False).usage == Usage(15, 33, "partial")


def test_estimate_where_nothing_is_counted() -> None:
    """By the letters that came; an event is a token at least."""
    facts = GeneratedFacts(400)
    facts.learn({"candidates": [{"content": {"parts": [{"text": "a" * 80}]}}]}, b"")
    assert facts.facts(is_complete=False).usage == Usage(100, 20, "partial")
    for _ in range(29):
        facts.learn({"candidates": [{"content": {"parts": [{"text": ""}]}}]}, b"")
    assert facts.facts(is_complete=True).usage == Usage(100, 30, "estimated")


@pytest.mark.parametrize(("counted", "expected"), [({}, 20), ({"candidatesTokenCount": 30}, 30)])
def test_what_came_of_a_cut_stream(counted: dict[str, int], expected: int) -> None:
    """Its answer was paid for, counted yet or not."""
    facts = GeneratedFacts(400)
    usage = {"promptTokenCount": 7, "totalTokenCount": 7, **counted}
    said = {"candidates": [{"content": {"parts": [{"text": "a" * 80}]}}], "usageMetadata": usage}
    facts.learn(said, b"")
    assert facts.facts(is_complete=False).usage == Usage(7, expected, "partial")


def test_what_cannot_be_read_ends_the_stream() -> None:
    """The reply has a hole there."""
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        relay([b"data: {x\r\n\r\n" + WHOLE])


def test_what_says_nothing_passes() -> None:
    """The client's parser decides; comments, numbers and OpenAI's end marker are no harm."""
    odd = b": hi\r\n\r\ndata: 7\r\n\r\ndata:\r\n\r\ndata: [DONE]\r\n\r\n"
    passed, stream = relay([odd + WHOLE])
    assert passed == odd + WHOLE
    assert stream.is_complete


def test_an_event_without_end() -> None:
    """It is no stream of tokens."""
    stream = GeneratedStreamReader(asked_bytes=0)
    with pytest.raises(UpstreamBadReply):
        stream.feed(b"data: " + b"x" * (MAX_EVENT_BYTES + 1))


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Every recorded one is complete, passes unchanged, and counts what its last event says."""
    seen = 0
    for item in recorded_of_gemini(recordings, is_stream=True):
        passed, stream = relay([item.body])
        assert (passed, stream.is_complete) == (item.body, True), item.name
        last = json.loads(list(read_events(item.body))[-1])["usageMetadata"]
        usage = stream.facts().usage
        if "totalTokenCount" in last:
            total = (usage.input_tokens or 0) + (usage.output_tokens or 0)
            assert total == last["totalTokenCount"], item.name
        seen += 1
    assert seen >= 13
