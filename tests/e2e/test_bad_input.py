"""What clients get wrong, and that nothing of it takes a worker down.

The `gateway` fixture checks after each test that its processes are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import ADMIN_TOKEN, GatewayProcess, StartGateway
from tests.rig.manifests import (
    EXPIRED_TOKEN,
    HASHED_TOKEN,
    NARROW_TOKEN,
    bearer,
    chat,
    chat_body,
    trace_id_of,
)
from tests.rig.raw_http import RawConnection, Reply, assert_error, request_bytes

CHAT = "/v1/chat/completions"
JSON = ("content-type", "application/json")
MESSAGES = '"messages":[{"role":"user","content":"x"}]'


def post(gateway: GatewayProcess, body: bytes, path: str = CHAT) -> Reply:
    """One call with a right token and any body."""
    with gateway.connect() as connection:
        return connection.exchange("POST", path, [bearer(), JSON], body)


@pytest.fixture(autouse=True)
def gateway_still_serves(gateway: GatewayProcess) -> Iterator[None]:
    """After each bad input the gateway answers a good call."""
    yield
    assert chat(gateway, "fake/normal").status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"   ", "invalid_json"),
        (b"hello", "invalid_json"),
        (b'{"model":"fake/normal",', "invalid_json"),
        (b'{"model":"fake/normal"}}', "invalid_json"),
        (b'{"model":"fake/normal","messages":[{"role":"user","content":"\xff\xfe"}]}', "invalid_json"),
        (b'{"model":"\xc3\x28"}', "invalid_json"),
        (b"[" * 100_000, "invalid_body"),
        (b'{"model":"fake/normal","a":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, None),
        (b'\xef\xbb\xbf{"model":"fake/normal"}', "invalid_json"),
        (b'{"model":"fake/normal","temperature":NaN}', "invalid_json"),
        (b"[]", "invalid_body"),
        (b'"text"', "invalid_body"),
        (b"12", "invalid_body"),
        (b"null", "invalid_body"),
        (f"{{{MESSAGES}}}".encode(), "invalid_body"),
        (f'{{"model":5,{MESSAGES}}}'.encode(), "invalid_body"),
        (f'{{"model":null,{MESSAGES}}}'.encode(), "invalid_body"),
        (f'{{"model":"",{MESSAGES}}}'.encode(), "invalid_body"),
        (f'{{"model":["fake/normal"],{MESSAGES}}}'.encode(), "invalid_body"),
        (f'{{"model":"fake/normal","stream":"yes",{MESSAGES}}}'.encode(), "invalid_body"),
        (f'{{"model":"fake/normal","stream":true,"stream_options":7,{MESSAGES}}}'.encode(), "invalid_body"),
    ],
    ids=[
        "empty", "blank", "text", "truncated", "trailing", "utf8-in-content", "utf8-in-model", "deep-array",
        "deep-object", "byte-order-mark", "nan", "array", "string", "number", "null", "no-model",
        "model-number", "model-null", "model-empty", "model-array", "stream-string", "stream-options-number",
    ],
)  # fmt: skip
def test_bad_bodies(gateway: GatewayProcess, upstream: FakeUpstream, body: bytes, code: str | None) -> None:
    """400 in OpenAI's shape, and the provider is not bothered (depth may be the provider's to judge)."""
    reply = post(gateway, body)
    if code is None and reply.status == 200:
        return
    assert_error(reply, 400, "invalid_request_error", code or "invalid_json", "client")
    assert upstream.exchanges == []


def test_repeated_model_cannot_smuggle(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Two `model` members: what we checked is what the provider gets."""
    body = f'{{"model":"down/refused","model":"fake/normal",{MESSAGES}}}'.encode()
    reply = post(gateway, body)
    if reply.status == 200:
        assert upstream.exchanges[-1].body.count(b'"model"') == 1
        assert upstream.exchanges[-1].json["model"] == "normal"
    else:
        assert reply.status == 400


def test_body_shorter_than_announced(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A client that leaves in the middle of its body: no call is made."""
    with gateway.connect() as connection:
        connection.send(
            request_bytes("POST", CHAT, [bearer(), JSON, ("content-length", "5000")])
            + chat_body("fake/normal")
        )
        connection.half_close()
        # Whatever it says, it ends the connection.
        while connection.socket.recv(65536):
            pass
    assert upstream.exchanges == []


def test_body_in_chunks_is_read(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A request without content-length, in small HTTP chunks."""
    body = chat_body("fake/normal")
    pieces = b"".join(f"{1:x}\r\n".encode() + body[at : at + 1] + b"\r\n" for at in range(len(body)))
    with gateway.connect() as connection:
        head = request_bytes("POST", CHAT, [bearer(), JSON, ("transfer-encoding", "chunked")])
        connection.send(head + pieces + b"0\r\n\r\n")
        assert connection.read_reply().status == 200
    assert upstream.exchanges[-1].json["messages"] == json.loads(body)["messages"]


@pytest.mark.parametrize(
    "length", [(), (("content-length", "24"),), (("content-length", "2"),)], ids=["alone", "long", "short"]
)
@pytest.mark.parametrize("chunks", [b"{}", b"2\r\n{}0\r\n\r\n", b"-1\r\n"], ids=["none", "no end", "sign"])
def test_chunks_that_are_none(
    gateway: GatewayProcess, upstream: FakeUpstream, chunks: bytes, length: tuple[tuple[str, str], ...]
) -> None:
    """They are the caller's mistake, in its answer and in its trace, and its connection ends with them."""
    with gateway.connect() as connection:
        headers = [bearer(), JSON, ("transfer-encoding", "chunked"), *length]
        connection.send(request_bytes("POST", CHAT, headers) + chunks)
        reply = connection.read_reply()
        assert_error(reply, 400, "invalid_request_error", "invalid_framing", "client")
        assert connection.has_ended()
    assert gateway.row(trace_id_of(reply))["status_code"] == 400
    assert upstream.exchanges == []


@pytest.mark.parametrize("path", ["/api/manifests/validate", "/api/telemetry/test"])
def test_chunks_that_are_none_at_the_control_plane(gateway: GatewayProcess, path: str) -> None:
    """It says so, too."""
    with RawConnection(gateway.control_port) as connection:
        headers = [bearer(ADMIN_TOKEN), JSON, ("transfer-encoding", "chunked")]
        head = request_bytes("POST", path, headers).replace(b"gateway.test", b"localhost")
        connection.send(head + b"{}")
        assert connection.read_reply().status == 400
        assert connection.has_ended()


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_body_shorter_than_its_length(gateway: GatewayProcess, path: str) -> None:
    """Whoever ends its own side within a body is told that this was wrong."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", path, [bearer(), JSON, ("content-length", "24")]) + b"{")
        connection.half_close()
        assert connection.read_head().status == 400
        assert connection.has_ended()


def test_body_over_the_limit_by_its_announcement(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """50 MB announced: refused before they are sent."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", CHAT, [bearer(), JSON, ("content-length", str(50_000_000))]))
        reply = connection.read_reply()
    assert_error(reply, 413, "invalid_request_error", "body_too_large", "client")
    assert upstream.exchanges == []


@pytest.mark.parametrize("more", [(), (("expect", "100-continue"),)], ids=["sent at once", "asked for"])
def test_body_over_the_limit_in_chunks(
    gateway: GatewayProcess, upstream: FakeUpstream, more: tuple[tuple[str, str], ...]
) -> None:
    """36 MB without an announcement: refused when the limit is passed, and the connection serves on."""
    megabyte = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    chunked = [bearer(), JSON, ("transfer-encoding", "chunked"), *more]
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", CHAT, chunked))
        for _ in range(36):
            connection.send(megabyte)
        connection.send(b"0\r\n\r\n")
        assert_error(connection.read_reply(), 413, "invalid_request_error", "body_too_large", "client")
        assert upstream.exchanges == []
        connection.send(request_bytes("GET", "/livez", []))
        assert connection.read_reply().status == 200


def test_body_under_the_limit_passes(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Thirty megabytes go through the default limit of 32 MB."""
    body = chat_body("fake/normal", user="x" * 30_000_000)
    assert post(gateway, body).status == 200
    assert len(upstream.exchanges[-1].body) > 30_000_000


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ([], "none"),
        ([("authorization", "")], "empty"),
        ([("authorization", "Bearer")], "scheme-only"),
        ([("authorization", "Bearer ")], "scheme-and-blank"),
        ([("authorization", "Basic Y2FuYXJ5OmNhbmFyeQ==")], "basic"),
        ([bearer("canary-wrong-token")], "wrong"),
        ([bearer(EXPIRED_TOKEN)], "expired"),
        ([bearer(HASHED_TOKEN + "x")], "longer"),
        ([bearer(HASHED_TOKEN[:-1])], "shorter"),
        ([bearer("x" * 7000)], "huge"),
        ([("authorization", "Bearer t\xf6ken")], "latin"),
        ([("x-tfy-api-key", "canary-wrong-token")], "x-tfy-api-key"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unknown_callers(
    gateway: GatewayProcess, upstream: FakeUpstream, headers: list[tuple[str, str]], why: str
) -> None:
    """401, saying what to send, and never what was sent."""
    with gateway.connect() as connection:
        reply = connection.exchange("POST", CHAT, [*headers, JSON], chat_body("fake/normal"))
    message = assert_error(reply, 401, "authentication_error", "invalid_api_key", "client")
    assert "canary" not in message
    assert upstream.exchanges == []


def test_token_without_the_right(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A model that exists and is not this caller's: 403."""
    reply = chat(gateway, "fake/tools", token=NARROW_TOKEN)
    assert_error(reply, 403, "permission_error", "model_not_allowed", "client")
    assert upstream.exchanges == []


def test_unknown_model_lists_close_names(gateway: GatewayProcess) -> None:
    """404 with names the caller may use, close to the one asked for."""
    reply = chat(gateway, "fake/normall")
    message = assert_error(reply, 404, "invalid_request_error", "model_not_found", "client")
    assert "fake/normal" in message
    assert reply.json["error"]["param"] == "model"


def test_unknown_model_tells_nothing_of_others(gateway: GatewayProcess) -> None:
    """The suggestions hold only what this caller may use."""
    message = assert_error(
        chat(gateway, "fake/tool", token=NARROW_TOKEN),
        404,
        "invalid_request_error",
        "model_not_found",
        "client",
    )
    assert "fake/tools" not in message


@pytest.mark.parametrize(
    "model", ["normal", "fake/", "/normal", "fake//normal", "fake/normal/x", "é/ü", "x" * 5000]
)
def test_odd_model_names(gateway: GatewayProcess, model: str) -> None:
    """None of them is a model."""
    assert_error(chat(gateway, model), 404, "invalid_request_error", "model_not_found", "client")


def test_account_without_its_secret(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """503 that says it is ours to mend, without naming the reference's content."""
    reply = chat(gateway, "keyless/normal")
    assert_error(reply, 503, "overloaded_error", "secret_missing", "gateway")
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/unknown", 404),
        ("GET", "/v1/completions", 405),
        ("DELETE", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("POST", "/v2/chat/completions", 404),
        ("GET", "/api/traces", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1//chat/completions", 404),
        # With a key it is passed on, as OpenAI lists stored completions there.
        ("GET", "/v1/chat/completions", 405),
        # A path that is passed on, so a key is asked for first; with one it is 400.
        ("POST", "/v1/chat/completions%00", 401),
    ],
)
def test_paths_and_methods(gateway: GatewayProcess, method: str, path: str, status: int) -> None:
    """404 and 405 come before everything else, in OpenAI's shape."""
    with gateway.connect() as connection:
        reply = connection.exchange(method, path, [JSON], b"{}")
    assert reply.status == status
    assert reply.json["error"]["source"] == "client"
    if status == 405:
        assert reply.header("allow")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nbad header line\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    ],
    ids=[
        "binary",
        "short",
        "version",
        "negative",
        "two-lengths",
        "no-colon",
        "bad-chunk",
        "long-path",
        "tls",
    ],
)
def test_malformed_http(gateway: GatewayProcess, upstream: FakeUpstream, data: bytes) -> None:
    """The server below us answers or hangs up; a worker that lives is what counts."""
    with gateway.connect() as connection:
        try:
            connection.send(data)
            connection.half_close()
            while connection.socket.recv(65536):
                pass
        except OSError:
            pass
    assert upstream.exchanges == []


def test_two_framings_cannot_smuggle_a_call(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Content-length and chunks at once: what follows the body is never taken for a call of its own."""
    smuggled = request_bytes("POST", CHAT, [bearer(), JSON], chat_body("fake/normal"))
    with gateway.connect() as connection:
        headers = [bearer("canary-wrong-token"), JSON, ("content-length", str(5 + len(smuggled)))]
        connection.send(request_bytes("POST", CHAT, [*headers, ("transfer-encoding", "chunked")]))
        connection.send(b"0\r\n\r\n")
        assert connection.read_head().status in (400, 401)
    assert upstream.exchanges == []


@pytest.mark.parametrize(("count", "size"), [(500, 10), (90, 8000), (1, 700_000)], ids=["many", "fat", "one"])
def test_header_bombs(gateway: GatewayProcess, count: int, size: int) -> None:
    """Too many or too large headers are refused by the server below us, or carried without harm."""
    bomb = [(f"x-bomb-{number}", "b" * size) for number in range(count)]
    with gateway.connect() as connection:
        try:
            connection.send(request_bytes("POST", CHAT, [bearer(), JSON, *bomb], chat_body("fake/normal")))
            assert connection.read_head().status in (200, 400, 413, 431)
        except OSError:
            pass


def test_limit_can_be_set(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """`--max-body-bytes` is obeyed to the byte."""
    gateway = start_gateway(workers=1, options=["--max-body-bytes", "1000"])
    fits = chat_body("fake/normal", user="")
    fits = chat_body("fake/normal", user="x" * (1000 - len(fits)))
    assert len(fits) == 1000
    assert post(gateway, fits).status == 200
    reply = post(gateway, fits + b" ")
    assert_error(reply, 413, "invalid_request_error", "body_too_large", "client")
