"""Tests of what a route puts over its calls' parameters: callers of OpenAI's dialect, and what all share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsBase

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE
from gateway.endpoints.bedrock_catalogue import COUNT_TOKENS as COUNT_MODEL_TOKENS
from gateway.endpoints.catalogue import (
    CHAT,
    COMPACTION,
    COMPLETION,
    COUNT_TOKENS,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    MODEL_CALLS,
    MODERATION,
    RERANK,
    RESPONSE,
    SPEECH,
    TOKEN_COUNT,
)
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import COUNT, GENERATE
from gateway.endpoints.openai_call import parse_call
from gateway.errors import InvalidBody
from gateway.model import FIXED_PARAMETERS, Call, Endpoint, Target
from gateway.translate.parameters import _says_effort, with_parameters
from gateway.translate.parameters_of_messages import OPENAIS
from gateway.translate.registry import pair_of
from tests.unit.makers import make_target

SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT: Final = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}


def target_with(parameters: Mapping[str, Any], **changes: Any) -> Target:
    """A target that has these put over its calls."""
    written = {name: msgspec.json.encode(value) for name, value in parameters.items()}
    return make_target(parameters=written, **changes)


def sent(
    endpoint: Endpoint, body: dict[str, Any], parameters: dict[str, Any], **target: Any
) -> dict[str, Any]:
    """What *body* is sent as, without the model and what was asked."""
    goes_to = target_with(parameters, **target)
    call = parse_call(
        endpoint, json.dumps({"model": "acct/small", **body}).encode(), model=None, account=None
    )
    written, _ = pair_of(endpoint, goes_to).write(with_parameters(call, goes_to), goes_to)
    return {name: value for name, value in json.loads(written).items() if name not in _ASKED}


_ASKED: Final = frozenset({"model", "messages"})


@pytest.mark.parametrize(
    ("endpoint", "body", "parameters", "expected"),
    [
        pytest.param(CHAT, {"temperature": 1}, {"temperature": 0.2}, {"temperature": 0.2}, id="over its own"),
        pytest.param(CHAT, {}, {"seed": 7, "top_k": 5}, {"seed": 7, "top_k": 5}, id="beside its own"),
        pytest.param(CHAT, {"top_p": 0.5, "user": "u"}, {"top_p": None}, {"user": "u"}, id="null takes away"),
        pytest.param(
            CHAT,
            {"max_completion_tokens": 9},
            {"max_tokens": 5},
            {"max_tokens": 5},
            id="the same limit, old name",
        ),
        pytest.param(
            CHAT,
            {"max_tokens": 9},
            {"max_completion_tokens": 5},
            {"max_completion_tokens": 5},
            id="the same limit, new name",
        ),
        pytest.param(
            CHAT,
            {},
            {"max_tokens": 5, "max_completion_tokens": None},
            {"max_tokens": 5},
            id="whoever configures both has it so",
        ),
        pytest.param(
            CHAT,
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort over Anthropic's word for it",
        ),
        pytest.param(
            CHAT,
            {"reasoning": {"effort": "high"}},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort over OpenRouter's word for it",
        ),
        pytest.param(
            CHAT,
            {"reasoning": {"max_tokens": 32_000, "enabled": True, "exclude": True}},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low", "reasoning": {"exclude": True}},
            id="what is shown of it stays",
        ),
        pytest.param(
            CHAT,
            {"reasoning": True},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort over what is no object",
        ),
        pytest.param(
            CHAT,
            {"reasoning": {"effort": "high", "exclude": True}, "reasoning_effort": "high"},
            {"reasoning_effort": None},
            {"reasoning": {"exclude": True}},
            id="no effort by either name",
        ),
        pytest.param(
            CHAT,
            {"reasoning_effort": "high"},
            {"reasoning": {"effort": "low"}},
            {"reasoning": {"effort": "low"}},
            id="OpenRouter's word over effort",
        ),
        pytest.param(CHAT, {"reasoning_effort": "high"}, {"reasoning": None}, {}, id="null by its word"),
        pytest.param(
            CHAT,
            {"reasoning_effort": "high"},
            {"reasoning": {"exclude": True}},
            {"reasoning_effort": "high", "reasoning": {"exclude": True}},
            id="a word that says nothing of effort",
        ),
        pytest.param(
            CHAT,
            {"Reasoning": {"effort": "high"}, "Reasoning_Effort": "high"},
            {"reasoning_effort": "low"},
            {"reasoning_effort": "low"},
            id="effort in upper case",
        ),
        pytest.param(
            CHAT,
            {"Reasoning_Effort": "high"},
            {"reasoning": {"effort": "low"}},
            {"reasoning": {"effort": "low"}},
            id="OpenRouter's word over upper case",
        ),
        pytest.param(
            CHAT,
            {},
            {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
            {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
            id="whoever configures both efforts has it so",
        ),
        pytest.param(
            RESPONSE,
            {"reasoning": {"max_tokens": 32_000, "enabled": False, "summary": "auto"}},
            {"reasoning_effort": "low"},
            {"reasoning": {"summary": "auto", "effort": "low"}},
            id="responses: effort over OpenRouter's",
        ),
        pytest.param(
            CHAT,
            {"response_format": {"type": "text"}},
            {"response_format": FORMAT},
            {"response_format": FORMAT},
            id="format as a whole",
        ),
        pytest.param(
            COMPLETION, {"max_tokens": 9}, {"max_completion_tokens": 5}, {"max_tokens": 5}, id="completions"
        ),
        pytest.param(EMBEDDING, {}, {"dimensions": 256}, {"dimensions": 256}, id="embeddings"),
        pytest.param(RERANK, {"top_n": 5}, {"top_n": 2}, {"top_n": 2}, id="rerank"),
        pytest.param(MODERATION, {}, {"strict": True}, {"strict": True}, id="moderation"),
        pytest.param(IMAGE, {"size": "9x9"}, {"size": "1x1"}, {"size": "1x1"}, id="images"),
        pytest.param(SPEECH, {}, {"speed": 2}, {"speed": 2}, id="speech"),
        pytest.param(
            RESPONSE,
            {"max_output_tokens": 9},
            {"max_tokens": 5},
            {"max_output_tokens": 5},
            id="responses: limit",
        ),
        pytest.param(
            RESPONSE,
            {"reasoning": {"summary": "auto", "effort": "high"}},
            {"reasoning_effort": "low"},
            {"reasoning": {"summary": "auto", "effort": "low"}},
            id="responses: effort",
        ),
        pytest.param(
            RESPONSE,
            {"text": {"verbosity": "high", "format": {"type": "text"}}},
            {"response_format": FORMAT, "verbosity": "low"},
            {
                "text": {
                    "verbosity": "low",
                    "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
                }
            },
            id="responses: format",
        ),
        pytest.param(
            RESPONSE,
            {"text": {"format": {"type": "text"}}},
            {"response_format": {"type": "json_object"}},
            {"text": {"format": {"type": "json_object"}}},
            id="responses: any object",
        ),
        pytest.param(
            RESPONSE, {"reasoning": {"effort": "low"}}, {"reasoning_effort": None}, {}, id="responses: null"
        ),
        pytest.param(
            RESPONSE,
            {},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "name": "f"}},
            id="responses: tool",
        ),
        pytest.param(RESPONSE, {}, {"tool_choice": "none"}, {"tool_choice": "none"}, id="responses: no tool"),
        pytest.param(
            RESPONSE,
            {},
            {"seed": 7, "stop": "x", "temperature": 1, "instructions": "Be brief."},
            {"temperature": 1, "instructions": "Be brief."},
            id="responses: without a word for it",
        ),
    ],
)
def test_parameters_are_put_over(
    endpoint: Endpoint, body: dict[str, Any], parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """What a target of OpenAI's dialect is sent."""
    assert sent(endpoint, body, parameters) == expected


@pytest.mark.parametrize(
    ("endpoint", "parameters", "expected"),
    [
        (CHAT, {"max_tokens": 5}, {"max_tokens": 5}),
        (CHAT, {"max_tokens": None}, {}),
        (RESPONSE, {"max_tokens": 5}, {"max_output_tokens": 5}),
        (RESPONSE, {"max_tokens": None}, {}),
    ],
    ids=["a maximum", "none", "Responses", "Responses, none"],
)
def test_upper_case_is_no_way_around_them(
    endpoint: Endpoint, parameters: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Servers that do not tell it from lower case (Go's JSON, and so Ollama) take what comes last."""
    names = ("MAX_TOKENS", "Max_Completion_Tokens", "max_Output_tokens")
    found = sent(endpoint, {"N": 1, **dict.fromkeys(names, 9_000)}, parameters)
    assert found == {"N": 1} | expected


def test_a_routes_reasoning_is_decoded_once() -> None:
    """What it says is the same for every call."""
    before = _says_effort.cache_info().misses
    for _ in range(3):
        sent(CHAT, {"reasoning_effort": "high"}, {"reasoning": {"effort": "low", "exclude": True}})
    assert _says_effort.cache_info().misses <= before + 1


def test_they_reach_targets_of_other_dialects() -> None:
    """A rule on what a model takes stands in the pair, and holds for what is put over too."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9}
    parameters = {"max_tokens": 5, "temperature": 1.8, "stop": "x"}
    written = sent(CHAT, body, parameters, dialect="anthropic", model_id="claude-3-5-haiku-latest")
    assert written == {"max_tokens": 5, "temperature": 1, "stop_sequences": ["x"]}
    written = sent(CHAT, body, {"reasoning_effort": "low"}, dialect="gemini", model_id="gemini-3-pro")
    assert written["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"


def test_they_reach_targets_without_responses() -> None:
    """Over what the caller of Responses said."""
    written = sent(
        RESPONSE, {"input": "hi"}, {"max_tokens": 5, "reasoning_effort": "low"}, has_responses=False
    )
    assert written == {"max_completion_tokens": 5, "reasoning_effort": "low"}


def test_nothing_put_over_is_the_call_itself() -> None:
    """It costs a look, and no copy."""
    call = parse_call(CHAT, b'{"model":"a/b"}', model=None, account=None)
    assert with_parameters(call, make_target()) is call


@pytest.mark.parametrize("endpoint", [COUNT_TOKENS, COMPACTION, TOKEN_COUNT], ids=lambda found: found.path)
def test_who_counts_is_told_nothing(endpoint: Endpoint) -> None:
    """How the answer is to be is refused where there is none."""
    call = parse_call(endpoint, b'{"model":"a/b"}', model=None, account=None)
    assert with_parameters(call, target_with({"temperature": 1})) is call


def test_nor_is_who_counts_for_others() -> None:
    """The same in the words of Google and of AWS."""
    asked = target_with({"temperature": 1})
    for call in (
        read_gemini_call(COUNT, b'{"contents":[]}', model="a/b"),
        read_bedrock_call(COUNT_MODEL_TOKENS, b'{"input":{}}', model="a/b"),
    ):
        assert with_parameters(call, asked) is call


def test_choices_are_counted_anew() -> None:
    """They say what a stream must bring, and what is estimated."""
    call = parse_call(COMPLETION, b'{"model":"a/b","prompt":["x","y"],"n":3}', model=None, account=None)
    assert call.choices == 6
    assert with_parameters(call, target_with({"n": 1})).choices == 2
    assert with_parameters(call, target_with({"seed": 1})).choices == 6


def test_a_number_of_choices_that_is_none_is_refused() -> None:
    """It would be by the provider."""
    call = parse_call(CHAT, b'{"model":"a/b"}', model=None, account=None)
    with pytest.raises(InvalidBody):
        with_parameters(call, target_with({"n": "two"}))


@pytest.mark.parametrize(
    "call",
    [
        read_gemini_call(GENERATE, b'{"generationConfig":{"temperature":1},"a":1.0}', model="a/b"),
        read_bedrock_call(CONVERSE, b'{"inferenceConfig":{"temperature":1},"a":1.0}', model="a/b"),
    ],
    ids=["gemini", "converse"],
)
def test_a_body_that_goes_out_as_it_came_is_written_anew(call: Call) -> None:
    """And what the trace tells of the parameters is what was sent."""
    changed = with_parameters(call, target_with({"temperature": 0.5}))
    assert bytes(changed.body).endswith(b'{"temperature":0.5},"a":1.0}')
    assert changed.parameters == {"temperature": msgspec.Raw(b"0.5")}


def test_every_endpoint_that_answers_takes_them() -> None:
    """One that is new must not go without them unseen."""
    for endpoint in MODEL_CALLS:
        call = parse_call(endpoint, b'{"model":"a/b","x":1}', model=None, account=None)
        is_counting = endpoint in (COUNT_TOKENS, COMPACTION, TOKEN_COUNT)
        assert (with_parameters(call, target_with({"top_k": 1})) is call) == is_counting


def test_openais_names_are_those_of_its_sdk() -> None:
    """Of a new one it has to be said which dialect has a word for it."""
    assert set(CompletionCreateParamsBase.__annotations__) - OPENAIS - FIXED_PARAMETERS == set()


def test_messages_has_no_parameters_beside_its_fields() -> None:
    """They are at its top level."""
    call = parse_call(MESSAGES, b'{"model":"a/b"}', model=None, account=None)
    assert with_parameters(call, target_with({"temperature": 1})).parameters is None
