"""Which targets of a plan are tried, in which order, how often, and when another takes over.

Everything here happens before a byte of an answer has gone out: an attempt is opened (`gateway.attempt`), and
only one that is good is delivered. So whatever fails, the caller gets one answer, of one target, or the last
failure with its status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from random import Random
from typing import Any, Final

from gateway.attempt import Opened, Upstream, Wishes, deliver, open_attempt, outcome_of
from gateway.errors import (
    ClientDisconnected,
    FirstTokenTimeout,
    GatewayError,
    NoTargetAvailable,
    UnsupportedParameter,
)
from gateway.model import AttemptObserver, Call, Outcome, Plan, RetryPolicy, SessionPlace, SkipReason, Target
from gateway.relay import mask
from gateway.responder import Answer, Responder
from gateway.routing.backoff import delay_s
from gateway.routing.retry_budget import RetryBudgets
from gateway.routing.sessions import Sessions
from gateway.tasks import spawn
from gateway.telemetry.call_trace import CallTrace
from gateway.translate.registry import pair_of
from gateway.wire.retry_after import wait_in_headers

Failure = GatewayError | Answer
"""What an attempt ended with that was not good: an error of ours, or the provider's own."""

_ABANDONED: Final = Outcome("none", 0)


class Unobserved:
    """`AttemptObserver` that lets every attempt begin and takes no notes."""

    def admit(self, _: Target) -> SkipReason | None:
        """Let it begin."""
        return None

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Take no note."""


class _Progress:
    """How far a call has come: the last failure, and whose it was."""

    __slots__ = ("failure", "target")

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.target: Target | None = None

    def failed(self, target: Target, failure: Failure) -> None:
        """Note that."""
        self.target, self.failure = target, failure

    @property
    def is_over(self) -> bool:
        """Whether the failure is one that no other target is tried for."""
        return (
            self.failure is not None and self.target is not None and not falls_back(self.target, self.failure)
        )


class Failover:
    """Tries the targets of plans, for one worker."""

    def __init__(
        self,
        upstream: Upstream,
        random: Random,
        *,
        health: AttemptObserver | None = None,
        sessions: Sessions | None = None,
    ) -> None:
        """Wire it.

        Args:
            upstream: The provider's side.
            random: Source of jitter.
            health: Learns of every attempt, and may hold back those at targets that are sick; None: nobody.
            sessions: Remembers which target a session stays with; None: nothing does.
        """
        self._upstream = upstream
        self._random = random
        self._health = health or Unobserved()
        self._sessions = sessions
        self._budgets = RetryBudgets(time.monotonic)
        self._racing: set[asyncio.Task[Any]] = set()

    async def answer(self, responder: Responder, call: Call, plan: Plan, wishes: Wishes) -> None:
        """Answer *call* by the first target of *plan* that can.

        Raises:
            GatewayError: None could: the last failure.
            NoTargetAvailable: None may be asked any more.
        """
        progress = _Progress()
        targets = plan.targets
        if plan.hedge_after_s is not None and call.is_stream:
            opened, tried = await self._race(responder, call, plan, wishes, progress)
            if opened is not None and await self._deliver(responder, call, opened, wishes, progress):
                return
            targets = targets[tried:]
        for index, target in enumerate(targets):
            if progress.is_over:
                break
            has_more = index + 1 < len(targets)
            if await self._try(responder, call, target, wishes, progress, has_more=has_more):
                return
        if progress.failure is None:
            raise _none_left(plan)
        if isinstance(progress.failure, GatewayError):
            raise progress.failure
        await responder.answer(progress.failure)

    async def _try(
        self,
        responder: Responder,
        call: Call,
        target: Target,
        wishes: Wishes,
        progress: _Progress,
        *,
        has_more: bool,
    ) -> bool:
        """Try *target* as often as its policy says; whether the caller has been answered."""
        trace = responder.trace
        is_routed = trace.plan is not None and trace.plan.route is not None
        policy = target.retry if wishes.retry is None else wishes.retry.over(target.retry)
        self._budgets.called(target.name)
        retry = 0
        while True:
            if is_routed and (reason := self._health.admit(target)) is not None:
                if not retry:
                    trace.skipped(target.name, reason)
                return False
            opened = await self._open(responder, call, target, wishes)
            if isinstance(opened, Opened):
                if await self._deliver(responder, call, opened, wishes, progress):
                    return True
            else:
                progress.failed(target, opened)
            retry += 1
            assert progress.failure is not None, "else it is answered"  # noqa: S101 - for the type checker
            has_other = has_more and falls_back(target, progress.failure)
            wait_s = self._retry_wait_s(target, progress.failure, policy, retry, has_other=has_other)
            if wait_s is None:
                return False
            await pause(trace, wait_s)

    def _retry_wait_s(
        self,
        target: Target,
        failure: Failure,
        policy: RetryPolicy,
        retry: int,
        *,
        has_other: bool,
    ) -> float | None:
        """How long to wait before *target* is asked once more; None: it is not."""
        if retry > policy.retries or failure.status not in policy.on_status or _is_final(failure):
            return None
        asked_s = wait_in_headers(failure.headers, time.time()) if isinstance(failure, Answer) else 0.0
        # Who asks for patience gets it: from this call if there is nobody else to ask and it is not for long.
        if asked_s and (has_other or asked_s > policy.bounds.max_wait_s):
            return None
        if not self._budgets.take(target.name, policy.bounds):
            return None
        return max(asked_s, delay_s(policy.delay_ms, retry, self._random))

    async def _open(
        self, responder: Responder, call: Call, target: Target, wishes: Wishes
    ) -> Opened | Failure:
        """Make one attempt, until it is known whether it is good."""
        try:
            pair = pair_of(call.endpoint, target)
        except UnsupportedParameter as error:
            # Nothing was tried, so there is no attempt to tell of.
            return error
        attempt = responder.trace.attempt(target)
        failure: Failure
        try:
            opened = await open_attempt(self._upstream, responder, call, attempt, pair, wishes.limits)
            if isinstance(opened, Opened):
                return opened
            failure = opened
        except GatewayError as error:
            mask(error, attempt)
            attempt.failed(error.code, error.for_operator, error.excerpt)
            failure = error
        except asyncio.CancelledError:
            # It stays open: the settlement knows by whom it was broken off, and ends it.
            self._health.ended(target, _ABANDONED)
            raise
        attempt.ended()
        self._health.ended(target, outcome_of(attempt, failure, wishes.limits))
        return failure

    async def _deliver(
        self, responder: Responder, call: Call, opened: Opened, wishes: Wishes, progress: _Progress
    ) -> bool:
        """Send what has been opened; whether the caller has been answered."""
        attempt = opened.attempt
        target = attempt.target
        trace = responder.trace
        trace.answered_by(attempt)
        place = trace.plan.session if trace.plan is not None else None
        if place is not None:
            self._keep(place, target)
        failure: Failure | None = None
        try:
            failure = await deliver(responder, call, opened)
        except GatewayError as error:
            mask(error, attempt)
            attempt.failed(error.code, error.for_operator, error.excerpt)
            attempt.ended()
            self._health.ended(target, outcome_of(attempt, error, wishes.limits))
            if responder.client.has_started:
                await responder.fail(error)
                return True
            progress.failed(target, error)
            return False
        except (asyncio.CancelledError, ClientDisconnected):
            self._health.ended(target, _ABANDONED)
            raise
        attempt.ended()
        self._health.ended(target, outcome_of(attempt, failure, wishes.limits))
        if failure is not None:
            progress.failed(target, failure)
        return failure is None

    def _keep(self, place: SessionPlace, target: Target) -> None:
        if self._sessions is not None:
            self._sessions.keep(place, target)

    async def _race(
        self, responder: Responder, call: Call, plan: Plan, wishes: Wishes, progress: _Progress
    ) -> tuple[Opened | None, int]:
        """Open the first target, and the second beside it when the first has had no token for too long.

        Returns:
            The attempt that had content first, None when neither had; and how many targets are used up.
        """
        running: dict[asyncio.Task[Opened | Failure], Target] = {}
        opened: Opened | None = None
        tried = 1
        try:
            self._begin(running, responder, call, plan.targets[0], wishes)
            if running:
                done, _ = await asyncio.wait(running, timeout=plan.hedge_after_s)
                if not done:
                    self._begin(running, responder, call, plan.targets[1], wishes)
                    tried = 2
            while running and opened is None:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # Of two that are there at once, the first target's.
                task = next(task for task in running if task.done())
                target = running.pop(task)
                result = task.result()
                if isinstance(result, Opened):
                    opened = result
                else:
                    progress.failed(target, result)
            return opened, tried
        finally:
            await _stop(running)
            if opened is not None:
                for attempt in responder.trace.attempts:
                    if attempt is not opened.attempt and not attempt.end_ns:
                        attempt.lost()

    def _begin(
        self,
        running: dict[asyncio.Task[Opened | Failure], Target],
        responder: Responder,
        call: Call,
        target: Target,
        wishes: Wishes,
    ) -> None:
        """Begin an attempt beside this task, if it may be begun."""
        self._budgets.called(target.name)
        if (reason := self._health.admit(target)) is not None:
            responder.trace.skipped(target.name, reason)
            return
        opening = self._open(responder, call, target, wishes)
        running[spawn(opening, name=f"attempt-{target.name}", owner=self._racing)] = target


def falls_back(target: Target, failure: Failure) -> bool:
    """Whether another is tried after *failure* of *target*."""
    return failure.status in target.fallback.on_status or isinstance(
        failure, FirstTokenTimeout | UnsupportedParameter
    )


async def pause(trace: CallTrace, wait_s: float) -> None:
    """Wait before another try; the wait is no overhead of ours."""
    began_ns = time.perf_counter_ns()
    await asyncio.sleep(wait_s)
    trace.paused_ns += time.perf_counter_ns() - began_ns


def _is_final(failure: Failure) -> bool:
    """Whether the same target would fail again, or says that it is not to be asked again."""
    if isinstance(failure, Answer):
        return (b"x-should-retry", b"false") in failure.headers
    return isinstance(failure, FirstTokenTimeout | UnsupportedParameter)


async def _stop(running: Collection[asyncio.Task[Opened | Failure]]) -> None:
    """End attempts that lost a race."""
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    for task in running:
        # It may have been good at this very moment.
        if not task.cancelled() and task.exception() is None and isinstance(late := task.result(), Opened):
            late.close()


def _none_left(plan: Plan) -> NoTargetAvailable:
    names = ", ".join(target.name for target in plan.targets)
    message = f"No target can be asked now: the circuits of {names} are open or being probed."
    return NoTargetAvailable(message, param="model", headers=(("retry-after", "1"),))
