"""Limits and budgets on real gateways: exact over workers and replicas, kept over restarts, read by SDKs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.limited_gateway import decided_alone, missed_turns, rate
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    chat,
    in_turn,
    openai_account,
    trace_id_of,
    virtual_account,
    virtual_models,
)
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

ALLOWED: Final = 20
CALLS: Final = 60
AT_ONCE: Final = 12


def documents(upstream_url: str) -> list[Document]:
    """A model with a limit, and a virtual one whose first target has none left."""
    return [
        openai_account("fake", upstream_url, ["normal", "full", "small"]),
        virtual_models("vm", {"chat": in_turn("fake/full", "fake/normal")}),
        rate("per-hour", ["fake/small"], {"requests_per_hour": ALLOWED}),
        rate("nothing", ["fake/full"], {"requests_per_hour": 0}),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*", "vm/*"]),
    ]


@pytest.fixture
def gateway(upstream: FakeUpstream, tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(
        tmp_path, documents(upstream.base_url), environment=ENVIRONMENT, workers=2
    ) as process:
        yield process


def burst(*gateways: GatewayProcess) -> Counter[int]:
    """Many calls at once, by turns; how many had which status."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        replies = pool.map(lambda at: chat(gateways[at % len(gateways)], "fake/small").status, range(CALLS))
        return Counter(replies)


def test_exact_over_workers_and_restarts(gateway: GatewayProcess) -> None:
    """Two workers admit together what the limit allows, and a restart does not begin anew."""
    found = burst(gateway)
    missed = missed_turns(gateway)
    assert found == {200: found[200], 429: CALLS - found[200]}
    assert ALLOWED - missed <= found[200] <= ALLOWED
    gateway.stop()
    gateway.start()
    assert 429 in [chat(gateway, "fake/small").status for _ in range(1 + missed)]


def test_what_a_caller_is_told(gateway: GatewayProcess) -> None:
    """A refusal is its SDK's own kind of error, with the rule and when to try again; the trace has it too."""
    reply = chat(gateway, "fake/small")
    assert reply.header("x-ratelimit-remaining-requests") == str(ALLOWED - 1)
    burst(gateway)
    with (
        openai.OpenAI(api_key=APP_TOKEN, base_url=gateway.base_url, max_retries=0) as client,
        pytest.raises(openai.RateLimitError) as refused,
    ):
        client.chat.completions.create(model="fake/small", messages=[{"role": "user", "content": "hi"}])
    assert refused.value.code == "rate_limit_exceeded"
    assert '"per-hour"' in refused.value.message
    headers = refused.value.response.headers
    assert 0 < int(headers["retry-after"]) <= 2 * 3600
    assert headers["x-tfy-error-source"] == "gateway"
    address = gateway.base_url.removesuffix("/v1")
    with (
        anthropic.Anthropic(api_key=APP_TOKEN, base_url=address, max_retries=0) as other,
        pytest.raises(anthropic.RateLimitError) as also_refused,
    ):
        other.messages.create(model="fake/small", max_tokens=5, messages=[{"role": "user", "content": "hi"}])
    assert "per-hour" in str(also_refused.value.body)


def test_a_full_target_is_passed_over(gateway: GatewayProcess) -> None:
    """A call goes on to the next target; why is in its header and on its span."""
    reply = chat(gateway, "vm/chat")
    assert (reply.status, reply.header("x-tfy-resolved-model")) == (200, "fake/normal")
    applied: dict[str, Any] = json.loads(reply.header("x-tfy-applied-configurations") or "")
    assert [(one["id"], one["outcome"], one["target"]) for one in applied["rate_limits"]] == [
        ("nothing", "refused", "fake/full")
    ]
    assert applied["routing"]["skipped"] == [{"target": "fake/full", "reason": "limit"}]
    server = gateway.trace(trace_id_of(reply))["spans"][0]["attributes"]
    assert json.loads(server["gateway.limits"]) == [
        {"rule": "nothing", "kind": "requests", "outcome": "refused", "target": "fake/full"}
    ]


def _shares(gateway: GatewayProcess) -> bool:
    # Said by the worker, and by control.
    return gateway.log.count("limits are shared by") >= 2


@requires("valkey")
def test_exact_over_replicas(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Two gateways with one Valkey admit together what the limit allows, but for what one decided alone."""
    with ExitStack() as running:
        valkey = running.enter_context(ValkeyServer(tmp_path))
        first, second = [
            running.enter_context(
                GatewayProcess(
                    tmp_path / name,
                    documents(upstream.base_url),
                    environment=ENVIRONMENT | {"GATEWAY_REDIS_URL": valkey.url},
                )
            )
            for name in ("first", "second")
        ]
        for gateway in (first, second):
            until(partial(_shares, gateway), "the worker has Valkey")
        found = burst(first, second)
        alone = decided_alone([first, second], "per-hour", CALLS)
        assert found == {200: found[200], 429: CALLS - found[200]}
        assert ALLOWED - alone <= found[200] <= ALLOWED + alone
