"""Texts embedded by models of Bedrock for callers of OpenAI's."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Usage
from gateway.translate import embedding_to_bedrock
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of

TITAN: Final = "amazon.titan-embed-text-v1"
TITAN_2: Final = "amazon.titan-embed-text-v2:0"
TITAN_IMAGE: Final = "amazon.titan-embed-image-v1"
COHERE_3: Final = "cohere.embed-multilingual-v3"
COHERE: Final = "us.cohere.embed-v4:0"
NOVA: Final = "amazon.nova-2-multimodal-embeddings-v1:0"
MODELS: Final = (TITAN, TITAN_2, TITAN_IMAGE, COHERE_3, COHERE, NOVA)
PROFILE: Final = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/a1b2c3"
OF_TITAN: Final = (
    b'{"embedding":[0.5,-0.25],"inputTextTokenCount":4,"embeddingsByType":{"float":[0.5,-0.25]}}'
)
OF_NOVA: Final = b'{"embeddings":[{"embeddingType":"TEXT","embedding":[0.5,-0.25]}]}'
OF_COHERE: Final = (
    b'{"id":"e-1","embeddings":[[0.5,-0.25]],"response_type":"embeddings_floats","texts":["a"]}'
)
BY_TYPE: Final = b'{"id":"e-1","embeddings":{"float":[[0.5,-0.25]]},"response_type":"embeddings_by_type"}'


def call_of(**members: Any) -> Call:
    body = json.dumps({"model": "acct/small", **members}).encode()
    return parse_call(EMBEDDING, body, model=None, account=None)


def written(model_id: str, **members: Any) -> tuple[Any, tuple[str, ...]]:
    body, left_out = embedding_to_bedrock.write(
        call_of(**members), make_target(dialect="converse", model_id=model_id)
    )
    return json.loads(body), left_out


def nova(**members: Any) -> dict[str, Any]:
    return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": members}


@pytest.mark.parametrize(
    ("model_id", "members", "expected"),
    [
        (TITAN, {}, {"inputText": "a"}),
        (TITAN, {"dimensions": 1536}, {"inputText": "a"}),
        (
            TITAN_2,
            {"dimensions": 256, "normalize": False},
            {"inputText": "a", "dimensions": 256, "normalize": False},
        ),
        (
            TITAN_IMAGE,
            {"dimensions": 384},
            {"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}},
        ),
        (
            COHERE_3,
            {"dimensions": 1024, "truncate": "END"},
            {
                "texts": ["a"],
                "input_type": "search_document",
                "embedding_types": ["float"],
                "truncate": "END",
            },
        ),
        (
            COHERE,
            {"dimensions": 512, "input_type": "search_query", "max_tokens": 9},
            {
                "texts": ["a"],
                "input_type": "search_query",
                "embedding_types": ["float"],
                "output_dimension": 512,
                "max_tokens": 9,
            },
        ),
        (
            NOVA,
            {},
            nova(embeddingPurpose="GENERIC_INDEX", text={"truncationMode": "NONE", "value": "a"}),
        ),
        (
            NOVA,
            {"dimensions": 384, "input_type": "search_query", "truncate": "END"},
            nova(
                embeddingPurpose="GENERIC_RETRIEVAL",
                embeddingDimension=384,
                text={"truncationMode": "END", "value": "a"},
            ),
        ),
        (
            NOVA,
            {"input_type": "TEXT_RETRIEVAL"},
            nova(embeddingPurpose="TEXT_RETRIEVAL", text={"truncationMode": "NONE", "value": "a"}),
        ),
    ],
)
def test_calls(model_id: str, members: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each in its maker's words; a null says nothing."""
    assert written(model_id, input="a", **members) == (expected, ())
    absent = {"dimensions": None, "input_type": None} if model_id in (COHERE, NOVA) else {}
    assert written(model_id, input=["a"], encoding_format="base64", **(absent | members)) == (expected, ())


def test_the_path() -> None:
    """An invocation of the model, whose id may be an ARN."""
    target = make_target(dialect="converse", model_id=COHERE)
    assert embedding_to_bedrock.path(call_of(input="a"), target) == "/model/us.cohere.embed-v4%3A0/invoke"


def test_several_texts() -> None:
    """Cohere's take them together, Amazon's are asked for one at a time."""
    assert written(COHERE, input=["a", "b"])[0]["texts"] == ["a", "b"]
    for model_id in (TITAN, TITAN_2, TITAN_IMAGE, NOVA):
        with pytest.raises(UnsupportedParameter, match="one text a call, and this one has 2") as caught:
            written(model_id, input=["a", "b"])
        assert caught.value.param == "input"


@pytest.mark.parametrize(("model_id", "length"), [(TITAN, 1536), (COHERE_3, 1024)])
def test_lengths_that_are_fixed(model_id: str, length: int) -> None:
    """Vectors of another length than asked for are of no use to an index."""
    with pytest.raises(UnsupportedParameter, match=f"gives {length} dimensions") as caught:
        written(model_id, input="a", dimensions=256)
    assert caught.value.param == "dimensions"


def test_a_profile_of_ones_own() -> None:
    """Its ARN says nothing, so the name here does; where that says nothing either, the error does."""
    named = make_target(name="acct/Titan-Embed-Text-v2", dialect="converse", model_id=PROFILE)
    body, _ = embedding_to_bedrock.write(call_of(input="a", dimensions=256), named)
    assert json.loads(body) == {"inputText": "a", "dimensions": 256}
    with pytest.raises(UnsupportedParameter, match="not known to embed") as caught:
        written("anthropic.claude-sonnet-4-5", input="a")
    assert caught.value.param == "model"


def test_what_is_left_out() -> None:
    """Named, or refused where the operator wants that."""
    assert written(TITAN, input="a", user="u", normalize=True)[1] == ("user", "normalize")
    assert written(NOVA, input="a", max_tokens=9)[1] == ("max_tokens",)
    strict = make_target(dialect="converse", model_id=TITAN, unsupported="reject")
    with pytest.raises(UnsupportedParameter):
        embedding_to_bedrock.write(call_of(input="a", user="u"), strict)


@pytest.mark.parametrize("asked", [[1, 2], [[1, 2]]])
def test_tokens_are_refused(asked: Any) -> None:
    """They are OpenAI's."""
    with pytest.raises(UnsupportedParameter):
        written(COHERE, input=asked)


@pytest.mark.parametrize("asked", [None, [], {}, ["a", None], 7])
def test_no_input(asked: Any) -> None:
    """The caller's mistake."""
    with pytest.raises(InvalidBody):
        written(TITAN, input=asked)


@pytest.mark.parametrize(
    "reply", [OF_TITAN, OF_NOVA, OF_COHERE, BY_TYPE], ids=["titan", "nova", "floats", "types"]
)
def test_replies(reply: bytes) -> None:
    """In OpenAI's shape, also packed as OpenAI's SDKs ask for it."""
    body, _ = embedding_to_bedrock.read(call_of(input="a"), reply, started_at_ns=0)
    told = json.loads(body)
    assert told["data"] == [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
    assert (told["object"], told["model"]) == ("list", "acct/small")
    body, _ = embedding_to_bedrock.read(
        call_of(input=["a"], encoding_format="base64"), reply, started_at_ns=0
    )
    packed = json.loads(body)["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.5, -0.25)


def test_usage() -> None:
    """As Titan counts; of the others a guess, until the headers say it."""
    body, facts = embedding_to_bedrock.read(call_of(input="a"), OF_TITAN, started_at_ns=0)
    assert facts.usage == Usage(4, None, "provider")
    assert json.loads(body)["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    _, facts = embedding_to_bedrock.read(call_of(input="a"), OF_COHERE, started_at_ns=0)
    assert (facts.response_id, facts.usage.source, facts.usage.output_tokens) == ("e-1", "estimated", None)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"embedding":null,"message":"no"}',
        b'{"embeddings":{"int8":[[1]]}}',
        b'{"embeddings":[{"embeddingType":"TEXT"}]}',
        b'{"embeddings":[[1],[2]]}',
        b'{"embeddings":[7]}',
    ],
)
def test_no_reply(body: bytes) -> None:
    """Nothing that was asked for."""
    with pytest.raises(UpstreamBadReply):
        embedding_to_bedrock.read(call_of(input="a"), body, started_at_ns=0)


def test_an_error() -> None:
    """Bedrock's, in OpenAI's shape."""
    refusal = embedding_to_bedrock.read_error(429, b'{"message":"Too many requests"}')
    assert refusal is not None
    assert json.loads(refusal.body)["error"]["code"] == "rate_limit_exceeded"


@given(
    st.sampled_from(MODELS),
    json_of("input", "input_type", "truncate"),
    json_of("dimensions", "normalize", "max_tokens"),
)
def test_any_call(model_id: str, asked: Any, value: Any) -> None:
    """Whatever is asked is written or refused."""
    names = ("dimensions", "input_type", "truncate", "normalize", "max_tokens", "encoding_format", "x")
    for members in (
        {"input": asked},
        {"input": "a", **dict.fromkeys(names[:-2], value)},
        dict.fromkeys(names, value),
    ):
        try:
            body, _ = written(model_id, **members)
        except GatewayError:
            continue
        assert isinstance(body, dict)


@given(json_of("float", "embedding", "embeddings", "inputTextTokenCount"))
def test_any_reply(value: Any) -> None:
    """Whatever comes is told or is no reply, also where numbers are wanted packed."""
    for whole in ({"embedding": value}, {"embeddings": value}, {"embeddings": [value]}, value):
        for form in ("float", "base64"):
            try:
                body, _ = embedding_to_bedrock.read(
                    call_of(input="a", encoding_format=form), json.dumps(whole).encode(), started_at_ns=0
                )
            except GatewayError:
                continue
            assert json.loads(body)["object"] == "list"
