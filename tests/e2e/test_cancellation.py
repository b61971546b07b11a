"""A client that leaves stops the provider's work, on every route and at every moment.

The fake provider would go on for ten minutes: that its connection is closed at all is the gateway's doing.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rig import behaviours
from tests.rig.behaviours import PROMPT_TOKENS
from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.load import counted_as_left_out, recorded_trace_ids
from tests.rig.manifests import SCRIPTED, bearer, chat, chat_body
from tests.rig.raw_http import RawConnection, request_bytes
from tests.rig.until import until

CHAT = "/v1/chat/completions"
JSON = ("content-type", "application/json")
LEAVE: dict[str, Callable[[RawConnection], None]] = {
    "reset": RawConnection.reset,
    "close": RawConnection.close,
    "half-close": RawConnection.half_close,
}


def body_for(path: str, model: str, *, stream: bool) -> bytes:
    """A body that suits the endpoint."""
    question = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/embeddings": "input"}[
        path
    ]
    asked = [{"role": "user", "content": "x"}] if question == "messages" else "x"
    return json.dumps({"model": model, question: asked, **({"stream": True} if stream else {})}).encode()


def begin(
    gateway: GatewayProcess, upstream: FakeUpstream, model: str, *, path: str = CHAT, stream: bool
) -> tuple[RawConnection, Exchange, str]:
    """Start a call and wait until the provider has it."""
    trace_id = secrets.token_hex(16)
    before = len(upstream.exchanges)
    connection = gateway.connect()
    headers = [bearer(), JSON, ("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-01")]
    connection.send(request_bytes("POST", path, headers, body_for(path, model, stream=stream)))
    until(lambda: len(upstream.exchanges) > before, what="the call to reach the provider")
    return connection, upstream.exchanges[before], trace_id


def assert_stopped(exchange: Exchange) -> None:
    """The provider saw its connection closed, by us and before it was done."""
    assert exchange.was_aborted.wait(60), "the provider's connection is still open"
    assert not exchange.was_answered.is_set()


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (CHAT, "fake/hang", True),
        (CHAT, "fake/hang", False),
        (CHAT, "fake/hang-after-head", True),
        (CHAT, "fake/hang-after-head", False),
        (CHAT, "lab/scripted", True),
        ("/v1/completions", "fake/hang", True),
        ("/v1/completions", "fake/hang", False),
        ("/v1/embeddings", "fake/hang", False),
    ],
)
def test_leaving_before_the_first_byte(
    gateway: GatewayProcess, upstream: FakeUpstream, path: str, model: str, *, stream: bool
) -> None:
    """Streamed or not, on every endpoint, however the client leaves."""
    upstream.play(SCRIPTED, *[behaviours.forever] * len(LEAVE))
    left = {}
    for how, leave in LEAVE.items():
        connection, exchange, left[how] = begin(gateway, upstream, model, path=path, stream=stream)
        assert exchange.connection.is_open
        leave(connection)
        assert_stopped(exchange)
        connection.close()
    # Looked at together, as what has ended can be read half a second later.
    for how, trace_id in left.items():
        row = gateway.row(trace_id)
        assert (row["error_type"], row["status_code"]) == ("client_disconnected", 499), how


@pytest.mark.parametrize("leave", LEAVE)
def test_leaving_mid_stream(gateway: GatewayProcess, upstream: FakeUpstream, leave: str) -> None:
    """The usage so far is recorded, once, and marked partial; it is not our error."""
    connection, exchange, trace_id = begin(gateway, upstream, "fake/hang-mid-stream", stream=True)
    assert connection.read_head().status == 200
    while b"The " not in connection.read_piece():
        pass
    assert exchange.connection.is_open
    LEAVE[leave](connection)
    assert_stopped(exchange)
    connection.close()
    row = gateway.row(trace_id)
    assert row["error_type"] == "client_disconnected"
    assert row["usage"]["source"] == "partial"
    assert row["usage"]["output_tokens"] >= 1
    server = gateway.trace(trace_id)["spans"][0]
    assert server["status"]["code"] == "UNSET"
    assert server["attributes"]["error.type"] == "client_disconnected"
    assert recorded_trace_ids(gateway).count(trace_id) == 1


def test_leaving_while_the_provider_writes(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A stream in full flow stops too."""
    upstream.play(SCRIPTED, behaviours.stream(words=1_000_000))
    connection, exchange, _ = begin(gateway, upstream, "fake/scripted", stream=True)
    connection.read_head()
    connection.read_piece()
    connection.reset()
    assert_stopped(exchange)


def test_leaving_after_usage_came(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """What the provider had already reported is kept, still partial: the reply was not whole."""
    usage_first = [
        behaviours.chunk("scripted", {"role": "assistant", "content": "a"}, usage=behaviours.usage()),
        behaviours.chunk("scripted", {"content": "b"}),
    ]
    upstream.play(SCRIPTED, behaviours.stream_of(*usage_first, ends=False))
    connection, exchange, trace_id = begin(gateway, upstream, "fake/scripted", stream=True)
    connection.read_head()
    seen = b""
    while b'"b"' not in seen:
        seen += connection.read_piece()
    connection.reset()
    assert_stopped(exchange)
    usage = gateway.row(trace_id)["usage"]
    assert usage["input_tokens"] == PROMPT_TOKENS
    assert usage["source"] == "partial"


def test_leaving_after_the_end_marker_is_no_abort(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Clients, the official SDK too, close at `[DONE]`, before the body has ended: that reply was whole."""
    events = [
        behaviours.chunk("scripted", {"role": "assistant", "content": "a"}),
        behaviours.chunk("scripted", {}, "stop"),
        behaviours.usage_chunk("scripted"),
        behaviours.DONE,
    ]
    upstream.play(SCRIPTED, behaviours.stream_of(*events, ends=False))
    connection, _, trace_id = begin(gateway, upstream, "fake/scripted", stream=True)
    connection.read_head()
    seen = b""
    while behaviours.DONE not in seen:
        seen += connection.read_piece()
    connection.close()
    row = gateway.row(trace_id)
    assert (row["status"], row["error_type"], row["usage"]["source"]) == ("ok", None, "provider")
    client = gateway.trace(trace_id)["spans"][1]
    assert "error.type" not in client["attributes"]


def test_slow_reader_is_not_a_leaver(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A client that stops reading holds the provider back, not the memory; later it gets all of it."""
    event, count = behaviours.chunk("scripted", {"content": "x" * 65_536}), 1_500
    finish = behaviours.chunk("scripted", {}, "stop")
    upstream.play(SCRIPTED, behaviours.stream_of(*[event] * count, finish, behaviours.DONE))
    (worker,) = gateway.worker_pids()
    connection, exchange, _ = begin(gateway, upstream, "fake/scripted", stream=True)
    with connection:
        connection.read_head()
        memory = resident_bytes(worker)
        # 98 MB are on their way: far more than the kernel's buffers on both sides hold.
        assert not exchange.was_answered.wait(1.0)
        assert resident_bytes(worker) - memory < 16_000_000
        size = sum(map(len, connection.read_pieces()))
    assert size == len(event) * count + len(finish) + len(behaviours.DONE)
    assert exchange.was_answered.wait(60)


def open_files(pid: int) -> int:
    """File descriptors of a process, sockets above all."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def abort_many(gateway: GatewayProcess, upstream: FakeUpstream, count: int) -> list[str]:
    """Abort *count* calls: before the first byte, mid-stream and non-stream; gives their trace ids."""
    trace_ids = []
    kinds = [("fake/hang", True), ("fake/hang-mid-stream", True), ("fake/hang", False)]
    for number in range(count):
        model, stream = kinds[number % len(kinds)]
        connection, exchange, trace_id = begin(gateway, upstream, model, stream=stream)
        if model == "fake/hang-mid-stream":
            connection.read_head()
            connection.read_piece()
        connection.reset() if number % 2 else connection.close()
        assert_stopped(exchange)
        trace_ids.append(trace_id)
    return trace_ids


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=pytest.mark.long)])
def test_aborts_leave_nothing(start_gateway: StartGateway, upstream: FakeUpstream, count: int) -> None:
    """Sockets and files are as many as before, each call is recorded once, and a new call is served."""
    gateway = start_gateway(workers=1)
    (worker,) = gateway.worker_pids()
    elsewhere = upstream.open_connections
    assert chat(gateway, "fake/normal").status == 200
    abort_many(gateway, upstream, 30)
    assert chat(gateway, "fake/normal").status == 200
    files, memory = open_files(worker), resident_bytes(worker)
    upstream.forget()

    aborted = abort_many(gateway, upstream, count)

    until(lambda: upstream.open_connections <= elsewhere + 1, what="every provider connection to be closed")
    until(lambda: open_files(worker) <= files, what=f"the worker to have no more than {files} files open")
    assert chat(gateway, "fake/normal").status == 200
    # 30 MB of growth over thousands of calls would be a leak; allocators are allowed some noise.
    assert resident_bytes(worker) - memory < 30_000_000
    until(
        lambda: len(set(aborted) - set(recorded_trace_ids(gateway))) <= counted_as_left_out(gateway),
        what="every abort to be recorded, or left out on a busy machine",
    )
    recorded = recorded_trace_ids(gateway)
    assert len(recorded) == len(set(recorded))
    assert gateway.worker_pids() == [worker]


def test_many_at_once(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A hundred clients that wait and leave together hold nobody else up."""
    gateway = start_gateway(workers=1)
    connections = []
    for _ in range(100):
        connection = gateway.connect()
        connection.send(request_bytes("POST", CHAT, [bearer(), JSON], chat_body("fake/hang", stream=True)))
        connections.append(connection)
    until(lambda: len(upstream.exchanges) == 100, what="all calls to reach the provider")
    assert chat(gateway, "fake/normal").status == 200
    exchanges = upstream.exchanges[:100]
    for connection in connections:
        connection.reset()
    for exchange in exchanges:
        assert_stopped(exchange)
