"""How hard a call is, guessed by what can be counted."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Tier
from gateway.routing.complexity_score import score, tier_of
from gateway.routing.prompt_reading import Prompt
from tests.unit.routing.prompts import PROMPTS

KIB: Final = 1024


def asked(question: str) -> Prompt:
    """A question without anything about it."""
    size = len(question.encode())
    return Prompt(question=question, question_bytes=size, text_bytes=size, turns=1)


PLAIN: Final = asked("Hello there")


@pytest.mark.parametrize(
    ("tier", "question"),
    [
        pytest.param(tier, question, id=f"{tier}-{question[:40]}")
        for tier, questions in PROMPTS.items()
        for question in questions
    ],
)
def test_questions_in_several_languages(tier: Tier, question: str) -> None:
    """Each prompt is taken for what a reader takes it for."""
    assert tier_of(asked(question)) == tier


@pytest.mark.parametrize(
    ("question", "points"),
    [
        pytest.param("Hello there", 0, id="nothing"),
        pytest.param("Prove it", 3, id="reasoning"),
        pytest.param("Debug and refactor it, rigorously, as a proof", 5, id="no more than five for that"),
        pytest.param("Why?", 1, id="thought"),
        pytest.param("Why? Compare, evaluate and justify it", 2, id="no more than two for that"),
        pytest.param("A python", 2, id="a word of code"),
        pytest.param("foo()", 2, id="code"),
        pytest.param("A python: foo()", 3, id="both"),
        pytest.param("A theorem", 2, id="a word of mathematics"),
        pytest.param("\\frac{1}{2}", 2, id="a formula"),
        pytest.param("A? B? C?", 1, id="three questions"),
        pytest.param("A?", 0, id="one question"),
        pytest.param("1. a\n2. b\n3. c", 1, id="a list of three"),
        pytest.param("- a\n- b", 0, id="a list of two"),
        pytest.param(
            "Provence, to improve, rediscover, spiegel, explicit", 0, id="words that begin like others"
        ),
        pytest.param("PROVE IT", 3, id="capitals"),
    ],
)
def test_what_a_text_says(question: str, points: int) -> None:
    """Each sign has its weight, and those of one kind a most."""
    assert score(msgspec.structs.replace(PLAIN, question=question)) == points


@pytest.mark.parametrize(
    ("prompt", "points"),
    [
        pytest.param(msgspec.structs.replace(PLAIN, question_bytes=399), 0, id="short"),
        pytest.param(msgspec.structs.replace(PLAIN, question_bytes=400), 1, id="longer"),
        pytest.param(msgspec.structs.replace(PLAIN, question_bytes=1500), 2, id="long"),
        pytest.param(msgspec.structs.replace(PLAIN, question_bytes=6000), 3, id="very long"),
        pytest.param(msgspec.structs.replace(PLAIN, text_bytes=16 * KIB - 1), 0, id="little about it"),
        pytest.param(msgspec.structs.replace(PLAIN, text_bytes=16 * KIB), 1, id="a document"),
        pytest.param(msgspec.structs.replace(PLAIN, text_bytes=64 * KIB), 2, id="a long document"),
        pytest.param(msgspec.structs.replace(PLAIN, text_bytes=256 * KIB), 3, id="a book"),
        pytest.param(msgspec.structs.replace(PLAIN, turns=6), 1, id="turns"),
        pytest.param(msgspec.structs.replace(PLAIN, turns=20), 2, id="many turns"),
        pytest.param(msgspec.structs.replace(PLAIN, tools=1), 1, id="a tool"),
        pytest.param(msgspec.structs.replace(PLAIN, tools=6), 2, id="tools"),
        pytest.param(msgspec.structs.replace(PLAIN, has_results=True), 1, id="results"),
        pytest.param(msgspec.structs.replace(PLAIN, has_media=True), 1, id="a picture"),
        pytest.param(msgspec.structs.replace(PLAIN, wants_shape=True), 1, id="JSON"),
        pytest.param(msgspec.structs.replace(PLAIN, effort="high"), 5, id="effort"),
        pytest.param(msgspec.structs.replace(PLAIN, effort="medium"), 2, id="some effort"),
        pytest.param(msgspec.structs.replace(PLAIN, effort="none"), -2, id="no effort"),
        pytest.param(msgspec.structs.replace(PLAIN, effort="other"), 0, id="an unknown word"),
        pytest.param(Prompt(), 2, id="nothing that can be read"),
    ],
)
def test_what_is_about_it(prompt: Prompt, points: int) -> None:
    """Sizes, tools and wishes have theirs."""
    assert score(prompt) == points


def test_agents_at_work_get_the_best() -> None:
    """A short answer in a long conversation with many tools is no small talk."""
    prompt = Prompt("go on", 5, text_bytes=80 * KIB, turns=24, tools=15, has_results=True)
    assert tier_of(prompt) == "complex"


@given(st.text(max_size=5000), st.sampled_from(["", "x"]))
def test_any_text_has_points(question: str, effort: str) -> None:
    """Whatever the text is, and never more than all signs together."""
    assert -2 <= score(Prompt(question=question, effort=effort)) <= 13
