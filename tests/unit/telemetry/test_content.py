"""Prompts, replies and tools on a span: whole, masked, cut, and always JSON."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.endpoints import openai_content
from gateway.endpoints.catalogue import CHAT, COMPLETION
from gateway.endpoints.catalogue import MESSAGES as MESSAGES_ENDPOINT
from gateway.endpoints.content_parts import MAX_PARTS
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import ARRAY, GENERATE, STREAM
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_content import MAX_ITEMS
from gateway.model import Call, Endpoint
from gateway.telemetry import content as telemetry_content
from gateway.telemetry.content import MAX_REPLY_BYTES, ContentCapture, Trimmer, fit, share_out
from gateway.telemetry.redaction_presets import Pattern, preset
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.secrets_in_spans import Secrets, forms_of
from tests.rig.examples import examples
from tests.unit.makers import attributes_of

SAID: Final = {"role": "user", "content": "hi"}
REPLY: Final = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"}]
}
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
EMAIL: Final = Redactor([preset("email")])


def call_of(endpoint: Endpoint = CHAT, **members: Any) -> Call:
    body = json.dumps({"model": "a/b", "messages": [SAID], **members})
    return parse_call(endpoint, body.encode(), model=None, account=None)


def content(
    call: Call, *pieces: bytes, redactor: Redactor | None = None, max_bytes: int = 32_768
) -> dict[str, Any]:
    """The content attributes, the JSON of each read."""
    capture = ContentCapture(redactor or Redactor(), max_bytes=max_bytes)
    for piece in pieces:
        capture.keep(piece)
    data = capture.attributes(call)
    found = attributes_of(Span.FromString(data))
    texts = [value for value in found.values() if isinstance(value, str)]
    assert sum(len(text.encode()) for text in texts) <= max_bytes
    return {name: json.loads(value) if isinstance(value, str) else value for name, value in found.items()}


def reply(**members: Any) -> bytes:
    return json.dumps({**REPLY, **members}).encode()


def events(*texts: str) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    return b"".join([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks])


def test_chat() -> None:
    """What was asked, what was answered, and what could be called."""
    assert content(call_of(tools=[TOOL]), reply()) == {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "ho"}], "finish_reason": "stop"}
        ],
        "gen_ai.tool.definitions": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    }


@pytest.mark.parametrize("endpoint", [GENERATE, STREAM, ARRAY], ids=["whole", "events", "array"])
def test_google_s_dialect(endpoint: Endpoint) -> None:
    """So it is in a call of Google's, in all its forms; what ends the reply is among its parameters."""
    asked = {
        "contents": [{"parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"stopSequences": ["END"]},
    }
    said = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("h", "o")]
    said[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[assignment]  # of the text's kind only here
    whole = {"candidates": [{"content": {"parts": [{"text": "ho"}]}, "finishReason": "STOP"}]}
    pieces = {
        GENERATE.path: [json.dumps(whole).encode()],
        STREAM.path: [b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in said],
    }[endpoint.path]
    if endpoint is ARRAY:
        pieces = [mark + json.dumps(one).encode() for mark, one in zip((b"[", b",\r\n"), said, strict=True)]
    call = read_gemini_call(endpoint, json.dumps(asked).encode(), model="a/b")
    assert content(call, *pieces) == {
        "gen_ai.input.messages": [
            {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
            {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "ho"}], "finish_reason": "STOP"}
        ],
        "gen_ai.tool.definitions": [{"type": "function", "name": "f"}],
        "gen_ai.request.stop_sequences": ["END"],
    }


@pytest.mark.parametrize(
    ("stop", "shown", "is_cut"),
    [
        pytest.param("a", ["a"], False, id="one"),
        pytest.param(["a", "b"], ["a", "b"], False, id="some"),
        pytest.param(["s" * 300, "b"], ["s" * 256 + "…", "b"], True, id="a long one"),
        pytest.param(["a"] * 17, ["a"] * 16, True, id="many"),
        pytest.param(["s" * 200] * 16, None, True, id="more than their part of the room"),
        pytest.param("to a@b.co", ["to [REDACTED]"], False, id="masked"),
        pytest.param([], None, False, id="none"),
        pytest.param(None, None, False, id="null"),
        pytest.param(["a", 1], None, False, id="of another type"),
        pytest.param({"a": 1}, None, False, id="of no kind"),
        pytest.param("s" * 20_000, None, False, id="too long to look at"),
    ],
)
def test_stop_sequences(stop: Any, shown: list[str] | None, *, is_cut: bool) -> None:
    """Words of the caller, which may be the prompt's: recorded, masked and cut with them."""
    capture = ContentCapture(EMAIL, max_bytes=8_192)
    found = attributes_of(Span.FromString(capture.attributes(call_of(stop=stop))))
    assert found.get("gen_ai.request.stop_sequences") == shown
    assert ("gateway.content.truncated" in found) is is_cut


def test_completion() -> None:
    """The prompt is what the user said."""
    found = content(call_of(COMPLETION, prompt="once"), b'{"choices":[{"text":"upon"}]}')
    assert found["gen_ai.input.messages"] == [
        {"role": "user", "parts": [{"type": "text", "content": "once"}]}
    ]
    assert found["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "upon"}]


def test_stream() -> None:
    """The chunks add up, in bits of work that each end soon."""
    call = call_of(stream=True)
    capture = ContentCapture(Redactor(), max_bytes=32_768)
    for number in range(2_000):
        capture.keep(events(f"{number} "))
    steps = 0
    while not capture.work(call):
        steps += 1
    assert steps > 2
    (message,) = json.loads(
        attributes_of(Span.FromString(capture.attributes(call)))["gen_ai.output.messages"]
    )
    assert message["parts"][0]["content"].split() == [str(number) for number in range(2_000)]


def test_call_without_an_answer() -> None:
    """What was asked stands there all the same."""
    assert set(content(call_of())) == {"gen_ai.input.messages"}


def test_another_attempt_begins_anew() -> None:
    """Half an answer of the first is not the beginning of the second's."""
    call = call_of(stream=True)
    capture = ContentCapture(Redactor(), max_bytes=1_000)
    capture.keep(events("wrong"))
    capture.restart()
    capture.keep(events("right"))
    assert capture.held_bytes == len(events("right"))
    assert b"wrong" not in capture.attributes(call)


def test_given_up() -> None:
    """It says that there was something."""
    capture = ContentCapture(Redactor(), max_bytes=1_000)
    capture.keep(reply())
    capture.give_up()
    assert attributes_of(Span.FromString(capture.attributes(call_of()))) == {"gateway.content.dropped": True}
    assert capture.held_bytes == 0


def test_long_reply_is_looked_at_in_part() -> None:
    """Of a stream its beginning stays; memory is bounded."""
    capture = ContentCapture(Redactor(), max_bytes=1_000)
    capture.keep(events("begin"))
    for _ in range(30):
        capture.keep(events("x" * 100_000))
    assert capture.held_bytes <= MAX_REPLY_BYTES
    found = attributes_of(Span.FromString(capture.attributes(call_of(stream=True))))
    assert found["gateway.content.truncated"] is True
    assert json.loads(found["gen_ai.output.messages"])[0]["parts"][0]["content"].startswith("begin")


# -- masking


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        pytest.param(call_of(messages=[{"role": "user", "content": "to a@b.co"}]), reply(), id="asked"),
        pytest.param(
            call_of(messages=[{"role": "user", "content": [{"type": "text", "text": "a@b.co"}]}]),
            reply(),
            id="asked in parts",
        ),
        pytest.param(
            call_of(),
            reply(choices=[{"message": {"role": "assistant", "content": "a@b.co"}}]),
            id="answered",
        ),
        pytest.param(call_of(stream=True), events("a@", "b.", "co"), id="streamed in pieces"),
        pytest.param(
            call_of(
                messages=[
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "function": {
                                    "name": "f",
                                    "arguments": '{"to":["a@b.co"],"a@b.co":{"x":"a@b.co"}}',
                                }
                            }
                        ],
                    }
                ]
            ),
            reply(),
            id="called with",
        ),
        pytest.param(
            call_of(messages=[{"role": "user", "content": "x", "name": "a@b.co"}]), reply(), id="name"
        ),
        pytest.param(
            call_of(tools=[{"type": "function", "function": {"name": "f", "description": "a@b.co"}}]),
            reply(),
            id="tool",
        ),
        pytest.param(
            call_of(
                messages=[
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a@b.co/"}}],
                    }
                ]
            ),
            reply(),
            id="link",
        ),
        pytest.param(
            call_of(messages=[{"role": "user", "content": "x" * 40_000 + " a@b.co"}] * 3), reply(), id="cut"
        ),
    ],
)
def test_masked_wherever_it_stands(call: Call, answer: bytes) -> None:
    """Before anything leaves: texts, keys and arguments, also where a stream split them."""
    found = content(call, answer, redactor=EMAIL)
    assert "a@b.co" not in json.dumps(found)


def test_number_is_masked() -> None:
    """A card's number may be written as one."""
    call = call_of(
        messages=[
            {
                "role": "assistant",
                "tool_calls": [
                    {"function": {"name": "f", "arguments": '{"card":4111111111111111,"n":3,"b":true}'}}
                ],
            }
        ]
    )
    (message,) = content(call, redactor=Redactor([preset("visa")]))["gen_ai.input.messages"]
    assert message["parts"][0]["arguments"] == {"card": "[REDACTED]", "n": 3, "b": True}


@pytest.mark.parametrize("offset", range(-30, 31, 3))
def test_cut_never_falls_into_what_is_masked(offset: int) -> None:
    """A text is masked beyond its cut, so no half of a secret is left at its end."""
    text = "x" * (4_000 + offset) + " secretsecret@example.org " + "y" * 60_000
    call = call_of(messages=[{"role": "user", "content": text}])
    found = json.dumps(content(call, redactor=EMAIL, max_bytes=4_096))
    assert "secretsecret@" not in found
    assert "secret@exam" not in found


def test_masks_longer_than_what_they_mask() -> None:
    """The limit holds for what is written."""
    redactor = Redactor([Pattern(re.compile("x"), "LONG MASK ")])
    call = call_of(messages=[{"role": "user", "content": "x" * 5_000}])
    found = content(call, redactor=redactor, max_bytes=2_000)
    assert found["gateway.content.truncated"] is True


def test_pattern_without_end_drops_the_content() -> None:
    """And only that."""
    redactor = Redactor([Pattern(re.compile(r"(a+)+b"), "x")], are_bounded=False)
    call = call_of(messages=[{"role": "user", "content": "a" * 64}])
    assert content(call, redactor=redactor) == {"gateway.content.dropped": True}
    assert redactor.is_spent


# -- cutting


def test_long_conversation_loses_its_middle() -> None:
    """A megabyte in 500 messages: the first and the newest stay, in order, whole."""
    said = [{"role": "user", "content": f"{number} " + "word " * 400} for number in range(500)]
    call = call_of(messages=said)
    assert call.body_bytes > 1_000_000
    found = content(call, reply())
    numbers = [int(one["parts"][0]["content"].split()[0]) for one in found["gen_ai.input.messages"]]
    assert numbers[0] == 0
    assert numbers[1:] == list(range(numbers[1], 500))
    assert len(numbers) > 10
    assert found["gateway.content.truncated"] is True
    assert found["gen_ai.output.messages"][0]["parts"] == [{"type": "text", "content": "ho"}]


def test_only_what_is_shown_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a long conversation is that of its shown part."""
    sizes = [2_000] * 500
    read: list[int] = []

    def one(index: int) -> dict[str, Any]:
        read.append(index)
        return {"role": "user", "parts": [{"type": "text", "content": "x" * 2_000}]}

    trimmer = Trimmer(None)
    data = fit(sizes, one, 10_000, trimmer)
    assert trimmer.is_cut
    assert len(read) < 12
    assert len(data) <= 10_000


def test_one_long_text_loses_its_end() -> None:
    """Whatever its letters take."""
    for letter in ("x", '"', "ü", "漢", "\x01", "\U0001f600"):
        call = call_of(messages=[{"role": "user", "content": letter * 100_000}])
        found = content(call, reply(), max_bytes=8_192)
        text = found["gen_ai.input.messages"][0]["parts"][0]["content"]
        assert text.endswith("…")
        assert text.count(letter) > 500
        assert found["gateway.content.truncated"] is True


@pytest.mark.parametrize("letter", ["x", '"', "漢", "\U0001f600"])
@pytest.mark.parametrize("before", [[], [SAID] * 3], ids=["alone", "the last of some"])
def test_one_long_text_has_all_the_room(before: list[Any], letter: str) -> None:
    """What the others do not need; whatever its letters take."""
    call = call_of(messages=[*before, {"role": "user", "content": letter * 100_000}])
    found = content(call, reply(), max_bytes=8_192)
    assert len(json.dumps(found, ensure_ascii=False).encode()) > 7_400


@pytest.mark.parametrize("text", ["x", "y" * 40, "z" * 4_000])
def test_message_of_very_many_parts(text: str) -> None:
    """As many of the first parts as fit, and more than half of the room used."""
    parts = [{"type": "text", "text": f"{number} {text}"} for number in range(10_000)]
    found = content(call_of(messages=[{"role": "user", "content": parts}]), reply(), max_bytes=8_192)
    (message,) = found["gen_ai.input.messages"]
    # The last one may itself be cut.
    shown = [int(part["content"].split()[0]) for part in message["parts"][:-1]]
    assert shown == list(range(len(shown)))
    assert len(shown) > 40
    assert len(json.dumps(message)) > 4_096
    assert found["gateway.content.truncated"] is True


def test_more_parts_than_are_looked_at_are_cut() -> None:
    """Also where there is room: what was not looked at is said to be left out."""
    calls = [{"type": "unknown"}] * (MAX_PARTS + 1)
    call = call_of(messages=[{"role": "user", "content": calls}])
    assert content(call, max_bytes=1_000_000)["gateway.content.truncated"] is True


def test_more_messages_than_are_looked_at_are_cut() -> None:
    """The first and the newest stay."""
    said = [{"role": "user", "content": str(number)} for number in range(MAX_ITEMS + 10)]
    found = content(call_of(messages=said), max_bytes=1_000_000)
    numbers = [int(one["parts"][0]["content"]) for one in found["gen_ai.input.messages"]]
    assert numbers == [0, *range(11, MAX_ITEMS + 10)]
    assert found["gateway.content.truncated"] is True


def test_text_is_masked_once() -> None:
    """However often a message is made shorter: masking is what costs."""
    masked: list[str] = []

    def mask(text: str) -> str:
        masked.append(text)
        return text

    value = {"role": "user", "parts": [{"type": "text", "content": "\U0001f600" * 9_000}] * 5}
    assert fit([200_000], lambda _: value, 8_192, Trimmer(mask))
    assert len([text for text in masked if len(text) > 1_000]) == 5


def test_what_fits_is_whole() -> None:
    """Nothing is cut, or said to be, below the limit."""
    call = call_of(messages=[{"role": "user", "content": "x" * 20_000}, SAID])
    found = content(call, reply())
    assert len(found["gen_ai.input.messages"][0]["parts"][0]["content"]) == 20_000
    assert "gateway.content.truncated" not in found


def test_many_tools_do_not_crowd_out_what_was_said() -> None:
    """Each kind has its share of the room."""
    tools = [
        {"type": "function", "function": {"name": f"f{number}", "description": "d" * 500}}
        for number in range(200)
    ]
    found = content(call_of(tools=tools), reply(), max_bytes=8_192)
    assert found["gen_ai.input.messages"][0]["parts"][0]["content"] == "hi"
    assert found["gen_ai.output.messages"][0]["parts"][0]["content"] == "ho"
    assert 2 < len(found["gen_ai.tool.definitions"]) < 20


def test_picture_costs_nothing() -> None:
    """Megabytes of base64 are told, not shown."""
    url = "data:image/png;base64," + "A" * 1_000_000
    call = call_of(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    (message,) = content(call, reply())["gen_ai.input.messages"]
    assert message["parts"] == [
        {
            "type": "blob",
            "modality": "image",
            "mime_type": "image/png",
            "content": "",
            "base64_bytes": len(url),
        }
    ]


@pytest.mark.parametrize(
    ("total", "needs", "shares"),
    [
        (90, [100, 100, 100], [30, 30, 30]),
        (90, [10, 100, 100], [10, 40, 40]),
        (90, [10, 20, 100], [10, 20, 60]),
        (90, [10, 20, 30], [20, 30, 40]),
        (90, [0, 0, 0], [30, 30, 30]),
    ],
)
def test_room_is_shared_out(total: int, needs: list[int], shares: list[int]) -> None:
    """Who needs little leaves the rest to the others, and no more than all is given."""
    assert share_out(total, needs) == shares
    assert sum(shares) <= total


JSON_VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=examples(60))
@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["user", "tool", "assistant"]), "content": JSON_VALUES}
        ),
        max_size=6,
    ),
    JSON_VALUES,
    st.integers(min_value=1, max_value=3_000),
)
def test_any_content_is_json_within_its_limit(messages: Any, value: Any, limit: int) -> None:
    """Whatever was said, whatever the room; `content` checks both."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": value}}]
    arguments = {"function": {"name": "f", "arguments": json.dumps(value)}}
    answer = reply(choices=[{"message": {"role": "assistant", "content": value, "tool_calls": [arguments]}}])
    for redactor in (Redactor(), EMAIL):
        content(call_of(messages=messages, tools=tools), answer, redactor=redactor, max_bytes=limit)


CREDENTIALS: Final = (b"long-enough-secret", b'a"quote\\and-more', "ключ-и-ещё".encode(), b"12345678")
WORDS: Final = [form for credential in CREDENTIALS for form in forms_of([credential])]
SAYABLE: Any = st.recursive(
    st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.text(max_size=200)
    | st.sampled_from([*WORDS, *(f"say {word}!" for word in WORDS), 12345678, "x" * 900, "\ud800"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", *WORDS]), inner),
    max_leaves=12,
)


@given(
    st.lists(st.fixed_dictionaries({"role": st.just("user"), "parts": SAYABLE}), min_size=1, max_size=6),
    st.lists(st.sampled_from(CREDENTIALS), max_size=2),
    st.integers(min_value=2, max_value=20_000),
)
def test_what_is_shown_as_it_is_needs_no_mask_and_no_cut(
    messages: list[Any], credentials: list[bytes], limit: int
) -> None:
    """Whatever is looked at as a whole comes out as it does text by text."""
    secrets = Secrets(forms_of(credentials))
    by_text, as_whole = Trimmer(secrets.hide_keys), Trimmer(secrets.hide_keys, secrets.spares)
    sizes = [len(repr(message)) for message in messages]
    assert fit(sizes, messages.__getitem__, limit, as_whole) == fit(
        sizes, messages.__getitem__, limit, by_text
    )
    assert as_whole.is_cut is by_text.is_cut


TEXTS: Any = st.text(max_size=40) | st.sampled_from([*WORDS, "x" * 900, "write to anna@example.com"])
PARTS: Any = st.lists(
    st.builds(lambda text: {"type": "text", "text": text, "cache_control": None}, TEXTS)
    | st.sampled_from([{"type": "text"}, "a", {"type": "image_url", "image_url": {"url": "https://a/b"}}]),
    max_size=3,
)
MESSAGES: Any = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "system", "developer", "assistant", "tool", 7])},
    optional={
        "content": TEXTS | PARTS | st.none(),
        "name": st.sampled_from([None, "anna"]),
        "refusal": st.sampled_from([None, "", "no"]),
        "reasoning_content": st.sampled_from([None, "hm"]),
        "tool_calls": st.sampled_from(
            [None, [], [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]]
        ),
        "annotations": st.just([]),
    },
)


@settings(max_examples=examples(200))
@given(
    st.sampled_from([CHAT, MESSAGES_ENDPOINT]),
    st.lists(MESSAGES, max_size=4),
    MESSAGES,
    st.fixed_dictionaries(
        {},
        optional={
            "system": TEXTS | PARTS | st.none(),
            "stop": st.sampled_from([None, "x"]),
            "stop_sequences": st.just(["y"]),
            "tools": st.sampled_from([[], [TOOL]]),
        },
    ),
    st.sampled_from([None, "stop", 7, *WORDS, "anna@example.com"]),
    st.lists(st.sampled_from(CREDENTIALS), max_size=2),
    st.integers(min_value=2, max_value=20_000),
    st.sampled_from([Redactor(), EMAIL]),
)
def test_a_plain_talk_is_shown_as_any_other(
    endpoint: Endpoint,
    messages: list[Any],
    answered: dict[str, Any],
    members: dict[str, Any],
    reason: object,
    credentials: list[bytes],
    limit: int,
    redactor: Redactor,
) -> None:
    """What is read in one go comes out as part by part, and what is more than texts is left to that."""
    if endpoint is CHAT:
        answer: dict[str, object] = {"choices": [{"message": answered, "finish_reason": reason}]}
    else:
        answer = {**answered, "stop_reason": reason}
    call = call_of(endpoint, messages=messages, **members)
    secrets = Secrets(forms_of(credentials))
    found = []
    for plain_bytes in (1 << 20, 0):
        # With little room a mask that is longer than what it masks may be cut by one of them.
        capture = ContentCapture(redactor, max_bytes=limit + (20_000 if redactor else 0))
        capture.keep(json.dumps(answer).encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(telemetry_content, "_PLAIN_BYTES", plain_bytes)
            found.append(capture.attributes(call, secrets))
    assert found[0] == found[1]


@pytest.mark.parametrize("is_stream", [True, False])
def test_what_cannot_be_shown_costs_no_spans(
    is_stream: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By a mistake of ours: the span is recorded without it, and somebody is told."""

    def fail(*_: object) -> None:
        raise KeyError("content")

    monkeypatch.setattr(openai_content.StreamAssembler, "feed", fail)
    monkeypatch.setattr(telemetry_content, "_Listed", fail)
    call = call_of(stream=is_stream, tools=[TOOL])
    assert content(call, events("a") if is_stream else reply()) == {"gateway.content.dropped": True}
    assert "cannot be shown" in caplog.text


def test_a_plain_talk_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the comparison above compares two ways."""

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(telemetry_content, "_Listed", refuse)
    assert "gen_ai.output.messages" in content(call_of(), reply())


def test_deep_and_wide_values_are_bounded() -> None:
    """Arguments nested or spread without end cost no more than others."""
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    wide = {str(number): number for number in range(50_000)}
    for value in (deep, wide):
        tool_call = {"function": {"name": "f", "arguments": json.dumps(value)}}
        call = call_of(messages=[{"role": "assistant", "tool_calls": [tool_call]}])
        assert content(call)["gateway.content.truncated"] is True
