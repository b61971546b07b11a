"""What becomes of Responses requests, and of the replies of targets that speak otherwise: golden files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden.conftest import Compare
from tests.golden.responses_cases import FOLDER, Case, all_cases, outcome

CASES = [pytest.param(case, id=f"{case.pair_name}/{case.name}") for case in all_cases()]
WITH_BOTH = [
    pytest.param(case, id=f"{case.pair_name}/{case.name}")
    for case in all_cases()
    if case.reply and case.stream
]


@pytest.mark.parametrize("case", CASES)
def test_golden(case: Case, compare: Compare) -> None:
    """The request as the target gets it, the response and every event as the caller gets them."""
    compare(case.golden, json.dumps(outcome(case), indent=2, ensure_ascii=False) + "\n")


def test_every_file_has_its_case() -> None:
    """A golden file that nothing compares with says nothing."""
    assert set(FOLDER.glob("responses_to_*/*.golden")) == {case.golden for case in all_cases()}


@pytest.mark.parametrize("case", WITH_BOTH)
def test_stream_adds_up_to_the_whole_reply(case: Case) -> None:
    """A streamed answer is the unstreamed one, be it taken from its last event or put together from all."""
    whole = _comparable(case.whole())
    events = case.streamed()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]
    assert last["type"] == f"response.{whole['status']}"
    assert _comparable(last["response"]) == whole
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert _comparable({"output": sorted(done, key=_place)})["output"] == whole["output"]
    assert _put_together(events) == [_said(item) for item in last["response"]["output"]]


def _place(item: dict[str, Any]) -> int:
    return int(item["id"].rpartition("_")[2])


def _comparable(response: dict[str, Any]) -> dict[str, Any]:
    """*response* with arguments as what they mean: a stream has them as the model wrote them."""
    items = []
    for item in response["output"]:
        arguments = {"arguments": json.loads(item["arguments"])} if "arguments" in item else {}
        items.append({**item, **arguments})
    return {**response, "output": items}


def _put_together(events: list[dict[str, Any]]) -> list[str]:
    """The words of each item, from the deltas alone."""
    said: dict[int, str] = {}
    for event in events:
        if event["type"] == "response.output_item.added":
            said[event["output_index"]] = ""
        elif event["type"].endswith(".delta"):
            said[event["output_index"]] += event["delta"]
    return list(said.values())


def _said(item: dict[str, Any]) -> str:
    parts = [*item.get("summary", []), *item.get("content", [])]
    words = [part.get("text", part.get("refusal", "")) for part in parts]
    return "".join([*words, item.get("arguments", ""), item.get("input", "")])
