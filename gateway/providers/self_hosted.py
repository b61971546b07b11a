"""Model servers of one's own that speak OpenAI's API."""

from __future__ import annotations

import base64

from gateway.config.manifests.provider_account import BearerAuth, SelfHostedAccount, SelfHostedIntegration
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, host_and_port, own_headers

_PROVIDERS = {"vllm-openai": "vllm"}
_OTHER_PROVIDER = "self_hosted"


def self_hosted_targets(account: SelfHostedAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models, each on a server of its own."""
    return [_target(account, integration, resolve, retry) for integration in account.integrations]


def _target(
    account: SelfHostedAccount, integration: SelfHostedIntegration, resolve: Resolve, retry: RetryPolicy
) -> Target:
    own = own_headers(lambda: _headers(integration, resolve))
    base_url = integration.url.rstrip("/")
    address, port = host_and_port(base_url)
    return Target(
        name=f"{account.name}/{integration.name}",
        account=account.name,
        model_id=integration.hosted_model_name,
        provider=_PROVIDERS.get(integration.model_server, _OTHER_PROVIDER),
        peer=account.name,
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


def _headers(integration: SelfHostedIntegration, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    headers = [(name.lower(), resolve(value)) for name, value in integration.headers.items()]
    auth = integration.auth_data
    if isinstance(auth, BearerAuth):
        headers.append(("authorization", f"Bearer {resolve(auth.bearer_token)}"))
    elif auth is not None:
        credentials = base64.b64encode(f"{auth.username}:{resolve(auth.password)}".encode()).decode()
        headers.append(("authorization", f"Basic {credentials}"))
    return tuple(headers)
