"""Embeddings calls for Nomic, and its answers back."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.errors import UnsupportedParameter, UpstreamBadReply
from gateway.translate import embedding_to_nomic
from tests.unit.makers import make_target
from tests.unit.translate.test_embedding_lists import make_embedding_call

TARGET: Final = make_target(dialect="nomic", model_id="nomic-embed-text-v1.5")


def test_write() -> None:
    """Its names for what it knows; the rest is left out by name."""
    call = make_embedding_call(
        input=["a", "b"], dimensions=64, encoding_format="base64", user="u", task_type="search_query"
    )
    body, dropped = embedding_to_nomic.write(call, TARGET)
    assert json.loads(body) == {
        "model": "nomic-embed-text-v1.5",
        "texts": ["a", "b"],
        "dimensionality": 64,
        "task_type": "search_query",
    }
    assert dropped == ("user",)
    assert embedding_to_nomic.path(call, TARGET) == "/embedding/text"


def test_tokens_are_refused() -> None:
    """They mean something to OpenAI's models alone."""
    with pytest.raises(UnsupportedParameter):
        embedding_to_nomic.write(make_embedding_call(input=[[1, 2]]), TARGET)


def test_read() -> None:
    """OpenAI's list, and Nomic's own count."""
    answer = {
        "embeddings": [[0.5, 1]],
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "model": "nomic-embed-text-v1.5",
    }
    body, facts = embedding_to_nomic.read(make_embedding_call(), json.dumps(answer).encode(), started_at_ns=0)
    found = json.loads(body)
    assert found["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, 1]}]
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert (facts.response_model, facts.usage.input_tokens, facts.usage.source) == (
        "nomic-embed-text-v1.5",
        3,
        "provider",
    )


def test_without_usage() -> None:
    """Then it is an estimate, and says so."""
    _, facts = embedding_to_nomic.read(make_embedding_call(), b'{"embeddings":[[1]]}', started_at_ns=0)
    assert (facts.usage.output_tokens, facts.usage.source) == (0, "estimated")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"embeddings":[]}',
        b'{"embeddings":[1]}',
        b'{"detail":"no"}',
        b"\xff",
        b'{"embeddings":[[1],[2]]}',
    ],
)
def test_bad_replies(body: bytes) -> None:
    """A success without embeddings is a failure of the provider's."""
    with pytest.raises(UpstreamBadReply):
        embedding_to_nomic.read(make_embedding_call(), body, started_at_ns=0)


@pytest.mark.parametrize(
    ("status", "body", "message", "kind"),
    [
        (401, {"detail": "no key"}, "no key", "authentication_error"),
        (
            422,
            {"detail": [{"loc": ["body", "texts"], "msg": "field required", "type": "missing"}]},
            "field required",
            "invalid_request_error",
        ),
        (429, {"message": "slow down"}, "slow down", "rate_limit_error"),
        (500, {}, "The provider answered with an error.", "server_error"),
    ],
)
def test_errors(status: int, body: Any, message: str, kind: str) -> None:
    """Under its status, in OpenAI's shape."""
    refusal = embedding_to_nomic.read_error(status, json.dumps(body).encode())
    assert refusal is not None
    assert refusal.status == status
    assert json.loads(refusal.body)["error"] == {
        "message": message,
        "type": kind,
        "param": None,
        "code": None,
    }


def test_no_error_that_could_be_read() -> None:
    """HTML is none."""
    assert embedding_to_nomic.read_error(502, b"<html>") is None
