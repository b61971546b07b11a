"""Replies of Google's that are no generated content."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from gateway.endpoints.gemini_catalogue import COMPUTE, COUNT, EMBED, EMBED_BATCH, PREDICT
from gateway.endpoints.gemini_counts import read_counted, read_interaction_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Usage
from tests.unit.translate.foreign_streams import json_of

VALUES = {"values": [0.5]}


@pytest.mark.parametrize(
    ("endpoint", "found", "usage"),
    [
        (COUNT, {"totalTokens": 31}, Usage(0, 0, "provider")),
        (COMPUTE, {"tokensInfo": [{"tokenIds": [1]}]}, Usage(0, 0, "provider")),
        (EMBED, {"embedding": VALUES}, Usage(10, 0, "estimated")),
        (EMBED, {"embedding": VALUES, "usageMetadata": {"promptTokenCount": 4}}, Usage(4, 0, "provider")),
        (EMBED_BATCH, {"embeddings": [VALUES]}, Usage(10, 0, "estimated")),
        (EMBED_BATCH, {}, Usage(10, 0, "estimated")),
        (EMBED, {"embedding": {"statistics": {"tokenCount": 3}}}, Usage(3, 0, "provider")),
        (
            PREDICT,
            {"predictions": [{"embeddings": {"statistics": {"token_count": n}, **VALUES}} for n in (3, 4.0)]},
            Usage(7, 0, "provider"),
        ),
        (PREDICT, {"predictions": [{"bytesBase64Encoded": "AAAA"}]}, Usage(None, None, "estimated")),
    ],
)
def test_usage(endpoint: Endpoint, found: dict[str, Any], usage: Usage) -> None:
    """As far as Google counts it; embeddings are no tokens of output, and counting is free."""
    assert read_counted(endpoint, found, asked_bytes=40).usage == usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "total_input_tokens": 9,
                "total_cached_tokens": 2,
                "total_output_tokens": 13,
                "total_tool_use_tokens": 1,
                "total_thought_tokens": 207,
            },
            Usage(10, 220, "provider", 2, 207),
        ),
        ({"total_input_tokens": 9}, Usage(9, 0, "provider")),
        ({"total_tokens": 9}, None),
        ([], None),
        (None, None),
    ],
)
def test_interactions(usage: object, expected: Usage | None) -> None:
    """Thoughts are output, as everywhere."""
    assert read_interaction_usage(usage) == expected


@pytest.mark.parametrize("endpoint", [COUNT, EMBED, PREDICT])
def test_no_answer(endpoint: Endpoint) -> None:
    """A reply that gives something else is none."""
    with pytest.raises(UpstreamBadReply, match="no answer"):
        read_counted(endpoint, {"candidates": []}, asked_bytes=40)


@given(json_of("embeddings", "embedding", "predictions", "statistics", "token_count", "usageMetadata"))
def test_any_json(value: Any) -> None:
    """Whatever a provider says is read or refused."""
    for endpoint in (COUNT, EMBED, PREDICT):
        try:
            read_counted(endpoint, value if isinstance(value, dict) else {"embedding": value}, asked_bytes=40)
        except UpstreamBadReply:
            continue
