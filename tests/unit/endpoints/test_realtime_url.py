"""Where sessions go."""

from __future__ import annotations

import pytest

from gateway.endpoints.realtime_url import query_model, realtime_url
from tests.unit.makers import make_target

OPENAI = make_target(base_url="https://a/v1", model_id="rt-1")
DATED = make_target(
    base_url="https://a/openai/deployments/rt-1",
    account_url="https://a/openai",
    query="?api-version=2025",
    model_id="rt-1",
)


@pytest.mark.parametrize(
    ("query", "openai", "dated"),
    [
        ("", "model=rt-1", "deployment=rt-1"),
        ("model=acct%2Fsmall", "model=rt-1", "deployment=rt-1"),
        ("model=x&a=b&api-version=1&deployment=y", "a=b&api-version=1&model=rt-1", "a=b&deployment=rt-1"),
        ("intent=transcription&model=x", "intent=transcription", "intent=transcription&deployment=rt-1"),
        ("intent=realtime", "intent=realtime&model=rt-1", "intent=realtime&deployment=rt-1"),
        ("call_id=c1&model=x", "call_id=c1", "call_id=c1&deployment=rt-1"),
    ],
)
def test_url(query: str, openai: str, dated: str) -> None:
    """The model is the target's, all else the caller's."""
    assert realtime_url(OPENAI, query) == f"https://a/v1/realtime?{openai}"
    assert realtime_url(DATED, query) == f"https://a/openai/realtime?api-version=2025&{dated}"


@pytest.mark.parametrize(("query", "model"), [("", ""), ("a=b&model=x%2Fy+z", "x/y z"), ("models=x", "")])
def test_query_model(query: str, model: str) -> None:
    """The model as the query names it."""
    assert query_model(query) == model
