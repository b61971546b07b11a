"""Chat calls for Bedrock's Converse, for tests/golden/test_pairs.py."""

from __future__ import annotations

from typing import Any, Final

from gateway.translate.json_answers import ANSWER_TOOL
from tests.golden.converse_replies import (
    REPLIES,
    converse_events,
    converse_reply,
    exception,
)
from tests.golden.translated import Case

CLAUDE: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW: Final = "global.anthropic.claude-opus-4-8"
OLD: Final = "anthropic.claude-3-5-sonnet-20240620-v1:0"
NEVER_FORCED: Final = "us.anthropic.claude-fable-5"
NOVA: Final = "amazon.nova-pro-v1:0"
NOVA_2: Final = "us.amazon.nova-2-lite-v1:0"
LLAMA: Final = "us.meta.llama3-3-70b-instruct-v1:0"
MISTRAL: Final = "mistral.mistral-large-2407-v1:0"
TITAN: Final = "amazon.titan-text-lite-v1"
GPT: Final = "openai.gpt-oss-120b-1:0"
QWEN: Final = "qwen.qwen3-32b-v1:0"
PROFILE: Final = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456"
HI: Final = [{"role": "user", "content": "hi"}]
MARK: Final = {"type": "ephemeral"}
HOUR: Final = {"type": "ephemeral", "ttl": "1h"}
PNG: Final = "data:image/png;base64,iVBORw0KGgo="
PDF: Final = "data:application/pdf;base64,JVBERi0="
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
BOUNDED: Final = {
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "In years."},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 2, "maxItems": 3},
    },
    "$defs": {"tag": {"type": "object", "properties": {"x": {"type": ["number", "null"], "multipleOf": 2}}}},
}
TOOL: Final = {
    "type": "function",
    "function": {"name": "weather", "description": "Now.", "parameters": SCHEMA, "strict": True},
}
BARE_TOOL: Final = {"type": "function", "function": {"name": "time", "description": " "}}
CALLS: Final = [
    {"id": "call:1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
]
RESULTS: Final = [
    {"role": "tool", "tool_call_id": "call:1", "content": "sunny"},
    {"role": "tool", "tool_call_id": "call_2", "content": "", "is_error": True},
]
USED: Final = [*HI, {"role": "assistant", "content": None, "tool_calls": CALLS}, *RESULTS]
FORCED: Final = {"type": "function", "function": {"name": "weather"}}
SHAPED: Final = {
    "type": "json_schema",
    "json_schema": {"name": "x", "description": "A place.", "schema": SCHEMA},
}
ANSWER: Final = {"toolUse": {"toolUseId": "tooluse_9", "name": ANSWER_TOOL, "input": {"city": "Köln"}}}
EVERYTHING: Final = {
    "messages": HI,
    "max_completion_tokens": 9,
    "temperature": 1.7,
    "top_p": 0.5,
    "top_k": 3,
    "stop": ["a", "b"],
    "user": "u-1",
    "service_tier": "flex",
}
FILES: Final = [
    {
        "type": "file",
        "file": {"filename": "Q3 report (v2).pdf", "file_data": PDF, "citations": {"enabled": True}},
    },
    {"type": "file", "file": {"filename": "Q3_report (v2).pdf", "file_data": "JVBERi0="}},
    {"type": "file", "file": {"file_data": "data:text/plain;base64,aGk="}},
    {"type": "file", "file": {"filename": "x.csv", "file_data": "data:application/octet-stream;base64,aGk="}},
    {
        "type": "file",
        "file": {"filename": "ü.docx", "file_data": "s3://bucket/a.docx?bucketOwner=123456789012"},
    },
    {"type": "file", "file": {"file_data": "data:video/mp4;base64,AAAA"}},
    {"type": "document", "title": "a", "source": {"type": "text", "data": "words"}, "context": "c"},
]


def user(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts), **more}]}


EFFORTS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "effort_budget": ({"reasoning_effort": "medium"}, CLAUDE),
    "effort_budget_in_bounds": ({"reasoning_effort": "high", "max_tokens": 6000}, CLAUDE),
    "effort_adaptive": ({"reasoning_effort": "minimal", "temperature": 0.2, "top_k": 2}, NEW),
    "effort_none": ({"reasoning_effort": "none"}, NEW),
    "effort_forced": ({"reasoning_effort": "high", "tools": [TOOL], "tool_choice": "required"}, CLAUDE),
    "effort_without_thoughts": ({"messages": USED, "tools": [TOOL], "reasoning_effort": "low"}, CLAUDE),
    "effort_nova": ({"reasoning_effort": "high"}, NOVA_2),
    "effort_nova_limited": ({"reasoning_effort": "high", "max_tokens": 9}, NOVA_2),
    "effort_nova_1": ({"reasoning_effort": "low"}, NOVA),
    "effort_gpt_oss": ({"reasoning_effort": "xhigh"}, GPT),
    "effort_qwen": ({"reasoning_effort": "low"}, QWEN),
    "effort_llama": ({"reasoning_effort": "low"}, LLAMA),
    "thinking": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000, "temperature": 1},
        CLAUDE,
    ),
    "thinking_elsewhere": ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, GPT),
    "output_config": ({"output_config": {"effort": "low"}}, NEW),
}
TOOLS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "tools": ({"messages": [*USED, *HI], "tools": [{**TOOL, "cache_control": MARK}, BARE_TOOL]}, CLAUDE),
    "tools_one_at_a_time": ({"tools": [TOOL], "parallel_tool_calls": False}, CLAUDE),
    "tools_one_forced": ({"tools": [TOOL], "tool_choice": FORCED, "parallel_tool_calls": False}, CLAUDE),
    "tools_one_at_a_time_elsewhere": ({"tools": [TOOL], "parallel_tool_calls": False}, NOVA),
    "tools_any": ({"tools": [TOOL, BARE_TOOL], "tool_choice": "required"}, NOVA),
    "tools_any_mistral": ({"tools": [TOOL, BARE_TOOL], "tool_choice": FORCED}, MISTRAL),
    "tools_any_llama": ({"tools": [TOOL, BARE_TOOL], "tool_choice": "required"}, LLAMA),
    "tools_none": ({"tools": [TOOL], "tool_choice": "none"}, CLAUDE),
    "tools_none_after_some": ({"messages": USED, "tools": [TOOL], "tool_choice": "none"}, CLAUDE),
    "tools_gone": ({"messages": USED}, CLAUDE),
    "tools_bounded": (
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": BOUNDED, "strict": True}}]},
        CLAUDE,
    ),
    "tools_of_anthropic": ({"tools": [TOOL, {"type": "bash_20250124", "name": "bash"}]}, CLAUDE),
    "tools_of_anthropic_forced": (
        {"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": "required"},
        CLAUDE,
    ),
    "tools_custom": ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, CLAUDE),
    "functions": (
        {
            "messages": [
                *HI,
                {"role": "assistant", "function_call": {"name": "time", "arguments": "no json"}},
                {"role": "function", "name": "time", "content": "now"},
            ],
            "functions": [{"name": "time"}],
            "function_call": {"name": "time"},
        },
        CLAUDE,
    ),
    "results_alone": ({"messages": [*USED, *HI], "tools": [TOOL]}, LLAMA),
    "results_beside_files": ({"messages": [*USED, user(FILES[0])["messages"][0]], "tools": [TOOL]}, CLAUDE),
    "results_with_pictures": (
        {
            "messages": [
                *USED[:2],
                {
                    "role": "tool",
                    "tool_call_id": "call:1",
                    "content": [{"type": "text", "text": "here"}, {"type": "image_url", "image_url": PNG}],
                    "cache_control": MARK,
                },
                RESULTS[1],
            ],
            "tools": [TOOL],
        },
        CLAUDE,
    ),
}
FORMATS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "schema": ({"response_format": SHAPED}, CLAUDE),
    "schema_bounded": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": BOUNDED}}},
        QWEN,
    ),
    "schema_by_a_tool": ({"response_format": SHAPED}, NEW),
    "schema_by_a_tool_beside_others": ({"response_format": SHAPED, "tools": [BARE_TOOL]}, NOVA),
    "schema_not_at_all": ({"response_format": SHAPED}, LLAMA),
    "schema_never_forced": ({"response_format": SHAPED}, NEVER_FORCED),
    "json_object": ({"response_format": {"type": "json_object"}}, NOVA),
    "odd_format": ({"response_format": {"type": "grammar"}}, NOVA),
}
CASES: Final = {
    "never_forced": Case(
        {"messages": HI, "tools": [BARE_TOOL], "tool_choice": "required", "reasoning_effort": "low"},
        NEVER_FORCED,
    ),
    "plain": Case({"messages": HI}, CLAUDE),
    "everything": Case(EVERYTHING, OLD),
    "everything_nova": Case(EVERYTHING, NOVA),
    "everything_llama": Case(EVERYTHING, LLAMA),
    "everything_of_a_new_claude": Case(EVERYTHING, NEW),
    "everything_of_a_profile": Case(EVERYTHING, PROFILE),
    "blank_stop": Case({"messages": HI, "stop": ["\n", "a"]}, CLAUDE),
    "blank_stop_elsewhere": Case({"messages": HI, "stop": "\n"}, NOVA),
    "gpt": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "shoot", "arguments": "{}"}}
                    ],
                },
                {
                    "role": "tool",
                    "tool_call_id": "c1",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
                    ],
                },
                {"role": "user", "content": "What is it?"},
            ],
            "tools": [{"type": "function", "function": {"name": "shoot"}}],
            "reasoning_effort": "high",
            "temperature": 0.2,
            "top_k": 3,
        },
        "us.openai.gpt-5.6-sol",
    ),
    "one_stop": Case({"messages": HI, "stop": "a", "max_tokens": 8, "service_tier": "auto"}, CLAUDE),
    "system": Case(
        {
            "messages": [
                {"role": "system", "content": "be kind"},
                {
                    "role": "developer",
                    "content": [{"type": "text", "text": "be brief", "cache_control": HOUR}],
                },
                {"role": "user", "content": "hi"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "there"}, {"type": "text", "text": " "}],
                },
                {"role": "assistant", "content": ""},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "never"},
            ]
        },
        CLAUDE,
    ),
    "system_unknown_to_the_model": Case({"messages": [{"role": "system", "content": "be kind"}, *HI]}, TITAN),
    "system_alone": Case({"messages": [{"role": "system", "content": "be kind"}]}, TITAN),
    "system_with_a_picture": Case(
        {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]}]},
        CLAUDE,
    ),
    "begins_with_the_model": Case({"messages": [{"role": "assistant", "content": "hi"}, *HI]}, NOVA),
    "cached": Case(user({"type": "text", "text": "long"}, FILES[0], cache_control=HOUR), CLAUDE),
    "cached_nova": Case(
        {
            **user({"type": "text", "text": "long", "cache_control": HOUR}),
            "tools": [{**TOOL, "cache_control": MARK}],
        },
        NOVA,
    ),
    "cached_nowhere": Case(user({"type": "text", "text": "long", "cache_control": MARK}), LLAMA),
    "pictures": Case(
        user(
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,AAAA"}},
            {"type": "image_url", "image_url": "data:;base64,R0lGODlh"},
            {"type": "image_url", "image_url": {"url": "s3://bucket/x/a.webp"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
            },
            cache_control=MARK,
        ),
        CLAUDE,
    ),
    "picture_in_low_detail": Case(
        user({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}), CLAUDE
    ),
    "said_aloud": Case({"messages": [*HI, {"role": "assistant", "audio": {"id": "audio_1"}}]}, CLAUDE),
    "documents_llama": Case(user(FILES[0]), LLAMA),
    "picture_on_the_web": Case(
        user({"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}), CLAUDE
    ),
    "picture_of_a_strange_kind": Case(
        user({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AAAA"}}), CLAUDE
    ),
    "picture_without_base64": Case(
        user({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}), CLAUDE
    ),
    "documents": Case(user(*FILES), CLAUDE),
    "document_by_id": Case(user({"type": "file", "file": {"file_id": "file_1"}}), CLAUDE),
    "document_of_a_strange_kind": Case(
        user({"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA"}}), CLAUDE
    ),
    "film_and_sound": Case(
        user(
            {"type": "video_url", "video_url": {"url": "s3://bucket/a.mp4"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ),
        NOVA_2,
    ),
    "unknown_part": Case(user({"type": "hologram"}), CLAUDE),
    "thoughts_kept": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_content": "hm",
                    "thinking_blocks": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "redacted_thinking", "data": "xyz"},
                        {"type": "thinking", "thinking": "unsigned"},
                    ],
                    "tool_calls": CALLS[1:],
                },
                RESULTS[1],
            ],
            "tools": [BARE_TOOL],
            "reasoning_effort": "low",
        },
        CLAUDE,
    ),
    "extras": Case(
        {
            "messages": HI,
            "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1", "trace": "enabled"},
            "performanceConfig": {"latency": "optimized"},
            "requestMetadata": {"team": "x"},
            "additionalModelRequestFields": {"top_k": 7, "output_config": {"x": 1}},
            "top_k": 3,
            "reasoning_effort": "none",
            "metadata": {"a": "b"},
            "service_tier": "priority",
        },
        "us.anthropic.claude-sonnet-5",
    ),
    "metadata": Case({"messages": HI, "metadata": {"a": "b/c-d.e", "n": ""}, "user": "u"}, NOVA),
    "metadata_in_other_letters": Case({"messages": HI, "metadata": {"a": "ü{}"}}, NOVA),
    "left_out": Case(
        {
            "messages": [{"role": "user", "content": "hi", "name": "Ann"}],
            "seed": 1,
            "logprobs": True,
            "logit_bias": {"1": 1},
            "presence_penalty": 0.5,
            "service_tier": "scale",
            "x_new": 1,
            "stream_options": {},
            "user": "ü",
        },
        NOVA,
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
        CLAUDE,
        unsupported="reject",
    ),
    "rejected": Case({"messages": HI, "seed": 1}, CLAUDE, unsupported="reject"),
    "several_choices": Case({"messages": HI, "n": 2}),
    "audio_out": Case({"messages": HI, "modalities": ["text", "audio"]}),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
    **{
        name: Case({"messages": HI, **members}, model_id)
        for name, (members, model_id) in {**EFFORTS, **TOOLS, **FORMATS}.items()
    },
    **{f"reply_{name}": Case({"messages": HI}, CLAUDE, reply=reply) for name, reply in REPLIES.items()},
    **{
        f"stream_{name}": Case(
            {"messages": HI, "stream": True, "stream_options": {"include_usage": True}},
            CLAUDE,
            reply=converse_events(reply),
        )
        for name, reply in REPLIES.items()
    },
    "reply_by_a_tool": Case(
        {"messages": HI, "response_format": SHAPED}, NOVA, reply=converse_reply(ANSWER, stop="tool_use")
    ),
    "stream_by_a_tool": Case(
        {"messages": HI, "response_format": SHAPED, "stream": True},
        NOVA,
        reply=converse_events(converse_reply(ANSWER, stop="tool_use")),
    ),
    "stream_without_usage": Case(
        {"messages": HI, "stream": True}, CLAUDE, reply=converse_events(REPLIES["text"])
    ),
    "stream_cut": Case({"messages": HI, "stream": True}, CLAUDE, reply=converse_events(REPLIES["text"])[:-1]),
    **{
        f"stream_{name}": Case(
            {"messages": HI, "stream": True},
            CLAUDE,
            reply=[
                *converse_events(REPLIES["text"])[:at],
                exception(kind, words),
                converse_events(REPLIES["text"])[-1],
            ],
        )
        for name, at, kind, words in (
            ("throttled", 0, "throttlingException", "Too many tokens, please wait."),
            ("broken", 4, "modelStreamErrorException", "The model broke."),
            ("unavailable", 4, "serviceUnavailableException", ""),
        )
    },
    **{
        f"error_{status}": Case({"messages": HI}, CLAUDE, reply=(status, body))
        for status, body in (
            (400, {"message": "The provided model identifier is invalid."}),
            (403, {"Message": "You don't have access to the model with the specified model ID."}),
            (404, {"message": "Not found."}),
            (408, {"message": "Model took too long."}),
            (424, {"message": "The model failed.", "originalStatusCode": 500, "resourceName": "x"}),
            (429, {"message": "Too many requests, please wait before trying again."}),
            (500, {"detail": "?"}),
            (503, {"message": "Bedrock is unable to process your request."}),
        )
    },
}
