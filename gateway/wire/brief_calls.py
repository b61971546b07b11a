"""Finished calls without what they have in common, and their spans put together again.

Of the spans of a plain good call two thirds are the same as those of others. So a worker writes that once in
a frame, as `ShapeParts` and `KindParts`, and of each call a `BriefCall`: it costs the worker a fifth of what
writing two spans does, and a tenth of their bytes cross the socket and lie in the spool. Control makes the
spans of it, which a worker on the same core would otherwise do while callers wait for it.

Pure. The names of what differs from call to call stand here, since both sides know them;
`gateway.telemetry.attributes` lists them with the others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Final, Protocol

import msgspec

from gateway.wire.otlp import (
    END,
    FLAGS,
    HAS_IS_REMOTE,
    IS_REMOTE,
    PARENT_ID,
    SPAN_ID,
    START,
    TIMES,
    TRACE_ID,
    AttributeKey,
    pack_double,
)

OVERHEAD_MS: Final = AttributeKey("gateway.overhead_ms")
TOTAL_COST: Final = AttributeKey("gateway.cost_usd")
ATTEMPT: Final = AttributeKey("gateway.attempt")
RESPONSE_ID: Final = AttributeKey("gen_ai.response.id")
COST: Final = AttributeKey("gen_ai.usage.cost")
INPUT_TOKENS: Final = AttributeKey("gen_ai.usage.input_tokens")
OUTPUT_TOKENS: Final = AttributeKey("gen_ai.usage.output_tokens")
CACHE_READ_INPUT_TOKENS: Final = AttributeKey("gen_ai.usage.cache_read.input_tokens")
CACHE_WRITE_INPUT_TOKENS: Final = AttributeKey("gen_ai.usage.cache_write.input_tokens")
REASONING_OUTPUT_TOKENS: Final = AttributeKey("gen_ai.usage.reasoning.output_tokens")
SEARCH_UNITS: Final = AttributeKey("gateway.usage.search_units")
TIME_TO_FIRST_CHUNK: Final = AttributeKey("gen_ai.response.time_to_first_chunk")
TFY_LATENCY_MS: Final = AttributeKey("tfy.model.metric.latency_in_ms")
TFY_FIRST_TOKEN_MS: Final = AttributeKey("tfy.model.metric.time_to_first_token_in_ms")
TFY_INTER_TOKEN_MS: Final = AttributeKey("tfy.model.metric.inter_token_latency_in_ms")
TFY_INPUT_TOKENS: Final = AttributeKey("tfy.model.metric.input_tokens")
TFY_OUTPUT_TOKENS: Final = AttributeKey("tfy.model.metric.output_tokens")
TFY_CACHE_READ_TOKENS: Final = AttributeKey("tfy.model.metric.cache_read_input_tokens")
TFY_CACHE_CREATION_TOKENS: Final = AttributeKey("tfy.model.metric.cache_creation_input_tokens")
TFY_COST: Final = AttributeKey("tfy.model.metric.cost_in_usd")

SPANS: Final = 2
"""Of a call that is told in brief: its own, and that of its attempt."""

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
_NS_PER_US: Final = 1_000
_US_PER_MS: Final = 1_000
_OVERHEAD: Final = OVERHEAD_MS.before_double
_COST: Final = COST.before_double
_TOTAL_COST: Final = TOTAL_COST.before_double
_MAX_LAYOUTS: Final = 4096
_WITH_COST: Final = 1
_WITH_PARENT: Final = 2
# Counts that come again and again: kept, one takes a third of the time.
_input_tokens: Final = lru_cache(maxsize=4096)(INPUT_TOKENS.integer)
_output_tokens: Final = lru_cache(maxsize=4096)(OUTPUT_TOKENS.integer)
_cached_tokens: Final = lru_cache(maxsize=4096)(CACHE_READ_INPUT_TOKENS.integer)
_reasoning_tokens: Final = lru_cache(maxsize=4096)(REASONING_OUTPUT_TOKENS.integer)
_FIRST_ATTEMPT: Final = ATTEMPT.integer(1)
_Number = Annotated[int, msgspec.Meta(ge=0)]


class ShapeParts(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What calls of one shape have in common.

    Attributes:
        server: Encoded: name, kind and what was asked, of the SERVER span.
        outcome: Where such calls come from and how they end.
        client: Name, kind and the target, of the CLIENT span.
        reply: What the reply said of itself that repeats.
        name: As in `StoreRow`, and so are those that follow.
        has_tfy_names: Their spans have TrueFoundry's names too.
    """

    server: bytes
    outcome: bytes
    client: bytes
    reply: bytes
    name: str
    status_code: int
    model: str
    resolved_model: str
    caller: str
    is_stream: bool
    usage_source: str
    caller_kind: str
    teams: tuple[str, ...]
    # Absent in what earlier versions wrote, and so are the other fields with a default.
    has_tfy_names: bool = False


class KindParts(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What calls of one kind have in common: their shape, and what repeats but for some.

    Attributes:
        shape: Which of the frame's.
        parameters: Encoded, of the CLIENT span.
        decision: By limits and of several targets, of the SERVER span.
        metadata: Of both spans.
        shown_metadata: As in `StoreRow.metadata`.
        tfy_decision: What was decided, and the metadata, under TrueFoundry's names, of the SERVER span.
    """

    shape: _Number
    parameters: bytes
    decision: bytes
    metadata: bytes
    shown_metadata: dict[str, str]
    tfy_decision: bytes = b""


class BriefCall(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one call has to itself.

    Attributes:
        kind: Which of the frame's.
        destination_mask: As in `CallSpans`.
        parent_span_id: Of the caller, b"" where the trace begins here.
        attempt_span_id: Of the CLIENT span.
        flags: The trace flags of the W3C.
        start_ns: Unix time, as all times are here.
        first_chunk_ns: 0 when not streamed or none came.
        overhead_ns: The gateway's own share of the time.
        cost_usd: None when unknown, as the counts are that follow.
        response_id: The provider's id of the reply, "" when it has none.
        conversation: Encoded, of the CLIENT span.
        content: As in `SpanSegments`, of the CLIENT span.
        tfy_conversation: The conversation under TrueFoundry's name, of the SERVER span.
    """

    kind: _Number
    destination_mask: int
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    attempt_span_id: bytes
    flags: int
    start_ns: int
    end_ns: int
    attempt_start_ns: int
    attempt_end_ns: int
    first_chunk_ns: int
    overhead_ns: int
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_input_tokens: int | None
    reasoning_output_tokens: int | None
    search_units: int | None
    response_id: str
    conversation: bytes
    content: bytes
    tfy_conversation: bytes = b""


class Counted(Protocol):
    """What a reply used, each None where it is not known."""

    @property
    def input_tokens(self) -> int | None:
        """Of all of the input."""

    @property
    def output_tokens(self) -> int | None:
        """Of all of the output."""

    @property
    def cached_input_tokens(self) -> int | None:
        """Of the input, read from a cache."""

    @property
    def cache_write_input_tokens(self) -> int | None:
        """Of the input, written to it."""

    @property
    def reasoning_output_tokens(self) -> int | None:
        """Of the output, never shown."""

    @property
    def search_units(self) -> int | None:
        """Searches as they are paid for."""


class Kind:
    """The parts of a kind as its spans have them.

    Attributes:
        shape: Of such calls.
        shown_metadata: Of such calls.
    """

    __slots__ = (
        "_client",
        "_metadata",
        "_mid",
        "_outcome",
        "_pack_server",
        "_server",
        "_tail",
        "shape",
        "shown_metadata",
    )

    def __init__(self, parts: KindParts, shape: ShapeParts) -> None:
        self.shape = shape
        self.shown_metadata = parts.shown_metadata
        self._server = shape.server
        self._outcome = shape.outcome
        self._tail = parts.decision + parts.metadata + parts.tfy_decision
        self._client = shape.client
        self._mid = _FIRST_ATTEMPT + parts.parameters + shape.reply
        self._metadata = parts.metadata
        self._pack_server = _server_packers(len(self._server), len(self._outcome), len(self._tail))

    def spans(self, call: BriefCall) -> tuple[bytes, bytes]:
        """The plain fields of both spans of *call*, byte for byte as `SpanEncoder` writes them in parts.

        Raises:
            struct.error: A number of the call is none that it can be.
        """
        trace_id, span_id, parent_span_id = call.trace_id, call.span_id, call.parent_span_id
        server_flags = flags = HAS_IS_REMOTE | call.flags
        layout = 0
        if parent_span_id:
            server_flags |= IS_REMOTE
            layout = _WITH_PARENT
        cost = b""
        if call.cost_usd is not None:
            cost = pack_double(call.cost_usd)
            layout += _WITH_COST
        # In one go: joined from its parts a span takes three times as long.
        server = self._pack_server[layout](
            TRACE_ID,
            trace_id,
            SPAN_ID,
            span_id,
            PARENT_ID,
            parent_span_id,
            self._server,
            START,
            call.start_ns,
            END,
            call.end_ns,
            FLAGS,
            server_flags,
            _OVERHEAD,
            # Three times quicker than rounding a fraction to three places.
            round(call.overhead_ns / _NS_PER_US) / _US_PER_MS,
            self._outcome,
            _TOTAL_COST,
            cost,
            self._tail,
        )
        rest = _figures(call, cost) + self._metadata
        if call.first_chunk_ns:
            rest += TIME_TO_FIRST_CHUNK.double((call.first_chunk_ns - call.attempt_start_ns) / _NS_PER_S)
        rest += call.conversation
        if self.shape.has_tfy_names:
            server += call.tfy_conversation
            first_ns = call.first_chunk_ns and call.first_chunk_ns - call.attempt_start_ns
            took_ns = call.attempt_end_ns - call.attempt_start_ns
            rest += encode_tfy_figures(call, took_ns, first_ns, call.cost_usd)
        client = _client_packer(len(self._client), len(self._mid), len(rest))(
            TRACE_ID,
            trace_id,
            SPAN_ID,
            call.attempt_span_id,
            PARENT_ID,
            span_id,
            self._client,
            START,
            call.attempt_start_ns,
            END,
            call.attempt_end_ns,
            FLAGS,
            flags,
            self._mid,
            rest,
        )
        return server, client


def _figures(call: BriefCall, cost: bytes) -> bytes:
    """What the reply of *call* was and cost, which differs in size from call to call."""
    rest = b""
    if call.response_id:
        rest = RESPONSE_ID.text(call.response_id)
    if cost:
        rest += _COST + cost
    return rest + encode_counts(call)


def encode_counts(counted: Counted) -> bytes:
    """What was counted, as CLIENT spans have it, of a call told in brief or of any other."""
    part = b""
    if counted.input_tokens is not None:
        part = _input_tokens(counted.input_tokens)
    if counted.output_tokens is not None:
        part += _output_tokens(counted.output_tokens)
    if counted.cached_input_tokens is not None:
        part += _cached_tokens(counted.cached_input_tokens)
    if counted.cache_write_input_tokens is not None:
        part += CACHE_WRITE_INPUT_TOKENS.integer(counted.cache_write_input_tokens)
    if counted.reasoning_output_tokens is not None:
        part += _reasoning_tokens(counted.reasoning_output_tokens)
    if counted.search_units is not None:
        part += SEARCH_UNITS.integer(counted.search_units)
    return part


def encode_tfy_figures(counted: Counted | None, took_ns: int, first_ns: int, cost_usd: float | None) -> bytes:
    """What differs from call to call under TrueFoundry's names, as CLIENT spans have it.

    Args:
        counted: None where it is not known.
        took_ns: All of the attempt.
        first_ns: Until the first chunk, 0 when not streamed or none came.
        cost_usd: None where it is not known.
    """
    part = TFY_LATENCY_MS.double(took_ns / _NS_PER_MS)
    if counted is not None:
        for key, count in (
            (TFY_INPUT_TOKENS, counted.input_tokens),
            (TFY_OUTPUT_TOKENS, counted.output_tokens),
            (TFY_CACHE_READ_TOKENS, counted.cached_input_tokens),
            (TFY_CACHE_CREATION_TOKENS, counted.cache_write_input_tokens),
        ):
            if count is not None:
                part += key.integer(count)
    if cost_usd is not None:
        part += TFY_COST.double(cost_usd)
    if first_ns:
        part += TFY_FIRST_TOKEN_MS.double(first_ns / _NS_PER_MS)
        tokens = None if counted is None else counted.output_tokens
        if tokens is not None and tokens > 1:
            part += TFY_INTER_TOKEN_MS.double((took_ns - first_ns) / _NS_PER_MS / (tokens - 1))
    return part


@lru_cache(maxsize=_MAX_LAYOUTS)
def _server_packers(server: int, outcome: int, tail: int) -> Sequence[Callable[..., bytes]]:
    """What writes SERVER spans whose parts have these sizes, by what they have beside: 0 for nothing."""
    found = []
    for parent in ("0s0s", "2s8s"):
        for cost in ("0s0s", f"{len(_TOTAL_COST)}s8s"):
            layout = f"<2s16s2s8s{parent}{server}s{TIMES}{len(_OVERHEAD)}sd{outcome}s{cost}{tail}s"
            found.append(struct.Struct(layout).pack)
    return found


@lru_cache(maxsize=_MAX_LAYOUTS)
def _client_packer(client: int, mid: int, rest: int) -> Callable[..., bytes]:
    """What writes CLIENT spans whose parts have these sizes."""
    return struct.Struct(f"<2s16s2s8s2s8s{client}s{TIMES}{mid}s{rest}s").pack


def kinds_of(kinds: Sequence[KindParts], shapes: Sequence[ShapeParts]) -> list[Kind]:
    """The kinds of a frame.

    Raises:
        IndexError: One has a shape that the frame has not.
    """
    return [Kind(parts, shapes[parts.shape]) for parts in kinds]
