"""Reading a whole reply of the Responses API."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.responses_reply import read_response, response_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded

USAGE: Final = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
    "output_tokens": 34,
    "output_tokens_details": {"reasoning_tokens": 6},
    "total_tokens": 46,
}
RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "model": "small-1",
    "status": "completed",
    "error": None,
    "output": [],
    "usage": USAGE,
}
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS: Final = st.sampled_from([*RESPONSE, "incomplete_details"])


def body(**more: Any) -> bytes:
    return json.dumps({**RESPONSE, **more}).encode()


def test_facts() -> None:
    """Ids, the status as finish reason, and every count of the usage."""
    facts = read_response(body(), asked_bytes=400)
    assert facts == ReplyFacts("resp_1", "small-1", ("completed",), Usage(12, 34, "provider", 5, 6, 2))


@pytest.mark.parametrize(
    ("more", "reasons"),
    [
        pytest.param(
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            ("content_filter",),
            id="why",
        ),
        pytest.param({"status": "incomplete", "incomplete_details": {}}, ("incomplete",), id="without why"),
        pytest.param({"status": "queued", "usage": None}, ("queued",), id="in the background"),
        pytest.param({"status": None}, (), id="no status"),
    ],
)
def test_finish_reason(more: dict[str, Any], reasons: tuple[str, ...]) -> None:
    """Why a response is incomplete says more than that it is."""
    assert read_response(body(**more), asked_bytes=400).finish_reasons == reasons


def test_usage_is_estimated_where_none_is_told() -> None:
    """Four bytes a token, marked as a guess."""
    usage = read_response(body(usage=None), asked_bytes=400).usage
    assert (usage.input_tokens, usage.source) == (100, "estimated")


@pytest.mark.parametrize(
    "usage", [None, [], {}, {"input_tokens": -1}, {"output_tokens": True}, {"input_tokens": "7"}], ids=repr
)
def test_usage_that_makes_no_sense_is_none(usage: object) -> None:
    """A count is a whole number of tokens."""
    assert response_usage(usage) is None


@pytest.mark.parametrize(
    ("data", "excerpt"),
    [
        pytest.param(b"<html>busy</html>", "<html>busy</html>", id="HTML"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"[]", "[]", id="no object"),
        pytest.param(
            b'{"error": {"message": "busy"}}', '{"error": {"message": "busy"}}', id="an error inside"
        ),
        pytest.param(b'{"object": "list"}', '{"object": "list"}', id="no output"),
        pytest.param(body(status="failed"), "the beginning of a response", id="failed"),
        pytest.param(
            body(error={"code": "server_error"}), "the beginning of a response", id="failed with a reason"
        ),
        pytest.param(b"[" * 100_000, "[" * 1024, id="nested without end"),
    ],
)
def test_what_is_no_reply(data: bytes, excerpt: str) -> None:
    """A 200 without a response in it is a failure of the provider; what was said is not quoted."""
    with pytest.raises(UpstreamBadReply) as caught:
        read_response(data, asked_bytes=400)
    assert caught.value.excerpt == excerpt


def test_lenient_json_is_read() -> None:
    """Servers write NaN, and half surrogate pairs where a token ends inside a character."""
    data = body().replace(b'"output": []', b'"output": [{"a": NaN, "b": "\\ud83d"}]')
    assert read_response(data, asked_bytes=400).usage.input_tokens == 12


@given(st.dictionaries(MEMBERS, JSON))
def test_random_json_never_crashes(value: dict[str, Any]) -> None:
    """Anything that is JSON is read or refused."""
    with contextlib.suppress(UpstreamBadReply):
        read_response(json.dumps(value).encode(), asked_bytes=400)


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Real responses give the provider's own count."""
    count = 0
    for item in read_recorded(recordings, "openai-responses"):
        if item.is_stream or item.status != 200:
            continue
        whole = json.loads(item.body)
        facts = read_response(item.body, asked_bytes=400)
        assert facts.response_id == whole["id"]
        assert facts.usage.source == "provider"
        assert facts.usage.input_tokens == whole["usage"]["input_tokens"]
        count += 1
    assert count > 20
