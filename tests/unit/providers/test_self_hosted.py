"""Targets of model servers of one's own."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Target
from tests.unit.providers.accounts import RETRY, targets_of

INTEGRATION: dict[str, Any] = {
    "type": "integration/model/self-hosted-model",
    "name": "qwen",
    "hosted_model_name": "qwen2",
    "url": "http://localhost:8000/v1/",
    "model_server": "openai-compatible",
    "model_types": ["chat", "embedding"],
}


def target_of(folder: Path, environ: dict[str, str] | None = None, **changes: Any) -> Target:
    manifest = {
        "type": "provider-account/self-hosted-model",
        "name": "lab",
        "integrations": [{**INTEGRATION, **changes}],
    }
    (target,) = targets_of(folder, manifest, **environ or {})
    return target


def test_target(tmp_path: Path) -> None:
    """A server of one's own is a peer under its account's name, takes part in the trace, and needs no key."""
    assert target_of(tmp_path) == Target(
        name="lab/qwen",
        account="lab",
        model_id="qwen2",
        provider="self_hosted",
        peer="lab",
        base_url="http://localhost:8000/v1",
        address="localhost",
        port=8000,
        headers=(),
        propagate_trace=True,
        model_types=frozenset({"chat", "embedding"}),
        retry=RETRY,
        missing_secret="",
    )


def test_provider_of_a_known_server(tmp_path: Path) -> None:
    """A server whose name says what it is has that as provider."""
    assert target_of(tmp_path, model_server="vllm-openai").provider == "vllm"


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        pytest.param(
            {"auth_data": {"type": "bearer-auth", "bearer_token": "env:SECRET"}},
            (("authorization", "Bearer canary"),),
            id="bearer",
        ),
        pytest.param(
            {"auth_data": {"type": "basic-auth", "username": "grün", "password": "env:SECRET"}},
            (("authorization", "Basic " + base64.b64encode("grün:canary".encode()).decode()),),
            id="basic",
        ),
        pytest.param(
            {"headers": {"X-Key": "env:SECRET", "X-Zone": "a"}},
            (("x-key", "canary"), ("x-zone", "a")),
            id="headers",
        ),
    ],
)
def test_credentials(tmp_path: Path, changes: dict[str, Any], headers: tuple[tuple[str, str], ...]) -> None:
    """Each way to sign in becomes headers, their names in lower case, and is shown nowhere."""
    target = target_of(tmp_path, {"SECRET": "canary"}, **changes)
    assert (target.headers, target.missing_secret) == (headers, "")
    assert "canary" not in repr(target)
    missing = target_of(tmp_path, **changes)
    assert missing.headers == ()
    assert "SECRET" in missing.missing_secret


@pytest.mark.parametrize(
    ("server", "model", "is_told"),
    [
        ("nemo-retriever", "nvidia/embed", True),
        ("nemo-retriever", "nvidia/embed-query", False),
        ("nemo-retriever", "nvidia/embed-passage", False),
        ("tei", "embed", False),
        ("infinity", "embed", False),
    ],
)
def test_input_type(tmp_path: Path, server: str, model: str, *, is_told: bool) -> None:
    """One server must be told what it embeds, unless the model's name says so."""
    quirks = target_of(tmp_path, model_server=server, hosted_model_name=model).quirks
    assert ("embedding" in quirks) == is_told


@pytest.mark.parametrize(
    ("server", "url", "dialect", "api", "base_url"),
    [
        ("cohere-rerank-v2", "http://h:1/", "cohere", "", "http://h:1/v2"),
        ("cohere-rerank-v2", "http://h:1/v2", "cohere", "", "http://h:1/v2"),
        ("cohere-rerank-v2", "http://h:1/a/v2/rerank", "cohere", "", "http://h:1/a/v2"),
        ("tei", "http://h:1/v1", "openai", "tei", "http://h:1"),
        ("nemo-retriever", "http://h:1/v1", "openai", "nemo", "http://h:1/v1"),
        ("infinity", "http://h:1/v1", "openai", "", "http://h:1/v1"),
        ("vllm-openai", "http://h:1/v1", "openai", "", "http://h:1/v1"),
    ],
)
def test_ranks(tmp_path: Path, server: str, url: str, dialect: str, api: str, base_url: str) -> None:
    """Each server in its own words, at its own place."""
    target = target_of(tmp_path, model_server=server, url=url, model_types=["rerank"])
    assert (target.dialect, target.rerank_api, target.base_url) == (dialect, api, base_url)


def test_embeddings_of_tei_stay_where_they_are(tmp_path: Path) -> None:
    """What a model that ranks needs is nothing for one that embeds."""
    assert target_of(tmp_path, model_server="tei", url="http://h:1/v1").base_url == "http://h:1/v1"
