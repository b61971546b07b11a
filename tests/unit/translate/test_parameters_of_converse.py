"""Tests of what is put over the parameters of a call of Bedrock's runtime."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE, INVOKE
from gateway.model import Endpoint
from gateway.translate.parameters import with_parameters
from gateway.translate.registry import pair_of
from tests.unit.translate.test_parameters import FORMAT, target_with

SONNET: Final = "us.anthropic.claude-sonnet-4-20250514-v1:0"
OPUS: Final = "anthropic.claude-opus-4-6-v1"
NOVA: Final = "amazon.nova-2-lite-v1:0"
LLAMA: Final = "meta.llama3-1-8b-instruct-v1:0"
GPT: Final = "us.openai.gpt-5.6-sol"
QWEN: Final = "qwen.qwen3-32b-v1:0"
SCHEMA: Final = '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}'
OUTPUT: Final = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": SCHEMA}}}}


def sent(
    body: dict[str, Any], parameters: dict[str, Any], *, model_id: str, endpoint: Endpoint = CONVERSE
) -> dict[str, Any]:
    """What is sent."""
    target = target_with(parameters, dialect="converse", model_id=model_id)
    call = read_bedrock_call(endpoint, json.dumps(body).encode(), model=f"acct/{model_id}")
    written, _ = pair_of(endpoint, target).write(with_parameters(call, target), target)
    found: dict[str, Any] = json.loads(written)
    return found


def more(**fields: Any) -> dict[str, Any]:
    """A body with fields of the model's own."""
    return {"additionalModelRequestFields": fields}


@pytest.mark.parametrize(
    ("model_id", "body", "parameters", "expected"),
    [
        pytest.param(
            LLAMA,
            {"inferenceConfig": {"topP": 0.1, "temperature": 1}},
            {"max_tokens": 5, "top_p": 0.2, "stop": "x", "temperature": None},
            {"inferenceConfig": {"topP": 0.2, "maxTokens": 5, "stopSequences": ["x"]}},
            id="each name",
        ),
        pytest.param(LLAMA, {}, {"seed": 1, "top_k": 3}, {}, id="without a word for it"),
        pytest.param(SONNET, more(x=1), {"top_k": 3}, more(x=1, top_k=3), id="top_k of Claude"),
        pytest.param(
            NOVA,
            more(inferenceConfig={"x": 1}),
            {"top_k": 3},
            more(inferenceConfig={"x": 1, "topK": 3}),
            id="top_k of Nova",
        ),
        pytest.param(
            LLAMA,
            {},
            {"guardrailConfig": {"guardrailIdentifier": "g"}, "own": 1},
            {"guardrailConfig": {"guardrailIdentifier": "g"}, **more(own=1)},
            id="none of OpenAI's",
        ),
        pytest.param(
            OPUS,
            {"inferenceConfig": {"topP": 0.5}},
            {"temperature": 0.5},
            {"inferenceConfig": {"temperature": 0.5}},
            id="not both",
        ),
        pytest.param(
            SONNET,
            {"inferenceConfig": {"maxTokens": 8000, "temperature": 0.5, "topP": 0.5}, **more(top_k=4)},
            {"reasoning_effort": "low"},
            {
                "inferenceConfig": {"maxTokens": 8000},
                **more(thinking={"type": "enabled", "budget_tokens": 2048}),
            },
            id="effort of Claude in tokens",
        ),
        pytest.param(
            OPUS,
            more(output_config={"effort": "max"}, thinking={"type": "enabled", "budget_tokens": 9}),
            {"reasoning_effort": "low"},
            more(thinking={"type": "adaptive"}, output_config={"effort": "low"}),
            id="effort of Claude in a word",
        ),
        pytest.param(
            SONNET,
            {"toolConfig": {"tools": [], "toolChoice": {"any": {}}}},
            {"reasoning_effort": "low"},
            {"toolConfig": {"tools": [], "toolChoice": {"any": {}}}},
            id="no effort where a tool must be called",
        ),
        pytest.param(
            SONNET, more(thinking={"type": "enabled"}), {"reasoning_effort": None}, {}, id="null effort"
        ),
        pytest.param(
            NOVA,
            {"inferenceConfig": {"maxTokens": 5}},
            {"reasoning_effort": "high"},
            {
                "inferenceConfig": {"maxTokens": 5},
                **more(reasoningConfig={"type": "enabled", "maxReasoningEffort": "medium"}),
            },
            id="effort of Nova",
        ),
        pytest.param(
            QWEN, {}, {"reasoning_effort": "low"}, more(reasoning_config="low"), id="effort of Qwen"
        ),
        pytest.param(
            GPT,
            more(reasoning={"effort": "max", "summary": "auto"}),
            {"reasoning_effort": "minimal"},
            more(reasoning={"effort": "low", "summary": "auto"}),
            id="effort of GPT",
        ),
        pytest.param(
            GPT,
            more(x=1, reasoning={"effort": "max"}),
            {"reasoning_effort": None},
            more(x=1),
            id="no effort of GPT any more",
        ),
        pytest.param(LLAMA, more(x=1), {"reasoning_effort": "low"}, more(x=1), id="no effort"),
        pytest.param(QWEN, more(x=1), {"reasoning_effort": "no word"}, more(x=1), id="no word"),
        pytest.param(QWEN, {}, {"response_format": FORMAT}, {"outputConfig": OUTPUT}, id="format"),
        pytest.param(LLAMA, {}, {"response_format": FORMAT}, {}, id="no format where none is taken"),
        pytest.param(
            QWEN, {"outputConfig": OUTPUT}, {"response_format": {"type": "text"}}, {}, id="any text"
        ),
    ],
)
def test_parameters_are_put_over(
    model_id: str, body: dict[str, Any], parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What a model is sent by Converse."""
    asked: dict[str, Any] = {"messages": []}
    assert sent({**asked, **body}, parameters, model_id=model_id) == {**asked, **expected}


@pytest.mark.parametrize(
    ("model_id", "body", "parameters", "expected"),
    [
        pytest.param(
            OPUS,
            {"anthropic_version": "v", "max_tokens": 9, "top_p": 0.5},
            {"temperature": 0.5, "max_completion_tokens": 5},
            {"anthropic_version": "v", "max_tokens": 5, "temperature": 0.5},
            id="Claude",
        ),
        pytest.param(
            NOVA,
            {"schemaVersion": "messages-v1", "inferenceConfig": {"maxTokens": 9}},
            {"max_tokens": 5},
            {"schemaVersion": "messages-v1", "inferenceConfig": {"maxTokens": 5}},
            id="Nova",
        ),
        pytest.param(
            QWEN, {"messages": [], "seed": 1}, {"seed": 2}, {"messages": [], "seed": 2}, id="as OpenAI"
        ),
        pytest.param(LLAMA, {"prompt": "x"}, {"max_tokens": 5}, {"prompt": "x"}, id="any other"),
    ],
)
def test_bodies_of_models_that_are_known(
    model_id: str, body: dict[str, Any], parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Those of others are their callers' business."""
    assert sent(body, parameters, model_id=model_id, endpoint=INVOKE) == expected


def test_a_body_that_is_no_json_stays() -> None:
    """What an `InvokeModel` takes is the model's business."""
    target = target_with({"max_tokens": 5}, dialect="converse", model_id=LLAMA)
    call = read_bedrock_call(INVOKE, b"\x00", model="acct/m")
    assert with_parameters(call, target) is call
