"""Ollama, on a machine of one's own or in its cloud."""

from __future__ import annotations

from typing import Literal

from gateway.config.manifests.part import BaseUrl, Flag, Part, Secret, Text
from gateway.config.manifests.provider_account import Integration, ProviderAccount


class OllamaAuth(Part):
    """Where the server is, under the name that TrueFoundry gives it."""

    custom_host: BaseUrl
    """The server, such as `http://localhost:11434`; `/v1` at its end makes no difference."""
    api_key: Secret | None = None
    """A key, sent as `Authorization: Bearer`: a secret reference. Extension."""


class OllamaIntegration(Integration):
    """A model of an Ollama server."""

    type: Literal["integration/model/ollama"] = "integration/model/ollama"
    model_id: Text
    """The name that the server knows the model by."""


class OllamaAccount(ProviderAccount):
    """An Ollama server."""

    type: Literal["provider-account/ollama"]
    auth_data: OllamaAuth
    """Where the server is."""
    integrations: tuple[OllamaIntegration, ...]
    """The models that may be called."""
    propagate_trace: Flag = True
    """Whether the server gets our `traceparent`. Extension."""
