"""Which destinations get a call: consistent probability sampling, decided by the trace id.

A trace has a number R from 0 to 2^56 - 1: the last seven bytes of its id, random by the W3C's rules, or the
`rv` that its caller sent in `tracestate`. A destination of ratio r takes traces with R >= T, where
T = round((1 - r) * 2^56), so that whoever samples by the same ids takes the same traces, and a smaller ratio
takes a part of what a larger one takes.

A destination that is `parent_based` asks that only for traces that begin here, as OpenTelemetry's sampler of
that name does: of a trace that a caller has sampled it takes every part, of any other none.

Rules: https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.config.manifests.otel_config import MAX_DESTINATIONS, OtelConfig
from gateway.config.manifests.otel_config import Sampling as SamplingSettings
from gateway.model import TraceContext
from gateway.wire.sampling import callers_threshold, randomness, threshold, with_threshold
from gateway.wire.trace_context import RANDOM, SAMPLED

ALL_DESTINATIONS: Final = (1 << MAX_DESTINATIONS) - 1
NO_DESTINATION: Final = 0

_NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SampledDestination:
    """What one destination wants.

    Attributes:
        bit: Of the destination in `CallSpans.destination_mask`.
        threshold: T; 2^56 takes nothing.
        slower_than_ns: Calls that took longer are kept, None when none are.
    """

    bit: int
    threshold: int
    is_parent_based: bool
    keeps_errors: bool
    slower_than_ns: int | None

    def takes(self, number: int, parent: TraceContext | None) -> bool:
        """Whether a trace of this R goes there, before anything is known of the outcome."""
        if parent is not None and self.is_parent_based:
            return bool(parent.flags & SAMPLED)
        return number >= self.threshold

    def keeps(self, parent: TraceContext | None, *, is_error: bool, took_ns: int) -> bool:
        """Whether a call that it does not take goes there for its outcome."""
        if parent is not None and self.is_parent_based:
            return False
        is_slow = self.slower_than_ns is not None and took_ns > self.slower_than_ns
        return is_slow or (self.keeps_errors and is_error)


class Sampling:
    """The wishes of every destination.

    Attributes:
        is_plain: Nobody asked for less than everything, so no call needs a look at its id or outcome.
    """

    __slots__ = ("_destinations", "is_plain")

    def __init__(self, configs: Sequence[OtelConfig] = ()) -> None:
        """Work them out.

        Args:
            configs: In the order of the bits of `CallSpans.destination_mask`; the check bounds
                them.
        """
        self._destinations = tuple(
            _destination(bit, config.otel_traces_exporter_config.sampling)
            for bit, config in enumerate(configs)
            if config.otel_traces_exporter_config is not None
        )
        self.is_plain = all(one.is_parent_based and one.threshold == 0 for one in self._destinations)

    def head_flags(self, trace_id: bytes, parent: TraceContext | None) -> int:
        """The trace flags that the caller and providers are told, before anything is known of the outcome."""
        if self.is_plain:
            return SAMPLED | RANDOM if parent is None else parent.flags
        number = _randomness(trace_id, parent)
        is_taken = any(one.takes(number, parent) for one in self._destinations)
        others = RANDOM if parent is None else parent.flags & ~SAMPLED
        return others | (SAMPLED if is_taken else 0)

    def head_state(self, trace_id: bytes, parent: TraceContext | None) -> str:
        """The trace state that providers are told with those flags: the caller's, with our own decision.

        Its `ot=th:` is the threshold of the destination that takes most. Where one takes the trace for its
        caller's sake, it is the caller's, if that says one.
        """
        state = "" if parent is None else parent.state
        if self.is_plain:
            return state
        number = _randomness(trace_id, parent)
        takers = [one for one in self._destinations if one.takes(number, parent)]
        if any(parent is not None and one.is_parent_based for one in takers):
            return with_threshold(state, callers_threshold(trace_id, state))
        return with_threshold(state, min((one.threshold for one in takers), default=None))

    def without_ratio(self, parent: TraceContext | None) -> int:
        """The mask when everybody wants everything: what the caller drops is dropped."""
        return ALL_DESTINATIONS if parent is None or parent.flags & SAMPLED else NO_DESTINATION

    def destinations(
        self, trace_id: bytes, parent: TraceContext | None, *, is_error: bool, took_ns: int
    ) -> int:
        """The mask of the destinations that get a call which has ended."""
        if self.is_plain:
            return self.without_ratio(parent)
        number = _randomness(trace_id, parent)
        mask = ALL_DESTINATIONS
        for one in self._destinations:
            if not (one.takes(number, parent) or one.keeps(parent, is_error=is_error, took_ns=took_ns)):
                mask &= ~(1 << one.bit)
        return mask


def _randomness(trace_id: bytes, parent: TraceContext | None) -> int:
    return randomness(trace_id, "" if parent is None else parent.state)


def _destination(bit: int, settings: SamplingSettings) -> SampledDestination:
    slower_ms = settings.keep_slower_than_ms
    return SampledDestination(
        bit=bit,
        threshold=threshold(settings.ratio),
        is_parent_based=settings.parent_based,
        keeps_errors=settings.keep_errors,
        slower_than_ns=None if slower_ms is None else round(slower_ms * _NS_PER_MS),
    )
