"""What of a call of Messages Cohere gets; most of it is in tests/golden/messages_to_cohere."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.errors import GatewayError
from gateway.translate.messages_to_cohere_body import write_body
from tests.unit.makers import make_call, make_target
from tests.unit.translate.foreign_streams import json_of

TARGET: Final = make_target(dialect="cohere", model_id="command-a-plus-05-2026")
FIELDS: Final = [
    "system", "tools", "tool_choice", "output_config", "thinking", "stop_sequences", "max_tokens", "top_p",
    "temperature", "metadata", "documents",
]  # fmt: skip
ANY: Final = json_of(
    "role", "content", "type", "text", "tool_use", "tool_result", "input", "source", "data", "document",
    "citations", "enabled", "image", "url", "thinking", "assistant", "user", "format", "schema", "effort",
)  # fmt: skip


def test_documents_of_ones_own_win() -> None:
    """Who sends Cohere's field knows it."""
    cited = {
        "type": "document",
        "source": {"type": "text", "data": "a"},
        "citations": {"enabled": True},
    }
    said = [{"role": "user", "content": [cited, {"type": "text", "text": "b"}]}]
    body, _ = write_body(make_call(MESSAGES, messages=said, documents=["own"]), TARGET)
    assert json.loads(body)["documents"] == ["own"]


def test_documents_are_numbered_by_kind() -> None:
    """As Anthropic counts them."""
    document = {"type": "document", "source": {"type": "text", "data": "a"}, "citations": {"enabled": True}}
    result = {"type": "search_result", "content": [], "citations": {"enabled": True}}
    said = [{"role": "user", "content": [result, document, document, result]}]
    body, _ = write_body(make_call(MESSAGES, messages=said), TARGET)
    ids = [each["id"] for each in json.loads(body)["documents"]]
    assert ids == ["result_0", "document_0", "document_1", "result_1"]


@given(st.dictionaries(st.sampled_from(FIELDS), ANY), st.lists(ANY, max_size=3))
def test_any_call(fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    try:
        body, _ = write_body(make_call(MESSAGES, **{**fields, "messages": messages}), TARGET)
    except GatewayError:
        return
    assert json.loads(body)["model"] == TARGET.model_id
