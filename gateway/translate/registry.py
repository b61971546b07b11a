"""Which pair carries which endpoint to which dialect: one row each."""

from __future__ import annotations

from typing import Final

from gateway.errors import UnsupportedParameter
from gateway.model import Dialect, Endpoint, Target
from gateway.translate import anthropic_relay, chat_to_messages, messages_to_chat, openai_relay
from gateway.translate.pair import Pair

PAIRS: Final[dict[tuple[str, Dialect], Pair]] = {
    ("chat", "openai"): openai_relay,
    ("completion", "openai"): openai_relay,
    ("embedding", "openai"): openai_relay,
    ("chat", "anthropic"): chat_to_messages,
    ("messages", "openai"): messages_to_chat,
    ("messages", "anthropic"): anthropic_relay,
    ("count_tokens", "anthropic"): anthropic_relay,
}
"""By the endpoint's name and the target's dialect."""


def pair_of(endpoint: Endpoint, target: Target) -> Pair:
    """The way from *endpoint* to *target*.

    Raises:
        UnsupportedParameter: There is none.
    """
    pair = PAIRS.get((endpoint.name, target.dialect))
    if pair is None:
        message = f"{target.name} does not answer {endpoint.route}. Ask another model for that."
        raise UnsupportedParameter(message, param="model")
    return pair
