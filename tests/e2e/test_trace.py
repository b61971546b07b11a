"""The trace of a call, as the control plane shows it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.rig.behaviours import TEXT
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import NARROW_TOKEN, PROMPT, bearer, chat, chat_body, trace_id_of
from tests.rig.raw_http import Reply

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SAMPLED = 0x01
HAS_IS_REMOTE = 0x100
IS_REMOTE = 0x200


def spans_of(gateway: GatewayProcess, reply: Reply) -> list[dict[str, Any]]:
    """The spans of a call, in start order."""
    found: list[dict[str, Any]] = gateway.trace(trace_id_of(reply))["spans"]
    return found


def span_id_of(reply: Reply) -> str:
    """The span that the response's `traceparent` names."""
    return (reply.header("traceparent") or "").split("-")[2]


def test_two_spans_and_their_relation(gateway: GatewayProcess) -> None:
    """A plain call is one SERVER span with one CLIENT span below it, no more."""
    reply = chat(gateway, "fake/normal")
    server, client = spans_of(gateway, reply)
    assert (server["kind"], server["name"]) == ("SERVER", "POST /v1/chat/completions")
    assert (client["kind"], client["name"]) == ("CLIENT", "chat normal")
    assert not server["parent_span_id"]
    assert client["parent_span_id"] == server["span_id"] == span_id_of(reply)
    assert int(server["start_time_unix_nano"]) <= int(client["start_time_unix_nano"])
    assert int(client["end_time_unix_nano"]) <= int(server["end_time_unix_nano"])
    assert server["flags"] & (HAS_IS_REMOTE | IS_REMOTE) == HAS_IS_REMOTE
    assert client["flags"] & (HAS_IS_REMOTE | IS_REMOTE) == HAS_IS_REMOTE


def test_callers_trace_is_joined(gateway: GatewayProcess) -> None:
    """Same trace id, the caller's span as remote parent, tracestate kept; the answer names our span."""
    trace_id = TRACE[:-4] + "aaaa"
    reply = chat(
        gateway,
        "fake/normal",
        headers=[("traceparent", f"00-{trace_id}-{PARENT}-01"), ("tracestate", "vendor=a:b,other=1")],
    )
    assert trace_id_of(reply) == trace_id
    assert span_id_of(reply) != PARENT
    server, client = spans_of(gateway, reply)
    assert server["parent_span_id"] == PARENT
    assert server["span_id"] == span_id_of(reply)
    assert server["flags"] == HAS_IS_REMOTE | IS_REMOTE | SAMPLED
    assert client["flags"] == HAS_IS_REMOTE | SAMPLED
    assert server["trace_state"] == client["trace_state"] == "vendor=a:b,other=1"


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", f"00-{TRACE}-{PARENT}-01")] * 2,
        [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("traceparent", f"00-{TRACE[::-1]}-{PARENT}-01")],
        [("traceparent", f"ff-{TRACE}-{PARENT}-01")],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
        [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
        [("traceparent", f"00-{TRACE.upper()}-{PARENT}-01")],
        [("traceparent", f"00-{TRACE}-{PARENT}-01-extra")],
        [("traceparent", f"00-{TRACE}-{PARENT}")],
        [("traceparent", "nonsense")],
        [("traceparent", "")],
    ],
    ids=[
        "twice",
        "two",
        "version-ff",
        "zero-trace",
        "zero-span",
        "upper",
        "trailing",
        "short",
        "text",
        "empty",
    ],
)
def test_bad_traceparent_starts_a_trace(gateway: GatewayProcess, headers: list[tuple[str, str]]) -> None:
    """W3C: what cannot be understood is ignored, tracestate with it; the call goes through."""
    reply = chat(gateway, "fake/normal", headers=[*headers, ("tracestate", "vendor=lost")])
    assert reply.status == 200
    assert trace_id_of(reply) not in (TRACE, TRACE[::-1], "0" * 32)
    server, _ = spans_of(gateway, reply)
    assert not server["parent_span_id"]
    assert not server["trace_state"]


def test_newer_traceparent_version_is_joined(gateway: GatewayProcess) -> None:
    """A later version is read as far as it is known."""
    trace_id = TRACE[:-4] + "bbbb"
    reply = chat(gateway, "fake/normal", headers=[("traceparent", f"cc-{trace_id}-{PARENT}-01-what-comes")])
    assert trace_id_of(reply) == trace_id


def test_several_tracestate_headers_are_one(gateway: GatewayProcess) -> None:
    """Repeated `tracestate` headers are combined in order."""
    trace_id = TRACE[:-4] + "cccc"
    headers = [
        ("traceparent", f"00-{trace_id}-{PARENT}-01"), ("tracestate", "a=1"), ("tracestate", "b=2"),
    ]  # fmt: skip
    server, _ = spans_of(gateway, chat(gateway, "fake/normal", headers=headers))
    assert server["trace_state"].replace(" ", "") == "a=1,b=2"


def test_own_server_gets_the_attempts_span(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A self-hosted model continues the trace below the CLIENT span of its attempt."""
    headers = [("traceparent", f"00-{TRACE[:-4]}dddd-{PARENT}-01"), ("tracestate", "vendor=kept")]
    reply = chat(gateway, "lab/normal", headers=headers)
    _, client = spans_of(gateway, reply)
    sent = upstream.exchanges[-1]
    assert sent.header("traceparent") == f"00-{TRACE[:-4]}dddd-{client['span_id']}-01"
    assert sent.header("tracestate") == "vendor=kept"
    assert sent.header("baggage") is None


def test_third_party_gets_no_trace_context(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A provider of somebody else's learns nothing of our traces."""
    headers = [("traceparent", f"00-{TRACE[:-4]}eeee-{PARENT}-01"), ("tracestate", "vendor=private")]
    chat(gateway, "fake/normal", headers=headers)
    assert upstream.exchanges[-1].header("traceparent") is None
    assert upstream.exchanges[-1].header("tracestate") is None


def test_server_span_attributes(gateway: GatewayProcess) -> None:
    """What Elastic needs to see a transaction, and what was decided."""
    headers = [("user-agent", "unit/1.0"), ("x-request-id", "r1")]
    reply = chat(gateway, "fake/normal", headers=headers)
    attributes = spans_of(gateway, reply)[0]["attributes"]
    expected = {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "user_agent.original": "unit/1.0",
        "client.address": "127.0.0.1",
        "gateway.model.asked": "fake/normal",
        "gateway.model.resolved": "fake/normal",
        "gateway.routing.candidates": ["fake/normal"],
        "gateway.attempts": 1,
        "gateway.caller": "app",
    }
    assert {key: attributes.get(key) for key in expected} == expected
    assert attributes["server.address"]
    assert isinstance(attributes["gateway.overhead_ms"], float)
    assert attributes["gateway.config.version"] == gateway.get("/api/config")["version"]
    assert "error.type" not in attributes


def test_client_span_attributes(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """`gen_ai.*` and where it went; no `http.*`, which Elastic would mistype."""
    reply = chat(gateway, "fake/normal", temperature=1, max_tokens=7, top_p=0.5, seed=3, stop=["x"])
    client = spans_of(gateway, reply)[1]
    attributes = client["attributes"]
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "normal",
        "gen_ai.response.model": "normal-2026",
        "gen_ai.response.id": "chatcmpl-fake",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "service.peer.name": "openai",
        "gateway.attempt": 1,
        "gateway.target": "fake/normal",
        "gateway.usage.source": "provider",
    }
    assert {key: attributes.get(key) for key in expected} == expected
    assert not [key for key in attributes if key.startswith(("http.", "url."))]
    assert "gen_ai.response.time_to_first_chunk" not in attributes
    assert client["status"]["code"] in ("UNSET", "OK")


def test_request_parameters_are_on_the_span(gateway: GatewayProcess) -> None:
    """The recommended request attributes, each in one type whatever the client wrote."""
    reply = chat(gateway, "fake/normal", temperature=1, max_tokens=7, top_p=0.5)
    attributes = spans_of(gateway, reply)[1]["attributes"]
    assert attributes["gen_ai.request.temperature"] == 1.0
    assert isinstance(attributes["gen_ai.request.temperature"], float)
    assert attributes["gen_ai.request.max_tokens"] == 7
    assert attributes["gen_ai.request.top_p"] == 0.5


def test_stream_attributes(gateway: GatewayProcess) -> None:
    """Streams say so, with the time to the first chunk in seconds."""
    reply = chat(gateway, "fake/normal", stream=True)
    attributes = spans_of(gateway, reply)[1]["attributes"]
    assert attributes["gen_ai.request.stream"] is True
    assert 0 < attributes["gen_ai.response.time_to_first_chunk"] < 60
    assert attributes["gen_ai.usage.output_tokens"] == 5
    row = gateway.row(trace_id_of(reply))
    assert row["is_stream"] is True


@pytest.mark.parametrize(
    ("path", "question", "name"),
    [
        ("/v1/completions", "prompt", "text_completion normal"),
        ("/v1/embeddings", "input", "embeddings normal"),
    ],
)
def test_other_operations_are_named(gateway: GatewayProcess, path: str, question: str, name: str) -> None:
    """Each endpoint has its operation."""
    body = json.dumps({"model": "fake/normal", question: "x"}).encode()
    with gateway.connect() as connection:
        reply = connection.exchange("POST", path, [bearer(), ("content-type", "application/json")], body)
    server, client = spans_of(gateway, reply)
    assert (server["name"], client["name"]) == (f"POST {path}", name)
    assert client["attributes"]["gen_ai.usage.input_tokens"] == 11


def test_route_is_the_same_under_every_prefix(gateway: GatewayProcess) -> None:
    """Dashboards group by route; what was really asked for is `url.path`."""
    path = "/api/llm/api/inference/openai/chat/completions"
    with gateway.connect() as connection:
        reply = connection.exchange(
            "POST", path, [bearer(), ("content-type", "application/json")], chat_body("fake/normal")
        )
    server = spans_of(gateway, reply)[0]
    assert server["name"] == "POST /v1/chat/completions"
    assert server["attributes"]["http.route"] == "/v1/chat/completions"
    assert server["attributes"]["url.path"] == path


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_content_is_off_by_default(gateway: GatewayProcess, *, stream: bool) -> None:
    """Neither prompt nor reply is anywhere in the trace."""
    reply = chat(gateway, "fake/normal", stream=stream)
    text = json.dumps(gateway.trace(trace_id_of(reply)))
    assert PROMPT not in text
    assert TEXT not in text
    assert "quick" not in text


@pytest.mark.parametrize(
    ("model", "token", "status", "code"),
    [
        ("no/such", None, 404, "model_not_found"),
        ("fake/tools", NARROW_TOKEN, 403, "model_not_allowed"),
        ("fake/normal", "canary-wrong-token", 401, "invalid_api_key"),
    ],
)
def test_refusals_are_traced(
    gateway: GatewayProcess, model: str, token: str | None, status: int, code: str
) -> None:
    """One SERVER span; the client's fault is no error of the server's, and the list still names it."""
    reply = chat(gateway, model, **({"token": token} if token else {}))  # type: ignore[arg-type]
    assert reply.status == status
    (server,) = spans_of(gateway, reply)
    assert server["attributes"]["http.response.status_code"] == status
    assert server["status"]["code"] == "UNSET"
    row = gateway.row(trace_id_of(reply))
    assert (row["error_type"], row["attempts"]) == (code, 0)


def test_failed_upstream_is_an_error(gateway: GatewayProcess) -> None:
    """Both spans are ERROR, and say why."""
    reply = chat(gateway, "down/refused")
    server, client = spans_of(gateway, reply)
    for span in (server, client):
        assert span["status"]["code"] == "ERROR"
        assert span["attributes"]["error.type"] == "upstream_unreachable"
    row = gateway.row(trace_id_of(reply))
    assert (row["status"], row["status_code"], row["error_type"]) == ("error", 502, "upstream_unreachable")


def test_list_row(gateway: GatewayProcess) -> None:
    """What the list of traces says about a call."""
    reply = chat(gateway, "fake/normal")
    row = gateway.row(trace_id_of(reply))
    assert row["span_id"] == span_id_of(reply)
    expected = {
        "name": "POST /v1/chat/completions", "status_code": 200, "status": "ok", "model": "fake/normal",
        "resolved_model": "fake/normal", "caller": "app", "attempts": 1, "is_stream": False, "span_count": 2,
        "usage": {"input_tokens": 11, "output_tokens": 5, "source": "provider"},
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert row["duration_ms"] > 0


def test_resource(gateway: GatewayProcess) -> None:
    """The service is found under TrueFoundry's name, each worker as an instance of its own."""
    resource = gateway.trace(trace_id_of(chat(gateway, "fake/normal")))["resource"]
    assert resource["service.name"] == "tfy-llm-gateway"
    assert resource["service.instance.id"]
    assert resource["telemetry.sdk.language"] == "python"


def test_unknown_trace_is_404(gateway: GatewayProcess) -> None:
    """A trace that is not there is said to be so."""
    status, body = gateway.control("GET", f"/api/traces/{'f' * 32}")
    assert status == 404
    assert body["error"]["code"] == "trace_not_found"


def test_every_call_is_one_trace(gateway: GatewayProcess) -> None:
    """Calls without a traceparent never share a trace."""
    ids = [trace_id_of(chat(gateway, "fake/normal")) for _ in range(20)]
    assert len(set(ids)) == 20
