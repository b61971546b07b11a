"""No field of the official SDKs' request types gets lost on the way to another dialect without a word.

Each field of each type, nested ones too, is set in an otherwise small request. Then the target is sent
another body, or the call is refused, or the field, or what it is part of, is named as left out. What is lost
otherwise is in the tables below, which docs/translation.md and docs/responses.md say in words; a new field of
a new SDK fails here until somebody decides about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from anthropic.types.beta.message_create_params import MessageCreateParamsBase as BetaMessageParams
from anthropic.types.message_create_params import MessageCreateParamsBase as MessageParams
from openai.types.chat.completion_create_params import CompletionCreateParamsBase as ChatParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.response_create_params import ResponseCreateParamsBase as ResponseParams

from gateway.endpoints.catalogue import CHAT, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.model import Endpoint, Target
from gateway.translate import (
    chat_to_cohere,
    chat_to_converse,
    chat_to_gemini,
    chat_to_messages,
    embedding_to_bedrock,
    embedding_to_cohere,
    embedding_to_gemini,
    embedding_to_nomic,
    messages_to_chat,
    messages_to_cohere,
    messages_to_converse,
    messages_to_gemini,
    responses_to_chat,
    responses_to_converse,
    responses_to_gemini,
    responses_to_messages,
)
from gateway.translate.pair import Pair
from tests.rig.request_fields import Difference, differences
from tests.unit.makers import make_target

# The name of the model is ours.
EVERYWHERE: Final = ("model.*",)

# A map is set with one word that is no word of a schema, so that no schema has it.
_OF_MAPS: Final = r".*\.(parameters|schema|input_schema)"

_OF_MESSAGES: Final = (
    # Hints that change no answer.
    r"(.*[.)])?cache_control\b.*",
    "diagnostics.*",
    "context_management.*",
    r"tools\[\]\.(defer_loading|eager_input_streaming)",
    "service_tier=auto",
    # Notes on what was said before: another model's thoughts, where a text came from, who called a tool.
    r".*\(text\)\.citations\b.*",
    r".*\(compaction\)\.(encrypted_content|signature)",
    r".*\(tool_use\)\.caller\b.*",
    # Of toolsets, which are left out and named.
    r".*\(tool_(use|result)\)\.toolset_name",
    # What is so anyway, and what says it again.
    r".*\.type=.*",
    r"tools\[\]\.allowed_callers\[\]=direct",
)
_OTHERS_THOUGHTS: Final = r".*\((thinking|redacted_thinking)\)\.(signature|thinking|data)"
# Thoughts come as the model shows them, without a signature.
_HOW_THOUGHTS_SHOW: Final = r"thinking\(\w+\)\.(display|block_binding)\b.*"
MESSAGES_TO_CHAT: Final = (
    *_OF_MESSAGES,
    _OTHERS_THOUGHTS,
    _HOW_THOUGHTS_SHOW,
    # An effort has steps, and the model is left to think, or not, where none is asked for.
    r"thinking\((adaptive|disabled)\)",
    r"thinking\(enabled\)\.budget_tokens",
)
MESSAGES_TO_COHERE: Final = (
    *_OF_MESSAGES,
    _OTHERS_THOUGHTS,
    _HOW_THOUGHTS_SHOW,
    r"metadata\.user_id",
    # One that asks for nothing, as here, leaves it to the model.
    r"thinking\(enabled\)\.budget_tokens",
    r"tool_choice\(auto\)",
)
MESSAGES_TO_GEMINI: Final = (
    *_OF_MESSAGES,
    _OTHERS_THOUGHTS,
    _OF_MAPS,
    # Hints, and what a search had found.
    r"metadata\.user_id",
    "service_tier=standard_only",
    r".*\(web_search_tool_result\)\..*",
    # Of the budget the next level; thoughts are shown unless they are not to be.
    r"thinking\(enabled\)\.budget_tokens",
    r"thinking\(\w+\)\.(display=(summarized|updates)|block_binding\b.*)",
    # Of what is searched no result goes to code, and all tools are given.
    r"tools\[\]\(web_search_\w+\)\.(defer_loading|response_inclusion=.*|allowed_callers\[\]=direct)",
    # A member that must be there, and is described nowhere.
    r"tools\[\]\.input_schema\(object\)\.required\[\]",
    r"tool_choice\(auto\)",
)
MESSAGES_TO_CONVERSE: Final = (*_OF_MESSAGES, r"tool_choice\(auto\)")
MESSAGES_TO_LLAMA: Final = (
    *MESSAGES_TO_CONVERSE,
    _OTHERS_THOUGHTS,
    _HOW_THOUGHTS_SHOW,
    # It does not think, unless that is asked for, which is named.
    r"thinking\((adaptive|disabled)\)",
)
_OF_CHAT: Final = (
    # The system's words, whoever says them.
    r"messages\[\]\(system\)",
    # Hints that change no answer.
    "prompt_cache_(key|retention).*",
    "store|stream_options.*",
    # What is so anyway.
    r"modalities\[\]=text",
    "parallel_tool_calls",
    r"response_format\(text\)",
    # There is no tool of that name, so none is left.
    r"tool_choice\(allowed_tools\)\.allowed_tools.*",
    "verbosity=medium",
)
# The system's words, where nobody says anything else, are asked as the user's.
_SAID_ALONE: Final = r"messages\[\]\(user\)"
_SAID_ALONE_IN_RESPONSES: Final = r"input\[\]\(message\)\.role=(user|system|developer)"
_CACHE_HINTS: Final = r".*\.prompt_cache_breakpoint\b.*"
_HOW_LONG_TO_CACHE: Final = r".*\.prompt_cache_breakpoint\.(mode|ttl).*"
_AS_IT_LIKES: Final = "(function_call|tool_choice)=auto"
CHAT_TO_MESSAGES: Final = (
    *_OF_CHAT,
    r"web_search_options\.search_context_size=medium",
    _SAID_ALONE,
    _HOW_LONG_TO_CACHE,
    # Claude sees all of a picture.
    r".*\.detail=(auto|high|original)",
    "reasoning_effort=none",
)
CHAT_TO_COHERE: Final = (*_OF_CHAT, _SAID_ALONE, _CACHE_HINTS, _AS_IT_LIKES, "service_tier=auto")
CHAT_TO_GEMINI: Final = (
    *_OF_CHAT,
    _CACHE_HINTS,
    _OF_MAPS,
    _SAID_ALONE,
    # Nothing without `logprobs`.
    "top_logprobs",
    # A promise that nothing can be told of.
    r"tools\[\]\(function\)\.function\.strict",
    "service_tier=(auto|default)",
    r"web_search_options\.search_context_size=medium",
)
CHAT_TO_CONVERSE: Final = (
    *_OF_CHAT,
    _HOW_LONG_TO_CACHE,
    _AS_IT_LIKES,
    "reasoning_effort=none",
    "service_tier=auto",
)
CHAT_TO_LLAMA: Final = (
    *_OF_CHAT,
    _CACHE_HINTS,
    _AS_IT_LIKES,
    # It is named as what it is called since: `tool_choice`.
    r"function_call\.name",
    "service_tier=auto",
)
_OF_RESPONSES: Final = (
    # Hints that change no answer, and where it is kept.
    "metadata|store|stream_options.*",
    r"(tools\[\]\(\w+\)\.)+defer_loading",
    # Tools that are refused, or details that come unasked.
    r"include\[\]=(?!message\.output_text\.logprobs).*",
    # Notes on items that were answered before.
    r"input\[\]\(\w+\)\.(id|status|phase|async)\b.*",
    r"input\[\]\(\w+\)\.caller\b.*",
    r"input\[\]\(message\)\.content\[\]\(output_text\)\.(annotations|logprobs)\b.*",
    # What it found is in the answer.
    r"input\[\]\(web_search_call\).*",
    # Thoughts that only their own provider can read.
    r"input\[\]\(reasoning\).*",
    # What is so anyway, and what says it again.
    r".*\.type=.*",
    r"text\.format\(text\)",
    # There is no tool of that name, so none is left.
    r"tool_choice\(allowed_tools\)\..*",
    r"(tools\[\]\(\w+\)\.)+allowed_callers\[\]=direct",
    r"(tools\[\]\(namespace\)\.)?tools\[\]\(custom\)\.format\(text\)",
    "truncation=disabled",
)
RESPONSES_TO_GEMINI: Final = (
    *_OF_RESPONSES,
    _SAID_ALONE_IN_RESPONSES,
    _OF_MAPS,
    r".*\.prompt_cache_breakpoint\b.*",
    r"text\.format\(json_schema\)\.(name|strict)",
    r"text\.verbosity=medium",
    "parallel_tool_calls",
    "service_tier=(auto|default)",
    "tool_choice=auto",
    r"(tools\[\]\(\w+\)\.)+strict",
)
RESPONSES_TO_CHAT: Final = (*_OF_RESPONSES, r".*\.prompt_cache_breakpoint\b.*")
RESPONSES_TO_MESSAGES: Final = (
    *_OF_RESPONSES,
    _SAID_ALONE_IN_RESPONSES,
    r".*\.prompt_cache_breakpoint\.(mode|ttl).*",
    r"reasoning\.(context=auto|mode=standard|effort=none)",
    r"text\.format\(json_schema\)\.(name|strict)",
    r"text\.verbosity=medium",
    "parallel_tool_calls",
    "tool_choice=auto",
    r"tools\[\]\(web_search\w*\)\.(external_web_access|search_context_size=medium|search_content_types\[\]=text)",
)
RESPONSES_TO_CONVERSE: Final = (
    *_OF_RESPONSES,
    r".*\.prompt_cache_breakpoint\.(mode|ttl).*",
    r"reasoning\.(context=auto|mode=standard|effort=none)",
    r"text\.format\(json_schema\)\.strict",
    r"text\.verbosity=medium",
    "parallel_tool_calls",
    "service_tier=auto",
    "tool_choice=auto",
)

EMBEDDINGS: Final = (
    # One text is a list of one, and numbers are put into any format here.
    r"input\[\]",
    "encoding_format=.*",
)

FUNCTION: Final = {"name": "name", "parameters": {"type": "object"}}
MORE: Final[dict[str, dict[str, Any]]] = {
    # A choice among tools needs some.
    "messages": {"tools": [{"name": "name", "input_schema": {"type": "object"}}]},
    "chat": {"tools": [{"type": "function", "function": FUNCTION}]},
    "responses": {"tools": [{"type": "function", **FUNCTION}, {"type": "custom", "name": "other"}]},
}


class Way(NamedTuple):
    """From the requests of one type to one kind of target."""

    name: str
    params: Any
    endpoint: Endpoint
    pair: Pair
    target: Target
    passed_over: tuple[str, ...]


GPT: Final = make_target(model_id="gpt-6")
CLAUDE: Final = make_target(model_id="claude-opus-4-6", dialect="anthropic")
GEMINI: Final = make_target(model_id="gemini-3-flash", dialect="gemini")
CLAUDE_AT_BEDROCK: Final = make_target(model_id="anthropic.claude-opus-4-6-v1", dialect="converse")
LLAMA: Final = make_target(model_id="meta.llama4-maverick-17b-instruct-v1:0", dialect="converse")
COMMAND: Final = make_target(model_id="command-a-plus-05-2026", dialect="cohere")
EMBED: Final = make_target(model_id="embed-v4.0", dialect="cohere")
GEMINI_EMBEDDING: Final = make_target(model_id="gemini-embedding-001", dialect="gemini")
TITAN: Final = make_target(model_id="amazon.titan-embed-text-v2:0", dialect="converse")
NOVA_EMBEDDING: Final = make_target(model_id="amazon.nova-2-multimodal-embeddings-v1:0", dialect="converse")
EMBED_AT_BEDROCK: Final = make_target(model_id="cohere.embed-v4:0", dialect="converse")
NOMIC: Final = make_target(model_id="nomic-embed-text-v1.5", dialect="nomic")
WAYS: Final = (
    Way("messages-chat", MessageParams, MESSAGES, messages_to_chat, GPT, MESSAGES_TO_CHAT),
    Way("beta-chat", BetaMessageParams, MESSAGES, messages_to_chat, GPT, MESSAGES_TO_CHAT),
    Way("chat-messages", ChatParams, CHAT, chat_to_messages, CLAUDE, CHAT_TO_MESSAGES),
    Way("chat-cohere", ChatParams, CHAT, chat_to_cohere, COMMAND, CHAT_TO_COHERE),
    Way("messages-cohere", MessageParams, MESSAGES, messages_to_cohere, COMMAND, MESSAGES_TO_COHERE),
    Way("beta-cohere", BetaMessageParams, MESSAGES, messages_to_cohere, COMMAND, MESSAGES_TO_COHERE),
    Way("chat-gemini", ChatParams, CHAT, chat_to_gemini, GEMINI, CHAT_TO_GEMINI),
    Way(
        "messages-gemini",
        MessageParams,
        MESSAGES,
        messages_to_gemini,
        GEMINI,
        # It keeps its place, as the user's; a search is in the answer, other tools of Anthropic's are named.
        (
            *MESSAGES_TO_GEMINI,
            r"messages\[\]\(system\)",
            r".*\(server_tool_use\)\.(id|input|name=web_search|caller\b.*)",
        ),
    ),
    Way("beta-gemini", BetaMessageParams, MESSAGES, messages_to_gemini, GEMINI, MESSAGES_TO_GEMINI),
    Way("responses-gemini", ResponseParams, RESPONSE, responses_to_gemini, GEMINI, RESPONSES_TO_GEMINI),
    Way("chat-converse-claude", ChatParams, CHAT, chat_to_converse, CLAUDE_AT_BEDROCK, CHAT_TO_CONVERSE),
    Way("chat-converse-llama", ChatParams, CHAT, chat_to_converse, LLAMA, CHAT_TO_LLAMA),
    Way(
        "messages-converse-claude",
        MessageParams,
        MESSAGES,
        messages_to_converse,
        CLAUDE_AT_BEDROCK,
        MESSAGES_TO_CONVERSE,
    ),
    Way(
        "beta-converse-claude",
        BetaMessageParams,
        MESSAGES,
        messages_to_converse,
        CLAUDE_AT_BEDROCK,
        MESSAGES_TO_CONVERSE,
    ),
    Way("messages-converse-llama", MessageParams, MESSAGES, messages_to_converse, LLAMA, MESSAGES_TO_LLAMA),
    Way("beta-converse-llama", BetaMessageParams, MESSAGES, messages_to_converse, LLAMA, MESSAGES_TO_LLAMA),
    Way("embedding-cohere", EmbeddingCreateParams, EMBEDDING, embedding_to_cohere, EMBED, EMBEDDINGS),
    Way(
        "embedding-gemini",
        EmbeddingCreateParams,
        EMBEDDING,
        embedding_to_gemini,
        GEMINI_EMBEDDING,
        EMBEDDINGS,
    ),
    *(
        Way(
            f"embedding-bedrock-{name}",
            EmbeddingCreateParams,
            EMBEDDING,
            embedding_to_bedrock,
            target,
            EMBEDDINGS,
        )
        for name, target in (("titan", TITAN), ("nova", NOVA_EMBEDDING), ("cohere", EMBED_AT_BEDROCK))
    ),
    Way("embedding-nomic", EmbeddingCreateParams, EMBEDDING, embedding_to_nomic, NOMIC, EMBEDDINGS),
    Way("responses-chat", ResponseParams, RESPONSE, responses_to_chat, GPT, RESPONSES_TO_CHAT),
    Way("responses-messages", ResponseParams, RESPONSE, responses_to_messages, CLAUDE, RESPONSES_TO_MESSAGES),
    Way(
        "responses-converse",
        ResponseParams,
        RESPONSE,
        responses_to_converse,
        CLAUDE_AT_BEDROCK,
        RESPONSES_TO_CONVERSE,
    ),
)


def outcome(way: Way, request: dict[str, Any]) -> tuple[bytes, tuple[str, ...]] | str:
    """The target's body and what was left out of it, or why there is none."""
    if not request.get("messages") and way.endpoint in (CHAT, MESSAGES):
        request = {"messages": [], **request}
    try:
        call = parse_call(
            way.endpoint, json.dumps({**request, "model": "a/b"}).encode(), model=None, account=None
        )
        return way.pair.write(call, way.target)
    except GatewayError as error:
        return str(error)


def is_told(way: Way, found: Difference, more: dict[str, Any]) -> bool:
    """The field arrives, or its sender is told that it does not."""
    after = outcome(way, {**more, **found.with_it})
    if isinstance(after, str) or after != outcome(way, {**more, **found.without}):
        return True
    words = set(re.split(r"[^\w]+", found.path))
    return any(set(re.sub(r"\[\d+\]", "", name).split(".")) <= words for name in after[1])


def lost(way: Way) -> Iterator[str]:
    """Fields that get lost without a word."""
    for found in differences(way.params):
        needs_tools = found.path.startswith(("tool_choice", "function_call", "parallel_tool_calls"))
        if not is_told(way, found, MORE[way.endpoint.name] if needs_tools else {}):
            yield found.path


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_nothing_is_lost(way: Way) -> None:
    """What is lost is what the docs say, and every line about it is still needed."""
    passed_over = (*EVERYWHERE, *way.passed_over)
    seen = list(lost(way))
    unsaid = [path for path in seen if not any(re.fullmatch(pattern, path) for pattern in passed_over)]
    assert unsaid == [], "\n".join(unsaid)
    if way.params is not MessageParams:
        unused = [pattern for pattern in passed_over if not any(re.fullmatch(pattern, path) for path in seen)]
        assert unused == [], "\n".join(unused)


def test_every_type_is_gone_into() -> None:
    """The walk reaches what lies deep, in every variant."""
    paths = {found.path for found in differences(MessageParams)}
    assert "messages[](user).content[](tool_result).content[](image).source(url).url" in paths
    assert "messages[](user).content[](tool_result).is_error" in paths
    assert "tools[](web_search_20250305).max_uses" in paths
