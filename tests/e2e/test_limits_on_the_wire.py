"""What is asked of the server of shared limits: how often, and over how many connections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

import pytest

from tests.rig.behaviours import stream
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.limited_gateway import CHAT, USD_OF_A_CALL, budget, paid_account, rate
from tests.rig.manifests import (
    ENVIRONMENT,
    bearer,
    chat,
    chat_body,
    in_turn,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import request_bytes
from tests.rig.redis_relay import RedisRelay
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")

WORKERS: Final = 2
PROCESSES: Final = WORKERS + 1
"""Control has a connection too, to show what is used."""

LIMITS: Final = "gateway-limits"
"""How each of them calls its connection for limits."""

HOUR: Final = {"requests_per_hour": 10_000}
DOCUMENTS: Final = [
    rate("by-name", ["vm/first", "vm/third"], HOUR),
    *(rate(f"on-{model}", [f"paid/{model}"], HOUR) for model in ("one", "two", "three")),
    rate("tokens", ["paid/*"], {"tokens_per_hour": 10**9}),
    rate("at-once", ["paid/*"], {"parallel_requests": 10_000}),
    rate("full", ["paid/full", "paid/full-too"], {"requests_per_hour": 0}),
    budget("money", ["paid/*"], 10**6 * USD_OF_A_CALL),
]
ROUTES: Final = {
    "first": in_turn("paid/one", "paid/two"),
    "third": in_turn("paid/full", "paid/full-too", "paid/three"),
}


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisRelay]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server, RedisRelay(server.port) as relay:
        yield relay


@pytest.fixture(scope="module")
def gateway(
    relay: RedisRelay, upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        paid_account("paid", upstream_server.base_url, ["one", "two", "three", "full", "full-too"]),
        virtual_models("vm", ROUTES),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        *DOCUMENTS,
    ]
    environment = {**ENVIRONMENT, "GATEWAY_REDIS_URL": relay.url}
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(folder, documents, workers=WORKERS, environment=environment) as process:
        until(
            lambda: process.log.count("limits are shared by") >= PROCESSES,
            what="each process to have its connection",
            timeout_s=60,
        )
        yield process


def reservations(relay: RedisRelay) -> int:
    """How often a call has waited for an answer: it is the first of the scripts that are loaded."""
    asked = 0
    for connection in relay.named(LIMITS):
        loaded = [words[2] for words in connection.commands if words[:2] == [b"SCRIPT", b"LOAD"]]
        if not loaded:
            continue
        reserve = hashlib.sha1(loaded[0], usedforsecurity=False).hexdigest().encode()
        asked += sum(words[:2] == [b"EVALSHA", reserve] for words in connection.commands)
    return asked


def questions_of(gateway: GatewayProcess, relay: RedisRelay, model: str) -> int:
    """How often one call has asked."""
    before = reservations(relay)
    assert chat(gateway, model, max_tokens=5).status == 200
    return reservations(relay) - before


# On a busy machine an answer may take longer than a call waits for it; then the host decides, and the next
# calls ask nobody. So a call is made again until it asks as often as it should: never, if that is not so.


@pytest.mark.parametrize("model", ["paid/one", "vm/first"], ids=["named itself", "first target"])
def test_one_round_trip(
    gateway: GatewayProcess, relay: RedisRelay, upstream: FakeUpstream, model: str
) -> None:
    """For all limits together, of a call whose first target has room."""
    until(lambda: questions_of(gateway, relay, model) == 1, what="one question for a call")
    assert upstream.exchanges


def test_further_targets(gateway: GatewayProcess, relay: RedisRelay, upstream: FakeUpstream) -> None:
    """Where the first two have no room: one for each target."""
    until(lambda: questions_of(gateway, relay, "vm/third") == 3, what="three questions")
    assert upstream.exchanges


def test_few_connections(gateway: GatewayProcess, relay: RedisRelay, upstream: FakeUpstream) -> None:
    """Two hundred calls at once share one for each worker, on which each asks once."""
    gate = upstream.gate()
    upstream.play("one", *[stream(gate=gate)] * 200)
    before = reservations(relay)
    connections = [gateway.connect() for _ in range(200)]
    body = chat_body("paid/one", stream=True, max_tokens=5)
    headers = [bearer(), ("content-type", "application/json")]
    for connection in connections:
        connection.send(request_bytes("POST", CHAT, headers, body))
    until(lambda: len(upstream.exchanges) == 200, what="all calls to be admitted", timeout_s=60)
    gate.open()
    assert [connection.read_reply().status for connection in connections] == [200] * 200
    assert reservations(relay) - before <= 200
    until(
        lambda: sum(one.is_open for one in relay.named(LIMITS)) <= PROCESSES,
        what="no more connections than processes",
    )
    for connection in connections:
        connection.close()
