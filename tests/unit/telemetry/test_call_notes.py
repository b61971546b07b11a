"""What callers note on their calls."""

from __future__ import annotations

import json

import pytest

from gateway.errors import InvalidBody
from gateway.telemetry import call_notes
from gateway.telemetry.call_notes import NO_NOTES, read_notes
from tests.unit.doubles import FakeHeaders


def test_nothing_noted() -> None:
    """It is known to be nothing, so that nothing is done for it."""
    assert read_notes(FakeHeaders()) is NO_NOTES


def test_everything_noted() -> None:
    """Metadata may have letters beyond ASCII: headers are bytes, JSON is UTF-8."""
    headers = FakeHeaders(
        [
            ("x-tfy-metadata", '{"team":"größe"}'.encode().decode("latin-1")),
            ("x-tfy-logging-config", '{"enabled":false,"tracing_project_fqn":"a:b"}'),
            ("x-tfy-conversation-id", " c-1 "),
        ]
    )
    notes = read_notes(headers)
    assert (notes.metadata, notes.conversation_id, notes.wants_content) == ({"team": "größe"}, "c-1", False)


def test_long_conversation_is_cut() -> None:
    """A name that nobody can read is no reason to refuse a call."""
    assert read_notes(FakeHeaders([("x-tfy-conversation-id", "c" * 999)])).conversation_id == "c" * 256


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("team=a", id="no JSON"),
        pytest.param("[]", id="no object"),
        pytest.param('{"a":1}', id="a number"),
        pytest.param('{"a":null}', id="null"),
        pytest.param('{"a":{"b":"c"}}', id="nested"),
        pytest.param('{"a":"b"}, {"a":"c"}', id="sent twice"),
        pytest.param('{"a":"\xff"}', id="no UTF-8"),
        pytest.param("[" * 9999, id="deep"),
        pytest.param(json.dumps({"a": "b" * 129}), id="a long value"),
        pytest.param(json.dumps({"a" * 129: "b"}), id="a long key"),
        pytest.param(json.dumps({str(number): "" for number in range(65)}), id="many keys"),
    ],
)
def test_malformed_metadata(text: str) -> None:
    """Refused, with the header's name."""
    with pytest.raises(InvalidBody, match="x-tfy-metadata") as caught:
        read_notes(FakeHeaders([("x-tfy-metadata", text)]))
    assert (caught.value.status, caught.value.param) == (400, "x-tfy-metadata")


def test_metadata_at_its_limits() -> None:
    """What is just allowed passes."""
    metadata = {f"{number:128}": "b" * 128 for number in range(64)}
    assert read_notes(FakeHeaders([("x-tfy-metadata", json.dumps(metadata))])).metadata == metadata


@pytest.mark.parametrize("text", ["", "true", "{}", '{"enabled":1}', '{"enabled":"yes"}', "[" * 9999])
def test_malformed_wish(text: str) -> None:
    """Refused, with the header's name: who forbids recording must not be misread."""
    with pytest.raises(InvalidBody, match="x-tfy-logging-config") as caught:
        read_notes(FakeHeaders([("x-tfy-logging-config", text)]))
    assert caught.value.param == "x-tfy-logging-config"


def test_long_metadata_is_not_kept() -> None:
    """It is read each time, so that many long ones take no memory."""
    before = call_notes._kept_metadata.cache_info().currsize
    for number in range(3):
        metadata = {f"key-{number}-{index}": "x" * 100 for index in range(60)}
        assert read_notes(FakeHeaders([("x-tfy-metadata", json.dumps(metadata))])).metadata == metadata
    assert call_notes._kept_metadata.cache_info().currsize == before


def test_given_metadata_alone() -> None:
    """A caller that writes nothing has what it is given."""
    assert read_notes(FakeHeaders(), {"team": "ml"}).metadata == {"team": "ml"}
    other = read_notes(FakeHeaders([("x-tfy-conversation-id", "c")]), {"team": "ml"})
    assert (other.metadata, other.conversation_id) == ({"team": "ml"}, "c")


def test_given_metadata_count_more() -> None:
    """Over what is written, and before it, where only the first are shown; what is kept stays as it was."""
    headers = FakeHeaders([("x-tfy-metadata", '{"job":"j","team":"mine"}')])
    notes = read_notes(headers, {"team": "ml", "region": "eu"})
    assert list(notes.metadata.items()) == [("team", "ml"), ("region", "eu"), ("job", "j")]
    assert read_notes(headers).metadata == {"job": "j", "team": "mine"}
