"""Words that stand for a subject."""

from __future__ import annotations

import re

import pytest

from gateway.telemetry.redaction_words import WORDS, word_pattern


@pytest.mark.parametrize("subject", WORDS)
def test_each_word_is_found_alone_and_written_as_people_do(subject: str) -> None:
    """In capitals, with a hyphen, with an ending where one may follow; and nowhere within another word."""
    pattern = re.compile(word_pattern(WORDS[subject]))
    for entry in WORDS[subject].split(","):
        word = entry.strip().removesuffix("*")
        ending = "ers" if entry.endswith("*") else ""
        for written in (word, word.upper(), word.replace(" ", "-"), word + ending):
            found = pattern.search(f"So {written}.")
            assert found is not None, written
            assert found[0] == written
        assert pattern.fullmatch(f"x{word}") is None
        assert ending or pattern.fullmatch(f"{word}zz") is None


@pytest.mark.parametrize("subject", WORDS)
def test_the_lists_are_clean(subject: str) -> None:
    """No word twice, and a star only at the end."""
    entries = [entry.strip() for entry in WORDS[subject].split(",")]
    assert len(entries) == len(set(entries))
    assert all(re.fullmatch(r"[a-z0-9]+(?:[ '][a-z0-9]+)*\*?", entry) for entry in entries), entries


def test_a_phrase_may_begin_another() -> None:
    """The longer one is masked whole."""
    found = re.search(word_pattern("hate, hate crime*, hated"), "a hate crimes law")
    assert found is not None
    assert found[0] == "hate crimes"


def test_an_underscore_is_no_letter() -> None:
    """Names of programs are made of words."""
    assert re.search(word_pattern("gun"), "buy_gun_now") is not None
