"""Tests of what is put over the parameters of a call of Google's."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import EMBED, EMBED_BATCH, GENERATE
from gateway.model import Endpoint
from gateway.translate.parameters import with_parameters
from gateway.translate.registry import pair_of
from tests.unit.translate.test_parameters import FORMAT, SCHEMA, target_with

OLD: Final = "gemini-2.0-flash"
BUDGETED: Final = "gemini-2.5-flash"
NEW: Final = "gemini-3-flash"


def sent(
    body: dict[str, Any],
    parameters: dict[str, Any],
    *,
    model_id: str = BUDGETED,
    endpoint: Endpoint = GENERATE,
) -> dict[str, Any]:
    """What is sent."""
    target = target_with(parameters, dialect="gemini", model_id=model_id)
    call = read_gemini_call(endpoint, json.dumps(body).encode(), model=f"acct/{model_id}")
    written, _ = pair_of(endpoint, target).write(with_parameters(call, target), target)
    found: dict[str, Any] = json.loads(written)
    return found


@pytest.mark.parametrize(
    ("model_id", "config", "parameters", "expected"),
    [
        pytest.param(OLD, {"topP": 0.1}, {"top_p": 0.2}, {"topP": 0.2}, id="over its own"),
        pytest.param(OLD, {"top_p": 0.1}, {"top_p": 0.2}, {"topP": 0.2}, id="over its own in the other form"),
        pytest.param(OLD, {"topP": 0.1, "seed": 1}, {"top_p": None}, {"seed": 1}, id="null takes away"),
        pytest.param(
            OLD,
            {},
            {
                "temperature": 1,
                "top_k": 4,
                "max_tokens": 5,
                "stop": "x",
                "seed": 7,
                "n": 2,
                "frequency_penalty": 1,
                "presence_penalty": 2,
                "logprobs": True,
                "top_logprobs": 3,
            },
            {
                "temperature": 1,
                "topK": 4,
                "maxOutputTokens": 5,
                "stopSequences": ["x"],
                "seed": 7,
                "candidateCount": 2,
                "frequencyPenalty": 1,
                "presencePenalty": 2,
                "responseLogprobs": True,
                "logprobs": 3,
            },
            id="each name",
        ),
        pytest.param(
            NEW, {"seed": 1}, {"presence_penalty": 0, "frequency_penalty": 1}, {"seed": 1}, id="refused"
        ),
        pytest.param(
            NEW, {"seed": 1, "presencePenalty": 1}, {"presence_penalty": None}, {"seed": 1}, id="null helps"
        ),
        pytest.param(OLD, {}, {"logit_bias": {}, "user": "u"}, None, id="without a word for it"),
        pytest.param(
            BUDGETED,
            {"thinkingConfig": {"thinkingBudget": 5, "includeThoughts": True}},
            {"reasoning_effort": "low"},
            {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}},
            id="effort in tokens",
        ),
        pytest.param(
            NEW,
            {"thinking_config": {"thinking_level": "HIGH"}},
            {"reasoning_effort": "low"},
            {"thinking_config": {"thinkingLevel": "LOW"}},
            id="effort in a word",
        ),
        pytest.param(OLD, {"seed": 1}, {"reasoning_effort": "low"}, {"seed": 1}, id="no effort"),
        pytest.param(NEW, {"seed": 1}, {"reasoning_effort": 3}, {"seed": 1}, id="no word"),
        pytest.param(
            NEW,
            {"thinkingConfig": {"thinkingLevel": "LOW"}},
            {"reasoning_effort": None},
            None,
            id="null effort",
        ),
        pytest.param(
            NEW,
            {"response_schema": {"type": "STRING"}},
            {"response_format": FORMAT},
            {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
            id="format",
        ),
        pytest.param(
            OLD,
            {},
            {"response_format": FORMAT},
            {
                "responseMimeType": "application/json",
                "responseSchema": {
                    "type": "OBJECT",
                    "properties": {"a": {"type": "STRING"}},
                    "propertyOrdering": ["a"],
                },
            },
            id="format in Google's words",
        ),
        pytest.param(
            OLD,
            {},
            {"response_format": {"type": "json_object"}},
            {"responseMimeType": "application/json"},
            id="any object",
        ),
        pytest.param(
            OLD,
            {"responseMimeType": "application/json", "seed": 1},
            {"response_format": {"type": "text"}},
            {"seed": 1},
            id="any text",
        ),
        pytest.param(OLD, {"seed": 1}, {"response_format": {"type": "x"}}, {"seed": 1}, id="no such format"),
    ],
)
def test_parameters_are_put_over(
    model_id: str, config: dict[str, Any], parameters: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    """What `generationConfig` is sent as."""
    body = {"contents": [], "generationConfig": config} if config else {"contents": []}
    assert sent(body, parameters, model_id=model_id).get("generationConfig") == expected


def test_configuration_in_the_other_form_stays_in_it() -> None:
    """Two of them would be one too many."""
    assert sent({"generation_config": {"seed": 1}}, {"seed": 2}) == {"generation_config": {"seed": 2}}


def test_what_is_none_of_openais_is_written_beside_it() -> None:
    """Whoever configured it knows Google."""
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    assert sent({"contents": []}, {"safetySettings": settings}) == {
        "contents": [],
        "safetySettings": settings,
    }


def test_choices_are_counted_anew() -> None:
    """They say what a stream must bring."""
    call = read_gemini_call(GENERATE, b'{"contents":[]}', model="a/b")
    assert with_parameters(call, target_with({"n": 3})).choices == 3


@pytest.mark.parametrize(
    ("endpoint", "body", "expected"),
    [
        pytest.param(
            EMBED,
            {"content": {}, "output_dimensionality": 9},
            {"content": {}, "outputDimensionality": 5, "x": 1},
            id="one",
        ),
        pytest.param(
            EMBED_BATCH,
            {"requests": [{"content": {}, "outputDimensionality": 9}, {"content": {}}]},
            {
                "requests": [
                    {"content": {}, "outputDimensionality": 5},
                    {"content": {}, "outputDimensionality": 5},
                ],
                "x": 1,
            },
            id="several",
        ),
        pytest.param(EMBED_BATCH, {"requests": 1}, {"requests": 1, "x": 1}, id="of a wrong shape"),
    ],
)
def test_embeddings_are_as_long_as_configured(
    endpoint: Endpoint, body: dict[str, Any], expected: dict[str, Any]
) -> None:
    """All else that OpenAI has a name for is nothing to embeddings."""
    parameters = {"dimensions": 5, "temperature": 1, "x": 1}
    assert sent(body, parameters, endpoint=endpoint) == expected


def test_both_forms_of_a_configuration() -> None:
    """They become one: no server reads another value than what was put over."""
    body = {"generation_config": {"max_output_tokens": 9, "topK": 1}, "generationConfig": {"seed": 1}}
    expected = {"generationConfig": {"seed": 1, "topK": 1, "maxOutputTokens": 5}}
    assert sent(body, {"max_tokens": 5}) == expected
