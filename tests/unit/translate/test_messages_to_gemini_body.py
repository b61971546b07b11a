"""The bodies of Messages for Gemini; what becomes of each field is in tests/golden/messages_to_gemini."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidBody, InvalidJson, UnsupportedParameter
from gateway.translate.messages_to_gemini_body import write_body
from gateway.translate.thought_signatures import Signature, in_block, in_id
from tests.unit.makers import make_target
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.test_chat_to_messages import ANY_JSON, FIELDS
from tests.unit.translate.test_messages_to_chat import make_messages_call

TARGETS = [
    make_target(model_id=model_id, dialect="gemini", unsupported=unsupported)
    for model_id in ("gemini-2.0-flash", "gemini-2.5-pro", "gemini-3.5-flash")
    for unsupported in ("drop", "reject")
]
NEWEST = TARGETS[-2]
OURS = Signature("gemini", "Eo")
WORDS = (
    "messages", "role", "assistant", "user", "content", "type", "text", "source", "base64", "data", "url",
    "image", "document", "tool_use", "tool_result", "tool_use_id", "id", "name", "input", "thinking",
    "signature", "tools", "input_schema", "tool_choice", "any", "tool", "system",
)  # fmt: skip


def written(**members: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_body(make_messages_call(**members), NEWEST)[0])
    return found


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.model_id}-{target.unsupported}")
@given(
    fields=st.dictionaries(st.sampled_from([*FIELDS, "output_config"]), ANY_JSON),
    messages=st.lists(json_of(*WORDS), max_size=3),
)
def test_any_call(target: Any, fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused, and left out only where the operator allows it."""
    try:
        body, left_out = write_body(make_messages_call(**{**fields, "messages": messages}), target)
    except (InvalidJson, InvalidBody, UnsupportedParameter):
        return
    assert "contents" in json.loads(body)
    assert target.unsupported == "drop" or not left_out


def use(call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {}}


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([{"type": "thinking", "thinking": "", "signature": in_block(OURS)}, use("a")], "Eo"),
        (
            [
                {"type": "thinking", "thinking": "", "signature": in_block(OURS)},
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "text", "text": "so"},
                use("a"),
            ],
            "Eo",
        ),
        ([use(in_id("a", OURS))], "Eo"),
        ([use("a")], "skip_thought_signature_validator"),
        (
            [use(in_id("a", OURS)), {"type": "thinking", "thinking": "", "signature": in_block(OURS)}],
            "Eo",
        ),
    ],
    ids=["right before", "moved by the client", "in the id", "none", "behind"],
)
def test_the_signature_of_a_call(blocks: list[Any], expected: str) -> None:
    """Wherever in the message a client puts it; a call that comes back without one has Google's word."""
    (content,) = written(messages=[{"role": "assistant", "content": blocks}])["contents"]
    (call,) = [part for part in content["parts"] if "functionCall" in part]
    assert call["thoughtSignature"] == expected
    assert call["functionCall"]["id"] == "a"


def test_a_signature_is_of_one_call() -> None:
    """The second call of a message does not get that of the first."""
    thought = {"type": "thinking", "thinking": "", "signature": in_block(OURS)}
    messages = [{"role": "assistant", "content": [thought, use("a"), use("b")]}]
    (content,) = written(messages=messages)["contents"]
    assert [part.get("thoughtSignature") for part in content["parts"]] == ["Eo", None]


def test_results_are_paired() -> None:
    """Each in the order of the calls and under the name of its function, however they come back."""
    calls = [{**use("a"), "name": "f"}, {**use("b"), "name": "g"}]
    results = [{"type": "tool_result", "tool_use_id": name, "content": name} for name in "ba"]
    said = written(messages=[{"role": "assistant", "content": calls}, {"role": "user", "content": results}])
    given_back = [part["functionResponse"] for part in said["contents"][1]["parts"]]
    assert [(result["name"], result["response"]["output"]) for result in given_back] == [
        ("f", "a"),
        ("g", "b"),
    ]


def said_before(**block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": [block]}]}


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"messages": [{"role": "user", "content": "a", "clear_at": "never"}]}, "messages.clear_at"),
        (
            said_before(type="compaction", content="a", tool_changes=[{}]),
            "messages.content.compaction.tool_changes",
        ),
        (said_before(type="server_tool_use", name="code_execution"), "messages.content.server_tool_use"),
        (said_before(type="server_tool_use", name="web_search"), None),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {"type": "base64", "data": "QQ=="},
                                "transformations": {"oversized_image": "error"},
                            }
                        ],
                    }
                ]
            },
            "messages.content.image.transformations",
        ),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "output_config.task_budget"),
        ({"tools": [{"name": "f", "input_examples": [{}]}]}, "tools.input_examples"),
        ({"tools": [{"name": "f", "allowed_callers": ["code"]}]}, "tools.allowed_callers"),
        ({"tools": [{"name": "f", "allowed_callers": ["direct"]}]}, None),
        ({"tools": [{**SEARCH, "strict": True}]}, "tools.web_search_20250305.strict"),
        ({"tools": [{**SEARCH, "allowed_callers": ["c"]}]}, "tools.web_search_20250305.allowed_callers"),
    ],
)
def test_what_is_left_out_is_named(members: dict[str, Any], expected: str | None) -> None:
    """Also what stands deep, and only what asks for something."""
    call = make_messages_call(**{"messages": [{"role": "user", "content": "a"}], **members})
    assert write_body(call, NEWEST)[1] == ((expected,) if expected else ())
