"""What the pipeline asks of a stream, by what its events have said."""

from __future__ import annotations

import pytest

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.stream_reading import StreamReading
from gateway.model import Usage

FACTS = ReplyFacts("r-1", "m", ("stop",), Usage(1, 2, "provider"))


class Said:
    def __init__(self, *, is_done: bool, failure: bytes) -> None:
        self.has_content = True
        self.is_done = is_done
        self.failure = failure

    def facts(self) -> ReplyFacts:
        return FACTS


@pytest.mark.parametrize(
    ("is_done", "failure", "has_ended", "is_complete"),
    [
        pytest.param(False, b"", False, False, id="goes on"),
        pytest.param(True, b"", True, True, id="whole"),
        pytest.param(False, b"{}", True, False, id="failed"),
        pytest.param(True, b"{}", True, False, id="failed at its end"),
    ],
)
def test_end(failure: bytes, *, is_done: bool, has_ended: bool, is_complete: bool) -> None:
    """An error ends a stream, and one with an error is never whole."""
    reading = StreamReading(Said(is_done=is_done, failure=failure))
    assert (reading.has_ended, reading.is_complete) == (has_ended, is_complete)
    assert (reading.failure, reading.has_content, reading.has_data) == (failure, True, False)
    assert reading.facts() is FACTS
