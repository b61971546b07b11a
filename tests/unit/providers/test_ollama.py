"""Targets of Ollama; what each sends is in tests/golden/providers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import Target
from tests.unit.providers.accounts import targets_of


def target_of(folder: Path, **auth: str) -> Target:
    manifest = {
        "type": "provider-account/ollama",
        "name": "o",
        "auth_data": auth,
        "integrations": [{"name": "m", "model_id": "qwen3:8b"}],
    }
    (target,) = targets_of(folder, manifest, KEY="canary")
    return target


@pytest.mark.parametrize("host", ["http://gpu:11434", "http://gpu:11434/", "http://gpu:11434/v1"])
def test_target(tmp_path: Path, host: str) -> None:
    """OpenAI's part of the server, no key, a peer under its account's name that takes part in the trace."""
    target = target_of(tmp_path, custom_host=host)
    assert (target.base_url, target.model_id) == ("http://gpu:11434/v1", "qwen3:8b")
    assert (target.provider, target.peer, target.propagate_trace) == ("ollama", "o", True)
    assert target.headers == ()


def test_key(tmp_path: Path) -> None:
    """Its cloud wants one."""
    target = target_of(tmp_path, custom_host="https://ollama.com", api_key="env:KEY")
    assert target.headers == (("authorization", "Bearer canary"),)
    assert "canary" not in repr(target)
