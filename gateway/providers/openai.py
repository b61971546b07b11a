"""OpenAI, and whatever answers to its API behind an account's `base_url`."""

from __future__ import annotations

from gateway.config.manifests.provider_account import OpenAIAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, bearer, make_target, own_headers

PROVIDER = "openai"


def openai_targets(account: OpenAIAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    own = own_headers(lambda: _headers(account, resolve))
    service = Service(
        provider=PROVIDER,
        peer=PROVIDER,
        base_url=account.base_url.rstrip("/"),
        own=own,
        has_responses=True,
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]


def _headers(account: OpenAIAccount, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    if account.auth_data is None:
        return ()
    return (bearer(resolve(account.auth_data.api_key)),)
