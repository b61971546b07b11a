"""Models that data platforms serve beside the data: each has an address and credentials of its own kind."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import BaseUrl, Part, Secret, Text, wrong
from gateway.config.manifests.provider_account import ApiKeyAuth, Integration, ProviderAccount

_HOST_LABELS: Final = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


class ServicePrincipalAuth(Part):
    """A service principal of Databricks."""

    type: Literal["service-principal"]
    oauth_secret: Secret
    """The principal's OAuth secret: a secret reference."""
    client_id: Text
    """The principal's application id."""


class DatabricksIntegration(Integration):
    """A serving endpoint."""

    type: Literal["integration/model/databricks"] = "integration/model/databricks"
    model_id: Text
    """The serving endpoint's name."""


class DatabricksAccount(ProviderAccount):
    """A workspace of Databricks."""

    type: Literal["provider-account/databricks"]
    auth_data: Annotated[ApiKeyAuth | ServicePrincipalAuth, Field(discriminator="type")]
    """How to sign in."""
    base_url: BaseUrl
    """The workspace; `/serving-endpoints` at its end makes no difference."""
    integrations: tuple[DatabricksIntegration, ...]
    """The models that may be called."""


class ClouderaTokenAuth(Part):
    """A token of Cloudera's."""

    type: Literal["token"]
    api_token: Secret
    """The token: a secret reference."""


class ClouderaWorkloadAuth(Part):
    """A workload token, made with an access key."""

    type: Literal["workload-auth-token"]
    cdp_base_url: BaseUrl
    """Where tokens are made."""
    access_key_id: Secret
    """The access key's id: a secret reference."""
    private_key: Secret
    """The access key: a secret reference."""
    workload_name: Text
    """The workload to sign in to."""


class ClouderaIntegration(Integration):
    """A model endpoint."""

    type: Literal["integration/model/cloudera"] = "integration/model/cloudera"
    model_id: Text
    """The model's id in the registry."""
    base_url: BaseUrl
    """Where the endpoint's API is, up to and with `/v1`."""


class ClouderaAccount(ProviderAccount):
    """Model endpoints of Cloudera AI Inference."""

    type: Literal["provider-account/cloudera"]
    auth_data: Annotated[ClouderaTokenAuth | ClouderaWorkloadAuth, Field(discriminator="type")]
    """How to sign in."""
    integrations: tuple[ClouderaIntegration, ...]
    """The models that may be called."""


class PatTokenAuth(Part):
    """A programmatic access token of Snowflake's."""

    type: Literal["pat-token"]
    pat_token: Secret
    """The token: a secret reference."""


class SnowflakeIntegration(Integration):
    """A model of Cortex."""

    type: Literal["integration/model/snowflake-cortex"] = "integration/model/snowflake-cortex"
    model_id: Text
    """The name that Cortex knows the model by."""


def _check_identifier(text: str) -> str:
    if not _HOST_LABELS.fullmatch(text) or text.endswith(".snowflakecomputing.com"):
        raise wrong(
            "an account identifier is the beginning of the account's host name",
            "Write what stands before .snowflakecomputing.com",
        )
    return text


class SnowflakeAccount(ProviderAccount):
    """An account with Snowflake."""

    type: Literal["provider-account/snowflake-cortex"]
    auth_data: PatTokenAuth
    """How to sign in."""
    account_identifier: Annotated[Text, AfterValidator(_check_identifier)]
    """What stands before `.snowflakecomputing.com`."""
    base_url: BaseUrl | None = None
    """Where the API is, when not at the account's own host (private links). Extension."""
    integrations: tuple[SnowflakeIntegration, ...]
    """The models that may be called."""
