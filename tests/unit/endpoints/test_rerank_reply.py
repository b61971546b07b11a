"""Replies that rank documents, and what they say they used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.rerank_reply import read_cohere_meta, read_rerank, read_rerank_usage, whole_count
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded


@requires("recordings")
def test_recorded(recordings: Path) -> None:
    """Cohere counts searches and no tokens."""
    (item,) = read_recorded(recordings, "cohere-rerank")
    facts = read_rerank(item.body)
    assert facts.usage == Usage(None, None, "provider", search_units=1)
    assert facts.response_id == "a2c52bb8-3297-4630-b008-62283af7dd4a"


@pytest.mark.parametrize(
    ("told", "tokens"),
    [
        ({"total_tokens": 15}, 15),
        ({"prompt_tokens": 12, "total_tokens": 12}, 12),
        ({"prompt_tokens": 0, "total_tokens": 9}, 9),
        ({"input_tokens": 7}, 7),
        ({"total_tokens": "many"}, None),
        ({}, None),
        (None, None),
        ([1], None),
    ],
)
def test_tokens(told: Any, tokens: int | None) -> None:
    """Whatever name a server has for what it read."""
    assert read_rerank_usage(told) == (None if tokens is None else Usage(tokens, None, "provider"))


def test_what_cohere_bills() -> None:
    """Searches, or tokens, or both; without either nothing is made up."""
    assert read_cohere_meta({"billed_units": {"search_units": 2.0, "input_tokens": 9}}) == Usage(
        9, None, "provider", search_units=2
    )
    assert read_cohere_meta({"billed_units": {"images": 1}}) is None
    assert read_cohere_meta({"billed_units": None}) is None
    assert read_cohere_meta(None) is None


@pytest.mark.parametrize(
    ("value", "count"), [(3, 3), (3.0, 3), (3.5, None), (-1, None), (True, None), ("3", None), (1e300, None)]
)
def test_whole_counts(value: object, count: int | None) -> None:
    """A count may be written as a fraction that is none."""
    assert whole_count(value) == count


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"results":{}}', b'{"results":[],"error":"x"}'])
def test_no_reply(body: bytes) -> None:
    """What ranks nothing is no answer, and nothing to rank is one."""
    with pytest.raises(UpstreamBadReply):
        read_rerank(body)
    assert read_rerank(b'{"results":[]}').usage is None


@given(
    st.dictionaries(
        st.sampled_from(["id", "model", "results", "usage", "meta", "billed_units"]),
        st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["billed_units", "search_units", "total_tokens"]), inner)
            ),
            max_leaves=8,
        ),
    )
)
def test_any_reply(members: dict[str, Any]) -> None:
    """Whatever a server answers is read, or is no reply."""
    try:
        facts = read_rerank(json.dumps(members).encode())
    except UpstreamBadReply:
        return
    assert isinstance(facts.response_id, str)
