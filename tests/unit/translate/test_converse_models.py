"""What is known of Bedrock's models, by their ids."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.converse_models import effort_fields, model_of, top_k_fields
from tests.unit.makers import make_target

OPAQUE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
CAN_BE_FORCED = "can_be_forced can_be_forced_to_one"
FACTS = (
    "shapes_output",
    "can_be_forced",
    "can_be_forced_to_one",
    "takes_one_at_a_time",
    "caches",
    "caches_tools",
    "takes_system",
    "takes_status",
    "wants_results_alone",
    "begins_with_either",
)


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "claude"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-2-lite-v1:0", "nova"),
        ("mistral.pixtral-large-2502-v1:0", "mistral"),
        ("mistral.mixtral-8x7b-instruct-v0:1", "mistral"),
        ("meta.llama3-8b-instruct-v1:0", "llama"),
        ("openai.gpt-oss-20b-1:0", "gpt-oss"),
        ("us.openai.gpt-5.6-sol", "gpt"),
        ("global.openai.gpt-6-astra", "gpt"),
        ("xai.grok-4-fast", "grok"),
        ("ai21.jamba-1-5-mini-v1:0", "jamba"),
        ("brand.new-v1:0", ""),
        (OPAQUE, ""),
    ],
)
def test_families(model_id: str, family: str) -> None:
    """By a word in the id, wherever it stands."""
    assert model_of(make_target(model_id=model_id)).family == family


def test_what_says_nothing_is_known_by_its_name() -> None:
    """An ARN of one's own hides the model; the name it has here need not. The account's does not count."""
    assert model_of(make_target("nova-team/claude-sonnet-4-5", model_id=OPAQUE)).family == "claude"
    assert model_of(make_target("nova-team/small", model_id=OPAQUE)).family == ""


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "can_be_forced can_be_forced_to_one takes_status"),
        (
            "anthropic.claude-3-5-haiku-20241022-v1:0",
            "can_be_forced can_be_forced_to_one caches caches_tools takes_status",
        ),
        (
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            f"{CAN_BE_FORCED} shapes_output takes_one_at_a_time caches caches_tools takes_status",
        ),
        (
            "anthropic.claude-opus-4-8",
            "can_be_forced can_be_forced_to_one takes_one_at_a_time caches caches_tools takes_status",
        ),
        ("anthropic.claude-fable-5", "takes_one_at_a_time caches caches_tools takes_status"),
        ("anthropic.claude-opus-5-5", "takes_one_at_a_time caches caches_tools takes_status"),
        (
            "amazon.nova-pro-v1:0",
            "can_be_forced can_be_forced_to_one caches takes_status -begins_with_either",
        ),
        ("mistral.mistral-large-2407-v1:0", "can_be_forced wants_results_alone -begins_with_either"),
        (
            "mistral.mistral-large-3-675b",
            "shapes_output can_be_forced wants_results_alone -begins_with_either",
        ),
        ("mistral.mistral-7b-instruct-v0:2", "wants_results_alone -begins_with_either -takes_system"),
        ("meta.llama3-3-70b-instruct-v1:0", "wants_results_alone -begins_with_either"),
        ("amazon.titan-text-lite-v1", "-begins_with_either -takes_system"),
        ("deepseek.v3-v1:0", "can_be_forced -begins_with_either"),
        ("qwen.qwen3-32b-v1:0", "shapes_output"),
        ("openai.gpt-5.6-sol", f"{CAN_BE_FORCED} shapes_output"),
        (
            "brand.new-v1:0",
            "shapes_output can_be_forced can_be_forced_to_one caches caches_tools takes_status",
        ),
    ],
)
def test_facts(model_id: str, expected: str) -> None:
    """What each can do; most take a system prompt, and many begin with what they said."""
    model = model_of(make_target(model_id=model_id))
    found = {name for name in FACTS if getattr(model, name)}
    named = set(expected.split())
    wanted = {name for name in named if not name.startswith("-")} | {"takes_system", "begins_with_either"}
    assert found == wanted - {name[1:] for name in named if name.startswith("-")}


@pytest.mark.parametrize(
    ("model_id", "effort", "is_limited", "expected"),
    [
        ("amazon.nova-2-lite-v1:0", "low", False, {"type": "enabled", "maxReasoningEffort": "low"}),
        ("amazon.nova-2-lite-v1:0", "max", False, {"type": "enabled", "maxReasoningEffort": "high"}),
        ("amazon.nova-2-lite-v1:0", "max", True, {"type": "enabled", "maxReasoningEffort": "medium"}),
    ],
)
def test_nova_thinks(model_id: str, effort: str, *, is_limited: bool, expected: dict[str, Any]) -> None:
    """Its highest effort refuses every limit, so a call with one gets the next."""
    model = model_of(make_target(model_id=model_id))
    assert effort_fields(model, effort, is_limited=is_limited) == {"reasoningConfig": expected}


@pytest.mark.parametrize(
    ("model_id", "effort", "expected"),
    [
        ("openai.gpt-oss-20b-1:0", "minimal", {"reasoning_effort": "low"}),
        ("openai.gpt-oss-20b-1:0", "none", None),
        ("qwen.qwen3-32b-v1:0", "medium", {"reasoning_config": "high"}),
        ("amazon.nova-pro-v1:0", "none", {}),
        ("amazon.nova-pro-v1:0", "low", None),
        ("meta.llama3-8b-instruct-v1:0", "low", None),
        ("openai.gpt-oss-20b-1:0", "huge", None),
        ("us.openai.gpt-5.6-sol", "none", {"reasoning": {"effort": "none"}}),
        ("us.openai.gpt-5.6-sol", "minimal", {"reasoning": {"effort": "low"}}),
        ("us.openai.gpt-5.6-sol", "max", {"reasoning": {"effort": "max"}}),
        ("us.openai.gpt-5.6-sol", "huge", None),
        ("openai.gpt-6-astra", "none", {"reasoning": {"effort": "low"}}),
        ("openai.gpt-6.1-sol", "none", {"reasoning": {"effort": "low"}}),
        ("xai.grok-4-fast", "low", None),
    ],
)
def test_others_think(model_id: str, effort: str, expected: dict[str, Any] | None) -> None:
    """Each in its own words; None where it cannot be told."""
    assert effort_fields(model_of(make_target(model_id=model_id)), effort, is_limited=False) == expected


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", {"top_k": 5}),
        ("amazon.nova-pro-v1:0", {"inferenceConfig": {"topK": 5}}),
        ("meta.llama3-8b-instruct-v1:0", None),
    ],
)
def test_top_k(model_id: str, expected: dict[str, Any] | None) -> None:
    """Converse has no word for it, so it goes where the model takes it."""
    assert top_k_fields(model_of(make_target(model_id=model_id)), 5) == expected


@pytest.mark.parametrize(
    ("model_id", "stops", "files", "thoughts"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", True, True, True),
        ("amazon.nova-pro-v1:0", True, True, False),
        ("us.meta.llama4-scout-17b-instruct-v1:0", True, True, False),
        ("meta.llama3-3-70b-instruct-v1:0", True, False, False),
        ("openai.gpt-oss-20b-1:0", False, False, False),
        ("qwen.qwen3-vl-235b-a22b", False, False, False),
        ("deepseek.v3-v1:0", False, False, False),
        ("us.deepseek.r1-v1:0", True, False, False),
        ("openai.gpt-5.6-sol", True, False, True),
        ("brand.new-v1:0", True, True, True),
    ],
)
def test_what_some_refuse(model_id: str, *, stops: bool, files: bool, thoughts: bool) -> None:
    """Texts to stop at, pictures within results of tools, and thoughts that come back."""
    model = model_of(make_target(model_id=model_id))
    assert (model.takes_stops, model.takes_files_in_results, model.takes_thoughts) == (stops, files, thoughts)


@pytest.mark.parametrize(
    ("model_id", "takes"),
    [
        ("openai.gpt-6-sol", False),
        ("global.xai.grok-4.6", False),
        ("openai.gpt-oss-20b-1:0", True),
        ("x", True),
    ],
)
def test_sampling(model_id: str, *, takes: bool) -> None:
    """Those that always think refuse to be told how to choose words."""
    assert model_of(make_target(model_id=model_id)).takes_sampling is takes
