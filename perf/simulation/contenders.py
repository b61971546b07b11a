"""Who brings the calls of a run to the providers: the gateway's routing, and retries without memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Protocol

from gateway.attempt import outcome_of
from gateway.config.manifests.load_balancing import WeightedTarget
from gateway.edge.client import AsgiHeaders
from gateway.endpoints.call_limits import NO_LIMITS
from gateway.endpoints.catalogue import CHAT
from gateway.errors import NoTargetAvailable, UpstreamTimeout, UpstreamUnreachable
from gateway.failover import Failover, Failure
from gateway.model import (
    Caller,
    CallFacts,
    FallbackPolicy,
    RetryPolicy,
    SkipReason,
    Target,
    TimeLimits,
    Usage,
)
from gateway.responder import Answer
from gateway.routing.health import Health
from gateway.routing.latency import Latency
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route, Strategy
from gateway.routing.weighted import Weighted
from gateway.store.target_board import board_in_memory
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from perf.simulation.world import FIRST_TOKEN_LIMIT_S, Call, Provider, Reply

RETRIES: Final = 2
"""Of the naive ones; the gateway's are what a manifest without `retry_config` gives."""

_EPOCH_S: Final = 1_776_000_000.0
_NS_PER_S: Final = 1_000_000_000
_OK: Final = 200
_WORTH_A_RETRY: Final = frozenset({408, 409, 429, 500, 502, 503, 504})
_DEFAULTS: Final = WeightedTarget(target="any/model", weight=1)


class Contender(Protocol):
    """One of them.

    Attributes:
        answers: Good replies that went to callers, by the number of the call.
    """

    answers: Counter[int]

    async def call(self, call: Call) -> int:
        """Answer *call*; the status that its caller sees."""

    def skip_reason(self, name: str) -> SkipReason | None:
        """Why provider *name* gets no calls now, None when it does."""


class Naive:
    """Draws a provider for a call and, when it fails, tries at once again: remembers nothing."""

    def __init__(self, providers: Mapping[str, Provider], random: Random, *, moves_on: bool) -> None:
        """Prepare.

        Args:
            providers: By name.
            random: Draws.
            moves_on: Each try draws anew; else all of a call are at one provider.
        """
        self.answers: Counter[int] = Counter()
        self._providers = list(providers.values())
        self._random = random
        self._moves_on = moves_on

    async def call(self, call: Call) -> int:
        """Try three times."""
        provider = self._random.choice(self._providers)
        status = 0
        for _ in range(1 + RETRIES):
            status = (await provider.ask(call)).status
            if status not in _WORTH_A_RETRY:
                break
            if self._moves_on:
                provider = self._random.choice(self._providers)
        if status == _OK:
            self.answers[call.number] += 1
        return status

    def skip_reason(self, _: str) -> SkipReason | None:
        """It does not know."""
        return None


class Routed:
    """The gateway's own route, strategy, health, circuits, retries, backoff and budget."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        random: Random,
        now_s: Callable[[], float],
        make_strategy: Callable[[Random, Callable[[], float]], Strategy],
    ) -> None:
        """Prepare.

        Args:
            providers: By name.
            random: Of jitter and draws.
            now_s: Since the beginning.
            make_strategy: Given *random* and a clock of Unix time.
        """
        self.answers: Counter[int] = Counter()
        self._providers = providers
        self._now_s = now_s
        self._health = Health(board_in_memory(now_s=self._unix_s), now_s=self._unix_s, random=random)
        candidates = [
            Candidate(_target(name), weight=10, priority=number // 4) for number, name in enumerate(providers)
        ]
        strategy = make_strategy(random, self._unix_s)
        self._route = Route("vm/chat", candidates, strategy, self._health)
        self._failover = Failover(_NoUpstream(), random, health=self._health, now_s=now_s)

    async def call(self, call: Call) -> int:
        """Plan and try."""
        try:
            plan = self._route.plan(CallFacts(Caller(call.caller, frozenset()), CHAT, AsgiHeaders([]), {}))
        except NoTargetAvailable as error:
            return error.status
        trace = _trace(self._ns())
        trace.plan = plan
        failure = await self._failover.first_good(trace, plan.targets, _Attempts(self, call), None)
        return _OK if failure is None else failure.status

    def skip_reason(self, name: str) -> SkipReason | None:
        """As planning sees it."""
        return self._health.skip_reason(name)

    async def make(self, call: Call, target: Target) -> Failure | None:
        """Make one attempt, and let the health of its target know."""
        attempt = AttemptTrace(target, 1, bytes(8), self._ns())
        reply = await self._providers[target.name].ask(call)
        attempt.end_ns = self._ns()
        failure = _failure(reply)
        if failure is None:
            attempt.status_code = reply.status
            attempt.first_content_ns = attempt.start_ns + round(reply.first_token_s * _NS_PER_S)
            attempt.usage = Usage(None, call.tokens, "provider")
            self.answers[call.number] += 1
        self._health.ended(target, outcome_of(attempt, failure, NO_LIMITS))
        return failure

    def _ns(self) -> int:
        # From 1, as 0 stands for a time that is not known.
        return 1 + round(self._now_s() * _NS_PER_S)

    def _unix_s(self) -> float:
        return _EPOCH_S + self._now_s()


class _Attempts:
    """`gateway.failover.Attempts` of one call."""

    can_repeat = True

    def __init__(self, contender: Routed, call: Call) -> None:
        self._contender = contender
        self._call = call

    async def make(self, target: Target) -> Failure | None:
        """Make one attempt."""
        return await self._contender.make(self._call, target)


class _NoUpstream:
    """`gateway.attempt.Upstream` that is never asked: attempts are made by the simulation."""

    async def exchange(self, request: Any) -> Any:
        """Never."""
        raise NotImplementedError(request)

    async def pass_on(self, passage: Any) -> Any:
        """Never."""
        raise NotImplementedError(passage)


def _failure(reply: Reply) -> Failure | None:
    if reply.is_good:
        return None
    if reply.status == UpstreamUnreachable.status:
        return UpstreamUnreachable("refused")
    if reply.status == UpstreamTimeout.status:
        return UpstreamTimeout("silent")
    after_s = reply.retry_after_s
    return Answer(reply.status, [] if after_s is None else [(b"retry-after", b"%d" % after_s)], b"")


def _target(name: str) -> Target:
    retry = _DEFAULTS.retry_config
    return Target(
        name=name,
        account=name.partition("/")[0],
        model_id="model",
        provider="openai",
        peer="openai",
        base_url="https://api.test/v1",
        address="api.test",
        port=443,
        headers=(),
        propagate_trace=False,
        model_types=frozenset({"chat"}),
        retry=RetryPolicy(retry.attempts, retry.delay, frozenset(retry.on_status_codes)),
        fallback=FallbackPolicy(frozenset(_DEFAULTS.fallback_status_codes)),
        limits=TimeLimits(first_token_s=FIRST_TOKEN_LIMIT_S),
    )


def _trace(now_ns: int) -> CallTrace:
    return CallTrace(
        trace_id=bytes(16),
        span_id=bytes(8),
        parent=None,
        flags=0,
        request_id="",
        config_version="",
        started_at_ns=now_ns,
        start_ns=now_ns,
        method="POST",
        path=CHAT.route,
        route=CHAT.route,
        scheme="http",
        server_address="",
        server_port=None,
        peer_address="",
        user_agent="",
        endpoint=CHAT,
        random=_NO_CHANCE,
    )


_NO_CHANCE: Final = Random(0)

Make = Callable[[Mapping[str, Provider], Random, Callable[[], float]], Contender]
"""Makes a contender of its providers, its chance and the time since the beginning."""

CONTENDERS: Final[Mapping[str, Make]] = {
    "retry there": lambda providers, random, _: Naive(providers, random, moves_on=False),
    "retry anywhere": lambda providers, random, _: Naive(providers, random, moves_on=True),
    "weight-based": lambda providers, random, now_s: Routed(
        providers, random, now_s, lambda chance, _: Weighted(chance)
    ),
    "priority-based": lambda providers, random, now_s: Routed(
        providers, random, now_s, lambda chance, _: Priority(chance)
    ),
    "latency-based": lambda providers, random, now_s: Routed(
        providers, random, now_s, lambda _, clock: Latency("vm/chat", clock)
    ),
}
"""By name, the naive ones first."""
