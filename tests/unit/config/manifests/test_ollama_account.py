"""Accounts with Ollama."""

from __future__ import annotations

from gateway.config.manifests.ollama_account import OllamaAccount


def test_the_smallest_form() -> None:
    """TrueFoundry's: where it is; and it takes part in the trace, being one's own."""
    account = OllamaAccount.model_validate(
        {
            "type": "provider-account/ollama",
            "name": "o",
            "auth_data": {"custom_host": "http://localhost:11434/"},
            "integrations": [{"name": "m", "model_id": "M"}],
        }
    )
    assert account.auth_data.custom_host == "http://localhost:11434"
    assert account.auth_data.api_key is None
    assert account.propagate_trace
