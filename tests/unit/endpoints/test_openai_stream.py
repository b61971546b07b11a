"""Reading a stream while it is relayed: any cut of the bytes gives the same bytes and facts."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.openai_reply import BYTES_PER_TOKEN, ReplyFacts
from gateway.endpoints.openai_stream import StreamReader
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import MAX_EVENT_BYTES
from tests.rig.examples import examples
from tests.rig.requires import requires
from tests.unit.recorded import OPENAI_SHAPED, read_recorded

USAGE: Final = {
    "prompt_tokens": 12,
    "completion_tokens": 34,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 6},
}
COUNTED: Final = Usage(12, 34, "provider", 5, 6)
DONE: Final = b"data: [DONE]\n\n"
ERROR: Final = {"error": {"message": "overloaded", "type": "server_error"}}


def chunk(content: str = "word", *, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return {"id": "chat-1", "model": "small-1", "choices": [choice], **more}


def usage_chunk() -> dict[str, Any]:
    return {"id": "chat-1", "model": "small-1", "choices": [], "usage": USAGE}


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def reader(*, choices: int = 1, hides_usage: bool = False) -> StreamReader:
    return StreamReader(asked_bytes=400, choices=choices, hides_usage=hides_usage)


def feed_all(stream: StreamReader, pieces: Iterable[bytes]) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces])


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def outcome(stream: StreamReader) -> tuple[ReplyFacts, bool, bool, bool, bool, bytes]:
    seen = stream.is_done, stream.has_data, stream.has_content
    facts = stream.facts()
    if facts.usage.source != "provider":
        # What was said is guessed from a sample, and which events are in it depends on how they come.
        usage = msgspec.structs.replace(facts.usage, output_tokens=None)
        facts = msgspec.structs.replace(facts, usage=usage)
    return facts, stream.is_complete, *seen, stream.failure


WHOLE: Final = event(chunk()) + event(chunk("", finish="stop")) + event(usage_chunk()) + DONE

# Lines of one event each, as providers write them; the line ends and the blank line come with the stream.
TEXTS = st.text(max_size=12) | st.sampled_from(
    ["data: x", "\ndata: y", "[DONE]", '"usage":{', "\r\n\r\n", "a\\"]
)
CHUNKS = st.builds(chunk, TEXTS) | st.builds(chunk, TEXTS, usage=st.none())
EVENTS = st.one_of(
    CHUNKS.map(lambda value: [b"data: " + json.dumps(value).encode()]),
    CHUNKS.map(lambda value: [b"data:" + json.dumps(value, ensure_ascii=False).encode()]),
    st.builds(chunk, TEXTS, finish=st.sampled_from(["stop", "length"]), index=st.integers(0, 1)).map(
        lambda value: [b"data: " + json.dumps(value).encode()]
    ),
    st.just([b"data: " + json.dumps(usage_chunk()).encode()]),
    st.just([b"data: " + json.dumps(chunk(usage=USAGE)).encode()]),
    st.just([b"data: " + json.dumps(ERROR).encode()]),
    # One value over several lines, other fields of the format, comments, data that is no object.
    st.just([b'data: {"id": "chat-1",', b'data:  "choices": []}']),
    st.just([b"event: message", b"id: 7", b'data: {"id": "chat-1"}']),
    st.just([b": keep-alive"]),
    st.just([b": comment", b'data: {"choices": null}']),
    st.just([b"retry: 100"]),
    st.just([b"data:"]),
    st.just([b"data: [1]"]),
    st.just([b" data: a field of another name"]),
    st.just([b"data: [DONE]"]),
)
LINE_ENDS = st.sampled_from([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n"]])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    ends = st.sampled_from(draw(LINE_ENDS))
    lines = [line for lines in draw(st.lists(EVENTS, max_size=8)) for line in (*lines, b"")]
    return b"".join([line + draw(ends) for line in lines])


@settings(max_examples=examples(300))
@given(body=streams(), hides_usage=st.booleans(), choices=st.integers(1, 2), data=st.data())
def test_any_cut_gives_the_same_bytes_and_facts(
    body: bytes, *, hides_usage: bool, choices: int, data: st.DataObject
) -> None:
    """However a stream is cut on its way, the client gets the same bytes and the trace the same facts."""
    whole = reader(choices=choices, hides_usage=hides_usage)
    expected = whole.feed(body) + whole.finish()
    pieces = cut(body, data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    for split in (pieces, [body[at : at + 1] for at in range(len(body))]):
        stream = reader(choices=choices, hides_usage=hides_usage)
        assert feed_all(stream, split) + stream.finish() == expected
        assert outcome(stream) == outcome(whole)


@given(streams(), st.lists(st.integers(0, 2000), max_size=8))
def test_bytes_pass_unchanged(body: bytes, cuts: list[int]) -> None:
    """What is not hidden and does not follow the end or an error passes byte for byte."""
    stream = reader()
    passed = feed_all(stream, cut(body, [at % (len(body) + 1) for at in cuts]))
    assert body.startswith(passed)
    if not stream.has_ended:
        assert passed == body


@given(streams(), LINE_ENDS, st.lists(st.integers(0, 2000), max_size=8))
def test_event_that_was_cut_is_found_in_any_cut(body: bytes, ends: list[bytes], cuts: list[int]) -> None:
    """What a reply has lost cannot be passed over, wherever in a stream that goes on it was."""
    broken = body + b"data: {malformed" + 2 * ends[0]
    stream = reader()
    pieces = cut(broken, [at % (len(broken) + 1) for at in cuts])
    with contextlib.suppress(UpstreamBadReply):
        feed_all(stream, pieces)
        assert stream.has_ended, "it passed"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends(line_end: bytes) -> None:
    """A stream is understood with each of the format's line ends."""
    body = WHOLE.replace(b"\n", line_end)
    stream = reader()
    assert stream.feed(body) == body
    assert outcome(stream) == (
        ReplyFacts("chat-1", "small-1", ("stop",), COUNTED),
        True,
        True,
        True,
        True,
        b"",
    )


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_value_over_several_lines(line_end: bytes) -> None:
    """The data lines of one event are one value."""
    lines = [
        b": c",
        b'data: {"id":"chat-1",',
        b'data: "model":"small-1",',
        b'data:"usage": {"prompt_tokens":1},',
    ]
    lines += [b"event: x", b'data: "choices":[{"finish_reason":"stop"}]}', b"", b""]
    body = line_end.join(lines)
    stream = reader()
    assert stream.feed(body) == body
    assert stream.facts() == ReplyFacts("chat-1", "small-1", ("stop",), Usage(1, None, "provider"))


@pytest.mark.parametrize(
    ("hides_usage", "passes"), [(True, False), (False, True)], ids=["not asked for", "asked for"]
)
def test_usage_chunk_is_hidden_from_who_did_not_ask(*, hides_usage: bool, passes: bool) -> None:
    """The chunk that carries nothing but usage is read, and shown only to a client that asked for it."""
    stream = reader(hides_usage=hides_usage)
    assert (event(usage_chunk()) in stream.feed(WHOLE)) is passes
    assert stream.facts().usage == COUNTED
    assert stream.is_complete


def test_usage_beside_content_is_never_hidden() -> None:
    """A chunk with a choice belongs to the client, whatever else it carries."""
    body = event(chunk("x", finish="stop", usage=USAGE)) + DONE
    stream = reader(hides_usage=True)
    assert stream.feed(body) == body
    assert stream.facts().usage == COUNTED


def test_zero_tokens_stay_zero() -> None:
    """A count of zero is the provider's, not an absent one."""
    stream = reader()
    stream.feed(event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}) + DONE)
    assert stream.facts().usage == Usage(3, 0, "provider")


@pytest.mark.parametrize(
    ("body", "is_complete", "is_done"),
    [
        pytest.param(WHOLE, True, True, id="whole"),
        pytest.param(event(chunk()) + DONE, True, True, id="end marker without a finish reason"),
        pytest.param(event(chunk(finish="stop")), True, False, id="finish reason without end marker"),
        pytest.param(event(chunk(finish="stop")) + b"\n", True, False, id="an empty line more"),
        pytest.param(event(chunk()), False, False, id="neither"),
        pytest.param(b"", False, False, id="nothing"),
        pytest.param(b": keep-alive\n\n", False, False, id="comments only"),
        pytest.param(event(chunk(finish="stop")) + b"data: {", False, False, id="cut in an event"),
        pytest.param(event(chunk()) + b"data: [DONE]", False, False, id="cut in the end marker's line"),
        pytest.param(event(ERROR), False, False, id="error"),
        pytest.param(event(chunk(finish="stop")) + event(ERROR), False, False, id="error after the finish"),
    ],
)
def test_what_is_complete(body: bytes, *, is_complete: bool, is_done: bool) -> None:
    """A stream is whole with its end marker, or with every choice finished and nothing half said."""
    stream = reader()
    stream.feed(body)
    assert (stream.is_complete, stream.is_done) == (is_complete, is_done)


def test_every_choice_must_finish() -> None:
    """Without end marker, two choices want two finish reasons, told in the choices' order."""
    stream = reader(choices=2)
    stream.feed(event(chunk(finish="length", index=1)))
    states = [stream.is_complete, stream.is_said]
    stream.feed(event(chunk(finish="stop", index=0)))
    assert [*states, stream.is_complete, stream.is_said] == [False, False, True, True]
    assert stream.facts().finish_reasons == ("stop", "length")


def test_choice_without_index_has_that_of_its_place() -> None:
    """Servers that leave the index out mean the order."""
    choices = [{"finish_reason": "stop"}, {"finish_reason": "length"}]
    stream = reader(choices=2)
    stream.feed(event({"choices": choices}))
    assert stream.facts().finish_reasons == ("stop", "length")


def test_event_waits_for_its_blank_line() -> None:
    """An event is one with the blank line that ends it: a client could do nothing with the half."""
    stream = reader()
    assert stream.feed(event(chunk()) + b"data: [DONE]\n") == event(chunk())
    assert not stream.has_ended
    assert stream.feed(b"\n") == DONE
    assert stream.has_ended


FINISH: Final = event(chunk(finish="stop"))


@pytest.mark.parametrize(
    ("body", "last", "is_complete"),
    [
        pytest.param(event(chunk()) + b"data: [DONE]\n", True, True, id="end marker, its line ended"),
        pytest.param(event(chunk()) + b"data: [DONE]", True, True, id="end marker, its line not ended"),
        pytest.param(FINISH[:-1], True, True, id="finish reason, its line ended"),
        pytest.param(FINISH[:-2], False, False, id="finish reason, its line not ended"),
        pytest.param(FINISH[:-9], False, False, id="half a line"),
        pytest.param(event(chunk()) + b"data: [DO", False, False, id="half an end marker"),
        pytest.param(FINISH, False, True, id="nothing left over"),
        pytest.param(event(ERROR)[:-1], True, False, id="error, its line ended"),
    ],
)
def test_end_without_the_last_blank_line(body: bytes, *, last: bool, is_complete: bool) -> None:
    """Servers may leave out the last blank line; a whole line is given with one, half a line never."""
    stream = reader()
    passed = stream.feed(body)
    rest = stream.finish()
    assert rest.endswith(b"\n\n") if last else rest == b""
    assert (passed + rest).startswith(body) is (last or is_complete)
    assert stream.is_complete is is_complete


@pytest.mark.parametrize(
    ("events", "has_content"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param([b": wait\n\n"], False, id="comment"),
        pytest.param([event({"id": "c", "choices": [{"delta": {"role": "assistant"}}]})], False, id="role"),
        pytest.param(
            [event({"id": "c", "choices": [{"delta": {"role": "assistant", "content": ""}}]})],
            False,
            id="role with empty content",
        ),
        pytest.param([event(usage_chunk())], False, id="usage"),
        pytest.param([event(ERROR)], False, id="error"),
        pytest.param([event(chunk("a"))], True, id="text"),
        pytest.param([event({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]})], True, id="tool call"),
        pytest.param([event({"choices": [{"text": "a"}]})], True, id="text of a completion"),
        pytest.param([event(chunk("", finish="stop"))], True, id="finish reason"),
        pytest.param([DONE], False, id="end marker alone"),
        pytest.param([b"data:\n\n"], False, id="nothing in an event"),
        pytest.param([b"data: [1]\n\n"], False, id="what is no object"),
        pytest.param([b"data: null\n\n"], False, id="null"),
        pytest.param([b'data: {"choices": 7}\n\n'], True, id="an object of another shape"),
        pytest.param([event(chunk("")), event(chunk("a"))], True, id="text in the second read"),
        pytest.param([event(chunk("")), b": wait\n\n", event(chunk("a"))], True, id="text in the third read"),
    ],
)
def test_when_the_reply_has_begun(events: list[bytes], *, has_content: bool) -> None:
    """A stream is held until there is something to lose: text, a tool call, an end; a role alone is none."""
    stream = reader()
    feed_all(stream, events)
    assert stream.has_content is has_content


@pytest.mark.parametrize("separate", [True, False], ids=["in reads of its own", "in one read"])
def test_nothing_follows_an_error(*, separate: bool) -> None:
    """After the provider's error event nothing passes, above all no end marker."""
    events = [event(chunk()), event(ERROR), event(chunk("more")), b": comment\n\n", DONE]
    stream = reader()
    passed = feed_all(stream, events if separate else [b"".join(events)])
    assert passed == event(chunk()) + event(ERROR)
    assert json.loads(stream.failure) == ERROR
    assert not stream.is_complete
    assert stream.facts().usage.source == "partial"


def test_error_that_is_null_is_none() -> None:
    """Some servers write `"error": null` in each chunk."""
    stream = reader()
    stream.feed(event(chunk(finish="stop", error=None)) + DONE)
    assert (stream.failure, stream.is_complete) == (b"", True)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"[1, 2]", id="no object"),
        pytest.param(b'{"choices": 7, "usage": {"prompt_tokens": 1}}', id="choices of another type"),
    ],
)
def test_event_of_another_shape_passes(data: bytes) -> None:
    """It is the client's to judge; the stream goes on."""
    body = event(chunk()) + b"data: " + data + b"\n\n" + event(chunk(finish="stop")) + DONE
    stream = reader()
    assert feed_all(stream, [body[:40], body[40:]]) == body
    assert stream.is_complete


@pytest.mark.parametrize("before", [b"", event(chunk())], ids=["at first", "after content"])
def test_an_error_in_a_list(before: bytes) -> None:
    """As Google writes errors: no client reads it, so an end marker after it would make a reply of it."""
    stream = reader()
    stream.feed(before)
    with pytest.raises(UpstreamBadReply):
        stream.feed(b'data: [{"error": {"message": "busy"}}]\n\n' + DONE)
    assert not stream.is_complete


@pytest.mark.parametrize("before", [b"", event(chunk())], ids=["at first", "after content"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"{malformed", id="not JSON"),
        pytest.param(b'{"finish_reason": "\xff", "id": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"finish_reason":"' + b"[" * 50_000, id="long"),
        pytest.param(b'{"error":' + b"[" * 100_000, id="nested without end"),
    ],
)
def test_event_that_is_no_json_ends_the_stream(before: bytes, data: bytes) -> None:
    """The reply has a hole there, which must not look like an answer."""
    stream = reader()
    stream.feed(before)
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        stream.feed(b"data: " + data + b"\n\n")


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
@pytest.mark.parametrize("before", [b"", event(chunk())], ids=["at first", "after content"])
def test_reply_that_its_provider_could_not_finish(before: bytes, reason: str) -> None:
    """Such a finish reason is no end of an answer, though no error stands beside it."""
    stream = reader()
    stream.feed(before)
    with pytest.raises(UpstreamBadReply, match="ended with an error"):
        stream.feed(event(chunk("", finish=reason)) + DONE)


def test_nothing_follows_the_end() -> None:
    """An end that is sent twice arrives once."""
    stream = reader()
    assert feed_all(stream, [WHOLE + DONE, event(chunk()), DONE]) == WHOLE
    assert stream.is_complete


def test_oversize_event_ends_the_stream() -> None:
    """An event without end is refused when it passes the limit, not gathered."""
    stream = reader()
    stream.feed(event(chunk()) + b"data: ")
    stream.feed(b"x" * (MAX_EVENT_BYTES - 6))
    with pytest.raises(UpstreamBadReply):
        stream.feed(b"x")


def test_usage_is_estimated_where_the_provider_does_not_count() -> None:
    """Without a count, four bytes of the call and one short event of the reply are a token each."""
    stream = reader()
    stream.feed(event(chunk()) * 3 + b": comment\n\n" + DONE)
    assert stream.facts().usage == Usage(100, 3, "estimated")


def test_usage_of_a_cut_stream_is_partial() -> None:
    """What was counted until the cut is told, marked partial."""
    stream = reader()
    stream.feed(event(chunk(usage=USAGE)))
    assert stream.facts().usage == Usage(12, 34, "partial", 5, 6)
    stream = reader()
    stream.feed(event(chunk()) * 2)
    assert stream.facts().usage == Usage(100, 2, "partial")
    stream = reader()
    stream.feed(event(chunk(usage={"prompt_tokens": 12, "completion_tokens": 0})) + event(chunk()) * 4)
    assert stream.facts().usage == Usage(12, 5, "partial"), "what came tells more than what was begun with"
    stream = reader()
    for number in range(1, 41):
        usage = {"prompt_tokens": 12, "completion_tokens": number}
        stream.feed(event(chunk(" implementation", usage=usage)))
    assert stream.facts().usage == Usage(12, 40, "partial"), (
        "who counts on the way is not overruled by a guess"
    )
    stream.feed(event(chunk(" implementation")) * 10)
    assert stream.facts().usage == Usage(12, 77, "partial"), "but for what came after that"


@pytest.mark.parametrize("together", [1, 5], ids=["alone", "several at once"])
def test_text_of_several_tokens_an_event_counts(together: int) -> None:
    """Who leaves early is charged for the text that came, of servers too that send a paragraph an event."""
    texts = ["word " * (number % 40) for number in range(1, 401)]
    for end in (1, 3, 16, 17, 100, 400):
        stream = reader()
        events = [event(chunk(text)) for text in texts[:end]]
        feed_all(stream, [b"".join(events[at : at + together]) for at in range(0, end, together)])
        said = sum(map(len, texts[:end])) // BYTES_PER_TOKEN
        usage = stream.facts().usage
        assert usage.source == "partial"
        assert usage.output_tokens == pytest.approx(max(end, said), rel=0.35 if together > 1 else 0.15), end


def test_all_kinds_of_text_count() -> None:
    """Thoughts and what a tool gets, in a first event, in one that ends the answer, and between."""
    text = "word" * 10
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": text}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "reasoning": text}, {"tool_calls": [call]}]
    stream = reader()
    for finish, delta in ((None, deltas[0]), (None, deltas[0]), (None, deltas[1]), ("tool_calls", deltas[1])):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        stream.feed(event({"id": "chat-1", "choices": [choice]}))
    assert stream.facts().usage == Usage(100, 40, "estimated")


def test_first_id_and_model_count() -> None:
    """The reply's id and model are those of its first chunk that names them."""
    empty = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    stream = reader()
    feed_all(stream, [event(empty), event(chunk()), event(chunk(finish="stop", id="other")), DONE])
    assert (stream.facts().response_id, stream.facts().response_model) == ("chat-1", "small-1")


def test_facts_can_be_written() -> None:
    """Half a surrogate pair in the reply's names is replaced; nothing downstream could encode it."""
    stream = reader()
    halves = rb'{"id":"i\ud800","model":"m\ud800","choices":[{"index":0,"finish_reason":"f\ud800"}]}'
    feed_all(stream, [b"data: " + halves + b"\n\n", DONE])
    facts = stream.facts()
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == ("i?", "m?", ("f?",))


def _usage_in(body: bytes) -> Usage | None:
    """The last usage in a recorded stream, found without our code."""
    found = None
    for line in body.decode().splitlines():
        data = line.removeprefix("data: ")
        chunk = json.loads(data) if data.startswith("{") else {}
        found = chunk.get("usage") or chunk.get("x_groq", {}).get("usage") or found
    if found is None:
        return None
    asked = found.get("prompt_tokens_details") or {}
    answered = found.get("completion_tokens_details") or {}
    media = any(group.get(kind) for group in (asked, answered) for kind in ("audio_tokens", "image_tokens"))
    assert not media, "count them too"
    return Usage(
        found["prompt_tokens"],
        found["completion_tokens"],
        "provider",
        asked.get("cached_tokens", found.get("cached_tokens")),
        answered.get("reasoning_tokens"),
        asked.get("cache_write_tokens"),
    )


MAX_CUTS: Final = 150


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_SHAPED)
def test_recorded_streams_survive_any_cut(recordings: Path, name: str) -> None:
    """Real streams pass unchanged at any cut, and the usage told is the one in the body."""
    for item in read_recorded(recordings, name, is_stream=True):
        body = item.body
        step = max(1, len(body) // MAX_CUTS)
        splits = [[body], [body[at : at + 1] for at in range(len(body))]]
        splits += [[body[:at], body[at:]] for at in range(1, len(body), step)]
        facts = set()
        for split in splits:
            stream = reader(choices=item.choices)
            assert feed_all(stream, split) == body, item.name
            assert stream.is_complete, item.name
            facts.add(stream.facts())
        assert len(facts) == 1, item.name
        usage = facts.pop().usage
        counted = _usage_in(body)
        assert usage == counted if counted else usage.source == "estimated", item.name


@requires("recordings")
@pytest.mark.parametrize("name", OPENAI_SHAPED)
def test_recorded_streams_cut_short_are_not_complete(recordings: Path, name: str) -> None:
    """A real stream cut short is complete only with every choice finished and no event half there."""
    for item in read_recorded(recordings, name, is_stream=True):
        reasons = list(re.finditer(rb'"finish_reason": ?"', item.body))
        finished = reasons[item.choices - 1].end() if reasons else len(item.body)
        for at in range(0, len(item.body) - 1, max(1, len(item.body) // MAX_CUTS)):
            stream = reader(choices=item.choices)
            passed = stream.feed(item.body[:at])
            assert item.body.startswith(passed)
            assert passed in (b"", item.body[:at]) or passed.endswith(b"\n\n")
            if stream.is_complete:
                assert at >= finished, item.name
                assert passed == item.body[:at]
            else:
                assert stream.facts().usage.source == "partial"


def test_usage_that_groq_puts_beside() -> None:
    """Groq counts in every stream, elsewhere when it was not asked; what is asked for comes first."""
    reader = StreamReader(asked_bytes=4, choices=1, hides_usage=True)
    last = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],'
        b'"x_groq":{"id":"r","usage":{"prompt_tokens":12,"completion_tokens":26}}}\n\n'
    )
    assert reader.feed(last) == last
    assert (reader.facts().usage.input_tokens, reader.facts().usage.output_tokens) == (12, 26)
    asked = b'data: {"choices":[],"usage":{"prompt_tokens":13,"completion_tokens":27}}\n\n'
    assert reader.feed(asked) == b""
    assert reader.facts().usage.input_tokens == 13
