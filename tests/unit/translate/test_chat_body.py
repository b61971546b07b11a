"""A server's own way with OpenAI's dialect holds for callers of every dialect."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.openai_call import parse_call
from gateway.errors import UnsupportedParameter
from gateway.model import Call, Quirks, Target
from gateway.translate import messages_to_chat, responses_to_chat
from gateway.translate.chat_body import write_chat
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target
from tests.unit.translate.test_messages_to_chat import make_messages_call

QUIRKS: Final = Quirks(
    renamed={"max_completion_tokens": "max_tokens"},
    refused=("stream_options", "user", "parallel_tool_calls", "service_tier"),
    roles={"system": "developer"},
)


def make_picky(**more: Any) -> Target:
    return make_target(model_id="m", quirks={"chat": QUIRKS}, **more)


def make_response_call(**members: Any) -> Call:
    body = json.dumps({"model": "a/b", "input": "hi", **members}).encode()
    return parse_call(RESPONSE, body, model=None, account=None)


def test_no_quirks() -> None:
    """The body as it is."""
    target = make_target(model_id="m")
    assert write_chat({"user": "u"}, target, LeftOut(target)) == b'{"user":"u"}'


@pytest.mark.parametrize(
    ("model_id", "asked", "sent", "dropped"),
    [
        pytest.param("gpt-5.6-terra", "high", "none", ["reasoning_effort"], id="asked to think"),
        pytest.param("gpt-5.6", None, "none", [], id="thinks where nothing is said"),
        pytest.param("gpt-5.4-mini", "none", "none", [], id="asked not to"),
        pytest.param("gpt-6-luna", "low", "none", ["reasoning_effort"], id="newer"),
        pytest.param("gpt-6-astra", None, None, [], id="one that never calls in chat"),
        pytest.param("gpt-6.1-sol", "high", "high", [], id="another"),
        pytest.param("gpt-5.2", "high", "high", [], id="one that does both"),
        pytest.param("gpt-5", None, None, [], id="an older one"),
        pytest.param("gpt-35-turbo", None, None, [], id="a much older one"),
        pytest.param("openai/gpt-5.6", "high", "high", [], id="at a vendor that has its own way"),
    ],
)
def test_models_that_call_or_think(
    model_id: str, asked: str | None, sent: str | None, dropped: list[str]
) -> None:
    """OpenAI refuses functions in chat of its newest models unless they are told not to think."""
    target = make_target(model_id=model_id)
    for tools in ([{"type": "function"}], []):
        left_out = LeftOut(target)
        body = {"tools": tools} | ({} if asked is None else {"reasoning_effort": asked})
        written = json.loads(write_chat(body, target, left_out))
        assert written.get("reasoning_effort") == (sent if tools else asked)
        assert left_out.names == (dropped if tools else [])


@pytest.mark.parametrize("asked", ["none", "minimal"])
def test_models_that_always_think(asked: str) -> None:
    """They refuse not to, and are asked for the least that they take, with tools or without."""
    target = make_target(model_id="gpt-6-astra")
    for tools in ([{"type": "function"}], []):
        left_out = LeftOut(target)
        written = json.loads(write_chat({"tools": tools, "reasoning_effort": asked}, target, left_out))
        assert written["reasoning_effort"] == "low"
        assert left_out.names == []


def test_of_messages() -> None:
    """Names are the server's, and what was left out is told in the caller's words."""
    call = make_messages_call(
        messages=[],
        stream=True,
        system="s",
        metadata={"user_id": "u"},
        tools=[{"name": "t", "input_schema": {"type": "object"}}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    body, dropped = messages_to_chat.write(call, make_picky())
    sent = json.loads(body)
    assert sent["max_tokens"] == 5
    assert sent["messages"] == [{"role": "developer", "content": "s"}]
    assert not sent.keys() & {"max_completion_tokens", "stream_options", "user", "parallel_tool_calls"}
    assert dropped == ("metadata.user_id", "tool_choice.disable_parallel_tool_use")


def test_of_responses() -> None:
    """The same."""
    call = make_response_call(stream=True, max_output_tokens=5, service_tier="flex")
    body, dropped = responses_to_chat.write(call, make_picky())
    sent = json.loads(body)
    assert sent["max_tokens"] == 5
    assert not sent.keys() & {"max_completion_tokens", "stream_options", "service_tier"}
    assert dropped == ("service_tier",)


def test_refused() -> None:
    """Where operators want such calls refused, they are."""
    call = make_messages_call(messages=[], metadata={"user_id": "u"})
    with pytest.raises(UnsupportedParameter, match=r"metadata\.user_id"):
        messages_to_chat.write(call, make_picky(unsupported="reject"))
