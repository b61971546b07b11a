"""What Redis is asked for: no more than docs/operations.md says, and what happens while it is away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from gateway.store.config_store import ConfigStore, Note
from tests.rig.behaviours import provider_error
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.limited_gateway import USD_OF_A_CALL, budget, paid_account, post, rate
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    bearer,
    chat,
    gemini_account,
    in_turn,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import assert_error
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")

USER: Final = "gateway"
USER_PASSWORD: Final = "canary-valkey-user-0001"
OPERATIONS: Final = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()

MESSAGES: Final = [{"role": "user", "content": "hi"}]
OTHER_DIALECTS: Final = (
    ("/v1/messages", {"model": "fake/m", "max_tokens": 5, "messages": MESSAGES}, b'"overloaded_error"'),
    ("/v1/responses", {"model": "fake/m", "input": "hi"}, b'"limits_unavailable"'),
    (
        "/gemini/google/proxy/v1beta/models/g:generateContent",
        {"contents": [{"parts": [{"text": "hi"}]}]},
        b'"UNAVAILABLE"',
    ),
)
"""Path, body, and a word of the refusal."""


def documented_rights() -> list[str]:
    """Of the line that operators copy, what follows the password."""
    rules = OPERATIONS.partition("    ACL SETUSER gateway on >PASSWORD ")[2].partition("\n\n")[0]
    return rules.split()


def server_with(folder: Path, rules: list[str]) -> ValkeyServer:
    return ValkeyServer(folder, ["--user", USER, "on", f">{USER_PASSWORD}", *rules])


def url_of(server: ValkeyServer) -> str:
    # Another database than the first has to be chosen, which is a right too.
    return f"redis://{USER}:{USER_PASSWORD}@127.0.0.1:{server.port}/1"


def documents(upstream: FakeUpstream, **settings: Any) -> list[Document]:
    return [
        openai_account("fake", upstream.base_url, ["m", "first", "second", "free"]),
        paid_account("paid", upstream.base_url, ["m"]),
        gemini_account("google", upstream.base_url, {"g": "g"}),
        virtual_models("vm", {"both": in_turn("fake/first", "fake/second")}),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate(
            "r",
            ["fake/m", "google/g"],
            {"requests_per_day": 3, "tokens_per_hour": 100_000, "parallel_requests": 3},
        ),
        rate("watched", ["fake/free"], {"requests_per_day": 3}, mode="audit"),
        budget("b", ["paid/m"], 0, limits={"cost_per_month": 50 * USD_OF_A_CALL}),
        budget("ever", ["paid/m"], 50 * USD_OF_A_CALL),
        {"type": "gateway-global-settings", "name": "global", **settings},
    ]


def words(gateway: GatewayProcess) -> set[str]:
    """What `/readyz` of control and of the worker say of Redis."""
    with gateway.connect() as connection:
        reply = connection.exchange("GET", "/readyz")
    return {gateway.get("/readyz")["checks"]["redis"], json.loads(reply.body)["checks"]["redis"]}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    (tmp_path / "valkey").mkdir()
    with server_with(tmp_path / "valkey", documented_rights()) as started:
        yield started


def denied(server: ValkeyServer) -> list[Any]:
    """What the server has refused for want of rights."""
    with Redis.from_url(server.url) as redis:
        return list(redis.acl_log())


def is_used_up(gateway: GatewayProcess) -> bool:
    """Call once more, and look whether that was refused and three are counted by the server."""
    status = chat(gateway, "fake/m", max_tokens=5).status
    usage = gateway.get("/api/limits/usage?rule=r&unit=requests_per_day")
    return (status, usage["usage"][0]["used"], usage["counted_by"]) == (429, 3, "replicas")


def has_asked_others(gateway: GatewayProcess) -> bool:
    """Ask for an object that nobody has made, and look whether the server ever said so in time."""
    with gateway.connect() as connection:
        connection.exchange("GET", "/v1/responses/resp_of_nobody", [bearer(APP_TOKEN)])
    text = gateway.control("GET", "/metrics")[1]
    unknown = r'^gateway_shared_state_lookups_total{outcome="unknown"} [1-9]'
    return re.search(unknown, text, re.MULTILINE) is not None


def test_no_more_rights_than_documented(
    start_gateway: StartGateway, server: ValkeyServer, upstream: FakeUpstream
) -> None:
    """Limits of every kind, budgets, circuits, looking, and a server that has lost its memory."""
    gateway = start_gateway(
        documents(upstream), workers=1, environment={**ENVIRONMENT, "GATEWAY_REDIS_URL": url_of(server)}
    )
    until(lambda: words(gateway) == {"ok"}, what="Redis to be there")
    # An answer that is late, as on a busy machine, is counted here as well until it has come.
    until(lambda: is_used_up(gateway), what="three calls, and no more, to be counted")
    assert chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL).status == 200
    upstream.play("first", *[provider_error(500)] * 30)
    for _ in range(5):
        chat(gateway, "vm/both")
    assert chat(gateway, "fake/free", store=True).status == 200, "it is noted for others"
    until(lambda: has_asked_others(gateway), what="others to have been asked")
    assert len(gateway.get("/api/replicas")["replicas"]) == 1
    store = ConfigStore(url_of(server), timeout_s=10.0)
    store.put(b"set", Note(0, "ab12", "v", 0, "me", "0", 1))
    assert (store.head(), store.find(1), len(store.notes())) == ("1-ab12", b"set", 1)
    store.close()
    assert denied(server) == []
    server.restart()
    until(lambda: words(gateway) == {"ok"}, what="Redis to be there again")
    assert chat(gateway, "fake/m", max_tokens=5).status == 429, "it was told what had been counted"
    assert denied(server) == []


def test_rights_that_lack(tmp_path: Path, start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Without those for limits `/readyz` says so, though circuits are shared."""
    (tmp_path / "poor").mkdir()
    rules = [rule for rule in documented_rights() if "limits" not in rule]
    assert len(rules) + 1 == len(documented_rights())
    with server_with(tmp_path / "poor", rules) as poor:
        environment = {**ENVIRONMENT, "GATEWAY_REDIS_URL": url_of(poor)}
        gateway = start_gateway(documents(upstream), workers=1, environment=environment)
        until(lambda: "limits are this host's own" in gateway.log, what="the log to say so")
        # Of control and of the worker, whichever wrote that.
        until(lambda: words(gateway) == {"away"}, what="both to say so")
        assert denied(poor)


def test_refused_while_it_is_away(
    start_gateway: StartGateway, server: ValkeyServer, upstream: FakeUpstream
) -> None:
    """Where that is wanted: calls that a limit may refuse, no others; and again when there is a server."""
    gateway = start_gateway(
        documents(upstream, limit_settings={"when_redis_is_away": "refuse"}),
        workers=1,
        environment={**ENVIRONMENT, "GATEWAY_REDIS_URL": url_of(server)},
    )
    until(lambda: words(gateway) == {"ok"}, what="Redis to be there")
    # Refused as well where the server's answer is late, as on a busy machine.
    until(lambda: chat(gateway, "fake/m", max_tokens=5).status == 200, what="a call to be admitted")
    server.kill()
    until(lambda: words(gateway) == {"away"}, what="it to be missed")
    refused = chat(gateway, "fake/m", max_tokens=5)
    message = assert_error(refused, 503, "overloaded_error", "limits_unavailable", "gateway")
    assert message.startswith('The rate limit "r" cannot be checked')
    assert refused.header("retry-after") == "1"
    for path, body, word in OTHER_DIALECTS:
        refused = post(gateway, path, body)
        assert (refused.status, refused.header("retry-after")) == (503, "1"), path
        assert word in refused.body
    assert chat(gateway, "fake/free").status == 200
    assert "limits refuse calls" in gateway.log
    server.start()
    until(lambda: chat(gateway, "fake/m", max_tokens=5).status == 200, what="it to be back")
