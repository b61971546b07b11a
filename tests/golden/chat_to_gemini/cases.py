"""Chat calls for Gemini, for tests/golden/test_pairs.py."""

from __future__ import annotations

import json
from typing import Any, Final

from gateway.translate.gemini_tool_names import gemini_name
from tests.golden.gemini_answers import (
    BAD_KEY,
    EXHAUSTED,
    FAILURES,
    IMAGE,
    LOGPROBS,
    REPLIES,
    TEXT,
    answer,
    candidate,
    event,
    events,
)
from tests.golden.translated import Case

G2: Final = "gemini-2.0-flash"
G25: Final = "gemini-2.5-flash"
G3: Final = "gemini-3.5-flash"
HI: Final = [{"role": "user", "content": "hi"}]
STREAM: Final = {"messages": HI, "stream": True, "stream_options": {"include_usage": True}}
PNG: Final = "data:image/png;base64,iVBORw0KGgo="
PDF: Final = "data:application/pdf;base64,JVBERi0="
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Final = {
    "type": "function",
    "function": {"name": "weather", "description": "Now.", "parameters": CITY, "strict": True},
}
BARE_TOOL: Final = {"type": "function", "function": {"name": "time"}}
EMPTY_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "now",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    },
}
ONE: Final = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
}
TWO: Final = {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}}
SIGNED: Final = {**ONE, "id": "dv8szvqe", "extra_content": {"google": {"thought_signature": "c2ln"}}}
INVENTED: Final = {**TWO, "id": "call-r-1-1"}
MAGIC: Final = "21st_magic"
MAGIC_CALL: Final = {"id": "call_1", "type": "function", "function": {"name": MAGIC, "arguments": "{}"}}
RESULTS: Final = [
    {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"t": 12345678901234567890}'},
]
TURN: Final = [*HI, {"role": "assistant", "content": "Let me look.", "tool_calls": [ONE, TWO]}, *RESULTS]
RICH: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Order",
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]+$", "minLength": 2, "format": "uuid"},
        "size": {"enum": ["s", "m", None], "type": ["string", "null"]},
        "kind": {"const": "order"},
        "count": {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 2},
        "parent": {"$ref": "#/$defs/Node", "description": "Above it."},
        "price": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]},
        "one": {"oneOf": [{"$ref": "#/$defs/Flag"}]},
        "both": {
            "allOf": [{"$ref": "#/$defs/Flag"}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]
        },
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "maxItems": 2},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "title": {"type": "string", "default": "x", "examples": ["y"]},
    },
    "required": ["id", "title", "gone"],
    "additionalProperties": False,
    "$defs": {
        "Flag": {"type": "object", "properties": {"a": {"type": "boolean"}}},
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
    },
}
SOUND: Final = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}}
FILM: Final = {"type": "video_url", "video_url": {"url": "https://x.test/a.mov?x=1"}}


def shaped(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    return {"messages": HI, "response_format": asked, **more}


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


ASKED: Final = {
    "plain": Case({"messages": HI}),
    "plain_stream": Case({"messages": HI, "stream": True}, "models/gemini-2.5-flash"),
    "tuned_model": Case({"messages": HI}, "tunedModels/my-model"),
    "limits": Case(
        {
            "messages": HI,
            "max_tokens": 8,
            "max_completion_tokens": 9,
            "temperature": 1.7,
            "top_p": 0.5,
            "top_k": 3,
            "stop": ["a", "b"],
            "seed": 7,
            "n": 2,
            "presence_penalty": 0.5,
            "frequency_penalty": -1,
            "logprobs": True,
            "top_logprobs": 3,
        },
        "gemini-2.0-flash",
    ),
    "penalties": Case(
        {"messages": HI, "presence_penalty": 0.5, "frequency_penalty": -1}, "gemini-4-hydrogen"
    ),
    "one_stop": Case({"messages": HI, "stop": "a"}),
    "long_seed": Case({"messages": HI, "seed": 1 << 40}),
    "system": Case(
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                {"role": "developer", "content": [{"type": "text", "text": "be brief"}]},
                {"role": "user", "content": "hi"},
                {"role": "user", "content": "there"},
                {"role": "assistant", "content": ""},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"},
                {"role": "system", "content": "be quick"},
                {"role": "user", "content": "why?"},
            ]
        }
    ),
    "system_alone": Case({"messages": [{"role": "system", "content": "say hi"}]}),
    "pictures": Case(
        user(
            {"type": "text", "text": "what is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.webp?size=1"}},
            {"type": "image_url", "image_url": {"url": "https://x.test/a", "mime_type": "image/heic"}},
            {"type": "image_url", "image_url": "gs://bucket/b"},
        )
    ),
    "picture_nowhere": Case(user({"type": "image_url", "image_url": {"url": "pictures/a.png"}})),
    "documents": Case(
        user(
            {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
            {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}},
            {"type": "file", "file": {"filename": "a.csv", "file_data": "YSxi"}},
            {"type": "file", "file": {"file_id": "files/abc", "format": "application/pdf"}},
            {"type": "file", "file": {"file_data": "https://x.test/a.pdf"}},
        )
    ),
    "document_of_another": Case(user({"type": "file", "file": {"file_id": "file-123"}})),
    "audio_and_video": Case(
        user(SOUND, FILM, {"type": "video_url", "video_url": {"url": "https://youtu.be/abc"}})
    ),
    "own_parts": Case(
        user(
            {"fileData": {"fileUri": "gs://a/b.mp4"}, "videoMetadata": {"fps": 1}},
            {"type": "text", "text": "?"},
        )
    ),
    "unknown_part": Case(user({"type": "hologram"})),
    "tools": Case(
        {
            "messages": [*TURN, {"role": "user", "content": "and?"}],
            "tools": [TOOL, BARE_TOOL, EMPTY_TOOL],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        G25,
    ),
    "tools_of_newer_models": Case({"messages": TURN, "tools": [TOOL, BARE_TOOL]}, G3),
    "tools_signed": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [SIGNED, INVENTED]},
                {"role": "tool", "tool_call_id": "dv8szvqe", "content": "sunny"},
                {"role": "tool", "tool_call_id": "call-r-1-1", "content": "broken", "is_error": True},
                {
                    "role": "assistant",
                    "content": "Sunny.",
                    "extra_content": {"google": {"thought_signature": "dHh0"}},
                    "reasoning_content": "hm",
                    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "of Claude"}],
                },
                {"role": "user", "content": "and?"},
            ]
        },
        G3,
    ),
    "tools_of_older_models": Case({"messages": HI, "tools": [TOOL, BARE_TOOL]}, G2),
    "result_without_call": Case({"messages": [*HI, RESULTS[0]]}),
    "forced_tool": Case(
        {
            "messages": HI,
            "tools": [TOOL],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
        }
    ),
    "no_tool": Case({"messages": HI, "tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False}),
    "allowed_tools": Case(
        {
            "messages": HI,
            "tools": [TOOL, BARE_TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [BARE_TOOL]},
            },
        }
    ),
    "allowed_and_required_tools": Case(
        {
            "messages": HI,
            "tools": [TOOL, BARE_TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [BARE_TOOL]},
            },
        }
    ),
    "unknown_choice": Case({"messages": HI, "tools": [TOOL], "tool_choice": "maybe"}),
    "own_tools": Case({"messages": HI, "tools": [TOOL, {"googleSearch": {}}, {"code_execution": {}}]}, G3),
    "tools_of_others": Case(
        {"messages": HI, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}
    ),
    "web_search": Case({"messages": HI, "web_search_options": {"user_location": {"type": "approximate"}}}),
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
    "schema": Case(shaped(CITY), G25, unsupported="reject"),
    "schema_of_older_models": Case(shaped(CITY), G2, unsupported="reject"),
    "rich_schema": Case(shaped(RICH), G25),
    "rich_schema_of_older_models": Case(shaped(RICH), G2),
    "rich_schema_rejected": Case(shaped(RICH), G25, unsupported="reject"),
    "rich_tool": Case(
        {"messages": HI, "tools": [{"type": "function", "function": {"name": "order", "parameters": RICH}}]},
        G2,
    ),
    "schema_and_tools": Case(shaped(CITY, tools=[TOOL]), G3),
    "schema_and_tools_of_older_models": Case(shaped(CITY, tools=[TOOL]), G25),
    "json_object": Case({"messages": HI, "response_format": {"type": "json_object"}}),
    "unknown_format": Case({"messages": HI, "response_format": {"type": "poem"}}),
    "effort": Case({"messages": HI, "reasoning_effort": "high"}, G25),
    "effort_of_newer_models": Case({"messages": HI, "reasoning_effort": "minimal"}, G3),
    "effort_of_newer_big_models": Case(
        {"messages": HI, "reasoning_effort": "minimal"}, "gemini-3.1-pro-preview"
    ),
    "effort_none": Case({"messages": HI, "reasoning_effort": "none"}, G25),
    "effort_none_where_it_thinks": Case({"messages": HI, "reasoning_effort": "none"}, "gemini-2.5-pro"),
    "cannot_think": Case({"messages": HI, "reasoning_effort": "high"}, G2),
    "budget": Case({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 2000}}, G25),
    "budget_of_newer_models": Case(
        {"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 2000}}, G3
    ),
    "own_fields": Case(
        {
            "messages": HI,
            "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
            "cachedContent": "cachedContents/1",
            "labels": {"team": "a"},
            "thinkingConfig": {"thinkingBudget": 5},
            "reasoning_effort": "high",
            "generation_config": {"mediaResolution": "MEDIA_RESOLUTION_LOW"},
            "tool_config": {"retrievalConfig": {"languageCode": "de"}},
        },
        G25,
    ),
    "fields_of_googles_endpoint": Case(
        {"messages": HI, "extra_body": {"google": {"thinking_config": {"include_thoughts": True}}}}, G25
    ),
    "image_out": Case({"messages": HI, "modalities": ["image", "text"]}, "gemini-2.5-flash-image"),
    "image_back": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": None,
                    "images": [{"type": "image_url", "image_url": {"url": PNG}}],
                },
                {"role": "user", "content": "brighter"},
            ]
        },
        "gemini-3-pro-image",
    ),
    "audio_out": Case({"messages": HI, "modalities": ["text", "audio"]}),
    "left_out": Case(
        {
            "messages": [{"role": "user", "content": "hi", "name": "Ann"}],
            "user": "u",
            "logit_bias": {"1": 1},
            "metadata": {"a": "b"},
            "service_tier": "scale",
            "verbosity": "low",
            "x_new": 1,
        }
    ),
    "tier": Case({"messages": HI, "service_tier": "flex"}, unsupported="reject"),
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
            "service_tier": "auto",
            "store": False,
            "parallel_tool_calls": True,
            "response_format": {"type": "text"},
            "prompt_cache_key": "k",
        },
        unsupported="reject",
    ),
    "rejected": Case({"messages": HI, "logit_bias": {"1": 1}}, unsupported="reject"),
    "odd_names": Case(
        {
            "messages": [
                *HI,
                {"role": "assistant", "content": None, "tool_calls": [MAGIC_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "done"},
                {"role": "function", "name": MAGIC, "content": "done"},
            ],
            "tools": [{"type": "function", "function": {"name": MAGIC}}, TOOL],
            "tool_choice": {"type": "function", "function": {"name": MAGIC}},
        },
        reply=answer(candidate({"functionCall": {"name": gemini_name(MAGIC), "args": {}}})),
    ),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
}
ANSWERED: Final = {
    **{f"reply_{name}": Case({"messages": HI}, reply=reply) for name, reply in REPLIES.items()},
    **{
        f"stream_{name}": Case({**STREAM, "n": len(reply.get("candidates", [])) or 1}, reply=events(reply))
        for name, reply in REPLIES.items()
    },
    "stream_odd_names": Case(
        {**STREAM, "tools": [{"type": "function", "function": {"name": MAGIC}}]},
        reply=events(answer(candidate({"functionCall": {"name": gemini_name(MAGIC), "args": {}}}))),
    ),
    "reply_logprobs": Case({"messages": HI}, reply=answer(candidate(TEXT, logprobsResult=LOGPROBS))),
    "stream_logprobs": Case(STREAM, reply=[event(answer(candidate(TEXT, logprobsResult=LOGPROBS)))]),
    "stream_without_usage": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])),
    "stream_cut": Case({"messages": HI, "stream": True}, reply=events(REPLIES["text"])[:-1]),
    "stream_that_always_ends": Case(
        {"messages": HI, "stream": True},
        reply=[event(answer(candidate(part))) for part in (TEXT, {"text": "!"}, IMAGE)],
    ),
    "stream_blocked_on_the_way": Case(
        STREAM,
        reply=[*events(REPLIES["text"])[:-1], event(REPLIES["blocked"])],
    ),
    "stream_error": Case(
        {"messages": HI, "stream": True},
        reply=[*events(REPLIES["text"])[:2], event(EXHAUSTED), *events(REPLIES["text"])[2:]],
    ),
    "stream_error_in_a_list": Case(
        {"messages": HI, "stream": True}, reply=[event([FAILURES["error_inside"]])]
    ),
    "stream_bare_error": Case(
        {"messages": HI, "stream": True},
        reply=[*events(REPLIES["text"])[:2], json.dumps(FAILURES["error_inside"], indent=2).encode()],
    ),
    "stream_malformed_call": Case({"messages": HI, "stream": True}, reply=events(FAILURES["malformed_call"])),
    "error_exhausted": Case({"messages": HI}, reply=(429, EXHAUSTED)),
    "error_bad_key": Case({"messages": HI}, reply=(400, BAD_KEY)),
    "error_odd": Case({"messages": HI}, reply=(500, {"detail": "?"})),
}
CASES: Final = {**ASKED, **ANSWERED}
