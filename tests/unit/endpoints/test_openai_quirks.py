"""Writing a call for a server whose dialect differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call, write_call
from gateway.endpoints.openai_quirks import dropped_fields
from gateway.model import Call, Quirks
from tests.unit.makers import make_body

QUIRKS = Quirks(
    renamed={"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    refused=("logprobs", "stream_options"),
    refused_in_messages=("name",),
    roles={"developer": "system"},
    added={"input_type": '"query"'},
)


def call_of(body: bytes) -> Call:
    return parse_call(CHAT, body, model=None, account=None)


def sent(quirks: Quirks = QUIRKS, **members: Any) -> Any:
    return json.loads(write_call(call_of(make_body(**members)), "m-1", quirks))


def dropped(quirks: Quirks = QUIRKS, **members: Any) -> tuple[str, ...]:
    return dropped_fields(call_of(make_body(**members)).fields, quirks)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"seed": 7}, {"random_seed": 7}, id="renamed"),
        pytest.param(
            {"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 9}, id="the server's own name wins"
        ),
        pytest.param({"logprobs": True, "top_p": 1}, {"top_p": 1}, id="refused"),
        pytest.param({"input_type": "passage"}, {"input_type": "passage"}, id="there already"),
        pytest.param({"x_unknown": [1.50]}, {"x_unknown": [1.5]}, id="unknown fields stay"),
    ],
)
def test_top_level(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """What the server calls otherwise is renamed, what it refuses is left out, the rest stays."""
    body = sent(**members)
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == {
        "input_type": "query",
        **expected,
    }


def test_usage_is_not_asked_for_where_that_is_refused() -> None:
    """Neither for us nor for the caller; it comes unasked, so nothing is lost and nothing is said."""
    assert sent(stream=True)["stream"] is True
    assert "stream_options" not in sent(stream=True)
    asked: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    assert "stream_options" not in sent(**asked)
    assert dropped(**asked) == ()
    assert sent(Quirks(), stream=True)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(
            [{"role": "developer", "content": "be"}, {"role": "user", "content": "hi"}],
            [{"role": "system", "content": "be"}, {"role": "user", "content": "hi"}],
            id="role",
        ),
        pytest.param(
            [{"role": "user", "name": "ann", "content": [{"type": "text", "text": "x"}]}],
            [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
            id="member",
        ),
        pytest.param(
            [{"role": "user", "content": 'the "developer" said "name"'}],
            [{"role": "user", "content": 'the "developer" said "name"'}],
            id="the words as text",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}],
            [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}],
            id="a name deeper down",
        ),
        pytest.param('"name"', '"name"', id="no list"),
        pytest.param([1, "name"], [1, "name"], id="no objects"),
    ],
)
def test_messages(messages: Any, expected: Any) -> None:
    """Roles and members of messages, and nothing inside them."""
    assert sent(messages=messages)["messages"] == expected


def test_messages_without_a_quirk_stay_the_bytes_they_were() -> None:
    """Odd escapes, long numbers and blanks included."""
    messages = b'[ {"role":"user", "content":"\\u00fc",  "x": 1.000000000000000000001e5} ]'
    call = call_of(b'{"model":"a/b","messages":' + messages + b"}")
    assert messages in write_call(call, "m-1", QUIRKS)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, (), id="nothing sent"),
        pytest.param({"logprobs": True}, ("logprobs",), id="sent"),
        pytest.param({"logprobs": None}, (), id="null has no meaning"),
        pytest.param({"seed": 1}, (), id="renamed is not lost"),
        pytest.param(
            {"messages": [{"role": "user", "content": "a"}, {"role": "user", "name": "b", "content": "a"}]},
            ("messages[].name",),
            id="of a message",
        ),
        pytest.param({"messages": [{"role": "user", "content": '"name"'}]}, (), id="the word as text"),
        pytest.param({"messages": [{"role": "user", "name": None, "content": "a"}]}, (), id="null there too"),
    ],
)
def test_what_is_lost_is_told(members: dict[str, Any], expected: tuple[str, ...]) -> None:
    """What a caller meant and the server does not get."""
    assert dropped(**members) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "name", "developer", "content"]) | st.text(max_size=4), inner
        )
    ),
    max_leaves=8,
)


@given(JSON, st.dictionaries(st.sampled_from(["seed", "logprobs", "max_tokens", "input_type"]), JSON))
def test_any_json(messages: Any, members: dict[str, Any]) -> None:
    """Property: whatever stands there, a JSON object leaves, without what the server refuses."""
    body = sent(messages=messages, **members)
    assert body["model"] == "m-1"
    assert not {"logprobs", "seed"} & body.keys()
    dropped(messages=messages, **members)


def test_a_server_without_names() -> None:
    """It has one model, and refuses a name that is not its own; that is no loss to tell of."""
    quirks = Quirks(is_nameless=True)
    assert "model" not in sent(quirks)
    assert dropped(quirks) == ()


CALLED: dict[str, Any] = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT: dict[str, Any] = {"role": "tool", "content": "12"}
SAID: dict[str, Any] = {"role": "assistant", "content": "."}
ASKED: dict[str, Any] = {"role": "user", "content": "and now?"}


@pytest.mark.parametrize(
    ("given", "made"),
    [
        pytest.param("abcDEF123", "abcDEF123", id="its own"),
        pytest.param("call_abc", "ed01972d3", id="another server's"),
        pytest.param("abcdefgh_", "48db7e8a1", id="as long, other characters"),
        pytest.param("", "e3b0c4429", id="none"),
        pytest.param(7, 7, id="no text"),
    ],
)
def test_ids_of_calls(given: Any, made: Any) -> None:
    """A server that is strict about them gets ids of its own kind, the same for a call and its result."""
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": given, **CALLED}, CALLED]},
        {**RESULT, "tool_call_id": given},
    ]
    call, result = sent(Quirks(call_id_length=9), messages=messages)["messages"]
    assert call["tool_calls"] == [{"id": made, **CALLED}, CALLED]
    assert result["tool_call_id"] == made


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([RESULT, ASKED], [RESULT, SAID, ASKED], id="the user"),
        pytest.param(
            [RESULT, {"role": "developer", "content": "be"}],
            [RESULT, SAID, {"role": "system", "content": "be"}],
            id="the system, whatever its name",
        ),
        pytest.param([RESULT, RESULT], [RESULT, RESULT], id="another result"),
        pytest.param(
            [RESULT, {**SAID, "content": "12"}], [RESULT, {**SAID, "content": "12"}], id="the assistant"
        ),
        pytest.param([RESULT], [RESULT], id="nobody"),
    ],
)
def test_the_assistant_after_results(messages: list[Any], expected: list[Any]) -> None:
    """A server where nobody else may speak then hears the assistant say as good as nothing."""
    messages = [
        {**message, "tool_call_id": "abcDEF123"} if message is RESULT else message for message in messages
    ]
    expected = [
        {**message, "tool_call_id": "abcDEF123"} if message is RESULT else message for message in expected
    ]
    assert sent(Quirks(answers_results=True, roles={"developer": "system"}), messages=messages)[
        "messages"
    ] == (expected)


def test_an_empty_list_in_a_message_is_not_worth_a_word() -> None:
    """OpenAI's SDK sends back `annotations: []` with each answer: nothing of it is lost."""
    quirks = Quirks(refused_in_messages=("annotations", "refusal"))
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "x", "annotations": [], "refusal": None}
    ]
    assert sent(quirks, messages=messages)["messages"] == [{"role": "assistant", "content": "x"}]
    assert dropped(quirks, messages=messages) == ()


def test_the_name_of_a_result() -> None:
    """It repeats what the call says, so that leaving it out is no loss to be told, or refused for."""
    result = {"role": "tool", "tool_call_id": "1", "name": "f", "content": "x"}
    assert dropped(messages=[result]) == ()
    assert "name" not in sent(messages=[result])["messages"][0]
    assert dropped(messages=[result, {"role": "user", "name": "u", "content": "x"}]) == ("messages[].name",)
