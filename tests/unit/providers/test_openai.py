"""Targets of OpenAI accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.model import Target
from tests.unit.providers.accounts import RETRY, targets_of

INTEGRATION = {
    "type": "integration/model/openai", "name": "small", "model_id": "gpt-small", "model_types": ["chat"],
}  # fmt: skip
ACCOUNT: dict[str, Any] = {
    "type": "provider-account/openai",
    "name": "main",
    "auth_data": {"type": "api-key", "api_key": "env:KEY"},
    "integrations": [INTEGRATION, {**INTEGRATION, "name": "large", "model_id": "gpt-large"}],
}


def test_targets(tmp_path: Path) -> None:
    """Each integration is a target under the account's name, with the account's key."""
    small, large = targets_of(tmp_path, ACCOUNT, KEY="sk-1")
    assert small == Target(
        name="main/small",
        account="main",
        model_id="gpt-small",
        provider="openai",
        peer="openai",
        base_url="https://api.openai.com/v1",
        address="api.openai.com",
        port=443,
        headers=(("authorization", "Bearer sk-1"),),
        propagate_trace=False,
        model_types=frozenset({"chat"}),
        retry=RETRY,
        has_responses=True,
        missing_secret="",
    )
    assert (large.name, large.model_id) == ("main/large", "gpt-large")
    assert "sk-1" not in repr(small)


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1//"]
)
def test_base_url(tmp_path: Path, base_url: str) -> None:
    """A base URL of one's own is used, a slash at its end or not."""
    target, _ = targets_of(tmp_path, {**ACCOUNT, "base_url": base_url}, KEY="sk-1")
    assert (target.base_url, target.address, target.port) == ("http://127.0.0.1:9/v1", "127.0.0.1", 9)


def test_account_without_auth(tmp_path: Path) -> None:
    """Without `auth_data` no credential is sent."""
    target, _ = targets_of(tmp_path, {**ACCOUNT, "auth_data": None})
    assert (target.headers, target.missing_secret) == ((), "")


def test_missing_key(tmp_path: Path) -> None:
    """A key that cannot be read makes the targets unavailable, and says why."""
    target, _ = targets_of(tmp_path, ACCOUNT)
    assert target.headers == ()
    assert "KEY" in target.missing_secret


def test_trace_goes_on_by_choice(tmp_path: Path) -> None:
    """A provider gets our trace only where the account says so."""
    target, _ = targets_of(tmp_path, {**ACCOUNT, "propagate_trace": True}, KEY="sk-1")
    assert target.propagate_trace
