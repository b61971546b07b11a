"""Targets on Azure; what each sends is in tests/golden/providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.model import Target
from tests.unit.providers.accounts import targets_of

KEY: dict[str, Any] = {"type": "api-key", "api_key": "env:KEY"}
ENTRA = {"tenant_id": "ten/ant", "client_id": "client"}
SECRET = {"type": "client-secret", "client_secret": "env:KEY", **ENTRA}


def azure_openai(
    folder: Path, *, version: str = "2024-10-21", environ: str = "canary", **more: Any
) -> Target:
    manifest = {
        "type": "provider-account/azure-openai",
        "name": "az",
        "azure_endpoint": "https://res.openai.azure.com",
        "auth_data": KEY,
        "integrations": [{"name": "m", "model_id": "my dep/1", "api_version": version}],
        **more,
    }
    (target,) = targets_of(folder, manifest, **({"KEY": environ} if environ else {}))
    return target


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://res.openai.azure.com",
        "https://res.openai.azure.com/",
        "https://res.openai.azure.com/openai",
        "https://res.openai.azure.com/openai/v1/",
    ],
)
def test_endpoint(tmp_path: Path, endpoint: str) -> None:
    """However it was copied from the portal."""
    target = azure_openai(tmp_path, azure_endpoint=endpoint)
    assert target.base_url == "https://res.openai.azure.com/openai/deployments/my%20dep%2F1"
    assert (target.query, target.address) == ("?api-version=2024-10-21", "res.openai.azure.com")
    assert (target.provider, target.peer) == ("azure.ai.openai", "azure.ai.openai")
    assert target.headers == (("api-key", "canary"),)
    assert "canary" not in repr(target)


@pytest.mark.parametrize(
    ("version", "base_url", "query"),
    [
        ("v1", "https://res.openai.azure.com/openai/v1", ""),
        ("preview", "https://res.openai.azure.com/openai/v1", "?api-version=preview"),
        ("a&b", "https://res.openai.azure.com/openai/v1", "?api-version=a%26b"),
    ],
)
def test_api_without_dates(tmp_path: Path, version: str, base_url: str, query: str) -> None:
    """The deployment is the model of the body there."""
    target = azure_openai(tmp_path, version=version)
    assert (target.base_url, target.query, target.model_id) == (base_url, query, "my dep/1")


@pytest.mark.parametrize(
    ("version", "is_refused"),
    [
        ("2023-05-15", True),
        ("2024-08-01-preview", True),
        ("2024-09-01-preview", False),
        ("2024-10-21", False),
        ("v1", False),
    ],
)
def test_versions_without_stream_options(tmp_path: Path, version: str, *, is_refused: bool) -> None:
    """Older ones answer the field with an error."""
    quirks = azure_openai(tmp_path, version=version).quirks
    assert ("chat" in quirks and quirks["chat"].refused == ("stream_options",)) == is_refused


def test_entra(tmp_path: Path) -> None:
    """A token is asked for what the resource takes, and the secret is shown nowhere."""
    target = azure_openai(tmp_path, auth_data={**SECRET, "authority": "https://login.microsoftonline.us/"})
    token = target.token
    assert token is not None
    assert (target.headers, target.missing_secret) == ((), "")
    assert token.url == "https://login.microsoftonline.us/ten%2Fant/oauth2/v2.0/token"
    assert dict(token.form) == {
        "grant_type": "client_credentials",
        "client_id": "client",
        "scope": "https://cognitiveservices.azure.com/.default",
        "client_secret": "canary",
    }
    assert "canary" not in repr(target)


def test_workload_identity(tmp_path: Path) -> None:
    """Nothing is read here: the file's content changes."""
    auth = {"type": "workload-identity", "token_file": "/nowhere/token", **ENTRA}
    token = azure_openai(tmp_path, auth_data=auth).token
    assert token is not None
    assert token.assertion_file == "/nowhere/token"


@pytest.mark.parametrize("auth", [KEY, SECRET])
def test_missing_secret(tmp_path: Path, auth: dict[str, Any]) -> None:
    """A secret without a value makes the targets unavailable, and says why."""
    target = azure_openai(tmp_path, auth_data=auth, environ="")
    assert (target.headers, target.token) == ((), None)
    assert "KEY" in target.missing_secret


def test_certificate(tmp_path: Path) -> None:
    """What signs is known to the token alone, and never shown."""
    auth = {"type": "certificate", "certificate": "env:KEY", "certificate_thumbprint": "x", **ENTRA}
    target = azure_openai(tmp_path, auth_data=auth)
    assert target.headers == ()
    assert target.token is not None
    assert target.token.certificate is not None
    assert target.token.certificate.thumbprint == "x"
    assert target.token.certificate.pem not in repr(target)


@pytest.mark.parametrize(
    ("endpoint", "version", "base_url", "query"),
    [
        ("https://d.eastus2.models.ai.azure.com", None, "https://d.eastus2.models.ai.azure.com/v1", ""),
        ("https://d.eastus2.models.ai.azure.com/v1", None, "https://d.eastus2.models.ai.azure.com/v1", ""),
        (
            "https://r.services.ai.azure.com/models/",
            None,
            "https://r.services.ai.azure.com/models",
            "?api-version=2024-05-01-preview",
        ),
        (
            "https://d.eastus2.models.ai.azure.com",
            "2024-04-01-preview",
            "https://d.eastus2.models.ai.azure.com",
            "?api-version=2024-04-01-preview",
        ),
    ],
)
def test_foundry(tmp_path: Path, endpoint: str, version: str | None, base_url: str, query: str) -> None:
    """Serverless deployments by OpenAI's path, resources by that of model inference."""
    model = {
        "name": "m",
        "model_id": "M",
        "azure_endpoint": endpoint,
        "api_version": version,
        "auth_data": KEY,
    }
    manifest = {"type": "provider-account/azure-foundry", "name": "f", "integrations": [model]}
    (target,) = targets_of(tmp_path, manifest, KEY="k")
    assert (target.base_url, target.query, target.provider) == (base_url, query, "azure.ai.inference")
    assert ("extra-parameters", "pass-through") in target.headers or not query


def test_microsoft_foundry(tmp_path: Path) -> None:
    """The resource's endpoint comes first; a dated version is called as azure-openai's."""
    manifest = {
        "type": "provider-account/microsoft-foundry",
        "name": "f",
        "openai_endpoint": "https://res.openai.azure.com/openai",
        "project_endpoint": "https://res.services.ai.azure.com/api/projects/p",
        "auth_data": SECRET,
        "integrations": [
            {"name": "new", "model_id": "M", "publisher": "Other"},
            {"name": "old", "model_id": "M", "publisher": "OpenAI", "api_version": "2024-10-21"},
        ],
    }
    new, old = targets_of(tmp_path, manifest, KEY="k")
    assert (new.base_url, new.query) == ("https://res.openai.azure.com/openai/v1", "")
    assert (old.base_url, old.query) == (
        "https://res.openai.azure.com/openai/deployments/M",
        "?api-version=2024-10-21",
    )
    assert new.token is not None
    assert dict(new.token.form)["scope"] == "https://ai.azure.com/.default"
