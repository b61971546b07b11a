"""Nomic, which has an embeddings API of its own."""

from __future__ import annotations

from typing import Final

from gateway.config.manifests.nomic_account import NomicAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, bearer, make_target, own_headers
from gateway.providers.headers import fixed_lines

PROVIDER: Final = "nomic"


def nomic_targets(account: NomicAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    service = Service(
        provider=PROVIDER,
        peer=PROVIDER,
        base_url=account.base_url,
        own=own_headers(
            lambda: (bearer(resolve(account.auth_data.api_key)),),
            # Nothing of OpenAI's means anything to it.
            lambda own: fixed_lines(own, forwarded=()),
        ),
        dialect="nomic",
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]
