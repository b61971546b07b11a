"""Each dialect has a reader of what is said in it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints import anthropic_content, openai_content, responses_content
from gateway.endpoints.catalogue import CHAT, MESSAGES, MODEL_CALLS, RESPONSE
from gateway.endpoints.content import CONTENT_READERS, reader_of
from gateway.model import Endpoint


@pytest.mark.parametrize(
    ("endpoint", "before", "after"),
    [
        (CHAT, b'data: {"choices":[{"delta":{"content":"', b'"}}]}\n\n'),
        (
            MESSAGES,
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"',
            b'"}}\n\n',
        ),
        (RESPONSE, b'data: {"type":"response.output_text.delta","output_index":0,"delta":"', b'"}\n\n'),
    ],
    ids=["chat", "messages", "responses"],
)
def test_an_event_that_is_no_utf_8_adds_nothing(endpoint: Endpoint, before: bytes, after: bytes) -> None:
    """It passes as it came; the rest of the reply is shown all the same."""
    assembler = reader_of(endpoint).assembler()
    assembler.feed(b"".join([before + said + after for said in (b"one ", b"\xc3", b"two")]))
    [message] = assembler.messages()
    assert message["parts"] == [{"type": "text", "content": "one two"}]


def test_every_dialect() -> None:
    """None that callers speak is forgotten; what targets alone speak is read by nobody."""
    assert set(CONTENT_READERS) >= {endpoint.dialect for endpoint in MODEL_CALLS}


@pytest.mark.parametrize(
    ("endpoint", "module"),
    [(CHAT, openai_content), (MESSAGES, anthropic_content), (RESPONSE, responses_content)],
    ids=["chat", "messages", "responses"],
)
def test_reader_of_an_endpoint(endpoint: Endpoint, module: Any) -> None:
    """It reads what the endpoint's callers say, whatever is said upstream."""
    assert reader_of(endpoint).read_input is module.read_input
    assert reader_of(endpoint).read_output is module.read_output
