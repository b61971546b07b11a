"""The data plane's application: paths, methods, health."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from gateway.bedrock import Bedrock
from gateway.edge.app import DataPlane
from gateway.edge.lifecycle import Lifecycle
from gateway.edge.metrics import ControlAwayError, ControlMetrics
from gateway.errors import GatewayError, MethodNotAllowed, PathNotFound
from gateway.gemini import Gemini
from gateway.model import Client, Dialect, Endpoint
from gateway.pass_through import Asked, PassThrough
from gateway.pipeline import Pipeline
from gateway.realtime import Realtime

GEMINI = "/gemini/{account}/proxy"


class FakePipeline:
    """Keeps what it was asked for, and answers 299."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.clients: list[Client] = []
        self.dialect: Dialect | None = None

    async def call_model(self, client: Client, endpoint: Endpoint) -> None:
        await self._note(client, "call", endpoint.name)

    async def list_models(self, client: Client) -> None:
        await self._note(client, "list", None)

    async def refuse(self, client: Client, error: GatewayError, dialect: Dialect | None = None) -> None:
        self.dialect = dialect
        await self._note(client, "refuse", error)

    async def show_model(self, client: Client, name: str) -> None:
        await self._note(client, "show", name)

    async def serve(self, client: Client, asked: Asked) -> None:
        await self._note(client, "pass", asked.path)

    async def _note(self, client: Client, what: str, about: object) -> None:
        self.calls.append((what, about))
        self.clients.append(client)
        await client.respond(299, [], b"")


class Rig:
    def __init__(self, metrics: ControlMetrics | None = None) -> None:
        self.pipeline = FakePipeline()
        self.lifecycle = Lifecycle()
        self.lifecycle.ready()
        self.checks = {"config": "ok", "telemetry": "away"}
        self.app = DataPlane(
            cast("Pipeline", self.pipeline),
            self.lifecycle,
            lambda: self.checks,
            metrics,
            pass_through=cast("PassThrough", self.pipeline),
            bedrock=Bedrock(cast("Pipeline", self.pipeline), cast("PassThrough", self.pipeline)),
            gemini=cast("Gemini", self.pipeline),
            realtime=cast("Realtime", self.pipeline),
        )

    async def ask(
        self, method: str, path: str, *headers: tuple[bytes, bytes], query: bytes = b""
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(),
            "root_path": "", "scheme": "http", "query_string": query, "headers": list(headers),
            "server": ("127.0.0.1", 8787), "client": ("192.0.2.7", 5),
        }  # fmt: skip
        await self.app(scope, receive, send)
        start, *bodies = sent
        return start["status"], dict(start["headers"]), b"".join(item.get("body", b"") for item in bodies)


@pytest.mark.parametrize(
    ("method", "path", "call", "route"),
    [
        ("POST", "/v1/chat/completions", ("call", "chat"), "/v1/chat/completions"),
        ("POST", "/chat/completions", ("call", "chat"), "/v1/chat/completions"),
        ("POST", "/api/llm/v1/completions", ("call", "completion"), "/v1/completions"),
        ("POST", "/api/inference/openai/embeddings", ("call", "embedding"), "/v1/embeddings"),
        ("GET", "/v1/models", ("list", None), "/v1/models"),
        ("HEAD", "/api/llm/models", ("list", None), "/v1/models"),
    ],
)
async def test_what_leads_to_the_pipeline(
    method: str, path: str, call: tuple[str, object], route: str
) -> None:
    """A call of a model goes straight in, under its canonical route, with the path as it was."""
    rig = Rig()
    assert (await rig.ask(method, path))[0] == 299
    assert rig.pipeline.calls == [call]
    assert (rig.pipeline.clients[0].route, rig.pipeline.clients[0].path) == (route, path)


@pytest.mark.parametrize(
    ("method", "path", "error", "route"),
    [
        ("GET", "/v1/completions", MethodNotAllowed, "/v1/completions"),
        ("GET", "/v1/chat/completions", MethodNotAllowed, "/v1/chat/completions"),
        ("HEAD", "/v1/files", MethodNotAllowed, "/v1/files"),
        ("OPTIONS", "/proxy/main/x", MethodNotAllowed, "/proxy/{account}/{path}"),
        ("POST", "/v1/ranking", PathNotFound, ""),
        ("OPTIONS", "/v1/ranking", PathNotFound, ""),
        ("DELETE", "/v1/embeddings", MethodNotAllowed, "/v1/embeddings"),
        ("DELETE", "/v1/chat/completions", MethodNotAllowed, "/v1/chat/completions"),
        ("POST", "/v1/models", MethodNotAllowed, "/v1/models"),
        ("POST", "/", MethodNotAllowed, "/"),
        ("DELETE", "/livez", MethodNotAllowed, "/livez"),
        ("PUT", "/readyz", MethodNotAllowed, "/readyz"),
        ("POST", "/v1/chat/completions/", PathNotFound, ""),
        ("POST", "/v2/chat/completions", PathNotFound, ""),
        ("GET", "/livez/", PathNotFound, ""),
        ("GET", "/v1", PathNotFound, ""),
        ("POST", "//v1/chat/completions", PathNotFound, ""),
        ("GET", "/" + "x" * 10_000, PathNotFound, ""),
        ("GET", "", PathNotFound, ""),
    ],
)
async def test_what_is_refused(method: str, path: str, error: type[GatewayError], route: str) -> None:
    """Other methods and paths are refused by the pipeline: traced and worded like all else."""
    rig = Rig()
    await rig.ask(method, path)
    ((what, about),) = rig.pipeline.calls
    assert what == "refuse"
    assert isinstance(about, error)
    assert len(about.message) < 500
    assert rig.pipeline.clients[0].route == route


@pytest.mark.parametrize(
    ("path", "key", "hint"),
    [
        ("/v2/chat", b"authorization", "The base URL for SDKs ends in /v1."),
        ("/v1/v1/chat/completions", b"authorization", "Leave /v1 out of the base URL: who calls adds one."),
        ("/v1/v1/messages", b"x-api-key", "Leave /v1 out of the base URL: who calls adds one."),
        ("/v2/messages", b"x-api-key", "The base URL for Anthropic's SDKs ends before /v1."),
        ("/v1/chat/completions/", b"authorization", "Leave out the slash at its end."),
        ("/v1/models/", b"x-api-key", "Leave out the slash at its end."),
        ("/livez/", b"authorization", "The base URL for SDKs ends in /v1."),
    ],
)
async def test_what_is_wrong_with_a_path(path: str, key: bytes, hint: str) -> None:
    """SDKs put different ends on their base URL, so what helps one misleads the other."""
    rig = Rig()
    await rig.ask("POST", path, (key, b"k"))
    ((_, error),) = rig.pipeline.calls
    assert isinstance(error, PathNotFound)
    assert error.message == f"There is no POST {path} here. {hint}"


@pytest.mark.parametrize(
    ("path", "dialect", "hint"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini", "/gemini/<account>/proxy"),
        ("/v1/models/main/pro:streamGenerateContent", "gemini", "/gemini/<account>/proxy"),
        ("/gemini/main/v1beta/models/m:countTokens", "gemini", "/gemini/<account>/proxy"),
        ("/model/main%2Fnova/converse", "converse", "/bedrock/proxy"),
        ("/v1/model/a.b-v1%3A0/invoke-with-response-stream", "converse", "/bedrock/proxy"),
        ("/v1beta/models/m:tune", None, "/v1"),
        ("/model/main/nova/conversed", None, "/v1"),
        ("/v2/chat", None, "/v1"),
    ],
)
async def test_a_base_url_that_lacks_its_end(path: str, dialect: Dialect | None, hint: str) -> None:
    """SDKs of Google and Amazon are told in their own words where to ask, with or without a key."""
    rig = Rig()
    await rig.ask("POST", path)
    ((what, error),) = rig.pipeline.calls
    assert what == "refuse"
    assert isinstance(error, PathNotFound)
    assert error.message.endswith(f" ends in {hint}.")
    assert rig.pipeline.dialect == dialect


@pytest.mark.parametrize(
    ("method", "path", "call", "route"),
    [
        ("DELETE", "/v1/models/ft:countTokens", ("pass", "/models/ft:countTokens"), "/v1/models/{model}"),
        ("GET", "/v1/files", ("pass", "/files"), "/v1/files"),
        ("DELETE", "/files/f-1", ("pass", "/files/f-1"), "/v1/files/{file_id}"),
        ("DELETE", "/v1/models/ft:x", ("pass", "/models/ft:x"), "/v1/models/{model}"),
        ("PATCH", "/v1/files/a/b/c", ("pass", "/files/a/b/c"), "/v1/files/{path}"),
        ("PUT", "/proxy/main/x", ("pass", "/x"), "/proxy/{account}/{path}"),
        ("GET", "/v1/models/main/gpt", ("show", "main/gpt"), "/v1/models/{model}"),
        ("GET", "/gemini/main/proxy/v1/files/f", ("pass", "/v1/files/f"), f"{GEMINI}/files/{{path}}"),
        ("TRACE", "/gemini/main/proxy/v1/x", ("pass", "/v1/x"), f"{GEMINI}/{{path}}"),
        (
            "POST",
            "/api/llm/gemini/main/proxy/v1/models/m:countTokens",
            ("pass", "/v1/models/m:countTokens"),
            f"{GEMINI}/models/{{model}}:countTokens",
        ),
    ],
)
async def test_what_is_passed_through(method: str, path: str, call: tuple[str, object], route: str) -> None:
    """Every other path of the APIs, and any of a named account; the route has no id in it."""
    rig = Rig()
    assert (await rig.ask(method, path))[0] == 299
    assert rig.pipeline.calls == [call]
    assert rig.pipeline.clients[0].route == route


@pytest.mark.parametrize("header", [b"authorization", b"x-api-key", b"x-tfy-api-key"])
async def test_stored_completions_are_listed_for_who_has_a_key(header: bytes) -> None:
    """Good or bad is for the pipeline to see; without one the path is that of a call alone."""
    rig = Rig()
    await rig.ask("GET", "/v1/chat/completions", (header, b"Bearer anything"))
    assert rig.pipeline.calls == [("pass", "/chat/completions")]
    assert rig.pipeline.clients[0].route == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"x-tfy-provider-name", b"main")], b""),
        ([(b"x-tfy-model-name", b"main/gpt")], b""),
        ([], b"a=1&tfyProviderName=main"),
        ([], b"tfyModelName=main/gpt"),
    ],
)
async def test_other_path_with_an_account(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """A path of another API is passed through once the call says for whom."""
    rig = Rig()
    await rig.ask("POST", "/v1/ranking", *headers, query=query)
    assert rig.pipeline.calls == [("pass", "/ranking")]


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/completions", "GET", "POST"),
        ("/chat/completions", "PUT", "GET, POST"),
        ("/chat/completions", "GET", "POST"),
        ("/models", "POST", "GET, HEAD"),
    ],
)
async def test_refused_method_says_which_are_allowed(path: str, method: str, allowed: str) -> None:
    """A 405 carries `allow`, as HTTP wants."""
    rig = Rig()
    await rig.ask(method, path)
    ((_, error),) = rig.pipeline.calls
    assert isinstance(error, GatewayError)
    assert error.headers == (("allow", allowed),)
    assert allowed in error.message


@pytest.mark.parametrize("path", ["/", "/livez"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_alive(path: str, method: str) -> None:
    """A worker that answers is alive, also while it drains."""
    rig = Rig()
    rig.lifecycle.drain()
    assert (await rig.ask(method, path))[0] == 200
    assert rig.pipeline.calls == []


async def test_ready() -> None:
    """Balancers send work only to a worker that is ready."""
    rig = Rig()
    status, _, body = await rig.ask("GET", "/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ready")
    assert json.loads(body)["checks"] == {"config": "ok", "telemetry": "away"}, "none of them decides"
    rig.lifecycle.drain()
    status, _, body = await rig.ask("GET", "/readyz")
    assert (status, json.loads(body)["status"]) == (503, "draining")
    starting = Rig()
    starting.lifecycle.status = "starting"
    status, _, body = await starting.ask("GET", "/readyz")
    assert (status, json.loads(body)["status"]) == (503, "starting")


async def test_draining_worker_closes_connections() -> None:
    """What a draining worker still answers ends its connection."""
    rig = Rig()
    assert b"connection" not in (await rig.ask("POST", "/v1/chat/completions"))[1]
    rig.lifecycle.drain()
    for method, path in (
        ("POST", "/v1/chat/completions"),
        ("GET", "/readyz"),
        ("GET", "/livez"),
        ("GET", "/"),
    ):
        assert (await rig.ask(method, path))[1][b"connection"] == b"close"


class FakeMetrics(ControlMetrics):
    def __init__(self, text: bytes | None) -> None:
        super().__init__("127.0.0.1", 1)
        self._text = text

    async def text(self) -> bytes:
        if self._text is None:
            raise ControlAwayError("the control plane does not answer")
        return self._text


async def test_metrics_are_passed_on() -> None:
    """The control plane's text, as Prometheus wants it."""
    status, headers, body = await Rig(FakeMetrics(b"a 1\n")).ask("GET", "/metrics")
    assert (status, body) == (200, b"a 1\n")
    assert headers[b"content-type"].startswith(b"text/plain; version=0.0.4")


async def test_metrics_without_control() -> None:
    """A scrape fails, openly."""
    status, _headers, body = await Rig(FakeMetrics(None)).ask("GET", "/metrics")
    assert (status, body) == (503, b"# the control plane does not answer\n")


async def test_metrics_only_when_asked_for() -> None:
    """Else there is no such path."""
    rig = Rig()
    await rig.ask("GET", "/metrics")
    [(what, error)] = rig.pipeline.calls
    assert what == "refuse"
    assert isinstance(error, PathNotFound)
