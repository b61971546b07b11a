"""An account of Cohere's through a real gateway, with the SDKs of OpenAI and Anthropic as clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.golden.cohere_replies import REPLIES, events
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, PROVIDER_KEY, cohere_account, virtual_account
from tests.rig.path_upstream import Asked, PathUpstream

MODEL: Final = "co/command-a-03-2025"
TRACE_ID: Final = "3" * 32
PARENT: Final = {"traceparent": f"00-{TRACE_ID}-{'4' * 16}-01"}
EMBEDDED: Final = {
    "id": "e-1",
    "embeddings": {"float": [[0.5, -0.25], [1.0, 0.0]]},
    "meta": {"billed_units": {"input_tokens": 4.0}},
}
RANKED: Final = {
    "id": "r-1",
    "results": [{"index": 1, "relevance_score": 0.9}],
    "meta": {"billed_units": {"search_units": 1.0}},
}


@dataclass(frozen=True)
class Stack:
    """What runs."""

    gateway: GatewayProcess
    provider: PathUpstream
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic

    def answer(self, path: str, value: Any, status: int = 200) -> None:
        """What Cohere says at that path; a list of events as a stream."""
        self.provider.forget()

        async def tell(asked: Asked) -> None:
            await asked.read_body()
            if isinstance(value, list):
                await asked.answer(status, b"".join(value), "text/event-stream")
            else:
                await asked.answer(status, json.dumps(value).encode())

        self.provider.on(path, tell)

    def asked(self) -> Asked:
        """The one request that came, which had the account's key."""
        (asked,) = self.provider.asked
        assert asked.header("authorization") == f"Bearer {PROVIDER_KEY}"
        return asked


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as running:
        provider = running.enter_context(PathUpstream())
        url = f"http://127.0.0.1:{provider.port}"
        documents = [
            cohere_account("co", url, ["command-a-03-2025", "embed-v4.0", "rerank-v3.5"]),
            virtual_account("app", ["env:APP_TOKEN"], ["co/*"]),
        ]
        folder = tmp_path_factory.mktemp("cohere")
        gateway = running.enter_context(GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT))
        base = f"http://127.0.0.1:{gateway.port}"
        of_openai = openai.OpenAI(base_url=f"{base}/v1", api_key=APP_TOKEN, max_retries=0, timeout=60.0)
        of_claude = anthropic.Anthropic(base_url=base, api_key=APP_TOKEN, max_retries=0, timeout=60.0)
        with of_openai, of_claude:
            yield Stack(gateway, provider, of_openai, of_claude)


HI: Final[list[Any]] = [{"role": "user", "content": "hi"}]
TOOLS: Final[list[Any]] = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def test_chat(stack: Stack) -> None:
    """Whole and streamed an SDK's caller gets the same text, calls and reason."""
    stack.answer("/v2/chat", REPLIES["tools"])
    whole = stack.openai.chat.completions.create(model=MODEL, messages=HI, tools=TOOLS)
    assert json.loads(stack.asked().body)["tools"][0]["function"]["name"] == "weather"
    choice = whole.choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = [(call.id, call.function.name) for call in choice.message.tool_calls or ()]  # type: ignore[union-attr]  # functions
    assert calls == [("weather_1", "weather"), ("time_2", "time")]
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (71, 27)
    stack.answer("/v2/chat", events(REPLIES["tools"]))
    with stack.openai.chat.completions.stream(
        model=MODEL, messages=HI, tools=TOOLS, stream_options={"include_usage": True}
    ) as stream:
        streamed = stream.get_final_completion()
    assert [call.id for call in streamed.choices[0].message.tool_calls or ()] == ["weather_1", "time_2"]
    assert streamed.choices[0].finish_reason == "tool_calls"
    assert streamed.usage == whole.usage


def test_messages(stack: Stack) -> None:
    """The same for callers of Messages, thoughts first."""
    stack.answer("/v2/chat", REPLIES["thinking"])
    whole = stack.anthropic.messages.create(model=MODEL, max_tokens=64, messages=HI)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    stack.answer("/v2/chat", events(REPLIES["thinking"]))
    with stack.anthropic.messages.stream(model=MODEL, max_tokens=64, messages=HI) as stream:
        streamed = stream.get_final_message()
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("end_turn", 27)


def test_embeddings(stack: Stack) -> None:
    """OpenAI's SDK asks for base64 by itself, and reads the numbers that Cohere gave."""
    stack.answer("/v2/embed", EMBEDDED)
    found = stack.openai.embeddings.create(model="co/embed-v4.0", input=["a", "b"], dimensions=256)
    assert [each.embedding for each in found.data] == [[0.5, -0.25], [1.0, 0.0]]
    assert found.usage.prompt_tokens == 4
    sent = json.loads(stack.asked().body)
    assert (sent["input_type"], sent["output_dimension"]) == ("search_document", 256)


def test_ranks(stack: Stack) -> None:
    """Below the same account."""
    stack.answer("/v2/rerank", RANKED)
    body = {"model": "co/rerank-v3.5", "query": "q", "documents": ["a", "b"]}
    found: Any = stack.openai.post("/rerank", cast_to=object, body=body)
    assert found["results"] == RANKED["results"]
    assert json.loads(stack.asked().body)["model"] == "rerank-v3.5"


def test_errors(stack: Stack) -> None:
    """As each SDK raises them."""
    stack.answer("/v2/chat", {"id": "e-1", "message": "slow down"}, 429)
    with pytest.raises(openai.RateLimitError, match="slow down"):
        stack.openai.chat.completions.create(model=MODEL, messages=HI)
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        stack.anthropic.messages.create(model=MODEL, max_tokens=9, messages=HI)


def test_what_it_costs(stack: Stack) -> None:
    """The tokens that were read and written on the span, and the price of what is billed of them."""
    stack.answer("/v2/chat", REPLIES["text"])
    stack.openai.chat.completions.create(model=MODEL, messages=HI, extra_headers=PARENT)
    (span,) = [span for span in stack.gateway.trace(TRACE_ID)["spans"] if span["kind"] == "CLIENT"]
    attributes = span["attributes"]
    assert attributes["gen_ai.provider.name"] == "cohere"
    assert attributes["gen_ai.usage.input_tokens"] == 71
    assert attributes["gen_ai.usage.output_tokens"] == 27
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 64
    assert attributes["gen_ai.usage.cost"] == pytest.approx((5 * 2.5 + 26 * 10) / 1_000_000)
