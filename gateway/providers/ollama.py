"""Ollama's server, by the part of OpenAI's API that it speaks.

https://docs.ollama.com/api/openai-compatibility
"""

from __future__ import annotations

from typing import Final

from gateway.config.manifests.ollama_account import OllamaAccount
from gateway.model import EndpointQuirks, Quirks, RetryPolicy, Target
from gateway.providers.addressing import (
    Resolve,
    Service,
    bearer,
    make_target,
    own_headers,
    without_ending,
)

PROVIDER: Final = "ollama"
# Ollama knows the older name only, and ignores what it does not know: the reply would have no bound.
_QUIRKS: Final[EndpointQuirks] = {
    "chat": Quirks(renamed={"max_completion_tokens": "max_tokens"}, repeats_index=True)
}


def ollama_targets(account: OllamaAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models, on one server."""
    service = Service(
        provider=PROVIDER,
        peer=account.name,
        base_url=without_ending(account.auth_data.custom_host, "/v1") + "/v1",
        own=own_headers(lambda: _headers(account, resolve)),
        quirks=_QUIRKS,
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]


def _headers(account: OllamaAccount, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    key = account.auth_data.api_key
    return () if key is None else (bearer(resolve(key)),)
