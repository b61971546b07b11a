"""Which model a path names, and what is asked of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_catalogue import (
    CONVERSE,
    CONVERSE_STREAM,
    COUNT_TOKENS,
    INVOKE,
    INVOKE_STREAM,
    OTHER,
)
from gateway.endpoints.bedrock_paths import read_bedrock_path
from gateway.model import Endpoint

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0"


@pytest.mark.parametrize(
    ("path", "endpoint", "model"),
    [
        ("/model/aws%2Fnova/converse", CONVERSE, "aws/nova"),
        ("/model/aws/nova/converse-stream", CONVERSE_STREAM, "aws/nova"),
        ("/model/amazon.nova-lite-v1%3A0/invoke", INVOKE, "amazon.nova-lite-v1:0"),
        ("/model/amazon.nova-lite-v1:0/invoke-with-response-stream", INVOKE_STREAM, "amazon.nova-lite-v1:0"),
        (f"/model/{ARN.replace(':', '%3A').replace('/', '%2F')}/count-tokens", COUNT_TOKENS, ARN),
        (f"/model/{ARN}/converse", CONVERSE, ARN),
        ("/model/converse", OTHER, ""),
        ("/model//converse", OTHER, ""),
        ("/model/m/unknown", OTHER, ""),
        ("/guardrail/g/version/1/apply", OTHER, ""),
        ("/async-invoke", OTHER, ""),
    ],
)
def test_paths(path: str, endpoint: Endpoint, model: str) -> None:
    """Escaped as SDKs do it, or not."""
    found = read_bedrock_path(path, "/api/llm/bedrock/proxy")
    assert found is not None
    assert (found.endpoint, found.model, found.path) == (endpoint, model, path)
    assert found.prefix == "/api/llm/bedrock/proxy"


@pytest.mark.parametrize("path", ["", "/"])
def test_nothing(path: str) -> None:
    """Where nothing is asked for."""
    assert read_bedrock_path(path, "/bedrock/proxy") is None


@given(st.text(max_size=60))
def test_any_path(path: str) -> None:
    """Is read without a word, and goes on as it was written."""
    found = read_bedrock_path("/" + path, "")
    assert found is None or found.path == "/" + path
