"""What a text costs that is to be spoken."""

from __future__ import annotations

import pytest

from gateway.endpoints.catalogue import CHAT, SPEECH
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.spoken_usage import find_spoken
from gateway.model import Endpoint, Usage
from tests.unit.makers import make_body


@pytest.mark.parametrize(
    ("endpoint", "text", "usage"),
    [
        pytest.param(SPEECH, "hi", Usage(None, None, "estimated", input_characters=2), id="spoken"),
        pytest.param(
            SPEECH, "né \U0001f600", Usage(None, None, "estimated", input_characters=4), id="not bytes"
        ),
        pytest.param(SPEECH, 5, None, id="no text"),
        pytest.param(SPEECH, None, None, id="null"),
        pytest.param(CHAT, "hi", None, id="not spoken"),
    ],
)
def test_characters(endpoint: Endpoint, text: object, usage: Usage | None) -> None:
    """Those of the text, whatever they are as bytes."""
    assert find_spoken(parse_call(endpoint, make_body(input=text), model=None, account=None)) == usage


def test_nothing_to_speak() -> None:
    """The provider says so."""
    assert find_spoken(parse_call(SPEECH, make_body(), model=None, account=None)) is None
