"""Limits and budgets of a real gateway with several workers: docs/limits.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import httpx2
import openai
import pytest

from tests.rig.behaviours import cut, hang_mid_stream, provider_error, stream
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limited_gateway import (
    TOKENS_OF_A_CALL,
    USD_OF_A_CALL,
    budget,
    calls_at_once,
    missed_turns,
    paid_account,
    rate,
)
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    bearer,
    chat,
    chat_body,
    in_turn,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.raw_http import Reply, assert_error, request_bytes
from tests.rig.until import until

Headers = dict[str, str]

WORKERS: Final = 4
MESSAGES: Final[Any] = [{"role": "user", "content": "hi"}]
SKEWED: Final = (60, 25, 10, 5, 5, 5, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1)
"""Calls of each connection: one asks for half of all, and its worker with it."""

# A month in which the test runs at its very end would begin a new one: budgets here are for ever. A minute
# may pass on a machine that stands still.
DOCUMENTS: Final = [
    rate("forty", ["fake/forty"], {"requests_per_hour": 40}),
    rate("thousand", ["fake/thousand"], {"tokens_per_hour": 1000}),
    rate("two-at-once", ["fake/two-at-once"], {"parallel_requests": 2}),
    rate("one", ["fake/one"], {"requests_per_hour": 1}),
    rate("few-tokens", ["fake/few-tokens"], {"tokens_per_hour": 100}),
    rate("full", ["fake/full"], {"requests_per_day": 0}),
    rate("full-soon", ["fake/full-soon"], {"requests_per_hour": 1}),
    rate("watched", ["fake/watched"], {"requests_per_minute": 0}, mode="audit"),
    budget("three", ["paid/three"], 3 * USD_OF_A_CALL),
    budget("errors", ["paid/errors"], USD_OF_A_CALL),
    budget("aborted", ["paid/aborted"], 2 * USD_OF_A_CALL),
    budget("broken", ["paid/broken"], 2 * USD_OF_A_CALL),
    budget("empty", ["paid/empty"], 0),
]
FAKE: Final = [
    *("forty", "thousand", "two-at-once", "one", "few-tokens", "full", "full-soon", "watched", "error-429")
]
PAID: Final = ["three", "errors", "aborted", "broken", "empty"]
ROUTES: Final = {
    "none": in_turn("fake/full", "fake/full-soon"),
    "other-order": in_turn("fake/full-soon", "fake/full"),
}


@pytest.fixture(scope="module")
def limited(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway of four workers with all these limits, each on a model of its own."""
    url = upstream_server.base_url
    documents = [
        openai_account("fake", url, FAKE),
        paid_account("paid", url, PAID),
        virtual_models("vm", ROUTES),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        *DOCUMENTS,
    ]
    folder = tmp_path_factory.mktemp("limited")
    with GatewayProcess(folder, documents, workers=WORKERS, environment=ENVIRONMENT) as process:
        yield process


def statuses(replies: list[Reply]) -> Counter[int]:
    return Counter(reply.status for reply in replies)


# -- exactly as much as there is


def test_four_workers_are_one(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """However unevenly calls come to them, they admit what the limit says, and not once each."""
    missed_before = missed_turns(limited)
    replies = calls_at_once(limited, chat_body("fake/forty"), SKEWED)
    admitted, missed = statuses(replies)[200], missed_turns(limited) - missed_before
    assert statuses(replies) == {200: admitted, 429: sum(SKEWED) - admitted}
    assert 40 - missed <= admitted <= 40
    assert len(upstream.exchanges) == admitted, "what is refused is not asked of the provider"


def test_tokens_of_four_workers(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """What was used stays within the limit and one call, and all that fits is admitted."""
    missed_before = missed_turns(limited)
    body = chat_body("fake/thousand", max_tokens=5, stream=True)
    replies = calls_at_once(limited, body, SKEWED)
    assert set(statuses(replies)) == {200, 429}
    until(
        lambda: chat(limited, "fake/thousand", max_tokens=5).status == 429,
        what="the rest to be used",
    )
    used = TOKENS_OF_A_CALL * len(upstream.exchanges)
    missed = missed_turns(limited) - missed_before
    assert 1000 - (2 + missed) * TOKENS_OF_A_CALL < used <= 1000 + TOKENS_OF_A_CALL


def test_fifty_against_a_budget_for_three(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """What they may use is taken before they are sent: three are, and no other."""
    missed_before = missed_turns(limited)
    gate = upstream.gate()
    upstream.play("three", *[stream(gate=gate)] * 50)
    connections = [limited.connect() for _ in range(50)]
    headers = [bearer(), ("content-type", "application/json")]
    body = chat_body("paid/three", stream=True, max_tokens=USD_OF_A_CALL)
    for connection in connections:
        connection.send(request_bytes("POST", "/v1/chat/completions", headers, body))
    until(lambda: len(upstream.exchanges) >= 3, what="three calls to be admitted")
    assert chat(limited, "paid/three", max_tokens=1).status == 429
    gate.open()
    replies = [connection.read_reply() for connection in connections]
    admitted, missed = statuses(replies)[200], missed_turns(limited) - missed_before
    assert statuses(replies) == {200: admitted, 429: 50 - admitted}
    assert 3 - missed <= admitted <= 3
    assert len(upstream.exchanges) == admitted
    for connection in connections:
        connection.close()


def test_at_the_same_time(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """A place is taken while a call is under way, and free when it has ended or its caller has left."""
    gate = upstream.gate()
    upstream.play("two-at-once", hang_mid_stream, stream(gate=gate))
    body = chat_body("fake/two-at-once", stream=True)
    headers = [bearer(), ("content-type", "application/json")]
    first, second = limited.connect(), limited.connect()
    first.send(request_bytes("POST", "/v1/chat/completions", headers, body))
    assert first.read_head().status == 200
    second.send(request_bytes("POST", "/v1/chat/completions", headers, body))
    until(lambda: len(upstream.exchanges) == 2, what="both calls to be sent")
    refused = chat(limited, "fake/two-at-once")
    assert_error(refused, 429, "rate_limit_error", "rate_limit_exceeded", "gateway")
    first.reset()
    until(lambda: chat(limited, "fake/two-at-once").status == 200, what="the place of who left to be free")
    gate.open()
    assert second.read_reply().status == 200
    second.close()
    until(
        lambda: statuses(calls_at_once(limited, chat_body("fake/two-at-once"), (1, 1))) == {200: 2},
        what="both places to be free",
    )


# -- what was taken and not used


@pytest.mark.parametrize("status", [400, 429, 500])
def test_errors_give_back(limited: GatewayProcess, upstream: FakeUpstream, status: int) -> None:
    """A call that the provider refuses costs nothing: the budget for one call is there again."""
    upstream.play("errors", *[provider_error(status)] * 6)
    for _ in range(2):
        until(
            lambda: (
                chat(limited, "paid/errors", max_tokens=USD_OF_A_CALL).header("x-tfy-error-source")
                == "upstream"
            ),
            what="what was taken before to be given back",
        )


def test_who_leaves_pays_what_was_written(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """The rest is given back: of a budget for two calls one has room after two that were left."""
    headers = [bearer(), ("content-type", "application/json")]
    body = chat_body("paid/aborted", stream=True, max_tokens=2 * USD_OF_A_CALL)
    upstream.play("aborted", hang_mid_stream)
    with limited.connect() as connection:
        connection.send(request_bytes("POST", "/v1/chat/completions", headers, body))
        assert connection.read_head().status == 200
        assert chat(limited, "paid/aborted", max_tokens=1).status == 429, "all of it is taken"
        connection.reset()
    until(
        lambda: chat(limited, "paid/aborted", max_tokens=USD_OF_A_CALL).status == 200,
        what="what was not used to be given back",
    )
    assert chat(limited, "paid/aborted", max_tokens=USD_OF_A_CALL).status == 429, "what was written is paid"


def test_streams_that_break_off(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """They cost what had come, and what they had taken beyond is free."""
    upstream.play("broken", cut(lambda exchange: exchange.connection.reset()))
    chat(limited, "paid/broken", stream=True, max_tokens=2 * USD_OF_A_CALL)
    until(
        lambda: chat(limited, "paid/broken", max_tokens=USD_OF_A_CALL).status == 200,
        what="what was not used to be given back",
    )
    assert chat(limited, "paid/broken", max_tokens=USD_OF_A_CALL).status == 429


# -- restarts


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_month_goes_on(start_gateway: StartGateway, upstream: FakeUpstream, *, is_killed: bool) -> None:
    """What was spent before a restart is spent after it; 402 where that is configured."""
    # Two windows: in the last moments of a month the day's end would be the month's.
    limits = {"cost_per_month": USD_OF_A_CALL, "cost_per_quarter": USD_OF_A_CALL}
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        {
            "type": "gateway-global-settings",
            "name": "global",
            "budget_settings": {"refusal_status": 402},
        },
        budget("month", ["paid/m"], 0, limits=limits),
        rate("once", ["paid/m"], {"requests_per_day": 2}),
    ]
    gateway = start_gateway(documents, workers=2)
    assert chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL).status == 200
    assert chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL).status == 402
    if is_killed:
        gateway.kill()
    else:
        gateway.stop()
    gateway.start()
    reply = chat(gateway, "paid/m", max_tokens=USD_OF_A_CALL)
    assert '"month"' in assert_error(reply, 402, "rate_limit_error", "budget_exceeded", "gateway")
    assert reply.header("x-should-retry") == "false"
    assert reply.header("x-ratelimit-remaining-requests") == "1", "only what was admitted is counted"
    gateway.stop()


# -- what callers are told


def test_answers_tell_what_is_left(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """Of our own limits, with the provider's beside them under names of their own."""
    reply = chat(limited, "fake/few-tokens", max_tokens=5)
    assert reply.status == 200
    assert reply.header("x-ratelimit-limit-tokens") == "100"
    left = int(reply.header("x-ratelimit-remaining-tokens") or "-1")
    assert 70 <= left < 100
    assert reply.header("x-ratelimit-reset-tokens")
    assert reply.header("x-ratelimit-limit-requests") is None, "no limit of ours on requests"
    assert reply.header("x-upstream-ratelimit-limit-requests") == "60"
    again = chat(limited, "fake/few-tokens", max_tokens=5)
    assert int(again.header("x-ratelimit-remaining-tokens") or "-1") < left
    too_much = chat(limited, "fake/few-tokens", max_tokens=200)
    assert_error(too_much, 429, "rate_limit_error", "rate_limit_exceeded", "gateway")
    assert too_much.header("x-should-retry") == "false", "waiting does not help"
    assert len(upstream.exchanges) == 2


def test_a_provider_of_its_own(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """A provider's 429 is told apart from ours."""
    reply = chat(limited, "fake/error-429")
    assert (reply.status, reply.header("x-tfy-error-source")) == (429, "upstream")


def test_limits_that_watch(limited: GatewayProcess) -> None:
    """They refuse nothing and are told to nobody who calls."""
    reply = chat(limited, "fake/watched")
    assert reply.status == 200
    assert reply.header("x-ratelimit-limit-requests") is None


def client_of(gateway: GatewayProcess, asked: list[Headers], *, max_retries: int = 2) -> openai.OpenAI:
    hooks: dict[str, Any] = {"response": [lambda reply: asked.append(dict(reply.headers))]}
    http_client = httpx2.Client(event_hooks=hooks, timeout=30)
    return openai.OpenAI(
        base_url=gateway.base_url, api_key=APP_TOKEN, max_retries=max_retries, http_client=http_client
    )


def claude_of(gateway: GatewayProcess, asked: list[Headers], *, max_retries: int = 2) -> anthropic.Anthropic:
    hooks: dict[str, Any] = {"response": [lambda reply: asked.append(dict(reply.headers))]}
    http_client = httpx2.Client(event_hooks=hooks, timeout=30)
    return anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{gateway.port}",
        api_key=APP_TOKEN,
        max_retries=max_retries,
        http_client=http_client,
    )


def test_refusals_in_the_dialect_of_openai(limited: GatewayProcess) -> None:
    """A spent budget is the SDK's RateLimitError, asked for once."""
    asked: list[Headers] = []
    with client_of(limited, asked) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="paid/empty", messages=MESSAGES)
    assert (caught.value.type, caught.value.code) == ("rate_limit_error", "budget_exceeded")
    assert '"empty"' in caught.value.message
    (headers,) = asked
    assert headers["x-should-retry"] == "false"
    assert "retry-after" not in headers, "a budget for ever does not reset"


def test_refusals_in_the_dialect_of_anthropic(limited: GatewayProcess) -> None:
    """The same."""
    asked: list[Headers] = []
    with claude_of(limited, asked) as client, pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(model="paid/empty", max_tokens=5, messages=MESSAGES)
    body = caught.value.body
    assert isinstance(body, dict)
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    assert '"empty"' in body["error"]["message"]
    (headers,) = asked
    assert headers["x-should-retry"] == "false"


def test_when_to_come_back(limited: GatewayProcess) -> None:
    """A rate limit says when there is room, in both dialects alike."""
    asked: list[Headers] = []
    assert chat(limited, "fake/one").status == 200
    with client_of(limited, asked, max_retries=0) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="fake/one", messages=MESSAGES)
    assert caught.value.code == "rate_limit_exceeded"
    with claude_of(limited, asked, max_retries=0) as claude, pytest.raises(anthropic.RateLimitError):
        claude.messages.create(model="fake/one", max_tokens=5, messages=MESSAGES)
    assert len(asked) == 2
    for headers in asked:
        # It moves in twelfths, so an hour may be five minutes longer.
        assert 3000 < int(headers["retry-after"]) <= 3900
        assert "x-should-retry" not in headers
        assert headers["x-ratelimit-limit-requests"] == "1"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert headers["x-tfy-error-source"] == "gateway"


# -- limits on who answers


def test_no_target_has_room(limited: GatewayProcess, upstream: FakeUpstream) -> None:
    """The refusal is by the limit that has room first, whichever target comes first."""
    until(lambda: chat(limited, "fake/full-soon").status == 429, what="its only call to be made")
    upstream.forget()
    for name in ROUTES:
        reply = chat(limited, f"vm/{name}")
        message = assert_error(reply, 429, "rate_limit_error", "rate_limit_exceeded", "gateway")
        assert '"full-soon"' in message
        assert 1 <= int(reply.header("retry-after") or "0") <= 3900
    assert upstream.exchanges == []
