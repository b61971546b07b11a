"""What relays share."""

from __future__ import annotations

import json

from gateway.translate import unchanged
from gateway.translate.pair import Refusal
from tests.unit.makers import make_call, make_target


def test_path_and_bytes() -> None:
    """The endpoint's own path; the body but for its model."""
    call, target = make_call(seed=1), make_target(model_id="small-1")
    assert unchanged.path(call, target) == "/chat/completions"
    body, left_out = unchanged.write(call, target)
    sent = {name: json.loads(bytes(raw)) for name, raw in call.fields.items()}
    assert json.loads(body) == {**sent, "model": "small-1"}
    assert left_out == ()


def test_errors() -> None:
    """A JSON object passes as it is; anything else is no error that a caller could read."""
    assert unchanged.read_error(429, b'{"error": 1}') == Refusal(429, b'{"error": 1}')
    for body in (b"[]", b"<html>", b""):
        assert unchanged.read_error(502, body) is None
