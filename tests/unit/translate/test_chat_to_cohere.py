"""Cohere's answers for callers of chat: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamBadReply
from gateway.translate import chat_to_cohere
from tests.golden.cohere_replies import LOGPROBS, REPLIES, TEXT, event, events, reply
from tests.unit.makers import make_call
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.reassembly import chat_message

OUT: Final = make_call(stream=True, stream_options={"include_usage": True})
WHOLE: Final = make_call()
NOW_NS: Final = 5_000_000_000


def relay(pieces: list[bytes]) -> tuple[bytes, chat_to_cohere.ChunkStream]:
    stream = chat_to_cohere.open_stream(OUT, started_at_ns=NOW_NS)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


@pytest.mark.parametrize("name", REPLIES)
def test_streamed_is_whole(name: str) -> None:
    """A stream adds up to the answer that would have come whole, and costs the same."""
    passed, stream = relay(events(REPLIES[name]))
    assert stream.is_complete
    body, facts = chat_to_cohere.read(WHOLE, json.dumps(REPLIES[name]).encode(), started_at_ns=NOW_NS)
    assert stream.facts() == facts
    whole = json.loads(body)["choices"][0]
    for call in whole["message"].get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    said, reason = chat_message(passed)
    assert {"refusal": None, **said} == whole["message"]
    assert reason == whole["finish_reason"]


@pytest.mark.parametrize("name", REPLIES)
def test_every_cut(name: str) -> None:
    """Cut at each of its bytes, in a letter too, it says the same."""
    data = b"".join(events(REPLIES[name]))
    passed, _ = relay([data])
    for at in range(len(data)):
        assert relay([data[:at], data[at:]])[0] == passed


def test_interleaved_calls() -> None:
    """Pieces of two calls find to their own."""

    def call(kind: str, index: int, text: str, **more: Any) -> bytes:
        calls = {"function": {"arguments": text, **more}}
        return event(f"tool-call-{kind}", index=index, delta={"message": {"tool_calls": calls}})

    passed, _ = relay(
        [
            call("start", 0, "", name="a"),
            call("start", 1, "", name="b"),
            call("delta", 0, '{"x":'),
            call("delta", 1, '{"y":2}'),
            call("delta", 0, "1}"),
            call("delta", 7, "lost"),
            events(REPLIES["tools"])[-1],
        ]
    )
    said, _ = chat_message(passed)
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == [{"x": 1}, {"y": 2}]


def test_hidden_thoughts() -> None:
    """Who wants nothing but OpenAI's fields gets no thoughts and no plans."""
    import msgspec

    strict = msgspec.structs.replace(OUT, shows_thoughts=False)
    for name in ("thinking", "tools"):
        stream = chat_to_cohere.open_stream(strict, started_at_ns=0)
        assert b"reasoning" not in b"".join([stream.feed(each) for each in events(REPLIES[name])])
        body, _ = chat_to_cohere.read(strict, json.dumps(REPLIES[name]).encode(), started_at_ns=0)
        assert b"reasoning" not in body
        assert b"thinking" not in body


def test_plans_are_cited_from_their_own_beginning() -> None:
    """A page that a plan cites is no place in the answer."""
    source = {"type": "document", "document": {"url": "https://x.test"}}
    cited = {"start": 0, "end": 2, "sources": [source], "type": "PLAN"}
    body, _ = chat_to_cohere.read(WHOLE, json.dumps(reply(TEXT, citations=[cited])).encode(), started_at_ns=0)
    assert json.loads(body)["choices"][0]["message"]["annotations"] == [
        {"type": "citation", "citation": cited}
    ]


def test_logprobs() -> None:
    """Of each piece as Cohere cut it; several tokens of one are as likely as all of them."""
    body, _ = chat_to_cohere.read(WHOLE, json.dumps(reply(TEXT, logprobs=LOGPROBS)).encode(), started_at_ns=0)
    told = json.loads(body)["choices"][0]["logprobs"]["content"]
    assert [(each["token"], each["logprob"]) for each in told] == [("Hello", -0.25), (" there", -0.75)]


@given(st.lists(json_of("message", "content", "delta", "type", "text", "tool_calls", "id"), max_size=4))
def test_any_events(values: list[Any]) -> None:
    """Whatever comes, whole events go out and nothing raises."""
    kinds = ["content-delta", "tool-call-start", "tool-call-delta", "citation-start", "message-end"]
    sent = [event(kinds[at % 5], delta={"message": value}) for at, value in enumerate(values)]
    sent += [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]
    passed, stream = relay(sent)
    assert passed == b"" or passed.endswith(b"\n\n")
    stream.facts()


@given(json_of("content", "tool_calls", "citations", "tool_plan", "text", "type", "thinking", "function"))
def test_any_reply(value: Any) -> None:
    """Whatever a message holds, a completion comes of it."""
    message = value if isinstance(value, dict) else {"content": value, "tool_calls": value}
    whole = {"id": value, "message": message, "logprobs": value, "usage": value}
    try:
        body, _ = chat_to_cohere.read(WHOLE, json.dumps(whole).encode(), started_at_ns=0)
    except UpstreamBadReply:
        return
    assert json.loads(body)["choices"][0]["message"]["role"] == "assistant"
