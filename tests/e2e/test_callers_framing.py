"""What callers do with HTTP/1.1 around a call: how a body is framed, what follows it, and when they leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import bearer, chat, chat_body, trace_id_of
from tests.rig.raw_http import RawConnection, assert_error, request_bytes
from tests.rig.until import until

CHAT: Final = "/v1/chat/completions"
JSON: Final = ("content-type", "application/json")
HEADERS: Final = [bearer(), JSON]


def call(model: str, *, stream: bool = False, user: str = "") -> bytes:
    """A request, framed by its length."""
    return request_bytes("POST", CHAT, HEADERS, chat_body(model, stream=stream, user=user))


def chunked(model: str, size: int = 20, *, stream: bool = False, user: str = "") -> bytes:
    """The same in chunks of *size*."""
    body = chat_body(model, stream=stream, user=user)
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    wire = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return request_bytes("POST", CHAT, [*HEADERS, ("transfer-encoding", "chunked")]) + wire


def test_pipelined_calls(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Calls sent at once on a connection are answered in order, each with its own body, however framed."""
    with gateway.connect() as connection:
        wires = [
            call("fake/normal", user="0"),
            chunked("fake/normal", 7, user="1"),
            call("fake/normal", user="2", stream=True),
            call("fake/normal", user="3"),
            chunked("fake/normal", 1000, user="4"),
            call("fake/normal", user="5" * 300_000),
            call("fake/normal", user="6"),
        ]
        connection.send(b"".join(wires))
        replies = [connection.read_reply() for _ in wires]
    assert [reply.status for reply in replies] == [200] * len(wires)
    assert [exchange.json["user"][:1] for exchange in upstream.exchanges] == list("0123456")


@pytest.mark.parametrize("seconds", [0, 0.005, 0.03])
def test_next_call_before_the_answer(gateway: GatewayProcess, upstream: FakeUpstream, seconds: float) -> None:
    """A call that comes while another waits for its answer, watched or not yet, is no departure."""
    with gateway.connect() as connection:
        connection.send(call("fake/slow-headers", user="0"))
        time.sleep(seconds)  # the moment of the disturbance, not a wait for something
        connection.send(call("fake/normal", user="1"))
        assert [connection.read_reply().status for _ in range(2)] == [200, 200]
    assert [exchange.json["user"] for exchange in upstream.exchanges] == ["0", "1"]


def assert_stopped(exchanges: list[Exchange]) -> None:
    until(lambda: all(each.was_aborted.is_set() for each in exchanges), what="the provider to be stopped")


@pytest.mark.parametrize("seconds", [0, 0.002, 0.008, 0.015, 0.025])
@pytest.mark.parametrize("framing", [call, chunked], ids=["length", "chunks"])
@pytest.mark.parametrize("leave", [RawConnection.reset, RawConnection.close, RawConnection.half_close])
def test_leaving_early(
    gateway: GatewayProcess,
    upstream: FakeUpstream,
    seconds: float,
    framing: Callable[..., bytes],
    leave: Callable[[RawConnection], None],
) -> None:
    """Whoever leaves right after the call, or a little later, stops the provider, if it was asked at all."""
    for stream in (False, True):
        before = len(upstream.exchanges)
        connection = gateway.connect()
        connection.send(framing("fake/hang", stream=stream))
        time.sleep(seconds)  # the moment of leaving, not a wait for something
        leave(connection)
        assert chat(gateway, "fake/normal").status == 200
        assert_stopped([each for each in upstream.exchanges[before:] if each.model == "hang"])
        connection.close()


def test_expect_continue(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A caller that waits to be told to go on with its body is told, and answered."""
    body = chat_body("fake/normal")
    head = request_bytes(
        "POST", CHAT, [*HEADERS, ("expect", "100-continue"), ("content-length", str(len(body)))]
    )
    with gateway.connect() as connection:
        for _ in range(2):
            connection.send(head)
            assert connection.socket.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.send(body)
            assert connection.read_reply().status == 200
    assert upstream.exchanges[0].header("expect") is None


def test_body_longer_than_its_length(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """What comes behind the body is no part of it, and no call."""
    with gateway.connect() as connection:
        connection.send(call("fake/normal") + b'{"more":1}\r\n\r\n')
        assert connection.read_reply().status == 200
        assert connection.read_reply().status == 400
        assert connection.has_ended()
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize(
    "wire", [call("fake/normal")[:-1], chunked("fake/normal", 20)[:-3]], ids=["length", "chunks"]
)
def test_body_shorter_than_its_length(gateway: GatewayProcess, upstream: FakeUpstream, wire: bytes) -> None:
    """A body whose sender goes before it is whole is no call, whichever way it goes."""
    for leave in (RawConnection.reset, RawConnection.close, RawConnection.half_close):
        connection = gateway.connect()
        connection.send(wire)
        leave(connection)
        assert chat(gateway, "fake/normal").status == 200
        connection.close()
    assert ["user" in each.json for each in upstream.exchanges] == [False] * 3


@pytest.mark.long
def test_a_body_that_stalls(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A minute of silence within a body is 408, told by its trace, and no call; others go on meanwhile."""
    with gateway.connect() as connection:
        connection.socket.settimeout(120)
        connection.send(call("fake/normal")[:-1])
        assert chat(gateway, "fake/normal").status == 200
        reply = connection.read_reply()
        assert_error(reply, 408, "timeout_error", "body_timeout", "client")
    assert len(upstream.exchanges) == 1
    assert gateway.row(trace_id_of(reply))["status_code"] == 408
