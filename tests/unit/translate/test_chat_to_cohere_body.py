"""What of a chat call Cohere gets; most of it is in tests/golden/chat_to_cohere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, InvalidBody
from gateway.translate.chat_to_cohere_body import write_body
from tests.unit.makers import make_call, make_target
from tests.unit.translate.foreign_streams import json_of

TARGET = make_target(dialect="cohere", model_id="command-a-plus-05-2026")
FIELDS = [
    "tools", "tool_choice", "response_format", "reasoning_effort", "thinking", "stop", "max_tokens", "top_p",
    "temperature", "seed", "logprobs", "functions", "function_call", "modalities", "n", "presence_penalty",
]  # fmt: skip
ANY = json_of(
    "role", "content", "type", "text", "tool_calls", "function", "arguments", "image_url", "url", "file",
    "file_data", "thinking_blocks", "assistant", "tool", "system", "user", "json_schema", "schema", "name",
)  # fmt: skip


def test_bad_base64() -> None:
    """A file that cannot be read is its caller's mistake."""
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,é"}}
    with pytest.raises(InvalidBody):
        write_body(make_call(messages=[{"role": "user", "content": [part]}]), TARGET)


def test_a_long_conversation_of_nothing() -> None:
    """Messages that say nothing are not sent."""
    said = [{"role": "assistant", "content": ""}, {"role": "user", "content": []}, {"role": "system"}]
    body, _ = write_body(make_call(messages=[*said, {"role": "user", "content": "hi"}]), TARGET)
    assert json.loads(body)["messages"] == [{"role": "user", "content": "hi"}]


def test_nothing_but_a_system_prompt() -> None:
    """OpenAI answers it; here it is asked as the user's."""
    body, _ = write_body(make_call(messages=[{"role": "system", "content": "Say hi."}]), TARGET)
    assert json.loads(body)["messages"] == [{"role": "user", "content": "Say hi."}]


@given(st.dictionaries(st.sampled_from(FIELDS), ANY), st.lists(ANY, max_size=3))
def test_any_call(fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    try:
        body, _ = write_body(make_call(**{**fields, "messages": messages}), TARGET)
    except GatewayError:
        return
    assert json.loads(body)["model"] == TARGET.model_id
