"""What Claude Code sends, at a model of either dialect.

Its requests as they are known from its gateway protocol and from published captures: betas, `?beta=true`, a
system prompt in marked blocks, tools that are held back, messages of the system between the others, thoughts
with signatures, fields that are not in the reference. None of it may be refused; Anthropic gets every byte.

Protocol: https://code.claude.com/docs/en/llm-gateway-protocol
"""

from __future__ import annotations

import http.client
import json
from typing import Any, Final

import pytest

from tests.rig.behaviours import TEXT
from tests.rig.manifests import APP_TOKEN, PROVIDER_KEY
from tests.rig.sdk_stack import SdkStack

BETAS: Final = (
    "claude-code-20250219,adaptive-thinking-2026-01-28,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,advanced-tool-use-2025-11-20,effort-2025-11-24"
)
HEADERS: Final = {
    "accept": "application/json",
    "anthropic-beta": BETAS,
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "authorization": f"Bearer {APP_TOKEN}",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.69 (external, cli)",
    "x-app": "cli",
    "x-claude-code-session-id": "b4e5aaaa-9a3e-47c4-84ad-3a70f38c676e",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}
FOR_AN_HOUR: Final = {"type": "ephemeral", "ttl": "1h"}
MCP_TOOL: Final = "mcp__plugin_issue_tracker_of_the_company__search_issues_and_pull_requests"
SYSTEM: Final[list[dict[str, Any]]] = [
    {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.69; cc_entrypoint=cli;"},
    {
        "type": "text",
        "text": "You are Claude Code, Anthropic's official CLI for Claude.",
        "cache_control": FOR_AN_HOUR,
    },
    {
        "type": "text",
        "text": "Help with software.",
        "cache_control": {"type": "ephemeral", "scope": "global"},
    },
]
TOOLS: Final = [
    {
        "name": "Bash",
        "description": "Runs a command.",
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout": {"type": "number"}},
            "required": ["command"],
            "additionalProperties": False,
        },
        "eager_input_streaming": True,
    },
    {"name": "ToolSearch", "description": "Finds tools.", "input_schema": {"type": "object"}},
    {"name": MCP_TOOL, "input_schema": {"type": "object", "properties": {}}, "defer_loading": True},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
]
ASKED: Final = [
    {
        "role": "user",
        "content": "<system-reminder>The following deferred tools are available.</system-reminder>",
    },
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "<system-reminder>CLAUDE.md: be brief.</system-reminder>"},
            {"type": "text", "text": "Räum auf.", "cache_control": FOR_AN_HOUR},
        ],
    },
]
WORKED: Final = [
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqQBCgIYAhIM"},
            {"type": "redacted_thinking", "data": "EmwKAhgBEgy3"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}, "caller": {}},
            {"type": "tool_use", "id": "toolu_2", "name": "ToolSearch", "input": {"query": "issue"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "tool_use_id": "toolu_1",
                "type": "tool_result",
                "content": [
                    {"type": "text", "text": "a.py"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
                    },
                ],
                "is_error": False,
            },
            {
                "tool_use_id": "toolu_2",
                "type": "tool_result",
                "content": [{"type": "tool_reference", "tool_name": MCP_TOOL}],
                "cache_control": {"type": "ephemeral"},
            },
        ],
    },
    {"role": "system", "content": "The user opened b.py."},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_3", "name": MCP_TOOL, "input": {}}]},
    {
        "role": "user",
        "content": [
            {"tool_use_id": "toolu_3", "type": "tool_result", "content": "no access", "is_error": True},
            {"type": "text", "text": "[Request interrupted by user]"},
        ],
    },
]
MORE: Final[dict[str, Any]] = {
    "system": SYSTEM,
    "tools": TOOLS,
    "metadata": {
        "user_id": "user_"
        + "0784b260" * 8
        + "_account_261d5434-c8c2-431f-b07d-2e480cd4622f_session_b4e5aaaa-9a3e"
    },
    "max_tokens": 32000,
    "thinking": {"type": "adaptive"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "output_config": {"effort": "medium"},
    "diagnostics": {"previous_message_id": None},
    "speed": "fast",
    "stream": True,
}
SESSION: Final[dict[str, dict[str, Any]]] = {
    "quota": {
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": {"user_id": "u"},
    },
    "title": {
        "max_tokens": 512,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Räum auf."}]}],
        "system": [{"type": "text", "text": "Give a title."}],
        "tools": [],
        "temperature": 1,
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"title": {"type": "string"}},
                    "required": ["title"],
                    "additionalProperties": False,
                },
            }
        },
        "stream": True,
    },
    "first": {**MORE, "messages": ASKED},
    "second": {**MORE, "messages": [*ASKED, *WORKED]},
}


def send(
    stack: SdkStack, model: str, asked: dict[str, Any], path: str = "/v1/messages?beta=true"
) -> tuple[http.client.HTTPResponse, bytes, bytes]:
    """The response with its body, and the body that was sent."""
    body = json.dumps({"model": model, **asked}, separators=(",", ":"), ensure_ascii=False).encode()
    connection = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=60)
    try:
        connection.request("POST", path, body, HEADERS)
        response = connection.getresponse()
        return response, response.read(), body
    finally:
        connection.close()


@pytest.mark.parametrize("name", SESSION)
def test_at_anthropic(stack: SdkStack, name: str) -> None:
    """Every byte of the body but the model's name arrives, and betas, version and query with it."""
    response, answer, sent = send(stack, "claude/normal", SESSION[name])
    assert (response.status, response.getheader("x-tfy-dropped-params")) == (200, None)
    (exchange,) = stack.claude.exchanges
    assert exchange.body == sent.replace(b'"claude/normal"', b'"normal"', 1)
    assert exchange.path == "/v1/messages?beta=true"
    assert (exchange.header("anthropic-beta"), exchange.header("anthropic-version")) == (BETAS, "2023-06-01")
    assert exchange.header("x-api-key") == PROVIDER_KEY
    assert APP_TOKEN not in str(exchange.headers)
    if SESSION[name].get("stream"):
        assert b"message_stop" in answer
    else:
        assert json.loads(answer)["content"][0]["text"] == TEXT


def test_count_at_anthropic(stack: SdkStack) -> None:
    """Counting takes the same body, without what is not counted."""
    asked = {name: SESSION["second"][name] for name in ("messages", "system", "tools")}
    response, answer, sent = send(stack, "claude/normal", asked, "/v1/messages/count_tokens?beta=true")
    assert (response.status, "input_tokens" in json.loads(answer)) == (200, True)
    (exchange,) = stack.claude.exchanges
    assert exchange.body == sent.replace(b'"claude/normal"', b'"normal"', 1)
    assert exchange.path == "/v1/messages/count_tokens?beta=true"


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("quota", None),
        ("title", None),
        ("first", "speed, tools.web_search_20250305"),
        ("second", "speed, tools.web_search_20250305"),
    ],
)
def test_at_openai(stack: SdkStack, name: str, dropped: str | None) -> None:
    """It works, in Claude Code's own dialect; what the model did not get is named, and no beta leaks."""
    response, answer, _ = send(stack, "fake/normal", SESSION[name])
    assert (response.status, response.getheader("x-tfy-dropped-params")) == (200, dropped)
    (exchange,) = stack.upstream.exchanges
    assert exchange.path == "/v1/chat/completions"
    assert not [key for key, _ in exchange.headers if key.startswith(("anthropic-", "x-claude", "x-app"))]
    if SESSION[name].get("stream"):
        kinds = [line[7:] for line in answer.decode().splitlines() if line.startswith("event: ")]
        assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    else:
        assert json.loads(answer)["content"] == [{"type": "text", "text": TEXT}]


def test_a_turn_at_openai(stack: SdkStack) -> None:
    """Prompts, tools, calls and results are all there, in order and paired."""
    send(stack, "fake/normal", SESSION["second"])
    sent = stack.upstream.exchanges[-1].json
    roles = [message["role"] for message in sent["messages"]]
    assert roles == [
        *(
            "system",
            "user",
            "user",
            "assistant",
            "tool",
            "tool",
            "user",
            "system",
            "assistant",
            "tool",
            "user",
        )
    ]
    assert sent["messages"][0]["content"] == "\n\n".join(str(block["text"]) for block in SYSTEM)
    names = [tool["function"]["name"] for tool in sent["tools"]]
    assert names[:2] == ["Bash", "ToolSearch"]
    assert [len(name) <= 64 for name in names] == [True] * 3
    calls = [call for message in sent["messages"] for call in message.get("tool_calls", [])]
    assert [call["id"] for call in calls] == ["toolu_1", "toolu_2", "toolu_3"]
    assert calls[2]["function"]["name"] == names[2]
    results = {
        message["tool_call_id"]: message["content"]
        for message in sent["messages"]
        if message["role"] == "tool"
    }
    assert results == {
        "toolu_1": "a.py",
        "toolu_2": f"The tool {names[2]} can be used.",
        "toolu_3": "The tool failed:\nno access",
    }
    assert sent["messages"][6]["content"][0]["type"] == "image_url"
    assert (sent["max_completion_tokens"], sent["reasoning_effort"]) == (32000, "medium")
    assert len(sent["user"]) == 64
    assert "hm" not in json.dumps(sent)


def test_count_at_openai(stack: SdkStack) -> None:
    """There is nobody to ask, and Claude Code then counts by itself: an error in its dialect."""
    asked = {"messages": SESSION["first"]["messages"]}
    response, answer, _ = send(stack, "fake/normal", asked, "/v1/messages/count_tokens?beta=true")
    assert response.status == 400
    said = json.loads(answer)
    assert (said["type"], said["error"]["type"]) == ("error", "invalid_request_error")
