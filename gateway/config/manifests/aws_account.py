"""Models at AWS: Bedrock's own, and those that one has deployed with SageMaker."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import BaseUrl, Part, Secret, Text, wrong
from gateway.config.manifests.provider_account import ApiKeyAuth, Integration, ProviderAccount

_REGION: Final = re.compile(r"[a-z]{2,}(?:-[a-z]+)+-\d+")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\x21-\x7e]+")
_ENDPOINT: Final = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9])*")


def _check_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise wrong("no region of AWS", "Write one such as us-east-1")
    return text


def _check_role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        raise wrong("no ARN of a role", "Write it as arn:aws:iam::<account>:role/<name>")
    return text


def _check_endpoint(text: str) -> str:
    if not _ENDPOINT.fullmatch(text):
        raise wrong(
            "no name of an endpoint: those are letters, digits and hyphens",
            "Write the endpoint's name, not its ARN",
        )
    return text


# No list: regions are added more often than gateways are upgraded.
Region = Annotated[Text, AfterValidator(_check_region)]


class AccessKeyAuth(Part):
    """An access key."""

    type: Literal["access-key-based"]
    access_key_id: Secret
    """The access key's id: a secret reference."""
    secret_access_key: Secret
    """The access key: a secret reference."""
    session_token: Secret | None = None
    """What belongs to an access key that ends: a secret reference. Extension."""


class AssumedRoleAuth(Part):
    """A role, taken on with the credentials of the host."""

    type: Literal["assumed-role-based"]
    assumed_role_arn: Annotated[Text, AfterValidator(_check_role)]
    """The role's ARN."""
    external_id: Text | None = None
    """What the role's trust policy asks for beside who one is."""
    sts_url: BaseUrl | None = None
    """Where the role is taken on, when not at AWS's own place in the region (private links). Extension."""


BedrockAuth = Annotated[AccessKeyAuth | AssumedRoleAuth | ApiKeyAuth, Field(discriminator="type")]
SagemakerAuth = Annotated[AccessKeyAuth | AssumedRoleAuth, Field(discriminator="type")]


class BedrockIntegration(Integration):
    """A model of Bedrock."""

    type: Literal["integration/model/bedrock"] = "integration/model/bedrock"
    model_id: Text
    """The model's id, or an inference profile's id or ARN."""
    region: Region | None = None
    """Where it is called, when not in the account's region."""


class BedrockAccount(ProviderAccount):
    """An account of AWS, for the models of Bedrock."""

    type: Literal["provider-account/aws-bedrock"]
    region: Region
    """Where models are called."""
    base_url: BaseUrl | None = None
    """Where the API is, when not at the region's own host (VPC endpoints)."""
    auth_data: BedrockAuth | None = None
    """How to sign in. Without it with the credentials of the host."""
    integrations: tuple[BedrockIntegration, ...]
    """The models that may be called."""


class SagemakerIntegration(Integration):
    """An endpoint whose container speaks OpenAI's API."""

    type: Literal["integration/model/sagemaker"] = "integration/model/sagemaker"
    model_id: Annotated[Text, AfterValidator(_check_endpoint)]
    """The endpoint's name."""
    region: Region | None = None
    """Where it is, when not in the account's region."""
    inference_component: Text | None = None
    """Which of the endpoint's models is meant, where it has several. Extension."""


class SagemakerAccount(ProviderAccount):
    """An account of AWS, for endpoints of SageMaker."""

    type: Literal["provider-account/aws-sagemaker"]
    region: Region
    """Where the endpoints are."""
    base_url: BaseUrl | None = None
    """Where the API is, when not at the region's own host (VPC endpoints). Extension."""
    auth_data: SagemakerAuth | None = None
    """How to sign in. Without it with the credentials of the host."""
    integrations: tuple[SagemakerIntegration, ...]
    """The models that may be called."""
