"""What is read of a call: its parameters, wherever they stand; its bytes go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE, CONVERSE_STREAM, INVOKE, MODEL_CALLS
from gateway.errors import InvalidBody, InvalidJson


def test_a_call() -> None:
    """Parameters are told under the names that spans know; what is to be sent is as it came."""
    body = b'{"messages": [], "inferenceConfig": {"maxTokens":9,"topP":0.5,"stopSequences":["x"],"odd":1}}'
    call = read_bedrock_call(CONVERSE_STREAM, body, model="aws/m")
    assert (call.model, call.is_stream, call.body, call.body_bytes) == ("aws/m", True, body, len(body))
    assert call.parameters is not None
    assert {name: bytes(value) for name, value in call.parameters.items()} == {
        "max_tokens": b"9",
        "top_p": b"0.5",
        "stop": b'["x"]',
    }
    assert set(call.fields) == {"messages", "inferenceConfig"}
    assert "messages" not in repr(call)


@pytest.mark.parametrize("config", [b"7", b"[]", b"null", b'"x"'])
def test_parameters_in_another_form(config: bytes) -> None:
    """Bedrock will refuse them; here they are none."""
    call = read_bedrock_call(CONVERSE, b'{"inferenceConfig": ' + config + b"}", model="m")
    assert call.parameters == {}
    assert read_bedrock_call(CONVERSE, b"{}", model="m").parameters == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_bodies_that_are_none(body: bytes) -> None:
    """Converse takes an object; what an `InvokeModel` takes is its model's business."""
    with pytest.raises((InvalidBody, InvalidJson)):
        read_bedrock_call(CONVERSE, body, model="m")
    call = read_bedrock_call(INVOKE, body, model="m")
    assert (call.body, dict(call.fields), call.parameters) == (body, {}, None)


@given(st.sampled_from(MODEL_CALLS), st.binary(max_size=80))
def test_any_bytes(endpoint: object, body: bytes) -> None:
    """Are read, or refused with an error of ours."""
    [chosen] = [each for each in MODEL_CALLS if each is endpoint]
    try:
        call = read_bedrock_call(chosen, body, model="m")
    except (InvalidBody, InvalidJson):
        return
    assert call.body == body
