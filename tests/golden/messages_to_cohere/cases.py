"""Calls of Messages for Cohere, for tests/golden/test_pairs.py."""

from __future__ import annotations

from typing import Any, Final

from tests.golden.cohere_replies import REPLIES, TEXT, event, events, reply
from tests.golden.translated import Case

THINKER: Final = "command-a-plus-05-2026"
HI: Final = [{"role": "user", "content": "hi"}]
ASKED: Final = {"max_tokens": 64, "messages": HI}
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Final = {"name": "weather", "description": "Now.", "input_schema": SCHEMA}
TIME: Final = {"name": "time", "input_schema": {"type": "object"}}
SEARCH: Final = {"type": "web_search_20250305", "name": "web_search"}
PNG: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
CITED: Final = {"enabled": True}
DOCUMENT: Final = {
    "type": "document",
    "title": "Penguins",
    "source": {"type": "text", "media_type": "text/plain", "data": "They are tall."},
}
RESULT: Final = {
    "type": "search_result",
    "title": "Habitats",
    "source": "https://x.test",
    "content": [{"type": "text", "text": "They live in the south."}],
}


def cites(source: str, document: dict[str, Any]) -> dict[str, Any]:
    sources = [{"type": "document", "id": source, "document": document}]
    return {"start": 0, "end": 5, "text": "Hello", "sources": sources, "type": "TEXT_CONTENT"}


CITING: Final = reply(
    TEXT,
    citations=[
        cites("document_0", {"id": "document_0", "title": "Penguins", "text": "They are tall."}),
        cites("result_0", {"title": "Habitats", "url": "https://x.test", "text": "They live in the south."}),
        cites("tool:0", {"x": 1}),
    ],
)


def asked(**more: Any) -> dict[str, Any]:
    return {**ASKED, **more}


CASES: Final = {
    "plain": Case(asked()),
    "system": Case(
        asked(
            system=[{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
            messages=[*HI, {"role": "system", "content": "be kind"}],
        )
    ),
    "limits": Case(
        asked(temperature=1, top_p=0.5, top_k=3, stop_sequences=["a", "b", "c", "d", "e", "f"], k=7)
    ),
    "of_cohere": Case(asked(safety_mode="NONE", priority=1)),
    "pictures": Case(
        asked(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "what?"},
                        PNG,
                        {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                    ],
                }
            ]
        )
    ),
    "documents": Case(
        asked(messages=[{"role": "user", "content": [DOCUMENT, RESULT, {"type": "text", "text": "Who?"}]}])
    ),
    "cited_documents": Case(
        asked(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {**DOCUMENT, "citations": CITED},
                        {**RESULT, "citations": CITED},
                        {"type": "text", "text": "Who?"},
                    ],
                }
            ]
        ),
        reply=CITING,
    ),
    "stream_cited_documents": Case(asked(stream=True), reply=events(CITING)),
    "pdf": Case(
        asked(
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "base64", "data": "JVBE"}}],
                }
            ]
        )
    ),
    "tools": Case(
        asked(
            messages=[
                *HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "I look.", "signature": ""},
                        {"type": "text", "text": "so"},
                        {"type": "tool_use", "id": "c_1", "name": "weather", "input": {"city": "Paris"}},
                        {"type": "tool_use", "id": "c_2", "name": "time", "input": {}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c_1", "content": "24"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "c_2",
                            "content": [PNG],
                        },
                        {"type": "text", "text": "and?"},
                    ],
                },
            ],
            tools=[WEATHER, TIME],
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        )
    ),
    "failed_tool": Case(
        asked(
            messages=[
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "time"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": "no clock", "is_error": True}
                    ],
                },
            ]
        )
    ),
    "odd_details": Case(
        asked(
            messages=[
                {"role": "system", "content": [{"type": "tool_removal"}], "output_config": {}},
                {
                    "role": "user",
                    "content": [
                        {**DOCUMENT, "context": "Of the south."},
                        {**PNG, "transformations": {"oversized_image": "error"}},
                    ],
                },
            ],
            tools=[{**TIME, "input_examples": [{}], "allowed_callers": ["code_execution_20250825"]}],
            output_config={"task_budget": {"type": "tokens", "total": 9}},
            service_tier="standard_only",
        )
    ),
    "thoughts_kept": Case(
        asked(
            messages=[
                *HI,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "own", "signature": ""},
                        {"type": "thinking", "thinking": "of another", "signature": "s"},
                        {"type": "redacted_thinking", "data": "x"},
                        {"type": "text", "text": "so"},
                    ],
                },
                *HI,
            ]
        ),
        model_id=THINKER,
    ),
    "any_tool": Case(asked(tools=[TIME], tool_choice={"type": "any"})),
    "no_tool": Case(asked(tools=[TIME], tool_choice={"type": "none"})),
    "one_tool": Case(asked(tools=[WEATHER, TIME], tool_choice={"type": "tool", "name": "time"})),
    "odd_choice": Case(asked(tools=[TIME], tool_choice={"type": "maybe"})),
    "strict_tools": Case(asked(tools=[{**WEATHER, "strict": True}])),
    "server_tools": Case(asked(tools=[SEARCH, TIME])),
    "forced_server_tool": Case(asked(tools=[SEARCH], tool_choice={"type": "any"})),
    "names": Case(
        asked(tools=[{**WEATHER, "name": "mcp-server.search"}]),
        reply=reply(
            reason="TOOL_CALL",
            tool_calls=[
                {"id": "c", "type": "function", "function": {"name": "t_mcp_server_search_4c189187"}}
            ],
        ),
    ),
    "schema": Case(asked(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})),
    "schema_with_tools": Case(
        asked(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}, tools=[TIME])
    ),
    "odd_format": Case(asked(output_config={"format": {"type": "xml"}})),
    "budget": Case(
        asked(max_tokens=4000, thinking={"type": "enabled", "budget_tokens": 1500}), model_id=THINKER
    ),
    "adaptive": Case(asked(thinking={"type": "adaptive"}), model_id=THINKER),
    "effort": Case(
        asked(max_tokens=9000, thinking={"type": "adaptive"}, output_config={"effort": "low"}),
        model_id=THINKER,
    ),
    "disabled": Case(asked(thinking={"type": "disabled"}), model_id=THINKER),
    "need_not_think": Case(asked(thinking={"type": "disabled"})),
    "cannot_think": Case(asked(thinking={"type": "enabled", "budget_tokens": 1024})),
    "left_out": Case(asked(mcp_servers=[], x_unknown=1, metadata={"user_id": "u"})),
    "rejected": Case(asked(container="c"), unsupported="reject"),
    "no_messages": Case({"messages": "hi"}),
    "no_message": Case({"messages": ["hi"]}),
    "unknown_block": Case(asked(messages=[{"role": "user", "content": [{"type": "container_upload"}]}])),
    **{f"reply_{name}": Case(asked(), reply=each) for name, each in REPLIES.items()},
    **{f"stream_{name}": Case(asked(stream=True), reply=events(each)) for name, each in REPLIES.items()},
    "reply_one_stop": Case(asked(stop_sequences=["END"]), reply=REPLIES["stopped"]),
    "stream_cut": Case(asked(stream=True), reply=events(REPLIES["text"])[:-1]),
    "stream_error": Case(
        asked(stream=True),
        reply=[*events(REPLIES["text"])[:3], b'data: {"id":"e","message":"overloaded"}\n\n'],
    ),
    "stream_failed": Case(
        asked(stream=True),
        reply=[
            *events(REPLIES["text"])[:3],
            event("message-end", delta={"finish_reason": "ERROR", "error": "model crashed"}),
        ],
    ),
    "error_rate": Case(asked(), reply=(429, {"id": "e", "message": "too many"})),
    "error_blocked": Case(asked(), reply=(498, {"message": "blocked"})),
}
