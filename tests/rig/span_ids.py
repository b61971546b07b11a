"""An OTLP endpoint that keeps the ids of spans and nothing else, for runs of many calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from tests.rig.otlp_sink import Answer, OtlpSink, parse_request

_OK = 200


class SpanIds(OtlpSink):
    """See above.

    Attributes:
        repeats: Spans that came again, each time counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.repeats = 0
        self._spans: dict[bytes, set[bytes]] = {}

    def spans_by_trace(self) -> dict[str, int]:
        """How many different spans each trace has so far, of requests that were answered with success."""
        with self._changed:
            return {trace_id.hex(): len(spans) for trace_id, spans in self._spans.items()}

    @property
    def distinct(self) -> int:
        """How many different spans came so far."""
        return Counter(self.spans_by_trace()).total()

    def _record(self, request: web.Request, body: bytes, answer: Answer) -> None:
        if request.path == "/v1/metrics" or answer.status != _OK or answer.is_hanging or answer.is_reset:
            return
        parsed = parse_request(request.content_type, body)
        with self._changed:
            for group in parsed.resource_spans:
                for scope in group.scope_spans:
                    for span in scope.spans:
                        known = self._spans.setdefault(span.trace_id, set())
                        self.repeats += span.span_id in known
                        known.add(span.span_id)
            self._changed.notify_all()


def missing(sink: SpanIds, trace_ids: Mapping[str, int]) -> dict[str, int]:
    """Of *trace_ids*, with the least number of spans each must have: how many of these have not come."""
    here = sink.spans_by_trace()
    return {
        trace_id: least - found
        for trace_id, least in trace_ids.items()
        if (found := here.get(trace_id, 0)) < least
    }
