"""Messages for Bedrock's Converse, for tests/golden/test_pairs.py."""

from __future__ import annotations

from typing import Any, Final

from gateway.translate.json_answers import ANSWER_TOOL
from tests.golden.converse_replies import (
    PAGE,
    REPLIES,
    TEXT,
    WEB,
    converse_events,
    converse_reply,
    exception,
)
from tests.golden.translated import Case

CLAUDE: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW: Final = "global.anthropic.claude-opus-4-8"
NOVA: Final = "amazon.nova-pro-v1:0"
NOVA_2: Final = "us.amazon.nova-2-lite-v1:0"
LLAMA: Final = "us.meta.llama3-3-70b-instruct-v1:0"
GPT: Final = "openai.gpt-oss-120b-1:0"
HI: Final = [{"role": "user", "content": "hi"}]
MARK: Final = {"type": "ephemeral"}
HOUR: Final = {"type": "ephemeral", "ttl": "1h"}
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Final = {"name": "weather", "description": "Now.", "input_schema": SCHEMA}
LONG: Final = "mcp__" + "a" * 70
PNG: Final = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
}
PDF: Final = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
BOTH: Final = [
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "x" * 80, "name": LONG, "input": {}},
]
SEARCH: Final = {
    "type": "search_result",
    "source": "https://x.test",
    "title": "X",
    "content": [{"type": "text", "text": "found"}],
    "citations": {"enabled": True},
}
RESULTS: Final = [
    {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "sunny"}, PNG, SEARCH],
        "cache_control": MARK,
    },
    {"type": "tool_result", "tool_use_id": "x" * 80, "is_error": True},
]
USED: Final = [
    *HI,
    {"role": "assistant", "content": BOTH},
    {"role": "user", "content": [{"type": "text", "text": "so?"}, *RESULTS]},
]
ANSWER: Final = {"toolUse": {"toolUseId": "tooluse_9", "name": ANSWER_TOOL, "input": {"city": "Köln"}}}
SHAPED: Final = {"format": {"type": "json_schema", "schema": SCHEMA}}
CODE_ID: Final = '{"device_id":"d"}'
PLACES: Final = {
    "documentChar": {"documentIndex": 0, "start": 1, "end": 2},
    "documentChunk": {"documentIndex": 1, "start": 0, "end": 1},
    "searchResultLocation": {"searchResultIndex": 2, "start": 0, "end": 1},
}
CITED: Final = {
    "citationsContent": {
        "content": [TEXT],
        "citations": [
            WEB,
            PAGE,
            *({"title": "t", "source": "s", "location": {place: where}} for place, where in PLACES.items()),
        ],
    }
}
OWN_REPLIES: Final = {
    **REPLIES,
    "cited": converse_reply(CITED),
    "stopped": converse_reply(
        TEXT, stop="stop_sequence", additionalModelResponseFields={"stop_sequence": "END"}
    ),
}


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


FIELDS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "thinking": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000, "temperature": 1},
        CLAUDE,
    ),
    "thinking_adaptive": (
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
        NEW,
    ),
    "thinking_off": ({"thinking": {"type": "disabled"}}, CLAUDE),
    "thinking_nova": (
        {"thinking": {"type": "enabled", "budget_tokens": 20_000}, "max_tokens": 30_000},
        NOVA_2,
    ),
    "thinking_gpt_oss": ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, GPT),
    "thinking_llama": ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, LLAMA),
    "thinking_off_llama": ({"thinking": {"type": "disabled"}}, LLAMA),
    "effort": ({"output_config": {"effort": "low"}}, NEW),
    "schema": ({"output_config": SHAPED}, CLAUDE),
    "schema_by_a_tool": ({"output_config": SHAPED, "tools": [TOOL]}, NEW),
    "schema_not_at_all": ({"output_config": SHAPED}, LLAMA),
    "odd_format": ({"output_config": {"format": {"type": "grammar"}}}, CLAUDE),
    "tools": (
        {
            "messages": USED,
            "tools": [{**TOOL, "cache_control": HOUR, "strict": True}, {"name": LONG, "type": "custom"}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        },
        CLAUDE,
    ),
    "tools_nova": ({"messages": USED, "tools": [{**TOOL, "input_schema": {**SCHEMA, "$schema": "x"}}]}, NOVA),
    "tools_llama": ({"messages": USED, "tools": [TOOL]}, LLAMA),
    "tools_forced": (
        {"tools": [TOOL, {"name": LONG}], "tool_choice": {"type": "tool", "name": LONG}},
        CLAUDE,
    ),
    "tools_any": ({"tools": [TOOL], "tool_choice": {"type": "any"}}, NOVA),
    "tools_none": ({"messages": USED, "tools": [TOOL], "tool_choice": {"type": "none"}}, CLAUDE),
    "tools_one_at_a_time_elsewhere": (
        {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        NOVA,
    ),
    "tools_of_anthropic": (
        {"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]},
        CLAUDE,
    ),
    "tools_of_anthropic_forced": (
        {
            "tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}],
            "tool_choice": {"type": "tool", "name": "web_search"},
        },
        CLAUDE,
    ),
    "tools_with_examples": (
        {"tools": [{**TOOL, "input_examples": [{"city": "x"}], "allowed_callers": ["code_1"]}]},
        CLAUDE,
    ),
    "odd_thinking": ({"thinking": {"type": "new"}, "output_config": {"task_budget": {"total": 1}}}, NOVA),
    "odd_choice": ({"tools": [TOOL], "tool_choice": {"type": "maybe"}}, CLAUDE),
    "stops": ({"stop_sequences": ["END"]}, CLAUDE),
    "stops_nova": ({"stop_sequences": ["END"]}, NOVA),
    "user": ({"metadata": {"user_id": "u-1"}}, CLAUDE),
    "user_of_claude_code": ({"metadata": {"user_id": CODE_ID}}, CLAUDE),
    "cached_at_its_end": ({"cache_control": HOUR}, CLAUDE),
    "tier": ({"service_tier": "standard_only"}, CLAUDE),
    "left_out": (
        {"mcp_servers": [], "container": "c", "inference_geo": "us", "speed": "fast", "diagnostics": {}},
        CLAUDE,
    ),
}
CASES: Final = {
    "plain": Case({"messages": HI, "max_tokens": 9}, CLAUDE),
    "limits": Case({"messages": HI, "max_tokens": 9, "temperature": 0.5, "top_p": 0.5, "top_k": 3}, NOVA),
    "limits_llama": Case({"messages": HI, "max_tokens": 9, "temperature": 0.5, "top_k": 3}, LLAMA),
    "system": Case({"system": "be kind", "messages": HI}, CLAUDE),
    "system_in_blocks": Case(
        {
            "system": [
                {"type": "text", "text": "be kind", "cache_control": HOUR},
                {"type": "text", "text": " "},
            ],
            "messages": [*HI, {"role": "system", "content": "be brief"}],
        },
        CLAUDE,
    ),
    "turns": Case(
        {
            "messages": [
                *HI,
                {"role": "user", "content": [{"type": "text", "text": "there", "cache_control": MARK}]},
                {"role": "assistant", "content": [{"type": "text", "text": "yes", "citations": []}]},
            ]
        },
        CLAUDE,
    ),
    "files": Case(
        user(
            PNG,
            {"type": "image", "source": {"type": "url", "url": "s3://bucket/a.png"}},
            {"type": "document", "title": "Ä: a.pdf", "source": PDF, "citations": {"enabled": True}},
            {"type": "document", "source": {"type": "text", "data": "words"}, "context": "c"},
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "one"}]},
                "cache_control": MARK,
            },
            {"type": "document", "source": {"type": "url", "url": "s3://bucket/b.md"}},
            SEARCH,
        ),
        CLAUDE,
    ),
    "search_result_llama": Case(user(SEARCH), LLAMA),
    "picture_on_the_web": Case(
        user({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}), CLAUDE
    ),
    "picture_by_id": Case(user({"type": "image", "source": {"type": "file", "file_id": "f"}}), CLAUDE),
    "document_of_pictures": Case(
        user({"type": "document", "source": {"type": "content", "content": [PNG]}}), CLAUDE
    ),
    "unknown_block": Case(user({"type": "container_upload", "file_id": "f"}), CLAUDE),
    "what_the_model_said": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "sig"},
                        {"type": "thinking", "thinking": "unsigned", "signature": ""},
                        {"type": "redacted_thinking", "data": "xyz"},
                        {"type": "compaction", "content": "before"},
                        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                        {"type": "text", "text": "so"},
                    ],
                },
                *HI,
            ],
        },
        CLAUDE,
    ),
    "what_another_model_thought": Case(
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "hm", "signature": "sig"}],
                },
                *HI,
            ]
        },
        NOVA,
    ),
    "tool_references": Case(
        {
            "messages": [
                *USED[:2],
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "toolu_1",
                            "content": [{"type": "tool_reference", "tool_name": LONG}],
                        },
                        {"type": "document", "source": PDF},
                    ],
                },
            ],
            "tools": [TOOL],
        },
        CLAUDE,
    ),
    "odd_members": Case(
        {
            "system": [{"type": "tool_removal"}],
            "messages": [
                {"role": "user", "content": "hi", "name": "Ann"},
                {
                    "role": "assistant",
                    "content": [{"type": "compaction", "content": "a", "tool_changes": [1]}],
                },
            ],
        },
        CLAUDE,
    ),
    "rejected": Case({"messages": HI, "speed": "fast"}, CLAUDE, unsupported="reject"),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
    **{name: Case({"messages": HI, **members}, model_id) for name, (members, model_id) in FIELDS.items()},
    **{f"reply_{name}": Case({"messages": HI}, CLAUDE, reply=reply) for name, reply in OWN_REPLIES.items()},
    **{
        f"stream_{name}": Case({"messages": HI, "stream": True}, CLAUDE, reply=converse_events(reply))
        for name, reply in OWN_REPLIES.items()
    },
    "reply_by_a_tool": Case(
        {"messages": HI, "output_config": SHAPED}, NEW, reply=converse_reply(ANSWER, stop="tool_use")
    ),
    "stream_by_a_tool": Case(
        {"messages": HI, "output_config": SHAPED, "stream": True},
        NEW,
        reply=converse_events(converse_reply(ANSWER, stop="tool_use")),
    ),
    "stream_cut": Case({"messages": HI, "stream": True}, CLAUDE, reply=converse_events(REPLIES["text"])[:-1]),
    **{
        f"stream_{name}": Case(
            {"messages": HI, "stream": True},
            CLAUDE,
            reply=[*converse_events(REPLIES["text"])[:at], exception(kind, words)],
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
            (408, {"message": "Model took too long."}),
            (424, {"message": "The model failed.", "originalStatusCode": 500}),
            (429, {"message": "Too many requests, please wait before trying again."}),
            (503, {"message": "Bedrock is unable to process your request."}),
        )
    },
}
