"""What a worker and the control process say to each other over the local socket.

A message is `u32 length (big endian) | u8 kind | payload`, the length counting kind and payload. Payloads are
MessagePack of the structs below, each an array, so that fields may be appended at the end and never
reordered.

Most calls of a frame are told in brief (`gateway.wire.brief_calls`); whoever reads one gets them whole.

The payload of a `FRAME` message is also the record of the spool's write-ahead file, byte for byte: control
never re-encodes what a worker made.

Pure: no I/O. `MessageReader` takes bytes in any split and gives whole messages.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeVar

import msgspec

from gateway.wire.brief_calls import SPANS, BriefCall, Kind, KindParts, ShapeParts, kinds_of

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
T = TypeVar("T", bound=msgspec.Struct)
_HEAD: Final = struct.Struct("!IB")
_LENGTH_BYTES: Final = 4
# What msgspec raises for bytes that are no payload: text that is not UTF-8 and endless nesting have errors of
# their own.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NS_PER_MS: Final = 1_000_000
# Told whole before others may go on: less than 0.1 ms.
_CALLS_AT_A_TIME: Final = 64


class FrameError(ValueError):
    """The peer sent something that is not a message of this protocol; the connection cannot go on."""


class MessageKind(enum.IntEnum):
    """Who sends what. `W` worker to control, `C` control to worker."""

    HELLO = 1  # W: Hello, always the first message
    FRAME = 2  # W: Frame
    COUNTS = 3  # W: Counts, each second and before the connection ends
    CONFIG_LOADED = 4  # W: ConfigState, the version now in force in this worker
    CONFIG_REFUSED = 5  # W: ConfigState with an error; the worker kept its version
    METRICS = 6  # W: MetricPoints, each second and before the connection ends
    ACK = 16  # C: Ack, the frame is in the write-ahead file
    CONFIG = 17  # C: ConfigState, load this version from state/config


class Hello(msgspec.Struct, array_like=True, frozen=True):
    """Who is speaking.

    Attributes:
        instance_id: `service.instance.id` of the worker process, unique per start.
        started_ns: Unix time of the worker's start in nanoseconds; with `instance_id` it names the sequence.
        config_version: The version this worker has in force.
    """

    instance_id: str
    pid: int
    started_ns: int
    config_version: str


# The parts of a call are not watched for reference cycles (`gc=False`): trees of bytes and numbers have none.
# Reading a frame of 100 calls takes 0.85 us a call instead of 1.25, once in each reader.
class SpanSegments(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One OTLP `Span` message as two runs of protobuf fields; joined they are the whole message body.

    Attributes:
        plain: Every field but the content attributes (prompts, replies).
        content: The content attributes, empty while content is off.
    """

    plain: bytes
    content: bytes


class StoreRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One call as the trace list and the minute rollups of the local store need it.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes, of the SERVER span.
        start_ns: Unix time in nanoseconds; `end_ns` likewise, when the last byte was sent.
        status_code: HTTP status that the client saw (499: it left before one was sent).
        error_type: `error.type` of the SERVER span, "" when the call was fine.
        model: The model name that the caller asked for, "" when it named none.
        resolved_model: `<account>/<integration>` that answered, "" when none did.
        caller: Name of the virtual account, "" when not identified.
        first_chunk_ms: Time to the first chunk of a stream, None when not streamed or none came.
        input_tokens: None when unknown; `output_tokens` likewise.
        usage_source: provider, estimated, partial, or "" when there is no usage.
        cost_usd: None when unknown.
        caller_kind: virtualaccount, user, or "" when not identified.
        teams: Of the caller.
        cached_input_tokens: Those of the input that the provider had read before, None when unknown.
        metadata: Of the call, without what is secret.
        is_model_known: No target was asked, and yet there is such a model: a limit refused the call, or no
            target was left. Where `attempts` are told they say so.
    """

    trace_id: bytes
    span_id: bytes
    name: str
    start_ns: int
    end_ns: int
    status_code: int
    is_error: bool
    error_type: str
    model: str
    resolved_model: str
    caller: str
    attempts: int
    is_stream: bool
    first_chunk_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    usage_source: str
    cost_usd: float | None
    caller_kind: str = ""
    teams: tuple[str, ...] = ()
    cached_input_tokens: int | None = None
    metadata: dict[str, str] = {}
    is_model_known: bool = False


class CallSpans(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One finished call.

    Attributes:
        destination_mask: Bit n set: for the n-th exporter of the configuration named in the frame. All ones:
            every destination. The local store takes every call with a row, whatever the mask.
        row: None for spans that are not a call (spans made with the OpenTelemetry SDK).
        spans: In start order; the first is the SERVER span when there is a row.
    """

    destination_mask: int
    row: StoreRow | None
    spans: list[SpanSegments]

    @property
    def span_count(self) -> int:
        """How many spans there are."""
        return len(self.spans)


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """Some finished calls of one worker.

    Attributes:
        instance_id: As in `Hello`; with `started_ns` it names the sequence.
        sequence: From 1, without gaps, per (`instance_id`, `started_ns`).
        config_version: In force when the calls ended.
        resource: Encoded `Resource.attributes` fields of this worker (protobuf), joined to what a destination
            adds.
        calls: Those that are whole.
        shapes: Of the calls in brief.
        kinds: Of the calls in brief.
        brief: The other calls.
    """

    instance_id: str
    started_ns: int
    sequence: int
    config_version: str
    resource: bytes
    calls: list[CallSpans]
    # Absent in what earlier versions wrote, which a spool may still hold.
    shapes: list[ShapeParts] = []
    kinds: list[KindParts] = []
    brief: list[BriefCall] = []


class SpansCall(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A `CallSpans` for who needs no row: it is passed over."""

    destination_mask: int
    row: msgspec.Raw
    spans: list[SpanSegments]


class SpansFrame(msgspec.Struct, array_like=True, frozen=True):
    """A `Frame` for who needs no rows."""

    instance_id: str
    started_ns: int
    sequence: int
    config_version: str
    resource: bytes
    calls: list[SpansCall]
    shapes: list[ShapeParts] = []
    kinds: list[KindParts] = []
    brief: list[BriefCall] = []


class Counts(msgspec.Struct, array_like=True, frozen=True):
    """A worker's cumulative counts since its start.

    Attributes:
        created: Spans recorded.
        handed_over: Spans in frames that control acknowledged.
        dropped: Spans given up, by reason; docs/telemetry.md lists them.
        open_calls: Calls now in flight.
    """

    created: int
    handed_over: int
    dropped: dict[str, int]
    open_calls: int


class MetricKind(enum.IntEnum):
    """How the points of one instrument combine."""

    SUM = 1  # cumulative, so added up over workers and kept when a worker has gone
    GAUGE = 2  # of this moment: added up over the workers that are there
    HISTOGRAM = 3  # cumulative too


class MetricPoint(msgspec.Struct, array_like=True, frozen=True):
    """One label set of one instrument.

    Attributes:
        name: Of the instrument, as in `gateway.telemetry.instruments`.
        labels: Values in the order of the instrument's label names, "" for one that does not apply; then
            `name=value` of those that this instrument has at this gateway beside them.
        values: One number; of a histogram the count in each bucket (not cumulated) and last the sum.
    """

    name: str
    labels: tuple[str, ...]
    kind: MetricKind
    values: list[int | float]


class MetricPoints(msgspec.Struct, array_like=True, frozen=True):
    """What a worker measured since its start.

    Attributes:
        is_full: All of its points; else those that have changed since the last message.
    """

    is_full: bool
    points: list[MetricPoint]


class Ack(msgspec.Struct, array_like=True, frozen=True):
    """Every frame of the connection's worker up to `sequence` is safe."""

    sequence: int


class ConfigState(msgspec.Struct, array_like=True, frozen=True):
    """A configuration version, and why it was refused ("" when it was not)."""

    version: str
    error: str = ""


_encoder: Final = msgspec.msgpack.Encoder()
_frame_decoder: Final = msgspec.msgpack.Decoder(Frame)
_spans_decoder: Final = msgspec.msgpack.Decoder(SpansFrame)
_NO_ROW: Final = msgspec.Raw()


def encode_message(kind: MessageKind, payload: bytes) -> bytes:
    """Wrap *payload* for the socket."""
    return _HEAD.pack(len(payload) + 1, kind) + payload


def encode_frame(frame: Frame) -> bytearray:
    """A `FRAME` message, of which there is no other copy on the way: with content it is large."""
    message = bytearray(_HEAD.size)
    _encoder.encode_into(frame, message, _HEAD.size)
    _HEAD.pack_into(message, 0, len(message) - _LENGTH_BYTES, MessageKind.FRAME)
    return message


def encode_payload(value: msgspec.Struct) -> bytes:
    """The MessagePack form of one of the structs above."""
    return _encoder.encode(value)


def decode_payload(payload: bytes, kind: type[T]) -> T:
    """Read a payload.

    Raises:
        FrameError: It is not a *kind*.
    """
    try:
        return msgspec.msgpack.decode(payload, type=kind)
    except _UNREADABLE as error:
        msg = f"not a {kind.__name__}: {error}"
        raise FrameError(msg) from error


def decode_spans(payload: bytes, pause: Callable[[], None] = lambda: None) -> SpansFrame:
    """Read a `Frame` for who needs no rows.

    Args:
        payload: Of a message, or of the spool.
        pause: Called after every bit of work.

    Raises:
        FrameError: It is not a frame.
    """
    frame = _decode_frame(_spans_decoder, payload)
    if not frame.brief:
        return frame
    calls = frame.calls
    for number, (kind, call) in enumerate(_brief_of(frame), 1):
        calls.append(SpansCall(call.destination_mask, _NO_ROW, _spans_of(kind, call)))
        if not number % _CALLS_AT_A_TIME:
            pause()
    return SpansFrame(
        frame.instance_id, frame.started_ns, frame.sequence, frame.config_version, frame.resource, calls
    )


def decode_rows(payload: bytes) -> RowsFrame:
    """Read a `Frame` for who needs the spans of some calls alone.

    Raises:
        FrameError: It is not a frame.
    """
    frame = _decode_frame(_frame_decoder, payload)
    calls: list[CallSpans | ToldCall] = [*frame.calls]
    if frame.brief:
        calls += [ToldCall(kind, call) for kind, call in _brief_of(frame)]
    return RowsFrame(
        frame.instance_id, frame.started_ns, frame.sequence, frame.config_version, frame.resource, calls
    )


class ToldCall:
    """A call of which a frame tells in brief, read as a `CallSpans` is.

    Attributes:
        row: What the store's tables keep of it.
        span_count: How many spans there are.
    """

    __slots__ = ("_call", "_kind", "row")
    span_count: Final = SPANS

    def __init__(self, kind: Kind, call: BriefCall) -> None:
        self._kind = kind
        self._call = call
        self.row = _row_of(kind, call)

    @property
    def spans(self) -> list[SpanSegments]:
        """Both spans, made when asked for.

        Raises:
            FrameError: A number of the call is none that a span can have.
        """
        return _spans_of(self._kind, self._call)


class RowsFrame(NamedTuple):
    """A `Frame` of which calls told in brief have no spans until these are asked for."""

    instance_id: str
    started_ns: int
    sequence: int
    config_version: str
    resource: bytes
    calls: list[CallSpans | ToldCall]


def _brief_of(frame: Frame | SpansFrame) -> Iterator[tuple[Kind, BriefCall]]:
    """The calls that it has in brief."""
    try:
        kinds = kinds_of(frame.kinds, frame.shapes)
        for call in frame.brief:
            yield kinds[call.kind], call
    except IndexError as error:
        msg = "a frame with a call of a kind that it does not have"
        raise FrameError(msg) from error


def _spans_of(kind: Kind, call: BriefCall) -> list[SpanSegments]:
    try:
        server, client = kind.spans(call)
    except (struct.error, OverflowError) as error:
        msg = f"a call that cannot be told: {error}"
        raise FrameError(msg) from error
    return [SpanSegments(server, b""), SpanSegments(client, call.content)]


def _row_of(kind: Kind, call: BriefCall) -> StoreRow:
    shape = kind.shape
    first_ns = call.first_chunk_ns
    return StoreRow(
        call.trace_id,
        call.span_id,
        shape.name,
        call.start_ns,
        call.end_ns,
        shape.status_code,
        False,
        "",
        shape.model,
        shape.resolved_model,
        shape.caller,
        1,
        shape.is_stream,
        (first_ns - call.start_ns) / _NS_PER_MS if first_ns else None,
        call.input_tokens,
        call.output_tokens,
        shape.usage_source,
        call.cost_usd,
        shape.caller_kind,
        shape.teams,
        call.cached_input_tokens,
        kind.shown_metadata,
    )


def _decode_frame(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except _UNREADABLE as error:
        msg = f"not a frame: {error}"
        raise FrameError(msg) from error


class MessageReader:
    """Whole messages out of bytes that arrive in any split."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[MessageKind, bytes]]:
        """Take *data* and give the messages it completed, in order.

        Raises:
            FrameError: A length or kind that no peer of this protocol sends.
        """
        buffer = self._buffer
        buffer += data
        messages: list[tuple[MessageKind, bytes]] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer, at)
            if not 1 <= length <= MAX_MESSAGE_BYTES:
                msg = f"message of {length} bytes"
                raise FrameError(msg)
            end = at + _LENGTH_BYTES + length
            if len(buffer) < end:
                break
            try:
                # Through a view, as a slice of the buffer would be one more copy of it.
                messages.append((MessageKind(kind), bytes(memoryview(buffer)[at + _HEAD.size : end])))
            except ValueError as error:
                msg = f"unknown message kind {kind}"
                raise FrameError(msg) from error
            at = end
        del buffer[:at]
        return messages
