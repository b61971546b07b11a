"""HTTP/1.1 replies, in any split of their bytes, and as h11 reads them."""

from __future__ import annotations

import pytest

from gateway.wire.http1 import MAX_BARREN_BYTES, MAX_HEADERS, ReplyError, ReplyReader, header_lines

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Type: application/json \r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n2;ext=1\r\n{}\r\n3\r\nabc\r\n0\r\ntrailer: x\r\n\r\n"


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
        pytest.param(b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", id="chunked twice"),
        pytest.param(b" transfer-encoding: chunked", id="a blank before the first header"),
        pytest.param(b"x: y\r\n transfer-encoding: chunked\r\ncontent-length : 2", id="a fold, and a space"),
        pytest.param(b"transfer-encoding: xchunked", id="almost chunked"),
        pytest.param(b"transfer-encoding:", id="no coding"),
        pytest.param(b"no colon", id="no colon"),
        pytest.param(b"name : value", id="a space before the colon"),
        pytest.param(b": value", id="no name"),
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
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", id="no chunk size"),
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


@pytest.mark.parametrize("value", [b"a\x01b", b"a\x00", b"over\r\n two lines"])
def test_odd_value_costs_no_answer(value: bytes) -> None:
    """A header that may not be passed on is dropped by whoever passes on, not with the answer."""
    reader = read(HEAD + b"content-length: 2\r\nx-odd: " + value + b"\r\nx: y\r\n\r\n{}")
    assert (reader.take(), reader.is_complete, reader.headers[-1]) == (b"{}", True, (b"x", b"y"))


def test_header_lines() -> None:
    """Each header is a line; values are Latin-1."""
    assert header_lines([("a", "1"), ("b", "\xe9")]) == b"a: 1\r\nb: \xe9\r\n"


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
