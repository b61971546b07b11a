"""Chat calls for Anthropic's Messages, for tests/golden/test_pairs.py."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.translate.json_answers import ANSWER_TOOL
from tests.golden.translated import Case

NEW: Final = "claude-sonnet-4-6"
OLD: Final = "claude-sonnet-4-5-20250929"
BRIEF: Final = {"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}
PDF: Final = "data:application/pdf;base64,JVBERi0="
SOUND: Final = {"type": "input_audio", "input_audio": {}}
TIME_ALONE: Final = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "time"}}]}
HI: Final = [{"role": "user", "content": "hi"}]
OLDER: Final = "claude-sonnet-4-20250514"
PNG: Final = "data:image/png;base64,iVBORw0KGgo="
MARK: Final = {"type": "ephemeral"}
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Final = {
    "type": "function",
    "function": {"name": "weather", "description": "Now.", "parameters": SCHEMA, "strict": True},
}
BARE_TOOL: Final = {"type": "function", "function": {"name": "time"}}
CALLS: Final = [
    {"id": "call:1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
]
THOUGHT: Final = {"type": "thinking", "thinking": "hm", "signature": "sig"}
REDACTED: Final = {"type": "redacted_thinking", "data": "xyz"}
USAGE: Final = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 5},
}


def message(*content: dict[str, Any], stop_reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": USAGE,
        **more,
    }


def event(kind: str, /, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({**members, 'type': kind})}\n\n".encode()


def events(message: dict[str, Any]) -> list[bytes]:
    """A stream that says the same as *message*."""
    started = {**message, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
    found = [event("message_start", message=started), event("ping")]
    for index, block in enumerate(message["content"]):
        start, deltas = dict(block), []
        match block:
            case {"type": "text", "text": text}:
                start["text"] = ""
                start.pop("citations", None)
                deltas = [{"type": "text_delta", "text": text[at : at + 3]} for at in range(0, len(text), 3)]
                deltas += [{"type": "citations_delta", "citation": c} for c in block.get("citations", [])]
            case {"type": "thinking", "thinking": text, "signature": signature}:
                start |= {"thinking": "", "signature": ""}
                deltas = [
                    {"type": "thinking_delta", "thinking": text},
                    {"type": "signature_delta", "signature": signature},
                ]
            case {"type": "tool_use", "input": given}:
                start["input"] = {}
                text = json.dumps(given, separators=(",", ":")) if given else ""
                deltas = [{"type": "input_json_delta", "partial_json": text[:4]}]
                deltas += [{"type": "input_json_delta", "partial_json": text[4:]}] if text else []
        found.append(event("content_block_start", index=index, content_block=start))
        found += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(event("content_block_stop", index=index))
    last = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    if "stop_details" in message:
        last["stop_details"] = message["stop_details"]
    return [*found, event("message_delta", delta=last, usage={"output_tokens": 7}), event("message_stop")]


TEXT: Final = {"type": "text", "text": "Hello there"}
USES: Final = [
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
    {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
]
ANSWER: Final = {"type": "tool_use", "id": "toolu_9", "name": ANSWER_TOOL, "input": {"city": "Köln"}}
OLD_SCHEMA: Final = {
    "messages": HI,
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
}
NO_OBJECT: Final = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}
WEB: Final = {
    "type": "web_search_result_location", "url": "https://x.test", "title": "X", "cited_text": "y",
    "encrypted_index": "z",
}  # fmt: skip
PAGE: Final = {"type": "page_location", "document_index": 0, "cited_text": "y"}
REPLIES: Final = {
    "text": message(TEXT),
    "thinking": message(THOUGHT, REDACTED, TEXT),
    "tools": message(TEXT, *USES, stop_reason="tool_use"),
    "tool_only": message(*USES, stop_reason="tool_use"),
    "cited": message({**TEXT, "citations": [WEB, PAGE]}),
    "refusal": message(stop_reason="refusal", stop_details={"type": "refusal", "explanation": "I will not."}),
    "too_long": message(TEXT, stop_reason="max_tokens"),
    "server_tool": message(
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        TEXT,
    ),
    "empty": message(),
}
OVERLOADED: Final = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_1",
}


def user_says(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


CASES: Final = {
    "plain": Case({"messages": HI}),
    "limits": Case(
        {
            "messages": HI,
            "max_completion_tokens": 9,
            "temperature": 1.7,
            "top_p": 0.5,
            "top_k": 3,
            "stop": ["a", "b"],
            "user": "u-1",
            "service_tier": "default",
        }
    ),
    "one_stop": Case({"messages": HI, "stop": "a", "max_tokens": 8}),
    "system": Case(
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                {
                    "role": "developer",
                    "content": [BRIEF],
                },
                {"role": "user", "content": "hi"},
                {"role": "user", "content": "there"},
                {"role": "assistant", "content": ""},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"},
            ]
        }
    ),
    "pictures": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what is this?"},
                        {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
                        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                    ],
                    "cache_control": MARK,
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
                            "type": "file",
                            "file": {
                                "filename": "a.pdf",
                                "file_data": PDF,
                            },
                        },
                        {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}},
                        {"type": "file", "file": {"file_id": "file_1"}},
                        {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
                        {"type": "document", "source": {"type": "url", "url": "https://x.test/b.pdf"}},
                    ],
                }
            ]
        }
    ),
    "files_by_name": Case(
        user_says(
            {"type": "file", "file": {"filename": "notes.TXT", "file_data": "aGk="}},
            {"type": "file", "file": {"filename": "a.b", "file_data": "JVBERi0="}},
            {"type": "file", "file": {"filename": "p.png", "file_data": "/9j/AA=="}},
            {"type": "file", "file": {"filename": "p", "file_data": PNG}},
        )
    ),
    "audio_in": Case({"messages": [{"role": "user", "content": [SOUND]}]}),
    "tools": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": CALLS},
                {"role": "tool", "tool_call_id": "call:1", "content": "sunny"},
                {
                    "role": "tool",
                    "tool_call_id": "call_2",
                    "content": [{"type": "image_url", "image_url": {"url": PNG}}],
                },
                {"role": "user", "content": "and?"},
            ],
            "tools": [{**TOOL, "cache_control": MARK}, BARE_TOOL],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        }
    ),
    "forced_tool": Case(
        {
            "messages": HI,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "reasoning_effort": "high",
        },
        NEW,
    ),
    "no_tool": Case({"messages": HI, "tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False}),
    "web_search": Case(
        {
            "messages": HI,
            "tools": [TOOL],
            "web_search_options": {
                "search_context_size": "high",
                "user_location": {
                    "type": "approximate",
                    "approximate": {"city": "Bonn", "country": "DE", "region": None, "x": 1},
                },
            },
        },
        NEW,
    ),
    "web_search_alone": Case({"messages": HI, "web_search_options": {}}, NEW, unsupported="reject"),
    "web_search_elsewhere": Case({"messages": HI, "web_search_options": {}}, "glm-4.6"),
    "web_search_of_its_own": Case(
        {
            "messages": HI,
            "web_search_options": {"user_location": None},
            "tools": [{"type": "function", "function": {"name": "web_search"}}],
        },
        NEW,
    ),
    "one_at_a_time": Case({"messages": HI, "tools": [TOOL], "parallel_tool_calls": False}),
    "allowed_tools": Case(
        {
            "messages": HI,
            "tools": [TOOL, BARE_TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "time"}}],
                },
            },
        }
    ),
    "server_tools": Case({"messages": HI, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "custom_tools": Case({"messages": HI, "tools": [{"type": "custom", "custom": {"name": "x"}}]}),
    "functions": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "function_call": {"name": "time", "arguments": "no json"}},
                {"role": "function", "name": "time", "content": "now"},
            ],
            "functions": [{"name": "time"}],
            "function_call": {"name": "time"},
        }
    ),
    "schema": Case(
        {
            "messages": HI,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        }
    ),
    **{
        f"old_schema_{name}": Case({**OLD_SCHEMA, **more}, OLDER, reply=reply)
        for name, more, reply in (
            ("alone", {}, None),
            ("with_tools", {"tools": [TOOL], "parallel_tool_calls": False}, None),
            ("with_no_tool", {"tools": [TOOL], "tool_choice": "none", "reasoning_effort": "high"}, None),
            ("with_a_forced_tool", {"tools": [TOOL], "tool_choice": "required"}, None),
            ("of_no_object", {"response_format": NO_OBJECT}, None),
            ("reply", {}, message(ANSWER, stop_reason="tool_use")),
            ("reply_with_call", {"tools": [TOOL]}, message(USES[0], ANSWER, stop_reason="tool_use")),
            ("stream", {"stream": True}, events(message(ANSWER, stop_reason="tool_use"))),
            (
                "stream_empty",
                {"stream": True},
                events(message({**ANSWER, "input": {}}, stop_reason="tool_use")),
            ),
        )
    },
    "json_object": Case({"messages": HI, "response_format": {"type": "json_object"}}),
    "effort": Case({"messages": HI, "reasoning_effort": "minimal", "temperature": 0.2}, NEW),
    "budget": Case({"messages": HI, "reasoning_effort": "medium"}, OLD),
    "budget_in_bounds": Case({"messages": HI, "reasoning_effort": "high", "max_tokens": 6000}, OLD),
    "budget_too_small": Case({"messages": HI, "reasoning_effort": "high", "max_tokens": 100}, OLD),
    "budget_without_thoughts": Case(
        {
            "messages": [*HI, {"role": "assistant", "tool_calls": CALLS}],
            "reasoning_effort": "high",
            "tools": [TOOL],
        },
        OLD,
    ),
    "cannot_think": Case({"messages": HI, "reasoning_effort": "high"}, "claude-3-5-haiku-20241022"),
    "effort_none": Case({"messages": HI, "reasoning_effort": "none"}, NEW),
    "thoughts_kept": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_content": "hm",
                    "thinking_blocks": [THOUGHT, REDACTED],
                    "tool_calls": CALLS[1:],
                },
            ],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
        },
        OLD,
    ),
    "left_out": Case(
        {
            "messages": [{"role": "user", "content": "hi", "name": "Ann"}],
            "seed": 1,
            "logprobs": True,
            "top_logprobs": 3,
            "logit_bias": {"1": 1},
            "presence_penalty": 0.5,
            "metadata": {"a": "b"},
            "service_tier": "flex",
            "x_new": 1,
            "stream_options": {},
        }
    ),
    "asks_for_nothing": Case(
        {
            "messages": HI,
            "n": 1,
            "logprobs": False,
            "presence_penalty": 0,
            "frequency_penalty": 0.0,
            "logit_bias": {},
            "seed": None,
            "modalities": ["text"],
            "store": False,
        },
        unsupported="reject",
    ),
    "rejected": Case({"messages": HI, "seed": 1}, unsupported="reject"),
    "several_choices": Case({"messages": HI, "n": 2}),
    "audio_out": Case({"messages": HI, "modalities": ["text", "audio"]}),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
    **{f"reply_{name}": Case({"messages": HI}, reply=reply) for name, reply in REPLIES.items()},
    **{
        f"stream_{name}": Case(
            {"messages": HI, "stream": True, "stream_options": {"include_usage": True}}, reply=events(reply)
        )
        for name, reply in REPLIES.items()
    },
    "stream_without_usage": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])),
    "stream_cut": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])[:-2]),
    "stream_error": Case(
        {"messages": HI, "stream": True},
        reply=[
            *events(REPLIES["text"])[:4],
            event("error", error=OVERLOADED["error"]),
            event("message_stop"),
        ],
    ),
    "error_overloaded": Case({"messages": HI}, reply=(529, OVERLOADED)),
    "error_invalid": Case(
        {"messages": HI},
        reply=(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens"}}),
    ),
    "error_odd": Case({"messages": HI}, reply=(500, {"detail": "?"})),
}
