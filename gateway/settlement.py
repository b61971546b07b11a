"""What a call has used, counted once: of all that it took of its limits the rest is given back.

That is done before the end of the answer goes out. Whoever has it may come again at once, and would else be
refused for what the call before had taken and not used. What ends without an answer is settled at the exit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.openai_reply import BYTES_PER_TOKEN
from gateway.limits.estimate import Estimate
from gateway.limits.output_sizes import OutputSizes
from gateway.long_work import LONG_BYTES
from gateway.model import Call, Permit, Spent, Target, Usage
from gateway.telemetry.call_trace import CallTrace

MAY_HAVE_MEDIA_BYTES: Final = 8 * 1024
"""A shorter body has few tokens, whatever is in it."""

_BEST_OF: Final = "best_of"


def settle(trace: CallTrace) -> None:
    """Correct what a call took to what it used; later calls change nothing.

    Args:
        trace: Knows what every attempt used; nothing is noted of that any more.
    """
    if trace.is_settled:
        return
    trace.is_settled = True
    if not trace.end_ns:
        trace.give_up_losers()
    if trace.call is not None and trace.call.body_bytes >= MAY_HAVE_MEDIA_BYTES:
        _guess_again(trace)
    if trace.permit is not None:
        trace.permit.settle(spent_by(trace))


def spent_by(trace: CallTrace) -> list[Spent]:
    """What a call used so far, of each target that was asked."""
    if trace.endpoint is not None and trace.endpoint.operation == "count_tokens":
        # What it counts is told, and nobody uses it.
        return []
    spent = []
    for attempt in trace.exchanges:
        name, usage, cost_usd = attempt.target.name, attempt.usage, attempt.cost_usd
        if usage is None:
            spent.append(Spent(name, 0, None, cost_usd))
        else:
            answered = usage.output_tokens
            tokens = (usage.input_tokens or 0) + (answered or 0)
            # Of one that was broken off, or that judges, nobody learns how long replies are.
            is_whole = usage.source != "partial" and attempt.number
            if usage.source != "provider" and trace.permit is not None and _goes_on(trace):
                # Nobody tells this call what it will have used.
                may_tokens, may_usd = trace.permit.may_use(attempt.target)
                tokens, is_whole = max(tokens, may_tokens), False
                cost_usd = None if cost_usd is None else max(cost_usd, may_usd)
            asked = attempt.sent or trace.call
            if asked is not None and answered:
                if asked.choices > 1:
                    answered = -(-answered // asked.choices)
                # OpenAI counts those too that nobody gets, others do not.
                is_whole = is_whole and _BEST_OF not in asked.fields
            spent.append(Spent(name, tokens, answered if is_whole else None, cost_usd))
    return spent


def guess_again(usage: Usage, asked_bytes: int, read: Callable[[], int | None]) -> Usage:
    """*usage* with the input that limits take, where no provider has told it: a picture in a body is no text.

    By its bytes one of three megabytes would be a million tokens, which whoever leaves would pay for.

    Args:
        usage: As it was noted.
        asked_bytes: Of the call, by which the input was guessed.
        read: Gives what limits take, None where nobody has looked.
    """
    guess = asked_bytes // BYTES_PER_TOKEN
    if usage.source == "provider" or usage.input_tokens != guess:
        # Another number is the provider's, of a reply that did not end.
        return usage
    found = read()
    return usage if found is None or found >= guess else msgspec.structs.replace(usage, input_tokens=found)


def _guess_again(trace: CallTrace) -> None:
    for attempt in trace.attempts:
        usage, asked = attempt.usage, attempt.sent or trace.call
        if usage is None or asked is None:
            continue
        guessed = guess_again(usage, asked.body_bytes, partial(_read, trace.permit, asked, attempt.target))
        if guessed is not usage:
            attempt.used(guessed)


def _read(permit: Permit | None, asked: Call, target: Target) -> int | None:
    if permit is not None:
        return permit.may_read(target)
    if asked.body_bytes < LONG_BYTES:
        return Estimate(asked, (target,), OutputSizes()).input_tokens(target)
    return None


def _goes_on(trace: CallTrace) -> bool:
    """Whether a response is written on in the background when its call has ended."""
    call = trace.call
    if call is None or call.endpoint.name != RESPONSE.name:
        return False
    return bytes(call.fields.get("background", b"")) == b"true"
