"""The endpoints, as clients and conventions name them."""

from __future__ import annotations

from gateway.endpoints.catalogue import (
    CHAT,
    COMPLETION,
    COUNT_TOKENS,
    EMBEDDING,
    MESSAGES,
    MODEL_CALLS,
    MODEL_ROUTE,
    MODELS_ROUTE,
    SPEECH,
)


def test_endpoints() -> None:
    """Paths are the provider's own; operations those of the gen_ai conventions, where they have one."""
    rows = [(item.name, item.path, item.operation, item.can_stream) for item in MODEL_CALLS]
    assert rows == [
        ("chat", "/chat/completions", "chat", True),
        ("completion", "/completions", "text_completion", True),
        ("embedding", "/embeddings", "embeddings", False),
        ("messages", "/messages", "chat", True),
        ("count_tokens", "/messages/count_tokens", "count_tokens", False),
        ("responses", "/responses", "chat", True),
        ("responses", "/responses/compact", "compact", False),
        ("responses", "/responses/input_tokens", "count_tokens", False),
        ("rerank", "/rerank", "rerank", False),
        ("moderation", "/moderations", "moderation", False),
        ("image", "/images/generations", "image_generation", True),
        ("text_to_speech", "/audio/speech", "text_to_speech", False),
    ]


def test_replies() -> None:
    """Only completions are read as such; speech is passed on as it comes."""
    assert [item for item in MODEL_CALLS if item.reply == "completion"] == [
        CHAT, COMPLETION, EMBEDDING, MESSAGES, COUNT_TOKENS,
    ]  # fmt: skip
    assert [item for item in MODEL_CALLS if item.reply == "bytes"] == [SPEECH]


def test_what_counts_tokens() -> None:
    """Where a provider counts no tokens none are made up."""
    assert [item.operation for item in MODEL_CALLS if item.counts_tokens] == [
        "chat", "text_completion", "embeddings", "chat", "count_tokens", "chat", "compact",
    ]  # fmt: skip


def test_routes_are_canonical() -> None:
    """`http.route` is the path below `/v1`, whatever prefix a client uses."""
    assert [item.route for item in MODEL_CALLS] == ["/v1" + item.path for item in MODEL_CALLS]
    assert (MODELS_ROUTE, MODEL_ROUTE) == ("/v1/models", "/v1/models/{model}")
