"""Targets at AWS; what each sends is in tests/golden/providers."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from gateway.model import AwsSigning, OnePath, Target
from gateway.providers.aws import WITHOUT_LIBRARY
from gateway.providers.headers import forwarded_headers
from tests.unit.doubles import FakeHeaders
from tests.unit.providers.accounts import targets_of

KEY = {"type": "access-key-based", "access_key_id": "env:ID", "secret_access_key": "env:KEY"}
ROLE = {"type": "assumed-role-based", "assumed_role_arn": "arn:aws:iam::123456789012:role/gateway"}
ENVIRON = {"ID": "AKID", "KEY": "canary-secret", "TOKEN": "canary-token"}


def targets(folder: Path, kind: str, model_id: str, *regions: str | None, **members: Any) -> list[Target]:
    """One model a region, of an account in us-east-1."""
    models = [
        {"name": f"m{number}", "model_id": model_id, **({} if region is None else {"region": region})}
        for number, region in enumerate(regions)
    ]
    manifest = {
        "type": f"provider-account/{kind}",
        "name": "aws",
        "region": "us-east-1",
        "integrations": models,
        **members,
    }
    return targets_of(folder, manifest, **ENVIRON)


def bedrock(folder: Path, *regions: str | None, **members: Any) -> list[Target]:
    return targets(folder, "aws-bedrock", "us.anthropic.claude-x-v1:0", *(regions or (None,)), **members)


def test_regions(tmp_path: Path) -> None:
    """A model is called and signed for in its own region, or its account's."""
    own, other = bedrock(tmp_path, None, "eu-west-1", auth_data=KEY)
    assert own.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"
    assert other.base_url == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert own.signing == AwsSigning("bedrock", "us-east-1", "AKID", "canary-secret")
    assert other.signing == AwsSigning("bedrock", "eu-west-1", "AKID", "canary-secret")
    assert (own.dialect, own.provider, own.peer) == ("converse", "aws.bedrock", "aws.bedrock")
    assert own.model_id == "us.anthropic.claude-x-v1:0"
    assert "canary" not in repr(own)


def test_a_private_endpoint(tmp_path: Path) -> None:
    """The host is another and the region the same; two regions behind it are two ways in."""
    own, other = bedrock(tmp_path, None, "eu-west-1", base_url="https://vpce-1.bedrock-runtime.test/")
    assert own.base_url == other.base_url == "https://vpce-1.bedrock-runtime.test"
    assert own.signing is not None
    assert own.signing.region == "us-east-1"


def test_china(tmp_path: Path) -> None:
    """Its hosts have an ending of their own."""
    [target] = targets(tmp_path, "aws-sagemaker", "e", "cn-north-1")
    assert target.address == "runtime.sagemaker.cn-north-1.amazonaws.com.cn"


def test_credentials(tmp_path: Path) -> None:
    """An access key that ends, a role, the host's own."""
    [target] = bedrock(tmp_path, auth_data={**KEY, "session_token": "env:TOKEN"})
    assert target.signing == AwsSigning("bedrock", "us-east-1", "AKID", "canary-secret", "canary-token")
    role = {**ROLE, "external_id": "x", "sts_url": "https://sts.test"}
    [target] = bedrock(tmp_path, auth_data=role)
    assert target.signing == AwsSigning(
        "bedrock", "us-east-1", role_arn=ROLE["assumed_role_arn"], external_id="x", sts_url="https://sts.test"
    )
    [target] = bedrock(tmp_path)
    assert target.signing == AwsSigning("bedrock", "us-east-1")


def test_an_api_key(tmp_path: Path) -> None:
    """Is sent as it is, and nothing is signed."""
    [target] = bedrock(tmp_path, auth_data={"type": "api-key", "api_key": "env:KEY"})
    assert target.headers == (("authorization", "Bearer canary-secret"),)
    assert target.signing is None
    assert "canary" not in repr(target)


@pytest.mark.parametrize("name", ["access_key_id", "secret_access_key", "session_token"])
def test_missing_secret(tmp_path: Path, name: str) -> None:
    """A secret without a value makes the targets unavailable, and says why."""
    [target] = bedrock(tmp_path, auth_data={**KEY, "session_token": "env:TOKEN", name: "env:ABSENT"})
    assert target.signing is None
    assert "ABSENT" in target.missing_secret


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be signed is unavailable and says what to install; a key needs nothing."""
    find = importlib.util.find_spec

    def find_others(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "botocore" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_others)
    [target] = bedrock(tmp_path, auth_data=KEY)
    assert (target.signing, target.missing_secret) == (None, WITHOUT_LIBRARY)
    [target] = bedrock(tmp_path, auth_data={"type": "api-key", "api_key": "env:KEY"})
    assert target.missing_secret == ""


def test_headers_of_callers(tmp_path: Path) -> None:
    """What an `InvokeModel` says beside its body goes along; nothing that chooses another model does."""
    [target] = bedrock(tmp_path, auth_data=KEY)
    sent = forwarded_headers(
        target,
        FakeHeaders(
            [
                ("x-amzn-bedrock-guardrailidentifier", "g"),
                ("x-amz-date", "20200101T000000Z"),
                ("accept", "text/plain"),
            ]
        ),
    )
    assert sent == [("x-amzn-bedrock-guardrailidentifier", "g")]
    [target] = targets(tmp_path, "aws-sagemaker", "e", None, auth_data=KEY)
    sent = forwarded_headers(
        target,
        FakeHeaders(
            [("x-amzn-sagemaker-inference-component", "other"), ("x-amzn-sagemaker-session-id", "s")]
        ),
    )
    assert sent == [("x-amzn-sagemaker-session-id", "s")]


def test_sagemaker(tmp_path: Path) -> None:
    """One path for all calls, signed for its own service."""
    [target] = targets(tmp_path, "aws-sagemaker", "my-endpoint", None, auth_data=KEY)
    assert target.base_url == "https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/my-endpoint"
    assert target.account_url == "https://runtime.sagemaker.us-east-1.amazonaws.com"
    assert target.one_path == OnePath("/invocations", "/invocations-response-stream")
    assert (target.dialect, target.provider) == ("openai", "aws.sagemaker")
    assert target.signing == AwsSigning("sagemaker", "us-east-1", "AKID", "canary-secret")
    assert all(target.quirks[name].is_nameless for name in ("chat", "completion", "embedding"))


def test_an_inference_component(tmp_path: Path) -> None:
    """Chooses one of an endpoint's models, and is the operator's to choose."""
    manifest = {
        "type": "provider-account/aws-sagemaker",
        "name": "aws",
        "region": "us-east-1",
        "auth_data": KEY,
        "integrations": [{"name": "m", "model_id": "e", "inference_component": "qwen"}],
    }
    [target] = targets_of(tmp_path, manifest, **ENVIRON)
    assert target.headers == (("x-amzn-sagemaker-inference-component", "qwen"),)
    assert b"x-amzn-sagemaker-inference-component: qwen\r\n" in target.lines.whole
