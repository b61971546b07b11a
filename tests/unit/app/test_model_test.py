"""A call of a model by a configuration that is not in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app.model_test import ModelCalls
from gateway.config import Config, SecretSource
from gateway.config.manifest_files import ManifestFiles
from gateway.control.model_advice import Tried, explain
from gateway.control.model_test import QUESTIONS
from gateway.proxies import Proxies
from gateway.snapshot import Snapshot, compile_snapshot
from tests.rig.behaviours import TEXT, json_reply, normal
from tests.rig.fake_upstream import Behaviour, ClosedPort, FakeUpstream
from tests.unit.config.writing import ACCOUNT, CALLER, documents

KEY = "sk-canary-of-a-test"
SECRETS = SecretSource({}, None)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeUpstream]:
    with FakeUpstream({}, normal) as server:
        yield server


def compiled(config: Config) -> Snapshot:
    return compile_snapshot(config, SECRETS, version=config.version, is_loopback=True)


def draft(folder: Path, base_url: str, *, key: str = KEY, **more: Any) -> Config:
    """A configuration with an account that is not saved, and with limits that are."""
    limits = (
        "type: gateway-rate-limiting-config\nname: limits\nrules:\n"
        "  - {id: nobody, when: {}, limit_to: 0, unit: requests_per_minute}\n"
    )
    (folder / "m.yaml").write_text(documents(ACCOUNT, CALLER, limits))
    account = {
        "name": "main",
        "base_url": base_url,
        "auth_data": {"type": "api-key", "api_key": key},
        "integrations": [{"name": "a", "model_id": "model", **more}],
    }
    files = ManifestFiles(folder, strict=True, secrets=SECRETS)
    return files.draft("provider-account/openai", None, account)[0]


async def call(config: Config, kind: str = "chat", model: str = "main/a") -> Tried:
    path, body = QUESTIONS[kind]
    return await ModelCalls(compiled, Proxies({})).call(config, path, {"model": model, **body})


async def test_the_provider_is_asked_as_by_a_worker(provider: FakeUpstream, tmp_path: Path) -> None:
    """With the key that was typed; no limit and no permission is in the way."""
    provider.forget()
    config = draft(tmp_path, provider.base_url, authorized_subjects=["user:somebody@x.io"])
    tried = await call(config)
    assert (tried.is_good, tried.answer, tried.answered_by) == (True, TEXT, "main/a")
    (exchange,) = provider.exchanges
    assert exchange.header("authorization") == f"Bearer {KEY}"
    assert exchange.model == "model"
    assert provider.violations == []


async def test_a_model_of_vectors(provider: FakeUpstream, tmp_path: Path) -> None:
    """What it says is told in numbers."""
    tried = await call(draft(tmp_path, provider.base_url, model_types=["embedding"]), "embedding")
    assert tried.is_good
    assert tried.answer.startswith("a vector of ")


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (
            json_reply(401, {"error": {"message": "Incorrect key"}}),
            "The provider refuses the key (401): Incorrect key",
        ),
        (json_reply(404, {"error": "no such model"}), "The provider has no such model"),
        (json_reply(429, {"error": {"message": "slow"}}), "The provider asks for patience (429): slow"),
        (json_reply(500, {"error": {"message": "oh"}}), "The provider has a fault of its own (500)"),
        (json_reply(200, {"hello": "there"}), "What answers there is no model's API"),
    ],
    ids=["401", "404", "429", "500", "no answer"],
)
async def test_what_the_provider_says_is_told(
    provider: FakeUpstream, tmp_path: Path, behaviour: Behaviour, expected: str
) -> None:
    """Once: nothing is tried again."""
    provider.forget()
    provider.play("model", behaviour)
    words = explain(await call(draft(tmp_path, provider.base_url)))
    assert words.what.startswith(expected)
    assert KEY not in words.what
    assert len(provider.exchanges) == 1


async def test_an_address_that_is_not_called(provider: FakeUpstream, tmp_path: Path) -> None:
    """Who types an address reaches none that workers would not call, also by a name that leads there."""
    provider.forget()
    settings = "type: gateway-global-settings\negress_settings: {private_addresses: refuse}\n"
    (tmp_path / "settings.yaml").write_text(settings)
    tried = await call(draft(tmp_path, provider.base_url.replace("127.0.0.1", "localhost")))
    assert not tried.is_good
    assert "egress_settings" in f"{tried.message} {explain(tried).what} {explain(tried)}"
    assert provider.exchanges == []


async def test_nobody_listens(tmp_path: Path) -> None:
    """The address is at fault, and no key is shown."""
    port = ClosedPort()
    try:
        words = explain(await call(draft(tmp_path, f"http://127.0.0.1:{port.port}")))
    finally:
        port.close()
    assert words.what.startswith("Nothing listens at this address")


async def test_the_provider_speaks_no_tls(tmp_path: Path) -> None:
    """A name that nobody has is told as such."""
    words = explain(await call(draft(tmp_path, "https://provider.invalid/v1")))
    assert words.what.startswith("The host name is not known")


async def test_a_key_that_is_not_there(provider: FakeUpstream, tmp_path: Path) -> None:
    """With the name of the variable, and also where a start would refuse it."""
    tried = await call(draft(tmp_path, provider.base_url, key="env:NOBODY_HAS_SET_THIS"))
    words = explain(tried)
    assert words.what.startswith("The key cannot be read")
    assert "NOBODY_HAS_SET_THIS" in words.what
