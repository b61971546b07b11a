"""Limits that replicas have together in Redis or Valkey: docs/limits.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from typing import Final

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.limited_gateway import (
    TOKENS_OF_A_CALL,
    USD_OF_A_CALL,
    budget,
    calls_at_once,
    paid_account,
    rate,
)
from tests.rig.manifests import ENVIRONMENT, chat, chat_body, openai_account, virtual_account
from tests.rig.raw_http import Reply
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")

REPLICAS: Final = 3
SKEWED: Final = ((30, 20, 10, 10), (5, 5), (3, 1))
"""Calls of each connection, by replica."""

ALL: Final = sum(chain.from_iterable(SKEWED))


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def replicas(
    upstream_server: FakeUpstream, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[GatewayProcess]]:
    """Three hosts, as far as they know: each has a state folder of its own."""
    url = upstream_server.base_url
    documents = [
        openai_account("fake", url, ["forty", "tokens", "away"]),
        paid_account("paid", url, ["three"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("forty", ["fake/forty"], {"requests_per_hour": 40}),
        rate("tokens", ["fake/tokens"], {"tokens_per_hour": 600}),
        rate("away", ["fake/away"], {"requests_per_day": 20}),
        budget("three", ["paid/three"], 3 * USD_OF_A_CALL),
    ]
    environment = {**ENVIRONMENT, "GATEWAY_REDIS_URL": valkey.url}
    with ExitStack() as running:
        started = [
            running.enter_context(
                GatewayProcess(
                    tmp_path_factory.mktemp("replica"), documents, workers=1, environment=environment
                )
            )
            for _ in range(REPLICAS)
        ]
        yield started


def burst(replicas: list[GatewayProcess], body: bytes) -> list[Reply]:
    """The skewed calls, at all replicas at once."""
    with ThreadPoolExecutor(len(replicas)) as pool:
        found = pool.map(lambda at: calls_at_once(replicas[at], body, SKEWED[at]), range(len(replicas)))
        return [reply for replies in found for reply in replies]


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


def wait_until_refused(replica: GatewayProcess, model: str, *, what: str) -> None:
    until(lambda: chat(replica, model, max_tokens=5).status == 429, what=what, timeout_s=20)


def counted(replica: GatewayProcess, metric: str, labels: str = "") -> int:
    """The sum of a counter, of the points with these *labels*."""
    lines = replica.control("GET", "/metrics")[1].splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith((f"{metric}{{", f"{metric} ")) and labels in line
    )


def decided_alone(replicas: list[GatewayProcess]) -> int:
    """How many of these calls were decided without the server; where it stands still for 50 ms, some are."""

    def asked(replica: GatewayProcess) -> int:
        return counted(replica, "ai_gateway_rate_limit_nominated_total", 'ruleId="forty"')

    # Told together, once a second.
    until(lambda: sum(map(asked, replicas)) == ALL, what="all calls to be counted", timeout_s=30)
    return sum(counted(replica, "gateway_limits_decided_here_total") for replica in replicas)


def test_three_replicas_are_one(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """They admit together what the limit says, however unevenly they are asked.

    But for what a replica decided alone, which it counts: that may be admitted beside, or be counted by the
    server although it was refused here, until it is given back.
    """
    alone_before = sum(counted(replica, "gateway_limits_decided_here_total") for replica in replicas)
    replies = burst(replicas, chat_body("fake/forty"))
    assert set(statuses(replies)) == {200, 429}
    alone = decided_alone(replicas) - alone_before
    assert 40 - alone <= statuses(replies)[200] <= 40 + alone
    assert len(upstream.exchanges) == statuses(replies)[200]


def test_tokens_of_three_replicas(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """Within the limit and one call; all that fits is admitted."""
    burst(replicas, chat_body("fake/tokens", max_tokens=5))
    for replica in replicas:
        wait_until_refused(replica, "fake/tokens", what="the rest to be used")
    used = TOKENS_OF_A_CALL * len(upstream.exchanges)
    assert 600 - 2 * TOKENS_OF_A_CALL < used <= 600 + TOKENS_OF_A_CALL


def test_a_budget_for_three(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """Three calls are admitted, by whichever replicas."""
    replies = burst(replicas, chat_body("paid/three", max_tokens=USD_OF_A_CALL))
    assert statuses(replies) == {200: 3, 429: ALL - 3}
    assert len(upstream.exchanges) == 3


def test_a_server_that_dies(
    replicas: list[GatewayProcess], valkey: ValkeyServer, upstream: FakeUpstream
) -> None:
    """Calls go on by what was known, and what they took meanwhile counts once there is a server again."""
    assert [chat(replicas[0], "fake/away").status for _ in range(8)] == [200] * 8
    # Each replica looks once, so that each knows what has been used.
    assert [chat(replica, "fake/away").status for replica in replicas[1:]] == [200] * 2
    valkey.kill()
    replies = burst(replicas, chat_body("fake/away"))
    assert set(statuses(replies)) <= {200, 429}
    assert len(upstream.exchanges) <= 20 + (REPLICAS - 1) * 10, (
        "what was left, for each replica but one again"
    )
    valkey.start()
    for replica in replicas:
        wait_until_refused(replica, "fake/away", what="what was used meanwhile to count")
