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
RESPONSE: Final = Endpoint(
    name="responses",
    path="/responses",
    route="/v1/responses",
    operation="chat",
    can_stream=True,
    reply="object",
)
COMPACTION: Final = Endpoint(
    name="responses",
    path="/responses/compact",
    route="/v1/responses/compact",
    operation="compact",
    can_stream=False,
    reply="object",
)
TOKEN_COUNT: Final = Endpoint(
    name="responses",
    path="/responses/input_tokens",
    route="/v1/responses/input_tokens",
    operation="count_tokens",
    can_stream=False,
    reply="object",
    counts_tokens=False,
)
RERANK: Final = Endpoint(
    name="rerank",
    path="/rerank",
    route="/v1/rerank",
    operation="rerank",
    can_stream=False,
    reply="object",
    counts_tokens=False,
)
MODERATION: Final = Endpoint(
    name="moderation",
    path="/moderations",
    route="/v1/moderations",
    operation="moderation",
    can_stream=False,
    reply="object",
    counts_tokens=False,
)
IMAGE: Final = Endpoint(
    name="image",
    path="/images/generations",
    route="/v1/images/generations",
    operation="image_generation",
    can_stream=True,
    reply="object",
    counts_tokens=False,
)
SPEECH: Final = Endpoint(
    name="text_to_speech",
    path="/audio/speech",
    route="/v1/audio/speech",
    operation="text_to_speech",
    can_stream=False,
    reply="bytes",
    counts_tokens=False,
)

MODEL_CALLS: Final = (
    CHAT,
    COMPLETION,
    EMBEDDING,
    MESSAGES,
    COUNT_TOKENS,
    RESPONSE,
    COMPACTION,
    TOKEN_COUNT,
    RERANK,
    MODERATION,
    IMAGE,
    SPEECH,
)
MODELS_ROUTE: Final = "/v1/models"
MODEL_ROUTE: Final = "/v1/models/{model}"
