"""Models on Azure, by the three generations of its API.

The dated one has the deployment in the path: https://learn.microsoft.com/azure/ai-foundry/openai/reference
The one without dates is OpenAI's own: https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
Model inference: https://learn.microsoft.com/rest/api/aifoundry/modelinference
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from gateway.config.manifests.azure_account import (
    AzureAuth,
    AzureFoundryAccount,
    AzureFoundryIntegration,
    AzureOpenAIAccount,
    CertificateAuth,
    ClientSecretAuth,
    MicrosoftFoundryAccount,
    WorkloadIdentityAuth,
)
from gateway.config.manifests.provider_account import ApiKeyAuth
from gateway.model import ClientCertificate, EndpointQuirks, Quirks, RetryPolicy, Target, TokenRequest
from gateway.providers.addressing import (
    OwnHeaders,
    Resolve,
    Service,
    bearer,
    host_and_port,
    make_target,
    own_headers,
    own_token,
    without_ending,
)

OPENAI_PROVIDER: Final = "azure.ai.openai"
INFERENCE_PROVIDER: Final = "azure.ai.inference"
MODEL_INFERENCE_VERSION: Final = "2024-05-01-preview"
"""What a resource's `/models` is called with where the manifest names no version."""

# Beside dates, an `api_version` may name the API that has none.
_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
# What a token of Entra is for, by what takes it.
_RESOURCE_SCOPE: Final = "https://cognitiveservices.azure.com/.default"
_FOUNDRY_SCOPE: Final = "https://ai.azure.com/.default"
_SERVERLESS_SCOPE: Final = "https://ml.azure.com/.default"
_SERVERLESS_HOST: Final = ".models.ai.azure.com"
_OPENAI_ENDINGS: Final = ("/openai/v1", "/openai")
# Older versions answer `stream_options` with 400; they send no usage in streams either.
_FIRST_WITH_STREAM_OPTIONS: Final = "2024-09-01"
_NO_STREAM_OPTIONS: Final[EndpointQuirks] = {
    name: Quirks(refused=("stream_options",)) for name in ("chat", "completion")
}


def azure_openai_targets(account: AzureOpenAIAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The deployments of a resource."""
    own = _own(account.auth_data, resolve, scope=_RESOURCE_SCOPE)
    endpoint = without_ending(account.azure_endpoint, *_OPENAI_ENDINGS)
    return [
        make_target(
            account,
            integration,
            _openai_service(endpoint, integration.model_id, integration.api_version, own),
            retry,
            model_id=integration.model_id,
        )
        for integration in account.integrations
    ]


def microsoft_foundry_targets(
    account: MicrosoftFoundryAccount, resolve: Resolve, retry: RetryPolicy
) -> list[Target]:
    """The deployments of a resource, or of a project."""
    own = _own(account.auth_data, resolve, scope=_FOUNDRY_SCOPE)
    endpoint = without_ending(account.openai_endpoint or account.project_endpoint or "", *_OPENAI_ENDINGS)
    return [
        make_target(
            account,
            integration,
            _openai_service(endpoint, integration.model_id, integration.api_version or "v1", own),
            retry,
            model_id=integration.model_id,
        )
        for integration in account.integrations
    ]


def azure_foundry_targets(account: AzureFoundryAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """Deployments, each with its endpoint and key."""
    return [
        make_target(
            account,
            integration,
            _inference_service(integration, resolve),
            retry,
            model_id=integration.model_id,
        )
        for integration in account.integrations
    ]


def _openai_service(endpoint: str, deployment: str, version: str, own: OwnHeaders) -> Service:
    if _DATED.fullmatch(version):
        base_url = f"{endpoint}/openai/deployments/{quote(deployment, safe='')}"
        account_url = f"{endpoint}/openai"
        query = f"?api-version={version}"
        quirks = _NO_STREAM_OPTIONS if version < _FIRST_WITH_STREAM_OPTIONS else {}
    else:
        base_url = f"{endpoint}/openai/v1"
        account_url = ""
        query = "" if version == "v1" else f"?api-version={quote(version, safe='')}"
        quirks = {}
    return Service(
        provider=OPENAI_PROVIDER,
        peer=OPENAI_PROVIDER,
        base_url=base_url,
        own=own,
        query=query,
        account_url=account_url,
        # Dated versions have it beside the deployments, under another query.
        has_responses=not account_url,
        quirks=quirks,
    )


def _inference_service(integration: AzureFoundryIntegration, resolve: Resolve) -> Service:
    endpoint, version = integration.azure_endpoint, integration.api_version
    is_serverless = host_and_port(endpoint)[0].endswith(_SERVERLESS_HOST)
    if version is None and endpoint.endswith("/models"):
        version = MODEL_INFERENCE_VERSION
    if version is None:
        # Serverless deployments answer to OpenAI's path too, and there take its fields as they are.
        base_url, query = without_ending(endpoint, "/v1") + "/v1", ""
    else:
        base_url, query = endpoint, f"?api-version={quote(version, safe='')}"
    return Service(
        provider=INFERENCE_PROVIDER,
        peer=INFERENCE_PROVIDER,
        base_url=base_url,
        # Resources look at the one header and serverless deployments at the other. Unknown fields are refused
        # unless they are asked to be passed on.
        own=_own(
            integration.auth_data,
            resolve,
            scope=_SERVERLESS_SCOPE if is_serverless else _RESOURCE_SCOPE,
            keys=("api-key", "authorization"),
            more=() if version is None else (("extra-parameters", "pass-through"),),
        ),
        query=query,
    )


def _own(
    auth: AzureAuth,
    resolve: Resolve,
    *,
    scope: str,
    keys: tuple[str, ...] = ("api-key",),
    more: tuple[tuple[str, str], ...] = (),
) -> OwnHeaders:
    """How to sign in: a key, sent in the headers *keys*, or a token for *scope*; *more* goes along."""
    match auth:
        case ApiKeyAuth():
            return own_headers(lambda: (*_key_headers(resolve(auth.api_key), keys), *more))
        case ClientSecretAuth():
            secret = auth.client_secret
            return own_token(
                lambda: _token_request(auth, scope, ("client_secret", resolve(secret))), headers=more
            )
        case WorkloadIdentityAuth():
            request = replace(_token_request(auth, scope), assertion_file=auth.token_file)
            return own_token(lambda: request, headers=more)
        case CertificateAuth():
            return own_token(lambda: _with_certificate(auth, scope, resolve), headers=more)


def _key_headers(key: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(bearer(key) if name == "authorization" else (name, key) for name in names)


def _with_certificate(auth: CertificateAuth, scope: str, resolve: Resolve) -> TokenRequest:
    certificate = ClientCertificate(resolve(auth.certificate), auth.client_id, auth.certificate_thumbprint)
    return replace(_token_request(auth, scope), certificate=certificate)


def _token_request(
    auth: CertificateAuth | ClientSecretAuth | WorkloadIdentityAuth, scope: str, *more: tuple[str, str]
) -> TokenRequest:
    """https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow."""
    return TokenRequest(
        url=f"{auth.authority}/{quote(auth.tenant_id, safe='')}/oauth2/v2.0/token",
        form=(
            ("grant_type", "client_credentials"),
            ("client_id", auth.client_id),
            ("scope", scope),
            *more,
        ),
    )
