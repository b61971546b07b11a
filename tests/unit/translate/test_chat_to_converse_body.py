"""Chat calls in Converse's words: what the golden files do not show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.translate.chat_to_converse_body import write_body
from tests.unit.makers import make_call, make_target
from tests.unit.translate.foreign_streams import json_of

IDS = ["anthropic.claude-sonnet-4-6", "amazon.nova-2-lite-v1:0", "meta.llama3-8b-instruct-v1:0", "brand.new"]
FIELDS = [
    "messages", "tools", "tool_choice", "response_format", "reasoning_effort", "stop", "max_tokens",
    "thinking", "temperature", "metadata", "functions", "function_call", "modalities", "output_config",
    "user", "service_tier", "parallel_tool_calls", "cache_control", "additionalModelRequestFields",
]  # fmt: skip
ANY = json_of(
    "role", "content", "type", "text", "user", "assistant", "tool", "system", "image_url", "url", "file",
    "file_data", "filename", "tool_calls", "function", "name", "arguments", "tool_call_id", "document",
    "source", "image", "base64", "data", "media_type", "s3://b/a.png", "json_schema", "schema", "object",
    "input_audio", "format", "thinking_blocks", "cache_control", "search_result",
)  # fmt: skip


@given(st.sampled_from(IDS), st.dictionaries(st.sampled_from(FIELDS), ANY), st.lists(ANY, max_size=3))
def test_any_call(model_id: str, fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    target = make_target(dialect="converse", model_id=model_id)
    for members in ({"messages": messages, **fields}, {**fields, "messages": messages}):
        try:
            body, _ = write_body(make_call(**members), target)
        except GatewayError:
            continue
        json.loads(body)


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_limits(limit: str) -> None:
    """Either name; the newer wins."""
    target = make_target(dialect="converse")
    members: dict[str, Any] = {limit: 7}
    body, _ = write_body(make_call(**members), target)
    assert json.loads(body)["inferenceConfig"] == {"maxTokens": 7}
    body, _ = write_body(make_call(max_tokens=7, max_completion_tokens=8), target)
    assert json.loads(body)["inferenceConfig"] == {"maxTokens": 8}


def test_nothing_is_said_of_what_is_not_asked() -> None:
    """A plain call is its turns and nothing else: no limit that Bedrock would count against a quota."""
    body, left_out = write_body(make_call(), make_target(dialect="converse"))
    assert json.loads(body).keys() == {"messages"}
    assert left_out == ()


@pytest.mark.parametrize(
    ("model_id", "expected"), [("anthropic.claude-sonnet-4-5-20250929-v1:0", "So:"), (IDS[1], "So: ")]
)
def test_prefill_that_ends_in_blanks(model_id: str, expected: str) -> None:
    """Claude refuses it; of others nothing is known, so they get what was written."""
    messages = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "So: "}]
    target = make_target(dialect="converse", model_id=model_id)
    body, _ = write_body(make_call(messages=messages), target)
    assert json.loads(body)["messages"][-1] == {"role": "assistant", "content": [{"text": expected}]}
