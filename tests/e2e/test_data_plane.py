"""Calls that go well: what reaches the provider, what comes back."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.rig import behaviours
from tests.rig.behaviours import TEXT
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    HASHED_TOKEN,
    NARROW_TOKEN,
    SCRIPTED,
    bearer,
    chat,
    chat_body,
)
from tests.rig.raw_http import events, request_bytes

PREFIXES = ["", "/v1", "/api/llm", "/api/llm/v1", "/api/inference/openai", "/api/llm/api/inference/openai"]
JSON = ("content-type", "application/json")


def test_only_the_model_of_a_body_is_rewritten(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Unknown fields, numbers and texts reach the provider as they were written."""
    body = (
        b'{"model":"fake/normal","messages":[{"role":"user","content":"gr\\u00fcn \xc3\xbc"}],'
        b'"temperature":1.10,"seed":12345678901234567890,"x_vendor":{"a":[1e2,null],"model":"fake/normal"}}'
    )
    with gateway.connect() as connection:
        reply = connection.exchange("POST", "/v1/chat/completions", [bearer(), JSON], body)
    assert reply.status == 200
    sent = upstream.exchanges[-1].body
    assert upstream.exchanges[-1].json["model"] == "normal"
    for kept in (
        b'"messages":[{"role":"user","content":"gr\\u00fcn \xc3\xbc"}]',
        b'"temperature":1.10',
        b'"seed":12345678901234567890',
        b'"x_vendor":{"a":[1e2,null],"model":"fake/normal"}',
    ):
        assert kept in sent


def test_reply_body_is_the_providers_bytes(gateway: GatewayProcess) -> None:
    """Same dialect: the answer's bytes are untouched."""
    reply = chat(gateway, "fake/normal")
    assert reply.status == 200
    assert reply.body == json.dumps(behaviours.completion("normal"), ensure_ascii=False).encode()
    assert reply.header("content-type") == "application/json"


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings"])
def test_every_prefix_serves_every_endpoint(
    gateway: GatewayProcess, upstream: FakeUpstream, prefix: str, path: str
) -> None:
    """With and without /v1, and under TrueFoundry's prefixes."""
    question = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input"}[path]
    asked = [{"role": "user", "content": "x"}] if question == "messages" else "x"
    body = json.dumps({"model": "fake/normal", question: asked}).encode()
    with gateway.connect() as connection:
        reply = connection.exchange("POST", prefix + path, [bearer(), JSON], body)
    assert reply.status == 200, reply.body
    assert upstream.exchanges[-1].path == f"/v1{path}"
    assert reply.header("x-tfy-resolved-model") == "fake/normal"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_models_lists_what_the_caller_may_use(gateway: GatewayProcess, prefix: str) -> None:
    """Each caller sees its own models, and none whose account cannot be used."""
    with gateway.connect() as connection:
        narrow = connection.exchange("GET", f"{prefix}/models", [bearer(NARROW_TOKEN)])
        everything = connection.exchange("GET", f"{prefix}/models", [bearer()])
    assert narrow.json["object"] == "list"
    assert [model["id"] for model in narrow.json["data"]] == ["fake/normal"]
    ids = {model["id"] for model in everything.json["data"]}
    assert {"fake/normal", "lab/normal", "down/refused"} <= ids
    assert "keyless/normal" not in ids
    assert all(model["object"] == "model" for model in everything.json["data"])


@pytest.mark.parametrize(
    "header",
    [
        bearer(),
        bearer(HASHED_TOKEN),
        ("authorization", f"bearer {APP_TOKEN}"),
        ("x-tfy-api-key", APP_TOKEN),
        ("x-tfy-api-key", HASHED_TOKEN),
    ],
    ids=["bearer", "hashed", "scheme-case", "x-tfy-api-key", "x-tfy-api-key-hashed"],
)
def test_ways_to_authenticate(gateway: GatewayProcess, header: tuple[str, str]) -> None:
    """Bearer or x-tfy-api-key, the token configured in clear or as a hash."""
    with gateway.connect() as connection:
        reply = connection.exchange("POST", "/v1/chat/completions", [header, JSON], chat_body("fake/normal"))
    assert reply.status == 200


def test_provider_name_header_completes_a_bare_model(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """`x-tfy-provider-name` and a bare model are joined."""
    reply = chat(gateway, "normal", headers=[("x-tfy-provider-name", "lab")])
    assert reply.status == 200
    assert reply.header("x-tfy-resolved-model") == "lab/normal"


def test_connection_is_kept_for_more_calls(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Keep-alive on both sides, streams included."""
    with gateway.connect() as connection:
        for stream in (False, True, False, True):
            reply = connection.exchange(
                "POST", "/v1/chat/completions", [bearer(), JSON], chat_body("fake/normal", stream=stream)
            )
            assert reply.status == 200
    assert len({exchange.connection.number for exchange in upstream.exchanges}) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_pipelined_calls_are_answered_in_order(gateway: GatewayProcess, *, stream: bool) -> None:
    """A second request that waits in the connection is not taken for a disconnect."""
    request = request_bytes(
        "POST", "/v1/chat/completions", [bearer(), JSON], chat_body("fake/normal", stream=stream)
    )
    with gateway.connect() as connection:
        connection.send(request * 3)
        replies = [connection.read_reply() for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len({reply.header("x-request-id") for reply in replies}) == 3


def test_old_http_client_is_served(gateway: GatewayProcess) -> None:
    """HTTP/1.0: no chunks, the end of the connection is the end of the stream."""
    body = chat_body("fake/normal", stream=True)
    request = request_bytes("POST", "/v1/chat/completions", [bearer(), JSON], body)
    with gateway.connect() as connection:
        connection.send(request.replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        received = b""
        while data := connection.socket.recv(65536):
            received += data
    assert received.split(b" ", 2)[1] == b"200"
    assert received.endswith(behaviours.DONE)


def test_informational_response_is_passed_over(gateway: GatewayProcess) -> None:
    """A `103` of the provider's is not its answer."""
    assert chat(gateway, "fake/early-hints").json["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_huge_reply_arrives_whole(gateway: GatewayProcess, upstream: FakeUpstream, *, stream: bool) -> None:
    """Four megabytes in one answer, ten thousand events in one stream."""
    if not stream:
        reply = chat(gateway, "fake/huge")
        assert len(reply.json["choices"][0]["message"]["content"]) == 4_000_000
        return
    upstream.play(SCRIPTED, behaviours.stream(words=10_000))
    reply = chat(gateway, "fake/scripted", stream=True)
    found = events(reply.body)
    assert found[-1] == "[DONE]"
    assert sum('"content": "w' in event for event in found) == 10_000


def test_head_that_arrives_byte_by_byte_is_read(gateway: GatewayProcess) -> None:
    """A slow provider is a provider."""
    assert chat(gateway, "fake/slow-headers").json["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_reply_compressed_against_our_wish_is_never_garbage(gateway: GatewayProcess, *, stream: bool) -> None:
    """Gzip although identity was asked for: decoded, or passed on by name, or refused; never garbage."""
    reply = chat(gateway, "fake/gzip", stream=stream)
    if reply.status == 502:
        assert reply.json["error"]["code"] == "upstream_bad_reply"
        return
    assert reply.status == 200
    body = gzip.decompress(reply.body) if reply.header("content-encoding") == "gzip" else reply.body
    assert "jumps." in body.decode()


def test_response_headers_of_a_good_call(gateway: GatewayProcess) -> None:
    """What every answer carries."""
    reply = chat(gateway, "fake/normal")
    assert reply.header("x-tfy-resolved-model") == "fake/normal"
    timing = reply.header("server-timing") or ""
    for stage in ("auth", "route", "limit", "upstream", "total"):
        assert f"{stage};dur=" in timing
    assert 'attempts;desc="1"' in timing
    assert reply.header("x-tfy-error-source") is None
    assert (reply.header("traceparent") or "").count("-") == 3


def test_stream_carries_the_same_headers(gateway: GatewayProcess) -> None:
    """A stream's head says what a whole answer's does."""
    reply = chat(gateway, "fake/normal", stream=True)
    assert (reply.header("content-type") or "").startswith("text/event-stream")
    assert reply.header("x-tfy-resolved-model") == "fake/normal"
    assert "upstream;dur=" in (reply.header("server-timing") or "")
    assert reply.header("x-request-id")
    assert reply.header("content-length") is None


def test_known_headers_without_effect_are_named(gateway: GatewayProcess) -> None:
    """A `x-tfy-*` header that is known and not acted on yet is said to be ignored."""
    reply = chat(gateway, "fake/normal", headers=[("x-tfy-cache-config", "{}"), ("x-tfy-guardrails", "{}")])
    ignored = {name.strip().lower() for name in (reply.header("x-tfy-ignored-headers") or "").split(",")}
    assert {"x-tfy-cache-config", "x-tfy-guardrails"} <= ignored
    assert chat(gateway, "fake/normal").header("x-tfy-ignored-headers") is None
