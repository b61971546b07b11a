"""Reading replies of Google's that are no generated content: counts of tokens, embeddings, predictions.

Interactions, which are passed on, are read for what they used alone.

Shapes: https://ai.google.dev/api/tokens , https://ai.google.dev/api/embeddings ,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api ,
https://ai.google.dev/api/interactions-api
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.gemini_reply import read_generated_usage
from gateway.endpoints.openai_reply import BYTES_PER_TOKEN, ReplyFacts, count_of, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, Usage

NOTHING_SPENT: Final = Usage(0, 0, "provider")
"""Of a call that no model answers: counting tokens is free."""

_ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    "count_content_tokens": ("totalTokens", "tokensInfo", "totalBillableCharacters"),
    "embed_content": ("embedding", "embeddings"),
    "predict": ("predictions", "metadata"),
}
"""What a reply must have one of, by the endpoint's name."""


def read_counted(endpoint: Endpoint, found: dict[str, Any], *, asked_bytes: int) -> ReplyFacts:
    """What a whole reply says of itself.

    Args:
        endpoint: What was asked.
        found: The body, decoded.
        asked_bytes: Size of the call, for the estimate when the provider reports no usage.

    Raises:
        UpstreamBadReply: It lacks what the endpoint must give.
    """
    # Google leaves out what is empty, so a reply may be an empty object where nothing was asked.
    if found and not any(name in found for name in _ANSWERS[endpoint.name]):
        raise UpstreamBadReply("The provider's reply has no answer in it.")
    if endpoint.name == "count_content_tokens":
        usage: Usage | None = NOTHING_SPENT
    else:
        usage = read_generated_usage(found.get("usageMetadata")) or _read_statistics(found)
    if usage is None:
        # Embeddings are no tokens, and nobody counts pictures in any.
        asked_tokens = asked_bytes // BYTES_PER_TOKEN if endpoint.counts_tokens else None
        usage = Usage(asked_tokens, 0 if endpoint.counts_tokens else None, "estimated")
    elif usage.output_tokens is None:
        usage = Usage(usage.input_tokens, 0, "provider")
    return ReplyFacts(
        response_id="", response_model=text_of(found.get("modelVersion")), finish_reasons=(), usage=usage
    )


def read_interaction_usage(usage: object) -> Usage | None:
    """What an interaction used, as Google counts it there; None when it gave none that makes sense.

    Thoughts are beside the output, and what tools put into the prompt beside the input.
    """
    if not isinstance(usage, dict):
        return None
    asked, said = count_of(usage.get("total_input_tokens")), count_of(usage.get("total_output_tokens"))
    if asked is None and said is None:
        return None
    thought = count_of(usage.get("total_thought_tokens"))
    by_tools = count_of(usage.get("total_tool_use_tokens"))
    return Usage(
        input_tokens=(asked or 0) + (by_tools or 0),
        output_tokens=(said or 0) + (thought or 0),
        source="provider",
        cached_input_tokens=count_of(usage.get("total_cached_tokens")),
        reasoning_output_tokens=thought,
    )


def _read_statistics(found: dict[str, Any]) -> Usage | None:
    """The tokens that Vertex counts beside each embedding, None when it counted none."""
    counts: list[int] = []
    candidates = [found.get("embedding")]
    for name in ("embeddings", "predictions"):
        listed = found.get(name)
        candidates += listed if isinstance(listed, list) else []
    for candidate in candidates:
        match candidate:
            case {"statistics": dict(statistics)} | {"embeddings": {"statistics": dict(statistics)}}:
                told = statistics.get("token_count") or statistics.get("tokenCount")
                # A number without a type of its own is written with a point.
                count = count_of(int(told) if isinstance(told, float) and told.is_integer() else told)
                counts += [] if count is None else [count]
    return Usage(sum(counts), 0, "provider") if counts else None
