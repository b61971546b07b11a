"""The bodies of chat calls for Anthropic; what becomes of each field is in tests/golden/chat_to_messages."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.chat_to_messages_body import write_body
from tests.unit.makers import make_call, make_target

TARGET = make_target(dialect="anthropic")


def written(**members: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_body(make_call(**members), TARGET)[0])
    return found


def test_max_tokens() -> None:
    """Anthropic wants a bound; the newer of OpenAI's names wins."""
    assert written()["max_tokens"] == 8192
    assert written(max_tokens=5)["max_tokens"] == 5
    assert written(max_tokens=5, max_completion_tokens=6)["max_tokens"] == 6


@pytest.mark.parametrize(
    ("model_id", "asked", "expected"),
    [
        ("claude-sonnet-4-5", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}),
        ("claude-sonnet-4-5", {"top_p": 0.9}, {"top_p": 0.9}),
        ("claude-opus-4-7", {"temperature": 0.5, "top_k": 3}, {}),
        ("claude-opus-4-7", {"temperature": 1}, {}),
    ],
)
def test_sampling(model_id: str, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the generation refuses is not sent, and named unless it asked for nothing."""
    call = make_call(**asked)
    body, left_out = write_body(call, make_target(dialect="anthropic", model_id=model_id))
    sent: dict[str, Any] = json.loads(body)
    assert {name: sent[name] for name in ("temperature", "top_p", "top_k") if name in sent} == expected
    assert set(left_out) == {name for name in asked if name not in expected and asked[name] != 1}


def test_a_picture_under_another_name() -> None:
    """Anthropic knows no `image/jpg`, and refuses what is another than it says."""
    url = {"url": "data:image/jpg;base64,iVBORw0KGgo="}
    (turn,) = written(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": url}]}])[
        "messages"
    ]
    assert turn["content"][0]["source"]["media_type"] == "image/png"


def test_thoughts_that_came_in_a_stream() -> None:
    """OpenAI's SDKs keep the numbers by which they put a stream together; Anthropic would refuse them."""
    thought = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    said = {"role": "assistant", "content": "Hi", "thinking_blocks": [{"index": 0, **thought}]}
    (turn,) = written(messages=[said])["messages"]
    assert turn["content"] == [thought, {"type": "text", "text": "Hi"}]


def test_fields_of_anthropic() -> None:
    """A chat caller who knows the model may use what only it has."""
    assert written(cache_control={"type": "ephemeral"})["cache_control"] == {"type": "ephemeral"}


def test_a_file_that_is_no_base64() -> None:
    """It is the caller's mistake."""
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,x"}}
    with pytest.raises(InvalidBody, match="not base64"):
        written(messages=[{"role": "user", "content": [part]}])


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tool_choice": "new", "tools": []}, "tool_choice"),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
            "messages.content.file",
        ),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages.content.unknown"),
    ],
)
def test_what_is_always_refused(members: dict[str, Any], param: str) -> None:
    """Without it the answer would be to another question."""
    with pytest.raises(UnsupportedParameter) as caught:
        written(**members)
    assert caught.value.param == param


def ids_in(messages: list[dict[str, Any]]) -> list[str]:
    """Of calls and of results, in order."""
    return [
        block.get("id") or block["tool_use_id"]
        for turn in written(messages=messages)["messages"]
        for block in turn["content"]
    ]


def test_ids_that_come_twice() -> None:
    """Anthropic refuses them; older functions have their name alone, and some servers give none."""
    called = {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}
    found = {"role": "function", "name": "f", "content": "x"}
    assert ids_in([called, found, called, found]) == ["f", "f", "f_2", "f_2"]
    call = {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "", "content": "x"}
    both = {"role": "assistant", "tool_calls": [call, call]}
    assert ids_in([both, result, result]) == ["call", "call_2", "call", "call_2"]


def test_a_system_prompt_alone() -> None:
    """OpenAI answers it, Anthropic wants a turn of the user's."""
    body = written(messages=[{"role": "system", "content": "Write a haiku."}])
    assert "system" not in body
    asked = {"role": "user", "content": [{"type": "text", "text": "Write a haiku."}]}
    assert body["messages"] == [asked]


def test_texts_of_blanks() -> None:
    """Anthropic refuses them, and other models write line ends before their calls."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = written(
        messages=[
            {"role": "system", "content": " "},
            {"role": "user", "content": [{"type": "text", "text": "\n"}, {"type": "text", "text": " ask\n"}]},
            {"role": "assistant", "content": "\n\n", "refusal": " ", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "\n"},
        ]
    )
    assert "system" not in body
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": " ask\n"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c"}]},
    ]


def test_prefill_that_ends_in_blanks() -> None:
    """Anthropic refuses it, and callers of another dialect cannot know that."""
    said = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "One "}]
    body = written(messages=[*said, {"role": "assistant", "content": [{"type": "text", "text": "two: \n"}]}])
    assert [block["text"] for block in body["messages"][1]["content"]] == ["One ", "two:"]
    body = written(messages=[*said, {"role": "user", "content": "More "}])
    assert [turn["content"][0]["text"] for turn in body["messages"]] == ["Go on.", "One ", "More "]


@pytest.mark.parametrize(
    ("stop", "expected", "left_out"),
    [
        ("END", ["END"], ()),
        ("\n", None, ("stop",)),
        (["\n\n", "END\n"], ["END\n"], ("stop",)),
        ([], None, ()),
    ],
)
def test_stops_of_blanks(stop: object, expected: object, left_out: tuple[str, ...]) -> None:
    """Anthropic refuses them; callers are told which field was left out."""
    body, named = write_body(make_call(stop=stop), TARGET)
    assert (json.loads(body).get("stop_sequences"), named) == (expected, left_out)


def test_ids_that_anthropic_does_not_take() -> None:
    """Two calls stay two, and each result finds its call."""
    calls = [
        {"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        for call_id in ("a.b", "a:b", "a_b")
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": call["id"]} for call in calls]
    asking = {"role": "assistant", "tool_calls": calls}
    body = written(messages=[{"role": "user", "content": "hi"}, asking, *results])
    [_, asked, answered] = body["messages"]
    ids = [block["id"] for block in asked["content"]]
    assert len(set(ids)) == 3
    assert ids[2] == "a_b"
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", found) for found in ids)
    assert [block["tool_use_id"] for block in answered["content"]] == ids


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (
            {
                "role": "user",
                "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}],
            },
            "messages.content.input_audio",
        ),
        ({"role": "assistant", "audio": {"id": "audio_1"}}, "messages.audio"),
    ],
)
def test_no_sound(message: dict[str, Any], param: str) -> None:
    """Claude neither hears nor remembers having spoken: the field is named."""
    with pytest.raises(UnsupportedParameter) as raised:
        written(messages=[message])
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("detail", "expected"), [("low", ("messages.content.image_url.detail",)), ("auto", ())]
)
def test_details_of_pictures(detail: str, expected: tuple[str, ...]) -> None:
    """Claude sees all of a picture; who wanted less, to pay less, is told."""
    part = {"type": "image_url", "image_url": {"url": "https://a", "detail": detail}}
    call = make_call(messages=[{"role": "user", "content": [part]}])
    assert write_body(call, TARGET)[1] == expected


def test_cache_breakpoints() -> None:
    """OpenAI's marks are Anthropic's."""
    part = {"type": "text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit"}}
    found = written(messages=[{"role": "user", "content": [part]}])
    assert found["messages"][0]["content"] == [
        {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    ]
