"""Models on Azure: three kinds of account for three generations of its API.

https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle says which API is which.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from gateway.config.manifests.part import BaseUrl, Part, Secret, Text, wrong
from gateway.config.manifests.provider_account import ApiKeyAuth, Integration, ProviderAccount

ENTRA: Final = "https://login.microsoftonline.com"
IDENTITY_FILE: Final = "/var/run/secrets/azure/tokens/azure-identity-token"
"""Where Azure's webhook for Kubernetes puts the service account's token."""

DeploymentType = Literal["standard", "datazone_us", "datazone_eu", "global"]


class CertificateAuth(Part):
    """Entra, as an application with a certificate."""

    type: Literal["certificate"]
    tenant_id: Text
    """The directory's id."""
    client_id: Text
    """The application's id."""
    certificate: Secret
    """Certificate and private key of RSA, PEM: a secret reference."""
    certificate_thumbprint: Text
    """SHA-1 of the certificate, base64url; used where `certificate` has the key alone."""
    authority: BaseUrl = ENTRA
    """Where tokens are made; other clouds of Azure have their own. Extension."""


class ClientSecretAuth(Part):
    """Entra, as an application with a secret."""

    type: Literal["client-secret"]
    tenant_id: Text
    """The directory's id."""
    client_id: Text
    """The application's id."""
    client_secret: Secret
    """The application's secret: a secret reference."""
    authority: BaseUrl = ENTRA
    """Where tokens are made; other clouds of Azure have their own. Extension."""


class WorkloadIdentityAuth(Part):
    """Entra, as a Kubernetes service account."""

    type: Literal["workload-identity"]
    tenant_id: Text
    """The directory's id."""
    client_id: Text
    """The application's id."""
    authority: BaseUrl = ENTRA
    """Where tokens are made; other clouds of Azure have their own. Extension."""
    token_file: Text = IDENTITY_FILE
    """The service account's token, which Entra gives a token of its own for. Extension."""


AzureAuth = Annotated[
    ApiKeyAuth | CertificateAuth | ClientSecretAuth | WorkloadIdentityAuth, Field(discriminator="type")
]


class AzureOpenAIIntegration(Integration):
    """A deployment of an Azure OpenAI resource."""

    type: Literal["integration/model/azure-openai"] = "integration/model/azure-openai"
    model_id: Text
    """The deployment's name."""
    api_version: Text
    """Version of the API, such as `2024-10-21`; `v1` and `preview` are the API without dated versions."""
    foundation_model: Text | None = None
    """The model that is deployed, such as `gpt-4o-2024-11-20`."""
    deployment_type: DeploymentType | None = None
    """Where the deployment computes."""


class AzureOpenAIAccount(ProviderAccount):
    """An Azure OpenAI resource."""

    type: Literal["provider-account/azure-openai"]
    azure_endpoint: BaseUrl
    """The resource's endpoint; `/openai` at its end makes no difference."""
    auth_data: AzureAuth
    """How to sign in."""
    integrations: tuple[AzureOpenAIIntegration, ...]
    """The models that may be called."""


class AzureFoundryIntegration(Integration):
    """A deployment with an endpoint of its own."""

    type: Literal["integration/model/azure-foundry"] = "integration/model/azure-foundry"
    auth_data: AzureAuth
    """How to sign in."""
    model_id: Text
    """The deployment's name."""
    azure_endpoint: BaseUrl
    """The deployment's endpoint, or a resource's that ends in `/models`."""
    api_version: Text | None = None
    """Version of the model inference API."""


class AzureFoundryAccount(ProviderAccount):
    """Deployments of Azure AI Foundry."""

    type: Literal["provider-account/azure-foundry"]
    integrations: tuple[AzureFoundryIntegration, ...]
    """The models that may be called."""


class MicrosoftFoundryIntegration(Integration):
    """A deployment of a Microsoft Foundry resource."""

    type: Literal["integration/model/microsoft-foundry"] = "integration/model/microsoft-foundry"
    model_id: Text
    """The deployment's name."""
    api_version: Text | None = None
    """For a deployment that the API without dated versions does not serve: the version to call it by."""
    foundation_model: Text | None = None
    """The model that is deployed, such as `gpt-4o-2024-11-20`."""
    deployment_type: DeploymentType | None = None
    """Where the deployment computes."""
    publisher: Text
    """Who made the model: `OpenAI` or `Other`."""


class MicrosoftFoundryAccount(ProviderAccount):
    """A Microsoft Foundry resource or project."""

    type: Literal["provider-account/microsoft-foundry"]
    openai_endpoint: BaseUrl | None = None
    """The resource's endpoint; `/openai` or `/openai/v1` at its end makes no difference."""
    project_endpoint: BaseUrl | None = None
    """The project's endpoint, used when the resource's is not given."""
    auth_data: AzureAuth
    """How to sign in."""
    integrations: tuple[MicrosoftFoundryIntegration, ...]
    """The models that may be called."""

    @model_validator(mode="after")
    def _has_an_endpoint(self) -> MicrosoftFoundryAccount:
        if self.openai_endpoint is None and self.project_endpoint is None:
            raise wrong("neither openai_endpoint nor project_endpoint is written", "Write one of them")
        return self
