"""Calls of Messages for Gemini, for tests/golden/test_pairs.py."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.translate.gemini_tool_names import gemini_name
from gateway.translate.thought_signatures import Signature, in_block, in_id
from gateway.translate.tool_names import short_name
from tests.golden.translated import Case

OLD: Final = "gemini-2.0-flash"
BUDGETS: Final = "gemini-2.5-flash"
LEVELS: Final = "gemini-3.5-flash"
HI: Final = [{"role": "user", "content": "hi"}]
MARK: Final = {"type": "ephemeral"}
SEARCH: Final = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
CODE: Final = {"type": "code_execution_20250825", "name": "code_execution"}
SCHEMA: Final = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    "additionalProperties": False,
}  # fmt: skip
TOOL: Final = {"name": "weather", "description": "Now.", "input_schema": SCHEMA, "cache_control": MARK}
TIME: Final = {"name": "time", "input_schema": {"type": "object", "properties": {}}, "type": "custom"}
IMAGE: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
USE: Final = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}
RESULT: Final = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
SIGNED: Final = Signature("gemini", "Eo+/ABC=")
FOREIGN: Final = Signature("vertex", "CuUGAc+/")
THOUGHT: Final = {"type": "thinking", "thinking": "hm", "signature": in_block(SIGNED)}
ADAPTIVE: Final = {"type": "adaptive"}
MAGIC: Final = "21st_magic"
LONG_NAME: Final = "mcp__a_server_with_a_long_name__" + "and_a_tool_with_a_long_name_" * 2
USAGE: Final = {
    "promptTokenCount": 240,
    "cachedContentTokenCount": 200,
    "candidatesTokenCount": 7,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 252,
}
GROUNDED: Final = {
    "webSearchQueries": ["weather köln", "sky köln"],
    "groundingChunks": [
        {"web": {"uri": "https://a.test/1", "title": "a.test"}},
        {"web": {"uri": "https://b.test/2", "title": "b.test"}},
        {"retrievedContext": {"uri": "gs://c"}},
    ],
    "groundingSupports": [
        {"segment": {"endIndex": 5, "text": "Sunny"}, "groundingChunkIndices": [0, 1]},
        {"segment": {"startIndex": 6, "endIndex": 10, "text": "blue"}, "groundingChunkIndices": [1, 2, 9]},
    ],
    "searchEntryPoint": {"renderedContent": "<div>"},
}


def reply(*parts: dict[str, Any], reason: str = "STOP", **more: Any) -> dict[str, Any]:
    """What Gemini answers, whole or as one piece of a stream."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    if reason:
        candidate["finishReason"] = reason
    return {
        "candidates": [candidate],
        "usageMetadata": USAGE,
        "modelVersion": "gemini-x",
        "responseId": "r-1",
    }


def pieces(*replies: dict[str, Any]) -> list[bytes]:
    return [b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in replies]


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"text": words, **more}


def called(name: str, signature: str = "", call_id: str = "", **args: Any) -> dict[str, Any]:
    call = {"name": name, "args": args} | ({"id": call_id} if call_id else {})
    return {"functionCall": call} | ({"thoughtSignature": signature} if signature else {})


def turns(*blocks: dict[str, Any], results: tuple[dict[str, Any], ...] = (RESULT,)) -> list[dict[str, Any]]:
    """A conversation in which the model said *blocks*."""
    return [
        *HI,
        {"role": "assistant", "content": list(blocks)},
        {"role": "user", "content": list(results)},
    ]


def shaped(**more: Any) -> dict[str, Any]:
    return {"messages": HI, "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}, **more}


def search(**more: Any) -> dict[str, Any]:
    return {"messages": HI, "tools": [{**SEARCH, **more}]}


THINKING: Final = {"messages": HI, "thinking": ADAPTIVE}
STREAM: Final = {"messages": HI, "max_tokens": 5, "stream": True}
STREAM_THINKING: Final = {**STREAM, "thinking": ADAPTIVE}
CASES: Final = {
    "plain": Case({"messages": HI, "max_tokens": 5}, LEVELS),
    "stream": Case(STREAM, LEVELS),
    "tuned_model": Case({"messages": HI}, "tunedModels/mine"),
    "limits": Case(
        {
            "messages": HI,
            "max_tokens": 5,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 4,
            "stop_sequences": ["a", "b", "c", "d", "e", "f"],
            "metadata": {"user_id": "u-1"},
            "service_tier": "auto",
            "cache_control": MARK,
            "inference_geo": "us",
        },
        LEVELS,
    ),
    "rejected": Case({"messages": HI, "speed": "fast"}, LEVELS, unsupported="reject"),
    "system": Case(
        {
            "messages": [*HI, {"role": "system", "content": "mind"}, {"role": "oracle", "content": "x"}],
            "system": [
                {"type": "text", "text": "be kind", "cache_control": MARK},
                {"type": "text", "text": "b"},
            ],
        },
        LEVELS,
    ),
    "system_text": Case({"messages": HI, "system": "be kind"}, LEVELS),
    "empty_texts": Case({"messages": [*HI, {"role": "assistant", "content": ""}], "system": ""}, LEVELS),
    "pictures": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what?", "cache_control": MARK},
                        IMAGE,
                        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.webp?b=c"}},
                        {"type": "image", "source": {"type": "url", "url": "https://x.test/a"}},
                    ],
                }
            ]
        },
        LEVELS,
    ),
    "picture_elsewhere": Case(
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]}, LEVELS
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
                            "context": "Of last year.",
                            "citations": {"enabled": True},
                            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                        },
                        {"type": "document", "source": {"type": "url", "url": "https://x.test/b.pdf"}},
                        {"type": "document", "title": "T", "source": {"type": "text", "data": "words"}},
                        {"type": "document", "source": {"type": "content", "content": [IMAGE, "so"]}},
                        {
                            "type": "search_result",
                            "title": "T",
                            "source": "https://x.test",
                            "content": [{"type": "text", "text": "found"}],
                        },
                    ],
                }
            ]
        },
        LEVELS,
    ),
    "document_elsewhere": Case(
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}],
                }
            ]
        },
        LEVELS,
    ),
    "unknown_block": Case({"messages": [{"role": "user", "content": [{"type": "new"}]}]}, LEVELS),
    "unknown_answer": Case({"messages": [{"role": "assistant", "content": [{"type": "new"}]}]}, LEVELS),
    "tools": Case(
        {
            "messages": turns(
                {"type": "thinking", "thinking": "hm", "signature": "EqQBCgIYAhIM"},
                {"type": "redacted_thinking", "data": "Emw"},
                {"type": "text", "text": "I look."},
                USE,
                {**USE, "id": "toolu_2"},
                results=(
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "content": [{"type": "text", "text": "a picture"}, IMAGE],
                    },
                    {**RESULT, "is_error": True},
                    {"type": "text", "text": "and?"},
                ),
            ),
            "tools": [TOOL, {**TIME, "strict": True}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
        LEVELS,
    ),
    "tools_without_ids": Case(
        {
            "messages": turns(
                USE, {**USE, "id": "toolu_2", "name": "time"}, results=({**RESULT, "content": [IMAGE]},)
            ),
            "tools": [TOOL, TIME],
        },
        OLD,
    ),
    "tool_results_of_none": Case(
        {"messages": [{"role": "user", "content": [{**RESULT, "content": None}]}]}, LEVELS
    ),
    "signed_block": Case(
        {"messages": turns(THOUGHT, {"type": "text", "text": "I look."}, USE, {**USE, "id": "t2"})}, LEVELS
    ),
    "signed_id": Case(
        {
            "messages": turns(
                {**USE, "id": in_id("toolu_1", SIGNED)},
                {**USE, "id": "t2"},
                results=({**RESULT, "tool_use_id": in_id("toolu_1", SIGNED)},),
            )
        },
        LEVELS,
    ),
    "signed_each": Case(
        {
            "messages": [
                *turns({**USE, "id": in_id("toolu_1", SIGNED)}),
                *turns({**USE, "id": in_id("toolu_3", Signature("gemini", "Ep2"))})[1:],
            ]
        },
        LEVELS,
    ),
    "signed_elsewhere": Case(
        {
            "messages": [
                *turns({**USE, "id": in_id("toolu_1", FOREIGN)}),
                *turns({**THOUGHT, "signature": in_block(FOREIGN)}, {**USE, "id": "toolu_3"})[1:],
            ]
        },
        LEVELS,
    ),
    "signed_and_not_needed": Case({"messages": turns(THOUGHT, USE)}, BUDGETS),
    "forced_tool": Case(
        {"messages": HI, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "weather"}}, LEVELS
    ),
    "auto_tool": Case({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "auto"}}, LEVELS),
    "no_tool": Case({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "none"}}, LEVELS),
    "odd_choice": Case({"messages": HI, "tools": [TOOL], "tool_choice": {"type": "new"}}, LEVELS),
    "odd_schema": Case(
        {
            "messages": HI,
            "tools": [
                {
                    "name": "f",
                    "input_schema": {
                        "$schema": "https://json-schema.org/draft/2020-12/schema",
                        "type": "object",
                        "properties": {"a": {"type": "string", "pattern": "^a"}, "b": {"$ref": "#/$defs/b"}},
                        "patternProperties": {"^c": {}},
                        "$defs": {"b": {"type": ["integer", "null"]}},
                    },
                }
            ],
        },
        LEVELS,
    ),
    "search": Case(search(user_location={"type": "approximate", "city": "Köln"}), LEVELS),
    "search_of_domains": Case(search(allowed_domains=["a.test"]), LEVELS),
    "search_without_domains": Case(search(blocked_domains=["a.test"]), LEVELS),
    "search_forced": Case(
        {**search(), "tool_choice": {"type": "tool", "name": "web_search"}},
        LEVELS,
        reply=reply(text("Sunny, blue."), groundingMetadata=GROUNDED),
    ),
    "search_forbidden": Case({**search(), "tool_choice": {"type": "none"}}, LEVELS),
    "search_beside_tools": Case({"messages": HI, "tools": [SEARCH, TOOL]}, LEVELS),
    "search_beside_tools_forced": Case(
        {"messages": HI, "tools": [SEARCH, TOOL], "tool_choice": {"type": "tool", "name": "web_search"}},
        LEVELS,
    ),
    "search_before": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
                        {"type": "text", "text": "Sunny.", "citations": [{"type": "web_search"}]},
                    ],
                },
                *HI,
            ]
        },
        LEVELS,
    ),
    "code_execution": Case({"messages": HI, "tools": [CODE]}, LEVELS),
    "code_execution_forced": Case({"messages": HI, "tools": [CODE], "tool_choice": {"type": "any"}}, LEVELS),
    "server_tools_rejected": Case({"messages": HI, "tools": [CODE]}, LEVELS, unsupported="reject"),
    "schema": Case(shaped(), LEVELS),
    "schema_of_old_model": Case(shaped(), OLD),
    "schema_beside_tools": Case(shaped(tools=[TOOL]), LEVELS),
    "schema_beside_tools_of_old_model": Case(shaped(tools=[TOOL]), BUDGETS),
    "odd_format": Case({"messages": HI, "output_config": {"format": {"type": "new"}}}, LEVELS),
    "budget": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 5000}}, BUDGETS),
    "budget_as_level": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 5000}}, LEVELS),
    "effort": Case({**THINKING, "output_config": {"effort": "max"}}, LEVELS),
    "effort_as_budget": Case({**THINKING, "output_config": {"effort": "low"}}, BUDGETS),
    "effort_alone": Case({"messages": HI, "output_config": {"effort": "low"}}, LEVELS),
    "adaptive": Case(THINKING, LEVELS),
    "adaptive_of_budgets": Case(THINKING, BUDGETS),
    "thoughts_omitted": Case({"messages": HI, "thinking": {**ADAPTIVE, "display": "omitted"}}, LEVELS),
    "no_thinking": Case({"messages": HI, "thinking": {"type": "disabled"}}, LEVELS),
    "no_thinking_of_budgets": Case({"messages": HI, "thinking": {"type": "disabled"}}, BUDGETS),
    "cannot_think": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 5000}}, OLD),
    "claude_code": Case(
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}
            ],
            "system": [{"type": "text", "text": "You are a tool.", "cache_control": MARK}],
            "tools": [TOOL],
            "max_tokens": 32000,
            "thinking": ADAPTIVE,
            "context_management": {"edits": []},
            "output_config": {"effort": "high"},
            "metadata": {"user_id": "user_" + "a" * 100},
            "stream": True,
            "x_new": 1,
        },
        LEVELS,
    ),
    "long_names": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{**USE, "name": LONG_NAME}]},
                {
                    "role": "user",
                    "content": [{**RESULT, "content": [{"type": "tool_reference", "tool_name": LONG_NAME}]}],
                },
            ],
            "tools": [{"name": LONG_NAME, "input_schema": {"type": "object"}}, TOOL],
            "tool_choice": {"type": "tool", "name": LONG_NAME},
        },
        LEVELS,
        reply=reply(called(short_name(LONG_NAME))),
    ),
    "odd_names": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": [{**USE, "name": MAGIC}]},
                {"role": "user", "content": [RESULT]},
            ],
            "tools": [{"name": MAGIC, "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "tool", "name": MAGIC},
        },
        LEVELS,
        reply=reply(called(gemini_name(MAGIC))),
    ),
    "no_messages": Case({"messages": None}, LEVELS),
    "no_message": Case({"messages": [7]}, LEVELS),
    "reply_text": Case({"messages": HI}, LEVELS, reply=reply(text("Hel"), text("lo", thoughtSignature="Eq"))),
    "reply_thinking": Case(THINKING, LEVELS, reply=reply(text("hm", thought=True), text("Hello"))),
    "reply_thinking_unasked": Case(
        {"messages": HI}, LEVELS, reply=reply(text("hm", thought=True), text("Hello"))
    ),
    "reply_tools": Case(
        {"messages": HI},
        LEVELS,
        reply=reply(
            text("I look."),
            called("weather", "Eo+/ABC=", "abc", city="Köln"),
            called("time"),
        ),
    ),
    "reply_tools_thought_of": Case(
        THINKING,
        LEVELS,
        reply=reply(
            text("hm", thought=True),
            called("weather", "Eo+/ABC=", "abc", city="Köln"),
            called("time", call_id="d.e"),
            text("and"),
            called("time", "Ep2"),
        ),
    ),
    "reply_of_vertex": Case(
        {"messages": HI}, LEVELS, reply={**reply(called("time", "CuUGAc+/")), "createTime": "2025-08-19"}
    ),
    "reply_of_its_own_tools": Case(
        {"messages": HI},
        LEVELS,
        reply=reply(
            text("So: "),
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            text("1"),
        ),
    ),
    "reply_too_long": Case({"messages": HI}, LEVELS, reply=reply(text("Hel"), reason="MAX_TOKENS")),
    "reply_filtered": Case({"messages": HI}, LEVELS, reply=reply(reason="SAFETY")),
    "reply_filtered_why": Case(
        {"messages": HI}, LEVELS, reply=reply(text("He"), reason="RECITATION", finishMessage="Quoted.")
    ),
    "reply_blocked": Case(
        {"messages": HI},
        LEVELS,
        reply={"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": USAGE},
    ),
    "reply_nothing": Case({"messages": HI}, LEVELS, reply=reply()),
    "stream_text": Case(
        STREAM,
        LEVELS,
        reply=pieces(
            reply(text("Hel"), reason=""),
            reply(text("lo"), reason=""),
            reply(text("", thoughtSignature="Eq")),
        ),
    ),
    "stream_thinking": Case(
        STREAM_THINKING,
        LEVELS,
        reply=pieces(
            reply(text("h", thought=True), reason=""), reply(text("m", thought=True), text("Hello"))
        ),
    ),
    "stream_tools": Case(
        STREAM,
        LEVELS,
        reply=pieces(
            reply(text("I look."), reason=""),
            reply(called("weather", "Eo+/ABC=", "abc", city="Köln"), reason=""),
            reply(called("time"), reason=""),
            reply(text("")),
        ),
    ),
    "stream_tools_thought_of": Case(
        STREAM_THINKING,
        LEVELS,
        reply=pieces(
            reply(text("hm", thought=True), reason=""),
            reply(text("I look."), reason=""),
            reply(called("weather", "Eo+/ABC=", "abc", city="Köln"), called("time")),
        ),
    ),
    "stream_long_names": Case(
        {**STREAM, "tools": [{"name": LONG_NAME, "input_schema": {"type": "object"}}]},
        LEVELS,
        reply=pieces(reply(called(short_name(LONG_NAME)), called("x" * 64))),
    ),
    "stream_search": Case(
        {**STREAM, **search()},
        LEVELS,
        reply=pieces(
            reply(text("Sunny,"), reason="", groundingMetadata={"webSearchQueries": ["weather köln"]}),
            reply(text(" blue."), groundingMetadata=GROUNDED),
            {"usageMetadata": {**USAGE, "candidatesTokenCount": 9}},
        ),
    ),
    "stream_filtered": Case(
        STREAM, LEVELS, reply=pieces(reply(text("He"), reason=""), reply(reason="PROHIBITED_CONTENT"))
    ),
    "stream_blocked": Case(
        STREAM, LEVELS, reply=pieces({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "g"})
    ),
    "stream_malformed": Case(
        STREAM, LEVELS, reply=pieces(reply(text("He"), reason=""), reply(reason="MALFORMED_FUNCTION_CALL"))
    ),
    "stream_cut": Case(STREAM, LEVELS, reply=pieces(reply(text("Hello"), reason=""))),
    "stream_cut_in_an_event": Case(STREAM, LEVELS, reply=[*pieces(reply(text("Hello"))), b"data: {"]),
    "stream_error": Case(
        STREAM,
        LEVELS,
        reply=pieces(
            reply(text("Hello"), reason=""),
            {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
        ),
    ),
    "error_limit": Case(
        {"messages": HI},
        LEVELS,
        reply=(
            429,
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota.",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}],
                }
            },
        ),
    ),
    "error_key": Case(
        {"messages": HI},
        LEVELS,
        reply=(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                            "reason": "API_KEY_INVALID",
                        }
                    ],
                }
            },
        ),
    ),
    "error_bare": Case({"messages": HI}, LEVELS, reply=(500, {"error": {}})),
}
