"""Chat calls for Cohere, for tests/golden/test_pairs.py."""

from __future__ import annotations

from typing import Any, Final

from tests.golden.cohere_replies import LOGPROBS, REPLIES, TEXT, event, events, reply
from tests.golden.translated import Case

COMMAND: Final = "command-a-03-2025"
THINKER: Final = "command-a-reasoning-08-2025"
HI: Final = [{"role": "user", "content": "hi"}]
PNG: Final = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Final = {
    "type": "function",
    "function": {"name": "weather", "description": "Now.", "parameters": SCHEMA, "strict": True},
}
TIME: Final = {"type": "function", "function": {"name": "time"}}
CALLED: Final = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
]
NAMED_OTHERWISE: Final = {"type": "function", "function": {"name": "mcp-server.search", "parameters": SCHEMA}}
DOCUMENTS: Final = [{"id": "1", "data": {"title": "X", "url": "https://x.test", "snippet": "Hello"}}, "plain"]
OUT: Final = {"messages": HI, "stream": True, "stream_options": {"include_usage": True}}


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}


CASES: Final = {
    "plain": Case({"messages": HI}),
    "limits": Case(
        {
            "messages": HI,
            "max_completion_tokens": 9,
            "max_tokens": 8,
            "temperature": 1.7,
            "top_p": 1,
            "top_k": 900,
            "stop": ["a", "b", "c", "d", "e", "f"],
            "seed": 7,
            "frequency_penalty": 1.5,
            "presence_penalty": 0.5,
            "logprobs": True,
        }
    ),
    "small_limits": Case({"messages": HI, "max_tokens": 8, "temperature": 0, "top_p": 0, "stop": "a"}),
    "of_cohere": Case(
        {
            "messages": HI,
            "documents": DOCUMENTS,
            "citation_options": {"mode": "FAST"},
            "safety_mode": "STRICT",
            "priority": 3,
            "k": 5,
            "p": 0.5,
            "top_p": 0.9,
        }
    ),
    "system": Case(
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi", "name": "ann"},
                {"role": "developer", "content": [{"type": "text", "text": "be kind"}]},
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
                        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
                        {"type": "image_url", "image_url": "https://x.test/a.png"},
                        {"type": "text", "text": ""},
                    ],
                }
            ]
        }
    ),
    "text_file": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
                        }
                    ],
                }
            ]
        }
    ),
    "pdf": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}}],
                }
            ]
        }
    ),
    "audio_in": Case(
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}
    ),
    "audio_out": Case({"messages": HI, "modalities": ["text", "audio"]}),
    "several_choices": Case({"messages": HI, "n": 2}),
    "tools": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "reasoning_content": "I look.", "tool_calls": CALLED},
                {"role": "tool", "tool_call_id": "call_1", "content": "24"},
                {
                    "role": "tool",
                    "tool_call_id": "call_2",
                    "content": [{"type": "text", "text": "12"}, {"type": "text", "text": "00"}],
                },
            ],
            "tools": [WEATHER, TIME],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        }
    ),
    "tool_documents": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "tool_calls": CALLED},
                {
                    "role": "tool",
                    "tool_call_id": "call_1",
                    "content": [{"type": "document", "document": {"id": "d", "data": {"t": "24"}}}],
                },
                {"role": "tool", "tool_call_id": "call_2", "content": "12:00"},
            ],
            "tools": [WEATHER, TIME],
        }
    ),
    "strict_tools": Case({"messages": HI, "tools": [WEATHER]}),
    "required_tool": Case({"messages": HI, "tools": [TIME], "tool_choice": "required"}),
    "no_tool": Case({"messages": HI, "tools": [TIME], "tool_choice": "none"}),
    "forced_tool": Case(
        {
            "messages": HI,
            "tools": [WEATHER, TIME],
            "tool_choice": {"type": "function", "function": {"name": "time"}},
        }
    ),
    "allowed_tools": Case(
        {
            "messages": HI,
            "tools": [WEATHER, TIME],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "time"}}],
                },
            },
        }
    ),
    "odd_choice": Case({"messages": HI, "tools": [TIME], "tool_choice": "maybe"}),
    "custom_tools": Case({"messages": HI, "tools": [{"type": "custom", "custom": {"name": "x"}}]}),
    "functions": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "function_call": {"name": "time", "arguments": "{}"}},
                {"role": "function", "name": "time", "content": "noon"},
            ],
            "functions": [{"name": "time"}],
            "function_call": {"name": "time"},
        }
    ),
    "names": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "c", "type": "function", "function": {"name": "mcp-server.search"}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c", "content": "x"},
            ],
            "tools": [NAMED_OTHERWISE],
            "tool_choice": {"type": "function", "function": {"name": "mcp-server.search"}},
        },
        reply=reply(
            reason="TOOL_CALL",
            tool_calls=[
                {
                    "id": "c2",
                    "type": "function",
                    "function": {"name": "t_mcp_server_search_4c189187", "arguments": "{}"},
                }
            ],
        ),
    ),
    "json_object": Case({"messages": HI, "response_format": {"type": "json_object"}}),
    "schema": Case({"messages": HI, "response_format": schema_of(SCHEMA)}),
    "own_schema": Case({"messages": HI, "response_format": {"type": "json_object", "json_schema": SCHEMA}}),
    "schema_of_no_object": Case({"messages": HI, "response_format": schema_of({"type": "array"})}),
    "schema_with_tools": Case({"messages": HI, "response_format": schema_of(SCHEMA), "tools": [TIME]}),
    "schema_with_documents": Case(
        {"messages": HI, "response_format": {"type": "json_object"}, "documents": DOCUMENTS}
    ),
    "effort_none": Case({"messages": HI, "reasoning_effort": "none"}, model_id=THINKER),
    "effort_low": Case({"messages": HI, "reasoning_effort": "low"}, model_id=THINKER),
    "effort_within_limit": Case(
        {"messages": HI, "reasoning_effort": "medium", "max_tokens": 500}, model_id=THINKER
    ),
    "effort_high": Case({"messages": HI, "reasoning_effort": "high"}, model_id=THINKER),
    "effort_odd": Case({"messages": HI, "reasoning_effort": "much"}, model_id=THINKER),
    "cannot_think": Case({"messages": HI, "reasoning_effort": "low"}, model_id=COMMAND),
    "need_not_think": Case({"messages": HI, "reasoning_effort": "none"}, model_id=COMMAND),
    "thinking": Case({"messages": HI, "thinking": {"type": "enabled", "token_budget": 9}}, model_id=THINKER),
    "thinking_of_claude": Case(
        {"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 2000}}, model_id=THINKER
    ),
    "thoughts_kept": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": "so",
                    "reasoning_content": "hm",
                    "thinking_blocks": [
                        {"type": "thinking", "thinking": "hm"},
                        {"type": "thinking", "thinking": "of another", "signature": "s"},
                    ],
                    "tool_calls": CALLED[:1],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "24"},
            ]
        },
        model_id=THINKER,
    ),
    "left_out": Case(
        {
            "messages": HI,
            "seed": -1,
            "frequency_penalty": -1,
            "logit_bias": {"1": 2},
            "top_logprobs": 3,
            "parallel_tool_calls": False,
            "user": "u-1",
            "metadata": {"a": "b"},
            "service_tier": "flex",
            "x_unknown": 1,
        }
    ),
    "asks_for_nothing": Case(
        {
            "messages": HI,
            "n": 1,
            "logprobs": False,
            "logit_bias": {},
            "frequency_penalty": 0,
            "service_tier": "auto",
            "user": None,
            "store": False,
        }
    ),
    "rejected": Case({"messages": HI, "user": "u-1"}, unsupported="reject"),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
    **{f"reply_{name}": Case({"messages": HI}, reply=each) for name, each in REPLIES.items()},
    **{f"stream_{name}": Case(OUT, reply=events(each)) for name, each in REPLIES.items()},
    "reply_logprobs": Case({"messages": HI, "logprobs": True}, reply=reply(TEXT, logprobs=LOGPROBS)),
    "stream_logprobs": Case(
        OUT,
        reply=[
            *events(reply(TEXT))[:2],
            *(
                event(
                    "content-delta",
                    index=0,
                    delta={"message": {"content": {"text": each["text"]}}},
                    logprobs=each,
                )
                for each in LOGPROBS
            ),
            *events(reply(TEXT))[-2:],
        ],
    ),
    "stream_without_usage": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])),
    "stream_cut": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])[:-1]),
    "stream_error": Case(
        {"messages": HI, "stream": True},
        reply=[*events(REPLIES["text"])[:3], b'data: {"id":"e","message":"overloaded"}\n\n'],
    ),
    "stream_failed": Case(
        {"messages": HI, "stream": True},
        reply=[
            *events(REPLIES["text"])[:3],
            event("message-end", delta={"finish_reason": "ERROR", "error": "model crashed"}),
        ],
    ),
    "error_rate": Case({"messages": HI}, reply=(429, {"id": "e", "message": "too many"})),
    "error_invalid": Case({"messages": HI}, reply=(400, {"message": "invalid request: top_p"})),
    "error_odd": Case({"messages": HI}, reply=(500, {"x": "?"})),
}
