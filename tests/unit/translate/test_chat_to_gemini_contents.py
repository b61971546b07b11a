"""Messages of chat as Gemini's turns; what becomes of each kind is in tests/golden/chat_to_gemini."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.chat_to_gemini_contents import Conversation
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target

CALL = {"id": "c", "function": {"name": "f", "arguments": "{}"}}


def read(
    *messages: Any, model_id: str = "gemini-2.5-flash", provider: str = "gcp.gemini"
) -> tuple[list[Any], list[Any]]:
    target = make_target(dialect="gemini", provider=provider, model_id=model_id)
    conversation = Conversation(target, LeftOut(target))
    return conversation.read({"messages": list(messages)})


def test_a_result_is_named_by_its_call() -> None:
    """Ids are the caller's; Gemini knows the name. A name of its own helps where the call is gone."""
    for message in ({"tool_call_id": "c"}, {"tool_call_id": "gone", "name": "f"}):
        said = {"role": "assistant", "tool_calls": [CALL]}
        _, turns = read(said, {"role": "tool", "content": "x", **message})
        assert turns[1]["parts"] == [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]


def test_a_result_of_nothing() -> None:
    """Gemini would refuse it in words that help nobody."""
    with pytest.raises(InvalidBody, match=r"messages\[0\] is the result"):
        read({"role": "tool", "tool_call_id": "c", "content": "x"})


def test_names_of_speakers_are_left_out() -> None:
    """But not those of functions, which are theirs."""
    target = make_target(dialect="gemini", model_id="gemini-2.5-flash")
    left_out = LeftOut(target)
    said = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    messages = [said, {"role": "function", "name": "f", "content": "x"}]
    Conversation(target, left_out).read({"messages": messages})
    assert left_out.names == []
    Conversation(target, left_out).read({"messages": [{"role": "user", "name": "Ann"}]})
    assert left_out.names == ["messages.name"]


@pytest.mark.parametrize(("platform", "provider"), [("google", "gcp.gemini"), ("vertex", "gcp.vertex_ai")])
def test_signatures_come_back(platform: str, provider: str) -> None:
    """From where Google's OpenAI endpoints put them; the other one, which cannot read them, gets none."""
    signed = {"extra_content": {platform: {"thought_signature": "c2ln"}}}
    said = {"role": "assistant", "content": "a", **signed, "tool_calls": [{**CALL, **signed}]}
    for asked in ("gcp.gemini", "gcp.vertex_ai"):
        parts = read(said, provider=asked)[1][0]["parts"]
        expected = "c2ln" if asked == provider else None
        assert [part.get("thoughtSignature") for part in parts] == [expected, expected]
    for odd in ({platform: {"thought_signature": 7}}, {platform: 7}, 7, {}):
        _, turns = read({"role": "assistant", "content": "a", "extra_content": odd}, provider=provider)
        assert turns[0]["parts"] == [{"text": "a"}]


def test_an_answer_of_another_model_comes_without_its_thoughts() -> None:
    """Neither their words nor their signatures mean anything here."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    _, turns = read({"role": "assistant", "content": [thought, "a"], "thinking_blocks": [thought]})
    assert turns[0]["parts"] == [{"text": "a"}]


@pytest.mark.parametrize(
    "part",
    [
        7,
        {},
        {"type": "new"},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}},
        {"type": "input_audio", "input_audio": {}},
        {"type": "file", "file": {}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"role": "user"},
    ],
)
def test_what_cannot_be_said(part: Any) -> None:
    """Without it the answer would be to another question."""
    with pytest.raises(UnsupportedParameter) as caught:
        read({"role": "user", "content": [part]})
    assert (caught.value.param or "").startswith("messages.content.")


def test_an_answer_that_was_spoken() -> None:
    """Its sound lies at the one who said it."""
    with pytest.raises(UnsupportedParameter) as caught:
        read({"role": "assistant", "audio": {"id": "audio_1"}})
    assert caught.value.param == "messages.audio"
