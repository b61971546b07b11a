"""Labels that callers write."""

from __future__ import annotations

import pytest

from gateway.telemetry.call_notes import NO_NOTES, CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.metadata_labels import VARIABLE, MetadataLabels, read_keys
from tests.unit.doubles import FakeHeaders
from tests.unit.telemetry.traces import make_answered_trace


def noted(**metadata: str) -> CallTrace:
    trace = make_answered_trace()
    trace.notes = CallNotes(metadata=metadata)
    return trace


def test_named_members_are_labels() -> None:
    """In the order of the keys; others, and empty values, are none."""
    labels = MetadataLabels(("team", "app", "stage"))
    assert labels.of(noted(app="shop", team="se=arch", other="x", stage="")) == (
        "llm_gateway_metadata_team=se=arch",
        "llm_gateway_metadata_app=shop",
    )
    assert labels.of(noted(other="x")) == ()


def test_nothing_is_asked_for_or_noted() -> None:
    """Then there are no labels."""
    trace = make_answered_trace()
    assert trace.notes is NO_NOTES
    assert MetadataLabels(("team",)).of(trace) == ()
    assert MetadataLabels().of(noted(team="search")) == ()


def test_names_are_such_as_prometheus_takes() -> None:
    """Of two keys with one name the first stays: a label twice is no sample."""
    assert MetadataLabels(("a.b", "a-b", "é")).of(noted(**{"a.b": "1", "a-b": "2", "é": "3"})) == (
        "llm_gateway_metadata_a_b=1",
        "llm_gateway_metadata__=3",
    )


def test_credentials_are_masked() -> None:
    """Those of the request, and what has the form of one: metrics are read by more people than logs."""
    trace = noted(team="my canary-token-1", key="sk-abcdefghijklmnop1234")
    trace.headers = FakeHeaders([("authorization", "Bearer canary-token-1")])
    assert MetadataLabels(("team", "key")).of(trace) == (
        "llm_gateway_metadata_team=my ***",
        "llm_gateway_metadata_key=[REDACTED]",
    )


@pytest.mark.parametrize(
    ("text", "keys"),
    [(None, ()), ("", ()), ("[]", ()), ('["a","b","a"]', ("a", "b"))],
    ids=["absent", "empty", "none", "some"],
)
def test_keys_of_the_environment(text: str | None, keys: tuple[str, ...]) -> None:
    """Each once."""
    assert read_keys({} if text is None else {VARIABLE: text}) == keys


@pytest.mark.parametrize("text", ["team", '{"a":1}', "[1]", "[" * 100_000, str([f"k{n}" for n in range(17)])])
def test_keys_that_are_none(text: str) -> None:
    """The message says what is wanted."""
    with pytest.raises(ValueError, match=r'must be a JSON list of at most 16 keys, such as \["team"\]'):
        read_keys({VARIABLE: text.replace("'", '"')})
