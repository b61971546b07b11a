"""The caller's end of an exchange: bodies within limits, and who has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from gateway.edge import client as module
from gateway.edge.client import AsgiClient, AsgiHeaders
from gateway.edge.lifecycle import Lifecycle
from gateway.edge.lookout import Lookout
from gateway.errors import BodyTooLarge, ClientDisconnected, InvalidFraming

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "scheme": "http",
    "headers": [(b"host", b"lies.test"), (b"x-a", b"1"), (b"x-b", b"\xe9"), (b"x-a", b"2")],
    "server": ("127.0.0.1", "8787"),
    "client": ("192.0.2.7", 5),
}
GONE = {"type": "http.disconnect"}


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Wire:
    """ASGI's two ends: gives messages, keeps what was sent."""

    def __init__(self, *messages: dict[str, Any], closes: bool = False, **scope: Any) -> None:
        self._messages: Iterator[dict[str, Any]] = iter(messages)
        self.sent: list[dict[str, Any]] = []
        self.received = 0
        lookout = Lookout(asyncio.get_running_loop())
        self.lifecycle = Lifecycle()
        if closes:
            self.lifecycle.drain()
        self.client = AsgiClient(
            {**SCOPE, **scope},
            self._receive,
            self._send,
            lookout=lookout,
            route="/r",
            lifecycle=self.lifecycle,
        )

    async def _receive(self) -> Any:
        self.received += 1
        return next(self._messages)

    async def _send(self, message: Any) -> None:
        self.sent.append(dict(message))


# -- the head


def test_headers() -> None:
    """Headers are read by lower-case name, repeated ones joined as HTTP says."""
    headers = AsgiHeaders(SCOPE["headers"])
    assert headers.get("x-a") == "1, 2"
    assert headers.get_all("x-a") == ["1", "2"]
    assert headers.get("x-b") == "é"
    assert (headers.get("x-c"), headers.get_all("x-c")) == (None, [])
    assert headers.starting_with("x-") == ("x-a", "x-b")


def test_search_for_names_is_made_once() -> None:
    """What was found stays right for other names, and for other beginnings of the same ones."""
    for _ in range(2):
        headers = AsgiHeaders([(b"x-a", b"1"), (b"y-a", b"2"), (b"x-b", b"3")])
        assert headers.starting_with("x-") == ("x-a", "x-b")
        assert headers.starting_with("y-") == ("y-a",)
    assert AsgiHeaders([(b"x-a", b"1"), (b"y-b", b"2")]).starting_with("x-") == ("x-a",)


def test_searches_that_are_kept_are_few_and_short() -> None:
    """Whoever makes up names gets an answer, and no memory of ours."""
    for number in range(2 * module._KEPT_SEARCHES):
        assert AsgiHeaders([(b"x-%d" % number, b"")]).starting_with("x-") == (f"x-{number}",)
        assert len(module._searches) <= module._KEPT_SEARCHES
    long = b"x-" + b"n" * module._MAX_KEPT_BYTES
    assert AsgiHeaders([(long, b"")]).starting_with("x-") == (long.decode(),)
    assert all(long not in names for names, _ in module._searches)


def test_raw_headers() -> None:
    """Every value of the names, as it came."""
    assert AsgiHeaders(SCOPE["headers"]).raw((b"x-b", b"x-a")) == (b"1", b"\xe9", b"2")
    once = AsgiHeaders([(b"a", b"1"), (b"b", b"\xff")])
    assert once.raw((b"b", b"c", b"a")) == (b"\xff", None, b"1")


async def test_what_is_known_of_a_request() -> None:
    """Addresses are those of the socket: a Host header would let a caller choose what we note."""
    client = Wire().client
    assert (client.method, client.path, client.route, client.scheme) == (
        "POST",
        "/v1/chat/completions",
        "/r",
        "http",
    )
    assert (client.server_address, client.server_port, client.peer_address) == (
        "127.0.0.1",
        8787,
        "192.0.2.7",
    )
    nowhere = Wire(server=None, client=None).client
    assert (nowhere.server_address, nowhere.server_port, nowhere.peer_address) == ("", None, "")


# -- the body


def ignore(_: int) -> None:
    """There is room for everything."""


@pytest.mark.parametrize(
    ("messages", "body"),
    [
        pytest.param([part(b"")], b"", id="empty"),
        pytest.param([part(b"whole")], b"whole", id="one piece"),
        pytest.param([part(b"in ", more=True), part(b"two")], b"in two", id="two pieces"),
        pytest.param([part(b"x", more=True), part(b"", more=True), part(b"")], b"x", id="empty pieces"),
        pytest.param([part(b"0123456789")], b"0123456789", id="exactly the limit"),
        pytest.param([part(b"01234", more=True), part(b"56789")], b"0123456789", id="the limit in pieces"),
        pytest.param([{"type": "http.request"}], b"", id="the least that ASGI allows"),
        pytest.param([part(b"whole", more=True)], b"whole", id="as long as its length says"),
    ],
)
async def test_body(messages: list[dict[str, Any]], body: bytes) -> None:
    """A body comes whole, in however many pieces it was sent."""
    headers = [(b"content-length", str(len(body)).encode())] if len(messages) == 1 else []
    assert await Wire(*messages, headers=headers).client.read_body(10, ignore) == body


async def test_length_beside_chunks_frames_nothing() -> None:
    """Where both are sent the chunks are the body, whatever the length says."""
    headers = [(b"content-length", b"2"), (b"transfer-encoding", b"chunked")]
    wire = Wire(part(b"{}", more=True), part(b" {}"), headers=headers)
    assert await wire.client.read_body(10, ignore) == b"{} {}"


async def test_body_that_ends_with_its_length_is_not_waited_for() -> None:
    """Granian says in a message of its own that a body is at its end, which costs as much as the body."""
    wire = Wire(part(b"whole", more=True), part(b""), headers=[(b"content-length", b"5")])
    await wire.client.read_body(10, ignore)
    assert wire.received == 1


@pytest.mark.parametrize(
    ("messages", "headers", "read"),
    [
        pytest.param([], [(b"content-length", b"11")], 0, id="declared: nothing is read"),
        pytest.param([part(b"x" * 11)], [], 1, id="one piece"),
        pytest.param([part(b"x" * 11)], [(b"content-length", b"5")], 1, id="declared shorter than it is"),
        pytest.param([part(b"x" * 11)], [(b"content-length", b"ten")], 1, id="declared nonsense"),
        pytest.param(
            [part(b"x" * 6, more=True), part(b"x" * 6, more=True)], [], 2, id="without end: left early"
        ),
        pytest.param([part(b"x" * 6, more=True), part(b"x" * 5)], [], 2, id="chunked, by one byte"),
    ],
)
async def test_body_over_the_limit(
    messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], read: int
) -> None:
    """A body over the limit is refused, as early as it shows."""
    wire = Wire(*messages, headers=headers)
    with pytest.raises(BodyTooLarge, match="10 bytes"):
        await wire.client.read_body(10, ignore)
    assert wire.received == read


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        pytest.param([(b"content-length", b"5")], [5], id="declared"),
        pytest.param([], [3, 2], id="in chunks"),
    ],
)
async def test_what_is_held_is_told(headers: list[tuple[bytes, bytes]], told: list[int]) -> None:
    """All at once where the head tells, before anything is read, else piece by piece."""
    found: list[int] = []
    wire = Wire(part(b"who", more=True), part(b"le"), headers=headers)
    await wire.client.read_body(10, found.append)
    assert found == told


async def test_body_without_room_is_not_read() -> None:
    """Whoever is told of its bytes may refuse them."""

    def refuse(_: int) -> None:
        raise LookupError

    wire = Wire(part(b"whole"), headers=[(b"content-length", b"5")])
    with pytest.raises(LookupError):
        await wire.client.read_body(10, refuse)
    assert wire.received == 0


@pytest.mark.parametrize(
    ("headers", "is_short"),
    [
        pytest.param([(b"content-length", b"16384")], True, id="short"),
        pytest.param([(b"content-length", b"16385")], False, id="long"),
        pytest.param([(b"transfer-encoding", b"chunked")], False, id="unknown"),
        pytest.param([(b"transfer-encoding", b"gzip, chunked")], False, id="in a framing that is refused"),
    ],
)
async def test_short_body(headers: list[tuple[bytes, bytes]], *, is_short: bool) -> None:
    """Only what is known to be short counts as short."""
    assert Wire(headers=headers).client.is_short == is_short


@pytest.mark.parametrize(
    ("messages", "headers", "read"),
    [
        pytest.param([part(b"who", more=True), part(b"le")], [(b"content-length", b"5")], 2, id="whole"),
        pytest.param([part(b"who", more=True), GONE], [(b"content-length", b"5")], 2, id="its caller leaves"),
        pytest.param([], [], 0, id="none"),
        pytest.param([], [(b"content-length", b"100000000000")], 0, id="very long"),
        pytest.param([], [(b"transfer-encoding", b"gzip, chunked")], 0, id="in a framing that is refused"),
        pytest.param([], [(b"content-length", b"5"), (b"expect", b"100-continue")], 0, id="not asked for"),
    ],
)
async def test_body_that_nobody_wants(
    messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], read: int
) -> None:
    """It is taken in, so that the connection stays of use; one without end is not."""
    wire = Wire(*messages, headers=headers)
    await wire.client.drop_body()
    assert wire.received == read


@pytest.mark.parametrize(
    ("messages", "headers", "read"),
    [
        pytest.param([part(b"whole")], [(b"content-length", b"5")], 1, id="all has come"),
        pytest.param([part(b"who", more=True), part(b"le")], [], 2, id="too much has come"),
        pytest.param(
            [part(b"longer", more=True), part(b"", more=True), part(b"")], [], 3, id="more is to come"
        ),
    ],
)
async def test_rest_of_a_body_that_nobody_wants(
    messages: list[dict[str, Any]], headers: list[tuple[bytes, bytes]], read: int
) -> None:
    """What has been read is not waited for again."""
    wire = Wire(*messages, headers=headers or [(b"transfer-encoding", b"chunked")])
    with suppress(BodyTooLarge):
        await wire.client.read_body(5 if headers else 4, ignore)
    await wire.client.drop_body()
    assert wire.received == read


async def test_body_that_nobody_wants_is_taken_in_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends on for longer than that is not waited for a second time."""
    monkeypatch.setattr(module, "DROP_BYTES", 4)
    headers = [(b"transfer-encoding", b"chunked")]
    wire = Wire(part(b"some", more=True), part(b"more", more=True), headers=headers)
    await wire.client.drop_body()
    await wire.client.drop_body()
    assert wire.received == 1


async def test_rest_of_a_body_that_was_asked_for() -> None:
    """Whoever waited for a 100 has it by then, and sends."""
    waiting = [(b"transfer-encoding", b"chunked"), (b"expect", b"100-continue")]
    wire = Wire(part(b"too long", more=True), part(b"and more"), headers=waiting)
    with pytest.raises(BodyTooLarge):
        await wire.client.read_body(4, ignore)
    await wire.client.drop_body()
    assert wire.received == 2


@pytest.mark.parametrize(
    "messages", [[GONE], [part(b"x", more=True), GONE]], ids=["before the body", "in the body"]
)
async def test_caller_that_leaves_while_sending(messages: list[dict[str, Any]]) -> None:
    """Half a body is none; whoever has only ended its own side is told so."""
    wire = Wire(*messages)
    with pytest.raises(ClientDisconnected):
        await wire.client.read_body(10, ignore)
    assert [message.get("status") for message in wire.sent] == [400, None]


@pytest.mark.parametrize(
    "messages", [[GONE], [part(b"x", more=True), GONE]], ids=["before the body", "in the body"]
)
async def test_chunks_that_are_none(messages: list[dict[str, Any]]) -> None:
    """The server tells of them as of a caller that leaves: it is refused, and not waited for again."""
    headers = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]
    whole, by_pieces = Wire(*messages, headers=headers), Wire(*messages, headers=headers)
    with pytest.raises(InvalidFraming):
        await whole.client.read_body(10, ignore)
    with pytest.raises(InvalidFraming):
        await read_pieces(by_pieces)
    for wire in (whole, by_pieces):
        await wire.client.drop_body()
        assert (wire.sent, wire.received) == ([], len(messages))


# -- the response


async def test_whole_response() -> None:
    """A whole response has its length and comes in one piece."""
    wire = Wire()
    await wire.client.respond(201, [(b"a", b"b")], b"body")
    assert wire.client.has_started
    assert wire.sent == [
        {"type": "http.response.start", "status": 201, "headers": [(b"a", b"b"), (b"content-length", b"4")]},
        {"type": "http.response.body", "body": b"body", "more_body": False},
    ]


async def test_streamed_response() -> None:
    """A stream is a head, pieces, an end."""
    wire = Wire()
    states = [wire.client.has_started]
    await wire.client.start(200, [(b"a", b"b")])
    assert [*states, wire.client.has_started] == [False, True]
    await wire.client.write(b"one")
    await wire.client.end()
    assert wire.sent == [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]},
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"", "more_body": False},
    ]


async def test_draining_worker_closes_connections() -> None:
    """Each response of a draining worker is its connection's last."""
    wire = Wire(closes=True)
    await wire.client.respond(200, [], b"")
    assert (b"connection", b"close") in wire.sent[0]["headers"]
    assert wire.lifecycle.farewells == 1


async def test_a_call_that_began_before_the_drain() -> None:
    """Is its connection's last as well: the next one would come to a worker that has gone."""
    wire = Wire()
    wire.lifecycle.drain()
    await wire.client.respond(200, [], b"")
    assert (b"connection", b"close") in wire.sent[0]["headers"]
    ready = Wire()
    await ready.client.respond(200, [], b"")
    assert (b"connection", b"close") not in ready.sent[0]["headers"]
    assert ready.lifecycle.farewells == 0


async def test_client_watches_its_own_connection() -> None:
    """A client's watch waits on its `receive`."""
    gone: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    gone.set_result(GONE)
    lookout = Lookout(asyncio.get_running_loop())
    client = AsgiClient(SCOPE, lambda: gone, Wire()._send, lookout=lookout, route="", lifecycle=Lifecycle())  # type: ignore[arg-type,return-value]
    with pytest.raises(ClientDisconnected), client.watch():
        await asyncio.Event().wait()


async def test_caller_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece of an answer that does not leave is waited for, and then the caller has gone for us."""
    monkeypatch.setattr(module, "STALL_S", 0.001)
    wire = Wire()
    await wire.client.start(200, [])
    wire.client._send = lambda _: asyncio.get_running_loop().create_future()
    with pytest.raises(ClientDisconnected):
        await wire.client.write(b"x")


async def test_head_that_the_transport_refuses_has_not_started() -> None:
    """A response has begun when its head was taken: until then an error can still be a whole response."""
    wire = Wire()
    refusals = [ValueError("a header that cannot be sent")]

    async def send(message: Any) -> None:
        if refusals:
            raise refusals.pop()
        wire.sent.append(dict(message))

    lookout = Lookout(asyncio.get_running_loop())
    client = AsgiClient(SCOPE, wire._receive, send, lookout=lookout, route="/r", lifecycle=Lifecycle())
    with pytest.raises(ValueError, match="cannot be sent"):
        await client.start(200, [(b"a", b"\x00")])
    states = [client.has_started]
    await client.respond(500, [], b"{}")
    assert [*states, client.has_started] == [False, True]
    assert [message.get("status") for message in wire.sent] == [500, None]


# -- a body piece by piece


async def read_pieces(wire: Wire) -> list[bytes]:
    pieces = []
    while data := await wire.client.read_piece():
        pieces.append(data)
    return pieces


async def test_pieces_with_a_length() -> None:
    """The length tells the end before Granian does, so nobody waits for a message more."""
    wire = Wire(part(b"ab", more=True), part(b"cde", more=True), headers=[(b"content-length", b"5")])
    assert (wire.client.has_body, wire.client.declared_bytes) == (True, 5)
    assert await read_pieces(wire) == [b"ab", b"cde"]
    assert await wire.client.read_piece() == b""
    assert wire.received == 2


async def test_pieces_without_a_length() -> None:
    """Empty ones are no end."""
    wire = Wire(
        part(b"ab", more=True), part(b"", more=True), part(b"c", more=True), part(b""),
        headers=[(b"transfer-encoding", b"chunked")],
    )  # fmt: skip
    assert (wire.client.has_body, wire.client.declared_bytes) == (True, None)
    assert await read_pieces(wire) == [b"ab", b"c"]


@pytest.mark.parametrize(
    "codings", [[b"gzip, chunked"], [b"identity", b"chunked"], [b"chunked", b"chunked"]], ids=str
)
async def test_codings_that_a_proxy_may_read_otherwise(codings: list[bytes]) -> None:
    """No byte of such a body is read."""
    wire = Wire(part(b"ab"), headers=[(b"transfer-encoding", coding) for coding in codings])
    for reading in (wire.client.read_piece(), wire.client.read_body(10, lambda _: None)):
        with pytest.raises(InvalidFraming):
            await reading
    assert wire.received == 0


async def test_caller_that_leaves_within_its_pieces() -> None:
    """Half a body is none."""
    wire = Wire(part(b"ab", more=True), GONE, headers=[(b"content-length", b"5")])
    await wire.client.read_piece()
    with pytest.raises(ClientDisconnected):
        await wire.client.read_piece()
    assert [message.get("status") for message in wire.sent] == [400, None]


async def test_caller_that_leaves_within_its_pieces_after_the_answer_began() -> None:
    """Nothing is added to that."""
    wire = Wire(GONE, headers=[(b"content-length", b"5")])
    await wire.client.start(200, [])
    with pytest.raises(ClientDisconnected):
        await wire.client.read_piece()
    assert [message.get("status") for message in wire.sent] == [200]


async def test_waiting_for_the_caller_to_leave() -> None:
    """What else comes is the end of the body."""
    wire = Wire(part(b""), GONE)
    with pytest.raises(ClientDisconnected):
        await wire.client.until_gone()
    assert wire.received == 2


async def test_head_of_a_passage() -> None:
    """The query as it was written; no body where none is announced."""
    wire = Wire(query_string=b"a=%20", headers=[(b"content-length", b"0")])
    assert (wire.client.query, wire.client.has_body) == ("a=%20", False)
    assert not Wire(headers=[]).client.has_body
