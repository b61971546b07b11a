"""Turns as Bedrock and its models take them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.translate.converse_models import BedrockModel, model_of
from gateway.translate.converse_turns import Turns, point, text_blocks, with_point
from tests.unit.makers import make_target

RESULT: dict[str, Any] = {"toolResult": {"toolUseId": "t", "content": [{"text": "1"}]}}
TEXT: dict[str, Any] = {"text": "hi"}
PDF: dict[str, Any] = {"document": {"name": "a"}}
POINT: dict[str, Any] = {"cachePoint": {"type": "default"}}
USE: dict[str, Any] = {"toolUse": {"toolUseId": "t", "name": "x", "input": {}}}
PICTURE: dict[str, Any] = {"image": {"format": "png"}}
DOT = {"text": "."}
BELOW = {"text": "What the tool gave is shown below."}


def result(*content: dict[str, Any]) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": "t", "content": list(content)}}


IDS = {
    "gpt": "us.openai.gpt-5.6-sol",
    "claude": "anthropic.claude-sonnet-4-5-v1:0",
    "nova": "amazon.nova-pro-v1:0",
    "llama": "meta.llama3-3-70b-instruct-v1:0",
    "titan": "amazon.titan-text-lite-v1",
}


def model(name: str) -> BedrockModel:
    return model_of(make_target(model_id=IDS[name]))


def finished(name: str, *turns: tuple[Any, list[dict[str, Any]]]) -> list[list[Any]]:
    made = Turns(model(name))
    for role, blocks in turns:
        made.add(role, blocks)
    _, messages = made.finish()
    return [[turn["role"], *turn["content"]] for turn in messages]


@pytest.mark.parametrize(
    ("name", "turns", "expected"),
    [
        pytest.param("nova", [], [["user", DOT]], id="nothing"),
        pytest.param("nova", [("user", [])], [["user", DOT]], id="nothing said"),
        pytest.param("claude", [("user", [TEXT]), ("user", [TEXT])], [["user", TEXT, TEXT]], id="one turn"),
        pytest.param(
            "nova", [("assistant", [TEXT])], [["user", DOT], ["assistant", TEXT]], id="begins with the model"
        ),
        pytest.param("claude", [("assistant", [TEXT])], [["assistant", TEXT]], id="which Claude may"),
        pytest.param("claude", [("user", [TEXT, RESULT])], [["user", RESULT, TEXT]], id="results come first"),
        pytest.param(
            "claude",
            [("user", [TEXT, POINT, RESULT, POINT])],
            [["user", RESULT, POINT, TEXT, POINT]],
            id="with their points",
        ),
        pytest.param(
            "llama",
            [("user", [RESULT]), ("user", [TEXT])],
            [["user", RESULT], ["assistant", DOT], ["user", TEXT]],
            id="results alone",
        ),
        pytest.param(
            "claude",
            [("user", [RESULT, PDF, TEXT])],
            [["user", RESULT], ["assistant", DOT], ["user", PDF, TEXT]],
            id="results without files",
        ),
        pytest.param(
            "nova", [("user", [RESULT, PDF, TEXT])], [["user", RESULT, PDF, TEXT]], id="not of Nova"
        ),
        pytest.param(
            "nova",
            [("user", [result(PICTURE)]), ("user", [TEXT])],
            [["user", result(PICTURE), TEXT]],
            id="pictures in results",
        ),
        pytest.param(
            "gpt",
            [("user", [result(PICTURE)]), ("user", [result(TEXT, PDF), POINT]), ("user", [TEXT])],
            [["user", result(BELOW), result(TEXT), POINT, PICTURE, PDF, TEXT]],
            id="which most take behind them alone",
        ),
        pytest.param(
            "gpt",
            [("user", [result(PICTURE)]), ("assistant", [TEXT])],
            [["user", result(BELOW), PICTURE], ["assistant", TEXT]],
            id="before the model answers",
        ),
        pytest.param(
            "llama",
            [("user", [result(PICTURE)]), ("user", [RESULT])],
            [["user", result(BELOW), RESULT], ["assistant", DOT], ["user", PICTURE]],
            id="and some in a turn of its own",
        ),
        pytest.param(
            "claude", [("user", [PDF])], [["user", PDF, {"text": "Here is the document."}]], id="a file alone"
        ),
        pytest.param("claude", [("user", [TEXT, PDF, POINT])], [["user", TEXT, POINT, PDF]], id="a point"),
        pytest.param(
            "claude", [("user", [POINT, PDF, POINT, TEXT])], [["user", PDF, TEXT]], id="no point at the front"
        ),
        pytest.param(
            "claude", [("user", [TEXT, POINT, POINT])], [["user", TEXT, POINT]], id="no two points in a row"
        ),
    ],
)
def test_turns(name: str, turns: Any, expected: Any) -> None:
    """Turns take turns, by the rules of Bedrock and of the model."""
    assert finished(name, *turns) == expected


def test_system_prompts() -> None:
    """Apart, or before what the user says first where the model takes none."""
    for name, expected in (("claude", [TEXT]), ("titan", [])):
        turns = Turns(model(name))
        turns.add("user", [{"text": "so?"}])
        turns.add_system([TEXT])
        system, messages = turns.finish()
        assert system == expected
        assert messages[0]["content"] == [TEXT, {"text": "so?"}][len(expected) :]
    turns = Turns(model("titan"))
    turns.add("assistant", [TEXT])
    turns.add_system([{"text": "be"}])
    assert turns.finish()[1][0] == {"role": "user", "content": [{"text": "be"}]}


def test_what_was_used() -> None:
    """Tools by their names, and whether thoughts are missing before them."""
    turns = Turns(model("claude"))
    assert (turns.tools_used, turns.has_lost_thoughts) == ([], False)
    turns.add("assistant", [USE, USE])
    assert (turns.tools_used, turns.has_lost_thoughts) == (["x"], True)
    turns.add("user", [RESULT])
    turns.add("assistant", [{"reasoningContent": {}}, USE])
    assert not turns.has_lost_thoughts


@pytest.mark.parametrize(
    ("name", "mark", "expected"),
    [
        ("claude", {"type": "ephemeral"}, {"type": "default"}),
        ("claude", {"type": "ephemeral", "ttl": "1h"}, {"type": "default", "ttl": "1h"}),
        ("claude", {"type": "ephemeral", "ttl": "5m"}, {"type": "default"}),
        ("nova", {"type": "ephemeral", "ttl": "1h"}, {"type": "default"}),
        ("llama", {"type": "ephemeral"}, None),
        ("claude", None, None),
        ("claude", "yes", None),
    ],
)
def test_points(name: str, mark: Any, expected: Any) -> None:
    """Where the model knows them, for as long as it does."""
    points = [] if expected is None else [{"cachePoint": expected}]
    assert with_point([TEXT], mark, model(name)) == [TEXT, *points]
    assert with_point([], mark, model(name)) == []
    turns = Turns(model(name))
    turns.mark_end(mark)
    turns.add("user", [TEXT])
    turns.mark_end(mark)
    assert turns.finish()[1][-1]["content"] == [TEXT, *points]
    if expected is not None:
        assert [point(mark, model(name))] == points


def test_blank_texts() -> None:
    """Bedrock refuses them."""
    assert text_blocks(" \n") == []
    assert text_blocks(" a") == [{"text": " a"}]


@given(
    st.sampled_from(list(IDS)),
    st.lists(
        st.tuples(
            st.sampled_from(["user", "assistant"]),
            st.lists(st.sampled_from([TEXT, RESULT, PDF, POINT]), max_size=4),
        ),
        max_size=6,
    ),
)
def test_any_turns(name: str, turns: Any) -> None:
    """Whatever is said by whom: turns take turns, none is empty, and what may not stand together does not."""
    made = finished(name, *turns)
    roles = [turn[0] for turn in made]
    assert all(one != other for one, other in pairwise(roles))
    if name not in ("claude", "gpt"):
        assert roles[0] == "user"
    for role, *content in made:
        kinds = {key for block in content for key in block}
        if role == "user" and "toolResult" in kinds:
            forbidden = {"claude": {"document"}, "llama": {"document", "text"}}.get(name, set())
            assert not kinds & forbidden
        if "document" in kinds:
            assert "text" in kinds
