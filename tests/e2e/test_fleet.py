"""Replicas with one Valkey: what one of them knows of sessions and stored objects all find."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import bearer, openai_account, virtual_account, virtual_models
from tests.rig.path_upstream import Asked, PathUpstream
from tests.rig.raw_http import Reply, assert_error
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")

OWNER: Final = "canary-fleet-owner-0001"
STRANGER: Final = "canary-fleet-stranger-0002"
ENVIRONMENT: Final = {"FAKE_KEY": "canary-fleet-provider-key-0003"}
ACCOUNTS: Final = ("one", "two")
USERS: Final = 12
FAR_S: Final = 20.0


class Provider:
    """Two accounts that make responses; ids say which."""

    def __init__(self, server: PathUpstream) -> None:
        self.server = server
        self._made = 0
        for account in ACCOUNTS:
            server.on(f"/{account}/v1/responses", self._response)
            server.on(f"/{account}/v1/chat/completions", self._chat)

    @property
    def last(self) -> str:
        """What was asked last."""
        return self.server.asked[-1].target

    async def _response(self, asked: Asked) -> None:
        await asked.read_body()
        self._made += 1
        name = f"resp_{asked.path.split('/')[1]}_{self._made}"
        reply = {"id": name, "object": "response", "status": "completed", "model": "small", "output": []}
        await asked.answer(200, json.dumps(reply).encode())

    async def _chat(self, asked: Asked) -> None:
        await asked.read_body()
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "model": "small", "choices": [choice]}
        await asked.answer(200, json.dumps(reply).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def provider(server: PathUpstream) -> Provider:
    return Provider(server)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path_factory.mktemp("valkey")) as server:
        yield server


def by_weight(one: int, two: int, **more: Any) -> Document:
    targets = [
        {"target": f"{account}/small", "weight": weight, "retry_config": {"attempts": 1, "delay": 1}}
        for account, weight in zip(ACCOUNTS, (one, two), strict=True)
    ]
    return {"type": "weight-based-routing", "load_balance_targets": targets, **more}


def documents(server: PathUpstream, *weights: int) -> list[Document]:
    sticky = {"ttl_seconds": 600, "session_identifiers": [{"source": "headers", "key": "x-user"}]}
    routes = {"even": by_weight(1, 1), "sticky": by_weight(*weights, sticky_routing=sticky)}
    return [
        *(
            openai_account(name, server.base_url.replace("/v1", f"/{name}/v1"), ["small"])
            for name in ACCOUNTS
        ),
        virtual_models("vm", routes),
        virtual_account("owner", [OWNER], ["vm/*", "one/*", "two/*"]),
        virtual_account("stranger", [STRANGER], ["one/small", "two/small"]),
    ]


@pytest.fixture(scope="module")
def replicas(
    server: PathUpstream, provider: Provider, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Two gateways that share one Valkey; each would send new sessions to another account."""
    assert provider.server is server
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as running:
        first, second = [
            running.enter_context(
                GatewayProcess(
                    folder / name,
                    documents(server, *weights),
                    environment=ENVIRONMENT | {"GATEWAY_REDIS_URL": valkey.url},
                )
            )
            for name, weights in (("first", (1, 0)), ("second", (0, 1)))
        ]
        until_redis("ok", first, second)
        yield first, second


def until_redis(word: str, *gateways: GatewayProcess) -> None:
    """Wait until each worker says this of Redis."""
    for gateway in gateways:
        until(lambda: redis_word(gateway) == word, what=f"Redis to be {word}", timeout_s=FAR_S)  # noqa: B023 - at once


def redis_word(gateway: GatewayProcess) -> str:
    with gateway.connect() as connection:
        return str(connection.exchange("GET", "/readyz").json["checks"]["redis"])


def ask(
    gateway: GatewayProcess,
    method: str,
    path: str,
    *headers: tuple[str, str],
    token: str = OWNER,
    **body: Any,
) -> Reply:
    """A call without a word of any account."""
    with gateway.connect() as connection:
        data = json.dumps(body).encode() if body else None
        return connection.exchange(
            method, path, [bearer(token), ("content-type", "application/json"), *headers], data
        )


def make(gateway: GatewayProcess, model: str, **more: Any) -> str:
    """The id of a new response."""
    reply = ask(gateway, "POST", "/v1/responses", model=model, input="x", **more)
    assert reply.status == 200, reply.body
    return str(reply.json["id"])


def account_of(object_id: str) -> str:
    return object_id.split("_")[1]


def session_at(gateway: GatewayProcess, user: str) -> str | None:
    """Which target answers a call of this session."""
    messages = [{"role": "user", "content": "x"}]
    reply = ask(
        gateway, "POST", "/v1/chat/completions", ("x-user", user), model="vm/sticky", messages=messages
    )
    assert reply.status == 200, reply.body
    return reply.header("x-tfy-resolved-model")


def test_objects_are_found_at_another_replica(
    replicas: tuple[GatewayProcess, GatewayProcess], provider: Provider
) -> None:
    """A follow-up that comes to another replica goes to the account that made the object, both ways."""
    for here, there in (replicas, replicas[::-1]):
        for account in ACCOUNTS:
            made = make(here, f"{account}/small")
            assert ask(there, "GET", f"/v1/responses/{made}").status == 200
            assert provider.last == f"/{account}/v1/responses/{made}"
            after = make(there, "vm/even", previous_response_id=made)
            assert account_of(after) == account
            stranger = ask(there, "GET", f"/v1/responses/{made}", token=STRANGER)
            assert_error(stranger, 403, "permission_error", "account_not_allowed", "client")


def test_sessions_stay_at_another_replica(replicas: tuple[GatewayProcess, GatewayProcess]) -> None:
    """A session that began at one replica stays with its target, though the other would send it elsewhere."""
    for (here, there), target in ((replicas, "one/small"), (replicas[::-1], "two/small")):
        users = [f"{target}-{number}" for number in range(USERS)]
        assert {session_at(here, user) for user in users} == {target}
        assert {session_at(there, user) for user in users} == {target}
    for gateway in replicas:
        until(
            lambda: shared_lookups(gateway)["found"] >= USERS,  # noqa: B023 - called at once
            what="the metrics to say what was asked for",
        )


def shared_lookups(gateway: GatewayProcess) -> dict[str, float]:
    """What `/metrics` says of what was asked for of others."""
    name = "gateway_shared_state_lookups_total"
    lines = [line for line in gateway.control("GET", "/metrics")[1].splitlines() if f"{name}{{" in line]
    return {line.split('outcome="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_without_valkey_nothing_waits(
    replicas: tuple[GatewayProcess, GatewayProcess], valkey: ValkeyServer, provider: Provider, fault: str
) -> None:
    """Each goes by what it knows, calls are answered; what was made meanwhile is known to all afterwards."""
    first, second = replicas
    known = make(first, "two/small")
    assert ask(second, "GET", f"/v1/responses/{known}").status == 200
    unknown = make(first, "one/small")
    getattr(valkey, fault)()
    try:
        began_s = time.monotonic()
        reply = ask(second, "GET", f"/v1/responses/{unknown}x")
        assert_error(reply, 400, "invalid_request_error", "account_required", "client")
        # Far above the 50 ms that it may take: what it must not be is as long as the server is away.
        assert time.monotonic() - began_s < FAR_S
        until_redis("away", first, second)
        assert ask(second, "GET", f"/v1/responses/{known}").status == 200
        assert session_at(second, f"{fault}-user") == "two/small"
        meanwhile = make(first, "one/small")
        assert ask(first, "GET", f"/v1/responses/{meanwhile}").status == 200
    finally:
        if fault == "kill":
            valkey.start()
        else:
            valkey.go_on()
    until_redis("ok", first, second)
    until(
        lambda: ask(second, "GET", f"/v1/responses/{meanwhile}").status == 200,
        what="what was made meanwhile to be known",
    )
    assert provider.last == f"/one/v1/responses/{meanwhile}"
    assert session_at(first, f"{fault}-user") == "two/small"
