"""What calls cost, from the manifests to the span, the store, the metrics and the list of models."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.rig.behaviours import COMPLETION_TOKENS, PROMPT_TOKENS
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    ENVIRONMENT,
    bearer,
    chat,
    chat_body,
    openai_account,
    otel_config,
    self_hosted_account,
    trace_id_of,
    virtual_account,
)
from tests.rig.otlp_sink import OtlpSink
from tests.rig.until import until

M: Final = 1_000_000
CACHED: Final = 4
"""Of the `PROMPT_TOKENS` that the fake provider reports; of the output it reports reasoning too."""

FRESH: Final = PROMPT_TOKENS - CACHED
OWN: Final[dict[str, Any]] = {"input": 0.001, "output": 0.004, "cache_read": 0.0005}
OWN_COST: Final = (FRESH * 1 + CACHED * 0.5 + COMPLETION_TOKENS * 4) / M
LIST_COST: Final = (FRESH * 2.5 + CACHED * 1.25 + COMPLETION_TOKENS * 10) / M
TIERED: Final[dict[str, Any]] = {
    "input": 1,
    "output": 2,
    "input_tiers": [{"from": PROMPT_TOKENS, "cost_per_token": 0.003}],
    "output_tiers": [{"from": PROMPT_TOKENS + 1, "cost_per_token": 9}],
}
TIERED_COST: Final = (PROMPT_TOKENS * 0.003 + COMPLETION_TOKENS * 2) / 1000


def priced(account: Document, cost: dict[str, Any]) -> Document:
    """The *account* with that price for each of its models."""
    return {**account, "integrations": [{**one, "cost": cost} for one in account["integrations"]]}


def documents(base_url: str, sink: OtlpSink) -> list[Document]:
    """A model of each kind of price."""
    own = {"metric": "per_1000_tokens", "value": OWN}
    tiered = {"metric": "per_1000_tokens", "value": TIERED}
    public = {"metric": "public_cost"}
    return [
        priced(openai_account("own", base_url, ["normal", "counted", "cut-clean"], discount_percent=50), own),
        openai_account("list", base_url, ["gpt-4o"]),
        priced(openai_account("public", base_url, ["gpt-4o"], discount_percent=20), public),
        priced(self_hosted_account("tiers", base_url, ["normal"]), tiered),
        self_hosted_account("unknown", base_url, ["normal", "counted"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        otel_config(sink.traces_url),
        {"type": "gateway-global-settings", "telemetry_settings": {"tfy_attributes": True}},
    ]


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as running:
        yield running


@pytest.fixture(scope="module")
def pricing(
    sink: OtlpSink, upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("pricing")
    manifests = documents(upstream_server.base_url, sink)
    with GatewayProcess(
        folder, manifests, workers=1, options=["--strict"], environment=ENVIRONMENT
    ) as process:
        yield process


def exported(sink: OtlpSink, trace_id: str) -> Span:
    """The CLIENT span of a trace, as the destination got it."""

    def find() -> Span | None:
        spans = [span for span in sink.spans() if span.trace_id.hex() == trace_id]
        return next((span for span in spans if span.kind == Span.SPAN_KIND_CLIENT), None)

    found = until(find, what="the span to arrive")
    assert found is not None
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("model", "cost"),
    [
        pytest.param("own/normal", OWN_COST, id="own price, not discounted"),
        pytest.param("list/gpt-4o", LIST_COST, id="list price"),
        pytest.param("public/gpt-4o", LIST_COST * 0.8, id="list price with discount"),
        pytest.param("tiers/normal", TIERED_COST, id="tiers by the input"),
        pytest.param("unknown/normal", None, id="unknown"),
    ],
)
def test_cost_of_a_call(
    pricing: GatewayProcess, sink: OtlpSink, model: str, cost: float | None, *, stream: bool
) -> None:
    """The same on the exported span, on the span in the store, and in the list of traces."""
    expected = None if cost is None else pytest.approx(cost, rel=1e-12)
    trace_id = trace_id_of(chat(pricing, model, stream=stream))
    row = pricing.row(trace_id)
    assert (row["cost_usd"], row["usage"]["source"]) == (expected, "provider")
    attributes = pricing.trace(trace_id)["spans"][1]["attributes"]
    assert attributes.get("gen_ai.usage.cost") == expected
    assert attributes.get("tfy.model.metric.cost_in_usd") == expected
    sent = {item.key: item.value for item in exported(sink, trace_id).attributes}
    assert ("gen_ai.usage.cost" in sent) == (cost is not None)
    if cost is not None:
        assert sent["gen_ai.usage.cost"].double_value == expected


def test_cost_of_a_stream_that_broke_off(pricing: GatewayProcess) -> None:
    """What was counted until then is paid, and marked as partial."""
    row = pricing.row(trace_id_of(chat(pricing, "own/cut-clean", stream=True)))
    usage = row["usage"]
    assert usage["source"] == "partial"
    assert usage["input_tokens"] == len(chat_body("own/cut-clean", stream=True)) // 4
    expected = (usage["input_tokens"] * 1 + usage["output_tokens"] * 4) / M
    assert row["cost_usd"] == pytest.approx(expected, rel=1e-12)
    assert expected > 0


def test_cost_is_a_metric(pricing: GatewayProcess) -> None:
    """It is the sum of what the calls cost; a model without a price has no series."""
    for model in ("own/counted", "unknown/counted", "own/counted"):
        assert chat(pricing, model).status == 200

    def series() -> dict[str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", pricing.control_port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        pairs = [line.rpartition(" ") for line in lines if "/counted" in line]
        return {name: value for name, _, value in pairs}

    labels = '{model_name="%s",username="app",tenant_name="default"}'
    own, unknown = labels % "own/counted", labels % "unknown/counted"
    requests, cost = "ai_gateway_requests_total", "ai_gateway_request_cost_total"
    until(
        lambda: float(series().get(requests + own, 0)) == 2 and requests + unknown in series(),
        what="the calls to be counted",
    )
    found = series()
    assert float(found[cost + own]) == pytest.approx(2 * OWN_COST, rel=1e-9)
    assert cost + unknown not in found


def test_models_show_their_prices(pricing: GatewayProcess) -> None:
    """What a client needs to choose: types, context window, price per million tokens after discount."""
    with pricing.connect() as connection:
        reply = connection.exchange("GET", "/v1/models", [bearer()])
    models = {model["id"]: model for model in json.loads(reply.body)["data"]}
    public = models["public/gpt-4o"]
    assert (public["owned_by"], public["context_window"]) == ("public", 128_000)
    assert "chat" in public["model_types"]
    assert public["price"] == {
        "currency": "USD",
        "unit": "1M tokens",
        "input": 2.0,
        "output": 8.0,
        "cache_read": 1.0,
    }
    assert models["own/normal"]["price"]["input"] == 1.0
    assert models["tiers/normal"]["price"]["tiers"][0] == {
        "from_input_tokens": PROMPT_TOKENS,
        "input": 3.0,
        "output": 2000.0,
    }
    assert "price" not in models["unknown/normal"]
    assert "context_window" not in models["unknown/normal"]
