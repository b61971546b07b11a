"""Vertex's way to models of other publishers; whole requests are in tests/golden/providers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT, COUNT_TOKENS, MESSAGES, RESPONSE
from gateway.errors import InvalidBody, InvalidJson, UnsupportedParameter
from gateway.model import Endpoint, Target
from gateway.translate import raw_predict
from gateway.translate.pair import LeftOut
from gateway.translate.registry import pair_of
from tests.rig.examples import examples
from tests.unit.makers import make_call, make_target
from tests.unit.translate.foreign_streams import json_of, spoilt
from tests.unit.translate.ways import requests

CLAUDE = make_target(dialect="anthropic", model_id="claude-x@1", is_predicted=True, has_responses=False)
MISTRAL = make_target(model_id="mistral-x", is_predicted=True, has_responses=False)
PLAIN = make_target(dialect="anthropic", model_id="claude-x@1", has_responses=False)
NOT_FOUND: dict[str, Any] = {"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSE], ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("target", [CLAUDE, MISTRAL], ids=lambda target: target.model_id)
def test_paths(target: Any, endpoint: Endpoint, *, is_stream: bool) -> None:
    """Whatever is asked of a model, its name and the way of answering are in the path."""
    call = make_call(endpoint, stream=is_stream)
    verb = "streamRawPredict" if is_stream else "rawPredict"
    path = pair_of(endpoint, target).path(call, target)
    assert path == f"/models/{target.model_id}:{verb}"
    usual = dataclasses.replace(target, is_predicted=False)
    assert "Predict" not in pair_of(endpoint, usual).path(call, usual)


def test_names_in_paths() -> None:
    """A name cannot lead elsewhere."""
    target = dataclasses.replace(CLAUDE, model_id="a/../b?c;d#e")
    path = raw_predict.path_at(target, make_call(), "/messages")
    assert path == "/models/a%2F..%2Fb%3Fc%3Bd%23e:rawPredict"


def test_counting() -> None:
    """Has a path of its own, and the model stays in the body."""
    call = make_call(COUNT_TOKENS)
    pair = pair_of(COUNT_TOKENS, CLAUDE)
    assert pair.path(call, CLAUDE) == "/models/count-tokens:rawPredict"
    body, _ = pair.write(call, CLAUDE)
    assert json.loads(body)["model"] == "claude-x@1"


def test_what_is_relayed() -> None:
    """Values stay as they came, and a version that the caller wrote too."""
    call = make_call(MESSAGES, x=1.50)
    body, left_out = pair_of(MESSAGES, CLAUDE).write(call, CLAUDE)
    assert json.loads(body) == {
        "messages": [{"role": "user", "content": "hi"}],
        "x": 1.5,
        "anthropic_version": "vertex-2023-10-16",
    }
    assert left_out == ()
    body, _ = pair_of(MESSAGES, CLAUDE).write(make_call(MESSAGES, anthropic_version="vertex-x"), CLAUDE)
    assert json.loads(body)["anthropic_version"] == "vertex-x"
    assert "anthropic_version" not in json.loads(pair_of(MESSAGES, PLAIN).write(call, PLAIN)[0])


def test_strict_tools() -> None:
    """What Vertex refuses by itself is left out, told, and refused where operators want that."""
    tools = [{"name": "f", "strict": True}, {"name": "g"}, "no tool"]
    left_out = LeftOut(CLAUDE)
    body = raw_predict.at_vertex({"model": "m", "tools": tools}, CLAUDE, left_out)
    assert body["tools"] == [{"name": "f"}, {"name": "g"}, "no tool"]
    assert left_out.names == ["tools.strict"]
    refusing = dataclasses.replace(CLAUDE, unsupported="reject")
    with pytest.raises(UnsupportedParameter):
        raw_predict.at_vertex({"tools": [{"strict": True}]}, refusing, LeftOut(refusing))
    same = {"model": "m", "tools": [{"strict": True}]}
    assert raw_predict.at_vertex(same, PLAIN, LeftOut(PLAIN)) is same


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSE], ids=lambda endpoint: endpoint.name)
@settings(max_examples=examples(50))
@given(data=st.data())
def test_any_call_is_written_or_refused(endpoint: Endpoint, data: st.DataObject) -> None:
    """Whatever a body holds: one of Vertex's, or an error of ours."""
    members = data.draw(spoilt(requests(endpoint)) | json_of("messages", "tools", "strict", "input"))
    if not isinstance(members, dict):
        return
    try:
        call = make_call(endpoint, **{**members, "model": "acct/small"})
        body = json.loads(pair_of(endpoint, CLAUDE).write(call, CLAUDE)[0])
    except (InvalidJson, InvalidBody, UnsupportedParameter):
        return
    assert "model" not in body
    assert "anthropic_version" in body


@settings(max_examples=examples(100))
@given(json_of("error", "status", "message", "type", "code"), st.integers(400, 599))
def test_any_error_is_read_or_none(value: Any, status: int) -> None:
    """Whatever a body of an error holds."""
    for endpoint in (CHAT, MESSAGES, RESPONSE):
        for target in (CLAUDE, MISTRAL):
            refusal = pair_of(endpoint, target).read_error(status, json.dumps(value).encode())
            assert refusal is None or isinstance(json.loads(refusal.body), dict)


@pytest.mark.parametrize("body", [NOT_FOUND, [NOT_FOUND]], ids=["object", "list"])
def test_errors_of_google(body: Any) -> None:
    """Are worded in the caller's dialect, whichever way they come."""
    sent = json.dumps(body).encode()
    refusal = pair_of(MESSAGES, CLAUDE).read_error(404, sent)
    assert refusal is not None
    words = {"type": "not_found_error", "message": "no such model"}
    assert (refusal.status, json.loads(refusal.body)) == (404, {"type": "error", "error": words})
    for endpoint in (CHAT, RESPONSE):
        refusal = pair_of(endpoint, CLAUDE).read_error(404, sent)
        assert refusal is not None
        error = json.loads(refusal.body)["error"]
        assert (error["message"], error["code"]) == ("no such model", "model_not_found")
        refusal = pair_of(endpoint, MISTRAL).read_error(404, sent)
        assert refusal is not None
        assert json.loads(refusal.body)["error"]["message"] == "no such model"
    refusal = pair_of(MESSAGES, MISTRAL).read_error(404, sent)
    assert refusal is not None
    assert json.loads(refusal.body)["error"] == {**words, "code": 404}


@pytest.mark.parametrize("endpoint", [CHAT, MESSAGES, RESPONSE], ids=lambda endpoint: endpoint.name)
@pytest.mark.parametrize("target", [CLAUDE, MISTRAL], ids=["claude", "mistral"])
def test_when_to_try_again(endpoint: Endpoint, target: Target) -> None:
    """Google says it in the body, whichever way that comes."""
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "6.5s"}
    body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [wait]}}
    for sent in (body, [body]):
        refusal = pair_of(endpoint, target).read_error(429, json.dumps(sent).encode())
        assert refusal is not None
        assert refusal.retry_after_s == 7


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"error","error":{"type":"overloaded_error","message":"m","status":"x"}}',
        b'{"error":"plain"}',
        b'{"error":{"message":"m"}}',
        b"{}",
    ],
)
def test_other_errors(body: bytes) -> None:
    """Anthropic's own, and what has no shape that is known, pass as they are."""
    assert raw_predict.as_anthropics(529, body) == body
    refusal = pair_of(MESSAGES, CLAUDE).read_error(529, body)
    assert refusal is not None
    assert (refusal.status, refusal.body) == (529, body)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[", b"[]", b"[1]", b"7", b"[" * 10_000, b'"text"'])
def test_what_is_no_error(body: bytes) -> None:
    """Nothing that a caller could read, and nothing that breaks."""
    for endpoint in (CHAT, MESSAGES, RESPONSE):
        assert pair_of(endpoint, CLAUDE).read_error(500, body) is None
    assert raw_predict.as_anthropics(500, body) == body
