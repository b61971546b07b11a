"""From the notes of a call to the bytes of its spans.

Pure. What is the same for every call of a caller to a model is encoded once and kept. Plain good calls are
told in brief, with what they share once in a frame (`Shape`); of others spans are written here, from parts
that were kept (`_Kept`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.endpoints.catalogue import CHAT, MESSAGES, RESPONSE
from gateway.model import (
    Call,
    Endpoint,
    LimitKind,
    LimitNote,
    LimitsSaid,
    Plan,
    RouteFacts,
    Skipped,
    Target,
    verdicts,
)
from gateway.telemetry import attributes as names
from gateway.telemetry.call_notes import NO_NOTES
from gateway.telemetry.call_trace import NO_FAILURES, OTHER_METHOD, AttemptTrace, CallTrace
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.masked_trace import Hide, masked_trace
from gateway.telemetry.redactor import RedactionTimeout
from gateway.telemetry.secrets_in_spans import SECRET_HEADERS, Secrets, secrets_of_call, show_masked
from gateway.telemetry.span_shapes import (
    MAX_KEPT_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    NO_METADATA,
    NS_PER_MS,
    NS_PER_S,
    Metadata,
    Shape,
    are_short,
    brief_call,
    has_shape,
    may_be_kept,
    route_name,
    shape_key,
    shown_response_id,
)
from gateway.telemetry.tfy_names import (
    MAX_LIMITS,
    tfy_client,
    tfy_client_block,
    tfy_decision,
    tfy_server,
    tfy_server_block,
)
from gateway.wire.baggage import parse_baggage
from gateway.wire.brief_calls import ShapeParts, encode_counts
from gateway.wire.frames import CallSpans, SpanSegments, StoreRow
from gateway.wire.otlp import (
    HAS_IS_REMOTE,
    IS_REMOTE,
    AttributeKey,
    SpanKind,
    StatusCode,
    span_event,
    span_head,
    span_name,
    span_status,
)

_MAX_BLOCKS: Final = 4096
_MAX_KEPT_METADATA: Final = 8
_MAX_KEPT_NAMES: Final = 32
_MAX_KEPT_PARAMETER_BYTES: Final = 256
_MAX_NAMES: Final = 64
_PARAMETERS: Final = frozenset(
    (*names.REQUEST_DOUBLES, *names.REQUEST_INTEGERS, "encoding_format", "reasoning_effort")
)
_INT64: Final = 1 << 63
_MAX_NUMBER_BYTES: Final = 64
_MAX_TEXT_BYTES: Final = 16 * 1024
_MAX_TEXTS: Final = 16
_MAX_EXCERPT_CHARACTERS: Final = 200
_MAX_NAMED_METADATA: Final = 16
_MAX_HEADER_VALUES: Final = 4
_NAMEABLE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Keys that can end an attribute's name: a dot in one could make a value and a group of one name."""
_CLASSIFICATION: Final = "classification"
_CHAT_API: Final = "chat_completions"
_RESPONSES_API: Final = "responses"


class _Kept(dict[tuple[object, ...], bytes]):
    """Parts of spans that were encoded before, by what they are made of."""

    def keep(self, key: tuple[object, ...], part: bytes) -> bytes:
        """Keep *part*, with what is there, unless that is too much already."""
        if len(self) >= _MAX_BLOCKS:
            self.clear()
        self[key] = part
        return part


class _ToldLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A `LimitNote` without its figures, which differ from call to call."""

    rule: str
    kind: LimitKind
    outcome: str
    target: str = ""


class SpanEncoder:
    """Makes what frames tell of calls, remembering the parts that repeat.

    Those of a plain good call are found by their `Shape`; any other's are joined from about ten parts each,
    most of them kept from calls before.
    """

    def __init__(self) -> None:
        self._servers = _Kept()
        self._decisions = _Kept()
        self._tfy_decisions = _Kept()
        self._outcomes = _Kept()
        self._parameters = _Kept()
        self._replies = _Kept()
        self._notes = _Kept()
        self._metadatas: dict[tuple[object, ...], Metadata] = {}
        self._targets = _Kept()
        self._secrets: dict[tuple[object, ...], Secrets] = {}
        self._shapes: dict[tuple[object, ...], Shape] = {}

    def add_to(self, calls: FrameCalls, trace: CallTrace) -> None:
        """Put a call that has ended to others that were made under the same configuration."""
        call = trace.call
        if call is None or not has_shape(trace):
            calls.add(self._encode_parts(trace))
            return
        key = shape_key(trace, call)
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._make_shape(trace, call)
            if may_be_kept(trace):
                if len(self._shapes) >= _MAX_BLOCKS:
                    self._shapes.clear()
                self._shapes[key] = shape
        secrets, notes = shape.secrets, trace.notes
        metadata = shape.metadata
        if notes.metadata is not shape.noted:
            metadata = self._metadata(notes.metadata, secrets) if notes.metadata else NO_METADATA
            if len(notes.metadata) <= _MAX_KEPT_METADATA:
                # Those who write the same get the same mapping.
                shape.noted, shape.metadata = notes.metadata, metadata
        parameters = self._request_attributes(trace.attempts[0].sent or call, secrets)
        decision = self._decision(trace) if shape.is_routed or trace.permit is not None else b""
        conversation = self._conversation(notes.conversation_id, secrets) if notes.conversation_id else b""
        named, tfy_conversation = b"", b""
        if shape.parts.has_tfy_names:
            named, tfy_conversation = self._tfy_parts(trace, metadata, secrets)
        kind = calls.kind_numbers.get((shape, parameters, decision, metadata.part, named))
        if kind is None:
            kind = calls.add_kind(shape, parameters, decision, metadata, named)
        content = b""
        if trace.content is not None:
            content = trace.content.attributes(call, secrets)
            calls.size_bytes += len(content)
        calls.brief.append(brief_call(trace, kind, secrets, conversation, content, tfy_conversation))
        calls.size_bytes += calls.kind_bytes[kind]

    def _make_shape(self, trace: CallTrace, call: Call) -> Shape:
        """What calls like this one have in common."""
        attempt = trace.attempts[0]
        secrets = self._secrets_of(trace)
        row = _row(trace, secrets, {})
        parts = ShapeParts(
            server=self._server_block(trace, secrets),
            outcome=self._outcome(trace, secrets),
            client=self._target_block(call, attempt.target, trace),
            reply=self._reply_block(attempt, secrets),
            name=row.name,
            status_code=row.status_code,
            model=row.model,
            resolved_model=row.resolved_model,
            caller=row.caller,
            is_stream=row.is_stream,
            usage_source=row.usage_source,
            caller_kind=row.caller_kind,
            teams=row.teams,
            has_tfy_names=trace.telemetry.has_tfy_names,
        )
        return Shape(parts, secrets=secrets, is_routed=route_name(trace) is not None)

    def _encode_parts(self, trace: CallTrace) -> CallSpans:
        """The same, part by part: of any call."""
        secrets = self._secrets_of(trace)
        shown = masked_trace(trace, secrets.hide_all) if _has_more_words(trace) else trace
        noted = self._metadata(shown.notes.metadata, secrets) if shown.notes.metadata else NO_METADATA
        metadata = noted.part
        if trace.telemetry.captured_baggage:
            metadata += _captured_baggage(trace, secrets.hide_all)
        spans = [SpanSegments(self._server_span(shown, secrets, metadata), b"")]
        for attempt in shown.exchanges:
            call = trace.call if attempt.number else attempt.sent
            assert call is not None, "an attempt has a call"  # noqa: S101 - says it to the type checker
            plain = self._client_span(shown, call, attempt, secrets, metadata)
            content = b""
            if trace.content is not None and attempt is shown.answer:
                content = trace.content.attributes(call, secrets)
            if attempt.excerpt:
                content += _excerpt(trace, attempt, secrets.hide_all)
            spans.append(SpanSegments(plain, content))
        return CallSpans(trace.destinations, _row(trace, secrets, noted.shown), spans)

    def _secrets_of(self, trace: CallTrace) -> Secrets:
        """What must be on no span of a call: what its caller sent, and what its providers were sent."""
        sent = None if trace.headers is None else trace.headers.raw(SECRET_HEADERS)
        named = [attempt.target.name for attempt in trace.exchanges]
        key = (sent, trace.config_version, route_name(trace), *named)
        secrets = self._secrets.get(key)
        if secrets is None:
            targets = [attempt.target for attempt in trace.exchanges]
            secrets = secrets_of_call(sent or (), targets, trace.telemetry.known)
            if are_short(sent or ()):
                if len(self._secrets) >= _MAX_BLOCKS:
                    self._secrets.clear()
                self._secrets[key] = secrets
        return secrets

    def _metadata(self, metadata: Mapping[str, str], secrets: Secrets) -> Metadata:
        """The caller's own keys and values; an application sends the same ones again and again."""
        key = (*metadata.items(), secrets)
        found = self._metadatas.get(key)
        if found is None:
            masked = {secrets.hide_all(name): secrets.hide_all(value) for name, value in metadata.items()}
            found = Metadata(_encode_metadata(masked), masked)
            if len(metadata) <= _MAX_KEPT_METADATA:
                if len(self._metadatas) >= _MAX_BLOCKS:
                    self._metadatas.clear()
                self._metadatas[key] = found
        return found

    def _conversation(self, conversation_id: str, secrets: Secrets) -> bytes:
        """The conversation that a call is part of, as others may be."""
        key = (conversation_id, secrets)
        part = self._notes.get(key)
        if part is None:
            part = names.CONVERSATION_ID.text(secrets.hide_all(conversation_id))
            self._notes.keep(key, part)
        return part

    def _server_span(self, trace: CallTrace, secrets: Secrets, metadata: bytes) -> bytes:
        parent = trace.parent
        cost_usd = trace.total_cost_usd
        parts = [
            span_head(
                trace_id=trace.trace_id,
                span_id=trace.span_id,
                parent_span_id=parent.span_id if parent else b"",
                trace_state=parent.state if parent else "",
                flags=HAS_IS_REMOTE | (IS_REMOTE if parent else 0) | trace.flags,
                named=self._server_block(trace, secrets),
                start_ns=trace.started_at_ns,
                end_ns=trace.unix_ns(trace.end_ns),
            ),
            names.OVERHEAD_MS.double(trace.overhead_ms),
            self._outcome(trace, secrets),
            b"" if cost_usd is None else names.TOTAL_COST.double(cost_usd),
            self._decision(trace),
            metadata,
        ]
        if trace.overload is not None:
            parts.append(names.OVERLOAD_REASON.text(trace.overload.reason))
            parts.append(names.PRIORITY.text(trace.overload.priority))
        if trace.error_type and (trace.is_span_error or not trace.is_error):
            parts.append(names.ERROR_TYPE.text(trace.error_type))
        if trace.is_span_error:
            parts.append(_server_failure(trace))
        if trace.telemetry.captured_headers:
            parts += _captured_headers(trace, secrets.hide_all)
        if trace.telemetry.has_tfy_names:
            parts.append(tfy_server(trace))
        return b"".join(parts)

    def _server_block(self, trace: CallTrace, secrets: Secrets) -> bytes:
        """Name, kind, and what repeats for a caller, a model and a path; kept only for models that exist."""
        key = (
            trace.method,
            trace.path,
            trace.scheme,
            trace.server_address,
            trace.server_port,
            trace.caller.name if trace.caller else None,
            trace.caller.kind if trace.caller else None,
            trace.caller.teams if trace.caller else None,
            trace.call.model if trace.call else None,
            trace.config_version,
            route_name(trace),
        )
        # Of a call that was refused before it was planned nothing was decided, whatever others were told.
        block = None if trace.plan is None else self._servers.get(key)
        if block is None:
            block = span_name(_server_name(trace), SpanKind.SERVER) + _encode_server_block(trace, secrets)
            # A path with ids in it comes once.
            if trace.plan is not None and "{" not in trace.route:
                self._servers.keep(key, block)
        return block

    def _decision(self, trace: CallTrace) -> bytes:
        """What was decided of this call: by limits, and which of several targets were to be asked.

        The choice of a call with one target is in its block.
        """
        plan = trace.plan
        said = () if trace.permit is None else trace.permit.said
        if plan is None or plan.route is None:
            if not said:
                return b""
            key: tuple[object, ...] = verdicts(said)
        else:
            key = (plan.route, plan.candidates, plan.skipped, trace.skips, *verdicts(said))
        part = self._decisions.get(key)
        if part is None:
            part = _encode_decision(trace, said)
            if plan is None or len(plan.candidates) + len(plan.skipped) + len(trace.skips) <= _MAX_KEPT_NAMES:
                self._decisions.keep(key, part)
        if said and trace.permit is not None and trace.permit.reached:
            part += names.BUDGET_REACHED.text(msgspec.json.encode(trace.permit.reached).decode())
        return part

    def _tfy_parts(self, trace: CallTrace, metadata: Metadata, secrets: Secrets) -> tuple[bytes, bytes]:
        """The same and the metadata under TrueFoundry's names, and the conversation."""
        said = () if trace.permit is None else trace.permit.said
        key = (route_name(trace), metadata.part, *[each.held for each in said])
        part = self._tfy_decisions.get(key)
        if part is None:
            part = tfy_decision(trace, metadata.shown)
            if len(metadata.shown) <= _MAX_KEPT_METADATA:
                self._tfy_decisions.keep(key, part)
        conversation_id = trace.notes.conversation_id
        if not conversation_id:
            return part, b""
        return part, names.TFY_CONVERSATION_ID.text(secrets.hide_all(conversation_id))

    def _outcome(self, trace: CallTrace, secrets: Secrets) -> bytes:
        """Where a call came from and how it ended."""
        attempts = -1 if trace.endpoint is None else len(trace.attempts)
        user_agent = trace.user_agent
        key = (trace.status_code, trace.peer_address, user_agent, attempts, trace.resolved_model, secrets)
        part = self._outcomes.get(key)
        if part is None:
            part = _encode_outcome(*key)
            if len(user_agent) <= MAX_NAME_CHARACTERS:
                self._outcomes.keep(key, part)
        return part

    def _client_span(
        self, trace: CallTrace, call: Call, attempt: AttemptTrace, secrets: Secrets, metadata: bytes
    ) -> bytes:
        end_ns = trace.unix_ns(attempt.end_ns)
        parts = [
            span_head(
                trace_id=trace.trace_id,
                span_id=attempt.span_id,
                parent_span_id=trace.span_id,
                trace_state=trace.parent.state if trace.parent else "",
                flags=HAS_IS_REMOTE | trace.flags,
                named=self._target_block(call, attempt.target, trace),
                start_ns=trace.unix_ns(attempt.start_ns),
                end_ns=end_ns,
            ),
            names.ATTEMPT.integer(attempt.number) if attempt.number else _encode_judgement(attempt),
            self._request_attributes(attempt.sent or call, secrets),
            self._reply_attributes(attempt, secrets),
            metadata,
        ]
        if call.is_stream and attempt.first_chunk_ns:
            first_chunk_s = (attempt.first_chunk_ns - attempt.start_ns) / NS_PER_S
            parts.append(names.TIME_TO_FIRST_CHUNK.double(first_chunk_s))
        if trace.notes.conversation_id:
            parts.append(self._conversation(trace.notes.conversation_id, secrets))
        if trace.telemetry.has_old_names:
            parts.append(_old_usage(attempt))
        if trace.telemetry.has_tfy_names:
            parts.append(tfy_client(call, attempt))
        if attempt.error_type:
            parts.append(names.ERROR_TYPE.text(attempt.error_type))
            if attempt.error_type not in NO_FAILURES:
                parts.append(_exception(attempt.error_type, attempt.error_message, end_ns))
                parts.append(span_status(StatusCode.ERROR, attempt.error_message[:MAX_TEXT_CHARACTERS]))
        return b"".join(parts)

    def _request_attributes(self, call: Call, secrets: Secrets) -> bytes:
        """The parameters that the conventions name; an application sends the same ones again and again."""
        fields = call.fields if call.parameters is None else call.parameters
        written: list[object] = [secrets, call.choices]
        size = 0
        for name in fields:
            if name in _PARAMETERS:
                value = bytes(fields[name])
                size += len(value)
                written.append(name)
                written.append(value)
        key = tuple(written)
        part = self._parameters.get(key)
        if part is None:
            part = _encode_parameters(call, secrets.hide_all)
            if size <= _MAX_KEPT_PARAMETER_BYTES:
                self._parameters.keep(key, part)
        return part

    def _reply_attributes(self, attempt: AttemptTrace, secrets: Secrets) -> bytes:
        """What the reply said of itself: the model and how it ended repeat, id and counts do not."""
        usage = attempt.usage
        part = self._reply_block(attempt, secrets)
        if attempt.response_id:
            part += names.RESPONSE_ID.text(shown_response_id(attempt, secrets))
        if attempt.cost_usd is not None:
            part += names.COST.double(attempt.cost_usd)
        return part if usage is None else part + encode_counts(usage)

    def _reply_block(self, attempt: AttemptTrace, secrets: Secrets) -> bytes:
        """What repeats of it."""
        source = "" if attempt.usage is None else attempt.usage.source
        key = (attempt.response_model, attempt.finish_reasons, source, secrets)
        part = self._replies.get(key)
        if part is None:
            part = _encode_reply(*key)
            if len(attempt.response_model) <= MAX_KEPT_BYTES:
                self._replies.keep(key, part)
        return part

    def _target_block(self, call: Call, target: Target, trace: CallTrace) -> bytes:
        """Name, kind, and what repeats for calls of one kind to one target."""
        # An account's own name stands for each of its servers, and any model that no integration lists.
        key = (
            target.name,
            target.model_id,
            target.base_url,
            call.endpoint.route,
            call.is_stream,
            trace.config_version,
        )
        block = self._targets.get(key)
        if block is None:
            block = _encode_target_block(call, target, trace)
            # Of a model that no integration lists both are from the path that its caller wrote.
            if max(len(target.model_id), len(target.base_url)) <= MAX_NAME_CHARACTERS:
                self._targets.keep(key, block)
        return block


def _server_name(trace: CallTrace) -> str:
    method = "HTTP" if trace.method == OTHER_METHOD else trace.method
    return f"{method} {trace.route}" if trace.route else method


def _encode_outcome(
    status_code: int,
    peer_address: str,
    user_agent: str,
    attempts: int,
    resolved_model: str,
    secrets: Secrets,
) -> bytes:
    parts = []
    if status_code:
        parts.append(names.HTTP_RESPONSE_STATUS_CODE.integer(status_code))
    if peer_address:
        parts.append(names.CLIENT_ADDRESS.text(peer_address))
    if user_agent:
        parts.append(names.USER_AGENT.text(secrets.hide_all(user_agent)[:MAX_NAME_CHARACTERS]))
    if attempts >= 0:
        parts.append(names.ATTEMPTS.integer(attempts))
    if resolved_model:
        parts.append(names.MODEL_RESOLVED.text(resolved_model))
    return b"".join(parts)


def _encode_server_block(trace: CallTrace, secrets: Secrets) -> bytes:
    # Below no route of ours, a path is whatever the caller wrote, a key in the wrong place included.
    is_ours = trace.route and "{" not in trace.route
    path = trace.path if is_ours else show_masked(trace.path, secrets.hide_all, MAX_TEXT_CHARACTERS)
    parts = [
        names.HTTP_REQUEST_METHOD.text(trace.method),
        names.URL_PATH.text(path[:MAX_TEXT_CHARACTERS]),
        names.URL_SCHEME.text(trace.scheme),
        names.CONFIG_VERSION.text(trace.config_version),
    ]
    if trace.route:
        parts.append(names.HTTP_ROUTE.text(trace.route))
    if trace.server_address:
        parts.append(names.SERVER_ADDRESS.text(trace.server_address))
    if trace.server_port:
        parts.append(names.SERVER_PORT.integer(trace.server_port))
    if trace.caller is not None:
        parts.append(names.CALLER.text(trace.caller.name))
        if trace.caller.teams:
            parts.append(names.TEAM.texts(trace.caller.teams[:_MAX_NAMES]))
    if trace.call is not None:
        parts.append(names.MODEL_ASKED.text(_model_asked(trace, secrets)))
    if trace.plan is not None and trace.plan.route is None:
        parts.append(_encode_choice(trace.plan))
    if trace.telemetry.has_tfy_names:
        parts.append(tfy_server_block(trace))
    return b"".join(parts)


def _encode_route(route: RouteFacts) -> bytes:
    """Which route it was, and how that chooses."""
    part = names.ROUTE.text(route.name) + names.STRATEGY.text(route.strategy)
    if route.tier:
        part += names.TIER.text(route.tier)
    return part + names.TIER_CAUSE.text(route.cause) if route.cause else part


def _encode_decision(trace: CallTrace, said: Sequence[LimitsSaid]) -> bytes:
    part = b""
    if trace.plan is not None and trace.plan.route is not None:
        part = _encode_route(trace.plan.route) + _encode_choice(trace.plan, trace.skips)
    return part + _encode_limits([note for each in said for note in each.notes()]) if said else part


def _encode_limits(notes: Sequence[LimitNote]) -> bytes:
    """Which limits hold for a call, and what each said."""
    told = [_ToldLimit(note.rule, note.kind, note.outcome, note.target) for note in notes[:MAX_LIMITS]]
    return names.LIMITS.text(msgspec.json.encode(told).decode())


def _encode_judgement(asked: AttemptTrace) -> bytes:
    """That a model was asked how hard a call is, and what it said."""
    part = names.PURPOSE.text(_CLASSIFICATION)
    return part + names.CLASSIFIED_AS.text(asked.tier) if asked.tier else part


def _encode_choice(plan: Plan, skips: Sequence[Skipped] = ()) -> bytes:
    """Between which targets it was, and why each of the others was passed over."""
    skipped = msgspec.json.encode([*plan.skipped, *skips][:_MAX_NAMES])
    candidates = names.ROUTING_CANDIDATES.texts(plan.candidates[:_MAX_NAMES])
    return candidates + names.ROUTING_SKIPPED.text(skipped.decode())


def _model_asked(trace: CallTrace, secrets: Secrets) -> str:
    """The model's name as the caller wrote it; one that does not exist may be anything, a key included."""
    model = trace.call.model if trace.call else ""
    if trace.plan is None:
        return show_masked(model, secrets.hide_all, MAX_NAME_CHARACTERS)
    return model[:MAX_NAME_CHARACTERS]


def _encode_metadata(masked: Mapping[str, str]) -> bytes:
    """All as one text, and those that can be names as attributes too."""
    parts = [names.METADATA.text(msgspec.json.encode(masked).decode())]
    nameable = [key for key in masked if _NAMEABLE.fullmatch(key)][:_MAX_NAMED_METADATA]
    parts += [AttributeKey(names.METADATA_PREFIX + key).text(masked[key]) for key in nameable]
    return b"".join(parts)


def _captured_headers(trace: CallTrace, hide: Hide) -> Iterator[bytes]:
    """The headers that the configuration lists and the caller sent."""
    for name in trace.telemetry.captured_headers:
        values = trace.headers.get_all(name) if trace.headers is not None else []
        if values:
            short = [show_masked(value, hide, MAX_NAME_CHARACTERS) for value in values[:_MAX_HEADER_VALUES]]
            yield AttributeKey(names.CAPTURED_HEADER_PREFIX + name).texts(short)


def _captured_baggage(trace: CallTrace, hide: Hide) -> bytes:
    """The members that the configuration lists and the caller sent."""
    headers = trace.headers.get_all("baggage") if trace.headers is not None else []
    baggage = parse_baggage(headers) if headers else {}
    return b"".join(
        [
            AttributeKey(names.BAGGAGE_PREFIX + key).text(
                show_masked(baggage[key], hide, MAX_NAME_CHARACTERS)
            )
            for key in trace.telemetry.captured_baggage
            if key in baggage
        ]
    )


def _has_more_words(trace: CallTrace) -> bool:
    """Whether its spans have more of what others wrote than a plain good call's, a token perhaps."""
    # A good call after a failed attempt has the failure's words.
    if trace.error_type or len(trace.exchanges) > 1:
        return True
    # TrueFoundry's names of the notes are written from the notes.
    if trace.telemetry.has_tfy_names and trace.notes is not NO_NOTES:
        return True
    return trace.parent is not None and bool(trace.parent.state)


def _encode_target_block(call: Call, target: Target, trace: CallTrace) -> bytes:
    parts = [
        span_name(f"{call.endpoint.operation} {target.model_id}".rstrip(), SpanKind.CLIENT),
        names.OPERATION_NAME.text(call.endpoint.operation),
        names.PROVIDER_NAME.text(target.provider),
        names.REQUEST_MODEL.text(target.model_id) if target.model_id else b"",
        names.SERVER_ADDRESS.text(target.address),
        names.SERVER_PORT.integer(target.port),
        names.PEER_NAME.text(target.peer),
        names.PEER_SERVICE.text(target.peer),
        names.TARGET.text(target.name),
    ]
    if api_type := _api_type(call.endpoint, target):
        parts.append(names.OPENAI_API_TYPE.text(api_type))
    if call.is_stream:
        parts.append(names.REQUEST_STREAM.boolean(True))
    if trace.telemetry.has_old_names:
        parts.append(names.OLD_SYSTEM.text(target.provider))
    if trace.telemetry.has_tfy_names:
        parts.append(tfy_client_block(call, target))
    return b"".join(parts)


def _api_type(endpoint: Endpoint, target: Target) -> str:
    """Which API of OpenAI's is asked upstream, whatever the caller's was; "" for those that have no word."""
    if target.dialect != "openai":
        return ""
    if endpoint.name != RESPONSE.name:
        return _CHAT_API if endpoint.name in (CHAT.name, MESSAGES.name) else ""
    # What is passed through is asked of that API, whether or not its account is known to have it.
    if target.has_responses or endpoint.reply == "bytes":
        return _RESPONSES_API
    return _CHAT_API if endpoint.path == RESPONSE.path else ""


def _encode_parameters(call: Call, hide: Hide) -> bytes:
    """The parameters; a value of another type or size than the conventions' is left out."""
    fields = call.fields if call.parameters is None else call.parameters
    parts: list[bytes] = []
    _add_numbers(parts, fields)
    if call.choices != 1 and _is_int64(call.choices):
        parts.append(names.CHOICE_COUNT.integer(call.choices))
    encoding = _decoded(fields, "encoding_format", str, _MAX_TEXT_BYTES)
    if encoding is not None:
        parts.append(names.ENCODING_FORMATS.texts(_short([encoding], hide)))
    effort = _decoded(fields, "reasoning_effort", str, _MAX_TEXT_BYTES)
    if effort is not None:
        parts.append(names.REASONING_LEVEL.text(hide(effort)[:MAX_NAME_CHARACTERS]))
    return b"".join(parts)


def _add_numbers(parts: list[bytes], fields: Mapping[str, msgspec.Raw]) -> None:
    # Most members are absent from most calls; a look costs less than a function that looks.
    for name, key in names.REQUEST_DOUBLES.items():
        if name in fields:
            number = _decoded(fields, name, float, _MAX_NUMBER_BYTES)
            if number is not None and math.isfinite(number):
                parts.append(key.double(number))
    written = None
    for name, key in names.REQUEST_INTEGERS.items():
        if name in fields and key is not written:
            count = _decoded(fields, name, int, _MAX_NUMBER_BYTES)
            if count is not None and _is_int64(count):
                written = key
                parts.append(key.integer(count))


def _is_int64(number: int) -> bool:
    return -_INT64 <= number < _INT64


def _short(texts: Sequence[str], hide: Hide) -> list[str]:
    # Masked first: the cut may fall into a secret.
    return [hide(text)[:MAX_NAME_CHARACTERS] for text in texts[:_MAX_TEXTS]]


def _decoded(fields: Mapping[str, msgspec.Raw], name: str, kind: Any, max_bytes: int) -> Any:
    """The member as *kind*; None when it is absent, of another type, or longer than *max_bytes*."""
    raw = fields.get(name)
    if raw is None or len(bytes(raw)) > max_bytes:
        return None
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        return None


def _encode_reply(
    response_model: str, finish_reasons: Sequence[str], usage_source: str, secrets: Secrets
) -> bytes:
    parts = []
    if response_model:
        parts.append(names.RESPONSE_MODEL.text(secrets.hide_all(response_model)[:MAX_NAME_CHARACTERS]))
    if finish_reasons:
        parts.append(names.RESPONSE_FINISH_REASONS.texts(_short(finish_reasons, secrets.hide_all)))
    if usage_source:
        parts.append(names.USAGE_SOURCE.text(usage_source))
    return b"".join(parts)


def _old_usage(attempt: AttemptTrace) -> bytes:
    """The counts under the names that older tools read."""
    usage = attempt.usage
    if usage is None:
        return b""
    return b"".join(
        [
            key.integer(count)
            for key, count in (
                (names.OLD_PROMPT_TOKENS, usage.input_tokens),
                (names.OLD_COMPLETION_TOKENS, usage.output_tokens),
                (names.OLD_CACHE_CREATION_TOKENS, usage.cache_write_input_tokens),
            )
            if count is not None
        ]
    )


def _server_failure(trace: CallTrace) -> bytes:
    """Status ERROR, and the exception unless the attempt has it: twice is two errors in Elastic."""
    status = span_status(StatusCode.ERROR, trace.error_message[:MAX_TEXT_CHARACTERS])
    if any(attempt.error_type == trace.error_type for attempt in trace.attempts):
        return status
    return _exception(trace.error_type, trace.error_message, trace.unix_ns(trace.end_ns)) + status


def _exception(error_type: str, message: str, time_ns: int) -> bytes:
    """The `exception` event, from which Elastic makes an error document."""
    text = message[:MAX_TEXT_CHARACTERS]
    return span_event("exception", time_ns, {"exception.type": error_type, "exception.message": text})


def _excerpt(trace: CallTrace, attempt: AttemptTrace, hide: Hide) -> bytes:
    """How a reply that was none began: it may quote the call, so it is masked as content is."""
    if trace.caller is None or trace.call is None or trace.plan is None:
        return b""
    redactor = trace.telemetry.redaction.redactor(trace.caller, trace.call, trace.plan, trace.notes)
    if redactor is None:
        return b""
    try:
        with redactor:
            # Cut last: the end may fall into what is to be masked.
            return names.REPLY_EXCERPT.text(redactor.mask(hide(attempt.excerpt))[:_MAX_EXCERPT_CHARACTERS])
    except RedactionTimeout:
        return b""


def _is_known_though_unasked(trace: CallTrace) -> bool:
    plan = trace.plan
    return not trace.attempts and plan is not None and bool(plan.targets or plan.route)


def _row(trace: CallTrace, secrets: Secrets, metadata: dict[str, str]) -> StoreRow:
    answer = trace.answer
    usage = trace.usage
    first = answer.first_chunk_ns if answer is not None else 0
    is_stream = trace.call is not None and trace.call.is_stream
    return StoreRow(
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        name=_server_name(trace),
        start_ns=trace.started_at_ns,
        end_ns=trace.unix_ns(trace.end_ns),
        status_code=trace.status_code,
        is_error=trace.is_error,
        error_type=trace.error_type,
        model=_model_asked(trace, secrets),
        resolved_model=trace.resolved_model,
        caller=trace.caller.name if trace.caller else "",
        attempts=len(trace.attempts),
        is_stream=is_stream,
        first_chunk_ms=(first - trace.start_ns) / NS_PER_MS if is_stream and first else None,
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
        usage_source=usage.source if usage else "",
        # As on the trace's page, and as budgets count: a sum over calls is what was paid.
        cost_usd=trace.total_cost_usd,
        caller_kind=trace.caller.kind if trace.caller else "",
        teams=trace.caller.teams if trace.caller else (),
        cached_input_tokens=usage.cached_input_tokens if usage else None,
        metadata=metadata,
        is_model_known=_is_known_though_unasked(trace),
    )
