"""Prompts and replies on the spans of a running gateway: where they are allowed, masked and bounded."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.rig.behaviours import TEXT, plain_reply
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    CREDENTIALS,
    ENVIRONMENT,
    NARROW_TOKEN,
    PROMPT,
    SCRIPTED,
    bearer,
    chat,
    otel_config,
    standard_documents,
    trace_id_of,
)
from tests.rig.otlp_sink import OtlpSink
from tests.rig.raw_http import Reply
from tests.rig.until import until

WANTED: Final = ("x-tfy-logging-config", '{"enabled":true}')
NAMES: Final = {"gen_ai.input.messages", "gen_ai.output.messages"}
# Slow on purpose, and without end on what the test sends it.
EVIL: Final = "(a+)+b"


@pytest.fixture
def gateway(start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int) -> GatewayProcess:
    """A gateway that records what callers want recorded."""
    settings = {
        "type": "gateway-global-settings",
        "logging_settings": {"type": "header_controlled", "log_body_by_default": False},
        "telemetry_settings": {
            "tfy_attributes": True,
            "capture_headers": ["x-team"],
            "capture_baggage": ["tenant"],
        },
    }
    rules = [
        {
            "type": "gateway-logging-config",
            "name": "mask",
            "log": True,
            "redact_with": {"presets": ["email"]},
        },
        {
            "type": "gateway-logging-config",
            "name": "not-narrow",
            "log": False,
            "when": {"subjects": {"in": ["virtualaccount:narrow"]}},
        },
        {
            "type": "gateway-logging-config",
            "name": "slow",
            "log": True,
            "when": {"metadata": {"slow": "yes"}},
            "redact_with": {"custom_patterns": [{"pattern": EVIL}]},
        },
    ]
    documents = standard_documents(upstream.base_url, closed_port)
    environment = {
        **ENVIRONMENT,
        "OTEL_SERVICE_NAME": "my.gateway",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }
    return start_gateway([*documents, settings, *rules], workers=1, environment=environment)


def client_of(gateway: GatewayProcess, reply: Reply) -> dict[str, Any]:
    """Attributes of the call's last CLIENT span."""
    attributes: dict[str, Any] = gateway.trace(trace_id_of(reply))["spans"][-1]["attributes"]
    return attributes


def ask_responses(gateway: GatewayProcess, text: str, *, stream: bool = False) -> Reply:
    """A call of Responses, to a model behind chat completions."""
    body = {"model": "lab/normal", "instructions": "Be brief.", "input": text, "stream": stream}
    headers = [bearer(), ("content-type", "application/json"), WANTED]
    with gateway.connect() as connection:
        reply = connection.exchange("POST", "/v1/responses", headers, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return reply


def test_content_of_a_running_gateway(gateway: GatewayProcess) -> None:
    """One start for the whole story: off, on, streamed, masked, forbidden, huge, a pattern without end."""
    assert not NAMES & client_of(gateway, chat(gateway, "fake/normal")).keys()

    for stream in (False, True):
        reply = chat(
            gateway, "fake/normal", stream=stream, headers=[WANTED, ("baggage", "tenant=blue,user=ann")]
        )
        found = client_of(gateway, reply)
        assert (found["baggage.tenant"], "baggage.user" in found) == ("blue", False)
        (asked,) = json.loads(found["gen_ai.input.messages"])
        (answered,) = json.loads(found["gen_ai.output.messages"])
        assert asked["parts"] == [{"type": "text", "content": PROMPT}]
        assert answered["parts"] == [{"type": "text", "content": TEXT}]

    for stream in (False, True):
        found = client_of(gateway, ask_responses(gateway, PROMPT, stream=stream))
        asked = json.loads(found["gen_ai.input.messages"])
        (answered,) = json.loads(found["gen_ai.output.messages"])
        assert [message["parts"][0]["content"] for message in asked] == ["Be brief.", PROMPT]
        assert answered["parts"] == [{"type": "text", "content": TEXT}]
        assert found["openai.api.type"] == "chat_completions"

    secret = f"I am ann@example.org and my key is {APP_TOKEN}."
    reply = ask_responses(gateway, secret)
    shown = json.dumps(gateway.trace(trace_id_of(reply)))
    assert "[REDACTED]" in shown
    assert "ann@example.org" not in shown
    assert not [one for one in CREDENTIALS if one in shown]

    reply = chat(gateway, "fake/normal", headers=[WANTED], messages=[{"role": "user", "content": secret}])
    assert reply.status == 200
    shown = json.dumps(gateway.trace(trace_id_of(reply)))
    assert "[REDACTED]" in shown
    assert "ann@example.org" not in shown
    assert not [one for one in CREDENTIALS if one in shown]

    reply = chat(gateway, "fake/normal", headers=[WANTED], token=NARROW_TOKEN)
    assert not NAMES & client_of(gateway, reply).keys()

    many = [{"role": "user", "content": f"{number} " + "word " * 400} for number in range(500)]
    found = client_of(gateway, chat(gateway, "fake/normal", headers=[WANTED], messages=many))
    assert found["gateway.content.truncated"] is True
    assert sum(len(found[name].encode()) for name in NAMES) <= 32_768
    assert {"gen_ai.usage.input_tokens", "gen_ai.request.model", "tfy.span_type"} <= found.keys()

    slow = ("x-tfy-metadata", '{"slow":"yes"}')
    evil = [{"role": "user", "content": "a" * 200}]
    for expected in ({"gateway.content.dropped"}, set()):
        found = client_of(gateway, chat(gateway, "fake/normal", headers=[WANTED, slow], messages=evil))
        assert {name for name in found if "content" in name or "messages" in name} == expected
    assert "gateway-logging-config mask, slow took over" in gateway.log

    malformed = chat(gateway, "fake/normal", headers=[("x-tfy-logging-config", "yes")])
    assert malformed.status == 400
    resource = gateway.trace(trace_id_of(reply))["resource"]
    assert resource["service.name"] == "my_gateway"
    assert resource["deployment.environment.name"] == resource["deployment.environment"] == "test"


def test_words_of_calls_stay_away_from_who_must_not_have_them(
    start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int
) -> None:
    """A bad reply that quotes the call, stop sequences, prompts: masked in one place, absent in another."""
    page = plain_reply(200, "text/html", b"<html>canary-page for ann@example.org</html>")
    with OtlpSink() as full, OtlpSink() as lean:
        documents = [
            *standard_documents(upstream.base_url, closed_port),
            otel_config(full.traces_url, name="full"),
            otel_config(lean.traces_url, name="lean", exclude_request_data=True),
            {"type": "gateway-global-settings", "logging_settings": {"type": "always"}},
            {
                "type": "gateway-logging-config",
                "name": "mask",
                "log": True,
                "redact_with": {"presets": ["email"]},
            },
        ]
        gateway = start_gateway(documents, workers=1)
        upstream.play(SCRIPTED, page)
        replies = [chat(gateway, f"fake/{SCRIPTED}"), chat(gateway, "fake/normal", stop=["canary-stop"])]
        assert [reply.status for reply in replies] == [502, 200]
        for sink in (full, lean):
            until(lambda sink=sink: len(sink.spans()) == 4, what="both calls to arrive")  # type: ignore[misc]
        shown = "".join(map(str, full.spans()))
        assert "canary-page for [REDACTED]" in shown
        assert "canary-stop" in shown
        assert "ann@example.org" not in shown
        assert "canary" not in "".join(map(str, lean.spans()))
        gateway.stop()
