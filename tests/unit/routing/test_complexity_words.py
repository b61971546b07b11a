"""The words that say how hard a question is."""

from __future__ import annotations

from gateway.routing.complexity_words import (
    ASCII_PHRASES,
    BEGINNING,
    PHRASES,
    STEMS,
    STEMS_BY_BEGINNING,
    WORDS,
)


def test_all_are_of_small_letters() -> None:
    """They are looked for in a text of small letters, and would never be found."""
    for word in (*STEMS, *WORDS, *PHRASES):
        assert word == word.lower()
        assert word.strip() == word != ""


def test_stems_and_words_are_one_word_each() -> None:
    """A text is taken apart into words before they are looked for."""
    for word in (*STEMS, *WORDS):
        assert word.isalnum(), word


def test_every_stem_can_be_found() -> None:
    """It is looked for by its first letters, and is no shorter than these."""
    assert min(map(len, STEMS)) >= BEGINNING
    found = {stem: kind for stems in STEMS_BY_BEGINNING.values() for stem, kind in stems}
    assert found == STEMS
    assert all(stem.startswith(first) for first, stems in STEMS_BY_BEGINNING.items() for stem, _ in stems)


def test_phrases_of_ascii_are_some_of_all() -> None:
    """A text of ASCII is searched for these alone."""
    assert 0 < len(ASCII_PHRASES) < len(PHRASES)
    assert all(PHRASES[phrase] is kind for phrase, kind in ASCII_PHRASES.items())
