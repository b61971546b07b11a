"""Labels that callers write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.telemetry import metadata_labels
from gateway.telemetry.call_notes import NO_NOTES, CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.metadata_labels import VARIABLE, MetadataLabels, read_keys
from gateway.telemetry.secrets_in_spans import KnownSecrets
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


def test_what_the_gateway_knows_is_masked_too() -> None:
    """As on spans: the keys of providers, and tokens of other callers, of which only hashes are known."""
    known = KnownSecrets(("provider-canary",), lambda word: word == "canary-token-2")
    trace = noted(team="a provider-canary", app="b canary-token-2")
    trace.telemetry = replace(trace.telemetry, known=known)
    assert MetadataLabels(("team", "app")).of(trace) == (
        "llm_gateway_metadata_team=a ***",
        "llm_gateway_metadata_app=b ***",
    )


def test_masking_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one text and one caller; of very many the masked ones are not kept."""
    monkeypatch.setattr(metadata_labels, "_MAX_KEPT", 2)
    asked: list[str] = []

    def is_token(word: str) -> bool:
        asked.append(word)
        return False

    labels = MetadataLabels(("team",))
    for team, token in [("search-1", "one"), ("search-1", "one"), ("search-1", "two"), ("search-2", "two")]:
        trace = noted(team=team)
        trace.headers = FakeHeaders([("authorization", f"Bearer canary-token-{token}")])
        trace.telemetry = replace(trace.telemetry, known=KnownSecrets(is_token=is_token))
        assert labels.of(trace) == (f"llm_gateway_metadata_team={team}",)
    assert asked == ["search-1", "search-1", "search-2"]
    assert len(labels._kept) == 1


def test_masking_follows_the_configuration() -> None:
    """What was masked by an earlier one is masked anew."""
    labels = MetadataLabels(("team",))
    trace = noted(team="my provider-canary")
    assert labels.of(trace) == ("llm_gateway_metadata_team=my provider-canary",)
    trace.telemetry = replace(trace.telemetry, known=KnownSecrets(("provider-canary",)))
    trace.config_version = "next"
    assert labels.of(trace) == ("llm_gateway_metadata_team=my ***",)


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
