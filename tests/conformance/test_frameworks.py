"""Frameworks on top of the official SDKs: agents call tools with models of either dialect, to their answer.

Each has tests of its own, which are skipped where it cannot be installed (requirements/frameworks.lock).
"""

from __future__ import annotations

from typing import Any, Final

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.rig import anthropic_behaviours
from tests.rig.anthropic_behaviours import TEXT_BLOCKS, TOOL_BLOCKS
from tests.rig.behaviours import TEXT, normal, tool_calls
from tests.rig.manifests import APP_TOKEN
from tests.rig.requires import requires
from tests.rig.sdk_stack import SdkStack

QUESTION: Final = "Weather and time in Köln?"
MODELS: Final = pytest.mark.parametrize("model", ["fake/normal", "lab/normal", "claude/normal"])
STREAMS: Final = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
# Models behind which there is no Responses API.
TRANSLATED: Final = pytest.mark.parametrize("model", ["lab/normal", "claude/normal"])


def url(stack: SdkStack, suffix: str = "") -> str:
    return f"http://127.0.0.1:{stack.gateway.port}{suffix}"


def play_agent(stack: SdkStack) -> None:
    """The next two answers of either provider: two calls of tools, then a text."""
    stack.upstream.play("normal", tool_calls, normal)
    says = anthropic_behaviours.says
    stack.claude.play("normal", says(TOOL_BLOCKS, "tool_use"), says(TEXT_BLOCKS))


def check_turns(stack: SdkStack, model: str) -> None:
    """The provider was asked twice, the second time with what both tools gave."""
    upstream = stack.claude if model.startswith("claude") else stack.upstream
    first, second = (exchange.json for exchange in upstream.exchanges)
    assert len(first["tools"]) == 2
    told = str(second["messages"])
    assert "sunny in Köln" in told
    assert "noon" in told
    assert upstream.violations == []


# -- LangChain


def langchain_model(stack: SdkStack, kind: str, model: str) -> Any:
    if kind == "openai":
        from langchain_openai import ChatOpenAI

        where = {"base_url": url(stack, "/v1"), "api_key": APP_TOKEN}
        return ChatOpenAI(**where, model=model, max_retries=0, stream_usage=True)
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(base_url=url(stack), api_key=APP_TOKEN, model=model, max_retries=0, max_tokens=99)


def langchain_tools() -> list[Any]:
    from langchain_core.tools import tool

    @tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    @tool
    def time() -> str:
        """The time."""
        return "noon"

    return [weather, time]


@requires("langchain")
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@MODELS
@STREAMS
def test_langchain(stack: SdkStack, kind: str, model: str, *, is_stream: bool) -> None:
    """Its chat models of both kinds, put together from a stream too: text, usage, a loop of tools."""
    from langchain_core.messages import HumanMessage, ToolMessage

    chat = langchain_model(stack, kind, model)
    tools = langchain_tools()
    bound = chat.bind_tools(tools)

    def answer(turns: list[Any]) -> Any:
        if not is_stream:
            return bound.invoke(turns)
        first, *rest = bound.stream(turns)
        for piece in rest:
            first += piece
        return first

    play_agent(stack)
    turns: list[Any] = [HumanMessage(QUESTION)]
    asked = answer(turns)
    assert [(call["name"], call["args"]) for call in asked.tool_calls] == [
        ("weather", {"city": "Köln"}),
        ("time", {}),
    ]
    turns.append(asked)
    by_name = {tool.name: tool for tool in tools}
    turns += [
        ToolMessage(by_name[call["name"]].invoke(call["args"]), tool_call_id=call["id"])
        for call in asked.tool_calls
    ]
    last = answer(turns)
    assert last.text == TEXT
    assert last.usage_metadata["output_tokens"] == 5
    check_turns(stack, model)


# -- pydantic-ai


@requires("pydantic-ai")
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@MODELS
@STREAMS
async def test_pydantic_ai(stack: SdkStack, kind: str, model: str, *, is_stream: bool) -> None:
    """An agent with two tools, by either kind of model."""
    from pydantic_ai import Agent

    play_agent(stack)
    async with stack.async_client() as of_openai, stack.async_anthropic() as of_anthropic:
        client = of_openai if kind == "openai" else of_anthropic
        agent: Any = Agent(pydantic_model(client, model))

        @agent.tool_plain
        def weather(city: str) -> str:
            return f"sunny in {city}"

        @agent.tool_plain
        def time() -> str:
            return "noon"

        kinds: list[str] = []

        async def note(_: Any, events: Any) -> None:
            kinds.extend([event.event_kind async for event in events])

        # With a handler of events it asks for streams.
        run = await agent.run(QUESTION, event_stream_handler=note if is_stream else None)
    assert run.output == TEXT
    assert ("part_delta" in kinds) is is_stream
    check_turns(stack, model)


def pydantic_model(client: AsyncOpenAI | AsyncAnthropic, model: str) -> Any:
    if isinstance(client, AsyncOpenAI):
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


# -- OpenAI's agents


async def run_agent(stack: SdkStack, agent_model: Any, *, is_stream: bool) -> str:
    from agents import Agent, Runner, function_tool, set_tracing_disabled

    set_tracing_disabled(True)

    @function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    @function_tool
    def time() -> str:
        """The time."""
        return "noon"

    agent: Any = Agent(name="a", instructions="Be brief.", model=agent_model, tools=[weather, time])
    if not is_stream:
        return str((await Runner.run(agent, QUESTION)).final_output)
    result = Runner.run_streamed(agent, QUESTION)
    kinds = [event.type async for event in result.stream_events()]
    assert "raw_response_event" in kinds
    return str(result.final_output)


@requires("openai-agents")
@MODELS
@STREAMS
async def test_agents_by_chat(stack: SdkStack, model: str, *, is_stream: bool) -> None:
    """An agent that speaks chat completions."""
    from agents import OpenAIChatCompletionsModel

    play_agent(stack)
    async with stack.async_client() as client:
        agent_model = OpenAIChatCompletionsModel(model, client)
        assert await run_agent(stack, agent_model, is_stream=is_stream) == TEXT
    check_turns(stack, model)


@requires("openai-agents")
@TRANSLATED
@STREAMS
async def test_agents_by_responses(stack: SdkStack, model: str, *, is_stream: bool) -> None:
    """An agent that speaks Responses, its default, with models that have no such API."""
    from agents import OpenAIResponsesModel

    play_agent(stack)
    async with stack.async_client() as client:
        agent_model = OpenAIResponsesModel(model, client)
        assert await run_agent(stack, agent_model, is_stream=is_stream) == TEXT
    check_turns(stack, model)
