"""What is used of limits, and what a call would be told, of a real gateway: docs/control-api.md."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pytest

from gateway.wire.aws_event_stream import write_message
from tests.rig.behaviours import (
    COMPLETION_TOKENS,
    PROMPT_TOKENS,
    end_stream,
    forever,
    hang_mid_stream,
    json_reply,
    send_piece,
    start_stream,
    stream_events,
)
from tests.rig.fake_upstream import Behaviour, Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limited_gateway import TOKENS_OF_A_CALL, USD_OF_A_CALL, budget, paid_account, rate
from tests.rig.manifests import (
    ENVIRONMENT,
    NARROW_TOKEN,
    bearer,
    chat,
    chat_body,
    in_turn,
    openai_account,
    trace_id_of,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import request_bytes
from tests.rig.until import until

WORKERS: Final = 4
LINES: Final = "application/x-ndjson"
MESSAGES: Final = "application/vnd.amazon.eventstream"
DOCUMENTS: Final = [
    virtual_account("app", ["env:APP_TOKEN"], ["*"], tags={"team": "search"}),
    virtual_account("narrow", ["env:NARROW_TOKEN"], ["fake/*"]),
    {
        "type": "pat",
        "name": "laptop",
        "user_fqn": "a@x.io",
        "tokens": ["sha256:" + "1" * 64],
        "models": ["fake/*"],
    },
    rate("each", ["fake/m"], {"requests_per_day": 100}, applies_to={"type": "per-virtual-account"}),
    rate("per-user", ["fake/m"], {"requests_per_day": 50}, applies_to={"type": "per-user"}),
    rate(
        "topics",
        ["fake/m"],
        {"tokens_per_day": 100_000},
        applies_to={"type": "metadata", "metadata": "topic"},
    ),
    rate("first", ["fake/first"], {"requests_per_day": 1}),
    budget("spend", ["paid/m"], 2 * USD_OF_A_CALL),
    budget("watched", ["paid/m"], USD_OF_A_CALL, mode="audit"),
    budget("unpriced", ["fake/free"], 1),
    budget("nothing-left", ["fake/spent"], 0),
    rate("passed-tokens", ["passed/*"], {"tokens_per_day": 100_000}),
    budget("passed-usd", ["passed/*"], 1000),
]


@pytest.fixture(scope="module")
def limited(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway of four workers with all these limits."""
    url = upstream_server.base_url
    documents = [
        openai_account("fake", url, ["m", "first", "second", "free", "spent"]),
        paid_account("paid", url, ["m"]),
        paid_account("passed", url, ["m"]),
        virtual_models("vm", {"both": in_turn("fake/first", "fake/second")}),
        *DOCUMENTS,
    ]
    folder = tmp_path_factory.mktemp("usage")
    with GatewayProcess(folder, documents, workers=WORKERS, environment=ENVIRONMENT) as process:
        yield process


def rows(gateway: GatewayProcess, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.get(f"/api/limits/usage?{query}")["usage"]
    return found


def simulate(gateway: GatewayProcess, **asked: Any) -> dict[str, Any]:
    status, body = gateway.control("POST", "/api/limits/simulate", asked)
    assert status == 200, body
    answer: dict[str, Any] = body
    return answer


def my_usage(gateway: GatewayProcess, token: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.control_port, timeout=60)
    try:
        connection.request("GET", "/api/limits/my-usage", headers={"authorization": f"Bearer {token}"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def is_spent(gateway: GatewayProcess, usd: float) -> bool:
    return bool(rows(gateway, "rule=spend")[0]["used"] == usd)


def test_what_calls_have_used(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Requests at once, tokens when the reply has ended, whoever of four workers took them."""
    for _ in range(7):
        assert chat(limited, "fake/m").status == 200
    for _ in range(2):
        assert chat(limited, "fake/m", token=NARROW_TOKEN).status == 200
    each = {row["entity"]["virtualaccount"]: row for row in rows(limited, "rule=each")}
    assert {name: row["used"] for name, row in each.items()} == {"app": 7, "narrow": 2}
    assert (each["app"]["limit"], each["app"]["left"], each["app"]["percentage"]) == (100, 93, 7.0)
    assert [row["used"] for row in rows(limited, "rule=per-user")] == [0]


@pytest.mark.long
def test_values_of_metadata_are_found(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """A value that nobody configured is known once a call with it is in the local store."""
    header = ("x-tfy-metadata", '{"topic":"maps"}')
    before = {row["entity"]["metadata.topic"]: row["used"] for row in rows(limited, "rule=topics")}
    assert chat(limited, "fake/m", headers=[header]).status == 200

    def seen() -> bool:
        found = {row["entity"]["metadata.topic"]: row["used"] for row in rows(limited, "rule=topics")}
        return found.get("maps") == TOKENS_OF_A_CALL and found[""] == before[""]

    until(seen, what="the value to be known")


def test_a_callers_own(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """With its own token it sees what counts for it, and nothing of others."""
    status, mine = my_usage(limited, NARROW_TOKEN)
    assert status == 200
    assert mine["caller"] == {"kind": "virtualaccount", "name": "narrow", "teams": []}
    assert {row["rule"] for row in mine["usage"]} >= {"each", "topics", "first"}
    assert [row["entity"] for row in mine["usage"] if row["rule"] == "each"] == [{"virtualaccount": "narrow"}]
    assert my_usage(limited, "no-such-token")[0] == 401


def test_simulated_as_it_then_happens(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Budget, rate limit and the target that takes over, each asked before the call that then meets it."""
    asked = {"virtual_account": "app", "model": "paid/m", "output_tokens": USD_OF_A_CALL}
    for used in (0, 1):
        before = simulate(limited, **asked)
        assert (before["allowed"], before["answered_by"]) == (True, "paid/m")
        spend, watched = before["rules"]
        assert (spend["rule"], spend["used"], spend["outcome"]) == ("spend", used * USD_OF_A_CALL, "allowed")
        assert (watched["rule"], watched["outcome"]) == ("watched", "exceeded" if used else "allowed")
        assert chat(limited, "paid/m", max_tokens=USD_OF_A_CALL).status == 200
        spent = (used + 1) * USD_OF_A_CALL
        until(
            partial(is_spent, limited, spent),
            what="the call to be settled",
        )
    before = simulate(limited, **asked)
    assert (before["allowed"], before["refusal"]["code"]) == (False, "budget_exceeded")
    refused = chat(limited, "paid/m", max_tokens=USD_OF_A_CALL)
    assert refused.status == before["refusal"]["status"] == 429
    assert refused.json["error"]["message"] == before["refusal"]["message"]
    assert rows(limited, "rule=spend")[0]["percentage"] == 100


def test_simulated_target_that_takes_over(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Of a name with two targets the second answers once the first one's limit is used."""
    asked = {"virtual_account": "app", "model": "vm/both"}
    for expected in ("fake/first", "fake/second"):
        before = simulate(limited, **asked)
        assert before["answered_by"] == expected
        assert chat(limited, "vm/both").header("x-tfy-resolved-model") == expected
    assert [(row["target"], row["outcome"]) for row in simulate(limited, **asked)["rules"]] == [
        ("fake/first", "refused")
    ]


def test_models_without_a_price(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """They cost a budget nothing, and are refused where nothing is left of it."""
    assert chat(limited, "fake/free").status == 200
    until(lambda: rows(limited, "rule=unpriced")[0]["used"] == 0, what="the call to be settled")
    assert chat(limited, "fake/spent").status == 429
    assert simulate(limited, virtual_account="app", model="fake/spent")["allowed"] is False


def test_nothing_is_charged(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """However often it is asked; rules that are only proposed are looked up like others."""
    used = rows(limited, "rule=each&entity=app")[0]["used"]
    proposed = [
        rate("each", ["fake/m"], {"requests_per_day": used}, applies_to={"type": "per-virtual-account"})
    ]
    for _ in range(3):
        assert simulate(limited, virtual_account="app", model="fake/m")["allowed"] is True
        answer = simulate(limited, virtual_account="app", model="fake/m", manifests=proposed)
        assert (answer["allowed"], answer["refusal"]["code"]) == (False, "rate_limit_exceeded")
    assert rows(limited, "rule=each&entity=app")[0]["used"] == used


def passed(gateway: GatewayProcess) -> tuple[int, float]:
    """Tokens and USD that count for what was passed on."""
    return tuple(rows(gateway, f"rule=passed-{counted}")[0]["used"] for counted in ("tokens", "usd"))


def test_streams_of_unknown_paths(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """A stream that is passed on unread counts what it tells; one that is left, what had come of it."""
    path, headers = "/proxy/passed/chat/completions", [bearer(), ("content-type", "application/json")]
    body = chat_body("m", stream=True, stream_options={"include_usage": True})
    with limited.connect() as connection:
        reply = connection.exchange("POST", path, headers, body)
    assert (reply.status, reply.body) == (200, b"".join(stream_events(upstream.exchanges[0])))
    counted = (TOKENS_OF_A_CALL, USD_OF_A_CALL)
    until(lambda: passed(limited) == counted, what="what it told to count")
    row = limited.row(trace_id_of(reply))
    assert row["usage"] == {
        "input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS, "source": "provider",
    }  # fmt: skip
    upstream.play("m", hang_mid_stream)
    with limited.connect() as connection:
        connection.send(request_bytes("POST", path, headers, body))
        head = connection.read_head()
        come = b""
        while come.count(b"\n\n") < 2:
            come += connection.read_piece()
        connection.reset()
    said = (len(body) // 4 + 2, 2)
    expected = tuple(sum(pair) for pair in zip(counted, said, strict=True))
    until(lambda: passed(limited) == expected, what="what had come of it to count")
    assert limited.row(trace_id_of(head))["usage"]["source"] == "partial"


def more_than(before: tuple[int, float], tokens: int, usd: float) -> tuple[int, float]:
    return before[0] + tokens, before[1] + usd


_TOLD: Final[dict[str, Any]] = {
    "ollama": {"model": "m", "message": {}, "done": True, "prompt_eval_count": 7, "eval_count": 5},
    "converse": {"output": {}, "usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}},
    "cohere chat": {"id": "c", "message": {}, "usage": {"tokens": {"input_tokens": 7, "output_tokens": 5}}},
    "cohere embed": {"id": "c", "embeddings": {}, "meta": {"billed_units": {"input_tokens": 12}}},
    "messages": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 7, "output_tokens": 5}},
    "google": {"candidates": [], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5}},
    "google array": [{"candidates": [], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5}}],
}


@pytest.mark.parametrize("api", _TOLD)
def test_native_replies(limited: GatewayProcess, upstream: FakeUpstream, api: str) -> None:
    """What is passed on counts by the names that its own API has."""
    before = passed(limited)
    upstream.play("m", json_reply(200, _TOLD[api]))
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        reply = connection.exchange("POST", "/proxy/passed/native", headers, b'{"model":"m"}')
    assert (reply.status, json.loads(reply.body)) == (200, _TOLD[api])
    usd = 0 if api == "cohere embed" else 5
    until(lambda: passed(limited) == more_than(before, 12, usd), what="what it told to count")


def test_native_replies_counted_in_headers(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Bedrock counts so what `InvokeModel` answers, which is as its model has it."""
    before = passed(limited)
    counts = (("x-amzn-bedrock-input-token-count", "7"), ("x-amzn-bedrock-output-token-count", "5"))
    upstream.play("m", json_reply(200, {"generation": "a"}, counts))
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        reply = connection.exchange("POST", "/proxy/passed/model/m/invoke", headers, b'{"model":"m"}')
    assert reply.status == 200
    until(lambda: passed(limited) == more_than(before, 12, 5), what="what the headers told to count")


def stream_of_kind(content_type: str, *lines: bytes, ends: bool) -> Behaviour:
    """A stream of another kind than events."""

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange, content_type)
        for line in lines:
            await send_piece(exchange, line)
        await (end_stream if ends else forever)(exchange)

    return behave


def test_streams_of_lines(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """As events do: what the last line tells, or of one that is left the text that had come."""
    path, headers = "/proxy/passed/api/chat", [bearer(), ("content-type", "application/json")]
    body = b'{"model":"m","messages":[]}'
    said = json.dumps({"model": "m", "message": {"content": "x" * 40}, "done": False}).encode() + b"\n"
    last = json.dumps(_TOLD["ollama"]).encode() + b"\n"
    before = passed(limited)
    upstream.play("m", stream_of_kind(LINES, said, last, ends=True))
    with limited.connect() as connection:
        reply = connection.exchange("POST", path, headers, body)
    assert (reply.status, reply.body) == (200, said + last)
    whole = more_than(before, 12, 5)
    until(lambda: passed(limited) == whole, what="what it told to count")
    assert limited.row(trace_id_of(reply))["usage"] == {
        "input_tokens": 7, "output_tokens": 5, "source": "provider",
    }  # fmt: skip
    upstream.play("m", stream_of_kind(LINES, said, ends=False))
    with limited.connect() as connection:
        connection.send(request_bytes("POST", path, headers, body))
        head = connection.read_head()
        come = b""
        while not come.endswith(b"\n"):
            come += connection.read_piece()
        connection.reset()
    expected = more_than(whole, len(body) // 4 + 10, 10)
    until(lambda: passed(limited) == expected, what="what had come of it to count")
    assert limited.row(trace_id_of(head))["usage"]["source"] == "partial"


def test_streams_of_lines_by_another_name(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Cohere's older chat: each line goes out when it comes, and the last one tells what was used."""
    said = b'{"is_finished":false,"event_type":"text-generation","text":"t"}\n'
    response = {"text": "t", "meta": {"tokens": {"input_tokens": 7, "output_tokens": 5}}}
    last = json.dumps({"is_finished": True, "response": response}).encode() + b"\n"
    before = passed(limited)
    gate = upstream.gate()

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange, "application/stream+json")
        await send_piece(exchange, said)
        await gate.passed()
        await send_piece(exchange, last)
        await end_stream(exchange)

    upstream.play("m", behave)
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        connection.send(request_bytes("POST", "/proxy/passed/v1/chat", headers, b'{"model":"m"}'))
        connection.read_head()
        assert connection.read_piece() == said
        gate.open()
        assert b"".join(connection.read_pieces()) == last
    until(lambda: passed(limited) == more_than(before, 12, 5), what="what it told to count")


def test_streams_of_converse(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """What the last message tells counts, or of a stream that is left what had come of it."""
    path, headers = "/proxy/passed/model/m/converse-stream", [bearer(), ("content-type", "application/json")]
    body = b'{"model":"m","messages":[]}'
    said, told = (
        write_message({":event-type": kind, ":message-type": "event"}, json.dumps(data).encode())
        for kind, data in (
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "t"}}),
            ("metadata", {"usage": {"inputTokens": 7, "outputTokens": 5}}),
        )
    )
    stop = write_message(
        {":event-type": "messageStop", ":message-type": "event"}, b'{"stopReason":"end_turn"}'
    )
    before = passed(limited)
    upstream.play("m", stream_of_kind(MESSAGES, said, stop, told, ends=True))
    with limited.connect() as connection:
        reply = connection.exchange("POST", path, headers, body)
    assert (reply.status, reply.body) == (200, said + stop + told)
    whole = more_than(before, 12, 5)
    until(lambda: passed(limited) == whole, what="what it told to count")
    upstream.play("m", stream_of_kind(MESSAGES, said, ends=False))
    with limited.connect() as connection:
        connection.send(request_bytes("POST", path, headers, body))
        head = connection.read_head()
        come = b""
        while len(come) < len(said):
            come += connection.read_piece()
        connection.reset()
    expected = more_than(whole, len(body) // 4 + 1, 1)
    until(lambda: passed(limited) == expected, what="what had come of it to count")
    assert limited.row(trace_id_of(head))["usage"]["source"] == "partial"


_LONG: Final = "ab cd " * 40
_SAID_TOKENS: Final = len(_LONG) // 4
_SAYING: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "messages": (
        {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 9}}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": _LONG}},
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "s" * 2000}},
    ),
    "chat": ({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": _LONG}}]},),
    "response": (
        {"type": "response.created", "response": {"id": "r", "model": "m", "usage": None}},
        {"type": "response.output_text.delta", "delta": _LONG},
        {"type": "response.output_text.done", "text": _LONG},
    ),
}


@pytest.mark.parametrize("api", _SAYING)
def test_text_of_a_stream_that_is_left(limited: GatewayProcess, upstream: FakeUpstream, api: str) -> None:
    """Of a caller that leaves before the usage came its text counts, not only how many events had come."""
    events = [b"data: " + json.dumps(told).encode() + b"\n\n" for told in _SAYING[api]]
    path, body = "/proxy/passed/events", b'{"model":"m","messages":[]}'
    before = passed(limited)
    upstream.play("m", stream_of_kind("text/event-stream", *events, ends=False))
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        connection.send(request_bytes("POST", path, headers, body))
        head = connection.read_head()
        come = b""
        while len(come) < len(b"".join(events)):
            come += connection.read_piece()
        connection.reset()
    read = 9 if api == "messages" else len(body) // 4
    expected = more_than(before, read + _SAID_TOKENS, _SAID_TOKENS)
    until(lambda: passed(limited) == expected, what="what had come of it to count")
    assert limited.row(trace_id_of(head))["usage"]["source"] == "partial"


@pytest.mark.parametrize("is_left", [True, False])
def test_long_arrays(limited: GatewayProcess, upstream: FakeUpstream, *, is_left: bool) -> None:
    """What Google streams in place of events counts however long it is, and as far as it came if left."""
    pieces = [
        {
            "candidates": [{"content": {"parts": [{"inlineData": {"data": "A" * 600_000}}]}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": said},
        }
        for said in (1, 3, 5)
    ]
    first, second, third = (json.dumps(piece).encode() for piece in pieces)
    begun = b"[" + first + b",\r\n" + second + b",\r\n"

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange, "application/json")
        await send_piece(exchange, begun)
        if is_left:
            await forever(exchange)
        await send_piece(exchange, third + b"\n]\n")
        await end_stream(exchange)

    before = passed(limited)
    upstream.play("m", behave)
    path = "/proxy/passed/models/m:streamGenerateContent"
    with limited.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        connection.send(request_bytes("POST", path, headers, b'{"model":"m","contents":[]}'))
        head = connection.read_head()
        come = 0
        for piece in connection.read_pieces():
            come += len(piece)
            if is_left and come == len(begun):
                break
        connection.reset()
    said = 3 if is_left else 5
    until(lambda: passed(limited) == more_than(before, 7 + said, said), what="what it told to count")
    source = "partial" if is_left else "provider"
    assert limited.row(trace_id_of(head))["usage"]["source"] == source


@pytest.mark.parametrize(
    ("path", "counts"), [("/v1/messages", True), ("/model/m/converse", True), ("/v1/files", False)]
)
@pytest.mark.parametrize("has_begun", [True, False])
def test_a_whole_reply_that_is_left(
    limited: GatewayProcess, upstream: FakeUpstream, path: str, *, counts: bool, has_begun: bool
) -> None:
    """Before it is complete: as of a known call counts what its provider has read, if it calls a model."""

    async def behave(exchange: Exchange) -> None:
        if has_begun:
            await start_stream(exchange, "application/json")
            await send_piece(exchange, b'{"id":"m",')
        await forever(exchange)

    before = passed(limited)
    upstream.play("m", behave)
    body = b'{"model":"m","messages":[]}'
    trace_id = uuid4().hex
    with limited.connect() as connection:
        headers = [
            bearer(),
            ("content-type", "application/json"),
            ("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01"),
        ]
        connection.send(request_bytes("POST", "/proxy/passed" + path, headers, body))
        until(lambda: len(upstream.exchanges) == 1, what="the provider to have the call")
        connection.reset()
    row = limited.row(trace_id)
    assert row["status_code"] == 499
    used = (len(body) // 4, 0, "partial") if counts else (None, None, None)
    assert tuple(row["usage"].values()) == used
    expected = more_than(before, len(body) // 4 if counts else 0, 0)
    until(lambda: passed(limited) == expected, what="what its provider had read to count")


@pytest.mark.long
def test_a_reply_that_is_cut_at_the_drain(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """What had come of it is counted, and the rest of what it had taken is free after the restart."""
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        budget("spend", ["paid/m"], 1000),
    ]
    gateway = start_gateway(documents, workers=1, options=["--drain-timeout", "1"])
    upstream.play("m", hang_mid_stream)
    headers = [bearer(), ("content-type", "application/json")]
    with gateway.connect() as connection:
        body = chat_body("paid/m", stream=True, max_tokens=900)
        connection.send(request_bytes("POST", "/v1/chat/completions", headers, body))
        assert connection.read_head().status == 200
        until(lambda: rows(gateway, "rule=spend")[0]["used"] == 900, what="it to be taken")
        gateway.stop()
    gateway.start()
    assert 0 < rows(gateway, "rule=spend")[0]["used"] < 20
