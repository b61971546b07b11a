"""Models of data platforms: OpenAI's API at an address and with credentials of each platform's own."""

from __future__ import annotations

import base64
from typing import Final

from gateway.config.manifests.data_platform import (
    ClouderaAccount,
    ClouderaTokenAuth,
    DatabricksAccount,
    ServicePrincipalAuth,
    SnowflakeAccount,
)
from gateway.config.manifests.provider_account import ApiKeyAuth
from gateway.model import EndpointQuirks, Quirks, RetryPolicy, Target, TokenRequest
from gateway.providers.addressing import (
    OwnHeaders,
    Resolve,
    Service,
    bearer,
    make_target,
    not_built,
    own_headers,
    own_token,
    without_ending,
)

_DATABRICKS_PATH: Final = "/serving-endpoints"
_SNOWFLAKE_PATH: Final = "/api/v2/cortex/v1"
# https://docs.snowflake.com/en/user-guide/snowflake-cortex/open_ai_sdk : only the newer name is taken.
_SNOWFLAKE_QUIRKS: Final[EndpointQuirks] = {"chat": Quirks(renamed={"max_tokens": "max_completion_tokens"})}


def databricks_targets(account: DatabricksAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The serving endpoints of a workspace, called as OpenAI's client calls them.

    https://docs.databricks.com/aws/en/machine-learning/model-serving/query-chat-models
    """
    workspace = without_ending(account.base_url, _DATABRICKS_PATH)
    service = Service(
        provider="databricks",
        peer="databricks",
        base_url=workspace + _DATABRICKS_PATH,
        own=_databricks_own(account, workspace, resolve),
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]


def snowflake_targets(account: SnowflakeAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The models of Cortex."""
    host = f"https://{account.account_identifier}.snowflakecomputing.com"
    service = Service(
        provider="snowflake",
        peer="snowflake",
        base_url=without_ending(account.base_url or host, _SNOWFLAKE_PATH) + _SNOWFLAKE_PATH,
        own=own_headers(
            lambda: (
                bearer(resolve(account.auth_data.pat_token)),
                # Without it the kind of token is guessed.
                ("x-snowflake-authorization-token-type", "PROGRAMMATIC_ACCESS_TOKEN"),
            )
        ),
        quirks=_SNOWFLAKE_QUIRKS,
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]


def cloudera_targets(account: ClouderaAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """Model endpoints, each at its own address.

    https://docs.cloudera.com/machine-learning/cloud/ai-inference/topics/ml-caii-openai-inference-protocol.html
    """
    own = _cloudera_own(account, resolve)
    return [
        make_target(
            account,
            integration,
            Service(provider="cloudera", peer="cloudera", base_url=integration.base_url, own=own),
            retry,
            model_id=integration.model_id,
        )
        for integration in account.integrations
    ]


def _databricks_own(account: DatabricksAccount, workspace: str, resolve: Resolve) -> OwnHeaders:
    auth = account.auth_data
    if isinstance(auth, ApiKeyAuth):
        return own_headers(lambda: (bearer(resolve(auth.api_key)),))
    return own_token(lambda: _databricks_token(auth, workspace, resolve))


def _databricks_token(auth: ServicePrincipalAuth, workspace: str, resolve: Resolve) -> TokenRequest:
    """https://docs.databricks.com/aws/en/dev-tools/auth/oauth-m2m."""
    pair = f"{auth.client_id}:{resolve(auth.oauth_secret)}"
    return TokenRequest(
        url=f"{workspace}/oidc/v1/token",
        form=(("grant_type", "client_credentials"), ("scope", "all-apis")),
        headers=(("authorization", "Basic " + base64.b64encode(pair.encode()).decode()),),
    )


def _cloudera_own(account: ClouderaAccount, resolve: Resolve) -> OwnHeaders:
    auth = account.auth_data
    if isinstance(auth, ClouderaTokenAuth):
        return own_headers(lambda: (bearer(resolve(auth.api_token)),))
    return not_built(auth.type)
