"""The endpoints, one row each."""

from __future__ import annotations

from typing import Final

from gateway.model import Endpoint

CHAT: Final = Endpoint(
    name="chat",
    path="/chat/completions",
    route="/v1/chat/completions",
    operation="chat",
    can_stream=True,
)
COMPLETION: Final = Endpoint(
    name="completion",
    path="/completions",
    route="/v1/completions",
    operation="text_completion",
    can_stream=True,
)
EMBEDDING: Final = Endpoint(
    name="embedding",
    path="/embeddings",
    route="/v1/embeddings",
    operation="embeddings",
    can_stream=False,
)

MODEL_CALLS: Final = (CHAT, COMPLETION, EMBEDDING)
MODELS_ROUTE: Final = "/v1/models"
