"""Reading a call and writing it for one target: what the gateway does not act on stays the bytes it was."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.openai_call import (
    MAX_MEMBERS,
    full_name,
    parse_call,
    rewrite_model,
    unread_call,
    with_strictness,
    write_call,
)
from gateway.errors import InvalidBody, InvalidJson
from gateway.model import Call, Endpoint

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OTHER_NAMES = st.text().filter(
    lambda name: name not in {"stream", "stream_options", "n"} and name.lower() != "model",
)


def parse(
    body: bytes, endpoint: Endpoint = CHAT, model: str | None = None, account: str | None = None
) -> Call:
    return parse_call(endpoint, body, model=model, account=account)


def written(body: bytes, model_id: str = "m-1") -> bytes:
    return write_call(parse(body), model_id)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(b'{"model":"a/b"}', b'{"model":"m-1"}', id="model"),
        pytest.param(b'{"model":"a/b","x":[1 , 2]}', b'{"model":"m-1","x":[1 , 2]}', id="unknown field"),
        pytest.param(
            b'{"seed":123456789012345678901234567890,"model":"a/b"}',
            b'{"seed":123456789012345678901234567890,"model":"m-1"}',
            id="number beyond 64 bits",
        ),
        pytest.param(
            b'{"t":0.10000000000000000001,"u":1e400,"v":-0.0,"model":"a/b"}',
            b'{"t":0.10000000000000000001,"u":1e400,"v":-0.0,"model":"m-1"}',
            id="numbers that a double would change",
        ),
        pytest.param(
            rb'{"a":"\u00e9\/\ud83d\ude00","model":"a/b"}',
            rb'{"a":"\u00e9\/\ud83d\ude00","model":"m-1"}',
            id="escapes",
        ),
        pytest.param(
            b'{"model":"a/b","stream":false,"stream_options":"whatever"}',
            b'{"model":"m-1","stream":false,"stream_options":"whatever"}',
            id="stream options of a call that is not streamed",
        ),
        pytest.param(b'{"model":"x/y","model":"a/b"}', b'{"model":"m-1"}', id="repeated model"),
        pytest.param(b'{"x":1,"model":"a/b","x":2}', b'{"x":2,"model":"m-1"}', id="repeated unknown field"),
        pytest.param(rb'{"mod\u0065l":"a/b"}', b'{"model":"m-1"}', id="escaped name"),
        pytest.param(b' {\n"model" : "a/b" }\r\n', b'{"model":"m-1"}', id="white space around"),
        pytest.param(
            b'{"model":"a/b","stream":true}',
            b'{"model":"m-1","stream":true,"stream_options":{"include_usage":true}}',
            id="stream: usage is asked for",
        ),
        pytest.param(
            b'{"model":"a/b","stream":true,"stream_options":null}',
            b'{"model":"m-1","stream":true,"stream_options":{"include_usage":true}}',
            id="stream options null",
        ),
        pytest.param(
            b'{"model":"a/b","stream":true,"stream_options":{"include_obfuscation":false, "x":1.50}}',
            b'{"model":"m-1","stream":true,'
            b'"stream_options":{"include_obfuscation":false,"x":1.50,"include_usage":true}}',
            id="other stream options are kept",
        ),
        pytest.param(
            b'{"model":"a/b","stream":true,"stream_options":{"include_usage":false}}',
            b'{"model":"m-1","stream":true,"stream_options":{"include_usage":true}}',
            id="usage declined is asked for all the same, and hidden",
        ),
        pytest.param(
            b'{"model":"a/b","stream":true,"stream_options":{"include_usage" : true}}',
            b'{"model":"m-1","stream":true,"stream_options":{"include_usage" : true}}',
            id="usage asked for by the client: bytes as they are",
        ),
    ],
)
def test_written_call(body: bytes, sent: bytes) -> None:
    """Only `model` and, in a stream, `stream_options` are written anew."""
    assert written(body) == sent


@given(
    members=st.dictionaries(OTHER_NAMES, JSON_VALUES, max_size=6),
    is_ascii=st.booleans(),
    is_stream=st.booleans(),
    data=st.data(),
)
def test_every_other_value_keeps_its_bytes(
    members: dict[str, Any], *, is_ascii: bool, is_stream: bool, data: st.DataObject
) -> None:
    """Whatever else stands in the body arrives byte for byte, under the same names, in the same order."""
    items = [*members.items(), ("model", "a/b"), ("stream", is_stream)]
    items = data.draw(st.permutations(items))
    raw = {name: json.dumps(value, ensure_ascii=is_ascii).encode() for name, value in items}
    body = b"{" + b" , ".join(json.dumps(name).encode() + b" :\n" + raw[name] for name, _ in items) + b"}"
    call = parse(body)
    assert {name: bytes(value) for name, value in call.fields.items()} == raw
    sent = write_call(call, "m-1")
    raw["model"] = b'"m-1"'
    if is_stream:
        raw["stream_options"] = b'{"include_usage":true}'
    again = parse(sent)
    assert [(name, bytes(value)) for name, value in again.fields.items()] == list(raw.items())
    assert json.loads(sent)["model"] == "m-1"


@given(st.text())
def test_any_model_id_is_quoted(model_id: str) -> None:
    """A provider's model id is written as JSON, whatever is in it."""
    assert json.loads(written(b'{"model":"a/b"}', model_id)) == {"model": model_id}


@given(st.binary() | st.text().map(str.encode) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """No body does anything but become a call or a refusal with 400."""
    call = None
    with contextlib.suppress(InvalidJson, InvalidBody):
        call = parse(body)
    assert call is None or json.loads(write_call(call, "m-1"))["model"] == "m-1"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", InvalidJson, id="empty"),
        pytest.param(b"  ", InvalidJson, id="blank"),
        pytest.param(b"model=a/b", InvalidJson, id="not JSON"),
        pytest.param(b'{"model":"a/b"', InvalidJson, id="cut"),
        pytest.param(b'{"model":"a/b"}{}', InvalidJson, id="two values"),
        pytest.param(b'{"model":"a/b","x":\xff}', InvalidJson, id="invalid UTF-8 outside strings"),
        pytest.param(b'{"model":"a/b","x":"\xff"}', InvalidJson, id="invalid UTF-8 in a string"),
        pytest.param(b'{"model":"a/b","x":"\xed\xa0\x80"}', InvalidJson, id="surrogate in UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"model":"a/b"}', InvalidJson, id="byte order mark"),
        pytest.param('{"model":"a/b"}'.encode("utf-16"), InvalidJson, id="UTF-16"),
        pytest.param(rb'{"model":"a/b","x":"\ud83d"}', InvalidJson, id="half a surrogate pair"),
        pytest.param(b'{"model":"a/b","x":"\n"}', InvalidJson, id="bare line end in a string"),
        pytest.param(b'{"model":"a/b","x":NaN}', InvalidJson, id="NaN"),
        pytest.param(b'{"x":' + b"[" * 100_000, InvalidJson, id="nested without end"),
        pytest.param(
            b'{"x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b',"model":"a/b"}',
            InvalidJson,
            id="nested deeply",
        ),
        pytest.param(b"[" * 100_000, InvalidBody, id="nested without end, from the start"),
        pytest.param(b"[]", InvalidBody, id="array"),
        pytest.param(b"null", InvalidBody, id="null"),
        pytest.param(b'"model"', InvalidBody, id="string"),
        pytest.param(b"7", InvalidBody, id="number"),
    ],
)
def test_body_that_is_no_object(body: bytes, error: type[Exception]) -> None:
    """What is not JSON in UTF-8 is one error, JSON that is no object another."""
    with pytest.raises(error):
        parse(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b" \n", "is empty", id="blank"),
        pytest.param(b'\xef\xbb\xbf{"model":"a/b"}', "byte order mark", id="byte order mark"),
        pytest.param(rb'{"model":"a/b","x":[{"x":"\ud83d"}]}', "surrogate", id="half a pair, at the end"),
        pytest.param(rb'{"x":"\ud83d","model":"a/b"}', "surrogate", id="half a pair, before a text"),
        pytest.param(rb'{"x":"\ud83d\n-------","model":"a/b"}', "surrogate", id="half a pair, an escape"),
        pytest.param(rb'{"x":"\udc00-------","model":"a/b"}', "surrogate", id="the second half"),
        pytest.param(rb'{"x":"\u12","model":"a/b"}', "unicode escape (byte 11)", id="half of an escape"),
        pytest.param(rb'{"model":"a/b","x":"\ud83d\ude00', "truncated", id="cut after a pair"),
        pytest.param(b'{"model":"a/b"', "truncated", id="cut"),
    ],
)
def test_what_is_no_json_is_told(body: bytes, words: str) -> None:
    """So that who wrote it finds the place; a text cut within an emoji is not a body that was cut."""
    with pytest.raises(InvalidJson) as refused:
        parse(body)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("member", "param"),
    [
        pytest.param(b'"model":7', "model", id="model is a number"),
        pytest.param(b'"model":["a/b"]', "model", id="model is a list"),
        pytest.param(b'"model":null', "model", id="model is null"),
        pytest.param(b'"model":""', "model", id="model is empty"),
        pytest.param(b'"x":1', "model", id="no model"),
        pytest.param(b'"model":"a/b","stream":"true"', "stream", id="stream is text"),
        pytest.param(b'"model":"a/b","stream":1', "stream", id="stream is a number"),
        pytest.param(
            b'"model":"a/b","stream":true,"stream_options":true', "stream_options", id="options are a boolean"
        ),
        pytest.param(
            b'"model":"a/b","stream":true,"stream_options":[]', "stream_options", id="options are a list"
        ),
        pytest.param(
            b'"model":"a/b","stream":true,"stream_options":{"include_usage":1}',
            "stream_options",
            id="usage option is a number",
        ),
        pytest.param(b'"model":"a/b","n":"2"', "n", id="n is text"),
        pytest.param(b'"model":"a/b","n":1.5', "n", id="n is no whole number"),
    ],
)
def test_field_of_another_type(member: bytes, param: str) -> None:
    """A field that the gateway acts on is refused by name when its type is wrong."""
    with pytest.raises(InvalidBody) as caught:
        parse(b"{" + member + b"}")
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    ("body_model", "header_model", "account", "asked"),
    [
        pytest.param("a/b", None, None, "a/b", id="body"),
        pytest.param("a/b", "c/d", None, "a/b", id="the body wins over the header"),
        pytest.param(None, "c/d", None, "c/d", id="header"),
        pytest.param("", "c/d", None, "c/d", id="an empty name is none"),
        pytest.param("b", None, "a", "a/b", id="bare name and account"),
        pytest.param("a/b", None, "a", "a/b", id="the account is there already"),
        pytest.param("meta/llama", None, "a", "a/meta/llama", id="a name with a slash of its own"),
        pytest.param(None, "b", "a", "a/b", id="both from headers"),
        pytest.param("b", None, None, "b", id="bare name"),
        pytest.param("grün/😀", None, None, "grün/😀", id="any character"),
    ],
)
def test_model_asked_for(
    body_model: str | None, header_model: str | None, account: str | None, asked: str
) -> None:
    """The model's name comes from the body, else a header, and gets its account from a header."""
    body = json.dumps({} if body_model is None else {"model": body_model}).encode()
    assert parse(body, model=header_model, account=account).model == asked


@pytest.mark.parametrize(
    ("endpoint", "members", "is_stream", "wants_usage", "choices"),
    [
        pytest.param(CHAT, {}, False, False, 1, id="defaults"),
        pytest.param(CHAT, {"stream": None, "n": None}, False, False, 1, id="null is the default"),
        pytest.param(CHAT, {"stream": True}, True, False, 1, id="stream"),
        pytest.param(
            CHAT, {"stream": True, "stream_options": {"include_usage": True}}, True, True, 1, id="with usage"
        ),
        pytest.param(
            CHAT,
            {"stream": False, "stream_options": {"include_usage": True}},
            False,
            False,
            1,
            id="no stream",
        ),
        pytest.param(COMPLETION, {"stream": True, "n": 3}, True, False, 3, id="three choices"),
        pytest.param(CHAT, {"n": 0}, False, False, 1, id="no choice is one"),
        pytest.param(EMBEDDING, {"stream": True}, False, False, 1, id="embeddings do not stream"),
    ],
)
def test_what_is_acted_on(
    endpoint: Endpoint, members: dict[str, Any], *, is_stream: bool, wants_usage: bool, choices: int
) -> None:
    """A call says whether it streams, whether usage was asked for, and how many choices."""
    body = json.dumps({"model": "a/b", **members}).encode()
    call = parse(body, endpoint)
    assert (call.is_stream, call.wants_usage, call.choices) == (is_stream, wants_usage, choices)
    assert (call.endpoint, call.body_bytes) == (endpoint, len(body))


@pytest.mark.parametrize("name", ["Model", "MODEL", "mOdEl", r"\u004dodel"])
@pytest.mark.parametrize("endpoint", [CHAT, EMBEDDING, MESSAGES, RESPONSE])
def test_a_second_model_in_another_case(endpoint: Endpoint, name: str) -> None:
    """Servers that tell no upper from lower case would take the one that nobody has looked at."""
    for body in (f'{{"model":"a/b","{name}":"c"}}', f'{{"{name}":"c","model":"a/b"}}', f'{{"{name}":"c"}}'):
        with pytest.raises(InvalidBody, match="lower case"):
            parse(body.encode(), endpoint, model="a/b")


def test_call_is_not_changed_by_writing() -> None:
    """A call can be written for one target after another."""
    call = parse(b'{"model":"a/b","stream":true}')
    before = dict(call.fields)
    first = write_call(call, "m-1")
    assert write_call(call, "m-2") == first.replace(b"m-1", b"m-2")
    assert call.fields == before


def test_content_is_not_shown() -> None:
    """A call in a log line shows no prompt."""
    assert "secret prompt" not in repr(parse(b'{"model":"a/b","prompt":"secret prompt"}'))


def test_more_members_than_any_api_has() -> None:
    """A body of a million members would hold the loop, so it is refused; a thousand are taken."""

    def body(members: int) -> bytes:
        return json.dumps({"model": "a/b", **{f"x{number}": 1 for number in range(members - 1)}}).encode()

    assert len(parse(body(MAX_MEMBERS)).fields) == MAX_MEMBERS == 1000
    with pytest.raises(InvalidBody, match="more than 1000"):
        parse(body(MAX_MEMBERS + 1))


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_stream_options_of_any_size(*, is_stream: bool) -> None:
    """Options that are acted on must be short; where they are not, they pass as they are."""
    body = json.dumps({"model": "a/b", "stream": is_stream, "stream_options": {"x": "y" * 20_000}}).encode()
    if not is_stream:
        assert b"y" * 20_000 in written(body)
        return
    with pytest.raises(InvalidBody) as caught:
        parse(body)
    assert caught.value.param == "stream_options"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("endpoint", "members", "choices"),
    [
        pytest.param(COMPLETION, {"prompt": "a"}, 1, id="text"),
        pytest.param(COMPLETION, {"prompt": "[a", "n": 2}, 2, id="text that looks like a list"),
        pytest.param(COMPLETION, {"prompt": ["a", "b", "c"]}, 3, id="texts"),
        pytest.param(COMPLETION, {"prompt": ["a", "b", "c"], "n": 2}, 6, id="texts, several choices each"),
        pytest.param(COMPLETION, {"prompt": [[1, 2], [3]], "n": 2}, 4, id="lists of tokens"),
        pytest.param(COMPLETION, {"prompt": [1, 2, 3], "n": 2}, 2, id="one list of tokens"),
        pytest.param(COMPLETION, {"prompt": [], "n": 2}, 2, id="no prompt"),
        pytest.param(COMPLETION, {"prompt": None, "n": 2}, 2, id="null"),
        pytest.param(COMPLETION, {"prompt": {"a": 1}, "n": 2}, 2, id="another type"),
        pytest.param(COMPLETION, {"n": 2}, 2, id="absent"),
        pytest.param(COMPLETION, {"prompt": ["a", "b"], "n": 0}, 2, id="no choice is one"),
        pytest.param(COMPLETION, {"prompt": ["a", "b"], "n": -5}, 2, id="fewer than none is one"),
        pytest.param(CHAT, {"prompt": ["a", "b"], "n": 2}, 2, id="a chat has no prompts"),
        pytest.param(CHAT, {"n": -1}, 1, id="fewer than none in a chat"),
        pytest.param(EMBEDDING, {"prompt": ["a", "b"]}, 1, id="nor has an embedding"),
    ],
)
def test_choices_of_each_prompt(endpoint: Endpoint, members: dict[str, Any], choices: int) -> None:
    """A text completion has `n` choices for each of its prompts: a stream is whole when all have ended."""
    body = json.dumps({"model": "a/b", **members}).encode()
    assert parse(body, endpoint).choices == choices


@pytest.mark.parametrize("zeros", [30, 400, 5000])
@pytest.mark.parametrize("sign", [b"", b"-"], ids=["large", "small"])
def test_count_of_any_size(sign: bytes, zeros: int) -> None:
    """A number of choices that no provider has is read or refused, never a bug."""
    with contextlib.suppress(InvalidBody):
        assert parse(b'{"model":"a/b","n":%s1%s}' % (sign, b"0" * zeros)).choices >= 1


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"a": 1.50, "model": "acct/x", "b": "\\u00e9"}', b'{"a":1.50,"model":"x","b":"\\u00e9"}'),
        (b'{"model": "other"}', b'{"model": "other"}'),
        (b'{"a": 1}', b'{"a": 1}'),
        (b'{"model": 1}', b'{"model": 1}'),
        (b'{"model": null}', b'{"model": null}'),
        (b"[1]", b"[1]"),
        (b"nonsense", b"nonsense"),
        (b"\xff", b"\xff"),
        (b"", b""),
    ],
)
def test_rewrite_model(body: bytes, sent: bytes) -> None:
    """Only a model that has another name changes; what cannot be read is the provider's to judge."""
    assert rewrite_model(body, lambda name: name.removeprefix("acct/")) == sent


def test_streams_that_need_not_be_asked() -> None:
    """Only completions are asked for their usage; a response's stream has it anyway."""
    body = b'{"model":"a/b","stream":true}'
    call = parse_call(RESPONSE, body, model=None, account=None)
    assert call.is_stream
    assert json.loads(write_call(call, "b")) == {"model": "b", "stream": True}


@pytest.mark.parametrize(
    ("strict", "shows"), [(None, None), ("true", False), ("false", True)], ids=["unsaid", "strict", "not"]
)
def test_strictness(strict: str | None, *, shows: bool | None) -> None:
    """What is strictly OpenAI's has no thoughts in it."""
    call = parse_call(CHAT, b'{"model":"a/b"}', model=None, account=None)
    assert with_strictness(call, strict).shows_thoughts is shows


def test_strictness_that_is_neither() -> None:
    """The caller is told what may stand there."""
    call = parse_call(CHAT, b'{"model":"a/b"}', model=None, account=None)
    with pytest.raises(InvalidBody, match="x-tfy-strict-openai must be"):
        with_strictness(call, "yes")


@pytest.mark.parametrize(
    ("model", "account", "full"),
    [
        ("a/b", None, "a/b"),
        ("b", "", "b"),
        ("b", "a", "a/b"),
        ("a/b", "a", "a/b"),
        ("ab/c", "a", "a/ab/c"),
        ("x/y", "a", "a/x/y"),
    ],
)
def test_full_name(model: str, account: str | None, full: str) -> None:
    """An account that was named beside a model stands before it, once."""
    assert full_name(model, account) == full


def test_unread_call() -> None:
    """Only what it is called and how large it is are known; nothing of it is a stream to the pipeline."""
    call = unread_call(CHAT, "acct", 7)
    assert (call.model, call.body_bytes, call.is_stream, call.choices, dict(call.fields)) == (
        "acct", 7, False, 1, {},
    )  # fmt: skip
