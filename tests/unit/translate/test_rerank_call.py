"""Calls that rank documents, as servers that have their own words for it get them."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import RERANK
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call
from gateway.translate.rerank_call import Ranking, likelihood, read_error, with_documents, write_ranks
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of

TARGET: Final = make_target()


def call_of(**members: Any) -> Call:
    body = json.dumps({"model": "acct/small", **members}).encode()
    return parse_call(RERANK, body, model=None, account=None)


def ranking(**members: Any) -> Ranking:
    return Ranking(call_of(**{"query": "q", "documents": ["a", "b"], **members}), TARGET)


@pytest.mark.parametrize(
    ("document", "fields", "text"),
    [
        ("a", None, "a"),
        ({"text": "a", "id": 1}, None, "a"),
        ({"text": "a", "id": 1}, ["id", "text"], '{"id":1,"text":"a"}'),
        ({"text": "a"}, ["title"], "a"),
        ({"title": "a"}, None, '{"title":"a"}'),
        ({"text": 7}, None, '{"text":7}'),
    ],
)
def test_documents(document: Any, fields: Any, text: str) -> None:
    """A text as it is; of an object its text, or the fields that are named."""
    assert ranking(documents=[document], rank_fields=fields).documents == [text]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"query": None}, "query"),
        ({"query": {"text": "q"}}, "query"),
        ({"documents": "a"}, "documents"),
        ({"documents": []}, "documents"),
        ({"documents": [["a"]]}, "documents"),
        ({"top_n": "2"}, "top_n"),
        ({"top_n": True}, "top_n"),
    ],
)
def test_what_cannot_be_read(members: dict[str, Any], param: str) -> None:
    """The caller's mistake, and where."""
    with pytest.raises(InvalidBody) as caught:
        ranking(**members)
    assert caught.value.param == param


def test_pictures_are_refused() -> None:
    """Left out, the ranks of the others would be those of another list."""
    with pytest.raises(UnsupportedParameter):
        ranking(documents=["a", {"image": "x"}])


def test_what_is_left_out() -> None:
    """What the target has no word for is named, what it has one for is given."""
    read = ranking(x_new=1, truncate=True, return_documents=True)
    assert read.take("truncate", "raw_scores") == {"truncate": True}
    assert read.left_out.names == ["x_new"]


def test_ranks() -> None:
    """The best first and no more than wanted, with the documents where these are wanted."""
    call = call_of(query="q", documents=["a", {"title": "b"}, "c"], top_n=2, return_documents=True)
    body, facts = write_ranks(call, [(0, 0.1), (1, 1), (2, 0.5)], None)
    assert json.loads(body) == {
        "model": "acct/small",
        "results": [
            {"index": 1, "relevance_score": 1.0, "document": {"title": "b"}},
            {"index": 2, "relevance_score": 0.5, "document": {"text": "c"}},
        ],
    }
    assert facts.usage is None


@pytest.mark.parametrize("rank", [(None, 1), (0, None), ("0", 1), (0, "1"), (0, math.nan)])
def test_odd_ranks(rank: tuple[Any, Any]) -> None:
    """A rank of no document is no answer."""
    with pytest.raises(UpstreamBadReply):
        write_ranks(call_of(query="q", documents=["a"]), [rank], None)


def test_a_document_that_is_not_there() -> None:
    """A rank beyond the list comes back without one."""
    call = call_of(query="q", documents=["a"], return_documents=True)
    assert with_documents(call, [{"index": 5}, {"index": -1}, {"index": None}, 7]) == [
        {"index": 5},
        {"index": -1},
        {"index": None},
        {},
    ]


@pytest.mark.parametrize(
    ("body", "message", "kind"),
    [
        ({"error": "too long", "error_type": "Validation"}, "too long", "Validation"),
        ({"message": "no", "type": "not_found"}, "no", "not_found"),
        ({"error": {"message": "inner"}}, "inner", "api_error"),
        ({"detail": [{"loc": []}]}, "The provider answered with an error.", "api_error"),
    ],
)
def test_errors(body: dict[str, Any], message: str, kind: str) -> None:
    """Every server's own, in OpenAI's shape."""
    refusal = read_error(422, json.dumps(body).encode())
    assert refusal is not None
    error = json.loads(refusal.body)["error"]
    assert (refusal.status, error["message"], error["type"]) == (422, message, kind)
    assert read_error(502, b"<html>") is None


@given(st.floats(-800, 800))
def test_likelihood(logit: float) -> None:
    """Between 0 and 1 whatever the logit, and the other way round for its negative."""
    assert 0 <= likelihood(logit) <= 1
    assert math.isclose(likelihood(logit) + likelihood(-logit), 1)


@given(json_of("text", "image", "query"), json_of("text", "title"), json_of("text"))
def test_any_call(query: Any, documents: Any, more: Any) -> None:
    """Whatever a body holds is read or refused."""
    try:
        call = call_of(query=query, documents=documents, rank_fields=more, top_n=more)
        read = Ranking(call, TARGET)
    except GatewayError:
        return
    assert all(isinstance(text, str) for text in read.documents)
