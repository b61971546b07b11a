"""A provider's reply as it is: its headers, its redirects, its errors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.anthropic_paths import find_anthropic_path
from gateway.endpoints.catalogue import SPEECH
from gateway.endpoints.openai_call import unread_call
from gateway.endpoints.openai_paths import PROXY, find_openai_path
from gateway.endpoints.passing_stream import PASSING
from gateway.endpoints.wording import wording_for
from gateway.errors import UpstreamBadReply, UpstreamUnreachable
from gateway.model import Dialect, Endpoint, Target, Usage
from gateway.relay import MAX_PASSING_BYTES, note_failure, relay_reply
from gateway.responder import Answer, Responder
from gateway.routing.stored import StoredObjects
from gateway.store.shared_table import table_in_memory
from gateway.telemetry.call_trace import AttemptTrace, begin_trace
from tests.unit.doubles import FakeClient, FakeReply
from tests.unit.makers import KEY, make_caller, make_target


def openai_path(path: str) -> Endpoint:
    found = find_openai_path(path)
    assert found is not None
    return found


FILES = openai_path("/files")
SOUND = openai_path("/audio/transcriptions")
PICTURES = openai_path("/images/edits")
SESSION = find_anthropic_path("/sessions/s_1/events/stream")
HTML = {"content-type": "text/html"}
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}


STORED = StoredObjects(table_in_memory(buckets=4))
CALLER = make_caller("acct/small")


class Rig:
    """One call whose reply is to be passed on."""

    def __init__(self, *, method: str = "GET", target: Target | None = None) -> None:
        self.client = FakeClient(method=method)
        trace = begin_trace(self.client, FILES, request_id="r", config_version="v", random=Random(1))
        trace.identified(CALLER)
        self.responder = Responder(self.client, trace, "r", wording_for(FILES, self.client.headers), STORED)
        self.attempt: AttemptTrace = trace.attempt(target or make_target())

    async def relay(self, reply: FakeReply, endpoint: Endpoint = PROXY) -> Answer | None:
        return await relay_reply(
            self.responder,
            self.attempt,
            reply,
            endpoint,
            dialect=None if endpoint is PROXY else endpoint.dialect,
            locate=lambda location: f"/here{location}" if location.startswith("/") else None,
        )


@pytest.mark.parametrize(("location", "seen"), [("/x", "/here/x"), ("https://other/x", None)])
async def test_redirect(location: str, seen: str | None) -> None:
    """Its address is ours or none."""
    rig = Rig()
    await rig.relay(FakeReply(307, {"location": location}))
    assert (rig.client.status, rig.client.header("location")) == (307, seen)


@pytest.mark.parametrize("status", [204, 304])
async def test_no_body(status: int) -> None:
    """A status without a body gets no length."""
    rig = Rig()
    await rig.relay(FakeReply(status, {"content-length": "5", "etag": "e"}))
    assert (rig.client.status, rig.client.header("content-length")) == (status, None)
    assert (rig.client.header("etag"), rig.client.is_ended) == ("e", True)


async def test_error_of_an_openai_path() -> None:
    """A JSON error is given back, to be sent or tried again; anything else is a bad reply."""
    rig = Rig()
    answer = await rig.relay(FakeReply(404, {"content-type": "application/json"}, b'{"error":1}'), FILES)
    assert answer == Answer(404, [], b'{"error":1}')
    assert not rig.client.has_started
    with pytest.raises(UpstreamBadReply):
        await Rig().relay(FakeReply(404, HTML, b"<html>"), FILES)


async def test_error_of_another_path() -> None:
    """Whatever it is, it passes, and is the provider's."""
    rig = Rig()
    assert await rig.relay(FakeReply(500, HTML, b"<html>")) is None
    assert (rig.client.status, rig.client.received) == (500, b"<html>")
    assert rig.client.header("x-tfy-error-source") == "upstream"
    assert rig.attempt.error_type == "500"


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/json", "text/event-stream"])
async def test_key_in_an_error_of_another_path(kind: str) -> None:
    """Our key is in no error, whatever that is and however it comes."""
    rig = Rig()
    said = f'{{"said":"Bearer {KEY}"}}'.encode()
    await rig.relay(FakeReply(401, {"content-type": kind, "content-length": "99"}, said[:20], said[20:]))
    assert (rig.client.status, rig.client.received) == (401, b'{"said":"***"}')
    assert (rig.client.header("content-type"), rig.client.header("content-length")) == (kind, None)
    assert (rig.client.is_ended, rig.attempt.error_type) == (True, "401")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", [*PASSING, b"text/plain", b"application/octet-stream", b"application/json"])
async def test_key_that_is_mirrored(kind: bytes, method: str) -> None:
    """A server that mirrors what it was asked does not give our key away, however long and cut that is."""
    said = f'data: {{"said":"Bearer {KEY}","token":"canary-token"}}\n\n'.encode()
    filling = b" " * (MAX_PASSING_BYTES if kind.endswith(b"/json") else 0)
    for place in range(len(said)):
        rig = Rig(method=method)
        rig.attempt.token = "canary-token"
        headers = {"content-type": kind.decode(), "content-length": str(len(said) + len(filling))}
        await rig.relay(FakeReply(200, headers, filling + said[:place] or b"\n", said[place:]))
        assert KEY.encode() not in rig.client.received
        assert b"canary-token" not in rig.client.received
        assert rig.client.received.endswith(b'","token":"************"}\n\n')
        told = rig.client.header("content-length")
        assert told is None or int(told) == len(rig.client.received) - (not place and not filling)


async def test_lines_of_json_are_not_held() -> None:
    """By its name it might be one object, as which it would be read whole."""
    rig = Rig(method="POST")
    line, kind = b'{"text":"a"}\n', {"content-type": "application/stream+json"}
    sent: list[list[bytes]] = []
    await rig.relay(FakeReply(200, kind, line, lambda: sent.append(list(rig.client.pieces)), line))
    assert (sent, rig.client.pieces) == ([[line]], [line, line])


async def test_events_are_not_held_back() -> None:
    """No end of one could be the beginning of a key."""
    rig = Rig(method="POST")
    sent: list[list[bytes]] = []
    event = f"data: {KEY[:5]}\n\n".encode()
    await rig.relay(FakeReply(200, SSE, event, lambda: sent.append(list(rig.client.pieces)), event))
    assert (sent, rig.client.pieces) == ([[event]], [event, event])


@pytest.mark.parametrize("status", [200, 404])
async def test_key_in_a_header_of_another_path(status: int) -> None:
    """A server that mirrors what it was asked does not give our key away."""
    headers = {"x-goog-api-key": KEY, "location": f"/x?key={KEY}", "etag": "e"}
    rig = Rig()
    await rig.relay(FakeReply(status, headers, b"x"))
    seen = {name: rig.client.header(name) for name in headers}
    assert seen == {"x-goog-api-key": "***", "location": "/here/x?key=***", "etag": "e"}


async def test_endless_error() -> None:
    """One that is too long to be looked through is none that passes."""
    rig = Rig()
    with pytest.raises(UpstreamBadReply):
        await rig.relay(FakeReply(500, HTML, *[b"x" * 100_000] * 11))
    assert not rig.client.has_started


async def test_events() -> None:
    """Whole events, not gathered on the way; the usage is that of a call that spends."""
    events = b'data: {"type":"transcript.text.done","usage":{"input_tokens":1,"output_tokens":2}}\n\n'
    for method, counts in (("POST", True), ("GET", False)):
        rig = Rig(method=method)
        await rig.relay(FakeReply(200, SSE | {"cache-control": "private"}, events[:9], events[9:]), FILES)
        assert (rig.client.received, [piece for piece in rig.client.pieces if piece]) == (events, [events])
        assert rig.client.header("cache-control") == "no-cache"
        assert rig.client.header("x-accel-buffering") == "no"
        assert (rig.attempt.usage is not None) is counts
        assert rig.attempt.first_chunk_ns


@pytest.mark.parametrize("of", ["openai", "anthropic", "unknown"])
async def test_head_of_a_subscription(of: str) -> None:
    """It goes out before there is an event: SDKs wait for it to ask for what the events will be about."""
    endpoint = {"openai": find_openai_path("/agents/sessions/s-1/events"), "anthropic": SESSION}.get(
        of, PROXY
    )
    assert endpoint is not None
    seen: list[tuple[int | None, list[bytes]]] = []
    rig = Rig(method="GET")
    reply = FakeReply(
        200, SSE, lambda: seen.append((rig.client.status, [*rig.client.pieces])), b"data: {}\n\n"
    )
    await rig.relay(reply, endpoint)
    # A piece of nothing makes the server send the head.
    assert seen == [(200, [b""])]
    assert (rig.client.received, rig.client.is_ended) == (b"data: {}\n\n", True)


@pytest.mark.parametrize("endpoint", [openai_path("/agents/sessions/s-1/events"), SESSION, PROXY])
async def test_subscription_that_fails_without_an_event(endpoint: Endpoint) -> None:
    """Its head has gone out, so no other can follow: an event says it."""
    rig = Rig(method="GET")
    await rig.relay(FakeReply(200, SSE, UpstreamUnreachable("gone")), endpoint)
    assert b'"code":"upstream_unreachable"' in rig.client.received
    assert (rig.client.received.count(b"\n\n"), rig.client.is_ended) == (1, True)
    assert (rig.attempt.error_type, rig.responder.trace.error_type) == (UpstreamUnreachable.code,) * 2
    assert (rig.attempt.error_type, rig.responder.trace.error_type) == (UpstreamUnreachable.code,) * 2


async def test_events_after_an_error() -> None:
    """In what is no answer an error is an event like any other: sessions of agents go on after it."""
    events = (
        b'data: {"type":"error","error":{"message":"m"},"session_id":"s-1"}\n\n',
        b'data: {"type":"agent.session.turn.failed"}\n\n',
        b"data: [DONE]\n\n",
        b'data: {"type":"agent.session.idle"}\n\n',
    )
    endpoint = find_openai_path("/agents/sessions/s-1/events")
    assert endpoint is not None
    for pieces in (events, (b"".join(events),)):
        rig = Rig(method="GET")
        await rig.relay(FakeReply(200, SSE, *pieces), endpoint)
        assert (rig.client.received, rig.client.is_ended) == (b"".join(events), True)


@pytest.mark.parametrize("kind", ["text/plain", "Text/VTT; charset=utf-8"])
async def test_empty_answer(kind: str) -> None:
    """The text of silence is one; of what is to be spoken it is none."""
    heard = find_openai_path("/audio/transcriptions")
    assert heard is not None
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, {"content-type": kind}), heard)
    assert (rig.client.status, rig.client.received, rig.client.is_ended) == (200, b"", True)
    with pytest.raises(UpstreamBadReply):
        await Rig(method="POST").relay(FakeReply(200, {"content-type": kind}), SPEECH)


async def test_usage_of_a_session() -> None:
    """Its object tells what was used so far, the same again with each answer; an event what a turn used."""
    endpoint, beginning = find_openai_path("/agents/sessions/s-1"), find_openai_path("/agents/sessions")
    assert endpoint is not None
    assert beginning is not None
    usage = b'"usage":{"input_tokens":1,"output_tokens":2}}'
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, {"content-type": "application/json"}, b'{"id":"s-1",' + usage), endpoint)
    assert (rig.attempt.response_id, rig.attempt.usage) == ("s-1", None)
    rig = Rig(method="POST")
    turn = b'data: {"type":"agent.session.turn.completed",' + usage + b"\n\ndata: [DONE]\n\n"
    await rig.relay(FakeReply(200, SSE, turn), beginning)
    assert rig.attempt.usage == Usage(1, 2, "provider")


async def test_events_of_anthropic() -> None:
    """They pass as they come, not gathered on the way; there is no usage to look for."""
    assert SESSION is not None
    rig = Rig(method="POST")
    events = b'event: agent.message\ndata: {"usage":{"input_tokens":1}}\n\n'
    await rig.relay(FakeReply(200, SSE, events[:9], events[9:]), SESSION)
    assert (rig.client.received, rig.client.is_ended) == (events, True)
    assert rig.client.header("x-accel-buffering") == "no"
    assert rig.attempt.usage is None


STREAM = (
    b'data: {"id":"c-1","model":"m-1","choices":[{"index":0,"delta":{"content":"f\xc3\xbc"}}]}\n\n',
    b'data: {"id":"c-1","model":"m-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n',
    b"data: [DONE]\n\n: a comment\r\rand what is none",
)
AWS = {"content-type": "application/vnd.amazon.eventstream"}


@given(cuts=st.lists(st.integers(0, sum(map(len, STREAM)))), kind=st.sampled_from([SSE, AWS]))
def test_stream_of_an_unknown_path(cuts: list[int], kind: dict[str, str]) -> None:
    """Every piece passes as it came and when it came, whatever it is; what it used counts where it spends.

    But for its last bytes where our key may begin there.
    """

    async def relay(method: str) -> Rig:
        whole = b"".join(STREAM)
        ends = sorted({*cuts, len(whole)} - {0})
        pieces = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
        rig = Rig(method=method)
        await rig.relay(FakeReply(200, kind | {"content-length": str(len(whole))}, *pieces))
        assert rig.client.received == whole
        if not any(piece.endswith(KEY[:1].encode()) for piece in pieces):
            assert rig.client.pieces == pieces
        assert (rig.client.status, rig.client.is_ended) == (200, True)
        assert rig.client.header("content-length") == str(len(whole))
        assert rig.client.header("cache-control") is None
        return rig

    posted = asyncio.run(relay("POST")).attempt
    if kind is SSE:
        assert (posted.usage, posted.response_model) == (Usage(7, 5, "provider"), "m-1")
    else:
        assert posted.usage == Usage(0, 0, "partial")
    assert asyncio.run(relay("GET")).attempt.usage is None


@pytest.mark.parametrize(("method", "is_stream"), [("POST", True), ("GET", False)])
@pytest.mark.parametrize("path", ["/threads/runs", "/audio/transcriptions", "/whatever"])
async def test_answer_that_streams(path: str, method: str, *, is_stream: bool) -> None:
    """Spans tell that it did, and when it began: what was asked for nobody has read."""
    endpoint = find_openai_path(path) or PROXY
    rig = Rig(method=method)
    rig.responder.trace.asked(unread_call(endpoint, "acct"))
    event = b'data: {"type":"transcript.text.done","text":"x"}\n\n'
    await rig.relay(FakeReply(200, SSE, event), endpoint)
    assert rig.client.received == event
    assert rig.responder.trace.call is not None
    assert rig.responder.trace.call.is_stream is is_stream
    if is_stream:
        assert rig.attempt.first_chunk_ns


async def test_response_that_is_made_on_an_unknown_path() -> None:
    """It is known whose it is, as of one that comes whole; of a chat nobody asks again."""
    said = {"type": "response.created", "response": {"id": "resp_long", "object": "response"}}
    event = b"data: " + json.dumps(said).encode() + b"\n\n"
    long = json.dumps({"output": "x" * MAX_PASSING_BYTES, "id": "resp_long", "object": "response"}).encode()
    for kind, body in ((SSE, event), (JSON, long)):
        made_id = f"resp_{kind['content-type']}"
        rig = Rig(method="POST")
        await rig.relay(FakeReply(200, kind, body.replace(b"resp_long", made_id.encode())))
        origin = STORED.find([made_id])
        assert origin is not None
        assert origin.is_of(CALLER)
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, SSE, event.replace(b"resp_long", b"chatcmpl-long")))
    assert STORED.find(["chatcmpl-long"]) is None


async def test_caller_that_leaves_a_stream() -> None:
    """What its provider had sent until then counts, the last piece too."""
    rig = Rig(method="POST")

    def leave() -> None:
        assert task.cancel()

    reply = FakeReply(200, SSE, STREAM[0], STREAM[0], leave, asyncio.Event())
    task = asyncio.ensure_future(rig.relay(reply))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.client.pieces == [STREAM[0]] * 2
    assert rig.attempt.usage == Usage(0, 2, "partial")


async def test_stream_of_an_unknown_path_that_breaks_off() -> None:
    """What came until then counts; what began with nothing is answered as ever."""
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, SSE, STREAM[0], UpstreamUnreachable("gone")))
    assert (rig.client.received, rig.client.is_ended) == (STREAM[0], False)
    assert (rig.attempt.usage, rig.attempt.error_type) == (
        Usage(0, 1, "partial"),
        UpstreamUnreachable.code,
    )
    rig = Rig(method="POST")
    with pytest.raises(UpstreamUnreachable):
        await rig.relay(FakeReply(200, SSE, UpstreamUnreachable("gone")))
    assert not rig.client.has_started


async def test_error_of_an_anthropic_path() -> None:
    """As on OpenAI's paths: a JSON object, or a bad reply."""
    assert SESSION is not None
    answer = await Rig().relay(
        FakeReply(529, {"content-type": "application/json"}, b'{"type":"error"}'), SESSION
    )
    assert answer == Answer(529, [], b'{"type":"error"}')
    with pytest.raises(UpstreamBadReply):
        await Rig().relay(FakeReply(502, HTML, b"<html>"), SESSION)


async def test_a_page_says_when_to_come_back() -> None:
    """What stands in front of a provider answers with pages; their status and their wish are kept."""
    assert SESSION is not None
    page = FakeReply(429, {**HTML, "retry-after": "7"}, b"<html>")
    with pytest.raises(UpstreamBadReply) as caught:
        await Rig().relay(page, SESSION)
    assert (caught.value.own_status, dict(caught.value.headers)) == (429, {"retry-after": "7"})


@pytest.mark.parametrize(("endpoint", "tokens"), [(PROXY, 60), (SESSION, None)], ids=["a call", "a sum"])
async def test_usage_of_anthropic(endpoint: Endpoint, tokens: int | None) -> None:
    """Anthropic's split counts are summed up; a session's own sum so far is not a call's."""
    body = b'{"usage":{"input_tokens":10,"cache_read_input_tokens":50,"output_tokens":5}}'
    rig = Rig(method="POST", target=make_target(dialect="anthropic"))
    await rig.relay(FakeReply(200, {"content-type": "application/json"}, body), endpoint)
    assert rig.client.received == body
    assert (rig.attempt.usage.input_tokens if rig.attempt.usage else None) == tokens


@pytest.mark.parametrize(("dialect", "host"), [("anthropic", b""), ("openai", b"https://api.anthropic.com")])
async def test_links_of_anthropic(dialect: Dialect, host: bytes) -> None:
    """What an account of Anthropic's says of its results leads here; others are not looked at."""
    body = b'{"results_url":"https://api.anthropic.com/v1/messages/batches/b/results"}'
    rig = Rig(target=make_target(dialect=dialect))
    await rig.relay(FakeReply(200, {"content-type": "application/json"}, body))
    assert rig.client.received == b'{"results_url":"' + host + b'/v1/messages/batches/b/results"}'


@pytest.mark.parametrize("end", [b"\n\n", b"\n"], ids=["whole", "without its last blank line"])
async def test_who_leaves_a_transcript_before_its_usage(end: bytes) -> None:
    """All of it has been told by then, so what it used is heard yet."""
    rig = Rig(method="POST")

    def leave() -> None:
        assert task.cancel()

    told = b'data: {"type":"transcript.text.done","usage":{"input_tokens":5,"output_tokens":2}}' + end
    task = asyncio.ensure_future(rig.relay(FakeReply(200, SSE, DELTA, leave, asyncio.Event(), told), SOUND))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (rig.client.received, rig.attempt.usage) == (DELTA, Usage(5, 2, "provider"))


PICTURE: Final = b'{"created":1,"data":[{"b64_json":"' + b"A" * MAX_PASSING_BYTES
USED: Final = b'"}],"quality":"low","usage":{"input_tokens":50,"output_tokens":272},"size":"1024x1024"}'


@pytest.mark.parametrize("size", [1_000, 65_536, 1 << 30])
@pytest.mark.parametrize(("method", "tokens"), [("POST", 322), ("GET", None)])
async def test_usage_of_long_json(size: int, method: str, tokens: int | None) -> None:
    """A picture in base64 is longer than what is held; its usage stands at the end."""
    body = PICTURE + USED
    rig = Rig(method=method)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    await rig.relay(FakeReply(200, {"content-type": "application/json"}, *pieces), PICTURES)
    assert rig.client.received == body
    usage = rig.attempt.usage
    assert (None if usage is None else (usage.input_tokens or 0) + (usage.output_tokens or 0)) == tokens


@pytest.mark.parametrize("size", [10, MAX_PASSING_BYTES])
async def test_usage_that_stands_in_headers(size: int) -> None:
    """Bedrock counts there what a model's own body does not tell, however long that is."""
    rig = Rig(method="POST")
    headers = {**JSON, "x-amzn-bedrock-input-token-count": "7", "x-amzn-bedrock-output-token-count": "0"}
    await rig.relay(FakeReply(200, headers, b'{"embedding":"' + b"A" * size + b'"}'))
    assert rig.attempt.usage == Usage(7, 0, "provider")


async def test_long_json_is_not_held_while_it_goes_out() -> None:
    """A caller that reads slowly costs no memory for what it has had."""
    gone: list[int] = []

    class Piece(bytes):
        def __del__(self) -> None:
            gone.append(len(self))

    class Sent(list[bytes]):
        def append(self, _: bytes) -> None:
            """It has left."""

    rig = Rig(method="GET")
    rig.client.pieces = Sent()
    pieces = [Piece(MAX_PASSING_BYTES // 4) for _ in range(5)]
    reply = FakeReply(200, JSON, *pieces, lambda: seen.append(len(gone)), b"}")
    seen: list[int] = []
    del pieces
    await rig.relay(reply)
    # All but the last one, which whoever passes it on still has.
    assert seen == [4]


async def test_who_leaves_long_json_has_used_it() -> None:
    """What is left of it is heard yet, if it comes soon."""
    rig = Rig(method="POST")

    def leave() -> None:
        assert task.cancel()

    reply = FakeReply(
        200, {"content-type": "application/json"}, PICTURE, b"A", leave, asyncio.Event(), b"AAA", USED
    )
    task = asyncio.ensure_future(rig.relay(reply, PICTURES))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rig.client.received == PICTURE + b"A"
    assert rig.attempt.usage == Usage(50, 272, "provider")


async def test_long_json_that_tells_no_usage() -> None:
    """Of a call of a model what was asked is guessed, as of one that is short."""
    rig = Rig(method="POST")
    rig.responder.trace.asked(unread_call(replace(PROXY, counts_tokens=True), "acct", 400))
    reply = FakeReply(200, {"content-type": "application/json"}, b'{"embeddings":["' + b"A" * 2**20, b'"]}')
    await rig.relay(reply)
    assert rig.attempt.usage == Usage(100, 0, "estimated")


async def test_long_json_that_breaks_off() -> None:
    """Nobody has told what it used."""
    rig = Rig(method="POST")
    reply = FakeReply(200, {"content-type": "application/json"}, PICTURE, UpstreamUnreachable("gone"))
    await rig.relay(reply, PICTURES)
    assert (rig.attempt.usage, rig.attempt.error_type) == (None, UpstreamUnreachable.code)


async def test_note_failure() -> None:
    """Our key is in nothing that is said of a failure."""
    error = UpstreamUnreachable("no", detail=f"sent Bearer {KEY}")
    attempt = Rig().attempt
    note_failure(attempt, error)
    assert KEY not in error.detail
    assert (attempt.error_type, attempt.error_message) == (error.code, error.for_operator)


@pytest.mark.parametrize(
    ("method", "kind", "body", "known"),
    [
        ("POST", "application/json", b'{"id":"file-%d"}', True),
        ("GET", "application/json", b'{"id":"file-%d"}', False),
        ("GET", "application/json", b'{"id":"batch_0","output_file_id":"file-%d"}', True),
        ("GET", "application/json", b'{"output_file_id":"file-%d","x":"' + b"x" * 70_000 + b'"}', False),
        ("DELETE", "application/json", b'{"id":"file-%d","deleted":true}', False),
        ("POST", "text/event-stream", b'data: {"type":"x","id":"file-%d"}\n\n', True),
        ("GET", "text/event-stream", b'data: {"type":"x","id":"file-%d"}\n\n', False),
        ("POST", "text/plain", b"file-%d", False),
    ],
)
async def test_what_a_reply_makes_is_noted(
    request: pytest.FixtureRequest, method: str, kind: str, body: bytes, *, known: bool
) -> None:
    """What a POST made, and what a GET says has come of it; not what is only looked at or deleted."""
    number = abs(hash(request.node.name))
    rig = Rig(method=method)
    await rig.relay(FakeReply(200, {"content-type": kind}, body % number), FILES)
    assert (STORED.find((f"file-{number}",)) is not None) is known
    assert STORED.find(("batch_0",)) is None


async def test_error_makes_nothing() -> None:
    """Whatever id is in it."""
    rig = Rig(method="POST")
    await rig.relay(FakeReply(500, {"content-type": "application/json"}, b'{"id":"file-error"}'))
    assert STORED.find(("file-error",)) is None


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (HTML, b"<html>Sorry.</html>"),
        (JSON, b'{"error": {"message": "down"}}'),
        (JSON, b'{"text": "cu'),
        (JSON, b""),
        (JSON, b"[]"),
        ({"content-type": "audio/mpeg"}, b""),
        ({}, b""),
        (SSE, b""),
        (SSE, b": nothing but a comment\n\n"),
        (SSE, b'data: {"type":"error","error":{"message":"down"}}\n\n'),
        (SSE, b"data: [DONE]\n\n"),
        (SSE, b"data: {no json}\n\n"),
        (SSE, b"data: \n\n" * 200_000),
    ],
)
@pytest.mark.parametrize("endpoint", [SOUND, SPEECH], ids=["form", "speech"])
async def test_success_that_is_none(endpoint: Endpoint, headers: dict[str, str], body: bytes) -> None:
    """Of a model that was called it is a failure before anything is sent; of an account's path it passes."""
    rig = Rig(method="POST")
    with pytest.raises(UpstreamBadReply):
        await rig.relay(FakeReply(200, headers, body), endpoint)
    assert not rig.client.has_started
    if b"{no json}" not in body:
        rig = Rig(method="POST")
        await rig.relay(FakeReply(200, headers, body), FILES)
        assert (rig.client.status, rig.client.is_ended) == (200, True)


@pytest.mark.parametrize("kind", [JSON, SSE], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("error", "told", "is_callers"),
    [
        ({"code": 400, "message": "too long"}, 400, False),
        ({"code": 403, "message": "Content violates usage guidelines."}, 403, True),
        ({"message": "down"}, 0, False),
    ],
)
async def test_status_that_a_success_tells(
    error: dict[str, object], told: int, kind: dict[str, str], *, is_callers: bool
) -> None:
    """It counts as if the reply of the model had come under that, as in calls that are read."""
    body = json.dumps({"error": error}).encode()
    rig = Rig(method="POST")
    with pytest.raises(UpstreamBadReply) as caught:
        await rig.relay(FakeReply(200, kind, body if kind is JSON else b"data: " + body + b"\n\n"), SOUND)
    assert (caught.value.own_status, rig.attempt.is_callers_to_refuse) == (told, is_callers)


async def test_what_is_flagged() -> None:
    """A 403 for what was asked is not one of our key."""
    rig = Rig(method="POST")
    body = b'{"error": "Content violates usage guidelines."}'
    assert await rig.relay(FakeReply(403, JSON, body), SPEECH) is not None
    assert rig.attempt.is_callers_to_refuse


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        (JSON, [b'{"text": ""}']),
        (JSON, [b'{"text": "', b"x" * 2_000_000, b'"}']),
        ({"content-type": "text/plain; charset=utf-8"}, []),
        ({"content-type": "text/vtt"}, [b"WEBVTT\n\n"]),
        ({"content-type": "audio/mpeg"}, [b"\xff\xfb"]),
        (SSE, [b'data: {"type":"transcript.text.done","text":""}\n\n']),
        (SSE, [b"data: {}\n\n", b'data: {"text": "a server of its own"}\n\n']),
    ],
)
async def test_answers_of_models(headers: dict[str, str], pieces: list[bytes]) -> None:
    """Whatever form the caller wanted; that of silence is empty."""
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, headers, *pieces), SOUND)
    assert (rig.client.received, rig.client.is_ended) == (b"".join(pieces), True)
    assert not rig.attempt.error_type


DELTA = b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
DOWN = b'data: {"type":"error","error":{"message":"down"}}\n\n'


async def test_stream_of_a_model_that_fails_late() -> None:
    """Its own error is the last event, or ours is: nobody takes it for a whole one."""
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, SSE, DELTA, DOWN, DELTA), SOUND)
    assert (rig.client.received, rig.client.is_ended) == (DELTA + DOWN, True)
    assert (rig.attempt.error_type, rig.responder.trace.error_type) == ("upstream_bad_reply",) * 2
    rig = Rig(method="POST")
    await rig.relay(FakeReply(200, SSE, DELTA, UpstreamUnreachable("cut")), SOUND)
    assert rig.client.received.startswith(DELTA)
    assert b"upstream_unreachable" in rig.client.received
    assert (rig.client.is_ended, rig.attempt.error_type) == (True, "upstream_unreachable")


async def test_redirect_of_a_call() -> None:
    """It is no answer, and is told of as what it is."""
    rig = Rig(method="POST")
    await rig.relay(FakeReply(307, {"location": "/x"}), SOUND)
    assert (rig.client.status, rig.client.header("location")) == (307, "/here/x")
