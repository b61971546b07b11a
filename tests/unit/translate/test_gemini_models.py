"""What the generations of Gemini can do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.gemini_models import (
    generate_path,
    generation_of,
    signs_calls,
    takes_json_schema,
    takes_penalties,
    takes_tools_and_shape,
    thinking_for,
    thinking_within,
    thinks_by_itself,
    tier_for,
)
from tests.unit.makers import make_target


@pytest.mark.parametrize(
    ("model_id", "generation"),
    [
        ("gemini-1.5-pro-002", (1, 5)),
        ("gemini-2.0-flash-001", (2, 0)),
        ("models/gemini-2.5-flash-lite", (2, 5)),
        ("google/gemini-2.5-pro", (2, 5)),
        ("gemini-3-pro-preview", (3, 0)),
        ("gemini-3.1-flash-lite-preview", (3, 1)),
        ("gemini-3.5-flash", (3, 5)),
        ("gemini-4-hydrogen", (4, 0)),
        ("gemini-10-flash", (10, 0)),
        ("gemini-flash-latest", (3, 8)),
        ("gemma-3-27b-it", None),
        ("tunedModels/mine", None),
        ("gemini-embedding-001", None),
    ],
)
def test_generations(model_id: str, generation: tuple[int, int] | None) -> None:
    """Read from the id, wherever the name stands in it."""
    assert generation_of(model_id) == generation


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("gemini-1.5-pro", (False, False, False, False)),
        ("gemini-2.0-flash", (False, False, False, False)),
        ("gemini-2.5-flash", (True, False, False, True)),
        ("gemini-2.5-flash-lite", (True, False, False, False)),
        ("gemini-2.5-flash-image", (True, False, False, False)),
        ("gemini-3-pro-preview", (True, True, True, True)),
        ("gemini-3.1-flash-lite", (True, True, True, True)),
        ("gemma-3", (False, False, False, False)),
    ],
)
def test_abilities(model_id: str, expected: tuple[bool, ...]) -> None:
    """Of a model that is not known nothing is taken for granted."""
    found = takes_json_schema(model_id), takes_tools_and_shape(model_id), signs_calls(model_id)
    assert (*found, thinks_by_itself(model_id)) == expected


@pytest.mark.parametrize(
    ("model_id", "is_vertex", "takes"),
    [
        ("gemini-2.0-flash", False, True),
        ("gemini-2.5-flash", False, False),
        ("gemini-2.5-flash", True, True),
        ("gemini-3.8-flash", True, False),
        ("gemini-4-carbon", False, False),
        ("tunedModels/mine", False, True),
    ],
)
def test_penalties(model_id: str, *, is_vertex: bool, takes: bool) -> None:
    """Newer models refuse a call with one; at Vertex those of 2.5 take it."""
    provider = "gcp.vertex_ai" if is_vertex else "gcp.gemini"
    assert takes_penalties(make_target(model_id=model_id, provider=provider)) is takes


@pytest.mark.parametrize(
    ("asked", "is_vertex", "expected"),
    [
        (None, False, {}),
        ("auto", False, {}),
        ("default", True, {}),
        ("flex", False, {"serviceTier": "flex"}),
        ("priority", False, {"serviceTier": "priority"}),
        ("flex", True, None),
        ("scale", False, None),
        (1, False, None),
    ],
)
def test_tiers(asked: object, *, is_vertex: bool, expected: dict[str, str] | None) -> None:
    """The Gemini API has OpenAI's words for those that are not the usual one; Vertex has a header."""
    provider = "gcp.vertex_ai" if is_vertex else "gcp.gemini"
    assert tier_for(make_target(model_id="gemini-3.8-flash", provider=provider), asked) == expected


BUDGET_25 = "gemini-2.5-flash"
PRO_25 = "gemini-2.5-pro"
LITE_25 = "gemini-2.5-flash-lite"
PRO_30 = "gemini-3-pro-preview"
PRO_31 = "gemini-3.1-pro-preview"
FLASH_35 = "gemini-3.5-flash"


@pytest.mark.parametrize(
    ("model_id", "effort", "expected"),
    [
        (BUDGET_25, "none", {"thinkingBudget": 0}),
        (PRO_25, "none", {"thinkingBudget": 128}),
        (BUDGET_25, "minimal", {"thinkingBudget": 1024}),
        (LITE_25, "low", {"thinkingBudget": 1024}),
        (PRO_25, "medium", {"thinkingBudget": 8192}),
        (PRO_25, "xhigh", {"thinkingBudget": 24_576}),
        (PRO_25, "as you like", {"thinkingBudget": -1}),
        (FLASH_35, "none", {"thinkingLevel": "MINIMAL"}),
        (PRO_31, "none", {"thinkingLevel": "LOW"}),
        (FLASH_35, "minimal", {"thinkingLevel": "MINIMAL"}),
        (PRO_31, "minimal", {"thinkingLevel": "LOW"}),
        (FLASH_35, "low", {"thinkingLevel": "LOW"}),
        (PRO_31, "medium", {"thinkingLevel": "MEDIUM"}),
        (PRO_30, "medium", {"thinkingLevel": "HIGH"}),
        ("gemini-3-flash-preview", "medium", {"thinkingLevel": "MEDIUM"}),
        (FLASH_35, "max", {"thinkingLevel": "HIGH"}),
        (FLASH_35, "as you like", {}),
        ("gemini-3.6-flash", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-3.8-flash", "none", {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", "none", {"thinkingLevel": "LOW"}),
        ("gemini-3.8-flash-lite", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-flash-lite-latest", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-4-hydrogen", "minimal", {"thinkingLevel": "LOW"}),
        ("gemini-4-argon", "none", {"thinkingLevel": "LOW"}),
        ("gemini-4-hydrogen", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-4-hydrogen", "xhigh", {"thinkingLevel": "XHIGH"}),
        ("publishers/google/models/gemini-4-neon", "max", {"thinkingLevel": "XHIGH"}),
        ("gemini-4-carbon", "xhigh", {"thinkingLevel": "HIGH"}),
        ("gemini-4-argon", "max", {"thinkingLevel": "HIGH"}),
        ("gemini-2.5-flash-image", "high", None),
        ("google/gemini-2.5-flash-image-preview", "none", {}),
        ("gemini-2.5-pro-preview-tts", "low", None),
        ("gemini-2.0-flash", "high", None),
        ("gemini-2.0-flash", "none", {}),
        ("gemma-3", "low", None),
    ],
)
def test_efforts(model_id: str, effort: str, expected: dict[str, Any] | None) -> None:
    """In tokens before Gemini 3, in levels from there on; nothing where it cannot think."""
    assert thinking_for(model_id, effort) == expected


@pytest.mark.parametrize(
    ("model_id", "tokens", "expected"),
    [
        (BUDGET_25, 2000, {"thinkingBudget": 2000}),
        (BUDGET_25, 0, {"thinkingBudget": 0}),
        (BUDGET_25, -1, {"thinkingBudget": -1}),
        (BUDGET_25, 1 << 40, {"thinkingBudget": 24_576}),
        (PRO_25, 1 << 40, {"thinkingBudget": 32_768}),
        (PRO_25, 5, {"thinkingBudget": 128}),
        (LITE_25, 5, {"thinkingBudget": 512}),
        (FLASH_35, 500, {"thinkingLevel": "LOW"}),
        (FLASH_35, 8000, {"thinkingLevel": "MEDIUM"}),
        (FLASH_35, 9000, {"thinkingLevel": "HIGH"}),
        (FLASH_35, -1, {}),
        (FLASH_35, 0, {"thinkingLevel": "MINIMAL"}),
        ("gemini-2.0-flash", 500, None),
        ("gemma-3", 0, {}),
    ],
)
def test_budgets(model_id: str, tokens: int, expected: dict[str, Any] | None) -> None:
    """Within what the model takes, or as the nearest level."""
    assert thinking_within(model_id, tokens) == expected


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/a", "/tunedModels/a"),
        ("endpoints/123", "/endpoints/123"),
        ("publishers/google/models/x", "/publishers/google/models/x"),
        ("gemini-x@001", "/models/gemini-x@001"),
        ("a b?c#d", "/models/a%20b%3Fc%23d"),
    ],
)
def test_paths(model_id: str, expected: str) -> None:
    """A name can name its collection; nothing in it ends the path."""
    target = make_target(dialect="gemini", model_id=model_id)
    assert generate_path(target, is_stream=False) == f"{expected}:generateContent"
    assert generate_path(target, is_stream=True) == f"{expected}:streamGenerateContent?alt=sse"
