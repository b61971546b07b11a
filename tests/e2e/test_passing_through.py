"""Paths that are no calls of models, through a real gateway: whom they go to, what passes, what is held."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.rig.fake_upstream import stand_apart
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    NARROW_TOKEN,
    PROVIDER_KEY,
    bearer,
    openai_account,
    self_hosted_account,
    trace_id_of,
    virtual_account,
)
from tests.rig.path_upstream import BYTES, REPLY, Asked, PathUpstream
from tests.rig.raw_http import RawConnection, Reply, assert_error, request_bytes
from tests.rig.until import until

TWO_TOKEN: Final = "canary-two-accounts-0007"
SPEAKER_TOKEN: Final = "canary-speaker-0012"
JSON: Final = ("content-type", "application/json")
FORM: Final = ("content-type", "multipart/form-data; boundary=a-boundary-of-a-form")
MB: Final = 1_000_000


def part(name: str, content: bytes, *, filename: str = "") -> bytes:
    more = f'; filename="{filename}"\r\nContent-Type: audio/wav' if filename else ""
    return (
        f'--a-boundary-of-a-form\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--a-boundary-of-a-form--\r\n"


def account_of_the_page(url: str) -> Any:
    """The account of an API of no known dialect that docs/paths.md shows, at *url*."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "paths.md").read_text(encoding="utf-8")
    flags = re.MULTILINE | re.DOTALL
    [text] = re.findall(r"^```yaml\n(type: provider-account/self-hosted-model\n.*?)^```$", page, flags)
    return yaml.safe_load(text.replace("https://api.elevenlabs.io/v1", url))


@pytest.fixture(scope="module")
def server() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture
def provider(server: PathUpstream) -> PathUpstream:
    server.forget()
    return server


@pytest.fixture(scope="module")
def gateway(server: PathUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    documents = [
        openai_account("main", server.base_url, ["small", "big"]),
        openai_account("spare", server.base_url.replace("/v1", "/spare/v1"), ["small"]),
        self_hosted_account("lab", server.base_url, ["own"]),
        virtual_account("app", ["env:APP_TOKEN"], ["main/*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], ["main/small"]),
        virtual_account("two", [TWO_TOKEN], ["main/*", "spare/*"]),
        account_of_the_page(server.base_url),
        virtual_account("speaker", [SPEAKER_TOKEN], ["elevenlabs/*"]),
    ]
    folder = tmp_path_factory.mktemp("passing")
    options = ["--max-body-bytes", "100000"]
    environment = {**ENVIRONMENT, "ELEVENLABS_API_KEY": "canary-key-of-no-dialect"}
    with GatewayProcess(folder, documents, workers=1, options=options, environment=environment) as process:
        yield process


def ask(
    gateway: GatewayProcess,
    method: str,
    path: str,
    *headers: tuple[str, str],
    body: bytes | None = None,
    token: str = APP_TOKEN,
) -> Reply:
    with gateway.connect() as connection:
        return connection.exchange(method, path, [bearer(token), *headers], body)


def resident_bytes(gateway: GatewayProcess) -> int:
    (worker,) = gateway.worker_pids()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- whom a call goes to


def test_path_of_the_only_account(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Method, path, query and reply pass; the key is the provider's."""
    reply = ask(gateway, "GET", "/v1/vector_stores/vs_1/files?limit=2&tfyProviderName=main&after=f%201")
    assert (reply.status, reply.json) == (200, REPLY)
    (asked,) = provider.asked
    assert (asked.method, asked.target) == ("GET", "/v1/vector_stores/vs_1/files?limit=2&after=f%201")
    assert asked.header("authorization") == f"Bearer {PROVIDER_KEY}"
    assert reply.header("x-tfy-resolved-model") == "main"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH"])
def test_methods(gateway: GatewayProcess, provider: PathUpstream, method: str) -> None:
    """Each method passes, with a body and without."""
    for body in (None, b'{"metadata":{"a":1}}'):
        assert ask(gateway, method, "/v1/files/f-1", JSON, body=body).status == 200
    assert [(asked.method, asked.body) for asked in provider.asked] == [
        (method, b""), (method, b'{"metadata":{"a":1}}'),
    ]  # fmt: skip


def test_no_account_named(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """With two of them the call must say which; the answer says how."""
    reply = ask(gateway, "GET", "/v1/files", token=TWO_TOKEN)
    message = assert_error(reply, 400, "invalid_request_error", "account_required", "client")
    assert "x-tfy-provider-name" in message
    assert "main, spare" in message
    assert provider.asked == []


@pytest.mark.parametrize(
    ("query", "headers", "body"),
    [
        ("", [("x-tfy-provider-name", "spare")], None),
        ("?tfyProviderName=spare", [], None),
        ("?tfyModelName=spare/small", [], None),
        ("", [("x-tfy-model-name", "spare/small")], None),
        ("", [JSON], b'{"model":"spare/small","x":1}'),
    ],
)
def test_account_named(
    gateway: GatewayProcess,
    provider: PathUpstream,
    query: str,
    headers: list[tuple[str, str]],
    body: bytes | None,
) -> None:
    """By header, query, or the model in the body, which gets the provider's name."""
    reply = ask(gateway, "POST", f"/v1/fine_tuning/jobs{query}", *headers, body=body, token=TWO_TOKEN)
    assert reply.status == 200
    (asked,) = provider.asked
    assert asked.target == "/spare/v1/fine_tuning/jobs"
    assert asked.body == (b'{"model":"small","x":1}' if body else b"")


def test_stored_object_goes_back_to_its_account(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A response that was made here is found again without a name; nobody needs the right to the account."""

    async def made(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(200, b'{"id":"resp_made","object":"response","status":"completed"}')

    provider.on("/spare/v1/responses", made)
    body = b'{"model":"spare/small","input":"x"}'
    assert ask(gateway, "POST", "/v1/responses", JSON, body=body, token=TWO_TOKEN).status == 200
    for method, path in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
        assert ask(gateway, method, f"/v1/responses/resp_made{path}", token=TWO_TOKEN).status == 200
        assert provider.asked[-1].target == f"/spare/v1/responses/resp_made{path}"
    assert ask(gateway, "GET", "/v1/responses/resp_x", token=NARROW_TOKEN).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/files", 403, "account_not_allowed"),
        ("GET", "/v1/files?tfyProviderName=main", 403, "account_not_allowed"),
        ("POST", "/v1/batches", 403, "account_not_allowed"),
        ("POST", "/proxy/main/chat/completions", 403, "account_not_allowed"),
        ("GET", "/v1/responses/resp_1?tfyProviderName=spare", 403, "account_not_allowed"),
        # Calls of models to a server that is lax about paths, with any model of the account.
        ("POST", "/v1/responses/COMPACT", 403, "account_not_allowed"),
        ("POST", "/v1/responses/compact;v=1", 403, "account_not_allowed"),
        ("POST", "/v1/responses/compact/new", 403, "account_not_allowed"),
        ("GET", "/v1/files?tfyProviderName=none", 404, "account_not_found"),
        ("GET", "/v1/files?tfyModelName=main/none", 404, "model_not_found"),
        ("GET", "/v1/files?tfyModelName=main/big", 403, "model_not_allowed"),
    ],
)
def test_right_to_one_model_is_no_right_to_an_account(
    gateway: GatewayProcess, provider: PathUpstream, method: str, path: str, status: int, code: str
) -> None:
    """What reaches beyond a model needs the whole account."""
    body = b'{"model":"main/small"}' if method == "POST" else None
    reply = ask(gateway, method, path, JSON, body=body, token=NARROW_TOKEN)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert provider.asked == []


def test_unknown_key_before_all(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Nothing of the body is read for nobody."""
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", "/v1/files", [bearer("no"), FORM, ("content-length", "1000")]))
        assert connection.read_head().status == 401
    assert provider.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/proxy/main/../admin", "/proxy/main/a/%2e%2e/b", "/proxy/main/a/.%2E/b", "/proxy/main/a%2fb",
        "/proxy/main/a//b", "/proxy/main/%252e%252e/b", "/proxy/main/a%5c..%5cb", "/proxy/main/..;/b",
        "/v1/files/../models", "/v1/files/%2e%2e%2fadmin",
    ],
)  # fmt: skip
def test_paths_stay_below_the_account(gateway: GatewayProcess, provider: PathUpstream, path: str) -> None:
    """Nothing that could lead elsewhere is sent."""
    reply = ask(gateway, "GET", path)
    assert_error(reply, 400, "invalid_request_error", "invalid_path", "client")
    assert provider.asked == []


# -- what passes


def test_model_calls_of_their_own_kind(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Moderations, images and speech are calls of models: the right to one is enough."""
    for path in ("/moderations", "/images/generations", "/audio/speech", "/responses"):
        reply = ask(gateway, "POST", f"/v1{path}", JSON, body=b'{"model":"main/small"}', token=NARROW_TOKEN)
        assert reply.status == 200, reply.body
        assert provider.asked[-1].json == {"model": "small"}
        assert reply.body == (BYTES if path == "/audio/speech" else json.dumps(REPLY).encode())


EVENTS: Final = (
    b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_s","model":"s"}}\n\n',
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"f\xc3\xbc"}\n\n',
    (
        b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_s",'
        b'"model":"s","status":"completed","usage":{"input_tokens":21,"output_tokens":8,"total_tokens":29,'
        b'"input_tokens_details":{"cached_tokens":5},"output_tokens_details":{"reasoning_tokens":2}}}}\n\n'
    ),
)


def test_stream_of_a_response(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Bytes untouched, no end marker added, usage from the last event, counted once."""

    async def stream(asked: Asked) -> None:
        await asked.read_body()
        await asked.start(200, ("content-type", "text/event-stream"), ("transfer-encoding", "chunked"))
        for event in EVENTS:
            await asked.send(b"%x\r\n%b\r\n" % (len(event), event))
        await asked.send(b"0\r\n\r\n")

    provider.on("/v1/responses", stream)
    reply = ask(gateway, "POST", "/v1/responses", JSON, body=b'{"model":"main/small","stream":true}')
    assert (reply.status, reply.body) == (200, b"".join(EVENTS))
    row = gateway.row(trace_id_of(reply))
    assert row["usage"] == {"input_tokens": 21, "output_tokens": 8, "source": "provider"}
    assert (row["model"], row["is_stream"]) == ("main/small", True)
    # Fetched again it was paid for already.
    provider.on("/v1/responses/resp_s", stream)
    reply = ask(gateway, "GET", "/v1/responses/resp_s?stream=true")
    assert reply.body == b"".join(EVENTS)
    assert (
        gateway.row(trace_id_of(reply))["usage"] is None
        or not gateway.row(trace_id_of(reply))["usage"]["source"]
    )


def test_proxy(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Any path, kind of body and header of a provider's own API; nothing of the caller's credentials."""

    async def teapot(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(418, b"<short/>", "text/xml", ("set-cookie", "a=1"), ("etag", "e"))

    provider.on("/v1/odd/path:do", teapot)
    headers = [
        ("content-type", "text/x-odd"), ("anthropic-version", "2023-06-01"), ("x-own", "1"),
        ("x-api-key", APP_TOKEN), ("cookie", "c"), ("x-forwarded-for", "192.0.2.1"), ("x-tfy-metadata", "{}"),
    ]  # fmt: skip
    reply = ask(gateway, "PUT", "/proxy/main/odd/path:do?a=%20b", *headers, body=b"\x00\xff")
    assert (reply.status, reply.body, reply.header("content-type")) == (418, b"<short/>", "text/xml")
    assert (reply.header("etag"), reply.header("set-cookie")) == ("e", None)
    assert reply.header("x-tfy-error-source") == "upstream"
    (asked,) = provider.asked
    assert (asked.target, asked.body) == ("/v1/odd/path:do?a=%20b", b"\x00\xff")
    assert {name for name, _ in asked.headers} == {
        "host", "content-length", "content-type", "anthropic-version", "x-own", "user-agent",
        "accept-encoding", "authorization",
    }  # fmt: skip
    assert APP_TOKEN not in str(asked.headers)
    server, client = gateway.trace(trace_id_of(reply))["spans"]
    assert server["name"] == "PUT /proxy/{account}/{path}"
    assert (client["name"], client["attributes"]["gen_ai.operation.name"]) == ("proxy", "proxy")


def test_an_api_of_no_dialect(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """As docs/paths.md shows it: the key in the header that the provider wants, the caller's nowhere."""
    path = "/proxy/elevenlabs/text-to-speech/voice?output_format=mp3"
    reply = ask(gateway, "POST", path, JSON, body=b'{"text":"hello"}', token=SPEAKER_TOKEN)
    assert reply.status == 200
    [asked] = provider.asked
    assert asked.target == "/v1/text-to-speech/voice?output_format=mp3"
    assert ("xi-api-key", "canary-key-of-no-dialect") in asked.headers
    assert SPEAKER_TOKEN not in str(asked.headers)


def test_other_path(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A path that OpenAI does not have: with an account it goes there, without one it does not exist."""
    assert_error(
        ask(gateway, "POST", "/v1/ranking"), 404, "invalid_request_error", "path_not_found", "client"
    )
    assert ask(gateway, "POST", "/v1/ranking", ("x-tfy-provider-name", "main")).status == 200
    assert [asked.target for asked in provider.asked] == ["/v1/ranking"]


def test_providers_error(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A provider's 404 passes unchanged, its page of HTML does not."""

    async def missing(asked: Asked) -> None:
        await asked.answer(404, b'{"error":{"message":"No such File"}}')

    async def page(asked: Asked) -> None:
        await asked.answer(404, b"<html>", "text/html")

    provider.on("/v1/files/f-1", missing)
    reply = ask(gateway, "GET", "/v1/files/f-1")
    assert (reply.status, reply.body) == (404, b'{"error":{"message":"No such File"}}')
    assert reply.header("x-tfy-error-source") == "upstream"
    provider.on("/v1/files/f-2", page)
    assert_error(
        ask(gateway, "GET", "/v1/files/f-2"), 502, "upstream_error", "upstream_bad_reply", "upstream"
    )


@pytest.mark.parametrize(
    ("location", "seen"),
    [
        ("/v1/files/f-2?x=1", "/v1/files/f-2?x=1"),
        ("https://elsewhere.test/f-2", None),
        ("//elsewhere.test/v1/f-2", None),
        ("/admin", None),
        ("/v1/../admin", None),
    ],
)
def test_redirect(gateway: GatewayProcess, provider: PathUpstream, location: str, seen: str | None) -> None:
    """Never followed; told on only where it stays with the account, as an address of the gateway."""

    async def redirect(asked: Asked) -> None:
        await asked.answer(302, b"", "text/plain", ("location", location))

    provider.on("/v1/files/f-1/content", redirect)
    reply = ask(gateway, "GET", "/v1/files/f-1/content")
    assert (reply.status, reply.header("location")) == (302, seen)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    "path", ["/v1/agents/sessions/s-1/events", "/proxy/main/v1/agents/sessions/s-1/events"]
)
def test_subscription(gateway: GatewayProcess, provider: PathUpstream, path: str) -> None:
    """Its head comes before any event: SDKs wait for it, and then ask for what the events are about."""
    is_asked = provider.event()

    async def tell(asked: Asked) -> None:
        await asked.start(200, ("content-type", "text/event-stream"), ("connection", "close"))
        await is_asked.wait()
        await asked.send(b"data: {}\n\n")
        asked.writer.close()

    provider.on("/v1/agents/sessions/s-1/events", tell)
    with gateway.connect() as connection:
        connection.send(request_bytes("GET", path, [bearer(), ("x-tfy-provider-name", "main")]))
        assert connection.read_head().status == 200
        provider.set(is_asked)
        assert b"".join(connection.read_pieces()) == b"data: {}\n\n"


def test_reply_without_a_body(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A 204 has none, and the connection goes on."""

    async def nothing(asked: Asked) -> None:
        await asked.start(204)

    provider.on("/v1/files/f-1", nothing)
    with gateway.connect() as connection:
        for _ in range(2):
            assert connection.exchange("DELETE", "/v1/files/f-1", [bearer()]).status == 204


def test_spans(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """One SERVER span with the route and no id in its name, one CLIENT span."""
    reply = ask(gateway, "GET", "/api/llm/vector_stores/vs_1/files/file_1/content")
    server, client = gateway.trace(trace_id_of(reply))["spans"]
    route = "/v1/vector_stores/{vector_store_id}/files/{file_id}/content"
    assert (server["name"], server["attributes"]["http.route"]) == (f"GET {route}", route)
    assert client["name"] == client["attributes"]["gen_ai.operation.name"] == "vector_stores"
    assert client["attributes"]["gateway.target"] == "main"
    assert "gen_ai.usage.input_tokens" not in client["attributes"]
    assert provider.asked[0].target == "/v1/vector_stores/vs_1/files/file_1/content"


# -- forms


@pytest.mark.parametrize("size", [10, 50 * MB])
def test_form(gateway: GatewayProcess, provider: PathUpstream, size: int) -> None:
    """The model is replaced, all else passes byte for byte with its length, and 50 MB are never held."""
    sound = os.urandom(size)
    body = form(part("language", b"de"), part("model", b"main/small"), part("file", sound, filename="a.wav"))
    sent = body.replace(b"main/small", b"small")
    ask(gateway, "POST", "/v1/audio/transcriptions", FORM, body=form(part("model", b"main/small")))
    memory = resident_bytes(gateway)
    reply = ask(gateway, "POST", "/v1/audio/transcriptions", FORM, body=body, token=NARROW_TOKEN)
    assert (reply.status, reply.json) == (200, REPLY)
    assert resident_bytes(gateway) - memory < 16 * MB
    asked = provider.asked[-1]
    assert (asked.size, asked.digest) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert asked.header("content-length") == str(len(sent))
    row = gateway.row(trace_id_of(reply))
    assert (row["model"], row["usage"]["source"]) == ("main/small", "provider")


def test_model_after_a_long_file(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Beyond the bound it must be named by header as well; then it is replaced where it comes."""
    file = part("file", b"x" * 3 * MB, filename="a.wav")
    body = form(file, part("model", b"main/small"))
    reply = ask(gateway, "POST", "/v1/audio/transcriptions", FORM, body=body)
    assert "x-tfy-model-name" in assert_error(reply, 400, "invalid_request_error", "invalid_body", "client")
    assert provider.asked == []
    named = ("x-tfy-model-name", "main/small")
    assert ask(gateway, "POST", "/v1/audio/transcriptions", FORM, named, body=body).status == 200
    sent = form(file, part("model", b"small"))
    assert provider.asked[-1].digest == hashlib.sha256(sent).hexdigest()
    other = form(file, part("model", b"main/big"))
    reply = ask(gateway, "POST", "/v1/audio/transcriptions", FORM, named, body=other)
    assert_error(reply, 400, "invalid_request_error", "invalid_body", "client")
    until(lambda: provider.asked[-1].is_cut, what="the provider to be left without the end of the form")


def test_model_after_a_short_file(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Within the bound the order does not matter."""
    body = form(part("file", b"x" * 500_000, filename="a.wav"), part("model", b"main/small"))
    assert ask(gateway, "POST", "/v1/audio/translations", FORM, body=body).status == 200
    assert provider.asked[-1].size == len(body) - len(b"main/")


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([part("model", b"main/big")], 403, "model_not_allowed"),
        ([part("model", b"main/none")], 404, "model_not_found"),
        ([part("model", b"main/small"), part("model", b"main/big")], 400, "invalid_body"),
        ([part("file", b"x", filename="a")], 400, "invalid_body"),
        ([part("mod\\el", b"main/big"), part("model", b"main/small")], 400, "invalid_body"),
        ([b"no form"], 400, "invalid_body"),
    ],
)
def test_form_that_is_refused(
    gateway: GatewayProcess, provider: PathUpstream, parts: list[bytes], status: int, code: str
) -> None:
    """A form is no way around the right to a model."""
    reply = ask(gateway, "POST", "/v1/audio/transcriptions", FORM, body=form(*parts), token=NARROW_TOKEN)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert provider.asked == []


@pytest.mark.parametrize(
    ("query", "parts", "status", "code"),
    [
        ("?model=main/big", [part("model", b"main/small")], 403, "model_not_allowed"),
        ("?model=big", [part("model", b"main/small")], 404, "model_not_found"),
        ("?model=main/small", [part("model", b"main/small")], 400, "invalid_body"),
        ("?model=main/small&model=main/small", [part("file", b"x", filename="a")], 400, "invalid_body"),
    ],
)
def test_model_of_a_form_in_its_query(
    gateway: GatewayProcess,
    provider: PathUpstream,
    query: str,
    parts: list[bytes],
    status: int,
    code: str,
) -> None:
    """A query is no way around it either: a server may look there first."""
    path = f"/v1/audio/transcriptions{query}"
    reply = ask(gateway, "POST", path, FORM, body=form(*parts), token=NARROW_TOKEN)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert provider.asked == []


def test_upload(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A file, and a chunked one whose length nobody declared."""
    body = form(part("purpose", b"batch"), part("file", b"x" * 5 * MB, filename="a.jsonl"))
    assert ask(gateway, "POST", "/v1/files", FORM, body=body).status == 200
    assert provider.asked[-1].header("content-length") == str(len(body))
    with gateway.connect() as connection:
        connection.send(
            request_bytes("POST", "/v1/uploads/u-1/parts", [bearer(), FORM, ("transfer-encoding", "chunked")])
        )
        for at in range(0, len(body), MB):
            piece = body[at : at + MB]
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        assert connection.read_reply().status == 200
    asked = provider.asked[-1]
    assert (asked.digest, asked.header("transfer-encoding")) == (hashlib.sha256(body).hexdigest(), "chunked")


def test_too_long(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """JSON is held, so its limit is --max-body-bytes; a form's is the other one."""
    reply = ask(gateway, "POST", "/v1/batches", JSON, body=b"{" + b" " * 100_000 + b"}")
    assert_error(reply, 413, "invalid_request_error", "body_too_large", "client")
    with gateway.connect() as connection:
        head = [bearer(), FORM, ("content-length", str(2 << 30))]
        connection.send(request_bytes("POST", "/v1/files", head))
        assert connection.read_head().status == 413
    assert provider.asked == []


# -- what goes wrong on the way


def begin_upload(gateway: GatewayProcess, size: int) -> RawConnection:
    """A connection on which the head of a form of *size* bytes and its first MB have been sent."""
    connection = gateway.connect()
    beginning = part("file", b"", filename="a")[:-2]
    connection.send(
        request_bytes("POST", "/v1/files", [bearer(), FORM, ("content-length", str(size))]) + beginning
    )
    connection.send(b"x" * 2 * MB)
    return connection


def test_provider_refuses_a_body_that_still_comes(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Its answer is the caller's at once, not when all has been sent."""

    async def refuse(asked: Asked) -> None:
        await asked.answer(413, b'{"error":{"message":"too big"}}')
        await asked.reader.read()

    provider.on("/v1/files", refuse)
    with begin_upload(gateway, 100 * MB) as connection:
        reply = connection.read_reply()
    assert (reply.status, reply.body) == (413, b'{"error":{"message":"too big"}}')
    until(lambda: provider.open_connections == 0 or provider.asked[-1].was_answered.is_set(), what="its end")


@pytest.mark.parametrize("path", ["/v1/files", "/proxy/main/v1/files"])
def test_body_that_the_provider_did_not_want(
    gateway: GatewayProcess, provider: PathUpstream, path: str
) -> None:
    """It is taken in: whoever sends first and reads then could read nothing on a connection that broke."""

    async def refuse(asked: Asked) -> None:
        await asked.answer(
            413, b'{"error":{"message":"too big"}}', "application/json", ("connection", "close")
        )
        asked.writer.close()

    provider.on("/v1/files", refuse)
    with gateway.connect() as connection:
        head = [bearer(), ("content-type", "application/octet-stream"), ("content-length", str(40 * MB))]
        connection.send(request_bytes("POST", path, [*head, ("x-tfy-provider-name", "main")]))
        for _ in range(40):
            connection.send(b"x" * MB)
        assert connection.read_reply().status == 413
        assert connection.exchange("GET", "/v1/models", [bearer()]).status == 200


def test_caller_leaves_within_its_body(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """The provider's connection ends with it, and the trace says why."""
    connection = begin_upload(gateway, 100 * MB)
    until(lambda: provider.asked and provider.asked[0].size > MB, what="the body to reach the provider")
    connection.reset()
    until(lambda: provider.asked[0].is_cut, what="the provider to notice")
    row = until(
        lambda: next((row for row in gateway.traces("limit=5") if row["status_code"] == 499), None),
        what="the call to be recorded",
    )
    assert row is not None
    assert (row["error_type"], row["usage"] and row["usage"]["source"]) == ("client_disconnected", None)


def test_caller_leaves_behind_its_body(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """What a model has read counts, though all of it was sent on as it came and no reply has begun."""
    heard, never = threading.Event(), provider.event()

    async def silent(asked: Asked) -> None:
        await asked.read_body()
        heard.set()
        await never.wait()

    provider.on("/v1/v2/chat", silent)
    connection = gateway.connect()
    body = b'{"model":"big","messages":"%b"}' % (b"ab c" * (MB // 2))
    connection.send(request_bytes("POST", "/proxy/main/v2/chat", [bearer(), JSON], body))
    assert heard.wait(60)
    connection.reset()
    found = {"source": "partial", "input_tokens": len(body) // 4}
    until(
        lambda: any(found.items() <= (row["usage"] or {}).items() for row in gateway.traces("limit=5")),
        what="the call to be recorded with what it used",
    )


def test_caller_leaves_within_the_reply(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Likewise when it has enough of a download."""

    async def endless(asked: Asked) -> None:
        await asked.start(200, ("content-type", "application/octet-stream"), ("transfer-encoding", "chunked"))
        while True:
            await asked.send(b"8000\r\n%b\r\n" % (b"x" * 0x8000))

    provider.on("/v1/files/f-1/content", endless)
    connection = gateway.connect()
    connection.send(request_bytes("GET", "/v1/files/f-1/content", [bearer()]))
    connection.read_head()
    connection.read_piece()
    connection.reset()
    assert provider.asked[0].was_left.wait(60)


def test_slow_reader(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A caller that stops reading stops the provider, not the memory; then it gets all of it."""
    size = 60 * MB

    async def big(asked: Asked) -> None:
        await asked.start(200, ("content-type", "application/octet-stream"), ("content-length", str(size)))
        for _ in range(size // MB):
            await asked.send(b"x" * MB)

    provider.on("/v1/files/f-1/content", big)
    with gateway.connect() as connection:
        memory = resident_bytes(gateway)
        connection.send(request_bytes("GET", "/v1/files/f-1/content", [bearer()]))
        assert connection.read_head().header("content-length") == str(size)
        assert not provider.asked[0].was_answered.wait(1.0)
        assert resident_bytes(gateway) - memory < 16 * MB
        assert sum(map(len, connection.read_pieces())) == size
    assert provider.asked[0].was_answered.wait(60)


def test_slow_provider(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A provider that stops reading stops the caller, not the memory."""
    go_on = provider.event()

    async def slow(asked: Asked) -> None:
        await go_on.wait()
        await asked.read_body()
        await asked.answer(200, b"{}")

    provider.on("/v1/files", slow)
    memory = resident_bytes(gateway)
    size = 60 * MB
    rest = b"\r\n--a-boundary-of-a-form--\r\n"
    with begin_upload(gateway, size) as connection:
        beginning = len(part("file", b"", filename="a")[:-2]) + 2 * MB
        left = size - beginning - len(rest)
        connection.socket.settimeout(1.0)
        view = memoryview(b"x" * left + rest)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < len(view):
                sent += connection.socket.send(view[sent : sent + 65_536])
        assert sent < 40 * MB
        assert resident_bytes(gateway) - memory < 16 * MB
        provider.set(go_on)
        connection.socket.settimeout(60.0)
        connection.send(bytes(view[sent:]))
        assert connection.read_reply().status == 200
    assert provider.asked[0].size == size


@pytest.mark.parametrize("framing", [("content-length", "1000"), ("transfer-encoding", "chunked")])
def test_reply_that_breaks_off(
    gateway: GatewayProcess, provider: PathUpstream, framing: tuple[str, str]
) -> None:
    """It breaks off here too: half a file must not look like a whole one."""

    async def half(asked: Asked) -> None:
        await asked.start(200, ("content-type", "application/octet-stream"), framing)
        await asked.send(b"5\r\nhello\r\n")
        await stand_apart(asked.writer.transport)
        asked.writer.transport.abort()

    provider.on("/v1/files/f-1/content", half)
    with gateway.connect() as connection:
        connection.send(request_bytes("GET", "/v1/files/f-1/content", [bearer()]))
        head = connection.read_head()
        with pytest.raises(ConnectionError):
            list(connection.read_pieces())
    row = gateway.row(trace_id_of(head))
    assert (row["status"], row["error_type"]) == ("error", "upstream_unreachable")


def test_connections_are_kept(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """Many calls of all kinds leave no more connections than one needs."""
    body = form(part("file", b"x" * 2 * MB, filename="a"))
    for _ in range(20):
        assert ask(gateway, "GET", "/v1/files").status == 200
        assert ask(gateway, "POST", "/v1/files", FORM, body=body).status == 200
        assert ask(gateway, "GET", "/v1/files/f-1/content").body == BYTES
    until(lambda: provider.open_connections <= 2, what="no more than two connections")
