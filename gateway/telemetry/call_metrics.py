"""What calls add to the metrics of a worker: arrays with fixed buckets, one group per label set.

The OpenTelemetry SDK is not called per request: eight recordings cost 71 us there (reference measurement).
Here a call costs about 2 us, after its reply, in the slices in which its spans are encoded.

Labels come from the configuration (models, accounts, callers) and from the provider: `gen_ai.response.model`,
and models that no integration lists once they have answered. All are bounded: another model is `other`, and
so is whatever comes once there are `MAX_SETS` label sets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from gateway.endpoints.catalogue import CHAT
from gateway.model import LimitNote, LimitsSaid, Plan, verdicts
from gateway.telemetry import instruments as names
from gateway.telemetry.call_trace import NO_FAILURES, AttemptTrace, CallTrace
from gateway.telemetry.instruments import Instrument
from gateway.telemetry.metadata_labels import MetadataLabels
from gateway.wire.frames import MetricPoint

MAX_SETS: Final = 2_000
"""Label sets of one instrument."""

OTHER: Final = "other"
TENANT: Final = "default"
"""`tenant_name`: TrueFoundry's label; here one gateway serves one tenant."""

_MAX_LABEL_CHARACTERS: Final = 128
_NO_STATUS: Final = "none"
_INFERENCE: Final = frozenset({"chat", "text_completion", "generate_content"})
"""Operations that the conventions call inference."""
_NS_PER_MS: Final = 1e6
_NS_PER_S: Final = 1e9
_SECONDS: Final = names.SECONDS
_TOKENS: Final = names.TOKENS
_MILLISECONDS: Final = names.MILLISECONDS

_More = tuple[str, ...]
"""Labels that the operator wants beside the instrument's, each `name=value`."""
_CallKey = tuple[str, str, _More]
_AttemptKey = tuple[str, str, str, str, str, int | str, str]
_FailureKey = tuple[str, str, int | str, str, _More]
_RouteKey = tuple[str, str, str, _More]
_LimitKey = tuple[str, str, str, bool, _More]


def new_histogram(bounds: tuple[float, ...]) -> list[int | float]:
    """Counts of the buckets between and above *bounds*, and last the sum."""
    return [0] * (len(bounds) + 1) + [0.0]


class _CallGroup:
    """One label set of the metrics of whole calls."""

    __slots__ = (
        "cost_usd",
        "first_token",
        "input_tokens",
        "inter_token",
        "is_changed",
        "labels",
        "output_tokens",
        "processing",
        "requests",
    )

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.is_changed = False
        self.requests = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd: float | None = None  # an unknown cost is no cost of 0
        self.processing = new_histogram(_MILLISECONDS)
        self.first_token: list[int | float] | None = None
        self.inter_token: list[int | float] | None = None

    def points(self) -> Iterator[MetricPoint]:
        yield names.REQUESTS.point(self.requests, *self.labels)
        yield names.CALL_INPUT_TOKENS.point(self.input_tokens, *self.labels)
        yield names.CALL_OUTPUT_TOKENS.point(self.output_tokens, *self.labels)
        if self.cost_usd is not None:
            yield names.CALL_COST.point(self.cost_usd, *self.labels)
        yield _histogram_point(names.REQUEST_MS, self.labels, self.processing)
        if self.first_token is not None:
            yield _histogram_point(names.FIRST_TOKEN_MS, self.labels, self.first_token)
        if self.inter_token is not None:
            yield _histogram_point(names.INTER_TOKEN_MS, self.labels, self.inter_token)


class _AttemptGroup:
    """One label set of the GenAI client metrics."""

    __slots__ = (
        "cache_write_tokens",
        "cached_tokens",
        "duration",
        "first_chunk",
        "input_tokens",
        "is_changed",
        "is_inference",
        "labels",
        "output_chunk",
        "output_tokens",
        "reasoning_tokens",
    )

    def __init__(self, labels: tuple[str, ...], *, is_inference: bool) -> None:
        self.labels = labels
        self.is_inference = is_inference
        self.is_changed = False
        self.duration = new_histogram(_SECONDS)
        self.first_chunk: list[int | float] | None = None
        self.output_chunk: list[int | float] | None = None
        self.input_tokens: list[int | float] | None = None
        self.output_tokens: list[int | float] | None = None
        self.cached_tokens = 0
        self.cache_write_tokens = 0
        self.reasoning_tokens = 0

    def points(self) -> Iterator[MetricPoint]:
        labels = self.labels
        duration = names.INFERENCE_DURATION if self.is_inference else names.OPERATION_DURATION
        yield _histogram_point(duration, labels, self.duration)
        if self.first_chunk is not None:
            yield _histogram_point(names.TIME_TO_FIRST_CHUNK, labels, self.first_chunk)
        if self.output_chunk is not None:
            yield _histogram_point(names.TIME_PER_OUTPUT_CHUNK, labels, self.output_chunk)
        # The counters are the sums of the histograms, so a call pays for one of each pair.
        if self.input_tokens is not None:
            yield names.INPUT_TOKENS.point(self.input_tokens[-1], *labels)
            yield _histogram_point(names.OPERATION_INPUT_TOKENS, labels, self.input_tokens)
        if self.output_tokens is not None:
            yield names.OUTPUT_TOKENS.point(self.output_tokens[-1], *labels)
            yield _histogram_point(names.OPERATION_OUTPUT_TOKENS, labels, self.output_tokens)
        if self.cached_tokens:
            yield names.CACHE_READ_INPUT_TOKENS.point(self.cached_tokens, *labels)
        if self.cache_write_tokens:
            yield names.CACHE_WRITE_INPUT_TOKENS.point(self.cache_write_tokens, *labels)
        if self.reasoning_tokens:
            yield names.REASONING_OUTPUT_TOKENS.point(self.reasoning_tokens, *labels)


class _CountGroup:
    """One label set of a counter that shares its labels with no other."""

    __slots__ = ("_instrument", "count", "is_changed", "labels")

    def __init__(self, instrument: Instrument, labels: tuple[str, ...]) -> None:
        self._instrument = instrument
        self.labels = labels
        self.is_changed = False
        self.count = 0

    def points(self) -> Iterator[MetricPoint]:
        yield self._instrument.point(self.count, *self.labels)


class _LimitGroup:
    """One label set of the calls that a limit held for."""

    __slots__ = ("applied", "is_budget", "is_changed", "labels", "nominated")

    def __init__(self, labels: tuple[str, ...], *, is_budget: bool) -> None:
        self.labels = labels
        self.is_budget = is_budget
        self.is_changed = False
        self.nominated = 0
        self.applied = 0

    def points(self) -> Iterator[MetricPoint]:
        nominated = names.BUDGET_NOMINATED if self.is_budget else names.RATE_LIMIT_NOMINATED
        applied = names.BUDGET_APPLIED if self.is_budget else names.RATE_LIMIT_APPLIED
        yield nominated.point(self.nominated, *self.labels)
        if self.applied:
            yield applied.point(self.applied, *self.labels)


class _Group(Protocol):
    is_changed: bool

    def points(self) -> Iterator[MetricPoint]: ...


_Key = TypeVar("_Key")
_AnyGroup = TypeVar("_AnyGroup", bound=_Group)


class _Family(Generic[_Key, _AnyGroup]):
    """The label sets of instruments that share their labels.

    Attributes:
        groups: By key; looked up by whoever records, as a call of a method each time would cost a fifth more.
        overflows: Recordings that went to an `other`.
    """

    __slots__ = ("_make", "_to_other", "groups", "max_sets", "overflows")

    def __init__(
        self, max_sets: int, make: Callable[[_Key], _AnyGroup], to_other: Callable[[_Key], _Key]
    ) -> None:
        self.groups: dict[_Key, _AnyGroup] = {}
        self.overflows = 0
        self.max_sets = max_sets
        self._make = make
        self._to_other = to_other

    def add(self, key: _Key) -> _AnyGroup:
        """The group for a *key* that is not there: a new one, or `other` when there are enough."""
        if len(self.groups) >= self.max_sets:
            self.overflows += 1
            key = self._to_other(key)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = self._make(key)
        return group

    def points(self, *, is_full: bool) -> Iterator[MetricPoint]:
        for group in self.groups.values():
            if is_full or group.is_changed:
                group.is_changed = False
                yield from group.points()


class CallMetrics:
    """All label sets of one worker. Used on the event loop's thread only."""

    def __init__(self, *, max_sets: int = MAX_SETS, metadata: MetadataLabels | None = None) -> None:
        """Begin with nothing.

        Args:
            max_sets: Label sets of one instrument.
            metadata: What callers write that becomes labels, None for nothing.
        """
        self._metadata = metadata
        self._calls = _Family[_CallKey, _CallGroup](max_sets, _call_group, lambda _: (OTHER, OTHER, ()))
        self._attempts = _Family[_AttemptKey, _AttemptGroup](
            max_sets, _attempt_group, lambda key: (key[0], OTHER, OTHER, OTHER, OTHER, OTHER, OTHER)
        )
        self._failures = _Family[_FailureKey, _CountGroup](
            max_sets, _failure_group, lambda _: (OTHER, OTHER, OTHER, OTHER, ())
        )
        self._routes = _Family[_RouteKey, _CountGroup](
            max_sets, _route_group, lambda _: (OTHER, OTHER, OTHER, ())
        )
        self._limits = _Family[_LimitKey, _LimitGroup](
            max_sets, _limit_group, lambda key: (OTHER, OTHER, OTHER, key[3], ())
        )
        # What was found before, while there is room for groups of their own.
        self._counted: dict[tuple[object, ...], _HeldCalls] = {}
        self._uncounted: list[_HeldCalls] = []
        self._usual: dict[tuple[object, ...], _UsualGroups] = {}

    def record(self, trace: CallTrace) -> None:
        """Count a call that has ended; a route that calls no model is none."""
        endpoint = trace.endpoint
        if endpoint is None:
            return
        caller = trace.caller.name if trace.caller is not None else ""
        more = () if self._metadata is None else self._metadata.of(trace)
        attempts, plan = trace.attempts, trace.plan
        route = "" if plan is None or plan.route is None else plan.route.name
        said = () if trace.permit is None else trace.permit.said
        if len(attempts) == 1 and trace.judgement is None and not attempts[0].error_type:
            self._record_usual(trace, attempts[0], endpoint.operation, caller, more, route, said)
            return
        answer = trace.answer
        model = _model_of(plan) if answer is None else answer.target.name
        key = (model, caller, more)
        _add_call(self._call_group(key), trace, answer)
        if route:
            _add_one(self._route_group((model, caller, route, more)))
        if said:
            self._add_held(self._limit_groups(said, key))
        for attempt in trace.exchanges:
            operation = endpoint.operation if attempt.number else CHAT.operation
            _add_attempt(self._attempt_group(attempt, operation), attempt)
            if attempt is not answer and attempt.usage is not None:
                # Nobody heard it, and it is paid for all the same.
                _add_spent(self._call_group((attempt.target.name, caller, more)), attempt)
            # A caller that left is no failure of the model, nor is another one's being quicker.
            if attempt.error_type and attempt.error_type not in NO_FAILURES:
                failed = (attempt.target.name, caller, attempt.status_code, attempt.error_type, more)
                _add_one(self._failures.groups.get(failed) or self._failures.add(failed))

    def _record_usual(
        self,
        trace: CallTrace,
        attempt: AttemptTrace,
        operation: str,
        caller: str,
        more: _More,
        route: str,
        said: Sequence[LimitsSaid],
    ) -> None:
        """Count a call that one attempt answered, as most are: with one look-up for all groups."""
        model = attempt.target.name
        # By its name and the configuration's version a target is the same one, but for an account's own name:
        # that stands for each of its servers, and any model that no integration lists.
        key: tuple[object, ...] = (
            trace.config_version,
            model,
            attempt.target.model_id,
            attempt.target.base_url,
            caller,
            route,
            operation,
            attempt.response_model,
            more,
        )
        if said:
            key += verdicts(said)
        groups = self._usual.get(key)
        if groups is None:
            overflows = self._overflows()
            call = (model, caller, more)
            groups = _UsualGroups(
                self._call_group(call),
                self._attempt_group(attempt, operation),
                self._route_group((model, caller, route, more)) if route else None,
                self._limit_groups(said, call) if said else None,
            )
            # Each recording in an `other` is counted.
            if overflows == self._overflows():
                if len(self._usual) >= MAX_SETS:
                    self._usual.clear()
                self._usual[key] = groups
        _add_call(groups.call, trace, attempt)
        _add_attempt(groups.attempt, attempt)
        if groups.route is not None:
            _add_one(groups.route)
        if groups.limits is not None:
            self._add_held(groups.limits)

    def _overflows(self) -> int:
        families = (self._calls, self._attempts, self._routes, self._limits)
        return sum([family.overflows for family in families])

    def points(self, *, is_full: bool) -> list[MetricPoint]:
        """All points, or those that have changed since this was last called."""
        self._count_held()
        found: list[MetricPoint] = []
        for name, family in (
            ("calls", self._calls),
            ("attempts", self._attempts),
            ("failures", self._failures),
            ("routes", self._routes),
            ("limits", self._limits),
        ):
            found += family.points(is_full=is_full)
            if family.overflows:
                found.append(names.OVERFLOWS.point(family.overflows, name))
        return found

    def _call_group(self, key: _CallKey) -> _CallGroup:
        return self._calls.groups.get(key) or self._calls.add(key)

    def _route_group(self, key: _RouteKey) -> _CountGroup:
        return self._routes.groups.get(key) or self._routes.add(key)

    def _attempt_group(self, attempt: AttemptTrace, operation: str) -> _AttemptGroup:
        target = attempt.target
        key = (
            operation,
            target.provider,
            OTHER if _is_made_up(attempt) else target.model_id,
            attempt.response_model,
            target.address,
            target.port,
            attempt.error_type,
        )
        return self._attempts.groups.get(key) or self._attempts.add(key)

    def _add_held(self, held: _HeldCalls) -> None:
        """Count a call for its limits, of which there may be many: each is told when it is asked for."""
        if not held.calls:
            if len(self._uncounted) >= MAX_SETS:
                # Nobody asks while control is away, and those that are not kept are new each time.
                self._count_held()
            self._uncounted.append(held)
        held.calls += 1

    def _count_held(self) -> None:
        for held in self._uncounted:
            for group, is_full in held.groups:
                group.is_changed = True
                group.nominated += held.calls
                if is_full:
                    group.applied += held.calls
            held.calls = 0
        self._uncounted.clear()

    def _limit_groups(self, said: Sequence[LimitsSaid], call: _CallKey) -> _HeldCalls:
        """A group for each rule that held for a call, however many limits that has."""
        key = (call, *verdicts(said))
        counted = self._counted.get(key)
        if counted is None:
            notes = [note for each in said for note in each.notes()]
            counted = _HeldCalls(self._find_limit_groups(notes, call))
            if len(self._limits.groups) < self._limits.max_sets:
                if len(self._counted) >= MAX_SETS:
                    self._counted.clear()
                self._counted[key] = counted
        return counted

    def _find_limit_groups(
        self, notes: Sequence[LimitNote], call: _CallKey
    ) -> list[tuple[_LimitGroup, bool]]:
        model, caller, more = call
        refusing: dict[tuple[str, bool], bool] = {}
        for note in notes:
            rule = (note.rule, note.is_budget)
            refusing[rule] = refusing.get(rule, False) or note.outcome != "allowed"
        found = []
        for (name, is_budget), is_full in refusing.items():
            key = (model, caller, name, is_budget, more)
            found.append((self._limits.groups.get(key) or self._limits.add(key), is_full))
        return found


class _HeldCalls:
    """Calls for which the same limits held, and that these said the same of.

    Attributes:
        groups: Of each rule, and whether it had no room.
        calls: How many came since its groups were last told.
    """

    __slots__ = ("calls", "groups")

    def __init__(self, groups: Sequence[tuple[_LimitGroup, bool]]) -> None:
        self.groups = groups
        self.calls = 0


class _UsualGroups(NamedTuple):
    """Where calls count that differ in figures alone."""

    call: _CallGroup
    attempt: _AttemptGroup
    route: _CountGroup | None
    limits: _HeldCalls | None


def _add_call(group: _CallGroup, trace: CallTrace, answer: AttemptTrace | None) -> None:
    group.requests += 1
    elapsed_ms = (trace.end_ns - trace.start_ns) / _NS_PER_MS
    histogram = group.processing
    histogram[bisect_left(_MILLISECONDS, elapsed_ms)] += 1
    histogram[-1] += elapsed_ms
    if answer is None:
        group.is_changed = True
        return
    _add_spent(group, answer)
    if answer.first_chunk_ns:
        _record_stream(group, trace.start_ns, answer)


def _add_attempt(group: _AttemptGroup, attempt: AttemptTrace) -> None:
    group.is_changed = True
    elapsed_s = (attempt.end_ns - attempt.start_ns) / _NS_PER_S
    histogram = group.duration
    histogram[bisect_left(_SECONDS, elapsed_s)] += 1
    histogram[-1] += elapsed_s
    usage = attempt.usage
    if usage is not None:
        if usage.input_tokens is not None:
            if group.input_tokens is None:
                group.input_tokens = _new_token_histogram()
            histogram = group.input_tokens
            histogram[bisect_left(_TOKENS, usage.input_tokens)] += 1
            histogram[-1] += usage.input_tokens
        if usage.output_tokens is not None:
            if group.output_tokens is None:
                group.output_tokens = _new_token_histogram()
            histogram = group.output_tokens
            histogram[bisect_left(_TOKENS, usage.output_tokens)] += 1
            histogram[-1] += usage.output_tokens
        if usage.cached_input_tokens:
            group.cached_tokens += usage.cached_input_tokens
        if usage.cache_write_input_tokens:
            group.cache_write_tokens += usage.cache_write_input_tokens
        if usage.reasoning_output_tokens:
            group.reasoning_tokens += usage.reasoning_output_tokens
    if attempt.first_chunk_ns:
        _record_chunks(group, attempt)


def _add_one(group: _CountGroup) -> None:
    group.is_changed = True
    group.count += 1


def _model_of(plan: Plan | None) -> str:
    """The label of a call that no target was asked for."""
    if plan is None:
        return OTHER  # what callers make up must not make label sets
    if plan.targets:
        return plan.targets[0].name
    return OTHER if plan.route is None else plan.route.name


def _is_made_up(attempt: AttemptTrace) -> bool:
    """Whether a model may be one that its caller thought of: no integration lists it, nor did it answer."""
    target = attempt.target
    return bool(attempt.error_type and target.model_id) and "/" not in target.name


def _add_spent(group: _CallGroup, attempt: AttemptTrace) -> None:
    group.is_changed = True
    usage = attempt.usage
    if usage is not None:
        group.input_tokens += usage.input_tokens or 0
        group.output_tokens += usage.output_tokens or 0
    if attempt.cost_usd is not None:
        group.cost_usd = (group.cost_usd or 0.0) + attempt.cost_usd


def _record_stream(group: _CallGroup, start_ns: int, attempt: AttemptTrace) -> None:
    if group.first_token is None:
        group.first_token = new_histogram(_MILLISECONDS)
        group.inter_token = new_histogram(_MILLISECONDS)
    _observe(group.first_token, _MILLISECONDS, (attempt.first_chunk_ns - start_ns) / _NS_PER_MS)
    tokens = attempt.usage.output_tokens if attempt.usage is not None else None
    if tokens is not None and tokens > 1 and group.inter_token is not None:
        streamed_ms = (attempt.end_ns - attempt.first_chunk_ns) / _NS_PER_MS
        _observe(group.inter_token, _MILLISECONDS, streamed_ms / (tokens - 1))


def _record_chunks(group: _AttemptGroup, attempt: AttemptTrace) -> None:
    if group.first_chunk is None:
        group.first_chunk = new_histogram(_SECONDS)
    _observe(group.first_chunk, _SECONDS, (attempt.first_chunk_ns - attempt.start_ns) / _NS_PER_S)
    gaps = attempt.chunks - 1
    if gaps > 0:
        if group.output_chunk is None:
            group.output_chunk = new_histogram(_SECONDS)
        # Each gap is a recording by the conventions. A clock read per piece would be work while the caller
        # waits, so all gaps of a stream count as its average one.
        streamed_s = (attempt.end_ns - attempt.first_chunk_ns) / _NS_PER_S
        group.output_chunk[bisect_left(_SECONDS, streamed_s / gaps)] += gaps
        group.output_chunk[-1] += streamed_s


def _observe(histogram: list[int | float], bounds: tuple[float, ...], value: float) -> None:
    histogram[bisect_left(bounds, value)] += 1
    histogram[-1] += value


def _new_token_histogram() -> list[int | float]:
    histogram = new_histogram(_TOKENS)
    histogram[-1] = 0  # whole numbers stay whole
    return histogram


def _call_group(key: _CallKey) -> _CallGroup:
    model, caller, more = key
    return _CallGroup((_cut(model), _cut(caller), TENANT, *map(_cut_named, more)))


def _attempt_group(key: _AttemptKey) -> _AttemptGroup:
    labels = tuple([_cut(str(value)) for value in key])
    return _AttemptGroup(labels, is_inference=key[0] in _INFERENCE)


def _route_group(key: _RouteKey) -> _CountGroup:
    model, caller, route, more = key
    labels = (_cut(model), _cut(caller), TENANT, _cut(route), *map(_cut_named, more))
    return _CountGroup(names.LOAD_BALANCED, labels)


def _limit_group(key: _LimitKey) -> _LimitGroup:
    model, caller, rule, is_budget, more = key
    labels = (_cut(model), _cut(caller), TENANT, _cut(rule), *map(_cut_named, more))
    return _LimitGroup(labels, is_budget=is_budget)


def _failure_group(key: _FailureKey) -> _CountGroup:
    model, caller, status, error_type, more = key
    labels = (_cut(model), _cut(caller), TENANT, str(status or _NO_STATUS), _cut(error_type))
    return _CountGroup(names.FAILURES, (*labels, *map(_cut_named, more)))


def _histogram_point(
    instrument: Instrument, labels: tuple[str, ...], histogram: list[int | float]
) -> MetricPoint:
    return MetricPoint(instrument.name, labels, instrument.kind, histogram.copy())


def _cut(label: str) -> str:
    """*label* short, and such as UTF-8 can carry: one that cannot be written would stop all metrics."""
    short = label[:_MAX_LABEL_CHARACTERS]
    return short if short.isascii() else short.encode(errors="replace").decode()


def _cut_named(label: str) -> str:
    name, _, value = label.partition("=")
    return f"{name}={_cut(value)}"
