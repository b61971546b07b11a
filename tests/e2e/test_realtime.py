"""Sessions of the realtime API through a real gateway, to a real WebSocket server behind it."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.rig.fake_upstream import ClosedPort
from tests.rig.gateway_process import GatewayProcess
from tests.rig.limited_gateway import rate
from tests.rig.manifests import (
    APP_TOKEN,
    CREDENTIALS,
    ENVIRONMENT,
    NARROW_TOKEN,
    PROVIDER_KEY,
    openai_account,
    virtual_account,
)
from tests.rig.realtime_upstream import RealtimeUpstream, Session, respond
from tests.rig.until import until_async

MODEL: Final = "main/gpt-realtime"
LIMIT: Final = 16 * 1024 * 1024
BEARER: Final = {"authorization": f"Bearer {APP_TOKEN}"}
WAIT_S: Final = 60.0
# By hand, in millionths: cached 74 at 0.4, audio 3 at 32, text 55 at 4; out audio 91 at 64, text 30 at 16.
COST_USD: Final = (74 * 0.4 + 3 * 32 + 55 * 4 + 91 * 64 + 30 * 16) / 1e6


@pytest.fixture(scope="module")
def server() -> Iterator[RealtimeUpstream]:
    with RealtimeUpstream() as server:
        yield server


@pytest.fixture
def provider(server: RealtimeUpstream) -> RealtimeUpstream:
    server.forget()
    return server


def documents(server: RealtimeUpstream, closed_port: int) -> list[dict[str, Any]]:
    azure = {
        "type": "provider-account/azure-openai",
        "name": "azure",
        "auth_data": {"type": "api-key", "api_key": "env:FAKE_KEY"},
        "azure_endpoint": f"http://127.0.0.1:{server.port}",
        "integrations": [
            {
                "type": "integration/model/azure-openai", "name": name, "model_id": "rt-deployment",
                "api_version": version, "model_types": ["realtime"],
            }
            for name, version in (("dated", "2025-04-01-preview"), ("undated", "v1"))
        ],
    }  # fmt: skip
    return [
        openai_account("main", server.base_url, ["gpt-realtime", "other"]),
        openai_account("down", f"http://127.0.0.1:{closed_port}/v1", ["gpt-realtime"]),
        azure,
        openai_account("counted", server.base_url, ["gpt-realtime"]),
        rate("session-tokens", ["counted/*"], {"tokens_per_day": 500}),
        virtual_account("app", ["env:APP_TOKEN"], ["main/*", "down/*", "azure/*", "counted/*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["main/other"]),
    ]


@pytest.fixture(scope="module")
def gateway(server: RealtimeUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    closed = ClosedPort()
    folder = tmp_path_factory.mktemp("realtime")
    made = documents(server, closed.port)
    with GatewayProcess(folder, made, workers=1, environment=ENVIRONMENT) as process:
        yield process
    closed.close()


def open_socket(
    gateway: GatewayProcess,
    model: str = MODEL,
    *,
    query: str = "",
    path: str = "/v1/realtime",
    **options: Any,
) -> connect:
    options = {"additional_headers": BEARER, "max_size": None, "compression": None, **options}
    options["ping_interval"] = None
    return connect(f"ws://127.0.0.1:{gateway.port}{path}?model={model}{query}", **options)


async def event(connection: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        read: dict[str, Any] = json.loads(await connection.recv())
    return read


async def close_of(connection: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the gateway closes, once it does."""
    async with asyncio.timeout(WAIT_S):
        with suppress(ConnectionClosed):
            while True:
                await connection.recv()
        await connection.wait_closed()
    received = connection.protocol.close_rcvd
    assert received is not None
    return received.code, received.reason


async def closed_there(provider: RealtimeUpstream) -> tuple[int, str]:
    """What the provider saw of the end of the one session."""
    (session,) = provider.sessions
    found = await until_async(lambda: session.closed, "the provider sees the end")
    assert found is not None
    return found


async def newest_trace(gateway: GatewayProcess, **wanted: Any) -> dict[str, Any]:
    """The newest trace, once it is there and like *wanted*."""

    def look() -> dict[str, Any] | None:
        _, listed = gateway.control("GET", "/api/traces?limit=1")
        newest: dict[str, Any] | None = next(iter(listed["traces"]), None)
        is_it = newest is not None and all(newest[name] == value for name, value in wanted.items())
        return newest if is_it else None

    found = await until_async(look, f"the newest trace has {wanted}")
    assert found is not None
    return found


# -- whom and what


async def test_sdk(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """OpenAI's client holds a conversation; usage and cost are on the trace, summed over the responses."""
    client = AsyncOpenAI(base_url=gateway.base_url, api_key=APP_TOKEN)
    async with client, client.realtime.connect(model=MODEL) as connection:
        assert (await connection.recv()).type == "session.created"
        for _ in range(2):
            await connection.response.create()
            kinds = [(await connection.recv()).type for _ in range(3)]
            assert kinds == ["response.created", "response.output_audio.delta", "response.done"]
    (session,) = provider.sessions
    assert session.target == "/v1/realtime?model=gpt-realtime"
    assert session.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert await closed_there(provider) == (1000, "")
    trace = await newest_trace(gateway, status_code=101, resolved_model=MODEL)
    assert (trace["name"], trace["status"], trace["caller"]) == ("GET /v1/realtime", "ok", "app")
    assert trace["usage"] == {"input_tokens": 264, "output_tokens": 242, "source": "provider"}
    assert trace["cost_usd"] == pytest.approx(2 * COST_USD, rel=1e-9)
    _, whole = gateway.control("GET", f"/api/traces/{trace['trace_id']}")
    server, client_span = whole["spans"]
    assert (server["kind"], client_span["kind"]) == ("SERVER", "CLIENT")
    assert client_span["name"] == "realtime gpt-realtime"
    assert client_span["attributes"]["gen_ai.usage.cache_read.input_tokens"] == 148


async def test_a_limit_within_a_session(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """OpenAI's client reads the response that uses it up, then why the session is over; no other begins."""
    client = AsyncOpenAI(base_url=gateway.base_url, api_key=APP_TOKEN)
    async with client, client.realtime.connect(model="counted/gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        for _ in range(2):
            await connection.response.create()
            kinds = [(await connection.recv()).type for _ in range(3)]
            assert kinds == ["response.created", "response.output_audio.delta", "response.done"]
        told = await connection.recv()
        assert told.type == "error"
        assert (told.error.type, told.error.code) == ("rate_limit_error", "rate_limit_exceeded")
        assert '"session-tokens" allows 500 tokens per day: 0 tokens left. ' in told.error.message
        with pytest.raises(ConnectionClosed) as ended:
            await connection.recv()
        assert ended.value.rcvd is not None
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1013, "rate_limit_exceeded")
    assert await closed_there(provider) == (1001, "")
    trace = await newest_trace(gateway, status_code=101, resolved_model="counted/gpt-realtime")
    assert trace["usage"] == {"input_tokens": 264, "output_tokens": 242, "source": "provider"}
    _, whole = gateway.control("GET", f"/api/traces/{trace['trace_id']}")
    server, client_span = whole["spans"]
    assert server["attributes"]["error.type"] == "rate_limit_exceeded"
    assert "error.type" not in client_span["attributes"]
    usage = gateway.get("/api/limits/usage?rule=session-tokens")["usage"]
    assert [row["used"] for row in usage] == [506]
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(gateway, "counted/gpt-realtime"):
            pass
    assert refused.value.response.status_code == 429


@pytest.mark.parametrize("base", ["", "/v1", "/api/llm/v1", "/api/inference/openai/v1"])
async def test_paths(gateway: GatewayProcess, provider: RealtimeUpstream, base: str) -> None:
    """Every prefix leads there; the caller's query and headers for OpenAI pass, the gateway's do not."""
    headers = {**BEARER, "openai-beta": "realtime=v1", "x-tfy-metadata": '{"a":"b"}', "cookie": "c=d"}
    opened = open_socket(
        gateway, "gpt-realtime", path=base + "/realtime", query="&tfyProviderName=main&a=%20b",
        additional_headers=headers,
    )  # fmt: skip
    async with opened as connection:
        await event(connection)
    (session,) = provider.sessions
    assert session.target == "/v1/realtime?a=%20b&model=gpt-realtime"
    assert session.headers["openai-beta"] == "realtime=v1"
    assert not {"cookie", "x-tfy-metadata"} & {name.lower() for name in session.headers}


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("azure/dated", "/openai/realtime?api-version=2025-04-01-preview&deployment=rt-deployment"),
        ("azure/undated", "/openai/v1/realtime?model=rt-deployment"),
    ],
)
async def test_azure(gateway: GatewayProcess, provider: RealtimeUpstream, model: str, target: str) -> None:
    """Both generations of Azure's API are reached where they are, with its key."""
    async with open_socket(gateway, model) as connection:
        await event(connection)
    (session,) = provider.sessions
    assert (session.target, session.headers["api-key"]) == (target, PROVIDER_KEY)


async def test_transcription_session(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """Such a session names no model to the provider; what is transcribed counts."""
    async with open_socket(gateway, query="&intent=transcription") as connection:
        await event(connection)
        await connection.send('{"type":"input_audio_buffer.commit"}')
        assert (await event(connection))["usage"]["input_tokens"] == 13
    assert provider.sessions[0].target == "/v1/realtime?intent=transcription"
    usage = {"input_tokens": 13, "output_tokens": 9, "source": "provider"}
    trace = await newest_trace(gateway, status_code=101, usage=usage)
    assert trace["cost_usd"] == pytest.approx((13 * 32 + 9 * 16) / 1e6, rel=1e-9)


async def test_browser(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """A key among the subprotocols is taken for the caller's, and goes no further."""
    offered = ["realtime", f"openai-insecure-api-key.{APP_TOKEN}", "openai-beta.realtime-v1"]
    async with open_socket(gateway, additional_headers={}, subprotocols=offered) as connection:
        assert connection.subprotocol == "realtime"
        await event(connection)
    (session,) = provider.sessions
    assert session.headers["sec-websocket-protocol"] in {
        "realtime,openai-beta.realtime-v1",
        "realtime, openai-beta.realtime-v1",
    }
    trace = await newest_trace(gateway, caller="app", status_code=101)
    _, whole = gateway.control("GET", f"/api/traces/{trace['trace_id']}")
    assert APP_TOKEN not in json.dumps(whole) + gateway.log


# -- refusals before the WebSocket is open


@pytest.mark.parametrize(
    ("model", "headers", "status", "code"),
    [
        (MODEL, {}, 401, "invalid_api_key"),
        (MODEL, {"authorization": "Bearer nobody"}, 401, "invalid_api_key"),
        ("", BEARER, 400, "invalid_body"),
        ("main/unknown", BEARER, 404, "model_not_found"),
        (MODEL, {"x-api-key": NARROW_TOKEN}, 403, "model_not_allowed"),
    ],
)
async def test_refused(
    gateway: GatewayProcess,
    provider: RealtimeUpstream,
    model: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    """A caller that may not is told by HTTP, and the provider hears nothing of it."""
    with pytest.raises(InvalidStatus) as raised:
        await open_socket(gateway, model, additional_headers=headers)
    response = raised.value.response
    error = json.loads(response.body or b"")["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert response.headers["x-request-id"] == error["request_id"]
    assert provider.sessions == []


async def test_other_path(gateway: GatewayProcess) -> None:
    """There are WebSockets at that path only."""
    for path in ("/v1/chat/completions", "/v1/models", "/livez", "/v1/realtime/x"):
        with pytest.raises(InvalidStatus) as raised:
            await open_socket(gateway, path=path)
        assert raised.value.response.status_code == 404


# -- the provider gives none


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1008), (401, 3000), (403, 3003), (404, 1008), (429, 1013), (500, 1014), (503, 1013)],
)
async def test_provider_refuses(
    gateway: GatewayProcess, provider: RealtimeUpstream, status: int, code: int
) -> None:
    """Its error comes as an event, without our key, and then a close code that fits."""
    error = {"message": f"no, {PROVIDER_KEY}", "type": "some_error", "code": "some_code", "param": None}
    provider.refuse("gpt-realtime", status, json.dumps({"error": error}).encode())
    connection = await open_socket(gateway)
    told = await event(connection)
    assert (told["type"], told["error"]["code"]) == ("error", "some_code")
    assert PROVIDER_KEY not in json.dumps(told)
    assert (await close_of(connection))[0] == code
    trace = await newest_trace(gateway, error_type=str(status))
    assert (trace["status_code"], trace["status"]) == (101, "error")


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<html>no</html>", "text/html"), (b"", "text/plain"), (b"[1]", "application/json")]
)
async def test_provider_refuses_without_words(
    gateway: GatewayProcess, provider: RealtimeUpstream, body: bytes, kind: str
) -> None:
    """What is no error of the API becomes one of ours."""
    provider.refuse("gpt-realtime", 404, body, kind)
    connection = await open_socket(gateway)
    assert (await event(connection))["error"]["code"] == "upstream_bad_reply"
    assert await close_of(connection) == (1014, "upstream_bad_reply")


async def test_provider_is_away(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """No connection is an event and a close code as well."""
    del provider
    connection = await open_socket(gateway, "down/gpt-realtime")
    assert (await event(connection))["error"]["code"] == "upstream_unreachable"
    assert await close_of(connection) == (1014, "upstream_unreachable")


# -- the end


@pytest.mark.parametrize(
    ("code", "seen"), [(1000, 1000), (1001, 1001), (1011, 1011), (3000, 3000), (4009, 4009), (1005, 1000)]
)
async def test_caller_closes(
    gateway: GatewayProcess, provider: RealtimeUpstream, code: int, seen: int
) -> None:
    """The provider gets the caller's code; none becomes 1000."""
    connection = await open_socket(gateway)
    await event(connection)
    if code == 1005:
        connection.protocol.send_close()
        connection.transport.writelines(connection.protocol.data_to_send())
    else:
        await connection.close(code, "a reason")
    assert (await closed_there(provider))[0] == seen


async def test_caller_vanishes(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """Within a response: the provider is told, the trace says who left, and usage is partial."""

    async def begin(session: Session) -> None:
        await respond(session)
        await session.send(type="response.created", event_id="e9", response={"id": "resp_2"})
        await session.connection.wait_closed()

    provider.behave("gpt-realtime", begin)
    connection = await open_socket(gateway)
    while (await event(connection))["event_id"] != "e9":
        pass
    connection.transport.abort()
    assert (await closed_there(provider))[0] in {1000, 1001}
    trace = await newest_trace(gateway, error_type="client_disconnected")
    assert trace["usage"] == {"input_tokens": 132, "output_tokens": 121, "source": "partial"}


@pytest.mark.parametrize(
    ("code", "reason", "seen", "error"),
    [
        (1000, "bye", (1000, "bye"), None),
        (1001, "soon", (1001, "soon"), None),
        (1008, "policy", (1008, "policy"), "1008"),
        (4000, "invalid_request_error.model", (4000, "invalid_request_error.model"), "4000"),
        (3000, "x" * 123, (3000, "x" * 123), "3000"),
    ],
)
async def test_provider_closes(
    gateway: GatewayProcess,
    provider: RealtimeUpstream,
    code: int,
    reason: str,
    seen: tuple[int, str],
    error: str | None,
) -> None:
    """The caller gets code and reason."""

    async def close(session: Session) -> None:
        async for _ in session.connection:
            await session.connection.close(code, reason)

    provider.behave("gpt-realtime", close)
    connection = await open_socket(gateway)
    await connection.send("x" * 10_000)
    assert await close_of(connection) == seen
    trace = await newest_trace(gateway, status_code=101, error_type=error)
    assert trace["status"] == ("ok" if error is None else "error")


async def test_provider_vanishes(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """A connection that ends without a close is an error event and 1014."""

    async def vanish(session: Session) -> None:
        session.connection.transport.abort()
        await session.connection.wait_closed()

    provider.behave("gpt-realtime", vanish)
    connection = await open_socket(gateway)
    assert (await event(connection))["error"]["code"] == "upstream_unreachable"
    assert await close_of(connection) == (1014, "upstream_unreachable")


# -- what passes


async def test_large_messages(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """Text and bytes up to the limit pass unchanged in both directions, also in fragments."""
    del provider
    async with open_socket(gateway) as connection:
        await event(connection)
        for size in (0, 1, 3 * 1024 * 1024, LIMIT):
            text = "ä" + base64.b64encode(bytes(range(256))).decode() * (size // 344)
            await connection.send(text[: max(0, size - 1)])
            assert await connection.recv() == text[: max(0, size - 1)]
            await connection.send(b"\x00\xff" * (size // 2))
            assert await connection.recv() == b"\x00\xff" * (size // 2)
        await connection.send(["a", "b" * 70_000, "c"])
        assert await connection.recv() == "a" + "b" * 70_000 + "c"


@pytest.mark.parametrize("frames", [1, 2])
async def test_too_large_message(gateway: GatewayProcess, provider: RealtimeUpstream, frames: int) -> None:
    """A message over the limit ends the session with 1009."""
    connection = await open_socket(gateway)
    await event(connection)
    message = b"x" * (LIMIT + 1)
    with suppress(ConnectionClosed):
        await connection.send([message[:LIMIT], message[LIMIT:]] if frames > 1 else message)
    assert (await close_of(connection))[0] == 1009
    await closed_there(provider)


async def test_too_large_message_of_the_provider(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """The same from the other side."""

    async def shout(session: Session) -> None:
        await session.connection.send(b"x" * (LIMIT + 1))
        await session.connection.wait_closed()

    provider.behave("gpt-realtime", shout)
    connection = await open_socket(gateway)
    assert (await event(connection))["error"]["code"] == "upstream_bad_reply"
    assert (await close_of(connection))[0] == 1009


async def test_pings(gateway: GatewayProcess, provider: RealtimeUpstream) -> None:
    """Each side's pings are answered by the gateway."""
    answered = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def ping(session: Session) -> None:
        await (await session.connection.ping())
        loop.call_soon_threadsafe(answered.set)
        await session.connection.wait_closed()

    provider.behave("gpt-realtime", ping)
    async with open_socket(gateway) as connection, asyncio.timeout(WAIT_S):
        await (await connection.ping())
        await answered.wait()


# -- the gateway ends


async def test_shutdown(server: RealtimeUpstream, provider: RealtimeUpstream, tmp_path_factory: Any) -> None:
    """A session goes on until the drain timeout, is then closed with 1001, and counts as cut."""
    closed = ClosedPort()
    gateway = GatewayProcess(
        tmp_path_factory.mktemp("drain"), documents(server, closed.port), workers=1,
        options=["--drain-timeout", "5"], environment=ENVIRONMENT,
    )  # fmt: skip
    with gateway:
        connection = await open_socket(gateway)
        await event(connection)
        (worker,) = gateway.worker_pids()
        gateway.signal(signal.SIGTERM, worker)
        await connection.send("still there")
        assert await connection.recv() == "still there"
        assert await close_of(connection) == (1001, "the gateway is shutting down")
        assert await closed_there(provider) == (1001, "")
        trace = await newest_trace(gateway, error_type="gateway_shutdown")
        assert (trace["status_code"], trace["status"]) == (101, "error")
        assert "1 sessions are still open" in gateway.log
    closed.close()


async def test_shutdown_is_bounded_as_a_whole(server: RealtimeUpstream, tmp_path_factory: Any) -> None:
    """The time for connections that rest and for sessions is one, or the supervisor would kill the worker."""
    # Until connections rest takes a second at least. A busy machine adds to the time, and takes none away.
    for _ in range(10):
        over_s = await seconds_over_the_timeout(server, tmp_path_factory.mktemp("bounded"))
        if over_s < 0.9:
            break
    assert over_s < 0.9


async def seconds_over_the_timeout(server: RealtimeUpstream, folder: Path) -> float:
    """How much longer than its drain timeout a gateway with a session took to end that."""
    closed, timeout_s = ClosedPort(), 4.0
    gateway = GatewayProcess(
        folder, documents(server, closed.port), workers=1,
        options=["--drain-delay", "0.1", "--drain-timeout", f"{timeout_s:g}"], environment=ENVIRONMENT,
    )  # fmt: skip
    with gateway:
        connection = await open_socket(gateway)
        await event(connection)
        began_s = time.monotonic()
        gateway.signal(signal.SIGTERM)
        assert await close_of(connection) == (1001, "the gateway is shutting down")
        took_s = time.monotonic() - began_s
    closed.close()
    return took_s - timeout_s


def test_nothing_is_said_of_credentials(gateway: GatewayProcess) -> None:
    """No log line and no trace has one."""
    _, listed = gateway.control("GET", "/api/traces?limit=200")
    traces = [gateway.control("GET", f"/api/traces/{trace['trace_id']}")[1] for trace in listed["traces"]]
    said = json.dumps(traces) + gateway.log
    assert [credential for credential in CREDENTIALS if credential in said] == []


async def test_a_token_is_revoked(
    server: RealtimeUpstream, provider: RealtimeUpstream, tmp_path_factory: Any
) -> None:
    """The sessions that it began end within seconds, also one in which nobody speaks; others go on."""
    manifests = [
        openai_account("main", server.base_url, ["gpt-realtime"]),
        virtual_account("app", ["env:APP_TOKEN"], ["main/*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["main/*"]),
    ]
    other = {"authorization": f"Bearer {NARROW_TOKEN}"}
    with GatewayProcess(tmp_path_factory.mktemp("revoked"), manifests, environment=ENVIRONMENT) as gateway:
        async with open_socket(gateway) as silent, open_socket(gateway, additional_headers=other) as kept:
            for connection in (silent, kept):
                assert (await event(connection))["type"] == "session.created"
            gateway.write_config([*manifests[:1], virtual_account("app", [], ["main/*"]), manifests[2]])
            refused = await event(silent)
            assert (refused["type"], refused["error"]["code"]) == ("error", "invalid_api_key")
            assert await close_of(silent) == (3000, "invalid_api_key")
            await kept.ping()
            assert kept.close_code is None
