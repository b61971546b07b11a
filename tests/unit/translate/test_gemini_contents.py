"""Conversations on their way to Gemini: turns, results in their order, ids and signatures."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.translate.gemini_contents import Contents
from gateway.translate.gemini_parts import UNSIGNED, inline_part, text_part

OLD: Final = "gemini-2.5-flash"
NEW: Final = "gemini-3.5-flash"
PNG: Final = inline_part("image/png", "AAAA")


def names(content: dict[str, Any]) -> list[str]:
    """The functions whose results one turn has."""
    return [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]


def test_what_one_side_says_in_a_row_is_one_turn() -> None:
    """And what says nothing is none."""
    contents = Contents(OLD)
    contents.say("user", [text_part("a")])
    contents.say("user", [text_part("b")])
    contents.say("model", [])
    contents.say("model", [text_part("c")])
    assert contents.whole() == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
    ]


def test_results_stand_in_the_order_of_their_calls() -> None:
    """However they come, and in a turn of their own."""
    contents = Contents(OLD)
    contents.say("model", [text_part("Let me look.")])
    for call_id, name in (("1", "one"), ("2", "two"), ("3", "one")):
        contents.call(call_id, name, {})
    for call_id in ("3", "1", "2"):
        contents.result(call_id, contents.name_of(call_id), {"output": call_id})
    contents.say("user", [text_part("and?")])
    calls, results, asked = contents.whole()
    assert [part.get("functionCall", {}).get("name") for part in calls["parts"]] == [
        None,
        "one",
        "two",
        "one",
    ]
    assert [part["functionResponse"]["response"]["output"] for part in results["parts"]] == ["1", "2", "3"]
    assert asked == {"role": "user", "parts": [{"text": "and?"}]}


def test_ids_that_begin_anew_in_each_turn() -> None:
    """The results of the second turn stand in the order of its calls too."""
    contents = Contents(OLD)
    for turn in ("first", "second"):
        for call_id in ("0", "1"):
            contents.call(call_id, "look", {})
        for call_id in ("1", "0"):
            contents.result(call_id, contents.name_of(call_id), {"output": f"{turn} {call_id}"})
        contents.say("user", [text_part("more?")])
    given = [
        part["functionResponse"]["response"]["output"]
        for turn in contents.whole()
        for part in turn["parts"]
        if "functionResponse" in part
    ]
    assert given == ["first 0", "first 1", "second 0", "second 1"]


def test_results_of_each_turn_stand_behind_it() -> None:
    """A second round of calls is another turn."""
    contents = Contents(OLD)
    contents.call("1", "one", {})
    contents.result("1", "one", {})
    contents.call("2", "two", {})
    contents.result("unknown", "three", {})
    contents.result("2", "two", {})
    assert [names(content) for content in contents.whole()] == [[], ["one"], [], ["two", "three"]]


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        (OLD, [{"functionResponse": {"name": "one", "response": {}}}, PNG]),
        (NEW, [{"functionResponse": {"name": "one", "response": {}, "id": "1", "parts": [PNG]}}]),
    ],
)
def test_files_of_results(model_id: str, expected: list[dict[str, Any]]) -> None:
    """Within the result where the model takes that, else beside it."""
    contents = Contents(model_id)
    contents.call("1", "one", {})
    contents.result("1", "one", {}, [PNG])
    assert contents.whole()[1]["parts"] == expected


def test_ids_are_for_models_that_have_them() -> None:
    """And only those that are their own."""
    for model_id, call_id, has_id in (
        (OLD, "a", False),
        (NEW, "a", True),
        (NEW, "call-r-0", False),
        (NEW, "", False),
    ):
        contents = Contents(model_id)
        contents.call(call_id, "one", {})
        contents.result(call_id, "one", {})
        call, result = contents.whole()
        assert ("id" in call["parts"][0]["functionCall"]) is has_id
        assert ("id" in result["parts"][0]["functionResponse"]) is has_id


def test_the_first_call_of_a_turn_is_signed() -> None:
    """With what says that there is no signature where none is left; never where one is, or none is wanted."""
    for model_id, signatures, expected in (
        (NEW, ["", ""], [UNSIGNED, None]),
        (NEW, ["c2ln", ""], ["c2ln", None]),
        (NEW, ["", "c2ln"], [None, "c2ln"]),
        (OLD, ["", ""], [None, None]),
        (OLD, ["c2ln", ""], ["c2ln", None]),
    ):
        contents = Contents(model_id)
        contents.say("model", [text_part("a")])
        for at, signature in enumerate(signatures):
            contents.call(str(at), "one", {}, signature)
        parts = contents.whole()[0]["parts"][1:]
        assert [part.get("thoughtSignature") for part in parts] == expected
