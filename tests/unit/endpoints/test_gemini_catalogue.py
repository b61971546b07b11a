"""The endpoints of Google's dialect."""

from __future__ import annotations

from gateway.endpoints.gemini_catalogue import AREAS, ARRAY, CALLS, MODEL, MODELS, PASSED, STREAM
from gateway.translate.registry import PAIRS


def test_calls() -> None:
    """Each is for its word, speaks Google's dialect, and has a way to a target of the same."""
    for verb, endpoint in CALLS.items():
        assert endpoint.path == f"/models/{{model}}:{verb}"
        assert endpoint.route == f"/gemini/{{account}}/proxy{endpoint.path}"
        assert (endpoint.dialect, endpoint.passes_query) == ("gemini", True)
        assert (endpoint.name, "gemini") in PAIRS
        assert endpoint.can_stream is verb.startswith("stream")


def test_forms_of_a_stream() -> None:
    """They differ in what is sent, and in nothing else that is told of them."""
    assert (STREAM.stream_type, ARRAY.stream_type) == (b"text/event-stream", b"application/json")
    assert (STREAM.name, STREAM.route, STREAM.path) == (ARRAY.name, ARRAY.route, ARRAY.path)


def test_what_is_passed_on() -> None:
    """It is bytes, costs nothing that is counted, and has a route without an id in it."""
    for endpoint in (MODELS, MODEL, PASSED, *AREAS.values()):
        assert (endpoint.reply, endpoint.counts_tokens, endpoint.dialect) == ("bytes", False, "gemini")
        assert endpoint.route == "/gemini/{account}/proxy" + endpoint.path
