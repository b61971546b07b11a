"""A server's own way with OpenAI's dialect holds for callers of every dialect."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.config.manifests.vendors import VENDOR_OF
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


@pytest.mark.parametrize(
    ("model_id", "asked", "sent", "dropped"),
    [
        pytest.param("mistral-medium-3-5", "none", "none", (), id="what it takes"),
        pytest.param("mistral-small-latest", "minimal", "none", (), id="next to nothing"),
        pytest.param("mistral-small-2603", "low", "high", (), id="the next above"),
        pytest.param("mistral-medium-2604", "xhigh", "high", (), id="its highest"),
        pytest.param("mistral-large-4-0", "medium", "medium", (), id="one of many levels"),
        pytest.param("zai-glm-5-3", "none", "low", (), id="one that always thinks"),
        pytest.param("mistral-small-2603", "very", "very", (), id="no effort, which the server says"),
        pytest.param("mistral-large-2512", "high", None, ("reasoning.effort",), id="takes none"),
        pytest.param("ft:ministral-8b-latest:x:1", "none", None, (), id="thinks never, and is not to"),
        pytest.param("mistral-code-agent-latest", "none", None, (), id="another name of Devstral"),
        pytest.param("magistral-medium-latest", "high", None, ("reasoning.effort",), id="cannot be told"),
        pytest.param("mistral-medium-2508", "high", None, ("reasoning.effort",), id="an older one"),
        pytest.param("mistral-medium-3", "high", None, ("reasoning.effort",), id="the same at Vertex"),
    ],
)
def test_efforts_at_mistral(model_id: str, asked: str, sent: str | None, dropped: tuple[str, ...]) -> None:
    """Mistral answers every effort that a model does not take with 400, any at all where it takes none."""
    target = make_target(model_id=model_id, quirks=VENDOR_OF["provider-account/mistral-ai"].quirks)
    body, left_out = responses_to_chat.write(make_response_call(reasoning={"effort": asked}), target)
    assert json.loads(body).get("reasoning_effort") == sent
    assert left_out == dropped


def test_thinking_at_mistral() -> None:
    """Callers of Messages, who know other efforts still, are told in their words what is left out."""
    quirks = VENDOR_OF["provider-account/mistral-ai"].quirks
    call = make_messages_call(messages=[], thinking={"type": "enabled", "budget_tokens": 2000})
    body, left_out = messages_to_chat.write(call, make_target(model_id="mistral-small-latest", quirks=quirks))
    assert json.loads(body)["reasoning_effort"] == "high"
    assert left_out == ()
    body, left_out = messages_to_chat.write(call, make_target(model_id="codestral-latest", quirks=quirks))
    assert "reasoning_effort" not in json.loads(body)
    assert left_out == ("thinking",)
