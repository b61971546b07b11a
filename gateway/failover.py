"""Which targets of a plan are tried, in which order, how often, and when another takes over.

Everything here happens before a byte of an answer has gone out: an attempt is opened (`gateway.attempt`), and
only one that is good is delivered. So whatever fails, the caller gets one answer, of one target, or the last
failure with its status.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from http import HTTPStatus
from math import ceil, inf
from random import Random
from typing import Any, Final, Protocol

import msgspec

from gateway.attempt import (
    Opened,
    Upstream,
    Wishes,
    deliver,
    is_out_of_callers_time,
    open_attempt,
    outcome_of,
    wait_asked,
)
from gateway.endpoints.call_limits import CallLimits
from gateway.endpoints.retry_wish import RetryWish
from gateway.errors import (
    ClientDisconnected,
    FirstTokenTimeout,
    GatewayError,
    NoTargetAvailable,
    UnsupportedParameter,
    UpstreamBadReply,
)
from gateway.long_work import LongWork
from gateway.model import AttemptObserver, Call, Outcome, Plan, RetryPolicy, SkipReason, Target
from gateway.relay import note_failure
from gateway.responder import Answer, Responder
from gateway.routing.backoff import delay_s
from gateway.routing.retry_budget import RetryBudgets
from gateway.routing.sessions import Sessions
from gateway.tasks import spawn
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from gateway.translate.registry import pair_of

Failure = GatewayError | Answer
"""What an attempt ended with that was not good: an error of ours, or the provider's own."""

_LEAST_BEYOND_S: Final = 0.01

_MISTAKES: Final = frozenset(range(400, 500)) - {408, 429}
"""Statuses of what the same target would say again, in whatever words."""

_SERVER_ERROR: Final = 500
_SERVER_ERRORS: Final = frozenset({*filter(_SERVER_ERROR.__le__, HTTPStatus), 529})
"""Those that HTTP knows, and 529, which rules mean when they name it. Any other counts as 500 too (RFC 9110,
15): Cloudflare's 520 to 530 are JSON for who accepts that, and look like a provider's own errors."""

_PROBED_S: Final = 1.0
_NS_PER_MS: Final = 1_000_000


def abandoned(attempt: AttemptTrace) -> Outcome:
    """Of an attempt that was broken off from our side; its beginning tells whether it was a probe."""
    return Outcome("none", 0, took_ms=(time.perf_counter_ns() - attempt.start_ns) / _NS_PER_MS)


class Attempts(Protocol):
    """What is tried at one target after another."""

    @property
    def can_repeat(self) -> bool:
        """What has failed may be tried again, there or elsewhere: nothing is done twice by it."""

    async def make(self, target: Target) -> Failure | None:
        """Make one attempt; None when the caller has been answered, else nothing has gone to it."""


class Unobserved:
    """`AttemptObserver` that lets every attempt begin and takes no notes."""

    def admit(self, _: Target) -> SkipReason | None:
        """Let it begin."""
        return None

    def went_well(self, _: Target) -> bool:
        """It is enough."""
        return False

    def wait_s(self, _: str) -> float:
        """Nobody knows."""
        return 0.0

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Take no note."""


UNOBSERVED: Final = Unobserved()

MOST_ATTEMPTS: Final = 32
"""After so many no other target is tried: a name with hundreds of them must not make hundreds of calls."""


class Progress:
    """How far a call has come: the last failure, and whose it was.

    Attributes:
        is_begun: The first target has been tried once, and may be tried again.
    """

    __slots__ = ("attempt", "failure", "is_begun", "target")

    def __init__(self) -> None:
        self.attempt: AttemptTrace | None = None
        self.failure: Failure | None = None
        self.is_begun = False
        self.target: Target | None = None

    def failed(self, trace: CallTrace, target: Target, failure: Failure) -> None:
        """Note that, unless it says less than what is known: a target that cannot do it was not asked.

        A caller that hears of that alone would take its call for wrong, and send it to nobody any more.
        """
        if self.attempt is not None and isinstance(failure, UnsupportedParameter):
            trace.answered_by(self.attempt)
            return
        if not isinstance(failure, UnsupportedParameter):
            self.attempt = trace.answer
        self.target, self.failure = target, failure

    @property
    def is_over(self) -> bool:
        """Whether the failure is one that no other target is tried for."""
        return (
            self.failure is not None and self.target is not None and not falls_back(self.target, self.failure)
        )


class Failover:
    """Tries the targets of plans, for one worker.

    Attributes:
        health: Learns of attempts, and may hold them back.
    """

    def __init__(
        self,
        upstream: Upstream,
        random: Random,
        *,
        health: AttemptObserver | None = None,
        sessions: Sessions | None = None,
        long_work: LongWork | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wire it.

        Args:
            upstream: The provider's side.
            random: Source of jitter.
            health: Learns of every attempt, and may hold back those at targets that are sick; None: nobody.
            sessions: Remembers which target a session stays with; None: nothing does.
            long_work: Of the worker; None: it has none but this.
            now_s: A clock that only goes forward, in seconds.
        """
        self._upstream = upstream
        self._long_work = long_work or LongWork()
        self._random = random
        self.health = health or UNOBSERVED
        self._sessions = sessions
        self._budgets = RetryBudgets(now_s)
        self._racing: set[asyncio.Task[Any]] = set()

    async def answer(self, responder: Responder, call: Call, plan: Plan, wishes: Wishes) -> None:
        """Answer *call* by the first target of *plan* that can.

        Raises:
            GatewayError: None could: the last failure.
            NoTargetAvailable: None may be asked any more.
        """
        targets = plan.targets
        progress: Progress | None = None
        if call.is_stream:
            responder.begin_waiting(call.endpoint.stream_type)
        if plan.hedge_after_s is not None and call.is_stream:
            progress = Progress()
            opened, tried = await self._race(responder, call, plan, wishes, progress)
            if opened is not None:
                failure = await self.deliver(responder, call, opened, wishes)
                if failure is None:
                    return
                progress.failed(responder.trace, opened.attempt.target, failure)
            # Who failed alone is tried again as without a hedge; of two neither is.
            progress.is_begun = tried == 1 and progress.failure is not None
            targets = targets if progress.is_begun else targets[tried:]
        elif plan.route is None or self._may_begin(responder.trace, targets[0]):
            # Most calls need no more than this, and each step between would cost all of them.
            self._budgets.called(targets[0].name)
            opening = await self.open(responder, call, targets[0], wishes)
            if isinstance(opening, Opened):
                failure = await self.deliver(responder, call, opening, wishes)
                if failure is None:
                    return
            else:
                failure = opening
            progress = Progress()
            progress.failed(responder.trace, targets[0], failure)
            progress.is_begun = True
        attempts = _Calls(self, responder, call, wishes)
        await self.try_in_turn(responder, targets, attempts, wishes.retry, progress)

    async def try_in_turn(
        self,
        responder: Responder,
        targets: Sequence[Target],
        attempts: Attempts,
        wish: RetryWish | None,
        progress: Progress | None = None,
    ) -> None:
        """Make *attempts* at each of *targets* until the caller has been answered.

        Args:
            responder: Of the call; its trace knows the plan.
            targets: In order.
            attempts: What is tried.
            wish: The caller's, of retries.
            progress: What has been tried before.

        Raises:
            GatewayError: As `answer`.
        """
        failure = await self.first_good(responder.trace, targets, attempts, wish, progress)
        if isinstance(failure, UpstreamBadReply):
            failure = _to_be_told(failure)
        if isinstance(failure, GatewayError):
            raise failure
        if failure is not None:
            await responder.answer(failure)

    async def first_good(
        self,
        trace: CallTrace,
        targets: Sequence[Target],
        attempts: Attempts,
        wish: RetryWish | None,
        progress: Progress | None = None,
    ) -> Failure | None:
        """As `try_in_turn`; gives the last failure back, None when the caller has been answered."""
        progress = progress or Progress()
        for index, target in enumerate(targets):
            is_begun, progress.is_begun = progress.is_begun, False
            if not is_begun and (progress.is_over or not (progress.failure is None or attempts.can_repeat)):
                break
            if len(trace.attempts) >= MOST_ATTEMPTS:
                break
            has_more = index + 1 < len(targets)
            policy = target.retry if wish is None else wish.over(target.retry)
            first = progress.failure if is_begun else None
            if await self._try(trace, target, attempts, policy, progress, first, has_more=has_more):
                return None
        if progress.failure is not None:
            return progress.failure
        return self._none_asked(trace)

    def _none_asked(self, trace: CallTrace) -> GatewayError:
        """What is said where nobody could be asked: by a limit that was in the way, else of each target."""
        planned = () if trace.plan is None else trace.plan.skipped
        waits_s = [
            # Of one that is being probed nobody knows; it takes no long time.
            self.health.wait_s(one.target) or _PROBED_S
            for one in (*planned, *trace.skips)
            if one.reason in ("circuit", "cool_down")
        ]
        soonest_s = ceil(min(waits_s, default=0.0))
        refusal = None if trace.permit is None else trace.permit.refusal
        if isinstance(refusal, GatewayError):
            if soonest_s:
                refusal.headers = _sooner(refusal.headers, soonest_s)
            return refusal
        told = ", ".join(f"{one.target} ({one.reason})" for one in trace.skips)
        wait = (("retry-after", str(soonest_s)),) if soonest_s else ()
        return NoTargetAvailable(f"No target can be asked now: {told}.", param="model", headers=wait)

    async def _try(
        self,
        trace: CallTrace,
        target: Target,
        attempts: Attempts,
        policy: RetryPolicy,
        progress: Progress,
        failure: Failure | None,
        *,
        has_more: bool,
    ) -> bool:
        """Try *target* as often as *policy* says, after a first *failure*; whether that gave an answer."""
        is_routed = _is_routed(trace)
        if failure is None:
            self._budgets.called(target.name)
        retry = 0
        while True:
            if failure is None:
                if is_routed and (reason := await self._held_back(trace, target)) is not None:
                    if not retry:
                        self._skip(trace, target, reason)
                    return False
                failure = await attempts.make(target)
                if failure is None:
                    return True
                progress.failed(trace, target, failure)
            if not attempts.can_repeat:
                return False
            retry += 1
            has_other = has_more and falls_back(target, failure)
            wait_s = self._retry_wait_s(target, failure, policy, retry, has_other=has_other)
            if wait_s is None:
                return False
            await pause(trace, wait_s)
            failure = None

    def _may_begin(self, trace: CallTrace, target: Target) -> bool:
        """Whether a first attempt at *target* may begin, and nobody has to be waited for to know it."""
        permit = trace.permit
        if permit is not None and not permit.has_admitted(target):
            return False
        return self.health.admit(target) is None

    async def _held_back(
        self, trace: CallTrace, target: Target, *, is_second: bool = False
    ) -> SkipReason | None:
        """Why an attempt at *target*, the second of two, may not begin; None when it may."""
        # Health is asked last: it may give this attempt the one leave there is to probe the target.
        if trace.permit is not None:
            admit = trace.permit.admit_beside if is_second else trace.permit.admit_target
            if not await admit(target):
                return "limit"
        return self.health.admit(target)

    def _skip(self, trace: CallTrace, target: Target, reason: SkipReason) -> None:
        """Note that *target* is passed over, of which nothing was asked."""
        if trace.permit is not None:
            trace.permit.forgo(target)
        trace.skipped(target.name, reason)

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
        if retry > policy.retries or not _is_among(failure, policy.on_status) or _is_final(failure):
            return None
        if failure.own_status in _MISTAKES and failure.own_status not in policy.on_status:
            return None
        asked_s = wait_asked(failure, time.time())
        # Who asks for patience gets it: from this call if there is nobody else to ask and it is not for long.
        if asked_s and (has_other or asked_s > policy.bounds.max_wait_s):
            return None
        if not self._budgets.take(target.name, policy.bounds):
            return None
        wait_s = delay_s(policy.delay_ms, retry, self._random)
        # A little longer than was asked: the pause that the target's circuit keeps has to be over by then.
        return asked_s + max(wait_s, _LEAST_BEYOND_S) if asked_s else wait_s

    async def open(
        self, responder: Responder, call: Call, target: Target, wishes: Wishes
    ) -> Opened | Failure:
        """Make one attempt, until it is known whether it is good."""
        try:
            pair = pair_of(call.endpoint, target)
        except UnsupportedParameter as error:
            # Nothing was tried, so there is no attempt to tell of; the leave to make one is given back.
            self.ended(responder.trace, target, Outcome("none", 0))
            return error
        attempt = responder.trace.attempt(target)
        failure: Failure
        try:
            opened = await open_attempt(
                self._upstream, responder, call, attempt, pair, wishes.limits, self._long_work
            )
            if isinstance(opened, Opened):
                return opened
            failure = opened
        except GatewayError as error:
            note_failure(attempt, error)
            failure = error
        except asyncio.CancelledError:
            # It stays open: the settlement knows by whom it was broken off, and ends it.
            self.ended(responder.trace, target, abandoned(attempt))
            raise
        attempt.ended()
        if is_out_of_callers_time(attempt, failure, wishes.limits):
            responder.trace.given_up(attempt)
        self.ended(responder.trace, target, outcome_of(attempt, failure, wishes.limits))
        # Of two that race the last to fail is the one that the caller hears of.
        responder.trace.answered_by(attempt)
        return failure

    async def deliver(
        self, responder: Responder, call: Call, opened: Opened, wishes: Wishes
    ) -> Failure | None:
        """Send what has been opened; None when the caller has been answered, else nothing has gone to it."""
        attempt = opened.attempt
        target = attempt.target
        self.answered(responder.trace, attempt)
        try:
            await deliver(responder, call, opened)
        except GatewayError as error:
            note_failure(attempt, error)
            attempt.ended()
            self.ended(responder.trace, target, outcome_of(attempt, error, wishes.limits))
            if responder.client.has_started:
                await responder.fail(error)
                return None
            # Somebody else may answer yet.
            return error
        except (asyncio.CancelledError, ClientDisconnected):
            self.ended(responder.trace, target, abandoned(attempt))
            raise
        attempt.ended()
        if attempt.error_type or self.health.went_well(target):
            self.ended(responder.trace, target, outcome_of(attempt, None, wishes.limits))
        return None

    async def pass_on(
        self,
        responder: Responder,
        target: Target,
        limits: CallLimits,
        exchange: Callable[[AttemptTrace], Awaitable[Answer | None]],
        observer: AttemptObserver,
    ) -> Failure | None:
        """Make one attempt whose answer is passed on as it comes.

        Args:
            responder: Whose call it is.
            target: Who is asked.
            limits: The caller's.
            exchange: Asks, and answers the caller; gives the provider's error back, nothing sent yet.
            observer: Learns how it went: `health` of what is asked of a model.

        Returns:
            As `Attempts.make`.
        """
        attempt = responder.trace.attempt(target)
        failure: Failure | None
        try:
            failure = await exchange(attempt)
        except GatewayError as error:
            note_failure(attempt, error)
            failure = error
        except (asyncio.CancelledError, ClientDisconnected):
            self.ended(responder.trace, target, abandoned(attempt), observer)
            # Here and not when the call ends, as it is priced before that.
            responder.trace.given_up(attempt)
            raise
        attempt.ended()
        if is_out_of_callers_time(attempt, failure, limits):
            responder.trace.given_up(attempt)
        self.ended(responder.trace, target, outcome_of(attempt, failure, limits), observer)
        if failure is None:
            self.answered(responder.trace, attempt)
        return failure

    def ended(
        self, trace: CallTrace, target: Target, outcome: Outcome, observer: AttemptObserver | None = None
    ) -> None:
        """Tell *observer*, health if it is None, how an attempt went."""
        if outcome.verdict == "none" and not _is_routed(trace):
            # A call that names its model asks for no leave, so its end is not that of the one which has it.
            outcome = msgspec.structs.replace(outcome, had_leave=False)
        (observer or self.health).ended(target, outcome)

    def answered(self, trace: CallTrace, attempt: AttemptTrace) -> None:
        """Note whose answer the caller gets, for its session too."""
        trace.answered_by(attempt)
        if self._sessions is not None and trace.plan is not None and trace.plan.session is not None:
            self._sessions.keep(trace.plan.session, attempt.target.name)

    async def _race(
        self, responder: Responder, call: Call, plan: Plan, wishes: Wishes, progress: Progress
    ) -> tuple[Opened | None, int]:
        """Open the first target, and the second beside it when the first has had no token for too long.

        Returns:
            The attempt that had content first, None when neither had; and how many targets are used up.
        """
        running: dict[asyncio.Task[Opened | Failure], Target] = {}
        opened: Opened | None = None
        first, second = plan.targets[:2]
        reason: SkipReason | None = None
        tried = 1
        try:
            self._budgets.called(first.name)
            held_back = await self._begin(running, responder, call, first, wishes)
            if held_back is not None:
                responder.trace.skipped(first.name, held_back)
            if running:
                done, _ = await asyncio.wait(running, timeout=plan.hedge_after_s)
                # Else all calls of a first target that has become slow would go to both.
                if not done and self._budgets.take(first.name, first.retry.bounds):
                    reason = await self._begin(running, responder, call, second, wishes, is_second=True)
                    # Where there is no room for two at once there may be for it alone, later.
                    tried = 2 if reason is None else 1
            while running and opened is None:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                # Of two that are there at once, the first target's.
                task = next(task for task in running if task.done())
                target = running.pop(task)
                result = task.result()
                if isinstance(result, Opened):
                    opened = result
                else:
                    progress.failed(responder.trace, target, result)
            return opened, tried
        finally:
            if reason is not None and (progress.failure is None or progress.is_over):
                # Else its turn is to come.
                responder.trace.skipped(second.name, reason)
            await self._stop(running, opened)
            if opened is not None:
                _lost_to(opened, responder.trace)

    async def _begin(
        self,
        running: dict[asyncio.Task[Opened | Failure], Target],
        responder: Responder,
        call: Call,
        target: Target,
        wishes: Wishes,
        *,
        is_second: bool = False,
    ) -> SkipReason | None:
        """Begin an attempt beside this task, or say why not; *is_second*: another is under way."""
        reason = await self._held_back(responder.trace, target, is_second=is_second)
        if reason is None:
            opening = self.open(responder, call, target, wishes)
            running[spawn(opening, name=f"attempt-{target.name}", owner=self._racing)] = target
        elif responder.trace.permit is not None:
            responder.trace.permit.forgo(target)
        return reason

    async def _stop(self, running: Collection[asyncio.Task[Opened | Failure]], opened: Opened | None) -> None:
        """End attempts that lost a race against *opened*, or all of them."""
        for task in running:
            task.cancel()
        try:
            if running:
                await asyncio.wait(running)
        except asyncio.CancelledError:
            if opened is not None:
                opened.close()
                self.health.ended(opened.attempt.target, abandoned(opened.attempt))
            raise
        for task in running:
            # It may have been good at this very moment.
            if (
                not task.cancelled()
                and task.exception() is None
                and isinstance(late := task.result(), Opened)
            ):
                late.close()
                self.health.ended(late.attempt.target, abandoned(late.attempt))


def _lost_to(opened: Opened, trace: CallTrace) -> None:
    """Note that other attempts that are still open have lost against it."""
    for attempt in trace.attempts:
        if attempt is not opened.attempt and not attempt.end_ns:
            attempt.lost()


class _Calls:
    """`Attempts` of a call of a model."""

    __slots__ = ("_call", "_failover", "_responder", "_wishes")
    can_repeat = True

    def __init__(self, failover: Failover, responder: Responder, call: Call, wishes: Wishes) -> None:
        self._failover = failover
        self._responder = responder
        self._call = call
        self._wishes = wishes

    async def make(self, target: Target) -> Failure | None:
        """Make one attempt."""
        opened = await self._failover.open(self._responder, self._call, target, self._wishes)
        if isinstance(opened, Opened):
            return await self._failover.deliver(self._responder, self._call, opened, self._wishes)
        return opened


def _is_routed(trace: CallTrace) -> bool:
    """Whether its plan has targets that may be held back."""
    return trace.plan is not None and trace.plan.route is not None


def falls_back(target: Target, failure: Failure) -> bool:
    """Whether another is tried after *failure* of *target*."""
    return _is_among(failure, target.fallback.on_status) or isinstance(
        failure, FirstTokenTimeout | UnsupportedParameter
    )


def _is_among(failure: Failure, statuses: Collection[int]) -> bool:
    """Whether *failure* has one of *statuses*, as its provider or as its caller knows it."""
    counted = {failure.status, failure.own_status}
    if any(status >= _SERVER_ERROR and status not in _SERVER_ERRORS for status in counted):
        counted.add(_SERVER_ERROR)
    return not counted.isdisjoint(statuses)


async def pause(trace: CallTrace, wait_s: float) -> None:
    """Wait before another try; the wait is no overhead of ours."""
    began_ns = time.perf_counter_ns()
    await asyncio.sleep(wait_s)
    trace.paused_ns += time.perf_counter_ns() - began_ns


def _to_be_told(failure: UpstreamBadReply) -> Failure:
    """What the caller gets of the last failure, which nobody else has made good."""
    if isinstance(failure.answer, Answer):
        return failure.answer
    if failure.own_status in _MISTAKES and not any(name == "x-should-retry" for name, _ in failure.headers):
        failure.headers = (*failure.headers, ("x-should-retry", "false"))
    return failure


def _is_final(failure: Failure) -> bool:
    """Whether the same target would fail again, or says that it is not to be asked again."""
    if isinstance(failure, Answer):
        return (b"x-should-retry", b"false") in failure.headers
    return isinstance(failure, FirstTokenTimeout | UnsupportedParameter)


def _sooner(headers: tuple[tuple[str, str], ...], wait_s: int) -> tuple[tuple[str, str], ...]:
    """A limit's *headers* where a target that has room may be asked again in *wait_s*, if that is sooner."""
    told_s = next((int(value) for name, value in headers if name == "retry-after"), inf)
    if told_s <= wait_s:
        return headers
    rest = [pair for pair in headers if pair[0] not in ("retry-after", "x-should-retry")]
    return (*rest, ("retry-after", str(wait_s)))
