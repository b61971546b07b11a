"""Calls, streams and WebSockets through the Caddy, HAProxy and nginx of `deploy/`, to real gateways.

Of the three gateways that the balancers know one is dead all the time.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.client import connect

from tests.rig import behaviours
from tests.rig.balancer import (
    DEPLOY,
    Balancer,
    check_caddy,
    check_haproxy,
    check_nginx,
    over_tls,
    replaced,
    switched_on,
)
from tests.rig.behaviours import WORDS
from tests.rig.certificates import Authority
from tests.rig.fake_upstream import FakeUpstream, Gate
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    SCRIPTED,
    bearer,
    chat_body,
    openai_account,
    virtual_account,
)
from tests.rig.raw_http import RawConnection, Reply, events, request_bytes
from tests.rig.realtime_upstream import RealtimeUpstream
from tests.rig.requires import ROOT, find_program, requires
from tests.rig.until import until

BALANCERS: Final = [pytest.param(name, marks=requires(name)) for name in ("caddy", "haproxy", "nginx")]
CHAT: Final = "/v1/chat/completions"
HEADERS: Final = [bearer(), ("content-type", "application/json")]


@pytest.fixture(scope="module")
def voices() -> Iterator[RealtimeUpstream]:
    with RealtimeUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def documents(upstream_server: FakeUpstream, voices: RealtimeUpstream) -> list[Document]:
    return [
        openai_account("fake", upstream_server.base_url, ["normal", SCRIPTED]),
        openai_account("voices", voices.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
    ]


@pytest.fixture(scope="module")
def gateways(
    documents: list[Document], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[GatewayProcess]]:
    with ExitStack() as running:
        folders = [tmp_path_factory.mktemp("behind") for _ in range(2)]
        made = [GatewayProcess(each, documents, workers=1, environment=ENVIRONMENT) for each in folders]
        yield [running.enter_context(each) for each in made]


@pytest.fixture(scope="module", params=BALANCERS)
def balancer(
    request: pytest.FixtureRequest,
    gateways: list[GatewayProcess],
    closed_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Balancer]:
    ports = [closed_port, *(each.port for each in gateways)]
    with Balancer(request.param, tmp_path_factory.mktemp("balancer"), ports) as running:
        yield running


def call(balancer: Balancer) -> Reply:
    """One call on a connection of its own."""
    with balancer.connect() as connection:
        return connection.exchange("POST", CHAT, HEADERS, chat_body("fake/normal"))


def begin_stream(balancer: Balancer, upstream: FakeUpstream, gate: Gate) -> tuple[RawConnection, bytes]:
    """Open a stream and read its first word; the provider waits at *gate* with the others."""
    upstream.play(SCRIPTED, behaviours.stream(gate=gate))
    connection = balancer.connect()
    connection.send(request_bytes("POST", CHAT, HEADERS, chat_body(f"fake/{SCRIPTED}", stream=True)))
    # The role alone is held back until there is content.
    gate.step(2)
    assert connection.read_head().status == 200
    return connection, read_until(connection, WORDS[0].encode())


def read_until(connection: RawConnection, mark: bytes) -> bytes:
    """What comes, up to and with the piece that completes *mark*."""
    seen = b""
    while mark not in seen:
        seen += connection.read_piece()
    return seen


# The files as they are, and with all that stands in them as comments for TLS switched on.
IS_TLS: Final = pytest.mark.parametrize("is_tls", [False, True], ids=["shipped", "tls"])


@requires("caddy")
@IS_TLS
def test_caddy_takes_its_file(*, is_tls: bool, tmp_path: Path) -> None:
    """`caddy validate` has nothing to say against the file, nor has its formatter."""
    file = DEPLOY / "caddy" / "Caddyfile"
    if is_tls:
        text = over_tls("caddy", file.read_text(), Authority(tmp_path).file)
        file = tmp_path / "Caddyfile"
        file.write_text(text)
    done = check_caddy(tmp_path, file)
    said = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert (done.returncode, [one for one in said if one["level"] not in {"info", "debug"}]) == (0, [])


@requires("haproxy")
@IS_TLS
def test_haproxy_takes_its_file(*, is_tls: bool, tmp_path: Path) -> None:
    """`haproxy -c` has nothing to say against the file."""
    file = DEPLOY / "haproxy" / "haproxy.cfg"
    if is_tls:
        authority = Authority(tmp_path)
        text = over_tls("haproxy", file.read_text(), authority.file)
        text = switched_on(text, "bind :8443 ssl crt /etc/haproxy/gateway.pem alpn h2,http/1.1")
        pair = tmp_path / "pair.pem"
        pair.write_bytes(b"".join(authority.make("gateway")))
        file = tmp_path / "haproxy.cfg"
        file.write_text(replaced(text, "/etc/haproxy/gateway.pem", str(pair)))
    done = check_haproxy(file)
    assert (done.returncode, "WARNING" in done.stderr, "ALERT" in done.stderr) == (0, False, False), (
        done.stderr
    )


@requires("haproxy")
def test_haproxy_bounds_the_connections_of_one_address(tmp_path: Path, closed_port: int) -> None:
    """Idle ones count; who is over the bound is hung up on, and let in again when others have gone."""
    text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text()
    bound = int(text.partition("sc0_conn_cur gt ")[2].split()[0])

    def is_let_in(running: Balancer) -> bool:
        try:
            with running.connect() as connection:
                connection.send(request_bytes("GET", "/readyz"))
                # No gateway is there, and it is HAProxy that says so.
                return connection.read_head().status == 503
        except OSError:
            return False

    with Balancer("haproxy", tmp_path, [closed_port] * 3) as running, ExitStack() as held:
        # A few fewer: those that looked whether it listens may not have gone yet.
        idle = [held.enter_context(running.connect()) for _ in range(bound - 5)]
        until(lambda: is_let_in(running), what="HAProxy to take another one")
        for _ in range(10):
            with contextlib.suppress(OSError):
                idle.append(held.enter_context(running.connect()))
        assert not is_let_in(running)
        for connection in idle[:20]:
            connection.close()
        until(lambda: is_let_in(running), what="HAProxy to take connections again")


@requires("nginx")
@IS_TLS
def test_nginx_takes_its_files(*, is_tls: bool, tmp_path: Path) -> None:
    """`nginx -t` has nothing to say against the files."""
    text = (DEPLOY / "nginx" / "gateway.conf").read_text()
    if is_tls:
        authority = Authority(tmp_path)
        certificate, key = authority.write("gateway")
        text = over_tls("nginx", text, authority.file)
        text = replaced(text, "# listen 8443 ssl http2;", "listen 8443 ssl;")
        for line, file in {
            "ssl_certificate     /etc/nginx/gateway.crt;": certificate,
            "ssl_certificate_key /etc/nginx/gateway.key;": key,
        }.items():
            text = replaced(text, f"# {line}", f"{line.split()[0]} {file};")
    done = check_nginx(tmp_path, text)
    assert (done.returncode, "[warn]" in done.stderr) == (0, False), done.stderr


@requires("systemd-analyze")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say against the unit, but that the program is not installed."""
    unit = (ROOT / "deploy" / "systemd" / "gateway.service").read_text()
    program = "/opt/gateway/bin/gateway"
    assert f"ExecStart={program} serve" in unit
    file = tmp_path / "gateway.service"
    file.write_text(unit.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    command = [find_program("systemd-analyze") or "", "verify", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "gateway.service" in line]
    assert (done.returncode, ours) == (0, [])


@requires("systemd-analyze")
def test_systemd_finds_the_unit_hardened(tmp_path: Path) -> None:
    """`systemd-analyze security` gives it at most 2 points of exposure, of 10."""
    program = find_program("systemd-analyze") or ""
    options = subprocess.run([program, "--help"], capture_output=True, text=True, check=True, timeout=60)
    if "--offline" not in options.stdout:
        pytest.skip("systemd-analyze is older than 250 and looks at units that are loaded only")

    def is_exposed(unit: Path) -> bool:
        command = [program, "security", "--offline=yes", "--threshold=20", "--no-pager", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "Overall exposure level" in done.stdout, done.stderr
        return done.returncode != 0

    shipped = DEPLOY / "systemd" / "gateway.service"
    bare = tmp_path / "gateway.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert not is_exposed(shipped)
    assert is_exposed(bare)


class _Dying(BaseHTTPRequestHandler):
    """A gateway that is ready, takes a call whole and dies of it: the connection ends without an answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Say that it is ready."""
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Take the call, and count it."""
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, _DyingServer)
        self.server.taken.append(body)
        self.close_connection = True

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


class _DyingServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, taken: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Dying)
        self.taken = taken


@pytest.mark.parametrize("name", BALANCERS)
def test_what_a_gateway_has_taken_is_sent_to_no_other(name: str, tmp_path: Path) -> None:
    """A gateway that dies over a call may have asked the provider: its caller is told, no other is asked."""
    taken: list[bytes] = []
    with ExitStack() as running:
        servers = [running.enter_context(_DyingServer(taken)) for _ in range(3)]
        for server in servers:
            running.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        ports = [server.server_port for server in servers]
        with Balancer(name, tmp_path, ports) as balancer:
            # Over connections that the balancer keeps, too: it cannot know why such a one has ended.
            for _ in range(3):
                with balancer.connect() as connection:
                    assert connection.exchange("GET", "/readyz").status == 200
            assert [call(balancer).status for _ in range(2)] == [502, 502]
    assert len(taken) == 2


def test_a_dead_gateway_fails_no_call(balancer: Balancer, upstream: FakeUpstream) -> None:
    """A gateway that refuses connections is passed over, from the first call on."""
    assert [call(balancer).status for _ in range(12)] == [200] * 12
    assert len(upstream.exchanges) == 12


def test_each_event_passes_at_once(balancer: Balancer, upstream: FakeUpstream) -> None:
    """Nothing is buffered: the caller has each event before the provider sends the next."""
    gate = upstream.gate()
    connection, seen = begin_stream(balancer, upstream, gate)
    with connection:
        for word in WORDS[1:]:
            gate.step()
            seen += read_until(connection, json.dumps(word, ensure_ascii=False)[1:-1].encode())
        gate.open()
        rest = seen + b"".join(connection.read_pieces())
    assert events(rest)[-1] == "[DONE]"


@pytest.mark.parametrize("leave", [RawConnection.reset, RawConnection.close], ids=["reset", "close"])
def test_a_caller_that_leaves_stops_the_provider(
    balancer: Balancer, upstream: FakeUpstream, leave: Any
) -> None:
    """The end of the caller's connection reaches the gateway, and with it the provider."""
    connection, _ = begin_stream(balancer, upstream, upstream.gate())
    leave(connection)
    (exchange,) = [one for one in upstream.exchanges if one.model == SCRIPTED]
    assert exchange.was_aborted.wait(60), "the provider's connection is still open"
    assert not exchange.was_answered.is_set()


def test_a_large_body_passes(balancer: Balancer, upstream: FakeUpstream) -> None:
    """What the gateway takes the balancer takes too."""
    body = json.dumps({"model": "fake/normal", "messages": [{"role": "user", "content": "x" * 8_000_000}]})
    with balancer.connect() as connection:
        assert connection.exchange("POST", CHAT, HEADERS, body.encode()).status == 200
    assert len(upstream.exchanges[-1].json["messages"][0]["content"]) == 8_000_000


@pytest.mark.parametrize(
    ("token", "size_bytes", "status"),
    [("canary-wrong-token", 10_000_000, 401), (APP_TOKEN, 40_000_000, 413)],
    ids=["unknown", "too long"],
)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
def test_a_refusal_reaches_who_is_still_sending(
    balancer: Balancer, token: str, size_bytes: int, status: int, *, is_chunked: bool
) -> None:
    """The gateway takes in what it does not want: else a balancer sees a reset, and says 502 or nothing."""
    framing = ("transfer-encoding", "chunked") if is_chunked else ("content-length", str(size_bytes))
    head = request_bytes("POST", CHAT, [bearer(token), ("content-type", "application/json"), framing])
    body = b"x" * size_bytes
    if is_chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (size_bytes, body)
    for _ in range(3):
        with balancer.connect() as connection:
            # A balancer may hang up on who goes on after the answer.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(head + body)
            assert connection.read_reply().status == status
    assert [call(balancer).status for _ in range(3)] == [200] * 3


async def test_websockets_pass(balancer: Balancer) -> None:
    """A session of the realtime API is opened, holds a conversation and ends with its code."""
    address = f"ws://127.0.0.1:{balancer.port}/v1/realtime?model=voices/m"
    headers = {"authorization": f"Bearer {APP_TOKEN}"}
    async with connect(address, additional_headers=headers, compression=None) as session:
        assert json.loads(await session.recv())["type"] == "session.created"
        await session.send(json.dumps({"type": "response.create"}))
        kinds = [json.loads(await session.recv())["type"] for _ in range(3)]
        assert kinds == ["response.created", "response.output_audio.delta", "response.done"]
    assert session.close_code == 1000


@pytest.mark.long
@pytest.mark.parametrize("name", BALANCERS)
def test_gateways_with_certificates(
    name: str,
    documents: list[Document],
    upstream: FakeUpstream,
    closed_port: int,
    tmp_path: Path,
) -> None:
    """With its comments for TLS switched on each calls gateways, and none of another authority."""
    authority = Authority(tmp_path)
    certificate, key = authority.write("gateway")
    options = [
        "--tls-cert", str(certificate), "--tls-key", str(key),
        "--control-tls-cert", str(certificate), "--control-tls-key", str(key),
    ]  # fmt: skip
    folder, other = tmp_path / "gateway", tmp_path / "other"
    process = GatewayProcess(folder, documents, workers=1, options=options, environment=ENVIRONMENT)
    process.tls = authority.context()
    other.mkdir()
    with process:
        ports = [closed_port, process.port, closed_port]
        with Balancer(name, tmp_path, ports, authority=authority.file) as running:
            until(lambda: call(running).status == 200, what="a call to be answered")
            assert len(upstream.exchanges) == 1
        with Balancer(name, other, ports, authority=Authority(other).file) as running:
            assert {call(running).status for _ in range(3)} <= {502, 503}
        assert len(upstream.exchanges) == 1


@pytest.mark.long
@pytest.mark.parametrize("name", BALANCERS)
def test_a_stop_fails_no_call_and_cuts_no_stream(
    name: str,
    documents: list[Document],
    upstream: FakeUpstream,
    start_gateway: StartGateway,
    closed_port: int,
    tmp_path: Path,
) -> None:
    """One gateway drains and ends: its stream is whole, new calls go to the other one, none fails."""
    # Over two checks of HAProxy, a second apart.
    options = ["--drain-delay", "4"]
    both = [start_gateway(documents, workers=1, options=options) for _ in range(2)]
    with Balancer(name, tmp_path, [closed_port, *(each.port for each in both)]) as balancer:
        call(balancer)
        gates = [upstream.gate() for _ in both]
        # What is open is counted, so each gateway has one of them.
        streams = [begin_stream(balancer, upstream, gate) for gate in gates]

        def has_one_each() -> bool:
            pages = [each.control("GET", "/metrics")[1] for each in both]
            return all("\ngateway_calls_open 1\n" in page for page in pages)

        # Workers tell their figures once a second.
        until(has_one_each, what="a stream at each gateway")
        leaving = both[0]
        leaving.signal(signal.SIGTERM)
        statuses: list[int] = []

        def has_stopped_listening() -> bool:
            statuses.append(call(balancer).status)
            try:
                RawConnection(leaving.port).close()
            except ConnectionRefusedError:
                return True
            return False

        until(has_stopped_listening, what="the gateway to stop listening")
        statuses += [call(balancer).status for _ in range(20)]
        assert set(statuses) == {200}
        for gate in gates:
            gate.open()
        for connection, seen in streams:
            with connection:
                assert events(seen + b"".join(connection.read_pieces()))[-1] == "[DONE]"
        assert leaving.wait() == 0
