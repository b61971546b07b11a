"""What is asked of Google's API below `/gemini/{account}/proxy`, one row each.

Calls of a model are told by the word behind the colon. All else is passed on for the account as a whole.

Words: https://ai.google.dev/api/generate-content , https://ai.google.dev/api/embeddings and
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.publishers.models
"""

from __future__ import annotations

from typing import Final

from gateway.endpoints.path_tree import REST
from gateway.model import Endpoint

_ROUTE: Final = "/gemini/{account}/proxy"
_MODEL: Final = "/models/{model}"
_EVENTS: Final = b"text/event-stream"
_ARRAY: Final = b"application/json"
# Which members of a reply are sent: without its usage nobody knows what it cost, without its reason to end
# whether it is whole.
_KEPT: Final = frozenset({"model", "fields", "$fields"})


def _call(
    name: str, verb: str, operation: str, *, stream_type: bytes = b"", counts_tokens: bool = True
) -> Endpoint:
    return Endpoint(
        name=name,
        path=f"{_MODEL}:{verb}",
        route=f"{_ROUTE}{_MODEL}:{verb}",
        operation=operation,
        can_stream=bool(stream_type),
        dialect="gemini",
        counts_tokens=counts_tokens,
        stream_type=stream_type or _EVENTS,
        kept_parameters=_KEPT,
    )


GENERATE: Final = _call("generate_content", "generateContent", "generate_content")
STREAM: Final = _call("generate_content", "streamGenerateContent", "generate_content", stream_type=_EVENTS)
ARRAY: Final = _call("generate_content", "streamGenerateContent", "generate_content", stream_type=_ARRAY)
"""The same stream as one JSON array, which Google sends to those who do not ask for `alt=sse`."""

COUNT: Final = _call("count_content_tokens", "countTokens", "count_tokens", counts_tokens=False)
COMPUTE: Final = _call("count_content_tokens", "computeTokens", "count_tokens", counts_tokens=False)
EMBED: Final = _call("embed_content", "embedContent", "embeddings")
EMBED_BATCH: Final = _call("embed_content", "batchEmbedContents", "embeddings")
PREDICT: Final = _call("predict", "predict", "predict", counts_tokens=False)
"""How Vertex's older models of embeddings and those of images are asked."""

CALLS: Final[dict[str, Endpoint]] = {
    "generateContent": GENERATE,
    "streamGenerateContent": STREAM,
    "countTokens": COUNT,
    "computeTokens": COMPUTE,
    "embedContent": EMBED,
    "batchEmbedContents": EMBED_BATCH,
    "predict": PREDICT,
}
"""By the word behind the colon."""


def _passed(path: str, name: str) -> Endpoint:
    return Endpoint(
        name=name,
        path=path,
        route=_ROUTE + path,
        operation=name,
        can_stream=False,
        dialect="gemini",
        reply="bytes",
        counts_tokens=False,
    )


MODELS: Final = _passed("/models", "models")
MODEL: Final = _passed(_MODEL, "models")
PASSED: Final = _passed(f"/{REST}", "proxy")
"""Whatever else Google has; what is known by its first word is in `AREAS`."""

AREAS: Final[dict[str, Endpoint]] = {
    area: _passed(f"/{area}/{REST}", area)
    for area in (
        *("agents", "auth_tokens", "batches", "batchPredictionJobs", "cachedContents", "corpora"),
        *("credentials", "decisions", "dynamic", "environments", "fileSearchStores", "files"),
        *("generatedFiles", "interactions", "operations", "triggers", "tunedModels", "tuningJobs"),
        *("voices", "webhooks"),
    )
}
"""What is passed on, by the first word of its path."""
