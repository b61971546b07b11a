"""Which pair carries which endpoint to which dialect: one row each."""

from __future__ import annotations

from typing import Final

from gateway.endpoints.catalogue import RESPONSE
from gateway.errors import UnsupportedParameter
from gateway.model import Dialect, Endpoint, Target
from gateway.translate import (
    anthropic_relay,
    chat_to_converse,
    chat_to_messages,
    converse_relay,
    embedding_to_nomic,
    invoke_relay,
    messages_to_chat,
    messages_to_converse,
    object_relay,
    openai_relay,
    responses_to_chat,
    responses_to_messages,
)
from gateway.translate.pair import Pair

PAIRS: Final[dict[tuple[str, Dialect], Pair]] = {
    ("chat", "openai"): openai_relay,
    ("completion", "openai"): openai_relay,
    ("embedding", "openai"): openai_relay,
    ("embedding", "nomic"): embedding_to_nomic,
    ("chat", "anthropic"): chat_to_messages,
    ("chat", "converse"): chat_to_converse,
    ("responses", "openai"): object_relay,
    ("moderation", "openai"): object_relay,
    ("image", "openai"): object_relay,
    ("text_to_speech", "openai"): object_relay,
    ("messages", "openai"): messages_to_chat,
    ("messages", "anthropic"): anthropic_relay,
    ("messages", "converse"): messages_to_converse,
    ("count_tokens", "anthropic"): anthropic_relay,
    ("converse", "converse"): converse_relay,
    ("count_model_tokens", "converse"): converse_relay,
    ("invoke_model", "converse"): invoke_relay,
}
"""By the endpoint's name and the target's dialect."""

_RESPONSES: Final[dict[Dialect, Pair]] = {"openai": responses_to_chat, "anthropic": responses_to_messages}
"""For the targets that have no Responses API; what else is asked below `/responses` they cannot do."""


def pair_of(endpoint: Endpoint, target: Target) -> Pair:
    """The way from *endpoint* to *target*.

    Raises:
        UnsupportedParameter: There is none.
    """
    pair = PAIRS.get((endpoint.name, target.dialect))
    if endpoint.name == "responses" and not target.has_responses:
        pair = _RESPONSES.get(target.dialect) if endpoint is RESPONSE else None
    if pair is None:
        message = f"{target.name} does not answer {endpoint.route}. Ask another model for that."
        raise UnsupportedParameter(message, param="model")
    return pair
