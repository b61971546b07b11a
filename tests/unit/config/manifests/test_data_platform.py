"""Accounts with data platforms."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.manifests.data_platform import SnowflakeAccount


def snowflake(**members: Any) -> SnowflakeAccount:
    return SnowflakeAccount.model_validate(
        {
            "type": "provider-account/snowflake-cortex",
            "name": "s",
            "auth_data": {"type": "pat-token", "pat_token": "env:T"},
            "account_identifier": "org-account",
            "integrations": [{"name": "m", "model_id": "M"}],
            **members,
        }
    )


@pytest.mark.parametrize("identifier", ["org-account", "xy12345.eu-west-1", "a_b"])
def test_account_identifier(identifier: str) -> None:
    """The beginning of a host name."""
    assert snowflake(account_identifier=identifier).account_identifier == identifier


@pytest.mark.parametrize(
    "identifier",
    ["https://org-account.snowflakecomputing.com", "a.snowflakecomputing.com", "a/b", "a@b", "a:1", "", "."],
)
def test_what_is_no_identifier(identifier: str) -> None:
    """Above all nothing that leads calls and their key to another host."""
    with pytest.raises(ValidationError):
        snowflake(account_identifier=identifier)
