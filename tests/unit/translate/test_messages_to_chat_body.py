"""The bodies of Messages for OpenAI; what becomes of each field is in tests/golden/messages_to_chat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.model import EndpointQuirks, Quirks
from gateway.translate.messages_to_chat_body import FAILED, _is_strict, write_body
from tests.unit.makers import make_target
from tests.unit.translate.test_messages_to_chat import make_messages_call

CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (CLOSED, True),
        ({"type": "string"}, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({"type": "array", "items": {**CLOSED, "required": None}}, False),
        ({"anyOf": [CLOSED, {**CLOSED, "required": []}]}, False),
    ],
)
def test_strict_schemas(schema: object, *, expected: bool) -> None:
    """OpenAI takes a schema as strict only when every object in it is closed and wants all its members."""
    assert _is_strict(schema) is expected


def written(**members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    call = make_messages_call(**{"messages": [], **members})
    body, dropped = write_body(call, make_target(model_id="gpt-5"))
    return json.loads(body), dropped


@pytest.mark.parametrize(
    ("model_id", "asked", "sent"),
    [
        ("gpt-5", "xhigh", "high"),
        ("gpt-5.1", "xhigh", "high"),
        ("o4-mini", "xhigh", "high"),
        ("qwen3", "xhigh", "high"),
        ("gpt-5.1-codex-max", "xhigh", "xhigh"),
        ("gpt-5.2", "xhigh", "xhigh"),
        ("gpt-5.6-terra", "xhigh", "xhigh"),
        ("openai/gpt-6", "xhigh", "xhigh"),
        ("gpt-5.2", "max", "xhigh"),
        ("gpt-5.5", "max", "xhigh"),
        ("gpt-5.6-luna", "max", "max"),
        ("openai/gpt-6-sol", "max", "max"),
        ("gpt-6.1-sol", "max", "xhigh"),
        ("gpt-6.1-terra", "max", "max"),
        ("gpt-5", "max", "high"),
        ("qwen3", "max", "high"),
        ("qwen3", "low", "low"),
    ],
)
def test_the_highest_effort(model_id: str, asked: str, sent: str) -> None:
    """Who does not know the word refuses the call: there it is the one below."""
    call = make_messages_call(messages=[], thinking={"type": "adaptive"}, output_config={"effort": asked})
    body, dropped = write_body(call, make_target(model_id=model_id))
    assert json.loads(body)["reasoning_effort"] == sent
    assert dropped == ()


def user(*blocks: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"is_error": True, "content": "no such file"}, f"{FAILED}\nno such file"),
        ({"is_error": True}, FAILED),
        ({"is_error": False, "content": "found"}, "found"),
        ({"content": "found"}, "found"),
    ],
)
def test_failed_tools(members: dict[str, Any], expected: str) -> None:
    """That a tool failed is in its result, in words: chat has no field for it."""
    result = {"type": "tool_result", "tool_use_id": "t1", **members}
    body, dropped = written(messages=user(result))
    assert body["messages"] == [{"role": "tool", "tool_call_id": "t1", "content": expected}]
    assert dropped == ()


@pytest.mark.parametrize(
    ("model_id", "signature", "quirks", "expected"),
    [
        ("deepseek-v4-pro", {"signature": ""}, {}, "hm, so"),
        ("openai/gpt-oss-120b", {}, {}, "hm, so"),
        ("deepseek-v4-pro", {"signature": "of Claude"}, {}, None),
        ("gpt-5", {"signature": ""}, {}, None),
        ("openai/o3", {"signature": ""}, {}, None),
        ("deepseek-v4-pro", {}, {"chat": Quirks(refused_in_messages=("reasoning_content",))}, None),
    ],
)
def test_thoughts_go_back(
    model_id: str, signature: dict[str, str], quirks: EndpointQuirks, expected: str | None
) -> None:
    """DeepSeek refuses calls of tools without them; those who sign, show none or refuse them get none."""
    thoughts = [{"type": "thinking", "thinking": text, **signature} for text in ("hm", ", so")]
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    asked = make_messages_call(messages=[{"role": "assistant", "content": [*thoughts, call]}])
    body, dropped = write_body(asked, make_target(model_id=model_id, quirks=quirks))
    (message,) = json.loads(body)["messages"]
    assert message.get("reasoning_content") == expected
    assert message["tool_calls"][0]["id"] == "c"
    assert dropped == ()


@pytest.mark.parametrize(
    ("schema", "strict", "left_out"),
    [(CLOSED, True, ()), ({**CLOSED, "required": []}, None, ("tools.strict",))],
)
def test_strict_tools(schema: dict[str, Any], strict: object, left_out: tuple[str, ...]) -> None:
    """Anthropic takes arguments that may be missing in a strict tool, OpenAI refuses the call."""
    body, named = written(tools=[{"name": "f", "input_schema": schema, "strict": True}])
    (tool,) = body["tools"]
    assert (tool["function"].get("strict"), tool["function"]["parameters"]) == (strict, schema)
    assert named == left_out


def test_system_messages_in_a_row() -> None:
    """Templates of many models refuse a second one; what is said later stays in its place."""
    later = {"role": "system", "content": "now briefly"}
    body, _ = written(system="be", messages=[{"role": "system", "content": "kind"}, *user("hi"), later])
    assert body["messages"] == [
        {"role": "system", "content": "be\n\nkind"},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "now briefly"},
    ]


def test_context_of_documents() -> None:
    """What a document is about goes before it."""
    source = {"type": "base64", "media_type": "application/pdf", "data": "QQ=="}
    body, _ = written(messages=user({"type": "document", "source": source, "context": "of 1999"}))
    parts = body["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "file"]
    assert parts[0]["text"] == "of 1999"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {
                "messages": user(
                    {
                        "type": "document",
                        "source": {"type": "text", "data": "x"},
                        "citations": {"enabled": True},
                    }
                )
            },
            "messages.content.document.citations",
        ),
        (
            {
                "messages": user(
                    {
                        "type": "image",
                        "source": {"type": "url", "url": "https://a"},
                        "transformations": {"oversized_image": "error"},
                    }
                )
            },
            "messages.content.image.transformations",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "tool_removal", "tool": {}}]}]},
            "messages.content.tool_removal",
        ),
        ({"messages": [{"role": "user", "content": "hi", "clear_at": "never"}]}, "messages.clear_at"),
        ({"service_tier": "standard_only"}, "service_tier"),
        ({"thinking": {"type": "between_tools"}}, "thinking"),
        ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "output_config.task_budget"),
        ({"tools": [{"name": "t", "input_schema": {}, "input_examples": [{}]}]}, "tools.input_examples"),
        (
            {"tools": [{"name": "t", "input_schema": {}, "allowed_callers": ["code_execution_20260120"]}]},
            "tools.allowed_callers",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_named_when_left_out(members: dict[str, Any], expected: str) -> None:
    """What chat has no word for is named."""
    assert written(**members)[1] == (expected,)
