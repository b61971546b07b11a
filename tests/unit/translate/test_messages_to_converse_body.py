"""Messages in Converse's words: what the golden files do not show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.errors import GatewayError, UnsupportedParameter
from gateway.translate.messages_to_converse_body import write_body
from tests.unit.makers import make_call, make_target
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.test_chat_to_converse_body import IDS

FIELDS = [
    "messages", "system", "tools", "tool_choice", "stop_sequences", "max_tokens", "thinking", "temperature",
    "metadata", "output_config", "service_tier", "cache_control", "top_k", "additionalModelRequestFields",
]  # fmt: skip
ANY = json_of(
    "role", "content", "type", "text", "user", "assistant", "system", "image", "source", "base64", "data",
    "media_type", "document", "title", "tool_use", "tool_result", "tool_use_id", "input", "name", "id", "url",
    "thinking", "signature", "redacted_thinking", "cache_control", "search_result", "citations", "format",
    "json_schema", "schema", "object", "any", "tool", "s3://b/a.png", "is_error",
)  # fmt: skip


@given(st.sampled_from(IDS), st.dictionaries(st.sampled_from(FIELDS), ANY), st.lists(ANY, max_size=3))
def test_any_call(model_id: str, fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    target = make_target(dialect="converse", model_id=model_id)
    for members in ({"messages": messages, **fields}, {**fields, "messages": messages}):
        try:
            body, _ = write_body(make_call(MESSAGES, **members), target)
        except GatewayError:
            continue
        json.loads(body)


@pytest.mark.parametrize(
    ("model_id", "asks"), [("anthropic.claude-sonnet-4-6", True), ("amazon.nova-pro-v1:0", False)]
)
def test_which_sequence_stopped_it(model_id: str, *, asks: bool) -> None:
    """Converse does not say, and Claude does if it is asked."""
    target = make_target(dialect="converse", model_id=model_id)
    body, _ = write_body(make_call(MESSAGES, stop_sequences=["END"]), target)
    assert ("additionalModelResponseFieldPaths" in json.loads(body)) is asks


@pytest.mark.parametrize("kind", ["some", None, [], {}])
def test_no_kind_of_choice(kind: Any) -> None:
    """What is none of Anthropic's is refused, a list and an object too."""
    call = make_call(MESSAGES, tool_choice={"type": kind})
    with pytest.raises(UnsupportedParameter) as caught:
        write_body(call, make_target(dialect="converse"))
    assert caught.value.param == "tool_choice"
