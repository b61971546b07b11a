"""Targets of Nomic."""

from __future__ import annotations

from pathlib import Path

from tests.unit.providers.accounts import targets_of


def test_target(tmp_path: Path) -> None:
    """Its own dialect, the key as a bearer token, and no headers of OpenAI's."""
    manifest = {
        "type": "provider-account/nomic",
        "name": "n",
        "auth_data": {"type": "api-key", "api_key": "env:KEY"},
        "integrations": [{"name": "m", "model_id": "nomic-embed-text-v1.5", "model_types": ["embedding"]}],
    }
    (target,) = targets_of(tmp_path, manifest, KEY="canary")
    assert (target.dialect, target.provider, target.peer) == ("nomic", "nomic", "nomic")
    assert target.base_url == "https://api-atlas.nomic.ai/v1"
    assert target.headers == (("authorization", "Bearer canary"),)
    assert target.lines.forwarded == ()
    assert "canary" not in repr(target)
