"""perf/payloads.py."""

from __future__ import annotations

import orjson
import pytest

from perf.payloads import REPLY, REPLY_BYTES, REQUEST_BYTES, chat_request, says_the_same, stream_events


@pytest.mark.parametrize("model", ["perf-model", "perf/chat"])
def test_requests_have_one_size_whatever_the_model_is_called(model: str) -> None:
    """Contenders know the model by different names, which must not change the work."""
    body = chat_request(model)
    assert len(body) == REQUEST_BYTES
    assert orjson.loads(body)["model"] == model


def test_a_size_that_cannot_be() -> None:
    """Smaller than a call without text: refused instead of silently larger."""
    with pytest.raises(ValueError, match="does not fit"):
        chat_request("perf-model", 10)


def test_reply_is_a_chat_completion_of_the_stated_size() -> None:
    """It reports usage, so that a gateway has tokens to count."""
    assert len(REPLY) == REPLY_BYTES
    assert orjson.loads(REPLY)["usage"]["total_tokens"] == 276


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(REPLY, True, id="the reply itself"),
        pytest.param(
            orjson.dumps(orjson.loads(REPLY) | {"model": "perf/chat", "created": 1}), True, id="written anew"
        ),
        pytest.param(REPLY.replace(b"fox", b"dog"), False, id="other text"),
        pytest.param(REPLY[:-1], False, id="cut"),
        pytest.param(b'{"choices":[]}', False, id="no choice"),
        pytest.param(b'{"choices":null}', False, id="no list"),
    ],
)
def test_an_answer_written_anew_must_keep_the_text(body: bytes, expected: bool) -> None:  # noqa: FBT001  a table
    """What a contender may change, and what not."""
    assert says_the_same(body) is expected


def test_stream_ends_with_usage_and_the_end_mark() -> None:
    """As an OpenAI server ends it."""
    *content, usage, done = stream_events(3)
    assert len(content) == 3
    assert orjson.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"] == 3
    assert done == b"data: [DONE]\n\n"
