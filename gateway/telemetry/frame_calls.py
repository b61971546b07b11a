"""Finished calls on their way into one frame: what they have in common once, and what each has to itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from gateway.telemetry.attributes import CONTENT_DROPPED
from gateway.wire.brief_calls import SPANS, BriefCall, KindParts, ShapeParts
from gateway.wire.frames import CallSpans, Frame, SpanSegments

if TYPE_CHECKING:
    from gateway.telemetry.span_shapes import Metadata, Shape

_FIGURES_BYTES: Final = 400
"""Ids, times, counts and costs on both spans of a call, about."""

_TFY_FIGURES_BYTES: Final = 300
"""The same under TrueFoundry's names."""

_DROPPED: Final = CONTENT_DROPPED.boolean(True)


class FrameCalls:
    """The calls of one frame.

    Attributes:
        whole: Calls that are.
        shapes: Of the calls in brief, in the order of their numbers; *kinds* likewise.
        kind_numbers: Those of kinds, by shape and what else makes one; looked up by whoever adds a call.
        brief: The other calls.
        kind_bytes: How much control makes of a call of each kind, about.
        size_bytes: How much control makes of all, about.
    """

    __slots__ = (
        "_shape_numbers",
        "brief",
        "kind_bytes",
        "kind_numbers",
        "kinds",
        "shapes",
        "size_bytes",
        "whole",
    )

    def __init__(self) -> None:
        self.whole: list[CallSpans] = []
        self.shapes: list[ShapeParts] = []
        self.kinds: list[KindParts] = []
        self.brief: list[BriefCall] = []
        self.kind_numbers: dict[tuple[Shape, bytes, bytes, bytes, bytes], int] = {}
        self.kind_bytes: list[int] = []
        self.size_bytes = 0
        self._shape_numbers: dict[Shape, int] = {}

    def __bool__(self) -> bool:
        return bool(self.brief or self.whole)

    @property
    def spans(self) -> int:
        """How many there are."""
        return SPANS * len(self.brief) + sum([len(call.spans) for call in self.whole])

    def add(self, call: CallSpans) -> None:
        """Take one that is whole."""
        self.whole.append(call)
        for span in call.spans:
            self.size_bytes += len(span.plain) + len(span.content)

    def add_kind(
        self, shape: Shape, parameters: bytes, decision: bytes, metadata: Metadata, tfy_decision: bytes
    ) -> int:
        """The number of a kind that is not there."""
        number = self._shape_numbers.get(shape)
        if number is None:
            number = self._shape_numbers[shape] = len(self.shapes)
            self.shapes.append(shape.parts)
        self.kinds.append(
            KindParts(number, parameters, decision, metadata.part, metadata.shown, tfy_decision)
        )
        self.kind_bytes.append(
            _FIGURES_BYTES
            + (_TFY_FIGURES_BYTES if shape.parts.has_tfy_names else 0)
            + shape.size_bytes
            + len(parameters)
            + len(decision)
            + 2 * len(metadata.part)
            + len(tfy_decision)
        )
        key = (shape, parameters, decision, metadata.part, tfy_decision)
        found = self.kind_numbers[key] = len(self.kinds) - 1
        return found

    def frame(
        self, instance_id: str, started_ns: int, sequence: int, config_version: str, resource: bytes
    ) -> Frame:
        """The frame that holds them; the arguments are its first fields."""
        return Frame(
            instance_id,
            started_ns,
            sequence,
            config_version,
            resource,
            self.whole,
            self.shapes,
            self.kinds,
            self.brief,
        )

    def without_content(self) -> FrameCalls:
        """The same with a mark in the place of each content."""
        found = FrameCalls()
        found.whole = [_whole_without_content(call) for call in self.whole]
        found.shapes, found.kinds = self.shapes, self.kinds
        found.brief = [
            msgspec.structs.replace(call, content=_DROPPED) if call.content else call for call in self.brief
        ]
        return found


def _whole_without_content(call: CallSpans) -> CallSpans:
    spans = [SpanSegments(span.plain, _DROPPED) if span.content else span for span in call.spans]
    return CallSpans(call.destination_mask, call.row, spans)
