"""HTTP/1.1 as a client speaks it: the lines of a request out, replies in. Pure.

httptools (llhttp) finds the parts of a reply and refuses what could be read in two ways: a length beside
chunks, two lengths, bare line feeds. What a client has to decide itself is decided here:
interim replies are passed over, a body without a length ends with its connection, only `chunked` is a
transfer coding that we asked for, and nothing may go on for ever without a byte of body.

Rules: RFC 9110 and RFC 9112. Tests hold it to h11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import httptools

from gateway.model import HeaderPairs

MAX_BARREN_BYTES: Final = 64 * 1024
"""Most bytes in a row without one of body: a head, interim replies, extensions of chunks, trailers."""

MAX_TAKEN_BYTES: Final = 16 * 1024
"""Most of a body that is given out at once: for a slow caller it waits in several copies."""

MAX_HEADERS: Final = 256

_FIRST_INTERIM: Final = 100
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200
# llhttp knows that these have no body, whatever their headers say; of other interim replies it reads one.
_BODILESS_INTERIM: Final = frozenset({100, 102, 103})
_BODILESS: Final = frozenset({204, 304})
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_USUAL: Final = b"HTTP/1.1 "
_MAX_KEPT_NAME: Final = 64
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


# A control byte in a value, or a value over two lines, is no reason to lose an answer that was paid for.
# llhttp's own leniency is none for us: it takes a bare carriage return for the end of a line, and a line with
# a blank before it for the first header.
_ODD_VALUE: Final = frozenset({"Invalid header value char", "Unexpected whitespace after header value"})
_HEAD_END: Final = b"\r\n\r\n"
_FOLD: Final = re.compile(rb"\r\n[\t ]+")
_LINE_WITH_CONTROL_BYTE: Final = re.compile(
    rb"\r\n(?!content-length|transfer-encoding|(?:proxy-)?connection)"
    rb"[!#$%&'*+.^_`|~0-9a-z-]+:[^\r\n]*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f][^\r\n]*(?=\r\n)",
    re.IGNORECASE,
)


class ReplyError(ValueError):
    """What came is no HTTP reply that we can take; the connection cannot go on."""


def _without_odd_values(head: bytes) -> bytes:
    """*head* with folded values as RFC 9112, 5.2 has them, and without those that hold control bytes.

    What frames the reply is left as it is, and so is a blank before the first header, which nothing folds.
    """
    line, end, rest = head.lstrip(b"\r\n").partition(b"\r\n")
    return line + _LINE_WITH_CONTROL_BYTE.sub(b"", end + _FOLD.sub(b" ", rest))


def header_lines(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Header lines as they are sent, each with its line end.

    Raises:
        ValueError: A name or a value that HTTP cannot carry, and that could become lines of its own.
    """
    lines = []
    for name, value in pairs:
        # Most values hold nothing else, and this is quicker than to match them.
        is_plain = value.isascii() and value.isprintable()
        is_name = _is_known(name) if len(name) <= _MAX_KEPT_NAME else _NAME.fullmatch(name)
        if not (is_name and (is_plain or _VALUE.fullmatch(value))):
            msg = f"the header {name[:40]!r} has a name or a value that HTTP cannot carry"
            raise ValueError(msg)
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


@lru_cache(maxsize=1024)
def _is_known(name: str) -> bool:
    """Whether a header can have this name; nearly all have one of a few, but callers may think of others."""
    return _NAME.fullmatch(name) is not None


class ReplyReader:
    """The replies of one connection, one exchange after another.

    `begin` an exchange, `feed` what arrives, `take` the body as it comes.

    Attributes:
        status: Of the final reply; 0 until its head is whole.
        headers: Of the final reply, values without the blanks around them.
        pieces: Body that has arrived and was not taken.
        buffered_bytes: Size of `pieces`.
        has_head: The head of the final reply is whole.
        is_complete: The reply has come to its end.
        keeps_alive: Another exchange may follow on this connection; known when complete.
        has_surplus: Bytes came after the end of the reply: what they answer nobody knows.
    """

    __slots__ = (
        "_barren_bytes",
        "_early",
        "_ends_with_connection",
        "_head_bytes",
        "_is_last",
        "_is_odd",
        "_is_usual",
        "_parser",
        "buffered_bytes",
        "has_head",
        "has_surplus",
        "headers",
        "is_complete",
        "keeps_alive",
        "pieces",
        "status",
    )

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.has_surplus = False
        self.begin()

    def begin(self) -> None:
        """Expect the reply to a new request."""
        self.status = 0
        self.headers: HeaderPairs = []
        self.pieces: list[bytes] = []
        self.buffered_bytes = 0
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False
        self._barren_bytes = 0
        self._head_bytes = 0
        self._early = b""
        self._is_odd = False
        self._is_usual = False
        self._is_last = False
        self._ends_with_connection = True

    def feed(self, data: bytes) -> None:
        """Take what has arrived.

        Raises:
            ReplyError: It is no HTTP, or more of it than a reply may have.
        """
        if self.is_complete:
            self.has_surplus = True
            return
        before = self.buffered_bytes
        if self.has_head:
            self._parse(data)
        else:
            self._head_bytes = self._barren_bytes + len(data)
            self._is_usual = not self._barren_bytes and data.startswith(_USUAL)
            # A head comes whole, as good as always.
            if self._is_odd or not self._parse(data):
                self._parse_head_again(data)
        if self.buffered_bytes == before and not self._ended():
            self._barren_bytes += len(data)
            if self._barren_bytes > MAX_BARREN_BYTES:
                msg = f"more than {MAX_BARREN_BYTES} bytes came without one of body"
                raise ReplyError(msg)
        else:
            self._barren_bytes = 0

    def feed_eof(self) -> bool:
        """Take the end of the connection; whether it was the proper end of the reply."""
        if self.has_head and self._ends_with_connection:
            self.is_complete = True
        return self.is_complete

    def take(self) -> bytes:
        """The body that has arrived since the last time, up to `MAX_TAKEN_BYTES` of it."""
        pieces = self.pieces
        if self.buffered_bytes > MAX_TAKEN_BYTES:
            return self._take_part()
        self.buffered_bytes = 0
        if len(pieces) == 1:
            return pieces.pop()
        taken = b"".join(pieces)
        pieces.clear()
        return taken

    def _take_part(self) -> bytes:
        size = count = 0
        while size < MAX_TAKEN_BYTES:
            size += len(self.pieces[count])
            count += 1
        taken = b"".join(self.pieces[:count])
        # Cut up at once, so that of a long piece each byte is copied once.
        self.pieces[:count] = [
            taken[at : at + MAX_TAKEN_BYTES] for at in range(MAX_TAKEN_BYTES, size, MAX_TAKEN_BYTES)
        ]
        self.buffered_bytes -= MAX_TAKEN_BYTES
        return taken[:MAX_TAKEN_BYTES]

    def _parse(self, data: bytes) -> bool:
        """Give *data* to llhttp; whether the head of the final reply is whole."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            msg = "the reply switches to another protocol"
            raise ReplyError(msg) from error
        except httptools.HttpParserError as error:
            reason = str(error.__context__ or error)
            if self._ended():
                self.has_surplus = True
            elif reason in _ODD_VALUE and not (self.has_head or self._is_odd):
                self._is_odd = True
                self._parser = httptools.HttpResponseParser(self)
                self.headers = []
                self._ends_with_connection = True
            else:
                raise ReplyError(reason) from error
        return self.has_head

    def _parse_head_again(self, data: bytes) -> None:
        """Keep what may be of a head; take one with an odd value from its beginning, when it is whole."""
        self._early += data
        while self._is_odd and (end := self._early.find(_HEAD_END)) >= 0:
            end += len(_HEAD_END)
            head, self._early = self._early[:end], self._early[end:]
            if self._parse(_without_odd_values(head)):
                self._parse(self._early)
                return

    def _ended(self) -> bool:
        """Whether what was just fed had the end; the callbacks below have noted it."""
        return self.is_complete

    # Called by httptools.

    def on_message_begin(self) -> None:
        """Another message begins: the final reply, or one too many."""
        if self.is_complete:
            self.has_surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or, once there is a head, a trailer, which nobody reads."""
        name = name.lower()
        if self.has_head:
            if name == b"transfer-encoding":  # llhttp refuses the other one that frames
                msg = "a trailer frames the reply again"
                raise ReplyError(msg)
            return
        if name == b"content-length":
            self._ends_with_connection = False
        elif name == b"transfer-encoding":
            # To the letter: with a tab behind it llhttp reads no chunks. Twice is one in another.
            if value.lower() != b"chunked" or not self._ends_with_connection:
                msg = "the reply has a transfer coding that was not asked for"
                raise ReplyError(msg)
            self._ends_with_connection = False
        self.headers.append((name, value.rstrip()))
        if len(self.headers) > MAX_HEADERS:
            msg = f"the reply has more than {MAX_HEADERS} headers"
            raise ReplyError(msg)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.has_head:
            return
        status = self._parser.get_status_code()
        # A text is made of it each time.
        version = "1.1" if self._is_usual else self._parser.get_http_version()
        if version not in _VERSIONS:
            msg = "the reply is of another version of HTTP"
            raise ReplyError(msg)
        if status < _FIRST_INTERIM:
            msg = f"the reply has the status {status:03}, which does not exist"
            raise ReplyError(msg)
        if status == _SWITCHING:
            msg = "the reply switches to another protocol"
            raise ReplyError(msg)
        # Of what has not come nothing can be counted.
        if (
            self._head_bytes > MAX_BARREN_BYTES
            and sum([len(name) + len(value) for name, value in self.headers]) > MAX_BARREN_BYTES
        ):
            msg = f"the reply has more than {MAX_BARREN_BYTES} bytes of headers"
            raise ReplyError(msg)
        if status < _FIRST_FINAL:
            self._is_usual = False
            if not (self._ends_with_connection or status in _BODILESS_INTERIM):
                msg = "an interim reply has a body"
                raise ReplyError(msg)
            self.headers = []
            self._ends_with_connection = True
            return
        self.status = status
        self.has_head = True
        # 1.0 knows no chunks: what says both is not to be trusted about where it ends (RFC 9112, 6.1).
        self._is_last = version == "1.0" and b"transfer-encoding" in dict(self.headers)
        if status in _BODILESS:
            self._ends_with_connection = False

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.is_complete:
            self.pieces.append(data)
            self.buffered_bytes += len(data)

    def on_message_complete(self) -> None:
        """The message is at its end."""
        if self.has_head and not self.is_complete:
            self.is_complete = True
            self.keeps_alive = not self._is_last and self._parser.should_keep_alive()
