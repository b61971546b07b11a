"""The endpoints, one row each; `name` is what the rest of the gateway knows them by."""

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
MESSAGES: Final = Endpoint(
    name="messages",
    path="/messages",
    route="/v1/messages",
    operation="chat",
    can_stream=True,
    dialect="anthropic",
)
COUNT_TOKENS: Final = Endpoint(
    name="count_tokens",
    path="/messages/count_tokens",
    route="/v1/messages/count_tokens",
    operation="count_tokens",
    can_stream=False,
    dialect="anthropic",
)

MODEL_CALLS: Final = (CHAT, COMPLETION, EMBEDDING, MESSAGES, COUNT_TOKENS)
MODELS_ROUTE: Final = "/v1/models"
