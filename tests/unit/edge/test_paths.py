"""Which paths lead where."""

from __future__ import annotations

import pytest

from gateway.edge.paths import CALL_PATHS, MODELS_PATHS
from gateway.endpoints.catalogue import CHAT, COMPLETION, COUNT_TOKENS, EMBEDDING, MESSAGES

PREFIXES = [
    "", "/v1", "/api/llm", "/api/llm/v1", "/api/inference/openai", "/api/inference/openai/v1",
    "/api/llm/api/inference/openai", "/api/llm/api/inference/openai/v1",
]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_base_url_works(prefix: str) -> None:
    """TrueFoundry's base URLs, OpenAI's and Anthropic's lead to the same endpoints."""
    assert CALL_PATHS[prefix + "/chat/completions"] is CHAT
    assert CALL_PATHS[prefix + "/completions"] is COMPLETION
    assert CALL_PATHS[prefix + "/embeddings"] is EMBEDDING
    assert CALL_PATHS[prefix + "/messages"] is MESSAGES
    assert CALL_PATHS[prefix + "/messages/count_tokens"] is COUNT_TOKENS
    assert prefix + "/models" in MODELS_PATHS


def test_no_other_path() -> None:
    """Nothing else is served by accident."""
    assert (len(CALL_PATHS), len(MODELS_PATHS)) == (5 * len(PREFIXES), len(PREFIXES))
