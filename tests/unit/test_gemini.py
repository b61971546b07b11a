"""Google's paths, between doubles: who may what, where it goes, and what of a reply leads back here.

What its SDK makes of it is tested against real sockets (tests/conformance/test_google_sdk.py).
"""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.edge.paths import find_gemini
from gateway.endpoints.gemini_paths import find_key, find_signature, without_credentials
from gateway.errors import GatewayError, UpstreamUnreachable
from gateway.gemini import Gemini
from gateway.identity.tokens import Identity
from gateway.model import Caller, ListedModel
from gateway.pass_through import PassThrough
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.routing.accounts import Accounts
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.direct import Routing, Rules
from gateway.routing.route import Candidate, Route
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import CallTrace
from tests.unit.doubles import FakeClient, FakeHealth, FakeReply, FakeUpstream, Instead
from tests.unit.makers import TOKEN, TokenPrice, make_credential, make_route, make_routes, make_target

GOOGLE_KEY = "google-provider-key"
ROOT = "https://generativelanguage.googleapis.com"
VERTEX = "https://aiplatform.googleapis.com/v1/projects/mine/locations/global/publishers"
OWN = (("x-goog-api-key", GOOGLE_KEY),)
TARGETS = (
    make_target(
        "google/flash",
        model_id="gemini-flash",
        dialect="gemini",
        base_url=f"{ROOT}/v1beta",
        headers=OWN,
        price=TokenPrice(),
    ),
    make_target(
        "google/pro", model_id="gemini-pro", dialect="gemini", base_url=f"{ROOT}/v1beta", headers=OWN
    ),
    make_target("vertex/claude", model_id="claude", dialect="anthropic", base_url=f"{VERTEX}/anthropic"),
    make_target("vertex/flash", model_id="gemini-flash", dialect="gemini", base_url=f"{VERTEX}/google"),
    make_target("acct/small"),
)
BY_NAME = {target.name: target for target in TARGETS}
CHAT = make_route("vm/chat", BY_NAME["google/flash"], BY_NAME["acct/small"], BY_NAME["vertex/flash"])
AUTO = Route(
    "vm/auto",
    [Candidate(BY_NAME["google/flash"], tier="simple"), Candidate(BY_NAME["vertex/flash"], tier="complex")],
    Complexity(Judge(BY_NAME["acct/small"])),
    FakeHealth(),
)
ROUTES = make_routes(CHAT, AUTO, make_route("vm/closed", BY_NAME["acct/small"]), fast=CHAT)
LISTED = (
    ListedModel("vm/chat", "vm", frozenset({"chat"}), context_window=1000),
    ListedModel("vm/closed", "vm", frozenset({"chat"})),
)
WHOLE = Caller(
    "whole",
    frozenset((*BY_NAME, "vm/chat", "vm/auto", "vm/closed")),
    frozenset({"google", "vertex", "acct"}),
)
NARROW = Caller("narrow", frozenset({"google/flash"}), tags={"team": "ml"})
VIRTUAL = Caller("virtual", frozenset({"vm/chat"}))
BODY = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
SAID = {
    "candidates": [{"content": {"parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 500},
    "modelVersion": "gemini-flash-001",
}
REPLY = json.dumps(SAID).encode()
JSON = {"content-type": "application/json; charset=UTF-8"}
FLASH = "/v1beta/models/gemini-flash"


class FakeGoogleClient(FakeClient):
    """A caller with what its query has to sign it in."""

    key = ""
    signature = ""


class Rig:
    """The stages between doubles, and what they recorded."""

    def __init__(self, *script: FakeReply | GatewayError | Exception, rules: Rules | None = None) -> None:
        self.upstream = FakeUpstream(*script)
        self.records: list[CallTrace] = []
        tokens = {TOKEN: WHOLE, "narrow-token": NARROW, "virtual-token": VIRTUAL}
        credentials = [make_credential(token, caller) for token, caller in tokens.items()]
        snapshot = Snapshot(
            "v1",
            1,
            Identity(credentials),
            Routing(TARGETS, ROUTES, rules, LISTED),
            accounts=Accounts(TARGETS),
        )
        pipeline = Pipeline(
            CurrentSnapshot(snapshot),
            self.upstream,
            self.records.append,
            max_body_bytes=1000,
            random=Random(7),
        )
        passing = PassThrough(pipeline, self.upstream, max_body_bytes=1000, max_upload_bytes=5000)
        self.gemini = Gemini(pipeline, passing)

    async def ask(
        self,
        path: str,
        *headers: tuple[str, str],
        token: str = TOKEN,
        account: str = "google",
        method: str = "POST",
        query: str = "",
        body: bytes = BODY,
    ) -> FakeGoogleClient:
        full = path if "/gemini/" in path else f"/gemini/{account}/proxy{path}"
        asked = find_gemini(full, query)
        assert asked is not None
        signing = [("x-goog-api-key", token)] if token else []
        client = FakeGoogleClient(
            *signing,
            ("host", "gw.test"),
            *headers,
            body=body,
            path=full,
            route=asked.endpoint.route,
            method=method,
            query=without_credentials(query),
        )
        client.key, client.signature = find_key(query), find_signature(query)
        await self.gemini.serve(client, asked)
        return client

    @property
    def trace(self) -> CallTrace:
        return self.records[-1]


def error_of(client: FakeClient) -> tuple[int | None, str]:
    error = json.loads(client.received)["error"]
    assert error["code"] == client.status
    return client.status, error["details"][0]["reason"]


async def test_call() -> None:
    """It is made of the model with the account's key, both bodies pass, and what it cost is known."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    client = await rig.ask(f"{FLASH}:generateContent", query="key=x&prettyPrint=a", token=TOKEN)
    (request,) = rig.upstream.requests
    assert (request.url, request.body) == (
        f"{ROOT}/v1beta/models/gemini-flash:generateContent?prettyPrint=a",
        BODY,
    )
    assert (client.status, client.received) == (200, REPLY)
    assert client.header("x-tfy-resolved-model") == "google/flash"
    (attempt,) = rig.trace.attempts
    assert attempt.usage is not None
    assert (attempt.usage.input_tokens, attempt.cost_usd) == (1000, 0.002)
    assert (attempt.finish_reasons, attempt.response_model) == (("STOP",), "gemini-flash-001")
    assert rig.trace.caller is WHOLE


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/v1beta/models/flash:generateContent", f"{ROOT}/v1beta/models/gemini-flash"),
        ("/v1beta/models/google/flash:generateContent", f"{ROOT}/v1beta/models/gemini-flash"),
        ("/v1alpha/models/gemini-flash:generateContent", f"{ROOT}/v1alpha/models/gemini-flash"),
        (
            "/v1beta1/projects/p/locations/l/publishers/google/models/flash:generateContent",
            f"{ROOT}/v1beta/models/gemini-flash",
        ),
        ("/v1beta/models/gemini-9:generateContent", f"{ROOT}/v1beta/models/gemini-9"),
        ("/v1/tunedModels/mine:generateContent", f"{ROOT}/v1/tunedModels/mine"),
    ],
)
async def test_names_of_a_model(path: str, url: str) -> None:
    """The integration's, Google's own with or without its place, and one that no integration lists."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    client = await rig.ask(path)
    assert (client.status, rig.upstream.requests[0].url) == (200, f"{url}:generateContent")
    is_listed = "flash" in path
    assert rig.trace.attempts[0].target.name == ("google/flash" if is_listed else "google")
    assert (rig.trace.attempts[0].cost_usd is not None) is is_listed


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1beta/models/flash:countTokens", "/v1/projects/mine/locations/global/publishers/google"),
        (
            "/v1beta1/projects/theirs/locations/eu/publishers/google/models/gemini-flash:countTokens",
            "/v1beta1/projects/mine/locations/global/publishers/google",
        ),
    ],
)
async def test_vertex(path: str, place: str) -> None:
    """Whichever API's path it is, project and region are the account's."""
    rig = Rig(FakeReply(200, JSON, b'{"totalTokens": 3}'))
    client = await rig.ask(path, account="vertex")
    url = f"https://aiplatform.googleapis.com{place}/models/gemini-flash:countTokens"
    assert (client.status, rig.upstream.requests[0].url) == (200, url)


async def test_another_publisher_of_vertex() -> None:
    """One that no integration lists is where the path says, in the account's project."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    await rig.ask("/v1/projects/p/locations/l/publishers/meta/models/llama:generateContent", account="vertex")
    assert rig.upstream.requests[0].url == f"{VERTEX}/meta/models/llama:generateContent"


VERTEX_FLASH = f"{VERTEX}/google/models/gemini-flash"


@pytest.mark.parametrize(
    ("account", "path", "asked"),
    [
        ("vm", "/v1beta/models/chat", "vm/chat"),
        ("vm", "/v1beta/models/vm/chat", "vm/chat"),
        ("vm", "/v1beta/models/fast", "fast"),
        ("vm", "/v1beta/publishers/google/models/chat", "vm/chat"),
        ("google", "/v1beta/models/fast", "fast"),
        ("google", "/v1beta/models/vm/chat", "vm/chat"),
    ],
)
async def test_virtual_model(account: str, path: str, asked: str) -> None:
    """Below its group, or by its slug: the right to that name is enough. Who speaks Google's is asked."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    client = await rig.ask(f"{path}:generateContent", account=account, token="virtual-token")
    assert (client.status, client.received) == (200, REPLY)
    assert rig.upstream.requests[0].url == f"{ROOT}/v1beta/models/gemini-flash:generateContent"
    assert client.header("x-tfy-resolved-model") == "google/flash"
    assert rig.trace.call is not None
    assert rig.trace.call.model == asked
    assert rig.trace.plan is not None
    assert [target.name for target in rig.trace.plan.targets] == ["google/flash", "vertex/flash"]


async def test_virtual_model_whose_first_target_fails() -> None:
    """The next one has its own address, in the version that the caller asks for."""
    rig = Rig(UpstreamUnreachable("no"), FakeReply(200, JSON, REPLY))
    client = await rig.ask("/v1beta1/models/chat:generateContent", account="vm")
    assert client.status == 200
    urls = [request.url.removesuffix(":generateContent") for request in rig.upstream.requests]
    assert urls == [
        f"{ROOT}/v1beta/models/gemini-flash",
        VERTEX_FLASH.replace("/v1/", "/v1beta1/"),
    ]


async def test_virtual_model_that_goes_by_complexity() -> None:
    """A model may be asked how hard the call is; whoever it then goes to is asked in the caller's version."""
    verdict = {
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "complex"}, "finish_reason": "stop"}
        ]
    }
    rig = Rig(FakeReply(200, JSON, json.dumps(verdict).encode()), FakeReply(200, JSON, REPLY))
    client = await rig.ask("/v1beta1/models/auto:generateContent", account="vm")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "vertex/flash")
    judged, called = rig.upstream.requests
    assert judged.url == "https://api.test/v1/chat/completions"
    assert called.url == f"{VERTEX_FLASH.replace('/v1/', '/v1beta1/')}:generateContent"


@pytest.mark.parametrize("slug", ["fast", "vm/chat", "chat"])
async def test_virtual_model_that_the_body_names_again(slug: str) -> None:
    """Each target gets its own name of it there."""
    rig = Rig(FakeReply(200, JSON, b'{"embeddings": []}'))
    said = {"requests": [{"model": f"models/{slug}", "content": {"parts": [{"text": "hi"}]}}]}
    await rig.ask(f"/v1beta/models/{slug}:batchEmbedContents", account="vm", body=json.dumps(said).encode())
    (sent,) = json.loads(rig.upstream.requests[0].body)["requests"]
    assert sent["model"] == "models/gemini-flash"


@pytest.mark.parametrize(
    ("account", "path", "told"),
    [
        ("vm", "/v1beta/models", {"models": [{"name": "models/chat", "displayName": "chat"}]}),
        ("vm", "/v1beta/models/chat", {"name": "models/chat", "displayName": "chat"}),
        ("vm", "/v1beta1/publishers/google/models/fast", {"name": "models/fast", "displayName": "fast"}),
        ("google", "/v1beta/models/fast", {"name": "models/fast", "displayName": "fast"}),
    ],
)
async def test_virtual_models_are_shown(account: str, path: str, told: dict[str, Any]) -> None:
    """Nobody is asked: there is none but here. Who may use one sees it."""
    rig = Rig()
    client = await rig.ask(path, account=account, token="virtual-token", method="GET")
    limit = {"inputTokenLimit": 1000}
    told = {"models": [model | limit for model in told["models"]]} if "models" in told else told | limit
    assert (client.status, json.loads(client.received)) == (200, told)
    assert rig.upstream.passages == []


@pytest.mark.parametrize(
    ("account", "path", "expected"),
    [
        ("vm", "/v1beta/models/closed", (403, "MODEL_NOT_ALLOWED")),
        ("vm", "/v1beta/models/nothing", (404, "MODEL_NOT_FOUND")),
        ("nobody", "/v1beta/models", (404, "ACCOUNT_NOT_FOUND")),
        ("nobody", "/v1beta/models/fast", (404, "ACCOUNT_NOT_FOUND")),
    ],
)
async def test_virtual_models_that_are_not_shown(account: str, path: str, expected: tuple[int, str]) -> None:
    """To others it is not."""
    client = await Rig().ask(path, account=account, token="virtual-token", method="GET")
    assert error_of(client) == expected


async def test_rule() -> None:
    """It gives calls other targets, by Google's id as well; what is asked about a model is that model's."""
    rules = Instead("google/flash", make_route("rule-1", BY_NAME["vertex/flash"]))
    rig = Rig(FakeReply(200, JSON, REPLY), FakeReply(200, JSON, b"{}"), rules=rules)
    client = await rig.ask(f"{FLASH}:generateContent", token="narrow-token")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "vertex/flash")
    assert rig.upstream.requests[0].url == f"{VERTEX_FLASH}:generateContent"
    await rig.ask(FLASH, method="GET", token="narrow-token")
    assert rig.upstream.passages[0].url == f"{ROOT}{FLASH}"


async def test_given_metadata() -> None:
    """What a caller is given is over what it writes."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    written = ("x-tfy-metadata", '{"env":"dev","team":"mine"}')
    await rig.ask(f"{FLASH}:generateContent", written, token="narrow-token")
    assert rig.records[0].notes.metadata == {"team": "ml", "env": "dev"}


EVENT = b"data: " + REPLY + b"\r\n\r\n"
ARRAY = b"[" + REPLY + b",\r\n" + REPLY + b"\n]\n"


@pytest.mark.parametrize(
    ("query", "kind", "body"),
    [("alt=sse", "text/event-stream", EVENT * 2), ("", "application/json", ARRAY)],
    ids=["events", "array"],
)
async def test_stream(query: str, kind: str, body: bytes) -> None:
    """Either form passes as it is, and is told of as what it is."""
    rig = Rig(FakeReply(200, {"content-type": kind}, body[:50], body[50:]))
    client = await rig.ask(f"{FLASH}:streamGenerateContent", query=query)
    assert (client.received, client.is_ended) == (body, True)
    assert (client.header("content-type") or "").startswith(kind)
    assert rig.upstream.requests[0].url.endswith(":streamGenerateContent" + ("?alt=sse" if query else ""))
    assert rig.trace.call is not None
    assert (rig.trace.call.is_stream, rig.trace.attempts[0].cost_usd) == (True, 0.002)


@pytest.mark.parametrize("query", ["alt=sse", ""], ids=["events", "array"])
async def test_stream_of_another_kind(query: str) -> None:
    """What is not what was asked for is no reply."""
    kind = "application/json" if query else "text/event-stream"
    client = await Rig(FakeReply(200, {"content-type": kind}, REPLY)).ask(
        f"{FLASH}:streamGenerateContent", query=query
    )
    assert client.status == 502


@pytest.mark.parametrize("query", ["alt=sse", ""], ids=["events", "array"])
async def test_stream_that_breaks_off(query: str) -> None:
    """Its error is the last that it has, in its own form."""
    kind = "text/event-stream" if query else "application/json"
    piece = json.dumps({"candidates": [{"content": {"parts": [{"text": "a"}]}}]}).encode()
    begun = b"data: " + piece + b"\r\n\r\n" if query else b"[" + piece
    client = await Rig(FakeReply(200, {"content-type": kind}, begun, begun if query else b",")).ask(
        f"{FLASH}:streamGenerateContent", query=query
    )
    last = client.received.rpartition(b"data: ")[2] if query else client.received
    told = json.loads(last)
    assert (told if query else told[-1])["error"]["status"] == "UNAVAILABLE"


async def test_refusal() -> None:
    """Google's own error passes as it is, in its array too."""
    for query, body in (("alt=sse", b'{"error": {"code": 429}}'), ("", b'[{"error": {"code": 429}}]')):
        client = await Rig(FakeReply(429, JSON, body)).ask(f"{FLASH}:streamGenerateContent", query=query)
        assert (client.status, client.received) == (429, body)


async def test_our_error_where_an_array_was_to_come() -> None:
    """It is in one."""
    client = await Rig().ask(f"{FLASH}:streamGenerateContent", token="wrong")
    (told,) = json.loads(client.received)
    assert (client.status, told["error"]["code"]) == (401, 401)


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/v1beta/models/flash:generateContent", "POST", (200, "")),
        ("/v1beta/models/gemini-flash:generateContent", "POST", (200, "")),
        ("/v1beta/models/flash", "GET", (200, "")),
        ("/v1beta/models", "GET", (200, "")),
        ("/v1beta/models/pro:generateContent", "POST", (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/models/gemini-pro:generateContent", "POST", (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/models/gemini-pro", "GET", (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/models/gemini-pro%3AgenerateContent", "POST", (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/models/gemini-9:generateContent", "POST", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/v1beta/models/Gemini-Pro:generateContent", "POST", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/v1beta/publishers/x/models/gemini-pro:generateContent", "POST", (403, "MODEL_NOT_ALLOWED")),
        ("/v1beta/models/flash:batchGenerateContent", "POST", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/v1beta/models/flash", "PATCH", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/upload/v1beta/models/flash:generateContent", "POST", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/v1beta/files", "GET", (403, "ACCOUNT_NOT_ALLOWED")),
        ("/v1beta/tunedModels/t:generateContent", "POST", (403, "ACCOUNT_NOT_ALLOWED")),
    ],
)
async def test_rights(path: str, method: str, expected: tuple[int, str]) -> None:
    """Who may use one model may call it and ask about it, however it is written, and no more."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    client = await rig.ask(path, token="narrow-token", method=method)
    assert expected == (error_of(client) if client.status != 200 else (200, ""))
    assert bool(rig.upstream.requests or rig.upstream.passages) is (
        client.status == 200 and path[-6:] != "models"
    )


@pytest.mark.parametrize(
    ("path", "account", "method", "expected"),
    [
        ("", "google", "POST", (404, "PATH_NOT_FOUND")),
        ("/", "google", "POST", (404, "PATH_NOT_FOUND")),
        ("/v1beta", "google", "POST", (404, "PATH_NOT_FOUND")),
        (f"{FLASH}:generateContent", "nobody", "POST", (404, "ACCOUNT_NOT_FOUND")),
        (f"{FLASH}:generateContent", "acct", "POST", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1beta/models/small:generateContent", "acct", "POST", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1/files", "acct", "GET", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1/models/claude:generateContent", "vertex", "POST", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1/models/nothing:generateContent", "vm", "POST", (404, "MODEL_NOT_FOUND")),
        ("/v1/models/closed:generateContent", "vm", "POST", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1/models/fast:generateContent", "nobody", "POST", (404, "ACCOUNT_NOT_FOUND")),
        ("/v1/models/fast:generateContent", "acct", "POST", (400, "UNSUPPORTED_PARAMETER")),
        ("/v1/files", "vm", "GET", (400, "UNSUPPORTED_PARAMETER")),
        (f"{FLASH}:generateContent", "google", "GET", (405, "METHOD_NOT_ALLOWED")),
        ("/v1beta/files", "google", "OPTIONS", (405, "METHOD_NOT_ALLOWED")),
        ("/v1beta/../../v1/files", "google", "GET", (400, "INVALID_PATH")),
        ("/v1beta/models/a%2F..%2Fb:generateContent", "google", "POST", (400, "INVALID_PATH")),
        ("/v1beta//files", "google", "GET", (400, "INVALID_PATH")),
    ],
)
async def test_what_cannot_be_asked(path: str, account: str, method: str, expected: tuple[int, str]) -> None:
    """It is refused in Google's shape, and nobody is asked."""
    rig = Rig()
    client = await rig.ask(path, account=account, method=method)
    assert error_of(client) == expected
    assert (rig.upstream.requests, rig.upstream.passages) == ([], [])


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"x" * 2000])
async def test_bodies_that_cannot_be_read(body: bytes) -> None:
    """So are those."""
    client = await Rig().ask(f"{FLASH}:generateContent", body=body)
    assert error_of(client)[0] in (400, 413)


@pytest.mark.parametrize("path", [f"{FLASH}:generateContent", "/v1beta/files"])
async def test_no_key(path: str) -> None:
    """Nothing of a call is read before its caller is known."""
    client = await Rig().ask(path, token="")
    assert error_of(client) == (401, "INVALID_API_KEY")
    assert not client.was_read


async def test_key_in_the_query() -> None:
    """It signs in, and goes nowhere."""
    rig = Rig(FakeReply(200, JSON, REPLY), FakeReply(200, JSON, b"{}"))
    await rig.ask(f"{FLASH}:generateContent", token="", query=f"key={TOKEN}")
    await rig.ask("/v1beta/files", token="", query=f"pageSize=2&key={TOKEN}", method="GET")
    urls = [rig.upstream.requests[0].url, rig.upstream.passages[0].url]
    assert urls == [f"{ROOT}{FLASH}:generateContent", f"{ROOT}/v1beta/files?pageSize=2"]
    assert TOKEN not in str(rig.upstream.passages[0].headers)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flash", "gemini-flash"),
        ("gemini-flash", "gemini-flash"),
        ("google/flash", "gemini-flash"),
        ("x", "x"),
    ],
)
async def test_what_is_wanted_of_a_model(name: str, expected: str) -> None:
    """It needs the account, and Google gets its own name of the model where an integration has another."""
    rig = Rig(FakeReply(200, JSON, b'{"name": "operations/1"}'))
    await rig.ask(f"/v1beta/models/{name}:predictLongRunning")
    assert rig.upstream.passages[0].url == f"{ROOT}/v1beta/models/{expected}:predictLongRunning"
    assert rig.trace.endpoint is not None
    assert rig.trace.endpoint.operation == "proxy"


async def test_passed_on() -> None:
    """All else goes to the account as it is, with the account's key and none of the caller's."""
    rig = Rig(FakeReply(200, JSON, b'{"name": "cachedContents/1"}'))
    client = await rig.ask(
        "/v1beta/cachedContents",
        ("x-goog-upload-protocol", "resumable"),
        ("content-type", "application/json"),
        ("authorization", "Bearer ya29.google"),
        query="updateMask=ttl",
    )
    (passage,) = rig.upstream.passages
    assert (passage.method, passage.url) == ("POST", f"{ROOT}/v1beta/cachedContents?updateMask=ttl")
    sent = dict(passage.headers)
    assert (sent["x-goog-api-key"], sent["x-goog-upload-protocol"]) == (GOOGLE_KEY, "resumable")
    assert "authorization" not in sent
    assert (client.status, client.received) == (200, b'{"name": "cachedContents/1"}')
    assert client.header("x-tfy-resolved-model") == "google"
    assert rig.trace.endpoint is not None
    assert rig.trace.endpoint.operation == "cachedContents"


async def test_interactions_are_counted() -> None:
    """What one used is told, though it is only passed on; asked for again it has used nothing more."""
    used = {"total_input_tokens": 9, "total_output_tokens": 13, "total_thought_tokens": 7}
    body = json.dumps({"id": "i-1", "model": "gemini-flash", "usage": used}).encode()
    for method, tokens in (("POST", 20), ("GET", None)):
        rig = Rig(FakeReply(200, JSON, body))
        client = await rig.ask("/v1beta/interactions", method=method)
        usage = rig.trace.attempts[0].usage
        assert client.received == body
        assert (usage.output_tokens if usage else None) == tokens


async def test_streamed_interactions_are_counted() -> None:
    """Their last event tells it."""
    used = {"total_input_tokens": 9, "total_output_tokens": 13, "total_thought_tokens": 7}
    told = {"event_type": "interaction.completed", "interaction": {"id": "i-1", "usage": used}}
    body = b'data: {"event_type":"step.delta"}\n\ndata: ' + json.dumps(told).encode() + b"\n\n"
    rig = Rig(FakeReply(200, {"content-type": "text/event-stream"}, body))
    client = await rig.ask("/v1beta/interactions", method="POST")
    usage = rig.trace.attempts[0].usage
    assert (client.received, usage and usage.output_tokens) == (body, 20)


async def test_list_of_models() -> None:
    """Who may use the account gets Google's list; who may use a model of it, these."""
    rig = Rig(FakeReply(200, JSON, b'{"models": []}'))
    client = await rig.ask("/v1beta/models", method="GET", query="pageSize=5")
    assert (client.received, rig.upstream.passages[0].url) == (
        b'{"models": []}',
        f"{ROOT}/v1beta/models?pageSize=5",
    )
    client = await rig.ask("/v1beta/models", method="GET", token="narrow-token")
    assert [model["name"] for model in json.loads(client.received)["models"]] == ["models/flash"]


async def test_a_model_is_asked_about_by_google_s_id() -> None:
    """Whichever of its names the caller used."""
    rig = Rig(FakeReply(200, JSON, b"{}"), FakeReply(200, JSON, b"{}"))
    await rig.ask("/v1beta/models/flash", method="GET", token="narrow-token")
    await rig.ask("/v1beta1/publishers/google/models/flash", method="GET", account="vertex")
    assert [passage.url for passage in rig.upstream.passages] == [
        f"{ROOT}/v1beta/models/gemini-flash",
        "https://aiplatform.googleapis.com/v1beta1/publishers/google/models/gemini-flash",
    ]


async def test_fields_of_a_reply() -> None:
    """A call's query chooses none: usage, and what tells that a stream is whole, would be left out."""
    rig = Rig(FakeReply(200, JSON, REPLY))
    await rig.ask(f"{FLASH}:generateContent", query="fields=candidates&%24fields=x&prettyPrint=false")
    assert rig.upstream.requests[0].url.partition("?")[2] == "prettyPrint=false"


START = "/upload/v1beta/files"
UPLOAD = {"x-goog-upload-status": "active", "content-type": "text/plain"}


@pytest.mark.parametrize(
    ("prefix", "headers", "origin"),
    [
        ("/gemini/google/proxy", [], "http://gw.test"),
        ("/api/llm/gemini/google/proxy", [("x-forwarded-proto", "https")], "https://gw.test"),
        ("/gemini/google/proxy", [("x-forwarded-proto", "gopher")], "http://gw.test"),
    ],
)
async def test_upload(prefix: str, headers: list[tuple[str, str]], origin: str) -> None:
    """Its address leads through the gateway, and there signs in whoever began it, which SDKs do not."""
    address = "https://www.googleapis.com/upload/v1beta/files?upload_id=u%2B1&upload_protocol=resumable"
    rig = Rig(
        FakeReply(200, UPLOAD | {"x-goog-upload-url": address}),
        FakeReply(200, UPLOAD | JSON, b'{"file": {}}'),
    )
    given = (await rig.ask(prefix + START, *headers)).header("x-goog-upload-url") or ""
    where = urlsplit(given)
    assert (f"{where.scheme}://{where.netloc}", where.path) == (origin, prefix + START)
    client = await rig.ask(where.path, token="", query=where.query, body=b"data", method="PUT")
    assert (client.status, client.header("x-goog-upload-status")) == (200, "active")
    # What Google did not wait for.
    assert client.is_dropped
    assert (
        rig.upstream.passages[1].url
        == f"{ROOT}/upload/v1beta/files?upload_id=u%2B1&upload_protocol=resumable"
    )
    assert rig.trace.caller is WHOLE


@pytest.mark.parametrize("name", ["key", "access_token", "%6Bey"])
async def test_upload_with_a_credential_in_its_address(name: str) -> None:
    """The account's own never reaches the caller, nor does it come back as the caller's."""
    address = f"{ROOT}{START}?{name}=provider-key&upload_id=u1"
    rig = Rig(FakeReply(200, UPLOAD | {"x-goog-upload-url": address}), FakeReply(200, UPLOAD))
    given = (await rig.ask(START)).header("x-goog-upload-url") or ""
    assert "provider-key" not in given
    where = urlsplit(given)
    client = await rig.ask(where.path, token="", query=where.query, body=b"data")
    assert (client.status, rig.upstream.passages[1].url) == (200, f"{ROOT}{START}?upload_id=u1")


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (START, ("upload_id=u1", "upload_id=u2")),
        (START, ("upload_id=u1", "upload_id=u1&x=1")),
        ("/upload/v1beta/other", ("", "")),
        ("/v1beta/files", ("", "")),
        (f"{FLASH}:generateContent", ("", "")),
    ],
)
async def test_signature_is_for_one_upload(path: str, change: tuple[str, str]) -> None:
    """For anything else it is none."""
    address = f"{ROOT}{START}?upload_id=u1"
    rig = Rig(FakeReply(200, UPLOAD | {"x-goog-upload-url": address}), FakeReply(200, JSON, REPLY))
    given = (await rig.ask(START)).header("x-goog-upload-url") or ""
    client = await rig.ask(path, token="", query=urlsplit(given).query.replace(*change))
    assert error_of(client)[0] == 401
    assert len(rig.upstream.passages) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("https://evil.test/upload/v1beta/files?upload_id=1", "nonsense", "https://x.googleapis.com/a/../b"),
        *("", "https://[x.googleapis.com/upload"),
    ],
)
async def test_upload_elsewhere(address: str) -> None:
    """An address that is not Google's is left out: the next request there would have the gateway's key."""
    client = await Rig(FakeReply(200, UPLOAD | {"x-goog-upload-url": address})).ask(START)
    assert (client.status, client.header("x-goog-upload-url")) == (200, None)
