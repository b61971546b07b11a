"""What of a finished call goes to one destination: its mask bit, its filters, content, its sampling note.

Spans stay bytes. They are walked over only as far as the destination's settings ask for; with none of them
nothing is looked at but the mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.wire.fields import fields
from gateway.wire.frames import CallSpans, SpansCall, SpanSegments
from gateway.wire.otlp import field
from gateway.wire.sampling import callers_threshold, randomness, threshold, with_threshold

_TRACE_ID: Final = 1
_TRACE_STATE: Final = 3
_PARENT_ID: Final = 4
_NAME: Final = 5
_ATTRIBUTES: Final = 9
_TRACE_STATE_TAG: Final = 0x1A
_KEY: Final = 1
_STRING_VALUE: Final = 1

Call = CallSpans | SpansCall


class Chosen(NamedTuple):
    """What goes, and how many spans do not.

    Attributes:
        sampled_out: Spans of calls that the worker did not choose for this destination.
        filtered_out: Spans that a filter of the destination keeps back.
        kept_anyway: Spans of calls below the sampling threshold that go out all the same.
    """

    spans: list[SpanSegments]
    sampled_out: int = 0
    filtered_out: int = 0
    kept_anyway: int = 0


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """Spans go only when their attribute *key* is a string and one of *values*."""

    key: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Selection:
    """The settings of one destination.

    Attributes:
        filters: All must match.
        has_content: Prompts and replies go there too.
        sampling_ratio: The share of traces that workers choose, which the spans' trace state then tells
            backends; None: not sampled, and nothing is told.
        is_parent_based: Of traces that a caller began, workers choose what the caller sampled instead, and
            the caller's trace state tells how many those are.
    """

    filters: tuple[SpanFilter, ...] = ()
    has_content: bool = True
    sampling_ratio: float | None = None
    is_parent_based: bool = True

    @property
    def is_plain(self) -> bool:
        """All that workers choose goes, as it is."""
        return not self.filters and self.has_content and self.sampling_ratio is None

    def choose(self, call: Call) -> Chosen:
        """What goes of a call that the worker chose for this destination.

        Raises:
            FrameError: A span is not protobuf.
        """
        spans = call.spans
        kept_anyway = 0
        # Before the filters: the first span, by which a call is judged, may be filtered out.
        if self.sampling_ratio is not None and spans:
            head = _Head.read(spans[0].plain)
            if self.is_parent_based and head.has_parent:
                least = callers_threshold(head.trace_id, head.trace_state)
            else:
                least = threshold(self.sampling_ratio)
                if randomness(head.trace_id, head.trace_state) < least:
                    least, kept_anyway = 0, len(spans)
            noted = field(_TRACE_STATE_TAG, with_threshold(head.trace_state, least).encode())
            # Of a field that is there twice, the last one counts.
            spans = [SpanSegments(span.plain + noted, span.content) for span in spans]
        if self.filters:
            spans = [span for span in spans if self._matches(span)]
        if not self.has_content:
            spans = [SpanSegments(span.plain, b"") for span in spans]
        return Chosen(spans, 0, len(call.spans) - len(spans), kept_anyway)

    def _matches(self, span: SpanSegments) -> bool:
        # Where the bytes of a key are nowhere, no walk is needed to know that the attribute is not there.
        for one in self.filters:
            key = one.key.encode()
            if key not in span.plain and key not in span.content:
                return False
        found = _strings(span, {one.key.encode() for one in self.filters})
        return all(found.get(one.key.encode()) in one.values for one in self.filters)


def everything(call: Call) -> Chosen:
    """All of a call, untouched."""
    return Chosen(call.spans)


def nothing(call: Call) -> Chosen:
    """None of a call: it was not chosen for the destination."""
    return Chosen([], sampled_out=len(call.spans))


Select = Callable[[Call], Chosen]


@dataclass(slots=True)
class _Head:
    """What stands before the name of a span, where a worker writes it; the rest need not be walked over."""

    trace_id: bytes = b""
    trace_state: str = ""
    has_parent: bool = False

    @classmethod
    def read(cls, span: bytes) -> _Head:
        head = cls()
        for number, start, end in fields(span):
            if number == _TRACE_ID:
                head.trace_id = span[start:end]
            elif number == _TRACE_STATE:
                head.trace_state = span[start:end].decode(errors="replace")
            elif number == _PARENT_ID:
                head.has_parent = end > start
            elif number == _NAME:
                break
        return head


def _strings(span: SpanSegments, keys: set[bytes]) -> dict[bytes, str | None]:
    """The attributes of a span that have one of *keys*; None for those that are no string."""
    found: dict[bytes, str | None] = {}
    for data in (span.plain, span.content):
        for number, start, end in fields(data):
            if number != _ATTRIBUTES:
                continue
            key, value = b"", None
            for inner, inner_start, inner_end in fields(data, start, end):
                if inner == _KEY:
                    key = data[inner_start:inner_end]
                    if key not in keys:
                        break
                else:
                    value = _string(data, inner_start, inner_end)
            if key in keys:
                found[key] = value
    return found


def _string(data: bytes, start: int, end: int) -> str | None:
    text = None
    for number, value_start, value_end in fields(data, start, end):
        text = None
        if number == _STRING_VALUE:
            # What is no UTF-8 is no value that a manifest could name.
            text = data[value_start:value_end].decode(errors="surrogateescape")
    return text
