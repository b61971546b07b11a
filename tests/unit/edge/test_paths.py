"""Which paths lead where."""

from __future__ import annotations

import pytest

from gateway.edge.paths import CALL_PATHS, MODELS_PATHS, find_model_name, find_passage
from gateway.endpoints.catalogue import CHAT, COMPLETION, COUNT_TOKENS, EMBEDDING, MESSAGES, MODEL_CALLS
from gateway.endpoints.openai_paths import OTHER, PROXY

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
    """Nothing else is a call by accident."""
    assert (len(CALL_PATHS), len(MODELS_PATHS)) == (len(MODEL_CALLS) * len(PREFIXES), len(PREFIXES))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_paths_of_openai(prefix: str) -> None:
    """Every path of OpenAI's API works below every base URL, and keeps its escapes."""
    asked = find_passage(prefix + "/files/f%20l/content")
    assert asked is not None
    assert (asked.endpoint.route, asked.path, asked.prefix) == (
        "/v1/files/{file_id}/content", "/files/f%20l/content", prefix,
    )  # fmt: skip
    assert (asked.account, asked.is_openai) == ("", True)


@pytest.mark.parametrize("base", ["", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"])
def test_proxy(base: str) -> None:
    """The account stands in the path, what follows is the provider's."""
    asked = find_passage(base + "/proxy/main/v1/messages")
    assert asked is not None
    assert (asked.endpoint, asked.account, asked.path) == (PROXY, "main", "/v1/messages")
    assert (asked.prefix, asked.is_openai) == (base + "/proxy/main", False)


def test_other_paths_below_v1() -> None:
    """A path that OpenAI does not have is one of another API, below /v1 only."""
    asked = find_passage("/api/llm/v1/rerank")
    assert asked is not None
    assert (asked.endpoint, asked.path, asked.prefix, asked.is_openai) == (
        OTHER, "/rerank", "/api/llm/v1", False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/rerank",
        "/v2/files",
        "//v1/files",
        "/api/llm",
        "/proxy",
        "/proxy/main",
        "/proxyx/main/x",
    ],
)
def test_what_is_nothing(path: str) -> None:
    """Whatever else is no path here."""
    assert find_passage(path) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/models/main/gpt-4o", "main/gpt-4o"),
        ("/v1/models/main%2Fgpt-4o", "main/gpt-4o"),
        ("/api/llm/models/x", "x"),
        ("/v1/models/", ""),
        ("/v1/models", None),
        ("/v1/modelsx/y", None),
    ],
)
def test_model_names(path: str, name: str | None) -> None:
    """A model's name has a slash in it, which SDKs escape."""
    assert find_model_name(path) == name
