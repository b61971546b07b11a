"""OpenAI's embeddings for targets with other words: what is asked, and the list that comes back."""

from __future__ import annotations

import base64
import json
from array import array
from typing import Any, Final

import msgspec
import pytest

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Usage
from gateway.translate.embedding_lists import (
    MAX_TEXTS,
    check_count,
    read_texts,
    text_count,
    with_usage,
    write_list,
    write_numbers,
)
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target

USAGE: Final = Usage(7, None, "provider")


def make_embedding_call(**members: Any) -> Call:
    body = json.dumps({"model": "a/b", "input": "hi", **members}).encode()
    return parse_call(EMBEDDING, body, model=None, account=None)


@pytest.mark.parametrize(("asked", "texts"), [("hi", ["hi"]), (["a", "b"], ["a", "b"])])
def test_texts(asked: object, texts: list[str]) -> None:
    """One or several."""
    assert read_texts({"input": asked}, LeftOut(make_target())) == texts


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({}, InvalidBody, "input"),
        ({"input": []}, InvalidBody, "input"),
        ({"input": 5}, InvalidBody, "input"),
        ({"input": ["a", 5]}, InvalidBody, "input"),
        ({"input": ["a"] * (MAX_TEXTS + 1)}, InvalidBody, "input"),
        ({"input": [1, 2]}, UnsupportedParameter, "input"),
        ({"input": [[1, 2]]}, UnsupportedParameter, "input"),
        ({"input": "a", "encoding_format": "int8"}, InvalidBody, "encoding_format"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], error: type[GatewayError], param: str) -> None:
    """Tokens are OpenAI's; what is neither text nor tokens is a mistake, and so are too many."""
    with pytest.raises(error) as raised:
        read_texts(fields, LeftOut(make_target()))
    assert raised.value.param == param


def test_floats() -> None:
    """Numbers stay the digits they were."""
    vectors = [msgspec.Raw(b"[0.10,-2]"), msgspec.Raw(b"[1e-3]")]
    body = write_list(make_embedding_call(), vectors, model="m", usage=USAGE)
    assert b'"embedding":[0.10,-2]' in body
    assert json.loads(body) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.1, -2]},
            {"object": "embedding", "index": 1, "embedding": [0.001]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_base64() -> None:
    """As OpenAI's SDKs read it: 32 bits a number."""
    call = make_embedding_call(encoding_format="base64")
    body = write_list(call, [msgspec.Raw(b"[0.5,-2]")], model="m", usage=USAGE)
    numbers = array("f", base64.b64decode(json.loads(body)["data"][0]["embedding"]))
    assert list(numbers) == [0.5, -2]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_numbers(encoding: str) -> None:
    """Make the same list as the text of them does."""
    call, vectors = make_embedding_call(encoding_format=encoding), [[0.5, -2.0], [1.25]]
    texts = [msgspec.Raw(json.dumps(vector).encode()) for vector in vectors]
    told = write_list(call, texts, model="m", usage=USAGE)
    assert json.loads(write_numbers(call, vectors, model="m", usage=USAGE)) == json.loads(told)


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("vector", [b"1", b"null", b'"abc"'])
def test_no_vector(vector: bytes, encoding: str) -> None:
    """Nothing else is passed on as one."""
    call = make_embedding_call(encoding_format=encoding)
    with pytest.raises(ValueError, match="no list"):
        write_list(call, [msgspec.Raw(vector)], model="m", usage=USAGE)


def test_another_usage() -> None:
    """Takes the place of the first, and nothing else changes."""
    body = write_list(make_embedding_call(), [msgspec.Raw(b"[0.10,-2]")], model="m", usage=USAGE)
    counted = with_usage(body, Usage(9, None, "provider"))
    assert counted == body.replace(b":7", b":9")


@pytest.mark.parametrize(
    ("asked", "count"), [("a", 1), (["a"], 1), (["a", "b"], 2), (None, 0), ({"a": 1}, 0)]
)
def test_how_many_texts(asked: Any, count: int) -> None:
    """A text alone is one; what is refused is asked too, for its trace."""
    assert text_count(make_embedding_call(input=asked)) == count


@pytest.mark.parametrize(("asked", "found"), [("a", 1), (["a"], 1), (["a", "b", ""], 3)])
def test_a_vector_for_each_text(asked: Any, found: int) -> None:
    """Neither more nor fewer: nobody knew which is whose."""
    call = make_embedding_call(input=asked)
    check_count(call, [[]] * found, b"")
    for wrong in (found - 1, found + 1):
        with pytest.raises(UpstreamBadReply, match=f"{wrong} embeddings for {found} texts"):
            check_count(call, [[]] * wrong, b"")
