"""What providers get wrong.

Before the first byte the client gets a proper error; after it an error event and no `[DONE]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import pytest
from openai import BadRequestError, OpenAI

from tests.rig import behaviours
from tests.rig.behaviours import HTML, STRAY_TEXT, STREAM_ERROR, TEXT, error_body, stream_of
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import APP_TOKEN, SCRIPTED, chat, standard_documents, trace_id_of
from tests.rig.raw_http import Reply, assert_error, events
from tests.rig.until import until

UNREACHABLE = (502, "upstream_error", "upstream_unreachable", "upstream")
BAD_REPLY = (502, "upstream_error", "upstream_bad_reply", "upstream")
TIMEOUT = (504, "timeout_error", "upstream_timeout", "upstream")


def attempt_spans(gateway: GatewayProcess, reply: Reply) -> list[dict[str, object]]:
    """The CLIENT spans of a call."""
    return [span for span in gateway.trace(trace_id_of(reply))["spans"] if span["kind"] == "CLIENT"]


NO_ANSWER: Final = {
    "down/refused": UNREACHABLE,
    "fake/reset-before-head": UNREACHABLE,
    "fake/close-before-head": UNREACHABLE,
    "fake/html-200": BAD_REPLY,
    "fake/html-502": BAD_REPLY,
    "fake/text-500": BAD_REPLY,
    "fake/empty-200": BAD_REPLY,
    "fake/not-json-200": BAD_REPLY,
    "fake/error-in-200": BAD_REPLY,
    "fake/no-content": BAD_REPLY,
    "fake/redirect-html": BAD_REPLY,
    "fake/redirect-json": BAD_REPLY,
    "fake/twice-content-length": BAD_REPLY,
    "fake/not-http": BAD_REPLY,
}
REFUSED: Final = {f"fake/error-{status}": status for status in (400, 401, 403, 404, 429, 500)}
EITHER: Final = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def replies(
    shared_gateway: GatewayProcess, upstream_server: FakeUpstream
) -> Mapping[tuple[str, bool], Reply]:
    """To a call of each model that fails so, at once: its trace can be read half a second later."""
    found = {
        (model, stream): chat(shared_gateway, model, stream=stream)
        for model in (*NO_ANSWER, *REFUSED)
        for stream in (False, True)
    }
    assert upstream_server.violations == []
    return found


@EITHER
@pytest.mark.parametrize(("model", "expected"), NO_ANSWER.items(), ids=NO_ANSWER.keys())
def test_no_answer_becomes_an_error(
    gateway: GatewayProcess,
    replies: Mapping[tuple[str, bool], Reply],
    model: str,
    expected: tuple[int, str, str, str],
    *,
    stream: bool,
) -> None:
    """Each has its status, type and code; the provider's page is not in the answer."""
    reply = replies[model, stream]
    if model in ("fake/twice-content-length", "fake/not-http") and reply.status == 502:
        # Broken HTTP is either no answer or a bad one.
        assert reply.json["error"]["code"] in ("upstream_unreachable", "upstream_bad_reply")
    else:
        assert_error(reply, *expected)
    assert b"canary" not in reply.body
    assert b"the provider broke" not in reply.body
    assert reply.header("x-tfy-resolved-model") == model
    (span,) = attempt_spans(gateway, reply)
    assert span["status"] == {"code": "ERROR", "message": span["status"]["message"]}  # type: ignore[index]
    assert span["attributes"]["error.type"] == reply.json["error"]["code"]  # type: ignore[index]


@pytest.mark.parametrize("model", ["fake/reset-mid-body"])
def test_whole_reply_cut_in_its_middle(gateway: GatewayProcess, model: str) -> None:
    """Half an answer is none."""
    assert chat(gateway, model).status == 502


@pytest.mark.parametrize(
    "model",
    ["fake/empty-stream", "fake/error-first", "fake/reset-after-head", "fake/whole-instead-of-stream"],
)
def test_stream_that_never_begins_is_an_error(gateway: GatewayProcess, model: str) -> None:
    """Nothing has been sent, so the client gets a real status and JSON, not 200 and an event."""
    reply = chat(gateway, model, stream=True)
    assert reply.status == 502, reply.body
    assert reply.json["error"]["source"] == "upstream"
    assert b"the provider broke" not in reply.body


def test_stream_that_fails_before_content_is_an_error(gateway: GatewayProcess) -> None:
    """The role alone is no content: it is held back, so that a failure right after it still has a status."""
    reply = chat(gateway, "fake/error-after-role", stream=True)
    assert reply.status == 502, reply.body


def test_a_response_that_is_too_long(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """OpenAI begins a stream and then says so; who called is told as if it had not begun."""
    error = {
        "type": "invalid_request_error",
        "code": "context_length_exceeded",
        "message": "Your input is long.",
    }
    told: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r", "status": "in_progress"}},
        {"type": "error", "sequence_number": 2, "error": {**error, "param": "input"}},
        {"type": "response.failed", "response": {"id": "r", "status": "failed", "error": error}},
    ]
    written = [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told]
    upstream.play(SCRIPTED, stream_of(*written))
    client = OpenAI(base_url=gateway.base_url, api_key=APP_TOKEN, max_retries=2)
    with pytest.raises(BadRequestError) as caught:
        client.responses.create(model=f"fake/{SCRIPTED}", input="a long text", stream=True)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    assert len(upstream.exchanges) == 1
    client.close()


@pytest.mark.parametrize("model", ["fake/cut-clean", "fake/cut-close", "fake/cut-reset"])
def test_cut_stream_never_looks_complete(gateway: GatewayProcess, model: str) -> None:
    """The client gets an error event and no `[DONE]`; the spans say ERROR, the usage partial."""
    reply = chat(gateway, model, stream=True)
    assert reply.status == 200
    found = events(reply.body)
    assert "[DONE]" not in found
    error = json.loads(found[-1])["error"]
    assert error["type"] == "upstream_error"
    assert error["source"] == "upstream"
    assert error["request_id"] == reply.header("x-request-id")
    assert "brown" not in found[-1]
    assert sum("quick" in event for event in found) == 1
    (span,) = attempt_spans(gateway, reply)
    assert span["status"]["code"] == "ERROR"  # type: ignore[index]
    row = gateway.row(trace_id_of(reply))
    assert row["status"] == "error"
    assert row["usage"]["source"] == "partial"


def test_stream_that_breaks_its_framing(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Bytes that are no HTTP chunk, after content: the stream ends with an error, it does not hang."""
    found = events(chat(gateway, "fake/bad-chunk-late", stream=True).body)
    assert json.loads(found[-1])["error"]["type"] == "upstream_error"
    assert "[DONE]" not in found


def test_whole_reply_that_breaks_its_framing(gateway: GatewayProcess) -> None:
    """The same in a whole answer."""
    assert chat(gateway, "fake/bad-chunk-late").status == 502


def test_error_inside_a_stream(gateway: GatewayProcess) -> None:
    """After content the provider's error ends the stream: no `[DONE]`, span ERROR."""
    reply = chat(gateway, "fake/error-after-content", stream=True)
    found = events(reply.body)
    assert "[DONE]" not in found
    assert "error" in json.loads(found[-1])
    (span,) = attempt_spans(gateway, reply)
    assert span["status"]["code"] == "ERROR"  # type: ignore[index]


def test_missing_done_neither_hangs_nor_errs(gateway: GatewayProcess) -> None:
    """A stream whose every choice has finished is whole, with or without the marker."""
    reply = chat(gateway, "fake/no-done", stream=True)
    assert reply.status == 200
    assert not any("error" in json.loads(event) for event in events(reply.body) if event != "[DONE]")
    assert gateway.row(trace_id_of(reply))["usage"]["source"] == "provider"


@EITHER
@pytest.mark.parametrize(("model", "status"), REFUSED.items(), ids=map(str, REFUSED.values()))
def test_provider_errors_pass(
    gateway: GatewayProcess,
    replies: Mapping[tuple[str, bool], Reply],
    model: str,
    status: int,
    *,
    stream: bool,
) -> None:
    """Status and body are the provider's, byte for byte; headers say whose error it is."""
    reply = replies[model, stream]
    assert reply.status == status
    assert reply.body == json.dumps(error_body(status), ensure_ascii=False).encode()
    assert reply.header("x-tfy-error-source") == "upstream"
    assert reply.header("x-request-id")
    assert reply.header("retry-after") == ("7" if status == 429 else None)
    assert reply.header("x-upstream-ratelimit-remaining-requests") == "41"
    (span,) = attempt_spans(gateway, reply)
    assert span["attributes"]["error.type"] == str(status)  # type: ignore[index]


@EITHER
@pytest.mark.parametrize("model", ["fake/hang", "fake/hang-after-head"])
def test_silence_is_bounded(
    gateway: GatewayProcess, upstream: FakeUpstream, model: str, *, stream: bool
) -> None:
    """`x-tfy-request-timeout` ends a call that gets no answer, and the connection with it."""
    for patience_ms in ("300", "2000", "8000"):
        reply = chat(gateway, model, stream=stream, headers=[("x-tfy-request-timeout", patience_ms)])
        assert_error(reply, *TIMEOUT)
        # A busy machine may need as long to ask.
        if upstream.exchanges:
            break
    assert upstream.exchanges[-1].was_aborted.wait(60)


def test_silence_inside_a_stream_is_bounded(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """After content: an error event, no `[DONE]`."""
    for patience_ms in ("500", "2000", "8000"):
        limit = ("x-tfy-request-timeout", patience_ms)
        reply = chat(gateway, "fake/hang-mid-stream", stream=True, headers=[limit])
        if reply.status == 200:
            break
        # A busy machine may need as long for the first words.
    found = events(reply.body)
    assert json.loads(found[-1])["error"]["code"] == "upstream_timeout"
    assert "[DONE]" not in found
    assert upstream.exchanges[-1].was_aborted.wait(60)


def test_page_is_on_the_span_not_in_the_answer(gateway: GatewayProcess) -> None:
    """The operator can read the first bytes of what the provider said."""
    reply = chat(gateway, "fake/html-502")
    assert "canary-html-page" not in reply.body.decode()
    assert "canary-html-page" in json.dumps(gateway.trace(trace_id_of(reply)))
    assert HTML.decode()[:20] in json.dumps(gateway.trace(trace_id_of(reply))["spans"])


def test_broken_connections_are_not_used_again(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """After each failure the next call works and gets its own answer."""
    for model in ("cut-close", "cut-reset", "reset-mid-body", "not-http", "twice-content-length", "html-502"):
        chat(gateway, f"fake/{model}", stream=model.startswith("cut"))
        reply = chat(gateway, "fake/normal")
        assert reply.status == 200
        assert reply.json["model"] == "normal-2026"


def test_retries_are_spans_of_their_own(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """With retries on: each try is a CLIENT span, and the client sees the one that worked."""
    documents = [
        *standard_documents(upstream.base_url, 1),
        {
            "type": "gateway-global-settings",
            "name": "global",
            "retry_settings": {"attempts": 2, "delay": 1, "on_status_codes": ["502", "503", "500"]},
        },
    ]
    gateway = start_gateway(documents, workers=1)
    upstream.play(SCRIPTED, behaviours.reset_before_head, behaviours.provider_error(500), behaviours.normal)
    reply = chat(gateway, "fake/scripted")
    assert reply.status == 200
    assert 'attempts;desc="3"' in (reply.header("server-timing") or "")
    spans = attempt_spans(gateway, reply)
    assert [span["attributes"]["gateway.attempt"] for span in spans] == [1, 2, 3]  # type: ignore[index]
    assert [span["attributes"].get("error.type") for span in spans] == [  # type: ignore[attr-defined]
        "upstream_unreachable", "500", None,
    ]  # fmt: skip
    assert gateway.row(trace_id_of(reply))["attempts"] == 3


def test_stale_kept_connection_costs_no_call(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A provider that closes an idle connection just then: the call is made on another one."""
    documents = standard_documents(upstream.base_url, 1)
    gateway = start_gateway(documents, workers=1)
    assert chat(gateway, "fake/normal").status == 200
    upstream.close_idle_connections()
    assert chat(gateway, "fake/normal").status == 200


def test_error_account_does_not_leak_into_others(gateway: GatewayProcess) -> None:
    """`STREAM_ERROR` is a canary of its own: it must not be in an answer of ours."""
    reply = chat(gateway, "fake/error-in-200")
    assert STREAM_ERROR["error"]["message"] not in reply.body.decode()


@pytest.mark.parametrize("pause_s", [None, 0.05], ids=["same packet", "while it idles"])
def test_stray_answer_reaches_no_other_caller(
    gateway: GatewayProcess, upstream: FakeUpstream, pause_s: float | None
) -> None:
    """An answer that nobody asked for ends its connection; the next caller gets its own, on a new one."""
    upstream.play(SCRIPTED, behaviours.answered_twice(pause_s))
    first = chat(gateway, "fake/scripted")
    assert (first.status, first.json["choices"][0]["message"]["content"]) == (200, TEXT)
    (exchange,) = upstream.exchanges
    until(lambda: not exchange.connection.is_open, "the connection is closed")
    upstream.play(SCRIPTED, behaviours.json_reply(200, other_answer()))
    second = chat(gateway, "fake/scripted")
    assert (second.status, second.json["choices"][0]["message"]["content"]) == (200, "mine")
    assert STRAY_TEXT.encode() not in first.body + second.body
    assert upstream.exchanges[1].connection is not exchange.connection


def other_answer() -> dict[str, object]:
    """An answer that is not everybody's."""
    answer = behaviours.completion(SCRIPTED)
    answer["choices"][0]["message"]["content"] = "mine"
    return answer


def test_header_that_http_does_not_allow_costs_no_answer(
    gateway: GatewayProcess, upstream: FakeUpstream
) -> None:
    """A control byte in a provider's header costs that header; the answer arrives as every other."""
    upstream.play(SCRIPTED, behaviours.control_byte_in_header)
    reply = chat(gateway, "fake/scripted")
    assert reply.status == 200, reply.body
    assert reply.header("openai-organization") == "kept"
    assert reply.header("x-upstream-ratelimit-odd") is None
    assert trace_id_of(reply)
    assert reply.header("x-request-id")


def test_interim_answers_are_passed_over(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A 1xx before each answer costs nothing, and the connection is kept."""
    for _ in range(2):
        assert chat(gateway, "fake/early-hints").status == 200
    first, second = upstream.exchanges
    assert first.connection is second.connection
