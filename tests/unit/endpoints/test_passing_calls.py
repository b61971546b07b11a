"""Which paths that are passed on unread are calls of a model."""

from __future__ import annotations

import pytest

from gateway.endpoints.passing_calls import costs_tokens


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions",
        "/v1/chat/completions",
        "/openai/deployments/gpt/chat/completions",
        "/v1/completions",
        "/fim/completions",
        "/embeddings",
        "/api/embeddings",
        "/responses",
        "/openai/v1/responses/compact",
        "/messages",
        "/v1/messages",
        "/anthropic/v1/messages",
        "/v1/messages/",
        "/v2/chat",
        "/chat",
        "/api/chat",
        "/api/generate",
        "/generate",
        "/v2/embed",
        "/api/embed",
        "/v1beta/interactions",
        "/model/eu.anthropic.claude-v1%3A0/converse",
        "/model/a/converse-stream",
        "/model/a/invoke",
        "/endpoints/a/invocations",
        "/model/a/invoke-with-response-stream",
        "/v1beta/models/gemini-x:generateContent",
        "/v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict",
        "/v1beta/models/e:batchEmbedContents",
    ],
)
def test_calls(path: str) -> None:
    """However much of the path is in the account's base URL."""
    assert costs_tokens(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/files",
        "/v1/files",
        "/batches",
        "/v1/messages/count_tokens",
        "/v1/messages/batches",
        "/v1/conversations",
        "/v1/threads/thread_1/messages",
        "/threads/thread_1/messages",
        "/v1/responses/resp_1/cancel",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/images/generations",
        "/v1/images/generate",
        "/v1/audio/speech",
        "/v1/moderations",
        "/v2/rerank",
        "/v1beta/models/gemini-x:countTokens",
        "/model/a/count-tokens",
        "/invoke",
        "/mycompletions",
        "/assistants",
    ],
)
def test_others(path: str) -> None:
    """What is read, made, counted or drawn costs no tokens until its reply says so."""
    assert not costs_tokens(path)
