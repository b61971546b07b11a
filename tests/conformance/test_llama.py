"""A real llama.cpp server behind every dialect that callers speak."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from openai import OpenAI

from tests.conformance.matrix_asks import PATHS, Answer, Clients, ask
from tests.rig.gateway_process import GatewayProcess
from tests.rig.llama_server import MODEL_ALIAS, SENTENCE, LlamaServer
from tests.rig.manifests import APP_TOKEN, self_hosted_account, virtual_account
from tests.rig.requires import requires
from tests.rig.sdk_stack import LLAMA_MODEL, SDK_TIMEOUT_S, SdkStack

IN: Final = pytest.mark.parametrize("path", ["chat completions", "completions", "Responses", "Messages"])
STREAMS: Final = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])

pytestmark = requires("xllamacpp")


@pytest.fixture
def clients(stack: SdkStack) -> Iterator[Clients]:
    with stack.client() as of_openai, stack.anthropic() as of_anthropic:
        yield Clients(of_openai, of_anthropic)


@IN
@STREAMS
def test_text(clients: Clients, path: str, *, is_stream: bool) -> None:
    """Its sentence, with its own count of tokens, put together from a stream too."""
    told = ask(clients, PATHS[path], "text", LLAMA_MODEL, is_stream=is_stream)
    assert told.error is None
    said = PATHS[path].read(list(told.items), is_stream=is_stream)
    assert said.text.strip() == SENTENCE
    assert min(said.usage) > 0


@pytest.mark.parametrize("path", ["Responses", "Messages"])
def test_streams_and_whole_agree(clients: Clients, path: str) -> None:
    """Words and usage are the same."""
    whole, streamed = (
        PATHS[path].read(
            list(ask(clients, PATHS[path], "text", LLAMA_MODEL, is_stream=is_stream).items),
            is_stream=is_stream,
        )
        for is_stream in (False, True)
    )
    assert whole == streamed


@pytest.mark.parametrize("path", ["chat completions", "Responses", "Messages"])
@STREAMS
def test_tools(clients: Clients, path: str, *, is_stream: bool) -> None:
    """Where a tool must be called it is, in the caller's own words."""
    forced = {"type": "any"} if path == "Messages" else "required"
    asked = {**PATHS[path].ask("tools"), "tool_choice": forced}
    told = Answer()
    PATHS[path].call(clients, LLAMA_MODEL, asked, told, is_stream=is_stream)
    text = str(told.items)
    assert "get_weather" in text or "get_time" in text


def test_embeddings(tmp_path: Path) -> None:
    """A vector of the model's own, of length one."""
    with LlamaServer(tmp_path, serves="embeddings") as server:
        documents = [
            self_hosted_account("llama", server.base_url, [MODEL_ALIAS]),
            virtual_account("app", [APP_TOKEN], ["*"]),
        ]
        with GatewayProcess(tmp_path / "gateway", documents) as gateway:
            url = f"http://127.0.0.1:{gateway.port}/v1"
            with OpenAI(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=SDK_TIMEOUT_S) as client:
                found = client.embeddings.create(model=LLAMA_MODEL, input=["Hello", "from"])
    assert [item.index for item in found.data] == [0, 1]
    assert all(math.isclose(math.hypot(*item.embedding), 1, abs_tol=1e-3) for item in found.data)
    assert found.usage.prompt_tokens > 0
