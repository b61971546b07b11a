"""Which paths lead where."""

from __future__ import annotations

import pytest

from gateway.edge.paths import (
    CALL_PATHS,
    MODELS_PATHS,
    find_bedrock,
    find_gemini,
    find_misplaced,
    find_model_name,
    find_passage,
)
from gateway.endpoints.catalogue import (
    CHAT,
    COMPLETION,
    COUNT_TOKENS,
    EMBEDDING,
    MESSAGES,
    MODEL_CALLS,
    RERANK,
)
from gateway.endpoints.gemini_catalogue import GENERATE, PASSED
from gateway.endpoints.openai_paths import OTHER, PROXY
from gateway.model import Dialect

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
    assert CALL_PATHS[prefix + "/rerank"] is RERANK
    assert CALL_PATHS[prefix + "/messages/count_tokens"] is COUNT_TOKENS
    assert prefix + "/models" in MODELS_PATHS


def test_no_other_path() -> None:
    """Nothing else is a call by accident."""
    of_second_version = [f"{base}/v2/rerank" for base in PREFIXES[::2]]
    assert all(CALL_PATHS[path] is RERANK for path in of_second_version)
    calls = len(MODEL_CALLS) * len(PREFIXES) + len(of_second_version)
    assert (len(CALL_PATHS), len(MODELS_PATHS)) == (calls, len(PREFIXES))


@pytest.mark.parametrize("prefix", PREFIXES)
def test_paths_of_openai(prefix: str) -> None:
    """Every path of OpenAI's API works below every base URL, and keeps its escapes."""
    asked = find_passage(prefix + "/files/f%20l/content", "openai")
    assert asked is not None
    assert (asked.endpoint.route, asked.path, asked.prefix) == (
        "/v1/files/{file_id}/content", "/files/f%20l/content", prefix,
    )  # fmt: skip
    assert (asked.account, asked.dialect) == ("", "openai")


@pytest.mark.parametrize("base", ["", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"])
def test_proxy(base: str) -> None:
    """The account stands in the path, what follows is the provider's."""
    asked = find_passage(base + "/proxy/main/v1/messages", "openai")
    assert asked is not None
    assert (asked.endpoint, asked.account, asked.path) == (PROXY, "main", "/v1/messages")
    assert (asked.prefix, asked.dialect) == (base + "/proxy/main", None)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_paths_of_anthropic(prefix: str, dialect: Dialect) -> None:
    """A path that only Anthropic has is its, whatever the caller's headers are."""
    asked = find_passage(prefix + "/messages/batches/b_1", dialect)
    assert asked is not None
    assert (asked.endpoint.route, asked.path, asked.prefix, asked.dialect) == (
        "/v1/messages/batches/{message_batch_id}", "/messages/batches/b_1", prefix, "anthropic",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "speaks", "dialect"),
    [
        ("/v1/files/f", "openai", "openai"),
        ("/v1/files/f", "anthropic", "anthropic"),
        ("/v1/skills", "anthropic", "anthropic"),
        ("/v1/batches", "anthropic", "openai"),
        ("/v1/vector_stores", "anthropic", "openai"),
    ],
)
def test_paths_of_both(path: str, speaks: Dialect, dialect: Dialect) -> None:
    """Where both have a path the caller's headers decide, and nowhere else."""
    asked = find_passage(path, speaks)
    assert asked is not None
    assert (asked.dialect, asked.endpoint.dialect) == (dialect, dialect)


def test_other_paths_below_v1() -> None:
    """A path that OpenAI does not have is one of another API, below /v1 only."""
    asked = find_passage("/api/llm/v1/rerank", "openai")
    assert asked is not None
    assert (asked.endpoint, asked.path, asked.prefix, asked.dialect) == (
        OTHER, "/rerank", "/api/llm/v1", None,
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
    assert find_passage(path, "openai") is None


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


@pytest.mark.parametrize("base", ["", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai"])
def test_google_s_paths(base: str) -> None:
    """Below every base URL, with the account in the path and the rest as it was written."""
    asked = find_gemini(f"{base}/gemini/my%20google/proxy/v1beta/models/m:generateContent", "")
    assert asked is not None
    assert (asked.endpoint, asked.account, asked.model) == (GENERATE, "my google", "m")
    assert (asked.prefix, asked.path) == (
        f"{base}/gemini/my%20google/proxy",
        "/v1beta/models/m:generateContent",
    )
    whole = find_gemini(f"{base}/gemini/main/proxy", "")
    assert whole is not None
    assert (whole.path, whole.endpoint) == ("", PASSED)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_bedrock(prefix: str) -> None:
    """Bedrock's own paths have a place below every base URL, and keep their escapes."""
    asked = find_bedrock(f"{prefix}/bedrock/proxy/model/a%2Fb/converse")
    assert asked is not None
    assert (asked.prefix, asked.path, asked.model) == (
        f"{prefix}/bedrock/proxy", "/model/a%2Fb/converse", "a/b",
    )  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "/gemini/main", "/gemini/main/", "/gemini//proxy/x", "/gemini/main/proxies/x", "/gemini/",
        "/proxy/gemini/proxy/x", "/v1/gemini/main/proxy/x", "/files/gemini/x", "/v1/chat/completions",
    ],
)  # fmt: skip
def test_no_google_s_paths(path: str) -> None:
    """Anything else is none of its."""
    assert find_gemini(path, "") is None


@pytest.mark.parametrize(
    "path",
    [
        "/bedrock/proxy",
        "/bedrock/proxy/",
        "/bedrock/proxyx",
        "/x/bedrock/proxy/y",
        "/bedrock/model/m/converse",
    ],
)
def test_what_is_no_path_of_bedrock(path: str) -> None:
    """The place alone, and what only looks like it."""
    assert find_bedrock(path) is None


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1beta/models/m:generateContent", "gemini"),
        ("/models/a/b:batchEmbedContents", "gemini"),
        ("/model/a.b%3A0/converse-stream", "converse"),
        ("/v1/model/a/b/invoke", "converse"),
        ("/v1/models/ft:gpt:org::id", None),
        ("/proxy/main/v1beta/models/m:generateContent", None),
        ("/proxy/main/model/m/converse", None),
        ("/model/m/converse/x", None),
    ],
)
def test_calls_in_the_wrong_place(path: str, dialect: Dialect | None) -> None:
    """Known by their ends, where nobody names an account for what the path says."""
    found = find_misplaced(path)
    assert (found and found[0]) == dialect
