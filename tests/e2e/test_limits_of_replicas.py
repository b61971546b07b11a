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
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limited_gateway import (
    TOKENS_OF_A_CALL,
    USD_OF_A_CALL,
    alone_so_far,
    budget,
    calls_at_once,
    decided_alone,
    paid_account,
    rate,
)
from tests.rig.manifests import ENVIRONMENT, chat, chat_body, openai_account, virtual_account
from tests.rig.raw_http import Reply
from tests.rig.redis_relay import RedisRelay
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


def test_three_replicas_are_one(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """They admit together what the limit says, however unevenly they are asked.

    But for what a replica decided alone, which it counts: that may be admitted beside, or be counted by the
    server although it was refused here, until it is given back.
    """
    alone_before = alone_so_far(replicas)
    replies = burst(replicas, chat_body("fake/forty"))
    assert set(statuses(replies)) == {200, 429}
    alone = decided_alone(replicas, "forty", ALL) - alone_before
    assert 40 - alone <= statuses(replies)[200] <= 40 + alone
    assert len(upstream.exchanges) == statuses(replies)[200]


def test_tokens_of_three_replicas(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """Within the limit and one call, and those decided alone; all that fits is admitted."""
    alone_before = alone_so_far(replicas)
    burst(replicas, chat_body("fake/tokens", max_tokens=5))
    calls = ALL

    def used() -> int:
        return TOKENS_OF_A_CALL * len(upstream.exchanges)

    def is_used_up() -> bool:
        # What was taken and not used is given back a moment after the answer, so one refusal says little.
        nonlocal calls
        calls += len(replicas)
        last = {chat(replica, "fake/tokens", max_tokens=5).status for replica in replicas}
        return last == {429} and used() > 600 - 2 * TOKENS_OF_A_CALL

    until(is_used_up, what="the rest to be used")
    alone = decided_alone(replicas, "tokens", calls) - alone_before
    assert used() <= 600 + (1 + alone) * TOKENS_OF_A_CALL


def test_a_budget_for_three(replicas: list[GatewayProcess], upstream: FakeUpstream) -> None:
    """Three calls are admitted, by whichever replicas, but for those decided alone."""
    alone_before = alone_so_far(replicas)
    replies = burst(replicas, chat_body("paid/three", max_tokens=USD_OF_A_CALL))
    alone = decided_alone(replicas, "three", ALL) - alone_before
    admitted = statuses(replies)[200]
    assert statuses(replies) == {200: admitted, 429: ALL - admitted}
    assert 3 - alone <= admitted <= 3 + alone
    assert len(upstream.exchanges) == admitted


def used_of(replica: GatewayProcess) -> int:
    """What is used of the one limit that has been asked."""
    [row] = replica.get("/api/limits/usage")["usage"]
    used: int = row["used"]
    return used


def test_a_replica_that_begins(
    valkey: ValkeyServer, upstream: FakeUpstream, start_gateway: StartGateway
) -> None:
    """It takes calls once it knows what the others have used, also where the server is some way off."""
    documents = [
        openai_account("fake", upstream.base_url, ["two"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("two", ["fake/two"], {"requests_per_day": 2}),
    ]
    with RedisRelay(valkey.port) as relay:
        relay.delay_s = 0.01
        environment = {**ENVIRONMENT, "GATEWAY_REDIS_URL": relay.url}
        first = start_gateway(documents, workers=1, environment=environment)
        assert [chat(first, "fake/two").status for _ in range(2)] == [200, 200]
        until(lambda: used_of(first) == 2, what="the server to know of both calls")
        admitted = 2
        for _ in range(4):
            later = start_gateway(documents, workers=1, environment=environment)
            status = chat(later, "fake/two").status
            # The server has 50 ms to answer. Where a busy machine takes longer the host decides, and says so.
            if status == 429 or "cannot be used" not in first.log + later.log:
                break
            admitted += 1
        assert status == 429
        until(lambda: used_of(later) == admitted, what="all calls to be counted")


def test_a_server_that_dies(
    replicas: list[GatewayProcess], valkey: ValkeyServer, upstream: FakeUpstream
) -> None:
    """Calls go on by what was known, and what they took meanwhile counts once there is a server again."""
    assert [chat(replicas[0], "fake/away").status for _ in range(8)] == [200] * 8
    for replica in replicas[1:]:
        until(lambda: knows_of_all(replica, upstream), what="each replica to know what has been used")  # noqa: B023 - at once
    used = len(upstream.exchanges)
    valkey.kill()
    replies = burst(replicas, chat_body("fake/away"))
    assert set(statuses(replies)) <= {200, 429}
    assert len(upstream.exchanges) <= 20 + (REPLICAS - 1) * (20 - used), (
        "what was left, for each replica but one again"
    )
    valkey.start()
    for replica in replicas:
        until(
            lambda: chat(replica, "fake/away", max_tokens=5).status == 429,  # noqa: B023 - at once
            what="what was used meanwhile to count",
        )  # fmt: skip


def knows_of_all(replica: GatewayProcess, upstream: FakeUpstream) -> bool:
    """Call, and look whether what all have used was counted: not where the server's answer was late."""
    reply = chat(replica, "fake/away")
    return reply.header("x-ratelimit-remaining-requests") == str(20 - len(upstream.exchanges))
