"""Calls of Messages for OpenAI's chat, for tests/golden/test_pairs.py."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.translate.thought_signatures import Signature, in_id
from gateway.translate.tool_names import short_name
from tests.golden.translated import Case

SEARCH: Final = {"type": "web_search_20250305", "name": "web_search"}
HI: Final = [{"role": "user", "content": "hi"}]
MARK: Final = {"type": "ephemeral"}
SCHEMA: Final = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    "additionalProperties": False,
}  # fmt: skip
TOOL: Final = {"name": "weather", "description": "Now.", "input_schema": SCHEMA, "cache_control": MARK}
IMAGE: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
USE: Final = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}
USAGE: Final = {
    "prompt_tokens": 240,
    "completion_tokens": 7,
    "total_tokens": 247,
    "prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def completion(reason: str = "stop", **said: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, **said}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "chat-1", "model": "gpt-x", "choices": [choice], "usage": USAGE}


def thought(*texts: str) -> dict[str, Any]:
    """As models of Mistral have it among the parts of a content."""
    return {"type": "thinking", "thinking": [{"type": "text", "text": text} for text in texts]}


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "chat-1", "model": "gpt-x", "choices": [choice]}).encode() + b"\n\n"


def chunks(*deltas: dict[str, Any], reason: str = "stop") -> list[bytes]:
    last = b"data: " + json.dumps({"id": "chat-1", "choices": [], "usage": USAGE}).encode() + b"\n\n"
    return [
        chunk({"role": "assistant", "content": ""}),
        *map(chunk, deltas),
        chunk({}, reason),
        last,
        b"data: [DONE]\n\n",
    ]


def call(index: int, arguments: str, **first: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": first["name"]} if "name" in first else {})}
    return {"index": index, "function": function, **({"id": first["id"]} if "id" in first else {})}


def whole_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


LONG_NAME: Final = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_long_name_" * 2
LONG_USE: Final = {"type": "tool_use", "id": "toolu_1", "name": LONG_NAME, "input": {}}
SIGNED_ID: Final = in_id("toolu_1", Signature("gemini", "Eo+/ABC="))
STREAM: Final = {"messages": HI, "max_tokens": 5, "stream": True}
CITED = [
    {
        "type": "url_citation",
        "url_citation": {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 5},
    },
    {"type": "url_citation", "url_citation": {"url": "https://y.test"}},
    {"type": "file_citation"},
]
CASES: Final = {
    "plain": Case({"messages": HI, "max_tokens": 5}),
    "limits": Case(
        {
            "messages": HI,
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 4,
            "stop_sequences": ["a", "b", "c", "d", "e"],
            "metadata": {"user_id": "u-1"},
            "service_tier": "auto",
        }
    ),
    "system": Case(
        {
            "messages": [*HI, {"role": "system", "content": "mind"}, {"role": "oracle", "content": "x"}],
            "system": [
                {"type": "text", "text": "be kind", "cache_control": MARK},
                {"type": "text", "text": "b"},
            ],
            "metadata": {"user_id": "u" * 65},
        }
    ),
    "pictures": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what?", "cache_control": MARK},
                        IMAGE,
                        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                    ],
                }
            ]
        }
    ),
    "documents": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "document",
                            "title": "a.pdf",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                        },
                        {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}},
                        {"type": "document", "source": {"type": "content", "content": [IMAGE]}},
                        {
                            "type": "search_result",
                            "title": "T",
                            "source": "https://x.test",
                            "content": [{"type": "text", "text": "found"}],
                        },
                    ],
                }
            ]
        }
    ),
    "document_elsewhere": Case(
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url"}}]}]}
    ),
    "unknown_block": Case({"messages": [{"role": "user", "content": [{"type": "new"}]}]}),
    "tools": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "s"},
                        {"type": "text", "text": "I look."},
                        USE,
                        {**USE, "id": "toolu_2"},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_2",
                            "content": [IMAGE],
                            "is_error": False,
                        },
                        {"type": "text", "text": "and?"},
                    ],
                },
            ],
            "tools": [TOOL, {"name": "time", "input_schema": {}, "strict": True, "type": "custom"}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        }
    ),
    "tool_only": Case(
        {"messages": [*HI, {"role": "assistant", "content": [USE]}, {"role": "user", "content": []}]}
    ),
    "signed_by_google": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{**USE, "id": SIGNED_ID}]},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": SIGNED_ID, "content": "ok"}],
                },
            ]
        }
    ),
    "forced_tool": Case(
        {"messages": HI, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}}
    ),
    "no_tool": Case({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "none"}}),
    "odd_choice": Case({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "new"}}),
    "server_tools": Case({"messages": HI, "tools": [SEARCH]}),
    "server_tools_rejected": Case(
        {"messages": HI, "tools": [SEARCH]},
        unsupported="reject",
    ),
    "server_tool_forced": Case(
        {"messages": HI, "tools": [SEARCH, TOOL], "tool_choice": {"type": "tool", "name": SEARCH["name"]}}
    ),
    "server_tool_forced_alone": Case(
        {"messages": HI, "tools": [SEARCH], "tool_choice": {"type": "any"}},
    ),
    "server_tool_beside_any": Case(
        {"messages": HI, "tools": [SEARCH, TOOL], "tool_choice": {"type": "any"}},
    ),
    "server_tool_history": Case(
        {"messages": [*HI, {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s"}]}]}
    ),
    "schema": Case({"messages": HI, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
    "loose_schema": Case(
        {
            "messages": HI,
            "output_config": {"format": {"type": "json_schema", "schema": {**SCHEMA, "required": []}}},
        }
    ),
    "odd_format": Case({"messages": HI, "output_config": {"format": {"type": "new"}}}),
    "budget": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 5000}}, "gpt-5"),
    "effort": Case(
        {"messages": HI, "thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "o4-mini"
    ),
    "no_thinking": Case({"messages": HI, "thinking": {"type": "disabled"}}, "gpt-5"),
    "cannot_think": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 5000}}, "gpt-4o"),
    "claude_code": Case(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}
            ],
            "system": [{"type": "text", "text": "You are a tool.", "cache_control": MARK}],
            "tools": [TOOL],
            "max_tokens": 32000,
            "thinking": {"type": "adaptive"},
            "context_management": {"edits": []},
            "output_config": {"effort": "high"},
            "metadata": {"user_id": "user_" + "a" * 100},
            "stream": True,
            "x_new": 1,
        },
        "gpt-5",
    ),
    "long_names": Case(
        {
            "messages": [*HI, {"role": "assistant", "content": [LONG_USE]}],
            "tools": [{"name": LONG_NAME, "input_schema": {"type": "object"}}, TOOL],
            "tool_choice": {"type": "tool", "name": LONG_NAME},
        },
        reply=completion("tool_calls", tool_calls=[whole_call("call_1", short_name(LONG_NAME), "{}")]),
    ),
    "stream_long_names": Case(
        {**STREAM, "tools": [{"name": LONG_NAME, "input_schema": {"type": "object"}}]},
        reply=chunks(
            {"tool_calls": [call(0, "", id="call_1", name=short_name(LONG_NAME))]},
            {"tool_calls": [call(1, "", id="call_2", name="x" * 64)]},
            reason="tool_calls",
        ),
    ),
    "no_messages": Case({"messages": None}),
    "no_message": Case({"messages": [7]}),
    "reply_text": Case({"messages": HI}, reply=completion(content="Hello")),
    "reply_thinking": Case({"messages": HI}, reply=completion(content="Hello", reasoning_content="hm")),
    "reply_thinking_blocks": Case(
        {"messages": HI},
        reply=completion(
            content="Hello", thinking_blocks=[{"type": "thinking", "thinking": "hm", "signature": "s"}]
        ),
    ),
    "reply_tools": Case(
        {"messages": HI},
        reply=completion(
            "tool_calls",
            content="I look.",
            tool_calls=[whole_call("call_1", "weather", '{"city":"Köln"}'), whole_call("", "time", "")],
        ),
    ),
    "reply_unsaid_tools": Case(
        {"messages": HI}, reply=completion("stop", tool_calls=[whole_call("call_1", "weather", "no json")])
    ),
    "reply_function": Case(
        {"messages": HI}, reply=completion("function_call", function_call={"name": "time", "arguments": "{}"})
    ),
    "reply_refusal": Case({"messages": HI}, reply=completion(refusal="I will not.")),
    "reply_filtered": Case({"messages": HI}, reply=completion("content_filter", content="")),
    "reply_too_long": Case({"messages": HI}, reply=completion("length", content="Hel")),
    "reply_parts": Case({"messages": HI}, reply=completion(content=[{"type": "text", "text": "Hello"}])),
    "reply_thinking_parts": Case(
        {"messages": HI},
        reply=completion(content=[thought("Hm, ", "so."), {"type": "text", "text": "Hello"}]),
    ),
    "reply_cited": Case({"messages": HI}, reply=completion(content="Hello", annotations=CITED)),
    "stream_cited": Case(STREAM, reply=chunks({"content": "Hel"}, {"content": "lo", "annotations": CITED})),
    "stream_text": Case(STREAM, reply=chunks({"content": "Hel"}, {"content": "lo"})),
    "stream_thinking": Case(STREAM, reply=chunks({"reasoning_content": "hm"}, {"content": "Hello"})),
    "stream_thinking_parts": Case(
        STREAM,
        reply=chunks({"content": [thought("Hm, ")]}, {"content": [thought("so.")]}, {"content": "Hello"}),
    ),
    "stream_thinking_blocks": Case(
        STREAM,
        reply=chunks(
            {"reasoning_content": "hm"},
            {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "xyz"}]},
            {"content": "Hello"},
        ),
    ),
    "stream_tools": Case(
        STREAM,
        reply=chunks(
            {"content": "I look."},
            {"tool_calls": [call(0, "", id="call_1", name="weather")]},
            {"tool_calls": [call(0, '{"city":')]},
            {"tool_calls": [call(0, '"Köln"}')]},
            {"tool_calls": [call(1, "", id="call_2", name="time")]},
            reason="tool_calls",
        ),
    ),
    "stream_interleaved_tools": Case(
        STREAM,
        reply=chunks(
            {"tool_calls": [call(0, "", id="a", name="f"), call(1, '{"n":', id="b", name="g")]},
            {"tool_calls": [call(0, '{"m":'), call(1, "2}")]},
            {"tool_calls": [call(0, "1}")]},
            reason="tool_calls",
        ),
    ),
    "stream_refusal": Case(STREAM, reply=chunks({"refusal": "I will "}, {"refusal": "not."})),
    "stream_without_end": Case(STREAM, reply=chunks({"content": "Hello"})[:-1]),
    "stream_cut": Case(STREAM, reply=chunks({"content": "Hello"})[:-3]),
    "stream_error": Case(
        STREAM,
        reply=[*chunks({"content": "Hello"})[:2], b'data: {"error":{"message":"down","code":503}}\n\n'],
    ),
    "error_limit": Case(
        {"messages": HI},
        reply=(429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}),
    ),
    "error_text": Case({"messages": HI}, reply=(500, {"error": "broken"})),
    "error_detail": Case({"messages": HI}, reply=(400, {"message": "wrong", "object": "error"})),
    "error_fields": Case(
        {"messages": HI},
        reply=(422, {"detail": [{"type": "missing", "loc": ["body", "stop"], "msg": "Field required"}]}),
    ),
    "tool_without_members": Case(
        {"messages": HI, "tools": [{"name": "now", "input_schema": {"type": "object"}}]}
    ),
}
