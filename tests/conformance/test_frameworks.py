"""Frameworks on top of the official SDKs: agents call tools with models of either dialect, to their answer.

Each has tests of its own, which are skipped where it cannot be installed (requirements/frameworks.lock).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any, Final

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.conformance.test_boto3 import Stack as BedrockClients
from tests.rig import anthropic_behaviours, bedrock_upstream, gemini_stack
from tests.rig.anthropic_behaviours import TEXT_BLOCKS, TOOL_BLOCKS
from tests.rig.bedrock_stack import BEDROCK_KEYS, bedrock_account
from tests.rig.bedrock_upstream import BedrockUpstream
from tests.rig.behaviours import TEXT, event, normal, tool_calls
from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.gemini_stack import reply
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, gemini_account, virtual_account
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
# What it imports asks in a way that is on its way out of Python.
@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction':DeprecationWarning")
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
    play_agent(stack)
    async with stack.async_client() as of_openai, stack.async_anthropic() as of_anthropic:
        client = of_openai if kind == "openai" else of_anthropic
        output = await run_pydantic_agent(pydantic_model(client, model), is_stream=is_stream)
    assert output == TEXT
    check_turns(stack, model)


async def run_pydantic_agent(model: Any, *, is_stream: bool, has_tools: bool = True) -> str:
    from pydantic_ai import Agent

    agent: Any = Agent(model)
    if has_tools:

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
    assert ("part_delta" in kinds) is is_stream
    assert run.usage.output_tokens == (10 if has_tools else 5)
    return str(run.output)


def pydantic_model(client: AsyncOpenAI | AsyncAnthropic, model: str) -> Any:
    if isinstance(client, AsyncOpenAI):
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client))
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))


# -- pydantic-ai with models of Google and AWS, by their own SDKs too

SIGNATURE: Final = "U2lnbmVkIGhlcmUh"
CALLS: Final = (
    {"name": "weather", "args": {"city": "Köln"}, "id": "c1"},
    {"name": "time", "args": {}, "id": "c2"},
)
GEMINI: Final = "gemini-3.5-flash"
CLAUDE: Final = bedrock_upstream.AGENT
SAID: Final = bedrock_upstream.TEXT.replace(" ", "")
CLOUD_MODELS: Final = pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("openai", f"google/{GEMINI}"),
        ("anthropic", f"google/{GEMINI}"),
        ("google", GEMINI),
        ("openai", f"aws/{CLAUDE}"),
        ("anthropic", f"aws/{CLAUDE}"),
        ("bedrock", CLAUDE),
    ],
)


@dataclass(frozen=True)
class CloudStack:
    """A gateway before an agent's model at Google and one at AWS."""

    gateway: GatewayProcess
    google: FakeUpstream
    aws: BedrockUpstream

    def url(self, suffix: str = "") -> str:
        return f"http://127.0.0.1:{self.gateway.port}{suffix}"


async def be_agent_of_google(exchange: Exchange) -> None:
    """Two calls, the first one signed; with their results, or without tools, a text."""
    asked = exchange.json
    parts: list[dict[str, Any]] = [{"text": SAID[:5]}, {"text": SAID[5:]}]
    if "tools" in asked and "functionResponse" not in str(asked["contents"]):
        parts = [{"functionCall": call} for call in CALLS]
        parts[0]["thoughtSignature"] = SIGNATURE
    if ":streamGenerateContent" in exchange.path:
        pieces = [reply(part, reason="STOP" if part is parts[-1] else None) for part in parts]
        await gemini_stack.sends(b"".join(map(event, pieces)))(exchange)
    else:
        await gemini_stack.answers(200, json.dumps(reply(*parts)).encode())(exchange)


@pytest.fixture(scope="module")
def running_clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudStack]:
    with ExitStack() as stack:
        google = stack.enter_context(FakeUpstream({}, be_agent_of_google))
        aws = stack.enter_context(BedrockUpstream().running())
        documents = [
            gemini_account("google", f"http://127.0.0.1:{google.port}", {GEMINI: GEMINI}),
            bedrock_account("aws", aws.base_url, {CLAUDE: CLAUDE}),
            virtual_account("app", [APP_TOKEN], ["*"]),
        ]
        folder = tmp_path_factory.mktemp("clouds")
        environment = {**ENVIRONMENT, **BEDROCK_KEYS}
        gateway = stack.enter_context(GatewayProcess(folder, documents, workers=1, environment=environment))
        yield CloudStack(gateway, google, aws)


@pytest.fixture
def clouds(running_clouds: CloudStack) -> CloudStack:
    """With nothing noted yet."""
    running_clouds.google.forget()
    running_clouds.aws.forget()
    return running_clouds


@asynccontextmanager
async def cloud_model(stack: CloudStack, kind: str, model: str) -> AsyncIterator[Any]:
    """As its users make them, of an address and a key."""
    if kind == "openai":
        async with AsyncOpenAI(base_url=stack.url("/v1"), api_key=APP_TOKEN, max_retries=0) as client:
            yield pydantic_model(client, model)
    elif kind == "anthropic":
        async with AsyncAnthropic(base_url=stack.url(), api_key=APP_TOKEN, max_retries=0) as client:
            yield pydantic_model(client, model)
    elif kind == "google":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        url = stack.url("/gemini/google/proxy")
        async with GoogleProvider(api_key=APP_TOKEN, base_url=url) as google:
            yield GoogleModel(model, provider=google)
    else:
        from pydantic_ai.models.bedrock import BedrockConverseModel
        from pydantic_ai.providers.bedrock import BedrockProvider

        # Its own `api_key` wants TLS.
        with closing(BedrockClients(stack.gateway, stack.aws).client()) as aws:
            yield BedrockConverseModel(model, provider=BedrockProvider(bedrock_client=aws))


def check_google(stack: CloudStack) -> None:
    """Asked twice, the second time with what both tools gave, and what it signed where it was signed."""
    first, second = (exchange.json for exchange in stack.google.exchanges)
    assert [len(tool["functionDeclarations"]) for tool in first["tools"]] == [2]
    parts = [part for content in second["contents"] for part in content["parts"]]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    assert [result["name"] for result in results] == ["weather", "time"]
    assert "sunny in Köln" in str(results[0])
    assert "noon" in str(results[1])
    calls = [part for part in parts if "functionCall" in part]
    assert [part["functionCall"]["name"] for part in calls] == ["weather", "time"]
    assert calls[0]["thoughtSignature"] == SIGNATURE
    assert stack.google.violations == []


def check_aws(stack: CloudStack) -> None:
    """Asked twice, each time signed, the second time with what both tools gave."""
    first, second = (asked.json for asked in stack.aws.asked)
    assert len(first["toolConfig"]["tools"]) == 2
    blocks = [block for message in second["messages"] for block in message["content"]]
    assert [block["toolUse"]["name"] for block in blocks if "toolUse" in block] == ["weather", "time"]
    results = [block["toolResult"]["content"] for block in blocks if "toolResult" in block]
    assert "sunny in Köln" in str(results[0])
    assert "noon" in str(results[1])
    assert len(stack.aws.scopes) == 2
    assert stack.aws.refused == []


@requires("pydantic-ai")
@CLOUD_MODELS
@STREAMS
async def test_pydantic_ai_at_clouds(clouds: CloudStack, kind: str, model: str, *, is_stream: bool) -> None:
    """An agent with two tools, by models of either kind and by the clouds' own."""
    async with cloud_model(clouds, kind, model) as agent_model:
        said = await run_pydantic_agent(agent_model, is_stream=is_stream)
    assert said.replace(" ", "") == SAID
    (check_google if GEMINI in model else check_aws)(clouds)


@requires("pydantic-ai")
@CLOUD_MODELS
@STREAMS
async def test_pydantic_ai_without_tools(
    clouds: CloudStack, kind: str, model: str, *, is_stream: bool
) -> None:
    """One question, one answer."""
    async with cloud_model(clouds, kind, model) as agent_model:
        said = await run_pydantic_agent(agent_model, is_stream=is_stream, has_tools=False)
    assert said.replace(" ", "") == SAID
    assert len(clouds.google.exchanges) + len(clouds.aws.asked) == 1


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
