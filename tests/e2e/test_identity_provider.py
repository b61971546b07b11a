"""Tokens of an identity provider at real gateways: who calls, rotation under load, a provider away."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import anthropic
import openai
import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.identity_provider import IdentityProvider
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, chat, openai_account, virtual_account
from tests.rig.raw_http import Reply
from tests.rig.signed_tokens import SigningKey, claims, confused
from tests.rig.until import until

MODEL: Final = "fake/normal"
OLD: Final = SigningKey("old", "RS256")


def documents(upstream_url: str, provider: IdentityProvider) -> list[Document]:
    """A user by a group, one by name, a service, an application with a key."""
    return [
        openai_account("fake", upstream_url, ["normal", "small"]),
        provider.document(),
        {
            "type": "team", "name": "ml", "members": ["named@x.io"], "models": [MODEL],
            "identity_provider_mapping": [{"identity_provider": "acme", "value": "g-ml"}],
        },
        virtual_account("app", ["env:APP_TOKEN"], [MODEL]),
        virtual_account(
            "nightly", [], ["fake/small"],
            identity_provider_mapping=[{"identity_provider": "acme", "value": "svc-1"}],
        ),
    ]  # fmt: skip


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider(OLD) as server:
        yield server


@pytest.fixture
def gateway(upstream: FakeUpstream, provider: IdentityProvider, tmp_path: Path) -> GatewayProcess:
    return GatewayProcess(
        tmp_path, documents(upstream.base_url, provider), environment=ENVIRONMENT, workers=2
    )


def keys_word(gateway: GatewayProcess) -> str | None:
    """What a worker's `/readyz` says of the keys."""
    with gateway.connect() as connection:
        checks: dict[str, str] = json.loads(connection.exchange("GET", "/readyz", []).body)["checks"]
    return checks.get("identity")


def message(reply: Reply) -> str:
    told: str = json.loads(reply.body)["error"]["message"]
    return told


def test_who_calls(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    """Users by name and by group, services, keys; each with its own rights, and traced by its name."""
    with gateway:
        assert keys_word(gateway) == "ok"
        named = chat(gateway, MODEL, token=provider.token(email="named@x.io"))
        by_group = chat(gateway, MODEL, token=provider.token(email="new@x.io", groups=["g-ml"]))
        assert [named.status, by_group.status] == [200, 200]
        assert chat(gateway, "fake/small", token=provider.token(email="named@x.io")).status == 403
        assert chat(gateway, "fake/small", token=provider.token(sub="svc-1")).status == 200
        assert chat(gateway, MODEL, token=provider.token(sub="svc-1")).status == 403
        assert chat(gateway, MODEL, token=APP_TOKEN).status == 200

        def callers() -> set[str]:
            _, found = gateway.control("GET", "/api/traces?limit=50")
            return {trace["caller"] for trace in found["traces"]}

        until(lambda: callers() >= {"named@x.io", "new@x.io", "nightly", "app"}, "all have been traced")


def test_attacks(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    """Are refused in one sentence; no token stands in an answer, the log or a trace."""
    said = claims(iss=provider.issuer, email="named@x.io")
    tokens = {
        confused(OLD, said, OLD.pem(), {"alg": "HS256"}): "a way that is not taken",
        confused(OLD, said, b"", {"alg": "none"}): "a way that is not taken",
        SigningKey("old", "RS256").sign(said): "signature of this token is wrong",
        OLD.sign({**said, "aud": "other"}): "for another service",
        OLD.sign({**said, "exp": 1000}): "has expired",
        OLD.sign({**said, "iss": "https://evil.example"}): "no token of an identity provider",
        OLD.sign({**said, "email": "virtualaccount:app"}): "no name of a user",
        OLD.sign({**said, "email": "app"}): "name of a virtual account",
        OLD.sign({**said, "email": "nobody@x.io"}): "has no access",
    }
    with gateway:
        for token, why in tokens.items():
            reply = chat(gateway, MODEL, token=token)
            assert (reply.status, json.loads(reply.body)["error"]["code"]) == (401, "invalid_api_key")
            assert why in message(reply)
            assert token.rpartition(".")[0].encode() not in reply.body

        def traces() -> list[dict[str, str]]:
            found: list[dict[str, str]] = gateway.control("GET", "/api/traces?limit=50")[1]["traces"]
            return found

        until(lambda: len(traces()) >= len(tokens), "the refusals are traced")
        kept = [gateway.control("GET", f"/api/traces/{trace['trace_id']}")[1] for trace in traces()]
    told = json.dumps(kept) + gateway.log
    for token in tokens:
        assert token.split(".")[1] not in told
        assert hashlib.sha256(token.encode()).hexdigest() not in told


def test_sdks(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    """Send such tokens where they send keys, and raise their own errors."""
    good, old = provider.token(email="named@x.io"), provider.token(email="named@x.io", exp=1000)
    with gateway:
        with openai.OpenAI(api_key=good, base_url=gateway.base_url) as client:
            assert [model.id for model in client.models.list()] == [MODEL]
        with (
            openai.OpenAI(api_key=old, base_url=gateway.base_url, max_retries=0) as client,
            pytest.raises(openai.AuthenticationError, match="has expired"),
        ):
            client.models.list()
        base_url = gateway.base_url.removesuffix("/v1")
        with (
            anthropic.Anthropic(api_key=old, base_url=base_url, max_retries=0) as client,
            pytest.raises(anthropic.AuthenticationError, match="has expired"),
        ):
            client.models.list()


@pytest.mark.long
def test_rotation_under_load(gateway: GatewayProcess, provider: IdentityProvider) -> None:
    """No caller of an SDK notices a new key; the old one, once withdrawn, signs nobody in any more."""
    new = SigningKey("new")
    stop, lock, seen = threading.Event(), threading.Lock(), Counter[str]()
    signing = [OLD]

    def call() -> None:
        with openai.OpenAI(api_key="x", base_url=gateway.base_url, max_retries=8) as client:
            while not stop.is_set():
                key = signing[0]
                client.api_key = provider.token(key, email="named@x.io")
                try:
                    client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": "x"}], timeout=30
                    )
                    outcome = str(key.kid)
                except openai.OpenAIError as error:
                    outcome = repr(error)
                with lock:
                    seen[outcome] += 1

    with gateway:
        old_token = provider.token(OLD, email="named@x.io")
        assert chat(gateway, MODEL, token=old_token).status == 200
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: seen["old"] >= 20, "calls with the old key")
            provider.keys = [OLD, new]
            signing[0] = new
            until(lambda: seen["new"] >= 20, "calls with the new key")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert set(seen) == {"old", "new"}
        provider.keys = [new, SigningKey("third")]
        # Whoever signs with a third one has each worker see that the first has gone.
        third = provider.token(provider.keys[-1], email="named@x.io")

        def refused() -> bool:
            chat(gateway, MODEL, token=third)
            return all(chat(gateway, MODEL, token=old_token).status == 401 for _ in range(6))

        until(refused, "the old key is refused by every worker")
        assert chat(gateway, MODEL, token=provider.token(new, email="named@x.io")).status == 200


@pytest.mark.long
def test_a_provider_that_is_away(
    gateway: GatewayProcess, provider: IdentityProvider, upstream: FakeUpstream
) -> None:
    """Calls go on by its last keys, also after a restart; without any they are told to come again."""
    token = provider.token(email="named@x.io")
    with gateway:
        assert chat(gateway, MODEL, token=token).status == 200
        provider.stop()
        unknown = chat(gateway, MODEL, token=provider.token(SigningKey("new"), email="named@x.io"))
        assert (unknown.status, unknown.header("x-should-retry")) == (401, "true")
        until(lambda: keys_word(gateway) == "stale", "the failure is known")
        assert chat(gateway, MODEL, token=token).status == 200
    gateway.start()
    try:
        assert all(chat(gateway, MODEL, token=token).status == 200 for _ in range(6))
        assert chat(gateway, MODEL, token=APP_TOKEN).status == 200
        until(lambda: keys_word(gateway) == "stale", "the failure is known")
        kept = list((gateway.state / "keys").glob("*.json"))
        assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]
        other = IdentityProvider(SigningKey("x"))
        other.stop()
        gateway.write_config([*documents(upstream.base_url, provider), other.document("beta")])
        until(lambda: keys_word(gateway) == "away", "the other one is known")
        # A worker asks for its keys before the configuration is in force there, and the other one is later.
        unknown_to_others = other.token(email="named@x.io")
        until(
            lambda: all(chat(gateway, MODEL, token=unknown_to_others).status == 503 for _ in range(6)),
            "both workers have it in force",
        )  # fmt: skip
        lost = chat(gateway, MODEL, token=unknown_to_others)
        assert (lost.status, json.loads(lost.body)["error"]["code"]) == (503, "identity_unavailable")
        assert lost.header("retry-after") == "1"
        assert chat(gateway, MODEL, token=token).status == 200
    finally:
        gateway.stop()
    said = [line for line in gateway.log.splitlines() if "cannot be read" in line and "keys of" in line]
    # Each worker says it once for each failure that begins: two in the first run, four in the second.
    assert len(said) <= 6, said
