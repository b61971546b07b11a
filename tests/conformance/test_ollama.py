"""The official `openai` SDK at an Ollama server that gives every tool call the index 0."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from openai import OpenAI

from tests.rig.behaviours import DONE, chunk, end_stream, send_piece, start_stream
from tests.rig.fake_upstream import Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, virtual_account
from tests.rig.sdk_stack import SDK_TIMEOUT_S

FILES: Final = {"call_a": '{"path":"hello.py"}', "call_b": '{"path":"world.py"}'}


async def calls_of_one_index(exchange: Exchange) -> None:
    """As `qwen2.5-coder` at Ollama: each call whole, in an event of its own."""
    await start_stream(exchange)
    for call_id, arguments in FILES.items():
        function = {"name": "write", "arguments": arguments}
        call = {"id": call_id, "index": 0, "type": "function", "function": function}
        delta = {"role": "assistant", "content": "", "tool_calls": [call]}
        await send_piece(exchange, chunk(exchange.model, delta))
    await send_piece(exchange, chunk(exchange.model, {"role": "assistant", "content": ""}, "tool_calls"))
    await send_piece(exchange, DONE)
    await end_stream(exchange)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[OpenAI]:
    model = {
        "name": "coder",
        "type": "integration/model/ollama",
        "model_id": "coder",
        "model_types": ["chat"],
    }
    with FakeUpstream({"coder": calls_of_one_index}, calls_of_one_index) as upstream:
        account = {
            "type": "provider-account/ollama",
            "name": "ollama",
            "auth_data": {"custom_host": upstream.base_url},
            "integrations": [model],
        }
        documents = [account, virtual_account("app", [APP_TOKEN], ["*"])]
        with (
            GatewayProcess(tmp_path / "gateway", documents) as gateway,
            OpenAI(
                base_url=f"http://127.0.0.1:{gateway.port}/v1",
                api_key=APP_TOKEN,
                max_retries=0,
                timeout=SDK_TIMEOUT_S,
            ) as client,
        ):
            yield client


def test_parallel_tool_calls(client: OpenAI) -> None:
    """Put together by the SDK they are two, each with arguments that can be read."""
    with client.chat.completions.stream(
        model="ollama/coder", messages=[{"role": "user", "content": "write both"}]
    ) as events:
        calls = events.get_final_completion().choices[0].message.tool_calls
    assert {call.id: call.function.arguments for call in calls or []} == FILES
