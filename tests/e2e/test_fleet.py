"""Replicas with one Valkey: one configuration, and what one knows of sessions and stored objects all find."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.config_command import ConfigCommand, version_in
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
ENVIRONMENT: Final = {
    "FAKE_KEY": "canary-fleet-provider-key-0003", "FLEET_OWNER": OWNER, "FLEET_STRANGER": STRANGER,
}  # fmt: skip
ACCOUNTS: Final = ("one", "two")
USERS: Final = 3
GROUPS: Final = 8
FAR_S: Final = 60.0


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
    routes = {"even": by_weight(1, 1), "sticky": by_weight(*(weights or (1, 0)), sticky_routing=sticky)}
    return [
        *(
            openai_account(name, server.base_url.replace("/v1", f"/{name}/v1"), ["small"])
            for name in ACCOUNTS
        ),
        virtual_models("vm", routes),
        virtual_account("owner", ["env:FLEET_OWNER"], ["vm/*", "one/*", "two/*"]),
        virtual_account("stranger", ["env:FLEET_STRANGER"], ["one/small", "two/small"]),
    ]


class Fleet:
    """Two gateways that get their configuration from one Valkey."""

    def __init__(self, folder: Path, server: PathUpstream, valkey: ValkeyServer) -> None:
        self.server = server
        self.valkey = valkey
        self.command = ConfigCommand(folder / "pushed", valkey, ENVIRONMENT)
        self.push = self.command.push
        environment = ENVIRONMENT | {"GATEWAY_REDIS_URL": valkey.url}
        first, second = [
            GatewayProcess(folder / name, [], options=["--config", "redis:", *options], environment=more)
            for name, options, more in (
                ("first", (), environment | {"ONLY_FIRST": "canary-fleet-only-first-0004"}),
                ("second", ("--strict",), environment),
            )
        ]
        self.both = first, second
        self.begun_with = ""

    def until_in_force(self, version: str, *gateways: GatewayProcess) -> None:
        """Wait until all workers have it."""
        for gateway in gateways or self.both:
            until(lambda: versions(gateway) == {version}, what=f"{version} at all", timeout_s=FAR_S)  # noqa: B023 - at once


def versions(gateway: GatewayProcess) -> set[str]:
    """Those that a gateway and its workers say are in force."""
    config = gateway.get("/api/config")
    return {config["version"], *(worker["version"] for worker in config["workers"])}


def all_replicas(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Those that a gateway knows of."""
    found = gateway.get("/api/replicas")
    assert found["shared"] in ("ok", "away")
    return list(found["replicas"])


@pytest.fixture(scope="module")
def fleet(
    server: PathUpstream, provider: Provider, valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    assert provider.server is server
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), server, valkey)
    fleet.begun_with = version_in(fleet.push(documents(server)))
    with ExitStack() as running:
        for gateway in fleet.both:
            running.enter_context(gateway)
        until_redis("ok", *fleet.both)
        yield fleet


@pytest.fixture
def replicas(fleet: Fleet) -> tuple[GatewayProcess, GatewayProcess]:
    """With what every test begins with."""
    if any(versions(gateway) != {fleet.begun_with} for gateway in fleet.both):
        fleet.push(documents(fleet.server))
        fleet.until_in_force(fleet.begun_with)
    return fleet.both


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


def until_known(gateway: GatewayProcess, object_id: str) -> None:
    """Wait until a replica finds what another made: it is told off the way of the call that made it."""
    until(
        lambda: ask(gateway, "GET", f"/v1/responses/{object_id}").status == 200,
        what=f"{object_id} to be known at another replica",
    )


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
            until_known(there, made)
            assert provider.last == f"/{account}/v1/responses/{made}"
            after = make(there, "vm/even", previous_response_id=made)
            assert account_of(after) == account
            stranger = ask(there, "GET", f"/v1/responses/{made}", token=STRANGER)
            assert_error(stranger, 403, "permission_error", "account_not_allowed", "client")


def test_sessions_stay_at_another_replica(
    fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """A session that began at one replica stays with its target at the other, which would choose anew."""
    first, second = replicas
    groups = [[f"user-{group}-{number}" for number in range(USERS)] for group in range(GROUPS)]
    assert {session_at(first, user) for user in chain.from_iterable(groups)} == {"one/small"}
    fleet.until_in_force(version_in(fleet.push(documents(fleet.server, 0, 1))))

    def stay(group: list[str]) -> bool:
        # Of a session that Redis says too late where it is, as on a busy machine, nobody asks for a moment.
        until_redis("ok", second)
        return {session_at(second, user) for user in group} == {"one/small"}

    # Such a session does choose anew, and stays there: then others are looked at.
    assert any(map(stay, groups))
    assert session_at(second, "new") == "two/small"
    until(lambda: shared_lookups(second)["found"] >= USERS, what="the metrics to say what was asked for")


def shared_lookups(gateway: GatewayProcess) -> dict[str, float]:
    """What `/metrics` says of what was asked for of others."""
    name = "gateway_shared_state_lookups_total"
    lines = [line for line in gateway.control("GET", "/metrics")[1].splitlines() if f"{name}{{" in line]
    return {line.split('outcome="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


@pytest.mark.parametrize("fault", ["kill", pytest.param("pause", marks=pytest.mark.long)])
def test_without_valkey_nothing_waits(
    replicas: tuple[GatewayProcess, GatewayProcess], fleet: Fleet, provider: Provider, fault: str
) -> None:
    """Each goes by what it knows, calls are answered; what was made meanwhile is known to all afterwards."""
    first, second = replicas
    known = make(first, "two/small")
    until_known(second, known)
    unknown = make(first, "one/small")
    getattr(fleet.valkey, fault)()
    try:
        began_s = time.monotonic()
        reply = ask(second, "GET", f"/v1/responses/{unknown}x")
        assert_error(reply, 400, "invalid_request_error", "account_required", "client")
        # Far above the 50 ms that it may take: what it must not be is as long as the server is away.
        assert time.monotonic() - began_s < FAR_S
        until_redis("away", first, second)
        assert ask(second, "GET", f"/v1/responses/{known}").status == 200
        assert session_at(second, f"{fault}-user") == "one/small"
        meanwhile = make(first, "one/small")
        assert ask(first, "GET", f"/v1/responses/{meanwhile}").status == 200
    finally:
        if fault == "kill":
            fleet.valkey.start()
        else:
            fleet.valkey.go_on()
    until_redis("ok", first, second)
    if fault == "kill":
        # It has forgotten all, so it is told anew what to begin with.
        fleet.push(documents(fleet.server))
    until_known(second, meanwhile)
    assert provider.last == f"/one/v1/responses/{meanwhile}"


def test_a_push_is_in_force_everywhere(fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]) -> None:
    """On all workers of all replicas; each says where its configuration comes from and which set it is."""
    first, second = replicas
    assert ask(second, "GET", "/v1/models/vm/more").status == 404
    more = [*documents(fleet.server), virtual_models("more", {"one": by_weight(1, 0)})]
    said = fleet.push(more, "--message", "one more")
    fleet.until_in_force(version_in(said))
    listed = json.loads(fleet.command("list", "--format", "json"))
    number = listed[0]["set"]
    assert (listed[0]["what"], listed[0]["is_in_force"]) == ("one more", True)
    assert f"\n{number}-" in f"\n{said}"
    place = f"redis://127.0.0.1:{fleet.valkey.port}/0"
    for gateway in (first, second):
        source = gateway.get("/api/config")["source"]
        assert source == {"kind": "redis", "place": place, "state": "ok", "set": number}
    for gateway in (first, second):
        until(
            lambda: [one["config_set"] for one in all_replicas(gateway)] == [number] * 2,  # noqa: B023 - at once
            what="each to know of both",
        )
    assert "name: more" in fleet.command("show", str(number))
    assert "name: more" not in fleet.command("show", str(number - 1))


def test_a_bad_push_changes_nothing(fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]) -> None:
    """Errors with file and line, as `check-config` has them, of secrets and files beside manifests too."""
    before = fleet.command("list")
    bad = openai_account(
        "bad", fleet.server.base_url, ["x"], auth_data={"type": "api-key", "api_key": "canary-literal-0005"}
    )
    for wrong, message in (
        ({"type": "provider-account/openai"}, "name"),
        (bad, "the secret itself stands in the manifest, and would stand in Redis"),
        (
            virtual_account("beside", ["file:tokens/app"], []),
            "is relative to a manifest that is not there on other hosts",
        ),
    ):
        said = fleet.push([*documents(fleet.server), wrong], expect=1)
        assert message in said
        assert re.search(r"all.yaml:\d+: ", said)
        assert "nothing was put into Redis" in said
        assert "canary-literal-0005" not in said
    assert fleet.command("list") == before
    fleet.push(documents(fleet.server, 0, 1), "--expect", "1-000000000000", expect=1)
    assert fleet.command("list") == before
    assert len({frozenset(versions(gateway)) for gateway in replicas}) == 1


def test_one_that_cannot_load_it_keeps_the_old(
    fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """A strict replica that lacks a secret says so, ready as before; a rollback is in force at both."""
    first, second = replicas
    (before,) = versions(second)
    number = int(json.loads(fleet.command("list", "--format", "json"))[0]["set"])
    newer = openai_account(
        "newer", fleet.server.base_url, ["x"], auth_data={"type": "api-key", "api_key": "env:ONLY_FIRST"}
    )
    version = version_in(fleet.push([*documents(fleet.server), newer]))
    fleet.until_in_force(version, first)
    until(lambda: second.get("/readyz")["checks"]["config"] == "rejected", what="the other to refuse it")
    assert versions(second) == {before}
    (error,) = second.get("/api/config")["last_rejected"]["errors"]
    assert "ONLY_FIRST" in error["message"]
    until(
        lambda: (
            ["ONLY_FIRST" in str(one["last_rejected"]) for one in all_replicas(first) if not one["is_this"]]
            == [True]
        ),
        what="the first to know what the second refuses",
    )
    until(
        lambda: (
            f'gateway_replicas{{gateway_config_version="{before}",gateway_state="ready"}} 1'
            in first.control("GET", "/metrics")[1]
        ),
        what="the metrics to say that one has the old version",
    )
    assert ask(second, "GET", "/v1/models").status == 200
    assert ask(first, "GET", "/v1/models").status == 200
    fleet.command("rollback", str(number))
    fleet.until_in_force(before)
    until(lambda: second.get("/readyz")["checks"]["config"] == "ok", what="the other to be well")


def test_a_save_at_one_is_in_force_at_the_other(
    fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]
) -> None:
    """The control API of a replica changes what all have; a secret that is typed there is refused."""
    first, second = replicas
    path = "/api/manifests/virtual-account/saved"
    status, body = first.control(
        "PUT", path, virtual_account("saved", ["canary-typed-token-0006"], ["one/*"])
    )
    assert status == 400, body
    assert body["error"]["problems"][0]["message"].endswith("would stand in Redis")
    status, body = first.control("PUT", path, virtual_account("saved", [f"sha256:{'0' * 64}"], ["one/*"]))
    assert status == 200, body
    fleet.until_in_force(body["version"])
    assert second.control("GET", path)[0] == 200
    assert "dashboard of" in fleet.command("list")


@pytest.mark.long
def test_while_valkey_is_away(fleet: Fleet, replicas: tuple[GatewayProcess, GatewayProcess]) -> None:
    """A push says so; replicas go on, and start, by what came last; a server that forgot all gets it anew."""
    first, second = replicas
    (before,) = versions(first)
    fleet.valkey.pause()
    try:
        assert "cannot be used" in fleet.push(documents(fleet.server, 0, 1), expect=1)
    finally:
        fleet.valkey.go_on()
    fleet.valkey.kill()
    second.stop()
    until(lambda: len(all_replicas(first)) == 1, what="the first to be alone", timeout_s=FAR_S)
    second.start()
    assert versions(second) == {before}
    assert ask(second, "GET", "/v1/models").status == 200
    assert second.get("/api/config")["source"]["state"] == "away"
    fleet.valkey.start()
    until(
        lambda: first.get("/api/config")["source"]["state"] == "empty",
        what="it to be seen that there is none",
    )
    assert versions(first) == {before}
    fleet.until_in_force(version_in(fleet.push(documents(fleet.server, 0, 1))))
