"""More than a worker takes on: refused at once and in its place, and the connection stays of use."""

from __future__ import annotations

import json
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from select import select
from typing import Any, Final

import pytest

from perf.bench import started_bench
from perf.contenders import EVERYTHING, started_gateway
from perf.scenarios.overload import flood
from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    NARROW_TOKEN,
    SCRIPTED,
    bearer,
    chat,
    chat_body,
    openai_account,
    trace_id_of,
    virtual_account,
)
from tests.rig.raw_http import RawConnection, Reply, request_bytes
from tests.rig.until import until

CHAT: Final = "/v1/chat/completions"
JSON: Final = ("content-type", "application/json")
MODEL: Final = f"fake/{SCRIPTED}"
BOUND: Final = 4
"""Calls of high priority; a low one needs half of it to be free."""
INPUT_BYTES: Final = 1_000_000
_HEALTH: Final = re.compile(r"^health on http://127\.0\.0\.1:(\d+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def crowded(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    rule = {"id": "last", "when": {"subjects": ["virtualaccount:narrow"]}, "priority": "low"}
    documents = [
        openai_account("fake", upstream_server.base_url, [SCRIPTED, "normal"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["*"]),
        {
            "type": "gateway-global-settings",
            "overload_settings": {"priority_rules": [rule], "low_share": 0.5},
        },
    ]
    options = [
        *("--max-in-flight", str(BOUND), "--max-input-bytes-in-flight", str(INPUT_BYTES)),
        *("--health-port", "0"),
    ]
    folder = tmp_path_factory.mktemp("crowded")
    with GatewayProcess(folder, documents, options=options, environment=ENVIRONMENT) as process:
        yield process


@contextmanager
def calls_in_flight(
    gateway: GatewayProcess, upstream: FakeUpstream, count: int, body: bytes | None = None
) -> Iterator[None]:
    """So many calls of a provider that does not answer inside the block; all are answered well after it."""
    gate = upstream.gate()
    upstream.play(SCRIPTED, *[behaviours.stream(gate=gate)] * count)
    before = len(upstream.exchanges)
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(gateway.connect())) for _ in range(count)]
        asked = request_bytes("POST", CHAT, [bearer(), JSON], body or chat_body(MODEL, stream=True))
        for number, connection in enumerate(connections, before + 1):
            # Calls before may still count: who made them has the end of the answer a moment earlier.
            until(lambda: is_under_way(connection, asked, upstream, number), "the calls to be under way")  # noqa: B023 - at once
        try:
            yield
        finally:
            gate.open()
        for connection in connections:
            assert connection.read_reply().status == 200


def is_under_way(connection: RawConnection, asked: bytes, upstream: FakeUpstream, number: int) -> bool:
    """Call, and wait for the provider to have so many calls, or for a refusal."""
    connection.send(asked)
    until(
        lambda: len(upstream.exchanges) >= number or select([connection.socket], [], [], 0.0)[0],
        "the call to be sent or refused",
    )
    if len(upstream.exchanges) < number:
        assert_overloaded(connection.read_reply())
    return len(upstream.exchanges) >= number


def error_of(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = reply.json["error"]
    return found


def assert_overloaded(reply: Reply) -> None:
    assert reply.status == 503, reply
    assert (error_of(reply)["type"], error_of(reply)["code"]) == ("overloaded_error", "overloaded")
    assert error_of(reply)["source"] == reply.header("x-tfy-error-source") == "gateway"
    assert reply.header("retry-after") in {"1", "2", "3"}


def metric(gateway: GatewayProcess, name: str, **labels: str) -> float:
    _, text = gateway.control("GET", "/metrics")
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in str(text).splitlines():
        found = re.match(rf"{name}(?:{{(.*)}})? (\S+)$", line)
        if found and wanted <= set((found[1] or "").split(",")):
            return float(found[2])
    return 0.0


def health(gateway: GatewayProcess, path: str) -> tuple[int, dict[str, Any]]:
    found = _HEALTH.search(gateway.stdout)
    assert found, gateway.stdout
    with closing(HTTPConnection("127.0.0.1", int(found[1]), timeout=60)) as connection:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


def test_beyond_the_bound(crowded: GatewayProcess, upstream: FakeUpstream) -> None:
    """The next one is refused on a connection that goes on; the others and health notice nothing."""
    with closing(crowded.connect()) as connection:
        with calls_in_flight(crowded, upstream, BOUND):
            for body in (chat_body("fake/normal"), chat_body("fake/normal", padding="x" * 500_000)):
                reply = connection.exchange("POST", CHAT, [bearer(), JSON], body)
                assert_overloaded(reply)
            assert connection.exchange("GET", "/livez").status == 200
            assert connection.exchange("GET", "/v1/models", [bearer()]).status == 200
            assert connection.exchange("POST", "/v1/nowhere", [bearer()], b"{}").status == 404
            until(lambda: health(crowded, "/readyz")[0] == 200, "the host to be ready")
            told = trace_id_of(reply)
        until(
            lambda: (
                connection.exchange("POST", CHAT, [bearer(), JSON], chat_body("fake/normal")).status == 200
            ),
            "room again",
        )
    span = crowded.trace(told)["spans"][0]
    assert span["attributes"]["gateway.overload.reason"] == "in_flight"
    assert span["attributes"]["gateway.priority"] == "normal"
    assert span["attributes"]["gateway.caller"] == "app"
    assert span["attributes"]["error.type"] == "overloaded"
    labels = {"gateway_priority": "normal", "reason": "in_flight"}
    until(lambda: metric(crowded, "gateway_overload_refusals_total", **labels) >= 2, "the count")


def test_low_priority_goes_first(crowded: GatewayProcess, upstream: FakeUpstream) -> None:
    """A caller whom a rule calls low has half the room, in its own dialect's words."""
    with calls_in_flight(crowded, upstream, BOUND // 2):
        assert_overloaded(chat(crowded, "fake/normal", token=NARROW_TOKEN))
        assert chat(crowded, "fake/normal", token=APP_TOKEN).status == 200
        with crowded.connect() as connection:
            headers = [("x-api-key", NARROW_TOKEN), ("anthropic-version", "2023-06-01"), JSON]
            reply = connection.exchange("POST", "/v1/messages", headers, chat_body("fake/normal"))
        assert (reply.status, reply.json["type"]) == (503, "error")
        assert reply.json["error"]["type"] == "overloaded_error"
    until(lambda: chat(crowded, "fake/normal", token=NARROW_TOKEN).status == 200, "room again")


def test_body_without_room(crowded: GatewayProcess, upstream: FakeUpstream) -> None:
    """It is refused by its length, the connection goes on, and what is held is let go again."""
    body = chat_body(MODEL, stream=True, padding="x" * (INPUT_BYTES // 2))
    with calls_in_flight(crowded, upstream, 1, body):
        until(lambda: metric(crowded, "gateway_input_held_bytes") >= INPUT_BYTES // 2, "what is held")
        with crowded.connect() as connection:
            announced = ("content-length", str(INPUT_BYTES // 2))
            connection.send(request_bytes("POST", CHAT, [bearer(), JSON, announced]))
            assert_overloaded(connection.read_reply())
        with crowded.connect() as connection:
            for _ in range(3):
                connection.send(request_bytes("POST", CHAT, [bearer(), JSON, announced]))
                for _ in range(10):
                    connection.send(b"x" * (INPUT_BYTES // 20))
                assert_overloaded(connection.read_reply())
        assert chat(crowded, "fake/normal").status == 200
        chunked = [bearer(), JSON, ("transfer-encoding", "chunked")]
        with crowded.connect() as connection:
            connection.send(request_bytes("POST", CHAT, chunked))
            piece = b"%x\r\n%b\r\n" % (100_000, b"x" * 100_000)
            connection.send(piece * 6)
            assert_overloaded(connection.read_reply())
    until(lambda: metric(crowded, "gateway_input_held_bytes") == 0, "nothing to be held")


@pytest.mark.parametrize("framing", ["declared", "chunked"])
def test_body_that_comes_after_its_head(
    crowded: GatewayProcess, upstream: FakeUpstream, framing: str
) -> None:
    """Clients send it in a piece of its own: the connection must not break off under it."""
    body = chat_body("fake/normal", padding="x" * 50_000)
    if framing == "declared":
        header, sent = ("content-length", str(len(body))), body
    else:
        header, sent = ("transfer-encoding", "chunked"), b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with calls_in_flight(crowded, upstream, BOUND), crowded.connect() as connection:
        for _ in range(3):
            connection.send(request_bytes("POST", CHAT, [bearer(), JSON, header]))
            for at in range(0, len(sent), 20_000):
                connection.send(sent[at : at + 20_000])
            assert_overloaded(connection.read_reply())


def test_health_port(crowded: GatewayProcess) -> None:
    """It says no more than it must, and no while a worker stands still; the data plane cannot tell."""
    assert health(crowded, "/livez") == (200, {"status": "ok"})
    until(lambda: health(crowded, "/readyz")[0] == 200, "the host to be ready")
    assert health(crowded, "/readyz")[1] == {"status": "ready", "workers": {"connected": 1, "silent": 0}}
    (worker,) = crowded.worker_pids()
    crowded.signal(signal.SIGSTOP, worker)
    try:
        until(lambda: health(crowded, "/readyz")[0] == 503, "the worker to be missed")
        assert health(crowded, "/readyz")[1]["workers"] == {"connected": 1, "silent": 1}
        assert health(crowded, "/livez")[0] == 200
    finally:
        crowded.signal(signal.SIGCONT, worker)
    until(lambda: health(crowded, "/readyz")[0] == 200, "the worker to be back")


def test_websocket(crowded: GatewayProcess, upstream: FakeUpstream) -> None:
    """A session is a call like any other: its handshake is refused."""
    headers = [
        *(bearer(), ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    with calls_in_flight(crowded, upstream, BOUND), crowded.connect() as connection:
        assert_overloaded(connection.exchange("GET", f"/v1/realtime?model={MODEL}", headers))


def test_unused_connection_is_not_counted(crowded: GatewayProcess) -> None:
    """Idle connections are no calls."""
    with ExitStack() as stack:
        for _ in range(3 * BOUND):
            stack.enter_context(RawConnection(crowded.port))
        assert chat(crowded, "fake/normal").status == 200


@pytest.mark.long
@pytest.mark.parametrize(
    ("flags", "rps", "connections", "pace_ms"),
    [
        pytest.param(("--max-in-flight", "50"), 750.0, 600, 200, id="calls in flight"),
        # Benchmarks are more patient than a gateway is by itself.
        pytest.param(("--max-loop-lag", "0.05"), 12_000.0, 3_000, 0, id="CPU"),
    ],
)
def test_three_times_what_it_can_do(
    flags: tuple[str, ...], rps: float, connections: int, pace_ms: int
) -> None:
    """Whatever comes back is an answer, or a refusal with a time to come back; no connection ends.

    How many come back in time is the machine's affair, and that of `perf/scenarios/overload.py`.
    """
    with started_bench() as bench, started_gateway(bench, replace(EVERYTHING, flags=flags)) as gateway:
        found = flood(bench, gateway, rps=rps, seconds=3.0, connections=connections, pace_ms=pace_ms)
    assert (found.lost, found.others, found.impolite) == (0, {}, 0)
    assert found.health.failed == 0
    assert found.health.asked > 1
    assert found.answered > 0
    assert found.refused > 0


def test_no_descriptor_is_left(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """It is said in the log, and who waited is served when there are some again."""
    gateway = start_gateway(workers=1)
    assert chat(gateway, "fake/normal").status == 200
    (pid,) = gateway.worker_pids()
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = len(list(Path(f"/proc/{pid}/fd").iterdir())) + 5
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(gateway.connect())
        until(lambda: "no file descriptor is left" in gateway.log, what="the log to say so")
    until(lambda: "file descriptors are left again" in gateway.log, what="the log to say that it is over")
    assert chat(gateway, "fake/normal").status == 200
