"""What calls go on from is found in them, and what they can go on from in replies."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.endpoints.catalogue import CHAT, COMPACTION, MESSAGES, RESPONSE
from gateway.endpoints.stored_state import (
    MAX_MADE,
    MAX_NAMED,
    id_in,
    may_name_state,
    state_made,
    state_made_by,
    state_named,
    wants_sealed,
)
from gateway.model import Endpoint
from tests.unit.makers import make_call

SEALED = "gAAAAABo-_x/+=="


def named(endpoint: Endpoint = RESPONSE, **members: Any) -> list[tuple[str, str]]:
    """Names and fields of what such a call goes on from; what is sealed without its hash."""
    call = make_call(endpoint, **members)
    found = list(state_named(call))
    assert may_name_state(call, msgspec.json.encode(call.fields)) or not found
    return [("sealed" if state.is_sealed else state.name, state.field) for state in found]


def reasoning(content: Any = SEALED, **members: Any) -> dict[str, Any]:
    """An item with sealed content."""
    return {"type": "reasoning", "summary": [], "encrypted_content": content, **members}


def sealed_name_of(item: dict[str, Any]) -> str:
    """What stands for its content where a reply has it."""
    (name,) = state_made(json.dumps({"output": [item]}).encode(), is_kept=False)
    return name


@pytest.mark.parametrize(
    ("endpoint", "members", "expected"),
    [
        (RESPONSE, {"previous_response_id": "resp_1"}, [("resp_1", "previous_response_id")]),
        (RESPONSE, {"conversation": {"id": "conv_1"}}, [("conv_1", "conversation")]),
        (MESSAGES, {"container": "container_1"}, [("container_1", "container")]),
        (RESPONSE, {"input": [reasoning()]}, [("sealed", "input")]),
        (RESPONSE, {"input": [{"type": "compaction", "encrypted_content": "x"}]}, [("sealed", "input")]),
        (
            RESPONSE,
            {"input": [reasoning(id="rs_1"), {"role": "user", "content": "x"}, reasoning("b", id="rs_2")]},
            [("rs_2", "input"), ("rs_1", "input"), ("sealed", "input"), ("sealed", "input")],
        ),
        (RESPONSE, {"input": [{"type": "item_reference", "id": "msg_1"}]}, [("msg_1", "input")]),
        (
            RESPONSE,
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            [("file-1", "input")],
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            [("file-1", "messages")],
        ),
        (
            MESSAGES,
            {"messages": [{"content": [{"source": {"type": "file", "file_id": "file_1"}}]}]},
            [("file_1", "messages")],
        ),
        (
            RESPONSE,
            {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]}]},
            [("vs_1", "tools"), ("vs_2", "tools")],
        ),
        (
            RESPONSE,
            {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
            [("cntr_1", "tools")],
        ),
        (
            RESPONSE,
            {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}]},
            [("file-1", "tools")],
        ),
    ],
)
def test_what_is_named(endpoint: Endpoint, members: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """Ids in every place of every dialect, and sealed parts; its maker's alone first, the newest first."""
    assert named(endpoint, **members) == expected


@pytest.mark.parametrize(
    "members",
    [
        {"input": "file_id item_reference encrypted_content"},
        {"input": [{"role": "user", "content": json.dumps({"file_id": "file-1", "encrypted_content": "x"})}]},
        {"input": [reasoning(None)]},
        {"input": [reasoning("")]},
        {"previous_response_id": None, "conversation": 7, "container": ["x"]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"input": 5},
    ],
)
def test_what_names_nothing(members: dict[str, Any]) -> None:
    """What somebody said is no name, JSON in a text is not, and neither is what has another type."""
    assert named(**members) == []


def test_which_ids_are_certain() -> None:
    """An item's id may be the caller's own word; where items are referred to, it is not."""
    items = [{"role": "user", "id": "msg_own", "content": "x"}]
    assert [state.is_certain for state in state_named(make_call(RESPONSE, input=items))] == [False]
    items.append({"type": "item_reference", "id": "rs_1"})
    assert [state.is_certain for state in state_named(make_call(RESPONSE, input=items))] == [True, True]


def test_sealed_parts_are_known_again() -> None:
    """However the same content is escaped, in the reply or by a caller; other content is not it."""
    call = make_call(RESPONSE, input=[reasoning(), reasoning("other")])
    other, first = [state.name for state in state_named(call)]
    assert first == sealed_name_of(reasoning())
    assert other == sealed_name_of(reasoning("other")) != first
    escaped = msgspec.Raw(b'[{"encrypted_content" : "' + SEALED.replace("/", "\\/").encode() + b'"}]')
    call = msgspec.structs.replace(call, fields={"input": escaped})
    assert [state.name for state in state_named(call)] == [first]


def test_only_the_newest() -> None:
    """A call of a thousand items is looked through from its end, and only so far."""
    items = [{"type": "item_reference", "id": f"msg_{number}"} for number in range(1000)]
    names = [state.name for state in state_named(make_call(RESPONSE, input=items))]
    assert names == [f"msg_{number}" for number in range(999, 999 - MAX_NAMED, -1)]


OUTPUT: list[dict[str, Any]] = [
    {"type": "reasoning", "id": "rs_1", "encrypted_content": SEALED},
    {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"},
    {"type": "message", "id": "msg_1", "content": []},
]


def test_what_a_whole_reply_makes() -> None:
    """Sealed parts and containers in any case; items by their ids where the provider keeps them."""
    body = json.dumps({"id": "resp_1", "output": OUTPUT}).encode()
    sealed = sealed_name_of(OUTPUT[0])
    assert state_made(body, is_kept=False) == [sealed, "cntr_1"]
    assert state_made(body, is_kept=True) == [sealed, "rs_1", "ci_1", "cntr_1", "msg_1"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"output":5}', b'{"output":null}', b'{"output":[{}]}'])
def test_replies_that_make_nothing(body: bytes) -> None:
    """What cannot be read makes nothing, and fails nothing."""
    assert state_made(body, is_kept=True) == []


def test_as_many_as_are_read() -> None:
    """A reply of thousands of items cannot hold up its worker."""
    body = json.dumps({"output": [{"id": f"msg_{number}"} for number in range(1000)]}).encode()
    assert len(state_made(body, is_kept=True)) == MAX_MADE


def event(kind: str, **members: Any) -> bytes:
    """An event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def test_what_events_make() -> None:
    """An item is made when it is complete: what it has before may change."""
    item = OUTPUT[0]
    assert state_made_by(event("response.output_item.added", item=item), is_kept=True) == []
    events = (
        event("response.output_text.delta", delta="response.output_item.done")
        + event("response.output_item.done", item=item)
        + event("response.output_item.done", item="?")
        + b"data: response.output_item.done\n\n"
        + event("response.output_item.done", item=OUTPUT[2])
    )
    assert state_made_by(events, is_kept=True) == [sealed_name_of(item), "rs_1", "msg_1"]
    assert state_made_by(events, is_kept=False) == [sealed_name_of(item)]


def test_who_wants_something_sealed() -> None:
    """Who asks for more than the reply, or for a conversation in short."""
    assert wants_sealed(make_call(RESPONSE, include=["reasoning.encrypted_content"]))
    assert wants_sealed(make_call(RESPONSE, context_management=[]))
    assert wants_sealed(make_call(COMPACTION))
    assert not wants_sealed(make_call(RESPONSE))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(b'"x_1"', "x_1"), (b'{"id":"x_1"}', "x_1"), (b"null", ""), (b"[1]", ""), (b"7", "")],
)
def test_id_of_an_object(raw: bytes, expected: str) -> None:
    """Named alone, or as an object."""
    assert id_in(msgspec.Raw(raw)) == expected


@pytest.mark.parametrize(
    ("text", "may_name"),
    [
        ("What does a file_id stand for?", False),
        ('Why is "id" quoted here?', False),
        ({"type": "file", "file": {"file_id": "f"}}, True),
    ],
)
def test_what_need_not_be_looked_through(text: object, *, may_name: bool) -> None:
    """A chat without a member of such a name goes on from nothing, whatever its texts say."""
    call = make_call(CHAT, messages=[{"role": "user", "content": text}])
    assert may_name_state(call, msgspec.json.encode(call.fields)) is may_name
