"""Accounts with Nomic."""

from __future__ import annotations

from gateway.config.manifests.nomic_account import NOMIC_BASE_URL, NomicAccount


def test_the_smallest_form() -> None:
    """TrueFoundry's: a key and models; the address is known."""
    account = NomicAccount.model_validate(
        {
            "type": "provider-account/nomic",
            "name": "n",
            "auth_data": {"type": "api-key", "api_key": "env:KEY"},
            "integrations": [{"name": "m", "model_id": "nomic-embed-text-v1.5"}],
        }
    )
    assert account.base_url == NOMIC_BASE_URL
    assert not account.propagate_trace
