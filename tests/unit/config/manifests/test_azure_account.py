"""Accounts on Azure."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.manifests.azure_account import (
    AzureAuth,
    ClientSecretAuth,
    MicrosoftFoundryAccount,
    WorkloadIdentityAuth,
)


def foundry(**members: str) -> MicrosoftFoundryAccount:
    auth = {"type": "api-key", "api_key": "env:K"}
    return MicrosoftFoundryAccount.model_validate(
        {
            "type": "provider-account/microsoft-foundry",
            "name": "f",
            "auth_data": auth,
            "integrations": [],
            **members,
        }
    )


def test_one_endpoint_is_enough() -> None:
    """Of the resource or of the project; without either there is nowhere to call."""
    assert foundry(openai_endpoint="https://r.openai.azure.com/").openai_endpoint == (
        "https://r.openai.azure.com"
    )
    assert foundry(project_endpoint="https://r.services.ai.azure.com/api/projects/p").openai_endpoint is None
    with pytest.raises(ValidationError, match="neither openai_endpoint nor project_endpoint"):
        foundry()


def test_entra() -> None:
    """The public cloud and the place of Azure's webhook are the defaults."""
    adapter: TypeAdapter[AzureAuth] = TypeAdapter(AzureAuth)
    ids = {"tenant_id": "t", "client_id": "c"}
    secret = adapter.validate_python({"type": "client-secret", "client_secret": "env:S", **ids})
    assert isinstance(secret, ClientSecretAuth)
    assert secret.authority == "https://login.microsoftonline.com"
    identity = adapter.validate_python({"type": "workload-identity", **ids})
    assert isinstance(identity, WorkloadIdentityAuth)
    assert identity.token_file == "/var/run/secrets/azure/tokens/azure-identity-token"
