"""Talks of nothing but texts, as they come from others than Python's encoder."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from gateway.endpoints.catalogue import CHAT, MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.plain_content import Talk, read_plain_chat, read_plain_messages

REPLY: Final = rb'{"choices":[{"message":{"role":"assistant","content":"ho"},"finish_reason":"stop"}]}'
MESSAGE: Final = rb'{"role":"assistant","content":[{"type":"text","text":"ho"}],"stop_reason":"end_turn"}'


def asked(messages: bytes, more: bytes = b"") -> bytes:
    return b'{"model":"a/b","messages":' + messages + more + b"}"


def chat(body: bytes, reply: bytes = REPLY) -> Talk | None:
    return read_plain_chat(parse_call(CHAT, body, model=None, account=None), reply)


def message(body: bytes, reply: bytes = MESSAGE) -> Talk | None:
    return read_plain_messages(parse_call(MESSAGES, body, model=None, account=None), reply)


def told(talk: Talk | None) -> list[bytes]:
    assert talk is not None
    return [msgspec.json.encode(side) for side in talk]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        pytest.param(
            rb'[{"role":"user","content":"a\/\u0062\ud83d\ude00"}]', '"a/b\N{GRINNING FACE}"', id="escapes"
        ),
        pytest.param(rb'[{"role":"user","content":"x","content":"y"}]', '"y"', id="a member twice"),
        pytest.param(rb'[{"content":[{"text":"x","type":"text"}],"role":"user"}]', '"x"', id="another order"),
        pytest.param(rb'[{"role":"user","content":"x","tool_calls":null,"name":null}]', '"x"', id="null"),
    ],
)
def test_what_was_asked(written: bytes, text: str) -> None:
    """However it is written."""
    expected = f'[{{"role":"user","parts":[{{"type":"text","content":{text}}}]}}]'.encode()
    assert told(chat(asked(written)))[0] == expected
    assert told(message(asked(written)))[0] == expected


def test_what_was_answered() -> None:
    """With why it ended; the system prompt that Messages has beside them comes first."""
    body = asked(b"[]", b',"system":[{"type":"text","text":"be brief"}]')
    assert told(message(body)) == [
        b'[{"role":"system","parts":[{"type":"text","content":"be brief"}]}]',
        b'[{"role":"assistant","parts":[{"type":"text","content":"ho"}],"finish_reason":"end_turn"}]',
    ]
    assert told(chat(asked(b"[]")))[1] == (
        b'[{"role":"assistant","parts":[{"type":"text","content":"ho"}],"finish_reason":"stop"}]'
    )


@pytest.mark.parametrize(
    "reply",
    [
        b'{"choices":[{"message":{"role":"assistant","content":"\xc3"}}]}',
        b'{"choices":[{"message":{"role":"assistant","content":null}}]}',
        b'{"choices":[{"message":{"role":"assistant","content":"x","reasoning":"hm"}}]}',
        b'{"choices":[{"text":"x"}]}',
        b'{"error":{}}',
        b"[" * 100_000,
        b"",
    ],
    ids=["no UTF-8", "no text", "thoughts", "a completion", "an error", "endless nesting", "nothing"],
)
def test_replies_that_are_more_or_none(reply: bytes) -> None:
    """They are left to who reads part by part."""
    assert chat(asked(b"[]"), reply) is None
    assert message(asked(b"[]"), reply) is None


def test_a_message_whose_content_is_a_mere_text() -> None:
    """Anthropic answers none, so part by part nothing of one is shown either."""
    assert message(asked(b"[]"), b'{"role":"assistant","content":"x"}') is None


@pytest.mark.parametrize("more", [b',"tools":[]', b',"functions":[]'])
def test_what_could_have_been_called(more: bytes) -> None:
    """Belongs to what is shown."""
    assert chat(asked(b"[]", more)) is None
