"""OpenAI, and whatever answers to its API behind an account's `base_url`."""

from __future__ import annotations

from gateway.config import SecretMissing
from gateway.config.manifests.provider_account import OpenAIAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, host_and_port

PROVIDER = "openai"


def openai_targets(account: OpenAIAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    headers: tuple[tuple[str, str], ...] = ()
    missing_secret = ""
    if account.auth_data is not None:
        try:
            headers = (("authorization", f"Bearer {resolve(account.auth_data.api_key)}"),)
        except SecretMissing as error:
            missing_secret = str(error)
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
            headers=headers,
            propagate_trace=account.propagate_trace,
            model_types=frozenset(integration.model_types),
            retry=retry,
            missing_secret=missing_secret,
        )
        for integration in account.integrations
    ]
