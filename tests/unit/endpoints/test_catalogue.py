"""The endpoints, as clients and conventions name them."""

from __future__ import annotations

from gateway.endpoints.catalogue import (
    CHAT,
    COMPLETION,
    COUNT_TOKENS,
    EMBEDDING,
    MESSAGES,
    MODEL_CALLS,
    MODELS_ROUTE,
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
    ]
    assert (CHAT, COMPLETION, EMBEDDING, MESSAGES, COUNT_TOKENS) == MODEL_CALLS
    assert {item.name for item in MODEL_CALLS if item.dialect == "anthropic"} == {"messages", "count_tokens"}


def test_routes_are_canonical() -> None:
    """`http.route` is the path below `/v1`, whatever prefix a client uses."""
    assert [item.route for item in MODEL_CALLS] == ["/v1" + item.path for item in MODEL_CALLS]
    assert MODELS_ROUTE == "/v1/models"
