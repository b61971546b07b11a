"""The turns of a conversation on its way to Claude, and what the system says of it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.translate import chat_to_messages, responses_to_messages
from gateway.translate.claude_turns import Turns
from tests.golden.responses_cases import make_responses_call
from tests.unit.makers import make_call, make_target


def texts(*words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": word} for word in words]


def told(*said: str, hears_between: bool) -> tuple[list[str], list[str]]:
    """The system prompt and the turns, each as its role's first letter and its words."""
    turns = Turns(hears_between=hears_between)
    for each in said:
        role, word = each.split(":")
        if role == "s":
            turns.say_as_system(texts(word))
        else:
            turns.say({"u": "user", "a": "assistant"}[role], texts(word) if word else [])
    turns.end()
    spoken = [f"{turn['role'][0]}:{''.join(b['text'] for b in turn['content'])}" for turn in turns.listed]
    return [block["text"] for block in turns.system], spoken


@pytest.mark.parametrize(
    ("said", "system", "turns"),
    [
        pytest.param(["s:1", "s:2", "u:3"], ["1", "2"], ["u:3"], id="before all"),
        pytest.param(["u:1", "s:2"], [], ["u:1", "s:2"], id="last"),
        pytest.param(["u:1", "s:2", "a:3"], [], ["u:1", "s:2", "a:3"], id="before an answer"),
        pytest.param(["u:1", "s:2", "u:3", "a:4"], [], ["u:13", "s:2", "a:4"], id="between the user's words"),
        pytest.param(
            ["u:1", "a:2", "s:3", "u:4", "s:5"], [], ["u:1", "a:2", "u:4", "s:35"], id="behind what follows"
        ),
        pytest.param(["u:1", "a:2", "s:3"], ["3"], ["u:1", "a:2"], id="no place behind an answer"),
        pytest.param(["u:1", "a:2", "s:3", "a:4"], ["3"], ["u:1", "a:24"], id="nor within one"),
        pytest.param(["s:1", "u:", "s:2", "u:3"], ["1", "2"], ["u:3"], id="nothing said"),
        pytest.param(["s:1"], ["1"], [], id="nothing else"),
    ],
)
def test_system_between(said: list[str], system: list[str], turns: list[str]) -> None:
    """Right behind a turn of the user's and before the next answer, never two in a row."""
    assert told(*said, hears_between=True) == (system, turns)


def test_system_at_the_front() -> None:
    """Where it may not speak between the turns, all it says is the system prompt."""
    said = ("s:1", "u:2", "s:3", "a:4", "u:5", "s:6")
    assert told(*said, hears_between=False) == (["1", "3", "6"], ["u:2", "a:4", "u:5"])


SAID: Final = [
    {"role": "user", "content": "hi"},
    {"role": "developer", "content": "be brief"},
    {"role": "assistant", "content": "ho"},
    {"role": "user", "content": "and?"},
]
ANTHROPICS: Final = {"dialect": "anthropic", "address": "api.anthropic.com"}


@pytest.mark.parametrize(
    ("write", "call"),
    [
        pytest.param(chat_to_messages.write, make_call(messages=SAID), id="chat"),
        pytest.param(
            responses_to_messages.write, make_responses_call(model="a/b", input=SAID), id="responses"
        ),
    ],
)
@pytest.mark.parametrize(
    ("target", "keeps"),
    [
        pytest.param({**ANTHROPICS, "model_id": "claude-opus-4-8"}, True, id="from 4.8 on"),
        pytest.param({**ANTHROPICS, "model_id": "claude-opus-4-7"}, False, id="before"),
        pytest.param({**ANTHROPICS, "model_id": "claude-fable-5"}, True, id="another name"),
        pytest.param({**ANTHROPICS, "model_id": "claude-sonnet-5"}, False, id="not Sonnet 5"),
        pytest.param({**ANTHROPICS, "model_id": "claude-sonnet-5-5"}, True, id="the Sonnet after it"),
        pytest.param({"dialect": "anthropic", "model_id": "claude-opus-5"}, False, id="elsewhere"),
    ],
)
def test_who_hears_it(write: Any, call: Any, target: dict[str, Any], *, keeps: bool) -> None:
    """Newer models at Anthropic itself; what was said before stays as it was, and so do its thoughts."""
    sent = json.loads(write(call, make_target(**target))[0])
    roles = [message["role"] for message in sent["messages"]]
    assert roles == (["user", "system", "assistant", "user"] if keeps else ["user", "assistant", "user"])
    assert sent.get("system") == (None if keeps else texts("be brief"))
