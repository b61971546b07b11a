"""Embeddings of Google's models, for callers of OpenAI's API."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.openai_call import parse_call
from gateway.errors import InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate import embedding_to_gemini
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import read_recorded

GEMINI = make_target(dialect="gemini", model_id="gemini-embedding-001")
VERTEX = make_target(dialect="gemini", model_id="gemini-embedding-001", embeds_by="content")
OLDER = make_target(dialect="gemini", model_id="text-embedding-005", embeds_by="predict")


def call(**members: Any) -> Call:
    body = json.dumps({"model": "acct/small", "input": "hi", **members}).encode()
    return parse_call(EMBEDDING, body, model=None, account=None)


def written(target: Target, **members: Any) -> tuple[str, Any, tuple[str, ...]]:
    asked = call(**members)
    body, left_out = embedding_to_gemini.write(asked, target)
    return embedding_to_gemini.path(asked, target), json.loads(body), left_out


def read(reply: Any, **members: Any) -> tuple[dict[str, Any], Any]:
    body, facts = embedding_to_gemini.read(call(**members), json.dumps(reply).encode(), started_at_ns=0)
    return json.loads(body), facts.usage


def content(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"text": text}]}


def test_the_gemini_api() -> None:
    """Always takes a list, each of it with the model."""
    model = "models/gemini-embedding-001"
    path, body, left_out = written(GEMINI, input=["a", "b"], dimensions=64, encoding_format="base64")
    assert path == "/models/gemini-embedding-001:batchEmbedContents"
    assert body == {
        "requests": [
            {"model": model, "content": content(text), "outputDimensionality": 64} for text in ("a", "b")
        ]
    }
    assert left_out == ()
    assert written(GEMINI)[1] == {"requests": [{"model": model, "content": content("hi")}]}


def test_vertex() -> None:
    """Has a path for one text, and one for several."""
    path, body, _ = written(VERTEX, dimensions=64)
    assert path == "/models/gemini-embedding-001:embedContent"
    assert body == {"content": content("hi"), "embedContentConfig": {"outputDimensionality": 64}}
    assert written(VERTEX, input=["a"])[1] == {"content": content("a")}
    path, body, _ = written(VERTEX, input=["a", "b"], task_type="CLUSTERING", auto_truncate=False)
    assert path == "/models/gemini-embedding-001:batchEmbedContents"
    config = {"taskType": "CLUSTERING", "autoTruncate": False}
    assert body == {
        "requests": [{"content": content(text), "embedContentConfig": config} for text in ("a", "b")]
    }


def test_older_models_at_vertex() -> None:
    """Are asked for a prediction."""
    path, body, left_out = written(
        OLDER, input=["a", "b"], dimensions=64, task_type="CLUSTERING", title="t", auto_truncate=True
    )
    assert path == "/models/text-embedding-005:predict"
    assert body == {
        "instances": [{"content": text, "task_type": "CLUSTERING", "title": "t"} for text in ("a", "b")],
        "parameters": {"outputDimensionality": 64, "autoTruncate": True},
    }
    assert left_out == ()
    assert written(OLDER)[1] == {"instances": [{"content": "hi"}]}


def test_what_is_left_out() -> None:
    """Named; what is only Vertex's too."""
    assert written(GEMINI, user="u", auto_truncate=True, x=1)[2] == ("user", "auto_truncate", "x")
    assert written(VERTEX, user=None, auto_truncate=True)[2] == ()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": 7}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "64"}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_wrong_fields(members: dict[str, Any], param: str) -> None:
    """Are their caller's mistake, named."""
    with pytest.raises(InvalidBody) as caught:
        written(GEMINI, **members)
    assert caught.value.param == param


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]], ["a", 1]])
def test_tokens(tokens: Any) -> None:
    """Of OpenAI's tokenizer mean nothing to another model."""
    with pytest.raises(UnsupportedParameter, match="texts and no tokens"):
        written(GEMINI, input=tokens)


@pytest.mark.parametrize(
    ("reply", "tokens", "source"),
    [
        pytest.param(
            {
                "embeddings": [{"values": [0.5, -1]}, {"values": [2, 0]}],
                "usageMetadata": {"promptTokenCount": 7},
            },
            7,
            "provider",
            id="contents",
        ),
        pytest.param(
            {
                "predictions": [
                    {
                        "embeddings": {
                            "values": [0.5, -1],
                            "statistics": {"token_count": 4.0, "truncated": False},
                        }
                    },
                    {"embeddings": {"values": [2, 0], "statistics": {"token_count": 3}}},
                ],
                "metadata": {"billableCharacterCount": 4},
            },
            7,
            "provider",
            id="predictions",
        ),
        pytest.param(
            {
                "embeddings": [
                    {"values": [0.5, -1], "statistics": {"tokenCount": 4}},
                    {"values": [2, 0], "statistics": {"tokenCount": 3}},
                ]
            },
            7,
            "provider",
            id="statistics",
        ),
        pytest.param(
            {"embeddings": [{"values": [0.5, -1]}, {"values": [2, 0]}]}, 11, "estimated", id="uncounted"
        ),
    ],
)
def test_replies(reply: Any, tokens: int, source: str) -> None:
    """The vectors in the order of the texts, and what they cost, whichever way Google says so."""
    answer, usage = read(reply, input=["a", "b"])
    assert answer == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
            {"object": "embedding", "index": 1, "embedding": [2, 0]},
        ],
        "model": "acct/small",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (tokens, 0, source)


def test_one() -> None:
    """Vertex's answer for one text."""
    answer, usage = read({"embedding": {"values": [1.5]}, "usageMetadata": {"promptTokenCount": 2}})
    assert [item["embedding"] for item in answer["data"]] == [[1.5]]
    assert usage.input_tokens == 2


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_packed_vectors(values: list[float]) -> None:
    """As OpenAI's SDK unpacks them, which asks for this by default."""
    answer, _ = read({"embedding": {"values": values}}, encoding_format="base64")
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(values)}f", packed)) == values


@pytest.mark.parametrize(
    "reply",
    [
        {},
        [],
        {"embeddings": []},
        {"embeddings": [{"values": [1]}]},
        {"embeddings": [{"values": [1]}, {"values": "x"}]},
        {"predictions": [{"embeddings": {}}, {}]},
        {"error": {"code": 500}},
    ],
)
def test_replies_that_are_none(reply: Any) -> None:
    """Nor is one with fewer vectors than texts: callers would take them for others'."""
    with pytest.raises(UpstreamBadReply):
        read(reply, input=["a", "b"])


def test_errors() -> None:
    """Google's, in OpenAI's shape as of chat, also out of a list."""
    error = {"error": {"code": 404, "message": "why", "status": "NOT_FOUND"}}
    for body in (error, [error]):
        refusal = embedding_to_gemini.read_error(404, json.dumps(body).encode())
        assert refusal is not None
        said = {"message": "why", "type": "not_found_error", "param": None, "code": "model_not_found"}
        assert (refusal.status, json.loads(refusal.body)) == (404, {"error": said})
    assert embedding_to_gemini.read_error(503, b"<html>") is None


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Real answers of the Gemini API, to as many contents as were sent."""
    items = list(read_recorded(recordings, "gemini-batch-embed-contents"))
    counts = set()
    for item in items:
        texts = ["x"] * len(json.loads(item.body)["embeddings"])
        body, facts = embedding_to_gemini.read(call(input=texts), item.body, started_at_ns=0)
        vectors = [each["embedding"] for each in json.loads(body)["data"]]
        assert vectors == [each["values"] for each in json.loads(item.body)["embeddings"]]
        assert facts.usage.source == "estimated"
        counts.add(len(vectors))
    assert counts == {1, 2}
