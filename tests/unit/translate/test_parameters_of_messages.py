"""Tests of what is put over the parameters of a call of Messages."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.endpoints.catalogue import CHAT, MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.translate.parameters import with_parameters
from gateway.translate.registry import pair_of
from tests.unit.translate.test_parameters import FORMAT, SCHEMA, target_with

SONNET: Final = {"dialect": "anthropic", "model_id": "claude-sonnet-4-0"}
OPUS: Final = {"dialect": "anthropic", "model_id": "claude-opus-4-6"}
NEWEST: Final = {"dialect": "anthropic", "model_id": "claude-opus-4-7"}
OLD: Final = {"dialect": "anthropic", "model_id": "claude-3-haiku-20240307"}
UNKNOWN: Final = {"dialect": "anthropic", "model_id": "glm-4.6"}
GPT: Final = {"model_id": "gpt-5"}
ENABLED: Final = {"type": "enabled", "budget_tokens": 2048}
ADAPTIVE: Final = {"type": "adaptive"}
_ASKED: Final = frozenset({"model", "messages", "contents"})
CLOSED: Final = {"additionalProperties": False}
CLAUDES_FORMAT: Final = {"type": "json_schema", "schema": SCHEMA}


def sent(body: dict[str, Any], parameters: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """What a call of 8000 tokens is sent as, without what was asked."""
    goes_to = target_with(parameters, **target)
    asked = {"model": "a/b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8000, **body}
    call = parse_call(MESSAGES, json.dumps(asked).encode(), model=None, account=None)
    written, _ = pair_of(MESSAGES, goes_to).write(with_parameters(call, goes_to), goes_to)
    left = {name: value for name, value in json.loads(written).items() if name not in _ASKED}
    for name in ("max_tokens", "max_completion_tokens"):
        if left.get(name) == asked["max_tokens"]:
            del left[name]
    return left


@pytest.mark.parametrize(
    ("target", "body", "parameters", "expected"),
    [
        pytest.param(SONNET, {"temperature": 1}, {"temperature": 0.2}, {"temperature": 0.2}, id="as it is"),
        pytest.param(SONNET, {}, {"temperature": 1.5}, {"temperature": 1}, id="OpenAI's goes to 2"),
        pytest.param(SONNET, {}, {"max_completion_tokens": 5}, {"max_tokens": 5}, id="limit"),
        pytest.param(SONNET, {}, {"max_tokens": None}, {}, id="a limit there must be"),
        pytest.param(SONNET, {}, {"stop": "x"}, {"stop_sequences": ["x"]}, id="stop at one"),
        pytest.param(
            SONNET, {"stop_sequences": ["a"]}, {"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}, id="stop"
        ),
        pytest.param(SONNET, {"stop_sequences": ["a"]}, {"stop": None}, {}, id="stop nowhere"),
        pytest.param(SONNET, {}, {"user": "u"}, {"metadata": {"user_id": "u"}}, id="user"),
        pytest.param(SONNET, {}, {"seed": 1, "n": 2, "logit_bias": {}}, {}, id="without a word for it"),
        pytest.param(
            SONNET, {}, {"top_k": 3, "service": "x"}, {"top_k": 3, "service": "x"}, id="none of OpenAI's"
        ),
        pytest.param(OPUS, {"top_p": 0.5}, {"temperature": 0.5}, {"temperature": 0.5}, id="not both: heat"),
        pytest.param(OPUS, {"temperature": 0.5}, {"top_p": 0.5}, {"top_p": 0.5}, id="not both: share"),
        pytest.param(
            OLD,
            {"top_p": 0.5},
            {"temperature": 0.5},
            {"temperature": 0.5, "top_p": 0.5},
            id="both where both are taken",
        ),
        pytest.param(
            OPUS,
            {"temperature": 0.5, "top_p": 0.5},
            {"seed": 1},
            {"temperature": 0.5, "top_p": 0.5},
            id="the caller's own mistake stays",
        ),
        pytest.param(NEWEST, {"top_k": 3}, {"temperature": 0.5}, {"top_k": 3}, id="not sampled"),
        pytest.param(SONNET, {}, {"reasoning_effort": "low"}, {"thinking": ENABLED}, id="effort in tokens"),
        pytest.param(
            SONNET,
            {"thinking": {"type": "enabled", "budget_tokens": 5000, "display": "omitted"}, "temperature": 1},
            {"reasoning_effort": "low"},
            {"thinking": {**ENABLED, "display": "omitted"}},
            id="effort over thinking",
        ),
        pytest.param(
            OPUS,
            {"output_config": {"effort": "max", "task_budget": 1}, "top_k": 2},
            {"reasoning_effort": "low"},
            {"thinking": ADAPTIVE, "output_config": {"effort": "low", "task_budget": 1}},
            id="effort in a word",
        ),
        pytest.param(OPUS, {"thinking": ADAPTIVE}, {"reasoning_effort": "none"}, {}, id="no effort"),
        pytest.param(OPUS, {"output_config": {"effort": "low"}}, {"reasoning_effort": None}, {}, id="null"),
        pytest.param(
            SONNET,
            {"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}},
            {"reasoning_effort": "low"},
            {"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}},
            id="no effort where a tool must be called",
        ),
        pytest.param(OLD, {}, {"reasoning_effort": "low"}, {}, id="no effort where none can be"),
        pytest.param(UNKNOWN, {}, {"reasoning_effort": "low"}, {}, id="nor where nobody knows"),
        pytest.param(SONNET, {}, {"reasoning_effort": 1}, {}, id="what is no word says nothing"),
        pytest.param(
            OPUS,
            {},
            {"response_format": FORMAT},
            {"output_config": {"format": {**CLAUDES_FORMAT, "schema": {**SCHEMA, **CLOSED}}}},
            id="format, as Anthropic takes it",
        ),
        pytest.param(OLD, {}, {"response_format": FORMAT}, {}, id="no format where none is taken"),
        pytest.param(
            OPUS,
            {"output_config": {"format": CLAUDES_FORMAT}},
            {"response_format": {"type": "text"}},
            {},
            id="any text",
        ),
        pytest.param(OPUS, {}, {"response_format": {"type": "json_object"}}, {}, id="any object"),
        pytest.param(
            GPT, {}, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, id="effort elsewhere"
        ),
        pytest.param(
            GPT,
            {"thinking": {"type": "enabled", "budget_tokens": 30_000}},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort elsewhere, over thinking",
        ),
        pytest.param(
            GPT,
            {"thinking": {"type": "disabled"}},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort elsewhere, over none",
        ),
        pytest.param(
            {"dialect": "gemini", "model_id": "gemini-2.5-flash"},
            {"thinking": ENABLED},
            {"reasoning_effort": "none", "max_tokens": 7},
            {"generationConfig": {"maxOutputTokens": 7, "thinkingConfig": {"thinkingBudget": 0}}},
            id="no effort elsewhere",
        ),
        pytest.param(
            {"dialect": "converse", "model_id": "anthropic.claude-opus-4-6-v1"},
            {"thinking": ENABLED},
            {"reasoning_effort": "low"},
            {
                "inferenceConfig": {"maxTokens": 8000},
                "additionalModelRequestFields": {
                    "thinking": ADAPTIVE,
                    "output_config": {"effort": "low"},
                },
            },
            id="a Claude elsewhere",
        ),
        pytest.param(
            {"dialect": "converse", "model_id": "amazon.nova-2-lite-v1:0"},
            {},
            {"reasoning_effort": "low"},
            {
                "inferenceConfig": {"maxTokens": 8000},
                "additionalModelRequestFields": {
                    "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}
                },
            },
            id="a Nova elsewhere",
        ),
    ],
)
def test_parameters_are_put_over(
    target: dict[str, Any], body: dict[str, Any], parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What a target is sent of a call of Messages."""
    assert sent(body, parameters, target) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("", {"temperature": 0.2, "top_k": 3, "x": 1}),
        ("2023-06-01", {"temperature": 0.2, "top_k": 3, "x": 1}),
        ("2026-10-21", {"x": 1}),
        ("2027-01-01", {"x": 1}),
    ],
)
def test_sampling_under_a_version(version: str, expected: dict[str, Any]) -> None:
    """Anthropic's newer versions refuse it of every model; what a caller sent is taken away as ever."""
    parameters = {"temperature": 0.2, "top_p": None, "top_k": 3, "x": 1}
    goes_to = target_with(parameters, **SONNET)
    body = {"model": "a/b", "messages": [], "max_tokens": 9, "top_p": 0.5}
    call = parse_call(MESSAGES, json.dumps(body).encode(), model=None, account=None)
    changed = with_parameters(call, goes_to, api_version=version)
    put = {name: json.loads(bytes(value)) for name, value in changed.fields.items() if name not in body}
    assert put == expected
    assert "top_p" not in changed.fields


def test_sampling_of_other_calls() -> None:
    """A version is for Anthropic's own calls: chat's body is put into other words."""
    call = parse_call(CHAT, b'{"model": "a/b", "messages": []}', model=None, account=None)
    changed = with_parameters(call, target_with({"temperature": 0.2}, **SONNET), api_version="2026-10-21")
    assert bytes(changed.fields["temperature"]) == b"0.2"
