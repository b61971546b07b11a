"""The faults of Failover Bench by their names, and what it checks of each.

Failover Bench (https://github.com/failoverbench/failoverbench, methodology 0.1) scores gateways by sixteen
faults, chosen by the name of the model. Here the same names stand for the same faults at a provider of ours,
its waits shortened to what the limits of the virtual models allow; each test is what the bench wants to see:
the whole answer or a clean error, never a part of one, and no more attempts than that takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import openai
import pytest

from tests.rig import behaviours
from tests.rig.behaviours import TEXT, WORDS, chunk, end_stream, error_body, forever, json_reply, send_piece
from tests.rig.fake_upstream import Behaviour, Exchange, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    by_priority,
    openai_account,
    virtual_account,
    virtual_models,
)
from tests.rig.until import until

FALLBACK: Final = "fb-ok"
NO_PREFILL: Final = "fb-ok-noprefill"
MOST_ATTEMPTS: Final = 6
PROMPT: Final[Any] = [{"role": "user", "content": "Why does a gateway earn trust?"}]


def refuses(status: int, code: str = "", **headers: str) -> Behaviour:
    """An error, with a code of its own where one is told."""
    body = error_body(status)
    if code:
        body["error"]["code"] = code
    return json_reply(status, body, [(name.replace("_", "-"), value) for name, value in headers.items()])


async def begins(exchange: Exchange, words: int) -> None:
    """A part of the answer."""
    await behaviours.start_stream(exchange)
    await send_piece(exchange, chunk(exchange.model, {"role": "assistant", "content": ""}))
    for word in WORDS[:words]:
        await send_piece(exchange, chunk(exchange.model, {"content": word}))
    await exchange.connection.stand_apart()


async def cut(exchange: Exchange) -> None:
    await begins(exchange, 3)
    exchange.connection.close()


async def stalls(exchange: Exchange) -> None:
    await begins(exchange, 3)
    await forever(exchange)


async def malformed(exchange: Exchange) -> None:
    await begins(exchange, 2)
    await send_piece(exchange, b'data: {"id": "chatcmpl-fake", "choices\n\n')
    for piece in behaviours.stream_events(exchange)[4:]:
        await send_piece(exchange, piece)
    await end_stream(exchange)


async def rejects_prefill(exchange: Exchange) -> None:
    last = exchange.json["messages"][-1]
    answers = refuses(400, "prefill") if last["role"] == "assistant" else behaviours.normal
    await answers(exchange)


class Wall:
    """The provider: its faults by the names of the models, some of them only at first.

    Attributes:
        is_down: Whether the one that flaps is down.
    """

    def __init__(self) -> None:
        self.is_down = True
        self._attempts: Counter[str] = Counter()

    async def answer(self, exchange: Exchange) -> None:
        """Do what the model's name says."""
        name = exchange.model
        self._attempts[name] += 1
        if name == FLAPS:
            behaviour = refuses(503) if self.is_down else behaviours.normal
        elif name in ONCE and self._attempts[name] > 1:
            behaviour = behaviours.normal
        else:
            behaviour = FAULTS.get(name, behaviours.normal)
        await behaviour(exchange)

    def forget(self) -> None:
        """Every fault is new again."""
        self._attempts.clear()


FLAPS: Final = "fb-s15-flap"
FAULTS: Final[dict[str, Behaviour]] = {
    "fb-s01-429-retry-after": refuses(429, retry_after="2"),
    "fb-s02-429-persistent": refuses(429),
    "fb-s03-500-then-200": refuses(500),
    "fb-s04-503-persistent": refuses(503),
    "fb-s05-reset": behaviours.reset_before_head,
    "fb-s06-no-response": forever,
    "fb-s07-slow-ttft": behaviours.hang_after_head,
    "fb-s08-stream-cut": cut,
    "fb-s09-stream-stall": stalls,
    "fb-s10-malformed-chunk": malformed,
    "fb-s11-no-done": behaviours.no_done,
    "fb-s12-context-length": refuses(400, "context_length_exceeded"),
    "fb-s13-content-filter": refuses(400, "content_policy_violation"),
    "fb-s14-stream-cut": cut,
    "fb-s16-503-persistent": refuses(503),
    NO_PREFILL: rejects_prefill,
}
LIMITS: Final = {
    "fb-s06-no-response": {"first_token_ms": 500},
    "fb-s07-slow-ttft": {"first_token_ms": 500},
    # Its first words have to be here before.
    "fb-s09-stream-stall": {"gap_ms": 3000},
}
"""Of those that are silent, and of no other: a busy machine is slow."""

ONCE: Final = frozenset({"fb-s01-429-retry-after", "fb-s03-500-then-200", "fb-s05-reset"})


@dataclass(frozen=True)
class Score:
    """What the bench wants to see of a fault, and we show.

    Attributes:
        of: Whose whole answer it is; "" for a clean error.
        attempts: At the primary.
    """

    of: str
    attempts: int


SCORES: Final = {
    "fb-s01-429-retry-after": Score(FALLBACK, 1),
    "fb-s02-429-persistent": Score(FALLBACK, 3),
    "fb-s03-500-then-200": Score("fb-s03-500-then-200", 2),
    "fb-s04-503-persistent": Score(FALLBACK, 3),
    "fb-s05-reset": Score("fb-s05-reset", 2),
    "fb-s06-no-response": Score(FALLBACK, 1),
    "fb-s07-slow-ttft": Score(FALLBACK, 1),
    "fb-s08-stream-cut": Score("", 1),
    "fb-s09-stream-stall": Score("", 1),
    "fb-s10-malformed-chunk": Score("", 1),
    "fb-s11-no-done": Score("fb-s11-no-done", 1),
    "fb-s12-context-length": Score("", 1),
    "fb-s13-content-filter": Score("", 1),
    "fb-s14-stream-cut": Score("", 1),
    "fb-s16-503-persistent": Score(FALLBACK, 3),
}


@dataclass(frozen=True)
class Heard:
    """What the caller's SDK made of a call."""

    text: str
    models: frozenset[str]
    has_usage: bool
    error: openai.APIError | None


@dataclass(frozen=True)
class Bench:
    """What runs."""

    client: openai.OpenAI
    upstream: FakeUpstream
    wall: Wall

    def call(self, name: str) -> Heard:
        """Ask the virtual model of a fault."""
        chunks: list[Any] = []
        error = None
        try:
            stream = self.client.chat.completions.create(
                model=f"bench/{name}", messages=PROMPT, stream=True, stream_options={"include_usage": True}
            )
            chunks.extend(stream)
        except openai.APIError as caught:
            error = caught
        words = [choice.delta.content or "" for each in chunks for choice in each.choices]
        return Heard(
            "".join(words),
            frozenset(each.model for each in chunks),
            any(each.usage for each in chunks),
            error,
        )

    def attempts_at(self, name: str) -> int:
        """How often a model was asked."""
        return sum(exchange.model == name for exchange in self.upstream.exchanges)


def _virtual_models() -> Document:
    routes = {}
    for name in (*SCORES, FLAPS):
        backup = NO_PREFILL if name == "fb-s14-stream-cut" else FALLBACK
        routes[name] = by_priority(
            [{"target": f"wall/{name}", "timeouts": LIMITS.get(name, {})}, {"target": f"wall/{backup}"}]
        )
    return virtual_models("bench", routes)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as running:
        wall = Wall()
        upstream = running.enter_context(FakeUpstream({}, wall.answer))
        documents = [
            openai_account("wall", upstream.base_url, [*FAULTS, FLAPS, FALLBACK]),
            _virtual_models(),
            virtual_account("bench", [APP_TOKEN], ["*"]),
        ]
        folder = tmp_path_factory.mktemp("bench")
        gateway = running.enter_context(GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT))
        client = openai.OpenAI(base_url=gateway.base_url, api_key=APP_TOKEN, max_retries=0, timeout=60)
        yield Bench(running.enter_context(client), upstream, wall)


@pytest.fixture
def bench(running: Bench) -> Bench:
    running.upstream.forget()
    running.wall.forget()
    return running


@pytest.mark.parametrize("name", SCORES)
def test_fault(bench: Bench, name: str) -> None:
    """The whole answer of one model, or an error; and the gateway is well afterwards."""
    score = SCORES[name]
    heard = bench.call(name)
    assert bench.attempts_at(name) == score.attempts <= MOST_ATTEMPTS
    if score.of:
        assert (heard.error, heard.text) == (None, TEXT)
        assert heard.models == {f"{score.of}-2026"}
        assert heard.has_usage
    else:
        assert heard.error is not None
        assert heard.text != TEXT
        assert "prefill" not in str(heard.error)
        assert bench.attempts_at(FALLBACK) + bench.attempts_at(NO_PREFILL) == 0
    assert bench.call("fb-s11-no-done").text == TEXT


def test_provider_that_flaps(bench: Bench) -> None:
    """S15: while it is down the other answers and it is left alone; when it is back its calls are its own."""
    calls = 12
    for _ in range(calls):
        heard = bench.call(FLAPS)
        assert (heard.error, heard.text) == (None, TEXT)
        assert heard.models == {f"{FALLBACK}-2026"}
    assert bench.attempts_at(FLAPS) < calls
    bench.wall.is_down = False
    until(lambda: bench.call(FLAPS).models == {f"{FLAPS}-2026"}, "it is asked again")
