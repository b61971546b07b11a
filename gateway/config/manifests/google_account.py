"""Models of Google: the Gemini API, with a key, and Vertex AI, with credentials of Google Cloud."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import BaseUrl, Part, Secret, SecretDocument, Text, wrong
from gateway.config.manifests.provider_account import Integration, ProviderAccount

GEMINI_BASE_URL: Final = "https://generativelanguage.googleapis.com/v1beta"
_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z0-9-]+")
_REGION: Final = re.compile(r"[a-z]+(?:-[a-z0-9]+)*")


class GoogleApiKeyAuth(Part):
    """A key of the Gemini API."""

    type: Literal["api-key"] = "api-key"
    api_key: Secret = Field(alias="apiKey")
    """The key: a secret reference."""


class GeminiIntegration(Integration):
    """A model of the Gemini API."""

    type: Literal["integration/model/gemini"] = "integration/model/gemini"
    model_id: Text
    """The model's name, such as `gemini-2.5-pro`."""


class GoogleGeminiAccount(ProviderAccount):
    """A project of the Gemini API."""

    type: Literal["provider-account/google-gemini"]
    auth_data: GoogleApiKeyAuth
    """How to sign in."""
    base_url: BaseUrl = GEMINI_BASE_URL
    """Where the API is; `/v1beta` is added where it does not end in a version. Extension."""
    integrations: tuple[GeminiIntegration, ...]
    """The models that may be called."""


class KeyFileAuth(Part):
    """A service account, by its key."""

    type: Literal["key-file"]
    key_file_content: SecretDocument
    """The key as Google Cloud gives it, JSON: a secret reference, or the mapping itself."""


class FederationFileAuth(Part):
    """An identity of another cloud or cluster, which Google takes for one of its own."""

    type: Literal["workload-identity-federation-file"]
    key_file_content: SecretDocument
    """The credential configuration (`external_account`), JSON: a secret reference, or the mapping itself."""


def _check_region(text: str) -> str:
    if not _REGION.fullmatch(text):
        raise wrong("no region of Google Cloud", "Write one such as us-central1, or global, eu, us")
    return text


def _check_project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise wrong("no id of a project of Google Cloud", "Write the project's id, or its number")
    return text


# No list: regions are added more often than gateways are upgraded.
Region = Annotated[Text, AfterValidator(_check_region)]


class VertexIntegration(Integration):
    """A model of Vertex AI."""

    type: Literal["integration/model/vertex"] = "integration/model/vertex"
    model_id: Text
    """The model, with its publisher where that is not Google: `anthropic/claude-sonnet-4-5@20250929`."""
    region: Region | None = None
    """Where it computes, when not in the account's region."""


class GoogleVertexAccount(ProviderAccount):
    """A project of Google Cloud with Vertex AI."""

    type: Literal["provider-account/google-vertex"]
    project_id: Annotated[Text, AfterValidator(_check_project)]
    """The project's id."""
    region: Region
    """Where models compute: a region such as `us-central1`, `global`, or one of `eu` and `us`."""
    auth_data: Annotated[KeyFileAuth | FederationFileAuth, Field(discriminator="type")] | None = None
    """How to sign in. Without it, as the machine does: Application Default Credentials."""
    base_url: BaseUrl | None = None
    """Where the API is, when not at the region's own host, such as a private endpoint."""
    integrations: tuple[VertexIntegration, ...]
    """The models that may be called."""
