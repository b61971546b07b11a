"""Where events end and what they say, however they are cut."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamBadReply
from gateway.wire.sse import (
    DATA_LINE,
    MAX_EVENT_BYTES,
    EventCutter,
    EventSplitter,
    count_data_lines,
    data_of_events,
    end_of_events,
    read_events,
    split_events,
)

STREAM = b": ping\n\ndata: a\n\nevent: x\r\ndata: b\r\ndata: c\r\n\r\ndata:\n\ndata:d\r\rdata: [DONE]\n\n"


def test_events_are_read() -> None:
    """The data of each whole event, without comments, and without the end marker where that is no news."""
    data = STREAM + b"data: half"
    assert list(data_of_events(data)) == [b"a", b"b\nc", b"d", b"[DONE]"]
    assert list(read_events(data)) == [b"a", b"b\nc", b"d"]


@given(
    st.lists(
        st.sampled_from(
            [b"data:", b"data: ", b"data", b"event: x", b": ", b" ", b"a", b"\n", b"\n\n", b"\r", b"\r\n"]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_the_quick_way_reads_what_the_rules_say(data: bytes) -> None:
    """Cut at blank lines and read by their beginning, events say what they do by the form of their lines."""
    by_rules = [b"\n".join(DATA_LINE.findall(event)) for event in split_events(data)]
    assert list(data_of_events(data)) == [said for said in by_rules if said]


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    """A line end, or the two that end an event, may fall apart."""
    splitter = EventSplitter()
    found = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        found += splitter.feed(STREAM[start:end])
    assert [*found, *splitter.finish()] == [b"a", b"b\nc", b"d", b"[DONE]"]


@pytest.mark.parametrize(
    ("tail", "found", "left"),
    [
        pytest.param(b"data: a\n", [b"a"], b"", id="line whole"),
        pytest.param(b"data: [DONE]", [b"[DONE]"], b"", id="end marker"),
        pytest.param(b"data: a", [], b"data: a", id="half a line"),
        pytest.param(b"", [], b"", id="nothing"),
    ],
)
def test_a_missing_blank_line(tail: bytes, found: list[bytes], left: bytes) -> None:
    """A last line that is whole counts; half a line is never taken for one."""
    splitter = EventSplitter()
    assert splitter.feed(tail) == []
    assert splitter.finish() == found
    assert splitter.tail == left


def test_an_event_without_end_is_refused() -> None:
    """Memory for one event is bounded."""
    splitter = EventSplitter()
    splitter.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(UpstreamBadReply, match="over 8388608 bytes"):
        splitter.feed(b"x")


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\n", b"\r\n", b"\r"])).map(b"".join))
def test_events_end_at_the_first_blank_line(data: bytes) -> None:
    """Whatever ends their lines; what has no end is none."""
    assert split_events(data) == re.findall(rb".*?(?:\n\n|\n\r\n|\r\r)", data, re.DOTALL)


def test_an_event_of_many_short_lines_takes_no_memory_of_them() -> None:
    """Only what it is itself."""
    event = b"\r\na" * 500_000 + b"\r\n\r\n"
    tracemalloc.start()
    try:
        assert split_events(event) == [event]
        assert tracemalloc.get_traced_memory()[1] < 2 * len(event)
    finally:
        tracemalloc.stop()


def test_counting_and_ends() -> None:
    """Lines of data are counted, and the last blank line is found, without taking events apart."""
    assert count_data_lines(STREAM) == 6
    assert end_of_events(STREAM, 0) == len(STREAM)
    assert end_of_events(b"data: a\n\nx", 0) == 9
    assert end_of_events(b"data: a", 0) == 0


def test_only_whole_events_are_cut() -> None:
    """Whatever is no whole event stays; bytes are neither lost nor changed."""
    cutter = EventCutter()
    assert cutter.cut(b"data: a\n\ndata: b") == b"data: a\n\n"
    assert (cutter.cut(b"\n"), cutter.tail) == (b"", b"data: b\n")
    assert (cutter.rest(), cutter.tail) == (b"data: b\n", b"")


def test_an_end_marker_is_a_rest_where_it_means_something() -> None:
    """In OpenAI's dialect alone; half a line is none in any."""
    cutter = EventCutter()
    cutter.cut(b"data: [DONE]")
    assert (cutter.rest(), cutter.tail) == (b"", b"data: [DONE]")
    assert (cutter.rest_or_marker(), cutter.tail) == (b"data: [DONE]", b"")
    cutter.cut(b"data: ha")
    assert (cutter.rest_or_marker(), cutter.tail) == (b"", b"data: ha")
