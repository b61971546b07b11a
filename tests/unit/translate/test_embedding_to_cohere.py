"""Texts embedded by Cohere for callers of OpenAI's."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

import pytest
from hypothesis import given

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Usage
from gateway.translate import embedding_to_cohere
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of

TARGET: Final = make_target(dialect="cohere", model_id="embed-v4.0")
REPLY: Final = json.dumps(
    {
        "id": "e-1",
        "embeddings": {"float": [[0.5, -0.25], [1, 0]]},
        "texts": ["a", "b"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4.0}},
    }
).encode()


def call_of(**members: Any) -> Call:
    body = json.dumps({"model": "acct/small", **members}).encode()
    return parse_call(EMBEDDING, body, model=None, account=None)


@pytest.mark.parametrize(
    ("members", "more"),
    [
        ({"input": "a"}, {"texts": ["a"], "input_type": "search_document"}),
        (
            {"input": ["a", "b"], "input_type": "search_query"},
            {"texts": ["a", "b"], "input_type": "search_query"},
        ),
        (
            {"input": ["a"], "dimensions": 256, "truncate": "NONE", "encoding_format": "base64"},
            {"texts": ["a"], "input_type": "search_document", "output_dimension": 256, "truncate": "NONE"},
        ),
    ],
)
def test_calls(members: dict[str, Any], more: dict[str, Any]) -> None:
    """In Cohere's words; what a text is for is a document to be found, unless the call says otherwise."""
    body, left_out = embedding_to_cohere.write(call_of(**members), TARGET)
    assert json.loads(body) == {"model": "embed-v4.0", "embedding_types": ["float"], **more}
    assert left_out == ()


def test_what_is_left_out() -> None:
    """Named, or refused where the operator wants that."""
    assert embedding_to_cohere.write(call_of(input="a", user="u"), TARGET)[1] == ("user",)
    strict = make_target(dialect="cohere", unsupported="reject")
    with pytest.raises(UnsupportedParameter):
        embedding_to_cohere.write(call_of(input="a", user="u"), strict)


@pytest.mark.parametrize("asked", [[1, 2], [[1, 2]]])
def test_tokens_are_refused(asked: Any) -> None:
    """They are OpenAI's, and mean something else to Cohere."""
    with pytest.raises(UnsupportedParameter):
        embedding_to_cohere.write(call_of(input=asked), TARGET)


@pytest.mark.parametrize("asked", [None, [], {}, ["a", None], 7])
def test_no_input(asked: Any) -> None:
    """The caller's mistake."""
    with pytest.raises(InvalidBody):
        embedding_to_cohere.write(call_of(input=asked), TARGET)


def test_reply() -> None:
    """In OpenAI's shape, with what was billed."""
    body, facts = embedding_to_cohere.read(call_of(input=["a", "b"]), REPLY, started_at_ns=0)
    assert json.loads(body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]},
            {"object": "embedding", "index": 1, "embedding": [1, 0]},
        ],
        "model": "acct/small",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert facts.usage == Usage(4, None, "provider")


def test_base64() -> None:
    """As OpenAI's SDKs ask for it and unpack it: four bytes a number, the lowest first."""
    call = call_of(input=["a", "b"], encoding_format="base64")
    body, _ = embedding_to_cohere.read(call, REPLY, started_at_ns=0)
    packed = json.loads(body)["data"][0]["embedding"]
    assert struct.unpack("<2f", base64.b64decode(packed)) == (0.5, -0.25)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b'{"embeddings":[]}',
        b'{"embeddings":{"int8":[[1]]}}',
        b'{"embeddings":{}}',
        b'{"embeddings":{"float":[]}}',
        REPLY,
    ],
    ids=["page", "nothing", "list", "other-type", "no-type", "empty", "too-many"],
)
def test_no_reply(body: bytes) -> None:
    """Nothing that was asked for."""
    with pytest.raises(UpstreamBadReply):
        embedding_to_cohere.read(call_of(input="a"), body, started_at_ns=0)


@given(json_of("float", "embeddings", "meta", "billed_units", "input_tokens"))
def test_any_reply(value: Any) -> None:
    """Whatever comes is told or is no reply, also where numbers are wanted packed."""
    for form in ("float", "base64"):
        whole = {"embeddings": value, "meta": value}
        try:
            body, _ = embedding_to_cohere.read(
                call_of(input="a", encoding_format=form), json.dumps(whole).encode(), started_at_ns=0
            )
        except GatewayError:
            continue
        assert json.loads(body)["object"] == "list"
