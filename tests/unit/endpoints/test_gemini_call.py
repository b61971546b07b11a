"""Reading a call in Google's dialect, and writing it for one target."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.gemini_call import read_gemini_call, write_gemini_call
from gateway.endpoints.gemini_catalogue import COUNT, EMBED, EMBED_BATCH, GENERATE, STREAM
from gateway.errors import InvalidBody, InvalidJson
from gateway.model import Call, Endpoint
from tests.rig.examples import examples
from tests.unit.translate.foreign_streams import json_of

BODY = b'{ "contents" : [{"parts":[{"text":"\\u00e9 1.50"}]}],\n "unknown": 12345678901234567890.0 }'


NAMES = st.sampled_from(["model", "requests", "generationConfig", "generateContentRequest", "contents"])
JSON = json_of("model", "requests", "models/flash", "flash", "generationConfig", "candidateCount")


def read(body: bytes, endpoint: Endpoint = GENERATE, model: str = "main/flash") -> Call:
    return read_gemini_call(endpoint, body, model=model)


def test_what_is_read() -> None:
    """The call knows its model, its size and whether it is a stream, all from elsewhere than its body."""
    call = read(BODY)
    assert (call.model, call.is_stream, call.choices, call.body_bytes) == ("main/flash", False, 1, len(BODY))
    assert (call.body, call.parameters) == (BODY, {})
    assert list(call.fields) == ["contents", "unknown"]
    assert read(BODY, STREAM).is_stream


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "seed": 7},
            {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_output_tokens": 100, "seed": 7},
        ),
        (
            {"top_p": 0.9, "stop_sequences": ["x"], "frequency_penalty": 1, "presencePenalty": 2},
            {"top_p": 0.9, "stop": ["x"], "frequency_penalty": 1, "presence_penalty": 2},
        ),
        ({"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}, {"reasoning_effort": "LOW"}),
        ({"thinking_config": {"thinkingBudget": 5}}, {}),
        ({"thinkingConfig": 7}, {}),
        ({"candidateCount": 3, "responseMimeType": "text/plain"}, {"n": 3}),
        (
            {"candidateCount": "3", "maxOutputTokens": "65536", "topK": "40.0", "topP": "0.9"},
            {"n": 3, "max_output_tokens": 65536, "top_k": 40, "top_p": 0.9},
        ),
        ({"temperature": "hot", "stopSequences": ["7"]}, {"temperature": "hot", "stop": ["7"]}),
    ],
)
@pytest.mark.parametrize("member", ["generationConfig", "generation_config"])
def test_parameters(config: dict[str, Any], expected: dict[str, Any], member: str) -> None:
    """They are known by the names that the trace has for all dialects, in either of Google's forms."""
    call = read(json.dumps({member: config}).encode())
    assert call.parameters is not None
    assert {name: json.loads(bytes(raw)) for name, raw in call.parameters.items()} == expected
    assert call.choices == int(config.get("candidateCount", 1))


LITTLE = {"maxOutputTokens": 10, "candidateCount": 1, "seed": 1}
MUCH = {"max_output_tokens": "5000", "candidate_count": 8, "topK": 4}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"generationConfig": LITTLE, "generation_config": MUCH}, ("5000", 8)),
        ({"generation_config": LITTLE, "generationConfig": MUCH}, ("5000", 8)),
        ({"generationConfig": {}, "generation_config": MUCH}, ("5000", 8)),
        ({"generationConfig": 7, "generation_config": MUCH}, ("5000", 8)),
        ({"generationConfig": LITTLE | MUCH}, ("5000", 8)),
        ({"generationConfig": MUCH | LITTLE}, ("5000", 8)),
        ({"generationConfig": MUCH | {"maxOutputTokens": "no", "candidateCount": 5000}}, ("5000", 8)),
    ],
)
def test_both_forms(body: dict[str, Any], expected: tuple[str, int]) -> None:
    """Of what limits count the larger one counts: Google does not tell which of two it reads."""
    call = read(json.dumps(body).encode())
    assert call.parameters is not None
    assert (bytes(call.parameters["max_output_tokens"]).decode(), call.choices) == expected


def test_all_else_in_both_forms() -> None:
    """What is said in one of them is told of, too, and else the latter."""
    call = read(json.dumps({"generationConfig": LITTLE, "generation_config": MUCH | {"seed": 2}}).encode())
    assert call.parameters is not None
    assert (bytes(call.parameters["seed"]), bytes(call.parameters["top_k"])) == (b"2", b"4")


def test_a_long_configuration() -> None:
    """It counts like a short one: a schema may be as long as it likes."""
    config = {
        "responseSchema": {"description": "x" * 1024 * 1024},
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    call = read(json.dumps({"generationConfig": config | MUCH}).encode())
    assert call.parameters is not None
    assert {name: bytes(raw) for name, raw in call.parameters.items()} == {
        "max_output_tokens": b"5000",
        "n": b"8",
        "top_k": b"4",
        "reasoning_effort": b'"LOW"',
    }
    assert call.choices == 8


def test_a_long_text_for_a_configuration() -> None:
    """It is none."""
    assert read(json.dumps({"generationConfig": "x" * 1024 * 1024 + "x"}).encode()).parameters == {}


@pytest.mark.parametrize(
    "config", [b"[]", b"null", b'"x"', b'{"candidateCount": "many"}', b'{"candidateCount": -1}']
)
def test_what_is_wrong_is_google_s_to_say(config: bytes) -> None:
    """A configuration that cannot be read is passed on, and told of nowhere."""
    call = read(b'{"generationConfig": ' + config + b"}")
    assert call.choices == 1


def test_dimensions_of_embeddings() -> None:
    """A call of embeddings has its parameters at the top."""
    call = read(b'{"content": {}, "outputDimensionality": 64}', EMBED)
    assert call.parameters is not None
    assert bytes(call.parameters["dimensions"]) == b"64"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b"{", InvalidJson),
        (b"\xff", InvalidJson),
        (b"[]", InvalidBody),
        (b'{"a":' + b"[" * 9999, InvalidJson),
    ],
    ids=["empty", "half", "bytes", "list", "deep"],
)
def test_no_body(body: bytes, error: type[Exception]) -> None:
    """What no model could be asked is refused here."""
    with pytest.raises(error):
        read(body)


@pytest.mark.parametrize("model", ["main/flash-1", "main/models/x", "main/tunedModels/t"])
def test_untouched(model: str) -> None:
    """Under the provider's own name every byte of a body stays."""
    call = read(BODY, model=model)
    assert write_gemini_call(call, model.partition("/")[2]) is call.body


def test_untouched_under_another_name() -> None:
    """So it does where it does not repeat the name."""
    call = read(BODY)
    assert write_gemini_call(call, "flash-1") is call.body
    other = read(b'{"model": "models/other", "requests": [{"model": 5}, 7], "content": {}}', EMBED)
    assert write_gemini_call(other, "flash-1") is other.body


@pytest.mark.parametrize("name", ["flash", "models/flash", "main/flash", "models/main/flash"])
def test_renamed(name: str) -> None:
    """A body that repeats the caller's name of the model gets the provider's, wherever Google has one."""
    text = {"parts": [{"text": "flash"}], "model": name}
    for endpoint, body, expected in (
        (EMBED, {"model": name, "content": text}, {"model": "models/flash-1", "content": text}),
        (
            EMBED_BATCH,
            {"requests": [{"model": name, "content": text}, {"content": text}]},
            {"requests": [{"model": "models/flash-1", "content": text}, {"content": text}]},
        ),
        (
            COUNT,
            {"generateContentRequest": {"model": name, "contents": [text]}},
            {"generateContentRequest": {"model": "models/flash-1", "contents": [text]}},
        ),
    ):
        written = write_gemini_call(read(json.dumps(body).encode(), endpoint), "flash-1")
        assert json.loads(written) == expected


@pytest.mark.parametrize("name", ["fast", "models/fast"])
def test_renamed_where_a_slug_was_asked(name: str) -> None:
    """A name without an account is looked for as it is."""
    call = read(json.dumps({"model": name, "content": {}}).encode(), EMBED, model="fast")
    assert json.loads(write_gemini_call(call, "flash-1"))["model"] == "models/flash-1"
    assert write_gemini_call(call, "fast") is call.body


@settings(max_examples=examples(200))
@given(st.dictionaries(NAMES, JSON, max_size=5) | JSON)
def test_any_json(value: Any) -> None:
    """Whatever is sent is read or refused, and written as it came or as JSON."""
    try:
        call = read(json.dumps(value).encode(), EMBED_BATCH)
    except (InvalidBody, InvalidJson):
        return
    json.loads(write_gemini_call(call, "flash-1"))
