"""The endpoints, as clients and conventions name them."""

from __future__ import annotations

from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING, MODEL_CALLS, MODELS_ROUTE


def test_endpoints() -> None:
    """Paths are OpenAI's, operations those of the gen_ai conventions, names those of `model_types`."""
    rows = [(item.name, item.path, item.operation, item.can_stream) for item in MODEL_CALLS]
    assert rows == [
        ("chat", "/chat/completions", "chat", True),
        ("completion", "/completions", "text_completion", True),
        ("embedding", "/embeddings", "embeddings", False),
    ]
    assert (CHAT, COMPLETION, EMBEDDING) == MODEL_CALLS


def test_routes_are_canonical() -> None:
    """`http.route` is the path below `/v1`, whatever prefix a client uses."""
    assert [item.route for item in MODEL_CALLS] == ["/v1" + item.path for item in MODEL_CALLS]
    assert MODELS_ROUTE == "/v1/models"
