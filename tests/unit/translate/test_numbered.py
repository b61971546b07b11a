"""Entries of lists that come in a stream."""

from __future__ import annotations

from typing import Any, cast

from openai.lib.streaming._deltas import accumulate_delta

from gateway.translate.numbered import NumberedEntries, without_number


def test_openais_sdk_puts_them_together() -> None:
    """Each list counts by itself; without numbers the SDK raises at the second piece."""
    entries = NumberedEntries()
    said: dict[object, object] = {}
    pieces = [("a", {"text": "x"}), ("b", {"text": "y"}), ("a", {"text": "z"}), ("a", {"text": "x"})]
    for name, entry in pieces:
        said = accumulate_delta(said, cast("dict[object, object]", entries.add(name, entry)))
    found = cast("dict[str, list[dict[str, Any]]]", said)
    assert [without_number(entry) for entry in found["a"]] == [{"text": "x"}, {"text": "z"}, {"text": "x"}]
    assert [without_number(entry) for entry in found["b"]] == [{"text": "y"}]
