"""JSON of others in any shape."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw, structs

from gateway.endpoints.openai_content import find_object
from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.translate.foreign_json import (
    DepthLimit,
    data_event,
    error_message,
    list_of,
    named_event,
    object_of,
    read_arguments,
    read_fields,
    read_object,
    write_json,
    write_reply,
    write_text,
)
from tests.unit.makers import make_call


def test_fields() -> None:
    """The body's members; null is as if not there."""
    found = read_fields(make_call(seed=None, stop=["a"]))
    assert found["stop"] == ["a"]
    assert "seed" not in found


def test_objects() -> None:
    """What has another shape is empty, or no reply."""
    assert object_of({"a": 1}) == {"a": 1}
    assert object_of([]) == {}
    assert list_of([1]) == [1]
    assert list_of({}) == []
    assert read_object(b'{"a":1}') == {"a": 1}
    assert find_object(b'{"a":NaN}') is not None
    for body in (b"[]", b"<html>", b""):
        assert find_object(body) is None
        with pytest.raises(UpstreamBadReply):
            read_object(body)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"error": {"message": "a"}, "message": "b"}, "a", id="OpenAI's"),
        pytest.param({"error": "a"}, "a", id="a text"),
        pytest.param({"message": "a", "object": "error"}, "a", id="vLLM's before"),
        pytest.param({"detail": "Not Found"}, "Not Found", id="FastAPI's"),
        pytest.param(
            {"detail": [{"loc": ["body", "n"], "msg": "too many"}]},
            '[{"loc":["body","n"],"msg":"too many"}]',
            id="its list of fields",
        ),
        pytest.param({"message": {"detail": [{"msg": "x"}]}}, '{"detail":[{"msg":"x"}]}', id="Mistral's"),
        pytest.param({"error": {"code": 7}}, '{"code":7}', id="no words"),
        pytest.param({"detail": ["y" * 2000]}, '["' + "y" * 998, id="too much"),
        pytest.param({"error": None, "detail": []}, "The provider answered with an error.", id="nothing"),
    ],
)
def test_what_an_error_says(found: dict[str, Any], expected: str) -> None:
    """The caller is told what is wrong with its call, in whichever words a server says it."""
    assert error_message(found) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("", {}),
        (" ", {}),
        (None, {}),
        ("no json", {"arguments": "no json"}),
        ("[1]", {"arguments": "[1]"}),
        ('{"a":"\ud800"}', {"arguments": '{"a":"\ud800"}'}),
    ],
)
def test_arguments(text: object, expected: object) -> None:
    """What a model wrote is never lost, and always an object."""
    assert read_arguments(text) == expected


def test_writing() -> None:
    """Half a surrogate pair, which UTF-8 cannot carry, stays an escape; depth is an error of the provider."""
    assert write_json({"a": "ü"}) == '{"a":"ü"}'.encode()
    assert write_json({"a": "\ud800"}) == b'{"a":"\\ud800"}'
    assert write_text([1]) == "[1]"
    deep: list[object] = []
    for _ in range(1_000_000):
        deep = [deep]
    with pytest.raises(UpstreamBadReply, match="nested too deeply"):
        write_reply(deep)
    while deep:
        deep = deep.pop()  # type: ignore[assignment]  # taken apart by hand: its own end would recurse


def test_events() -> None:
    """Each dialect's frame."""
    assert data_event({"a": 1}) == b'data: {"a":1}\n\n'
    assert named_event({"type": "ping"}) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_a_field_too_deep() -> None:
    """It is the caller's mistake, and named."""
    call = structs.replace(make_call(), fields={"messages": Raw(b"[" * 100_000 + b"]" * 100_000)})
    with pytest.raises(InvalidBody, match='"messages" cannot be read'):
        read_fields(call)


def test_depth_limit() -> None:
    """A call too deep to be written again is its caller's mistake; other errors stay as they are."""
    with pytest.raises(InvalidBody, match="nested too deeply"), DepthLimit():
        raise RecursionError
    with pytest.raises(KeyError), DepthLimit():
        raise KeyError("x")
