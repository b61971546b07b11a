"""Targets of Anthropic accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.model import RetryPolicy, Target
from gateway.providers.anthropic import with_overloaded
from gateway.providers.headers import forwarded_headers
from tests.unit.doubles import FakeHeaders
from tests.unit.providers.accounts import targets_of

INTEGRATION = {
    "type": "integration/model/anthropic", "name": "claude", "model_id": "claude-x", "model_types": ["chat"],
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "type": "provider-account/anthropic",
    "name": "main",
    "auth_data": {"type": "api-key", "api_key": "env:KEY"},
    "integrations": [INTEGRATION],
}


def test_targets(tmp_path: Path) -> None:
    """Each integration is a target that speaks Anthropic's dialect, with the account's key."""
    (target,) = targets_of(tmp_path, ACCOUNT, KEY="sk-1")
    assert target == Target(
        name="main/claude",
        account="main",
        model_id="claude-x",
        provider="anthropic",
        peer="anthropic",
        base_url="https://api.anthropic.com/v1",
        address="api.anthropic.com",
        port=443,
        headers=(("x-api-key", "sk-1"),),
        propagate_trace=False,
        model_types=frozenset({"chat"}),
        retry=RetryPolicy(1, 5, frozenset({503, 529})),
        missing_secret="",
        dialect="anthropic",
    )
    assert b"x-api-key: sk-1\r\n" in target.lines.whole
    assert "sk-1" not in repr(target)


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:9/a", "http://127.0.0.1:9/a/", "http://127.0.0.1:9/a/v1", "http://127.0.0.1:9/a/v1/"],
)
def test_base_url(tmp_path: Path, base_url: str) -> None:
    """Written as for Anthropic's SDKs (without `/v1`) or for OpenAI's (with it)."""
    (target,) = targets_of(tmp_path, {**ACCOUNT, "base_url": base_url}, KEY="sk-1")
    assert target.base_url == "http://127.0.0.1:9/a/v1"


def test_account_without_auth(tmp_path: Path) -> None:
    """Without `auth_data` no credential is sent; without a value the targets say why they cannot be used."""
    (target,) = targets_of(tmp_path, {**ACCOUNT, "auth_data": None})
    assert (target.headers, target.missing_secret) == ((), "")
    (target,) = targets_of(tmp_path, ACCOUNT)
    assert "KEY" in target.missing_secret


def test_headers_of_callers(tmp_path: Path) -> None:
    """Betas go along, and a version that the caller did not name is named; OpenAI's headers stay away."""
    (target,) = targets_of(tmp_path, ACCOUNT, KEY="sk-1")
    headers = FakeHeaders([("anthropic-beta", "a,b"), ("openai-beta", "c"), ("x-api-key", "caller")])
    assert forwarded_headers(target, headers) == [
        ("anthropic-beta", "a,b"),
        ("anthropic-version", "2023-06-01"),
    ]
    headers = FakeHeaders([("anthropic-version", "2024-01-01")])
    assert forwarded_headers(target, headers) == [("anthropic-version", "2024-01-01")]


def test_overloaded_is_unavailable() -> None:
    """529 is tried again where 503 is, and only there."""
    assert with_overloaded(RetryPolicy(1, 0, frozenset({429}))).on_status == {429}


def test_no_responses_api(tmp_path: Path) -> None:
    """Whatever the types of a model say, there is none at Anthropic: calls are put into its words."""
    types = [{**INTEGRATION, "model_types": ["chat", "responses"]}]
    (target,) = targets_of(tmp_path, {**ACCOUNT, "integrations": types}, KEY="sk-1")
    assert not target.has_responses
