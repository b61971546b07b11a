"""What a call has used, counted once: of all that it took of its limits the rest is given back.

That is done before the end of the answer goes out. Whoever has it may come again at once, and would else be
refused for what the call before had taken and not used. What ends without an answer is settled at the exit.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.openai_reply import BYTES_PER_TOKEN
from gateway.limits.estimate import Estimate
from gateway.limits.output_sizes import OutputSizes
from gateway.long_work import LONG_BYTES
from gateway.model import Spent
from gateway.telemetry.call_trace import CallTrace

MAY_HAVE_MEDIA_BYTES: Final = 8 * 1024
"""A shorter body has few tokens, whatever is in it."""


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
            spent.append(Spent(name, tokens, answered if is_whole else None, cost_usd))
    return spent


def _guess_again(trace: CallTrace) -> None:
    """Take the input that no provider has told for what limits take it: a picture in a body is no text.

    By its bytes one of three megabytes would be a million tokens, which whoever leaves would pay for.
    """
    for attempt in trace.attempts:
        usage, asked = attempt.usage, attempt.sent or trace.call
        if usage is None or usage.source == "provider" or asked is None or usage.input_tokens is None:
            continue
        if usage.input_tokens != asked.body_bytes // BYTES_PER_TOKEN:
            # That is the provider's, of a reply that did not end.
            continue
        if trace.permit is not None:
            read = trace.permit.may_read(attempt.target)
        elif asked.body_bytes < LONG_BYTES:
            read = Estimate(asked, (attempt.target,), OutputSizes()).input_tokens(attempt.target)
        else:
            read = None
        if read is not None and read < usage.input_tokens:
            attempt.used(msgspec.structs.replace(usage, input_tokens=read))


def _goes_on(trace: CallTrace) -> bool:
    """Whether a response is written on in the background when its call has ended."""
    call = trace.call
    if call is None or call.endpoint.name != RESPONSE.name:
        return False
    return bytes(call.fields.get("background", b"")) == b"true"
