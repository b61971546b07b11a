"""No credential is on any span, whoever wrote it where."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

import pytest

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Plan, RouteFacts, TraceContext, Usage
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import TelemetryPlan
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.secrets_in_spans import (
    SECRET_HEADERS,
    KnownSecrets,
    Secrets,
    forms_of,
    keys_of,
    mask_keys,
    secrets_of_call,
    show_masked,
)
from gateway.telemetry.span_encoding import SpanEncoder
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import TARGET, attributes_of, make_call, make_caller, read_span
from tests.unit.telemetry.traces import add_attempt, make_answered_trace, make_planned_trace, make_trace

CANARY: Final = "canary-app-token"
PROVIDER_CANARY: Final = "canary-provider-key"
HEADERS: Final = FakeHeaders(
    [("authorization", f"Bearer {CANARY}"), ("x-api-key", CANARY), ("x-team", CANARY), ("x-other", "x")]
)
PLAN: Final = TelemetryPlan(
    captured_headers=("x-team",),
    has_tfy_names=True,
    has_old_names=True,
)
LEAKY: Final = dataclasses.replace(
    TARGET, headers=(("authorization", f"Bearer {PROVIDER_CANARY}"), ("x-tenant", "acme"))
)


def encoded(trace: Any) -> bytes:
    call = encode_call(trace)
    for segments in call.spans:
        read_span(segments)
    return b"".join([part for segments in call.spans for part in (segments.plain, segments.content)])


def failed(message: str, **changes: Any) -> Any:
    trace = make_planned_trace(LEAKY)
    for name, value in {"headers": HEADERS, **changes}.items():
        setattr(trace, name, value)
    attempt = add_attempt(trace, LEAKY)
    attempt.failed("upstream_bad_reply", message)
    trace.failed("upstream_bad_reply", message)
    trace.responded(502)
    return trace


def noted() -> Any:
    trace = make_answered_trace()
    trace.headers = HEADERS
    trace.notes = CallNotes(metadata={"key": CANARY, CANARY: "x"}, conversation_id=CANARY)
    return trace


def by_route(name: str, key: str) -> Any:
    """A call whose route sends a key of its own, which the provider gives back as an id."""
    trace = make_answered_trace(dataclasses.replace(TARGET, headers=(("authorization", f"Bearer {key}"),)))
    trace.plan = Plan((TARGET,), (TARGET.name,), route=RouteFacts(name, "weight-based-routing"))
    trace.attempts[0].response_id = key
    return trace


def unknown_path() -> Any:
    trace = make_trace(endpoint=None, route="", path="/v1/sk-canaryapptoken1234/x", headers=HEADERS)
    trace.failed("path_not_found", "no such path")
    trace.responded(404)
    return trace


def unknown_model() -> Any:
    trace = make_trace(headers=HEADERS)
    trace.caller = make_caller()
    trace.call = make_call(model="sk-canaryapptoken1234")
    trace.failed("model_not_found", "no such model")
    trace.responded(404)
    return trace


def recorded(text: str) -> Any:
    messages = [{"role": "user", "content": text}]
    trace = make_answered_trace(messages=messages, tools=[{"function": {"name": "f", "description": text}}])
    trace.headers = HEADERS
    trace.telemetry = PLAN
    trace.content = ContentCapture(Redactor(), max_bytes=10_000)
    trace.attempts[0].target = LEAKY
    answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    trace.content.keep(json.dumps(answer).encode())
    return trace


def echoed() -> Any:
    trace = make_planned_trace(LEAKY)
    attempt = add_attempt(trace, LEAKY)
    attempt.status_code = 200
    attempt.answered(
        ReplyFacts(PROVIDER_CANARY, PROVIDER_CANARY, (PROVIDER_CANARY,), Usage(1, 1, "provider"))
    )
    trace.responded(200)
    return trace


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(failed(f"it said {CANARY} and Bearer {CANARY}"), id="the caller's in an exception"),
        pytest.param(
            failed(f"it said {PROVIDER_CANARY}", telemetry=PLAN), id="the provider's in an exception"
        ),
        pytest.param(noted(), id="metadata and conversation"),
        pytest.param(failed("x", telemetry=PLAN), id="captured header"),
        pytest.param(recorded(f"my key is {CANARY}, yours {PROVIDER_CANARY}"), id="prompt, reply and tool"),
        pytest.param(echoed(), id="the provider's in its reply"),
        pytest.param(unknown_path(), id="path"),
        pytest.param(unknown_model(), id="model"),
    ],
)
def test_canaries(trace: Any) -> None:
    """Each span is still whole, and the canary on none; nor in the store's row."""
    assert b"canary" not in encoded(trace)
    assert "canary" not in str(encode_call(trace).row)


def sent(token: str, *more: tuple[str, str], trace: CallTrace | None = None) -> CallTrace:
    """A good call of whoever has this token."""
    trace = make_answered_trace() if trace is None else trace
    trace.headers = FakeHeaders([("authorization", f"Bearer {token}"), *more])
    return trace


def wrote(**members: Any) -> CallTrace:
    return sent(CANARY, trace=make_answered_trace(**members))


def with_agent(text: str) -> CallTrace:
    trace = sent(CANARY)
    trace.user_agent = text
    return trace


def with_state(state: str) -> CallTrace:
    return sent(CANARY, trace=make_answered_trace(parent=TraceContext(b"P" * 16, b"Q" * 8, 1, state)))


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(wrote(stop=[CANARY, "x"]), id="stop"),
        pytest.param(wrote(reasoning_effort=CANARY), id="effort"),
        pytest.param(wrote(encoding_format="x " + CANARY), id="encoding"),
        pytest.param(with_agent(f"agent/1 ({CANARY})"), id="user agent"),
        pytest.param(with_agent("u" * 250 + CANARY), id="user agent that is cut within it"),
        pytest.param(with_state(f"a=1,b={CANARY}"), id="trace state"),
        pytest.param(with_state(f"{CANARY}=1,a=1"), id="key of a trace state"),
    ],
)
def test_canaries_of_good_calls(trace: CallTrace) -> None:
    """Whatever a caller writes, its own token is on no span; what stands beside it is."""
    assert b"canary" not in encoded(trace)
    assert len(encoded(trace)) > len(encoded(make_answered_trace())) - 40


def test_state_keeps_its_other_members() -> None:
    """A mask is no value of theirs, so the member goes."""
    server, _ = encode_call(with_state(f"a=1,b={CANARY},c=2")).spans
    assert read_span(server).trace_state == "a=1,c=2"


def test_parts_that_are_kept_are_kept_for_each_secret() -> None:
    """What another caller may write is not what this one may: the same words, two tokens."""
    encoder = SpanEncoder()
    agent = "canary-app-token canary-other-token"
    found = []
    for token in ("canary-app-token", "canary-other-token", "canary-app-token"):
        trace = sent(token, trace=make_answered_trace(reasoning_effort=agent))
        trace.user_agent = agent
        server, client = map(read_span, encode_call(trace, encoder).spans)
        found.append(
            (
                attributes_of(server)["user_agent.original"],
                attributes_of(client)["gen_ai.request.reasoning.level"],
            )
        )
    first, second = "*** canary-other-token", "canary-app-token ***"
    assert found == [(first, first), (second, second), (first, first)]


@pytest.mark.parametrize(
    "token",
    ["http.response.status_code", "gen_ai.request.model", "small-1-0125", "POST /v1/chat/completions"],
)
def test_names_are_not_masked(token: str) -> None:
    """A token that equals an attribute's name, or what the configuration says, changes nothing of ours."""
    of_token, plain = (
        [attributes_of(read_span(span)) for span in encode_call(trace).spans]
        for trace in (sent(token), make_answered_trace())
    )
    assert [set(one) for one in of_token] == [set(one) for one in plain]
    assert of_token[1]["gen_ai.request.model"] == "small-1"


def test_ids_are_not_masked() -> None:
    """Nor does one that equals an id, in an error either."""
    parent = TraceContext(b"abcdefghijklmnop", b"12345678", 1)
    for trace in (make_answered_trace(parent=parent), failed("x")):
        trace.trace_id, trace.parent = parent.trace_id, parent
        for token in ("abcdefghijklmnop", "12345678", "SSSSSSSS"):
            for span in map(read_span, encode_call(sent(token, trace=trace)).spans):
                assert span.trace_id == parent.trace_id
                assert span.parent_span_id in (b"12345678", b"S" * 8)


QUOTED: Final = 'canary"quo\\te-1234'


@pytest.mark.parametrize("token", [QUOTED, "canary/slash&<é>-1"])
def test_tokens_that_json_escapes(token: str) -> None:
    """In prompts, arguments of tools and metadata; a header is Latin-1 and a body UTF-8."""
    header = token.encode().decode("latin-1")
    call = {"function": {"name": "f", "arguments": json.dumps({"key": token}, ensure_ascii=False)}}
    broken = {"function": {"name": "f", "arguments": json.dumps({"key": token})[:-1]}}
    messages = [{"role": "assistant", "content": f"my {token}!", "tool_calls": [call, broken]}]
    trace = sent(header, trace=make_answered_trace(messages=messages, stop=[token]))
    trace.content = ContentCapture(Redactor(), max_bytes=10_000)
    trace.notes = CallNotes(metadata={"key": token})
    data = encoded(trace)
    assert b"canary" not in data
    assert b"my ***!" in data


def test_provider_keys_are_known() -> None:
    """Those of other accounts too, wherever they turn up: they are configured here."""
    plan = TelemetryPlan(known=KnownSecrets(keys_of([LEAKY])))
    trace = recorded(f"is it {PROVIDER_CANARY}")
    trace.attempts[0].target = TARGET
    trace.telemetry = plan
    trace.user_agent = PROVIDER_CANARY
    assert b"canary" not in encoded(trace)


@pytest.mark.parametrize("path", [f"/v1/{CANARY}", f"/{CANARY}/x", f"/v1/a={CANARY};b"])
def test_tokens_of_others_are_known_by_their_hash(path: str) -> None:
    """A token in the wrong place, sent by whom it does not identify."""
    known = KnownSecrets(is_token=lambda word: word == CANARY)
    trace = make_trace(endpoint=None, route="", path=path, telemetry=TelemetryPlan(known=known))
    trace.failed("path_not_found", "no such path")
    trace.responded(404)
    assert b"canary" not in encoded(trace)


def test_row_has_no_secret() -> None:
    """The store shows the model as asked, which may be anything while it does not exist."""
    trace = sent(CANARY, trace=make_trace())
    trace.call = make_call(model=f"fake/{CANARY}")
    row = encode_call(trace).row
    assert row is not None
    assert row.model == "fake/***"


@pytest.mark.parametrize(
    ("header", "forms"),
    [
        (b"Bearer abcdefgh", ("abcdefgh",)),
        (b"abcdefgh", ("abcdefgh",)),
        (b"abc", ()),
        (b"a=b; c=defg", ("a=b; c=defg",)),
        (b"sid=abcdefgh; c=d", ("sid=abcdefgh; c=d", "abcdefgh")),
        (b'Bearer abc"defgh', ('abc\\"defgh', 'abc"defgh')),
        (
            "Bearer é-abcdefg".encode(),
            (r"\u00c3\u00a9-abcdefg", r"\u00e9-abcdefg", "Ã©-abcdefg", "é-abcdefg"),
        ),
    ],
    ids=["scheme", "no scheme", "short", "cookie of short values", "cookie", "escaped", "UTF-8"],
)
def test_forms(header: bytes, forms: tuple[str, ...]) -> None:
    """Without the scheme, the longest first; short ones are words."""
    assert forms_of([header]) == forms


def test_a_document_is_spared_only_if_no_text_in_it_would_be_masked() -> None:
    """A key that JSON writes otherwise cannot be looked for in it: then nothing is spared."""
    plain, escaped = Secrets(forms_of([CANARY.encode()])), Secrets(forms_of([b'quoted"canary']))
    assert plain.spares('["hello"]')
    assert not plain.spares(json.dumps([f"it is {CANARY}"]))
    assert not escaped.spares('["hello"]')
    assert not Secrets((), KnownSecrets((*keys_of([TARGET]), "back\\slash"))).spares('["hello"]')


def test_secrets_of_a_request() -> None:
    """Every header that may hold one."""
    headers = FakeHeaders(
        [("authorization", "Bearer abcdefgh"), ("x-api-key", "ijklmnopq"), ("x-team", "abc")]
    )
    sent = headers.raw(SECRET_HEADERS)
    assert secrets_of_call(sent, ()).forms == ("ijklmnopq", "abcdefgh")


def test_secrets_of_a_target() -> None:
    """Its credentials; a header that is none (`x-tenant: acme`) may be a word of any reply."""
    assert keys_of([LEAKY]) == (PROVIDER_CANARY,)
    assert secrets_of_call((None,), [LEAKY]).hide(f"a {PROVIDER_CANARY} b") == "a *** b"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/v1/chat/sk-abcdefghijklmnop1234", "/v1/chat/[REDACTED]"),
        ("/v1/" + "ghp_" + "a1" * 18, "/v1/[REDACTED]"),
        ("/v1/models/gpt-4o", "/v1/models/gpt-4o"),
    ],
)
def test_keys_by_their_form(text: str, masked: str) -> None:
    """Where a caller writes freely, what looks like a key is masked."""
    assert mask_keys(text) == masked


def test_a_text_of_any_length() -> None:
    """A name of 5 MB is not looked through: that would hold up every other call of the worker."""
    looked_at = []

    def hide(text: str) -> str:
        looked_at.append(len(text))
        return text

    assert show_masked("a/" * 2_500_000, hide, 256) == "a/" * 128
    assert looked_at == [256 + 8192]
    assert show_masked("short", hide, 256) == "short"


@pytest.mark.parametrize("secret", [CANARY, "sk-" + "a1" * 120, "b" * 8000], ids=["token", "key", "longest"])
@pytest.mark.parametrize("before", [0, 100, 250, 8440])
def test_no_half_of_a_credential(secret: str, before: int) -> None:
    """Wherever the text is cut, and however short masks make what stands before."""
    hide = Secrets(forms_of([secret.encode()])).hide
    for text in ("." * before + f"{secret} " * 200, "." * before + secret, secret + "." * before + secret):
        assert secret[:8] not in show_masked(text, hide, 256)


def test_values_that_are_no_credentials() -> None:
    """What is longer than any key has no forms: looking for them would cost more than the call."""
    assert forms_of([b"Bearer " + b"x" * 10_000]) == ()
    assert forms_of([b"Bearer " + b"x" * 1_000])


@pytest.mark.parametrize("is_retried", [False, True], ids=["by shape", "by parts"])
def test_one_target_with_another_key_by_each_route(*, is_retried: bool) -> None:
    """What one route puts into its headers is masked where it was sent, whatever another one sends."""
    encoder = SpanEncoder()
    for number in range(2):
        trace = by_route(f"vm/{number}", f"{PROVIDER_CANARY}-{number}")
        if is_retried:
            add_attempt(trace)
        encoded = b"".join([segments.plain for segments in encode_call(trace, encoder).spans])
        assert PROVIDER_CANARY.encode() not in encoded
