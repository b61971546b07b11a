"""The bodies of chat calls for Gemini; what becomes of each field is in tests/golden/chat_to_gemini."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.translate.chat_to_gemini_body import write_body
from tests.unit.makers import make_call, make_target


def written(model_id: str = "gemini-2.5-flash", **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body, left_out = write_body(make_call(**members), make_target(dialect="gemini", model_id=model_id))
    return json.loads(body), left_out


def test_max_tokens() -> None:
    """The newer of OpenAI's names wins; without one the model's own limit holds."""
    assert "generationConfig" not in written()[0]
    assert written(max_tokens=5)[0]["generationConfig"] == {"maxOutputTokens": 5}
    found, _ = written(max_completion_tokens=6, max_tokens=5)
    assert found["generationConfig"] == {"maxOutputTokens": 6}


@pytest.mark.parametrize(
    ("seed", "sent"), [(7, True), (-7, True), (0x7FFF_FFFF, True), (0x8000_0000, False), (1.5, False)]
)
def test_seed(seed: object, *, sent: bool) -> None:
    """Google's has 32 bits."""
    found, left_out = written(seed=seed)
    assert ("generationConfig" in found, left_out) == (sent, () if sent else ("seed",))


@pytest.mark.parametrize(
    ("model_id", "asked", "shows", "expected"),
    [
        ("gemini-2.5-flash", {}, None, None),
        ("gemini-2.5-flash", {}, True, {"includeThoughts": True}),
        ("gemini-2.5-flash-lite", {}, True, None),
        ("gemini-2.0-flash", {}, True, None),
        (
            "gemini-2.5-flash",
            {"reasoning_effort": "low"},
            None,
            {"thinkingBudget": 1024, "includeThoughts": True},
        ),
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, False, {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, True, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"thinking": {"type": "disabled"}}, True, {"thinkingBudget": 0}),
        (
            "gemini-2.5-flash",
            {"thinking": {"type": "adaptive"}, "reasoning_effort": "low"},
            None,
            {"thinkingBudget": -1, "includeThoughts": True},
        ),
    ],
)
def test_thoughts(
    model_id: str, asked: dict[str, Any], *, shows: bool | None, expected: dict[str, Any] | None
) -> None:
    """Shown where they are thought and wanted; to show what is not thought would be refused."""
    call = msgspec.structs.replace(make_call(**asked), shows_thoughts=shows)
    body, _ = write_body(call, make_target(dialect="gemini", model_id=model_id))
    assert json.loads(body).get("generationConfig", {}).get("thinkingConfig") == expected


@pytest.mark.parametrize("asked", [{"reasoning_effort": 7}, {"thinking": {"type": "new"}}])
def test_unknown_ways_of_thinking(asked: dict[str, Any]) -> None:
    """They are named, not guessed."""
    found, left_out = written(**asked)
    assert ("generationConfig" in found, left_out) == (False, tuple(asked))


def test_fields_of_gemini() -> None:
    """As Python and as JSON spells them; those of the call win over those of Google's own endpoint."""
    for name in ("cached_content", "cachedContent"):
        assert written(**{name: "cachedContents/1"})[0]["cachedContent"] == "cachedContents/1"
    both: dict[str, Any] = {
        "cachedContent": "b",
        "extra_body": {"google": {"cached_content": "a", "safety_settings": []}},
    }
    found, left_out = written(**both)
    assert (found["cachedContent"], found["safetySettings"], left_out) == ("b", [], ())


def test_its_own_config_wins() -> None:
    """Whoever knows Gemini's words means them."""
    found, _ = written(temperature=1, generationConfig={"temperature": 2, "topK": 5}, toolConfig={"a": 1})
    assert found["generationConfig"] == {"temperature": 2, "topK": 5}
    assert found["toolConfig"] == {"a": 1}


def test_words_of_schemas_are_named_once() -> None:
    """However often a rule is lost."""
    lossy = {"type": "object", "properties": {each: {"type": "string", "pattern": "a"} for each in "abc"}}
    tool = {"type": "function", "function": {"name": "f", "parameters": lossy}}
    _, left_out = written(tools=[tool, tool])
    assert left_out == ("tools.pattern",)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [({}, "A word."), ({"description": "Its own."}, "Its own.")],
    ids=["told", "has one"],
)
def test_what_an_answer_is_for(schema: dict[str, Any], expected: str) -> None:
    """OpenAI has it beside the schema, Gemini in it."""
    shape = {"name": "n", "description": "A word.", "schema": {"type": "string", **schema}}
    found, _ = written(response_format={"type": "json_schema", "json_schema": shape})
    assert found["generationConfig"]["responseJsonSchema"] == {"type": "string", "description": expected}


@pytest.mark.parametrize(("size", "is_named"), [("low", True), ("high", True), ("medium", False)])
def test_how_much_a_search_reads(size: str, *, is_named: bool) -> None:
    """Google decides that; `medium` is what is meant without it."""
    found, left_out = written(web_search_options={"search_context_size": size})
    assert found["tools"] == [{"googleSearch": {}}]
    assert left_out == (("web_search_options.search_context_size",) if is_named else ())


@pytest.mark.parametrize("name", [{"a": 1}, ["get"], 7, None])
def test_a_function_whose_name_is_none_is_not_among_the_allowed(name: object) -> None:
    """Whatever stands there: a name is compared with others where only some may be called."""
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get"}}]}
    tools = [{"type": "function", "function": {"name": each}} for each in (name, "get")]
    found, _ = written(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["name"] for tool in found["tools"][0]["functionDeclarations"]] == ["get"]
