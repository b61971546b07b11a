"""Two gateways with one Valkey: what one finds out about a target both know, and neither waits for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import bearer, chat_body, in_turn, openai_account, virtual_account, virtual_models
from tests.rig.path_upstream import Asked, PathUpstream
from tests.rig.raw_http import Reply
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import PASSWORD, ValkeyServer

TOKEN: Final = "canary-shared-circuits-token-0001"
ENVIRONMENT: Final = {"FAKE_KEY": "canary-shared-circuits-key-0002"}
FAILURES: Final = 3
LONG_MS: Final = 60_000
pytestmark = requires("valkey")


class Provider:
    """Two accounts, one of which answers as it is told."""

    def __init__(self, server: PathUpstream) -> None:
        self.server = server
        self.status = 200
        self.headers: tuple[tuple[str, str], ...] = ()
        server.forget()
        server.on("/one/v1/chat/completions", self._first)
        server.on("/two/v1/chat/completions", self._second)

    def asked(self, account: str) -> int:
        """How often an account was."""
        return sum(asked.path.startswith(f"/{account}/") for asked in self.server.asked)

    async def _first(self, asked: Asked) -> None:
        if self.status == 200:
            await self._second(asked)
            return
        await asked.read_body()
        body = b'{"error":{"message":"no","type":"server_error"}}'
        await asked.answer(self.status, body, "application/json", *self.headers)

    async def _second(self, asked: Asked) -> None:
        await asked.read_body()
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        reply = {"id": "chatcmpl-1", "object": "chat.completion", "model": "small", "choices": [choice]}
        await asked.answer(200, json.dumps(reply).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture
def provider(server: PathUpstream) -> Provider:
    return Provider(server)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with ValkeyServer(tmp_path) as server:
        yield server


def documents(server: PathUpstream, cool_down_ms: int) -> list[Document]:
    """A virtual model that prefers the first account."""
    return [
        *(
            openai_account(name, server.base_url.replace("/v1", f"/{name}/v1"), ["small"])
            for name in ("one", "two")
        ),
        virtual_models("vm", {"first": in_turn("one/small", "two/small")}),
        virtual_account("app", [TOKEN], ["vm/*"]),
        {
            "type": "gateway-global-settings",
            "name": "global",
            "routing_settings": {
                "circuit_breaker": {
                    "failures": FAILURES, "failure_ratio": 0.5, "window_ms": 60_000,
                    "cool_down_ms": cool_down_ms, "max_cool_down_ms": max(cool_down_ms, 30_000),
                }
            },
        },
    ]  # fmt: skip


@contextmanager
def replicas(
    folder: Path, provider: Provider, valkey: ValkeyServer, *, cool_down_ms: int = LONG_MS
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Two gateways that share what is in *valkey*."""
    with ExitStack() as running:
        first, second = [
            running.enter_context(
                GatewayProcess(
                    folder / name,
                    documents(provider.server, cool_down_ms),
                    environment=ENVIRONMENT | {"GATEWAY_REDIS_URL": valkey.url},
                )
            )
            for name in ("first", "second")
        ]
        until_redis(first, "ok")
        until_redis(second, "ok")
        yield first, second


def call(gateway: GatewayProcess) -> Reply:
    """One call of the virtual model."""
    with gateway.connect() as connection:
        headers = [bearer(TOKEN), ("content-type", "application/json")]
        return connection.exchange("POST", "/v1/chat/completions", headers, chat_body("vm/first"))


def shown(gateway: GatewayProcess, name: str = "one/small") -> dict[str, Any]:
    """What a gateway's control API says of a target."""
    found = next(one for one in gateway.get("/api/targets")["targets"] if one["target"] == name)
    return dict(found)


def redis_words(gateway: GatewayProcess) -> tuple[str, str]:
    """What control and a worker say of Redis; neither is ever unready for it."""
    with gateway.connect() as connection:
        reply = connection.exchange("GET", "/readyz")
    assert reply.status == 200
    return gateway.get("/readyz")["checks"]["redis"], json.loads(reply.body)["checks"]["redis"]


def until_redis(gateway: GatewayProcess, word: str) -> None:
    """Wait until both say this."""
    until(lambda: redis_words(gateway) == (word, word), what=f"Redis to be {word}")


def open_circuit(gateway: GatewayProcess, provider: Provider) -> None:
    """Let the first account fail until it is asked no more; the calls are answered by the second."""
    provider.status = 503
    for _ in range(FAILURES):
        assert call(gateway).header("x-tfy-resolved-model") == "two/small"
    # On a busy machine a short cool-down may be over by now.
    assert shown(gateway)["circuit"] in ("open", "half_open")


def test_circuit_is_shared(tmp_path: Path, provider: Provider, valkey: ValkeyServer) -> None:
    """What failed at one replica is not asked by the other, which has made no call."""
    with replicas(tmp_path, provider, valkey) as (first, second):
        open_circuit(first, provider)
        until(lambda: shown(second)["circuit"] == "open", what="the other replica to know")
        assert provider.asked("one") == FAILURES
        assert call(second).header("x-tfy-resolved-model") == "two/small"
        assert provider.asked("one") == FAILURES
        assert shown(second)["openings"] == 0


def test_recovery_is_shared(tmp_path: Path, provider: Provider, valkey: ValkeyServer) -> None:
    """After the cool-down one replica finds out that the target does again, and both ask it."""
    with replicas(tmp_path, provider, valkey, cool_down_ms=300) as (first, second):
        open_circuit(first, provider)
        # Which it stays until a call goes well, however long this test looks elsewhere.
        until(lambda: shown(second)["circuit"] != "closed", what="the other replica to know")
        provider.status = 200
        until(
            lambda: call(first).header("x-tfy-resolved-model") == "one/small",
            what="a probe to be let through",
        )
        until(
            lambda: shown(second)["circuit"] == "closed", what="the other replica to know that it does again"
        )
        assert call(second).header("x-tfy-resolved-model") == "one/small"


def test_pause_is_shared(tmp_path: Path, provider: Provider, valkey: ValkeyServer) -> None:
    """A provider that asked one replica to wait is left alone by both."""
    with replicas(tmp_path, provider, valkey) as (first, second):
        provider.status, provider.headers = 429, (("retry-after", "40"),)
        call(first)
        until(lambda: shown(second)["skip_reason"] == "cool_down", what="the other replica to know")
        assert 0 < shown(second)["wait_ms"] <= 40_000
        assert call(second).header("x-tfy-resolved-model") == "two/small"
        assert provider.asked("one") == 1


@pytest.mark.long
@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_without_valkey(tmp_path: Path, provider: Provider, valkey: ValkeyServer, fault: str) -> None:
    """Each goes by what it knows, and says so once; when Valkey is back they share what both know."""
    with replicas(tmp_path, provider, valkey) as (first, second):
        getattr(valkey, fault)()
        for gateway in (first, second):
            until_redis(gateway, "away")
        open_circuit(first, provider)
        assert shown(second)["circuit"] == "closed"
        assert call(first).header("x-tfy-resolved-model") == "two/small"
        if fault == "kill":
            valkey.start()
        else:
            valkey.go_on()
        for gateway in (first, second):
            until_redis(gateway, "ok")
        until(lambda: shown(second)["circuit"] == "open", what="the other replica to know")
        for gateway in (first, second):
            assert (
                len(re.findall("cannot be used: .* goes by what it knows of targets itself", gateway.log))
                == 1
            )
            assert len(re.findall("what replicas know of targets is shared by", gateway.log)) == 2


def test_starts_without_valkey(tmp_path: Path, provider: Provider, valkey: ValkeyServer) -> None:
    """Redis is nothing that the start waits for."""
    valkey.kill()
    environment = ENVIRONMENT | {"GATEWAY_REDIS_URL": valkey.url}
    with GatewayProcess(
        tmp_path / "alone", documents(provider.server, LONG_MS), environment=environment
    ) as gateway:
        assert redis_words(gateway) == ("away", "away")
        assert call(gateway).header("x-tfy-resolved-model") == "one/small"


@pytest.mark.long
def test_password_is_not_shown(tmp_path: Path, provider: Provider, valkey: ValkeyServer) -> None:
    """Not in the log, on no command line of a child, in no answer; a wrong one is said to be wrong."""
    wrong = valkey.url.replace(PASSWORD, f"{PASSWORD}-wrong")
    with GatewayProcess(
        tmp_path / "wrong",
        documents(provider.server, LONG_MS),
        options=["--redis-url", wrong, "--log-level", "debug"],
        environment=ENVIRONMENT,
    ) as gateway:
        until(lambda: "cannot be used" in gateway.log, what="the log to say it")
        assert "invalid username-password pair" in gateway.log
        assert f"redis://127.0.0.1:{valkey.port}/0" in gateway.log
        pages = [str(gateway.control("GET", path)) for path in ("/readyz", "/api/config", "/metrics")]
        pids = [gateway.control_pid(), *gateway.worker_pids()]
        lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
        assert not [text for text in (gateway.log, *pages, *lines) if PASSWORD in text]
