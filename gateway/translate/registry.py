"""Which pair carries which endpoint to which dialect: one row each."""

from __future__ import annotations

from typing import Final

from gateway.endpoints.catalogue import RERANK, RESPONSE, SPEECH
from gateway.errors import UnsupportedParameter
from gateway.model import Dialect, Endpoint, RerankApi, Target
from gateway.translate import (
    anthropic_relay,
    chat_to_cohere,
    chat_to_converse,
    chat_to_gemini,
    chat_to_messages,
    converse_relay,
    embedding_to_bedrock,
    embedding_to_cohere,
    embedding_to_gemini,
    embedding_to_nomic,
    gemini_relay,
    invoke_relay,
    messages_to_chat,
    messages_to_cohere,
    messages_to_converse,
    messages_to_gemini,
    object_relay,
    ollama_relay,
    openai_relay,
    rerank_relay,
    rerank_to_bedrock,
    rerank_to_cohere,
    rerank_to_nemo,
    rerank_to_tei,
    rerank_to_vertex,
    responses_to_chat,
    responses_to_converse,
    responses_to_gemini,
    responses_to_messages,
)
from gateway.translate.pair import Pair

PAIRS: Final[dict[tuple[str, Dialect], Pair]] = {
    ("chat", "openai"): openai_relay,
    ("completion", "openai"): openai_relay,
    ("embedding", "openai"): openai_relay,
    ("embedding", "nomic"): embedding_to_nomic,
    ("chat", "anthropic"): chat_to_messages,
    ("chat", "gemini"): chat_to_gemini,
    ("embedding", "gemini"): embedding_to_gemini,
    ("chat", "cohere"): chat_to_cohere,
    ("embedding", "cohere"): embedding_to_cohere,
    ("embedding", "converse"): embedding_to_bedrock,
    ("chat", "converse"): chat_to_converse,
    ("responses", "openai"): object_relay,
    ("moderation", "openai"): object_relay,
    ("image", "openai"): object_relay,
    ("text_to_speech", "openai"): object_relay,
    ("messages", "openai"): messages_to_chat,
    ("messages", "cohere"): messages_to_cohere,
    ("messages", "anthropic"): anthropic_relay,
    ("messages", "gemini"): messages_to_gemini,
    ("messages", "converse"): messages_to_converse,
    ("count_tokens", "anthropic"): anthropic_relay,
    ("generate_content", "gemini"): gemini_relay,
    ("count_content_tokens", "gemini"): gemini_relay,
    ("embed_content", "gemini"): gemini_relay,
    ("predict", "gemini"): gemini_relay,
    ("rerank", "openai"): rerank_relay,
    ("rerank", "cohere"): rerank_to_cohere,
    ("rerank", "converse"): rerank_to_bedrock,
    ("converse", "converse"): converse_relay,
    ("count_model_tokens", "converse"): converse_relay,
    ("invoke_model", "converse"): invoke_relay,
}
"""By the endpoint's name and the target's dialect."""

_RESPONSES: Final[dict[Dialect, Pair]] = {
    "openai": responses_to_chat,
    "anthropic": responses_to_messages,
    "gemini": responses_to_gemini,
    "converse": responses_to_converse,
}
"""For the targets that have no Responses API; what else is asked below `/responses` they cannot do."""

_RERANKS: Final[dict[RerankApi, Pair]] = {
    "tei": rerank_to_tei,
    "nemo": rerank_to_nemo,
    "vertex": rerank_to_vertex,
}
"""For the targets whose dialect has no ranks, and which rank in their own words."""


def find_pair(endpoint: Endpoint, target: Target) -> Pair | None:
    """The way from *endpoint* to *target*, None when there is none."""
    if endpoint.name == "responses" and not target.has_responses:
        return _RESPONSES.get(target.dialect) if endpoint is RESPONSE else None
    if endpoint is RERANK and target.rerank_api:
        return _RERANKS[target.rerank_api]
    quirks = target.quirks.get(endpoint.name)
    if quirks is not None and quirks.repeats_index:
        return ollama_relay
    return PAIRS.get((endpoint.name, target.dialect))


def pair_of(endpoint: Endpoint, target: Target) -> Pair:
    """The way from *endpoint* to *target*.

    Raises:
        UnsupportedParameter: There is none.
    """
    # Of most calls it is the last look-up of `find_pair`, without the call of that.
    pair = PAIRS.get((endpoint.name, target.dialect))
    if pair is None or endpoint.reply == "object" or target.quirks:
        pair = find_pair(endpoint, target)
    if pair is None:
        message = f"{target.name} does not answer {endpoint.route}. Ask another model for that."
        raise UnsupportedParameter(message, param="model")
    return pair


def can_answer(endpoint: Endpoint, target: Target) -> bool:
    """Whether *target* can be asked for *endpoint*; what is passed on as it is, by who speaks the same."""
    if endpoint.reply == "bytes" and endpoint is not SPEECH:
        return endpoint.dialect == target.dialect
    return find_pair(endpoint, target) is not None
