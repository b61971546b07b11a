"""HTTP/1.1 replies, in any split of their bytes, and as h11 reads them."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.http1 import (
    MAX_BARREN_BYTES,
    MAX_HEADERS,
    MAX_TAKEN_BYTES,
    ReplyError,
    ReplyReader,
    header_lines,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Type: application/json \r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n2;ext=1\r\n{}\r\n3\r\nabc\r\n0\r\ntrailer: x\r\n\r\n"


HeaderPairs = list[tuple[bytes, bytes]]


def read(*pieces: bytes) -> ReplyReader:
    reader = ReplyReader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def test_whole_reply() -> None:
    """Status, headers with lower-case names and trimmed values, body, and that more may follow."""
    reader = read(WHOLE)
    assert (reader.status, reader.take(), reader.is_complete, reader.keeps_alive) == (200, b"{}", True, True)
    assert reader.headers == [(b"content-type", b"application/json"), (b"content-length", b"2")]


@pytest.mark.parametrize("reply", [WHOLE, CHUNKED], ids=["length", "chunks"])
def test_byte_by_byte(reply: bytes) -> None:
    """Every byte alone gives what all of them give at once, and the end is known at the last one."""
    reader = ReplyReader()
    for index in range(len(reply)):
        assert not reader.is_complete
        reader.feed(reply[index : index + 1])
    at_once = read(reply)
    assert reader.is_complete
    assert (reader.status, reader.headers) == (at_once.status, at_once.headers)
    assert reader.take() == at_once.take()


def test_much_at_once_is_given_out_in_parts() -> None:
    """What a slow caller is given waits for it, so it is never much; nothing is lost or turned."""
    body = bytes(range(251)) * 1000
    for wire in (
        HEAD + b"content-length: %d\r\n\r\n" % len(body) + body,
        HEAD
        + b"transfer-encoding: chunked\r\n\r\n"
        + b"".join(b"fb\r\n" + body[at : at + 251] + b"\r\n" for at in range(0, len(body), 251))
        + b"0\r\n\r\n",
    ):
        reader = read(wire)
        parts = []
        while part := reader.take():
            parts.append(part)
            assert reader.buffered_bytes == len(body) - sum(map(len, parts)) == sum(map(len, reader.pieces))
        assert b"".join(parts) == body
        assert max(map(len, parts)) == MAX_TAKEN_BYTES


def test_one_reply_after_another() -> None:
    """A kept connection brings one reply per exchange, nothing of the last one left."""
    reader = read(CHUNKED)
    assert reader.take() == b"{}abc"
    reader.begin()
    reader.feed(WHOLE)
    assert (reader.take(), reader.headers[0], reader.has_surplus) == (
        b"{}",
        (b"content-type", b"application/json"),
        False,
    )


@pytest.mark.parametrize(
    ("interim", "reply"),
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE, id="100"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", CHUNKED, id="103 with headers"),
        pytest.param(b"HTTP/1.1 102 Processing\r\n\r\n" * 3, WHOLE, id="three"),
    ],
)
def test_interim_replies_are_passed_over(interim: bytes, reply: bytes) -> None:
    """What comes before the reply leaves no trace in it."""
    reader = read(interim + reply)
    assert (reader.status, reader.headers) == (200, read(reply).headers)
    assert reader.is_complete


@pytest.mark.parametrize("status", [204, 304])
def test_reply_without_a_body(status: int) -> None:
    """These end with their head, whatever length they name."""
    reader = read(b"HTTP/1.1 %d X\r\ncontent-length: 7\r\n\r\n" % status)
    assert (reader.is_complete, reader.take(), reader.keeps_alive) == (True, b"", True)


def test_body_until_the_connection_ends() -> None:
    """Without a length the end of the connection is the end of the body, and there is no next exchange."""
    reader = read(HEAD + b"\r\nall ", b"of it")
    assert not reader.is_complete
    assert reader.feed_eof()
    assert (reader.take(), reader.is_complete, reader.keeps_alive) == (b"all of it", True, False)


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        HEAD,
        HEAD + b"content-",
        WHOLE[:-1],
        CHUNKED[:-1],
        CHUNKED[:-20],
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=["nothing", "in the head", "in a name", "in the body", "in the end", "in a chunk", "interim only"],
)
def test_reply_that_is_cut(cut: bytes) -> None:
    """The end of the connection is no end of a reply that says where it ends."""
    reader = read(cut) if cut else ReplyReader()
    assert not reader.feed_eof()


@pytest.mark.parametrize(
    ("reply", "keeps_alive"),
    [
        pytest.param(HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\n", False, id="close"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False, id="1.0"),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", True, id="1.0 kept"
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n",
            False,
            id="1.0 in chunks",
        ),
    ],
)
def test_whether_the_connection_is_kept(reply: bytes, *, keeps_alive: bool) -> None:
    """The provider says whether another exchange may follow."""
    assert read(reply).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    "surplus",
    [
        pytest.param([WHOLE + WHOLE], id="a second reply with the first"),
        pytest.param([WHOLE, WHOLE], id="a second reply"),
        pytest.param([WHOLE + b"HTTP/"], id="the beginning of one"),
        pytest.param([WHOLE + b"garbage"], id="garbage with the reply"),
        pytest.param([WHOLE, b"garbage"], id="garbage"),
        pytest.param([HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\nx"], id="after close"),
    ],
)
def test_bytes_that_nobody_asked_for(surplus: list[bytes]) -> None:
    """What follows a reply is noticed and changes nothing of it."""
    reader = read(*surplus)
    assert (reader.is_complete, reader.has_surplus) == (True, True)
    assert reader.take() in {b"{}", b""}


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"content-length: 2\r\ntransfer-encoding: chunked", id="length and chunks"),
        pytest.param(b"transfer-encoding: chunked\r\ncontent-length: 2", id="chunks and length"),
        pytest.param(b"content-length: 2\r\ncontent-length: 3", id="two lengths"),
        pytest.param(b"content-length: 2, 2", id="a list of lengths"),
        pytest.param(b"content-length: +2", id="a signed length"),
        pytest.param(b"content-length: 0x2", id="a length in hexadecimal"),
        pytest.param(b"content-length: 99999999999999999999999", id="a length beyond 64 bits"),
        pytest.param(b"content-length:", id="no length"),
        pytest.param(b"transfer-encoding: gzip, chunked", id="a coding that was not asked for"),
        pytest.param(b"transfer-encoding: chunked, gzip", id="chunked not last"),
        pytest.param(b"transfer-encoding: identity", id="identity"),
        pytest.param(b"transfer-encoding: chunked\t", id="chunked and a tab"),
        pytest.param(b"x: y\r\ntransfer-encoding: chunked\r\n ", id="chunked and a fold"),
        pytest.param(b"transfer-encoding: \x0bchunked", id="chunked and a control byte"),
        pytest.param(b"content-length: 2\x00", id="a length and a zero byte"),
        pytest.param(b"x: \x01\r\ncontent-length:\r\n 2\r\n 3", id="a length over three lines"),
        pytest.param(b"x: \x01\rcontent-length: 2", id="a bare carriage return after a control byte"),
        pytest.param(b"x: \x01\ncontent-length: 2", id="a bare line feed after a control byte"),
        pytest.param(b"x:\r\tcontent-length: 2", id="a bare carriage return in an empty value"),
        pytest.param(b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", id="chunked twice"),
        pytest.param(b" transfer-encoding: chunked", id="a blank before the first header"),
        pytest.param(b"x: y\r\n transfer-encoding: chunked\r\ncontent-length : 2", id="a fold, and a space"),
        pytest.param(b"transfer-encoding: xchunked", id="almost chunked"),
        pytest.param(b"transfer-encoding:", id="no coding"),
        pytest.param(b"no colon", id="no colon"),
        pytest.param(b"name : value", id="a space before the colon"),
        pytest.param(b": value", id="no name"),
        pytest.param(b"x: \x01\r\ny\xdb: \x01", id="control bytes, one behind a name that is none"),
        pytest.param(b"x: a\nb: c", id="a bare line feed"),
    ],
)
def test_head_that_can_be_read_in_two_ways(head: bytes) -> None:
    """Framing that others might read differently is refused."""
    with pytest.raises(ReplyError):
        read(HEAD + head + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="no status"),
        pytest.param(b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n", id="a status below 100"),
        pytest.param(b"HTTP/1.1 199 X\r\ncontent-length: 3\r\n\r\nabc" + WHOLE, id="an interim body"),
        pytest.param(
            b"HTTP/1.1 104 X\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + WHOLE,
            id="interim chunks",
        ),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", id="upgrade"
        ),
        pytest.param(
            b"HTTP/1.1 103 X\r\nx: \x01\r\n\r\n" + HEAD + b" transfer-encoding: chunked\r\n\r\n",
            id="a blank before the first header, behind an odd interim reply",
        ),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", id="no chunk size"),
        pytest.param(CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n", id="a trailer that frames"),
        pytest.param(CHUNKED[:-2] + b"content-length: 2\r\n\r\n", id="a trailer with a length"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\nab\r\n", id="a longer chunk"),
        pytest.param(
            HEAD + b"transfer-encoding: chunked\r\n\r\n2\n{}\n0\n\n", id="chunks of bare line feeds"
        ),
    ],
)
def test_what_is_no_http(reply: bytes) -> None:
    """It is refused as soon as it shows."""
    with pytest.raises(ReplyError):
        read(reply)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        pytest.param(HEAD, b"x-many: 1234567890\r\n", id="headers"),
        pytest.param(HEAD + b"x: ", b"y" * 1000, id="one header"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim replies"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n2;", b"x" * 1000, id="a chunk extension"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"t: 1234567890\r\n", id="trailers"),
    ],
)
def test_what_goes_on_for_ever(start: bytes, more: bytes) -> None:
    """A provider that sends no body, but does not end either, is given up after a bound."""
    reader = read(start) if start else ReplyReader()

    def go_on() -> None:
        for _ in range(2 * MAX_BARREN_BYTES // len(more) + 1):
            reader.feed(more)

    with pytest.raises(ReplyError):
        go_on()


def test_headers_in_one_packet_are_bounded_too() -> None:
    """However few pieces they come in."""
    with pytest.raises(ReplyError):
        read(HEAD + b"x: " + b"y" * (MAX_BARREN_BYTES + 1) + b"\r\n\r\n")
    with pytest.raises(ReplyError):
        read(HEAD + b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n")


def test_long_streams_are_not_bounded() -> None:
    """Framing between pieces of body never adds up."""
    reader = read(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(MAX_BARREN_BYTES // 4):
        reader.feed(b"1\r\nx\r\n")
        assert reader.take() == b"x"


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        pytest.param(b"a\x01b", [], id="a control byte"),
        pytest.param(b"a\x00", [], id="a zero byte"),
        pytest.param(b"over\r\n two lines", [(b"x-odd", b"over two lines")], id="two lines"),
        pytest.param(b"\r\n\t\tlater", [(b"x-odd", b"later")], id="begins in the second"),
        pytest.param(b"over\r\n two\x7flines", [], id="both"),
    ],
)
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 103 X\r\nx: \x01\r\n\r\n"], ids=["", "interim"])
def test_odd_value_costs_no_answer(interim: bytes, value: bytes, read_as: HeaderPairs) -> None:
    """A control byte costs the header that has it, a fold nothing, in any split."""
    wire = interim + HEAD + b"x-odd: " + value + b"\r\ncontent-length: 2\r\nx-odd: " + value + b"\r\n\r\n{}"
    for reader in (read(wire), read(*[bytes([byte]) for byte in wire])):
        assert (reader.take(), reader.is_complete, reader.keeps_alive) == (b"{}", True, True)
        assert reader.headers == [*read_as, (b"content-length", b"2"), *read_as]


def test_odd_value_changes_no_framing() -> None:
    """What comes behind a mended head is read as ever: a body, or the next reply."""
    odd = HEAD + b"x: \x01\r\n"
    assert read(odd + b"content-length: 0\r\n\r\n", b"x").has_surplus
    assert read(odd + b"content-length: 0\r\n\r\nx").has_surplus
    reader = read(odd + b"transfer-encoding: chunked\r\n\r", b"\n2\r\n{}\r\n0\r\n\r", b"\n")
    assert (reader.take(), reader.is_complete) == (b"{}", True)
    reader.begin()
    reader.feed(WHOLE)
    assert (reader.take(), reader.is_complete, reader.has_surplus) == (b"{}", True, False)


def test_header_lines() -> None:
    """Each header is a line; values are Latin-1."""
    assert header_lines([("a", "1"), ("b", "\xe9")]) == b"a: 1\r\nb: \xe9\r\n"


def test_long_names_of_headers_are_not_kept() -> None:
    """Of a long name that a caller thinks up nothing is left in memory."""
    name = "x-" + "a" * 10_000
    tracemalloc.start()
    try:
        for number in range(100):
            header_lines([(f"{name}{number}", "1")])
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 100_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "1\r\nb: 2"),
        ("a", "1\n"),
        ("a", "\x00"),
        ("a", "日本"),
        ("a b", "1"),
        ("a:", "1"),
        ("", "1"),
        ("a\r\nb", "1"),
        ("ä", "1"),
    ],
)
def test_header_that_would_be_more_than_one(name: str, value: str) -> None:
    """A name or value that HTTP cannot carry is refused, and not shown, since it may be a secret."""
    with pytest.raises(ValueError, match="HTTP cannot carry") as caught:
        header_lines([(name, value)])
    assert value not in str(caught.value)


# -- any reply, as h11 reads it


@dataclass(frozen=True)
class Written:
    """A reply as a provider may write it, and what is meant by it."""

    wire: bytes
    status: int
    headers: HeaderPairs
    body: bytes
    is_kept: bool


@dataclass(frozen=True)
class Result:
    """What a reader makes of the bytes of a connection that then ends."""

    status: int
    headers: HeaderPairs
    body: bytes
    keeps_alive: bool


TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8).map(str.encode)
FRAMING_NAMES: Final = {
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"upgrade",
    b"proxy-connection",
}
NAMES = TOKENS.filter(lambda name: name.lower() not in FRAMING_NAMES)
VALUES = st.binary(max_size=12).map(
    lambda data: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"~", data).strip(b" \t~")
)
BLANKS = st.sampled_from([b"", b" ", b"\t", b"  \t"])
REASONS = st.sampled_from([b"", b" ", b" OK", b" \xfcber alles", b" a  b "])
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b c;d"', b";a=1;b;c=2"])
BODIES = st.binary(max_size=60) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", HEAD, b"x" * 300])


@st.composite
def header_blocks(draw: st.DrawFn) -> tuple[bytes, HeaderPairs]:
    """Lines of headers, and the headers."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    lines = [name + b":" + draw(BLANKS) + value + draw(BLANKS) + b"\r\n" for name, value in pairs]
    return b"".join(lines), [(name.lower(), value) for name, value in pairs]


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """*body* in chunks, however a provider may write them."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(body) - 1)), max_size=3)))
    parts = [body[start:stop] for start, stop in itertools.pairwise([0, *cuts, len(body)])]
    wire = b""
    for part in filter(None, parts):
        size = draw(st.sampled_from([b"%x", b"%X", b"%04x"])) % len(part)
        wire += size + draw(EXTENSIONS) + b"\r\n" + part + b"\r\n"
    return wire + draw(st.sampled_from([b"0", b"000"])) + b"\r\n" + draw(header_blocks())[0] + b"\r\n"


@st.composite
def written(draw: st.DrawFn) -> Written:
    """A final reply, interim ones before it."""
    wire = b""
    for status in draw(st.lists(st.sampled_from([100, 102, 103, 104, 199]), max_size=2)):
        wire += b"HTTP/1.1 %d" % status + draw(REASONS) + b"\r\n" + draw(header_blocks())[0] + b"\r\n"
    status = draw(st.sampled_from([200, 201, 204, 299, 304, 307, 404, 429, 500, 599, 999]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    before, first = draw(header_blocks())
    after, last = draw(header_blocks())
    body = b"" if status in {204, 304} else draw(BODIES)
    framing: HeaderPairs = []
    content = body
    match draw(st.sampled_from(["length", "chunks", "end"])):
        case "length":
            framing = [(b"content-length", b"%d" % len(body))]
        case "chunks" if status not in {204, 304}:
            framing = [(b"transfer-encoding", b"chunked")]
            content = draw(chunks(body))
    is_kept = bool(framing or status in {204, 304})
    framing += draw(st.sampled_from([[], [(b"connection", b"close")], [(b"connection", b"Keep-Alive")]]))
    wire += version + b" %d" % status + draw(REASONS) + b"\r\n" + before
    for name, value in framing:
        wire += draw(st.sampled_from([name, name.title()])) + b":" + draw(st.sampled_from([b"", b" "]))
        wire += (
            draw(st.sampled_from([value, value.title()]) if name == b"transfer-encoding" else st.just(value))
            + b"\r\n"
        )
    if version == b"HTTP/1.0":
        is_kept &= b"Keep-Alive" in dict(framing).values() and b"chunked" not in dict(framing).values()
    is_kept &= b"close" not in dict(framing).values()
    return Written(wire + after + b"\r\n" + content, status, first + framing + last, body, is_kept=is_kept)


def split(wire: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    return [wire[start:stop] for start, stop in itertools.pairwise(edges)]


def our_result(pieces: Sequence[bytes]) -> Result | None:
    """What we make of it; None when it is refused or cut."""
    reader = ReplyReader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except ReplyError:
        return None
    if not (reader.is_complete or reader.feed_eof()):
        return None
    # h11 gives the coding in lower case.
    headers = [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in reader.headers
    ]
    return Result(reader.status, headers, b"".join(iter(reader.take, b"")), reader.keeps_alive)


def h11_result(wire: bytes) -> Result | None:
    """What h11 makes of it; None when it is refused or cut."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1_000_000)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "x"), ("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    status, headers, body = 0, HeaderPairs(), b""
    connection.receive_data(wire)
    has_ended = False
    try:
        while True:
            match connection.next_event():
                case h11.NEED_DATA if has_ended:
                    return None
                case h11.NEED_DATA:
                    has_ended = True
                    connection.receive_data(b"")
                case h11.Response() as reply:
                    status, headers = reply.status_code, list(reply.headers)
                case h11.Data(data=data):
                    body += data
                case h11.EndOfMessage():
                    headers = [pair for pair in headers if not CONTROL_BYTE.search(pair[1])]
                    return Result(status, headers, body, connection.their_state is h11.DONE)
                case h11.PAUSED | h11.ConnectionClosed():
                    return None
    except h11.RemoteProtocolError:
        return None


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


@given(reply=written(), cuts=CUTS)
def test_any_reply_in_any_split(reply: Written, cuts: list[int]) -> None:
    """Whatever a provider may write reads as it was meant, however it arrives, and as h11 reads it."""
    result = our_result(split(reply.wire, cuts))
    assert result is not None
    assert (result.status, result.headers, result.body) == (reply.status, reply.headers, reply.body)
    assert result.keeps_alive == reply.is_kept
    assert result == our_result([reply.wire])
    assert result == our_result([bytes([byte]) for byte in reply.wire])
    assert_same(result, h11_result(reply.wire))


def assert_same(ours: Result | None, theirs: Result | None) -> None:
    assert ours is not None
    assert theirs is not None
    assert (ours.status, ours.headers, ours.body) == (theirs.status, theirs.headers, theirs.body)
    # To keep a connection less is never wrong. h11 keeps none of HTTP/1.0, even where the reply says so.
    said = [value.lower() for name, value in ours.headers if name == b"connection"]
    assert theirs.keeps_alive or not ours.keeps_alive or any(b"keep-alive" in value for value in said)


CONTROL_BYTE: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
SPICE = st.sampled_from(
    [bytes([byte]) for byte in b'\r\n \t\x00\x0b\x7f\xff:;,"01-+']
    + b"\r\n|\n\n|\r\n\r\n|\r\n |0x|RTSP|content-length|transfer-encoding|chunked|, chunked".split(b"|")
    + b"\r\ncontent-length: 3|\r\ntransfer-encoding: chunked|\r\nconnection: close|HTTP/1.1 200 OK\r\n".split(
        b"|"
    )
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A reply that went wrong in a few places."""
    wire = draw(written()).wire
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(wire)))
        stop = start + draw(st.sampled_from([0, 0, 1, 2, 9]))
        spice = draw(SPICE | st.binary(max_size=3) | st.just(wire[start:stop] * 2))
        wire = wire[:start] + spice + wire[stop:]
    return wire


@given(wire=mutated(), cuts=CUTS)
def test_any_bytes(wire: bytes, cuts: list[int]) -> None:
    """What we take, h11 takes for the same, but for what `forgiven` lists; no split changes what it is."""
    assert_read_as_by_h11(split(wire, cuts))


def assert_read_as_by_h11(pieces: Sequence[bytes]) -> None:
    wire = b"".join(pieces)
    result = our_result([wire])
    assert our_result(pieces) == result
    if result is None:
        return
    theirs = h11_result(wire)
    if theirs is None:
        result, theirs = our_result([forgiven(wire)]), h11_result(forgiven(wire))
    assert_same(result, theirs)


def forgiven(wire: bytes) -> bytes:
    """*wire* without what we take and h11 does not; none of it moves where a reply ends."""
    reader = ReplyReader()
    size = 0
    while not reader.has_head:
        reader.feed(wire[size : size + 1])
        size += 1
    head, rest = wire[:size], wire[size:]
    # llhttp passes over line ends before a reply, as RFC 9112, 2.2 advises.
    head = re.sub(rb"(^|\r\n\r\n)[\r\n]+(?=[HRI])", rb"\1", head)
    # The protocols RTSP and ICE look the same, and are never kept alive.
    head = re.sub(rb"^(RTSP|ICE)/", b"HTTP/", head)
    # h11 counts the digits of a length, and those of a chunk's.
    head = re.sub(rb"(?i)(\r\ncontent-length:[ \t]*)0+(?=[0-9])", rb"\1", head)
    rest = re.sub(rb"(^|\r\n)0{9,}(?=[0-9A-Fa-f]{1,16}[\r;])", rb"\1", rest)
    # Of a reason nobody reads a byte, and a header with a control byte is dropped.
    return CONTROL_BYTE.sub(b"~", head) + rest
