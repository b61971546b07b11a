"""W3C Trace Context: the specification's rules as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import TraceContext
from gateway.wire.trace_context import format_traceparent, parse_trace_context

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parent", "flags"),
    [
        pytest.param(GOOD, 1, id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", 0, id="not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-03", 3, id="random trace id, level 2"),
        pytest.param(f"  {GOOD}\t", 1, id="space around is no part of a header's value"),
        pytest.param(f"01-{TRACE}-{SPAN}-01", 1, id="a later version is read as far as it is known"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-comes-later", 1, id="a later version may be longer"),
    ],
)
def test_good_parent_is_continued(parent: str, flags: int) -> None:
    """A traceparent that keeps the rules gives its ids and flags."""
    context = parse_trace_context([parent], [])
    assert context == TraceContext(bytes.fromhex(TRACE), bytes.fromhex(SPAN), flags)


@pytest.mark.parametrize(
    "parents",
    [
        pytest.param([], id="none"),
        pytest.param([GOOD, GOOD], id="two"),
        pytest.param([""], id="empty"),
        pytest.param([f"ff-{TRACE}-{SPAN}-01"], id="version ff is forbidden"),
        pytest.param([f"00-{TRACE}-{SPAN}-01-more"], id="version 00 has nothing more"),
        pytest.param([f"00-{TRACE}-{SPAN}-01-"], id="version 00 has no fourth hyphen"),
        pytest.param([f"cc-{TRACE}-{SPAN}-01.more"], id="a later version goes on with a hyphen"),
        pytest.param([f"00-{'0' * 32}-{SPAN}-01"], id="trace id of zeros"),
        pytest.param([f"00-{TRACE}-{'0' * 16}-01"], id="span id of zeros"),
        pytest.param([f"00-{TRACE.upper()}-{SPAN}-01"], id="upper case"),
        pytest.param([f"00-{TRACE[:-1]}-{SPAN}-01"], id="trace id too short"),
        pytest.param([f"00-{TRACE}0-{SPAN}-01"], id="trace id too long"),
        pytest.param([f"00-{TRACE[:-1]}g-{SPAN}-01"], id="not hexadecimal"),
        pytest.param([f"00-{TRACE}-{SPAN}"], id="no flags"),
        pytest.param([f"00-{TRACE}-{SPAN}-1"], id="flags too short"),
        pytest.param([f"0-{TRACE}-{SPAN}-01"], id="version too short"),
        pytest.param([f"00_{TRACE}_{SPAN}_01"], id="other separators"),
        pytest.param([f"{GOOD}, {GOOD}"], id="two in one"),
        pytest.param([f"{GOOD}\n"], id="line end"),
        pytest.param([f"00-{chr(0x661) * 32}-{SPAN}-01"], id="digits of another script"),
    ],
)
def test_bad_parent_counts_as_absent(parents: list[str]) -> None:
    """A traceparent that breaks a rule counts as none, and its tracestate goes with it."""
    assert parse_trace_context(parents, ["a=1"]) is None


@pytest.mark.parametrize(
    ("states", "joined"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["a=1,b=2"], "a=1,b=2", id="as it came"),
        pytest.param(["a=1", "b=2"], "a=1,b=2", id="several headers, in order"),
        pytest.param([" a=1 ,\tb=2 "], "a=1,b=2", id="space around members"),
        pytest.param(["a=1,,b=2", ""], "a=1,b=2", id="empty members"),
        pytest.param([",".join(f"k{n}=v" for n in range(32))], None, id="32 members"),
        pytest.param([",".join(f"k{n}=v" for n in range(33))], "", id="33 members: dropped"),
        pytest.param(["a=" + "x" * 8192], "", id="too long: dropped"),
        pytest.param(["a=\xe9"], "", id="not ASCII: dropped"),
        pytest.param(["9x@y_-*/=a b;c:d~"], None, id="every kind of letter"),
        pytest.param([f"{'k' * 256}={'v' * 256}"], None, id="the longest key and value"),
        pytest.param([f"{'k' * 257}=v"], "", id="key too long: dropped"),
        pytest.param([f"k={'v' * 257}"], "", id="value too long: dropped"),
        pytest.param(["a=1,A B=c"], "", id="no key: dropped with the rest"),
        pytest.param(["@a=1"], "", id="key that begins with a mark: dropped"),
        pytest.param(["a=1\t2"], "", id="tab in a value: dropped"),
        pytest.param(["a=b=c"], "", id="two equals signs: dropped"),
        pytest.param(["="], "", id="nothing but an equals sign: dropped"),
        pytest.param(["a="], "", id="no value: dropped"),
        pytest.param(["a"], "", id="no equals sign: dropped"),
        pytest.param(["a =1"], "", id="space after a key: dropped"),
        pytest.param(["a=1,b=2", "a=3"], "", id="a key twice: dropped"),
    ],
)
def test_state_is_joined_or_dropped(states: list[str], joined: str | None) -> None:
    """A tracestate is carried on unchanged, or dropped whole."""
    context = parse_trace_context([GOOD], states)
    assert context is not None
    assert context.state == (",".join(states) if joined is None else joined)


@pytest.mark.parametrize(
    ("given_flags", "kept"), [("ff", 0x03), ("04", 0x00), ("83", 0x03)], ids=["all", "one", "some"]
)
def test_unknown_flags_are_not_carried_on(given_flags: str, kept: int) -> None:
    """Flags that the specification does not define are set to zero, as it asks."""
    context = parse_trace_context([f"00-{TRACE}-{SPAN}-{given_flags}"], [])
    assert context is not None
    assert context.flags == kept


@given(
    st.binary(min_size=16, max_size=16).filter(any),
    st.binary(min_size=8, max_size=8).filter(any),
    st.integers(0, 3),
)
def test_what_is_written_is_read(trace_id: bytes, span_id: bytes, flags: int) -> None:
    """Our own headers are read back as they were meant."""
    header = format_traceparent(trace_id, span_id, flags)
    assert parse_trace_context([header], []) == TraceContext(trace_id, span_id, flags)


@given(st.text(st.characters(max_codepoint=255)))
def test_no_text_is_an_error(text: str) -> None:
    """Whatever stands in the header is read or counts as absent."""
    context = parse_trace_context([text], [text])
    assert context is None or (len(context.trace_id) == 16 and len(context.span_id) == 8)
