"""Nomic: embeddings of its Atlas API."""

from __future__ import annotations

from typing import Final, Literal

from gateway.config.manifests.part import BaseUrl, Text
from gateway.config.manifests.provider_account import ApiKeyAuth, Integration, ProviderAccount

NOMIC_BASE_URL: Final = "https://api-atlas.nomic.ai/v1"


class NomicIntegration(Integration):
    """A model of Nomic."""

    type: Literal["integration/model/nomic"] = "integration/model/nomic"
    model_id: Text
    """The name that Nomic knows the model by."""


class NomicAccount(ProviderAccount):
    """An account with Nomic."""

    type: Literal["provider-account/nomic"]
    auth_data: ApiKeyAuth
    """How to sign in."""
    base_url: BaseUrl = NOMIC_BASE_URL
    """Where the API is, up to what stands before `/embedding/text`. Extension."""
    integrations: tuple[NomicIntegration, ...]
    """The models that may be called."""
