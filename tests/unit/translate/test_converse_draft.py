"""What a Converse call has beside its turns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.catalogue import CHAT, MESSAGES
from gateway.model import Target
from gateway.translate.converse_draft import Draft, converse_path
from gateway.translate.json_answers import ANSWER_TOOL
from tests.unit.makers import make_call, make_target

CLAUDE = "anthropic.claude-sonnet-4-5-v1:0"
NEW = "anthropic.claude-opus-4-8"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}


def target(model_id: str = CLAUDE) -> Target:
    return make_target(dialect="converse", model_id=model_id)


def draft(model_id: str = CLAUDE, **members: Any) -> Draft:
    return Draft(make_call(**members), target(model_id))


def finished(made: Draft) -> tuple[dict[str, Any], tuple[str, ...]]:
    body, left_out = made.finish()
    return json.loads(body), left_out


@pytest.mark.parametrize(
    ("model_id", "streams", "expected"),
    [
        (CLAUDE, False, "/model/anthropic.claude-sonnet-4-5-v1%3A0/converse"),
        ("arn:aws:bedrock:x:1:inference-profile/a", True, None),
        ("../../x", False, "/model/..%2F..%2Fx/converse"),
    ],
)
def test_path(model_id: str, *, streams: bool, expected: str | None) -> None:
    """The id is one segment, whatever is in it."""
    path = converse_path(make_call(stream=streams), target(model_id))
    assert path == (expected or "/model/arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fa/converse-stream")


def test_schema() -> None:
    """By Converse's word, as a text, with what it cannot be held to named."""
    made = draft()
    made.add_schema(SCHEMA, "response_format", {"name": "a b", "description": "d"})
    body, left_out = finished(made)
    words = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(words["schema"])["properties"]["a"] == {"type": "integer", "description": "minimum: 1"}
    assert (words.get("name"), words["description"]) == (None, "d")
    assert left_out == ("response_format.minimum",)


@pytest.mark.parametrize(
    ("model_id", "schema", "has_tool"),
    [(NEW, SCHEMA, True), (NOVA, SCHEMA, True), (NOVA, {"type": "array"}, False), (LLAMA, SCHEMA, False)],
)
def test_schema_by_a_tool(model_id: str, schema: dict[str, Any], *, has_tool: bool) -> None:
    """Where there is no such word, by a tool that must be called; else it is left out."""
    made = draft(model_id)
    made.add_schema(schema, "response_format", {})
    body, left_out = finished(made)
    assert (ANSWER_TOOL in json.dumps(body)) is has_tool
    assert left_out == (() if has_tool else ("response_format",))


def test_json_object() -> None:
    """Is asked for in words."""
    made = draft()
    made.add_json_object()
    assert "JSON object" in finished(made)[0]["system"][0]["text"]


def test_fields_become_one() -> None:
    """Two that have the same object do not lose each other's members; what the caller says wins."""
    made = draft(
        additionalModelRequestFields={"output_config": {"x": 1}, "top_k": 2}, guardrailConfig={"a": 1}
    )
    made.add_fields({"output_config": {"effort": "low"}, "top_k": 1})
    body, _ = finished(made)
    assert body["additionalModelRequestFields"] == {"output_config": {"effort": "low", "x": 1}, "top_k": 2}
    assert body["guardrailConfig"] == {"a": 1}


@pytest.mark.parametrize("effort", ["huge", 7, None, ["low"]])
def test_no_effort(effort: Any) -> None:
    """What is no word for one is left out."""
    made = draft()
    made.add_effort(effort, "reasoning_effort")
    assert finished(made)[1] == ("reasoning_effort",)


def test_budget_has_a_limit_above_it() -> None:
    """What Bedrock takes for no limit need not be above the budget, so one is set."""
    made = draft()
    made.add_effort("high", "reasoning_effort")
    body, _ = finished(made)
    thinking = body["additionalModelRequestFields"]["thinking"]
    assert thinking["budget_tokens"] < body["inferenceConfig"]["maxTokens"]


def test_thinking_of_anthropic() -> None:
    """Claude is told as it stands, another how hard; one that cannot think is left alone."""
    thinking = {"type": "enabled", "budget_tokens": 5000}
    for model_id, expected in (
        (CLAUDE, {"thinking": thinking, "output_config": {"effort": "high"}}),
        ("openai.gpt-oss-20b-1:0", {"reasoning_effort": "high"}),
        (LLAMA, None),
    ):
        made = draft(model_id)
        made.add_thinking(thinking, "high")
        body, left_out = finished(made)
        assert body.get("additionalModelRequestFields") == expected
        assert left_out == (() if expected else ("thinking",))
    made = draft(LLAMA)
    made.add_thinking({"type": "disabled"}, None)
    assert finished(made)[1] == ()


@pytest.mark.parametrize(
    ("model_id", "members", "expected", "names"),
    [
        (CLAUDE, {"temperature": 2, "top_p": 0.5}, {"temperature": 1}, ("top_p",)),
        (LLAMA, {"temperature": 2, "top_p": 0.5}, {"temperature": 1, "topP": 0.5}, ()),
        (NEW, {"temperature": 0.5, "top_p": 1}, None, ("temperature",)),
        (LLAMA, {"temperature": "hot"}, {"temperature": "hot"}, ()),
    ],
)
def test_sampling(model_id: str, members: dict[str, Any], expected: Any, names: tuple[str, ...]) -> None:
    """As far as the model takes it; what has a wrong type is Bedrock's to refuse."""
    made = draft(model_id, **members)
    made.add_sampling()
    body, left_out = finished(made)
    assert body.get("inferenceConfig") == expected
    assert left_out == names


def test_no_sampling_while_thinking() -> None:
    """Claude refuses it."""
    made = draft(temperature=0.5, top_k=3)
    made.add_thinking({"type": "enabled", "budget_tokens": 2000}, None)
    made.add_sampling()
    assert finished(made)[1] == ("temperature", "top_k")


@pytest.mark.parametrize(
    ("metadata", "is_legal"),
    [
        ({"a": "b"}, True),
        ({"a": "ü"}, False),
        ({"{": "b"}, False),
        ({"a": 7}, False),
        ({"a": "x" * 257}, False),
        ({str(number): "" for number in range(17)}, False),
        ({}, None),
    ],
)
def test_metadata(metadata: dict[str, Any], *, is_legal: bool | None) -> None:
    """Goes into Bedrock's log if its letters are those of it."""
    made = draft()
    made.add_metadata(metadata, "metadata")
    body, left_out = finished(made)
    assert body.get("requestMetadata") == (metadata if is_legal else None)
    assert left_out == (("metadata",) if is_legal is False else ())


def test_metadata_in_bedrocks_own_words() -> None:
    """Leaves no room for other."""
    made = draft(requestMetadata={"x": "y"})
    made.add_metadata({"a": "b"}, "metadata")
    assert finished(made)[0]["requestMetadata"] == {"x": "y"}


@pytest.mark.parametrize(
    ("tier", "expected", "names"),
    [
        ("auto", None, ()),
        ("flex", {"type": "flex"}, ()),
        ("scale", None, ("service_tier",)),
        (7, None, ("service_tier",)),
    ],
)
def test_service_tier(tier: Any, expected: Any, names: tuple[str, ...]) -> None:
    """By the caller's word for it."""
    made = draft(service_tier=tier)
    made.add_service_tier({"flex": "flex"})
    body, left_out = finished(made)
    assert (body.get("serviceTier"), left_out) == (expected, names)


def test_names_are_the_callers() -> None:
    """What is left out is called as the caller calls it."""
    for endpoint, name in (
        (CHAT, "parallel_tool_calls"),
        (MESSAGES, "tool_choice.disable_parallel_tool_use"),
    ):
        made = Draft(make_call(endpoint), target(NOVA))
        made.tools = {"tools": [{"name": "a"}], "tool_choice": {"disable_parallel_tool_use": True}}
        assert finished(made)[1] == (name,)
