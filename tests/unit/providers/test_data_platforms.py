"""Targets of data platforms; what each sends is in tests/golden/providers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from gateway.model import TokenRequest
from tests.unit.providers.accounts import targets_of

MODEL = {"name": "m", "model_id": "M"}


def databricks(auth: dict[str, str], base_url: str = "https://dbc.test") -> dict[str, Any]:
    return {
        "type": "provider-account/databricks",
        "name": "d",
        "auth_data": auth,
        "base_url": base_url,
        "integrations": [MODEL],
    }


@pytest.mark.parametrize("base_url", ["https://dbc.test", "https://dbc.test/serving-endpoints/"])
def test_databricks(tmp_path: Path, base_url: str) -> None:
    """A workspace, its path written or not."""
    auth = {"type": "api-key", "api_key": "env:KEY"}
    (target,) = targets_of(tmp_path, databricks(auth, base_url), KEY="canary")
    assert target.base_url == "https://dbc.test/serving-endpoints"
    assert target.headers == (("authorization", "Bearer canary"),)


def test_service_principal(tmp_path: Path) -> None:
    """The workspace itself gives the token, for a basic login that is shown nowhere."""
    auth = {"type": "service-principal", "client_id": "client", "oauth_secret": "env:KEY"}
    (target,) = targets_of(tmp_path, databricks(auth), KEY="canary")
    assert isinstance(target.token, TokenRequest)
    assert target.token.url == "https://dbc.test/oidc/v1/token"
    login = base64.b64encode(b"client:canary").decode()
    assert target.token.headers == (("authorization", f"Basic {login}"),)
    assert login not in repr(target)
    (missing,) = targets_of(tmp_path, databricks(auth))
    assert "KEY" in missing.missing_secret


def test_snowflake(tmp_path: Path) -> None:
    """The account's host, or that of a private link."""
    manifest = {
        "type": "provider-account/snowflake-cortex",
        "name": "s",
        "auth_data": {"type": "pat-token", "pat_token": "env:KEY"},
        "account_identifier": "org-account",
        "integrations": [MODEL],
    }
    (target,) = targets_of(tmp_path, manifest, KEY="k")
    assert target.base_url == "https://org-account.snowflakecomputing.com/api/v2/cortex/v1"
    (private,) = targets_of(tmp_path, {**manifest, "base_url": "https://link.test"}, KEY="k")
    assert private.base_url == "https://link.test/api/v2/cortex/v1"


@pytest.mark.parametrize(
    ("auth", "headers", "missing"),
    [
        pytest.param(
            {"type": "token", "api_token": "env:KEY"}, (("authorization", "Bearer k"),), "", id="token"
        ),
        pytest.param(
            {
                "type": "workload-auth-token",
                "cdp_base_url": "https://cdp.test",
                "access_key_id": "env:KEY",
                "private_key": "env:KEY",
                "workload_name": "DE",
            },
            (),
            "auth_data.type workload-auth-token is not in force yet",
            id="not built",
        ),
    ],
)
def test_cloudera(
    tmp_path: Path, auth: dict[str, str], headers: tuple[tuple[str, str], ...], missing: str
) -> None:
    """Each model has its address; what is not built must not call without credentials."""
    manifest = {
        "type": "provider-account/cloudera",
        "name": "c",
        "auth_data": auth,
        "integrations": [{**MODEL, "base_url": "https://ml.test/endpoints/m/v1/"}],
    }
    (target,) = targets_of(tmp_path, manifest, KEY="k")
    assert (target.base_url, target.headers) == ("https://ml.test/endpoints/m/v1", headers)
    assert target.missing_secret == missing
