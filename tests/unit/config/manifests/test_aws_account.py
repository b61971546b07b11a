"""Accounts with AWS."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.manifests.aws_account import AssumedRoleAuth, BedrockAccount, SagemakerAccount

KEY = {"type": "access-key-based", "access_key_id": "env:ID", "secret_access_key": "env:KEY"}
ROLE = {"type": "assumed-role-based", "assumed_role_arn": "arn:aws:iam::123456789012:role/path/gateway"}


def bedrock(**members: Any) -> BedrockAccount:
    return BedrockAccount.model_validate(
        {
            "type": "provider-account/aws-bedrock",
            "name": "b",
            "region": "us-east-1",
            "integrations": [{"name": "m", "model_id": "amazon.nova-lite-v1:0"}],
            **members,
        }
    )


def sagemaker(model_id: str = "my-endpoint", **members: Any) -> SagemakerAccount:
    return SagemakerAccount.model_validate(
        {
            "type": "provider-account/aws-sagemaker",
            "name": "s",
            "region": "us-east-1",
            "integrations": [{"name": "m", "model_id": model_id}],
            **members,
        }
    )


@pytest.mark.parametrize(
    "region", ["us-east-1", "ap-southeast-7", "us-gov-west-1", "cn-north-1", "mx-central-1"]
)
def test_regions(region: str) -> None:
    """Also those that are yet to come."""
    assert bedrock(region=region).region == region


@pytest.mark.parametrize(
    "region", ["", "us", "us-east-1a", "us-east-1.evil.test", "us_east_1", "US-EAST-1", "a/b-1"]
)
def test_what_is_no_region(region: str) -> None:
    """Above all nothing that leads signed calls to another host."""
    with pytest.raises(ValidationError):
        bedrock(region=region)
    with pytest.raises(ValidationError):
        bedrock(integrations=[{"name": "m", "model_id": "x", "region": region}])


@pytest.mark.parametrize(
    "auth", [KEY, {**KEY, "session_token": "env:T"}, ROLE, {**ROLE, "external_id": "x"}, None]
)
def test_ways_to_sign_in(auth: dict[str, str] | None) -> None:
    """Of both; a Bedrock API key is Bedrock's alone."""
    assert (bedrock(auth_data=auth).auth_data is None) == (auth is None)
    assert (sagemaker(auth_data=auth).auth_data is None) == (auth is None)
    key = {"type": "api-key", "api_key": "env:K"}
    assert bedrock(auth_data=key).auth_data is not None
    with pytest.raises(ValidationError):
        sagemaker(auth_data=key)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:user/u",
        "gateway",
        "arn:aws:iam::12:role/x",
        "arn:aws:iam::123456789012:role/",
    ],
)
def test_what_is_no_role(arn: str) -> None:
    """It is found when the manifest is read, not at the first call."""
    with pytest.raises(ValidationError):
        bedrock(auth_data={**ROLE, "assumed_role_arn": arn})


def test_a_role_of_another_partition() -> None:
    """China and GovCloud have ARNs of their own."""
    auth = bedrock(
        auth_data={**ROLE, "assumed_role_arn": "arn:aws-us-gov:iam::123456789012:role/g"}
    ).auth_data
    assert isinstance(auth, AssumedRoleAuth)


@pytest.mark.parametrize("name", ["a/b", "arn:aws:sagemaker:us-east-1:1:endpoint/x", "-a", "a-", "a b", ""])
def test_what_is_no_endpoint(name: str) -> None:
    """It stands in the path, where it must not be another."""
    with pytest.raises(ValidationError):
        sagemaker(name)
    assert sagemaker("jumpstart-dft-llama-3-1").integrations[0].model_id == "jumpstart-dft-llama-3-1"
