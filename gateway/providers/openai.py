"""OpenAI, and whatever answers to its API behind an account's `base_url`."""

from __future__ import annotations

from gateway.config.manifests.provider_account import OpenAIAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, host_and_port, own_headers

PROVIDER = "openai"


def openai_targets(account: OpenAIAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    own = own_headers(lambda: _headers(account, resolve))
    base_url = account.base_url.rstrip("/")
    address, port = host_and_port(base_url)
    return [
        Target(
            name=f"{account.name}/{integration.name}",
            account=account.name,
            model_id=integration.model_id,
            provider=PROVIDER,
            peer=PROVIDER,
            base_url=base_url,
            address=address,
            port=port,
            headers=own.headers,
            propagate_trace=account.propagate_trace,
            model_types=frozenset(integration.model_types),
            retry=retry,
            missing_secret=own.missing_secret,
            lines=own.lines,
        )
        for integration in account.integrations
    ]


def _headers(account: OpenAIAccount, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    if account.auth_data is None:
        return ()
    return (("authorization", f"Bearer {resolve(account.auth_data.api_key)}"),)
