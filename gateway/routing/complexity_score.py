"""How hard a call is, in points: a guess by what can be counted, without asking anybody. Pure.

| what counts | points |
|---|---|
| words that ask for reasoning (prove, debug, step by step) | 3, and 1 for each other one, 5 at most |
| words that ask for thought (why, compare, design) | 1 each, 2 at most |
| it is about code: words of it, or code itself; both | 2; 3 |
| it is about mathematics: words of it, or formulas | 2 |
| it asks for several things: a list of three, or three question marks | 1 |
| the question is of 400, 1 500, 6 000 bytes | 1, 2, 3 |
| all that is asked is of 16, 64, 256 KiB | 1, 2, 3 |
| tools: any; 6 | 1; 2 |
| one was called in the last turns: an agent is at work | 1 |
| turns: 6, 20 | 1, 2 |
| the answer must be JSON | 1 |
| a picture or the like is in the question | 1 |
| how hard the caller wants the model to think: medium; more; little or not at all | 2; 5; -2 |

Up to 1 point a call is simple, from 5 on it is complex. So one sign of thought alone is simple ("Why is the
sky blue?"), a sign of reasoning or of code is medium ("Write a function that ..."), and it takes two signs of
such weight to be complex ("Prove that the square root of 2 is irrational"). What the caller says outright
weighs as much as all that a short question can say. The weights were set on the prompts of the tests, in
fifteen languages. They are no measurement of any model: an operator to whom a wrong guess is dear lets a
model judge.

A call whose question cannot be read (tokens, sound, a body of a wrong shape) has 2 points for that.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model import Tier
from gateway.routing.complexity_words import (
    ASCII_PHRASES,
    BEGINNING,
    KINDS,
    PHRASES,
    STEMS_BY_BEGINNING,
    WORDS,
    Kind,
)
from gateway.routing.prompt_reading import Prompt

MOST_OF_SIMPLE: Final = 1
LEAST_OF_COMPLEX: Final = 5

_KIB: Final = 1024
_QUESTION_BYTES: Final = (400, 1_500, 6_000)
_TEXT_BYTES: Final = (16 * _KIB, 64 * _KIB, 256 * _KIB)
_TURNS: Final = (6, 20)
_TOOLS: Final = (1, 6)
_SEVERAL: Final = 3
_REASONING: Final = 3
_MOST_REASONING: Final = 5
_MOST_THOUGHT: Final = 2
_TOPIC: Final = 2
_UNREAD: Final = 2
_EFFORTS: Final = {"none": -2, "minimal": -2, "low": -2, "medium": 2, "high": 5, "xhigh": 5, "max": 5}

_WORD: Final = re.compile(r"\w+")
_MARK_OF_CODE: Final = re.compile(r"[`(){};:=#<>]|select", re.IGNORECASE)
_CODE: Final = re.compile(
    r"```|^[ \t]{0,12}(?:def|class|import|from|func|fn|public|private|const|let|var|return|if|for|while)\b"
    r".{0,80}[({:;=]"
    r"|#include\s*<|</\w{1,20}>|\bselect\b.{1,80}\bfrom\b|=>|\w\(\)|::\w|[{;][ \t]{0,12}$",
    re.IGNORECASE | re.MULTILINE,
)
_FORMULA: Final = re.compile(
    r"\\(?:frac|int|sum|sqrt|lim|begin|mathbb|cdot|partial)\b|\$\$|[∑∫√∂∀∃∈≤≥≠∞∇]|\b\w\^[\w{(]"
)
_QUESTION: Final = re.compile(r"[?\uff1f\u061f]")
_LIST_ITEM: Final = re.compile(r"^[ \t]{0,12}(?:\d{1,2}[.)]|[-*•])\s", re.MULTILINE)


def tier_of(prompt: Prompt) -> Tier:
    """How hard *prompt* is taken to be."""
    points = score(prompt)
    if points <= MOST_OF_SIMPLE:
        return "simple"
    return "complex" if points >= LEAST_OF_COMPLEX else "medium"


def score(prompt: Prompt) -> int:
    """The points of *prompt*."""
    return (
        (_points_of_text(prompt.question) if prompt.question else _UNREAD)
        + _steps(prompt.question_bytes, _QUESTION_BYTES)
        + _steps(prompt.text_bytes, _TEXT_BYTES)
        + _steps(prompt.turns, _TURNS)
        + _steps(prompt.tools, _TOOLS)
        + prompt.has_results
        + prompt.has_media
        + prompt.wants_shape
        + _EFFORTS.get(prompt.effort, 0)
    )


def _points_of_text(text: str) -> int:
    found = _words_in(text.lower())
    points = min(found["thought"], _MOST_THOUGHT)
    if found["reasoning"]:
        points += min(_REASONING + found["reasoning"] - 1, _MOST_REASONING)
    signs_of_code = (found["code"] > 0) + _has_code(text)
    if signs_of_code:
        points += _TOPIC + signs_of_code - 1
    if found["maths"] or _has_formula(text):
        points += _TOPIC
    questions = len(_QUESTION.findall(text))
    is_several = questions >= _SEVERAL or len(_LIST_ITEM.findall(text)) >= _SEVERAL
    return points + is_several


def _has_code(text: str) -> bool:
    # Most texts have no mark of any, which is seen three times quicker.
    return _MARK_OF_CODE.search(text) is not None and _CODE.search(text) is not None


def _has_formula(text: str) -> bool:
    may_have = "\\" in text or "^" in text or "$$" in text or not text.isascii()
    return may_have and _FORMULA.search(text) is not None


def _words_in(text: str) -> dict[Kind, int]:
    """How many different words of each kind there are in a *text* of small letters."""
    found: dict[Kind, int] = dict.fromkeys(KINDS, 0)
    seen: set[str] = set()
    for word in set(_WORD.findall(text)):
        if (kind := WORDS.get(word)) is not None:
            found[kind] += 1
        for stem, kind in STEMS_BY_BEGINNING.get(word[:BEGINNING], ()):
            if word.startswith(stem) and stem not in seen:
                seen.add(stem)
                found[kind] += 1
    for phrase, kind in (ASCII_PHRASES if text.isascii() else PHRASES).items():
        if phrase in text:
            found[kind] += 1
    return found


def _steps(number: int, bounds: tuple[int, ...]) -> int:
    """How many of the *bounds* a *number* reaches."""
    return sum(number >= bound for bound in bounds)
