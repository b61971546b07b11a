"""Model servers of one's own that speak OpenAI's API."""

from __future__ import annotations

import base64
from typing import Final

from gateway.config.manifests.provider_account import BearerAuth, SelfHostedAccount, SelfHostedIntegration
from gateway.model import EndpointQuirks, Quirks, RerankApi, RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, bearer, make_target, own_headers, without_ending

_RERANK_APIS: Final[dict[str, RerankApi]] = {"tei": "tei", "nemo-retriever": "nemo"}
_PROVIDERS = {"vllm-openai": "vllm"}
_OTHER_PROVIDER = "self_hosted"
# Models that embed questions and passages differently must be told which it is, and OpenAI's API has no word
# for it. The server also takes it as the end of the model's name, which then decides:
# https://docs.nvidia.com/nim/nemo-retriever/text-embedding/latest/use-the-api-openai.html
_NEMO: Final[EndpointQuirks] = {"embedding": Quirks(added={"input_type": '"query"'})}
_NEMO_MODES: Final = ("-query", "-passage")


def self_hosted_targets(account: SelfHostedAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models, each on a server of its own."""
    return [
        make_target(
            account,
            integration,
            _service(account, integration, resolve),
            retry,
            model_id=integration.hosted_model_name,
        )
        for integration in account.integrations
    ]


def _service(account: SelfHostedAccount, integration: SelfHostedIntegration, resolve: Resolve) -> Service:
    is_cohere = integration.model_server == "cohere-rerank-v2"
    return Service(
        provider=_PROVIDERS.get(integration.model_server, _OTHER_PROVIDER),
        peer=account.name,
        base_url=_base_url(integration),
        dialect="cohere" if is_cohere else "openai",
        rerank_api=_RERANK_APIS.get(integration.model_server, ""),
        own=own_headers(lambda: _headers(integration, resolve)),
        quirks=_quirks(integration),
    )


def _base_url(integration: SelfHostedIntegration) -> str:
    url = integration.url.rstrip("/")
    match integration.model_server:
        case "cohere-rerank-v2":
            # Copied with its path or without.
            return f"{without_ending(url, '/v2/rerank', '/v2')}/v2"
        case "tei" if "rerank" in integration.model_types:
            # Embeddings are below `/v1` as well, ranks are not.
            return url.removesuffix("/v1")
    return url


def _quirks(integration: SelfHostedIntegration) -> EndpointQuirks:
    is_nemo = integration.model_server == "nemo-retriever"
    return _NEMO if is_nemo and not integration.hosted_model_name.endswith(_NEMO_MODES) else {}


def _headers(integration: SelfHostedIntegration, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    headers = [(name.lower(), resolve(value)) for name, value in integration.headers.items()]
    auth = integration.auth_data
    if isinstance(auth, BearerAuth):
        headers.append(bearer(resolve(auth.bearer_token)))
    elif auth is not None:
        credentials = base64.b64encode(f"{auth.username}:{resolve(auth.password)}".encode()).decode()
        headers.append(("authorization", f"Basic {credentials}"))
    return tuple(headers)
