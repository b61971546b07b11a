"""Each dialect has a reader of what is said in it."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from gateway.endpoints import anthropic_content, openai_content, responses_content
from gateway.endpoints.catalogue import CHAT, MESSAGES, RESPONSE
from gateway.endpoints.content import CONTENT_READERS, reader_of
from gateway.model import Dialect, Endpoint


def test_every_dialect() -> None:
    """None is forgotten."""
    assert set(CONTENT_READERS) == set(typing.get_args(Dialect))


@pytest.mark.parametrize(
    ("endpoint", "module"),
    [(CHAT, openai_content), (MESSAGES, anthropic_content), (RESPONSE, responses_content)],
    ids=["chat", "messages", "responses"],
)
def test_reader_of_an_endpoint(endpoint: Endpoint, module: Any) -> None:
    """It reads what the endpoint's callers say, whatever is said upstream."""
    assert reader_of(endpoint).read_input is module.read_input
    assert reader_of(endpoint).read_output is module.read_output
