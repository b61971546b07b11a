"""Every metric once: name, kind, unit, labels and buckets. docs/telemetry.md lists them, a test compares.

Names and buckets: https://github.com/open-telemetry/semantic-conventions-genai v0.1.0 (`gen_ai.*`, the older
ones v1.41), TrueFoundry's `ai_gateway_*`, OpenTelemetry's `process.*`, and `gateway.*`, which are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from gateway.wire.frames import MetricKind, MetricPoint

# What OpenTelemetry's rules for Prometheus append to a name with dots. A name without is TrueFoundry's and
# stays as it is.
_UNIT_SUFFIXES: Final = {"s": "_seconds", "By": "_bytes"}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric.

    Attributes:
        name: As OTLP has it.
        unit: UCUM.
        labels: Names of the attributes, in the order of a point's values.
        bounds: Upper bounds of a histogram's buckets; one more bucket takes what lies above.
    """

    name: str
    kind: MetricKind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name on `/metrics`."""
        if "." not in self.name:
            return self.name
        name = self.name.replace(".", "_") + _UNIT_SUFFIXES.get(self.unit, "")
        return f"{name}_total" if self.kind is MetricKind.SUM else name

    def labels_of(self, point: MetricPoint) -> Iterator[tuple[str, str]]:
        """Names and values of the labels that apply to a point."""
        for name, value in zip(self.labels, point.labels, strict=False):
            if value:
                yield name, value
        for more in point.labels[len(self.labels) :]:
            name, is_named, value = more.partition("=")
            if is_named:
                yield name, value

    def point(self, value: float, *labels: str) -> MetricPoint:
        """A point of a sum or gauge."""
        return MetricPoint(self.name, labels, self.kind, [value])


_SUM: Final = MetricKind.SUM
_GAUGE: Final = MetricKind.GAUGE
_HISTOGRAM: Final = MetricKind.HISTOGRAM

SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS: Final = tuple(float(4**power) for power in range(14))
# TrueFoundry does not publish its buckets; these are the conventions' in milliseconds, with one more below.
MILLISECONDS: Final = (5.0, *(round(bound * 1000, 3) for bound in SECONDS))
LAG_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

# The GenAI client metrics: one recording per attempt at a target, as there is one CLIENT span.
GEN_AI_LABELS: Final = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
    "server.port",
    "error.type",
)
_INFERENCE: Final = "gen_ai.client.inference"
_OPERATION: Final = "gen_ai.client.operation"

INFERENCE_DURATION: Final = Instrument(
    f"{_INFERENCE}.duration", _HISTOGRAM, "s", "Duration of a try at a model.", GEN_AI_LABELS, SECONDS
)
OPERATION_DURATION: Final = Instrument(
    f"{_OPERATION}.duration",
    _HISTOGRAM,
    "s",
    "Duration of a try that is no inference (embeddings).",
    GEN_AI_LABELS,
    SECONDS,
)
TIME_TO_FIRST_CHUNK: Final = Instrument(
    f"{_INFERENCE}.time_to_first_chunk",
    _HISTOGRAM,
    "s",
    "From the start of a try to the first piece of its stream.",
    GEN_AI_LABELS,
    SECONDS,
)
TIME_PER_OUTPUT_CHUNK: Final = Instrument(
    f"{_INFERENCE}.time_per_output_chunk",
    _HISTOGRAM,
    "s",
    "Between the pieces of a stream, on the average of the stream.",
    GEN_AI_LABELS,
    SECONDS,
)
INPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.usage.input_tokens", _SUM, "{token}", "Input tokens, cached ones included.", GEN_AI_LABELS
)
OUTPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.usage.output_tokens", _SUM, "{token}", "Output tokens, reasoning included.", GEN_AI_LABELS
)
CACHE_READ_INPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.usage.cache_read.input_tokens",
    _SUM,
    "{token}",
    "Input tokens that the provider had cached.",
    GEN_AI_LABELS,
)
CACHE_WRITE_INPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.usage.cache_write.input_tokens",
    _SUM,
    "{token}",
    "Input tokens that the provider put into its cache.",
    GEN_AI_LABELS,
)
REASONING_OUTPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.usage.reasoning.output_tokens", _SUM, "{token}", "Tokens of reasoning.", GEN_AI_LABELS
)
OPERATION_INPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.operation.input_tokens",
    _HISTOGRAM,
    "{token}",
    "Input tokens of a try.",
    GEN_AI_LABELS,
    TOKENS,
)
OPERATION_OUTPUT_TOKENS: Final = Instrument(
    f"{_INFERENCE}.operation.output_tokens",
    _HISTOGRAM,
    "{token}",
    "Output tokens of a try.",
    GEN_AI_LABELS,
    TOKENS,
)

# Their names in v1.41, made from the same points with `semconv: latest+old`.
OLD_TIME_TO_FIRST_CHUNK: Final = replace(TIME_TO_FIRST_CHUNK, name=f"{_OPERATION}.time_to_first_chunk")
OLD_TIME_PER_OUTPUT_CHUNK: Final = replace(TIME_PER_OUTPUT_CHUNK, name=f"{_OPERATION}.time_per_output_chunk")
OLD_TOKEN_USAGE: Final = Instrument(
    "gen_ai.client.token.usage",
    _HISTOGRAM,
    "{token}",
    "Tokens of a try.",
    (*GEN_AI_LABELS, "gen_ai.token.type"),
    TOKENS,
)
_OLD_NAMES: Final = {
    INFERENCE_DURATION.name: (OPERATION_DURATION.name, ()),
    TIME_TO_FIRST_CHUNK.name: (OLD_TIME_TO_FIRST_CHUNK.name, ()),
    TIME_PER_OUTPUT_CHUNK.name: (OLD_TIME_PER_OUTPUT_CHUNK.name, ()),
    OPERATION_INPUT_TOKENS.name: (OLD_TOKEN_USAGE.name, ("input",)),
    OPERATION_OUTPUT_TOKENS.name: (OLD_TOKEN_USAGE.name, ("output",)),
}

# TrueFoundry's.
CALL_LABELS: Final = ("model_name", "username", "tenant_name")
REQUESTS: Final = Instrument("ai_gateway_requests_total", _SUM, "{request}", "Calls of models.", CALL_LABELS)
CALL_INPUT_TOKENS: Final = Instrument(
    "ai_gateway_input_tokens_total", _SUM, "{token}", "Input tokens.", CALL_LABELS
)
CALL_OUTPUT_TOKENS: Final = Instrument(
    "ai_gateway_output_tokens_total", _SUM, "{token}", "Output tokens.", CALL_LABELS
)
CALL_COST: Final = Instrument(
    "ai_gateway_request_cost_total", _SUM, "{USD}", "Cost of the calls whose price is known.", CALL_LABELS
)
REQUEST_MS: Final = Instrument(
    "ai_gateway_request_processing_ms",
    _HISTOGRAM,
    "ms",
    "From the head of a call to the last byte of its answer.",
    CALL_LABELS,
    MILLISECONDS,
)
FIRST_TOKEN_MS: Final = Instrument(
    "ai_gateway_first_token_latency_ms",
    _HISTOGRAM,
    "ms",
    "From the head of a call to the first piece of its stream.",
    CALL_LABELS,
    MILLISECONDS,
)
INTER_TOKEN_MS: Final = Instrument(
    "ai_gateway_inter_token_latency_ms",
    _HISTOGRAM,
    "ms",
    "Between the tokens of a stream, on the average of the stream.",
    CALL_LABELS,
    MILLISECONDS,
)
FAILURES: Final = Instrument(
    "ai_gateway_request_model_inference_failure_total",
    _SUM,
    "{request}",
    "Tries at a model that failed.",
    (*CALL_LABELS, "error_code", "exception_class"),
)
LOAD_BALANCED: Final = Instrument(
    "ai_gateway_load_balanced_requests_total",
    _SUM,
    "{request}",
    "Calls whose target a virtual model or a rule chose.",
    (*CALL_LABELS, "ruleId"),
)
RATE_LIMIT_NOMINATED: Final = Instrument(
    "ai_gateway_rate_limit_nominated_total",
    _SUM,
    "{request}",
    "Calls that a rate limit held for.",
    (*CALL_LABELS, "ruleId"),
)
RATE_LIMIT_APPLIED: Final = Instrument(
    "ai_gateway_rate_limit_applied_total",
    _SUM,
    "{request}",
    "Calls, or targets of calls, that a rate limit had no room for.",
    (*CALL_LABELS, "ruleId"),
)
BUDGET_NOMINATED: Final = Instrument(
    "ai_gateway_budget_nominated_total",
    _SUM,
    "{request}",
    "Calls that a budget held for.",
    (*CALL_LABELS, "ruleId"),
)
BUDGET_APPLIED: Final = Instrument(
    "ai_gateway_budget_applied_total",
    _SUM,
    "{request}",
    "Calls, or targets of calls, that a budget had no room for.",
    (*CALL_LABELS, "ruleId"),
)
BUDGET_ALERTS: Final = Instrument(
    "gateway.budget.alerts",
    _SUM,
    "{alert}",
    "Alerts of budgets that were told, or not.",
    ("outcome",),
)
SHARED_DROPS: Final = Instrument(
    "gateway.shared_state.drops",
    _SUM,
    "{entry}",
    "Sessions and stored objects that other replicas were to know and will not be told.",
    ("reason",),
)
SHARED_LOOKUPS: Final = Instrument(
    "gateway.shared_state.lookups",
    _SUM,
    "{entry}",
    "Sessions and stored objects that other replicas were asked for.",
    ("outcome",),
)
LIMITS_DECIDED_HERE: Final = Instrument(
    "gateway.limits.decided_here",
    _SUM,
    "{decision}",
    "Limits of calls that this host decided alone, as Redis did not.",
    ("reason",),
)
LIMIT_DROPS: Final = Instrument(
    "gateway.limits.drops",
    _SUM,
    "{entry}",
    "What limits had counted, or were to count, and have lost.",
    ("reason",),
)
LIMIT_MISSED_TURNS: Final = Instrument(
    "gateway.limits.missed_turns",
    _SUM,
    "{turn}",
    "Times that a worker counted limits by itself, as another process did not end its turn.",
)
CONFIG_FAILURES: Final = Instrument(
    "ai_gateway_config_parsing_failures_total",
    _SUM,
    "{failure}",
    "Changes of configuration that were refused.",
)
SPANS_ACCEPTED: Final = Instrument(
    "ai_gateway_spans_accepted_total", _SUM, "{span}", "Spans that control has in its spool."
)
SPANS_EXPORTED: Final = Instrument(
    "ai_gateway_spans_exported_total",
    _SUM,
    "{span}",
    "Spans whose sending has ended.",
    ("destination", "outcome", "reason"),
)
SPAN_DROPS: Final = Instrument(
    "ai_gateway_span_drops_total",
    _SUM,
    "{span}",
    "Spans given up, by a worker (destination empty) or for a destination.",
    ("destination", "reason"),
)

SPANS_RESENT: Final = Instrument(
    "gateway.telemetry.resent",
    _SUM,
    "{span}",
    "Spans of tries of which no answer is known: the endpoint may have them besides those exported.",
    ("destination",),
)
SPANS_KEPT_UNSAMPLED: Final = Instrument(
    "gateway.telemetry.kept_unsampled",
    _SUM,
    "{span}",
    "Spans below the sampling ratio that were kept as an error or for being slow.",
    ("destination",),
)

# The ledger: created = what has ended + what waits, for each destination and signal.
LEDGER_CREATED: Final = Instrument(
    "gateway.telemetry.created",
    _SUM,
    "{item}",
    "Spans, or data points of metrics, meant for a destination.",
    ("destination", "signal"),
)
LEDGER_ENDED: Final = Instrument(
    "gateway.telemetry.ended",
    _SUM,
    "{item}",
    "What has become of them.",
    ("destination", "signal", "outcome", "reason"),
)
LEDGER_WAITING: Final = Instrument(
    "gateway.telemetry.waiting",
    _GAUGE,
    "{item}",
    "Those that are still under way.",
    ("destination", "signal", "state"),
)

# The targets, as the workers of a host know them together; only such as have been asked.
_TARGET: Final = "gateway.target"
TARGET_STATE: Final = Instrument(
    f"{_TARGET}.state", _GAUGE, "1", "Always 1; how the target is.", (_TARGET, "state")
)
TARGET_OPENINGS: Final = Instrument(
    f"{_TARGET}.openings", _SUM, "{opening}", "How often its circuit has opened.", (_TARGET,)
)
TARGET_ATTEMPTS: Final = Instrument(
    f"{_TARGET}.attempts",
    _GAUGE,
    "{attempt}",
    "Attempts within the window of its circuit.",
    (_TARGET, "outcome"),
)
TARGET_ERRORS: Final = Instrument(
    f"{_TARGET}.error_ratio", _GAUGE, "1", "The share of these that were sick.", (_TARGET,)
)
TARGET_SAMPLES: Final = Instrument(
    f"{_TARGET}.samples", _GAUGE, "{sample}", "Replies of late whose times are known.", (_TARGET,)
)
TARGET_FIRST_TOKEN: Final = Instrument(
    f"{_TARGET}.time_to_first_token", _GAUGE, "s", "Of these: the median of streams.", (_TARGET,)
)
TARGET_PER_TOKEN: Final = Instrument(
    f"{_TARGET}.time_per_output_token", _GAUGE, "s", "Of these: the median.", (_TARGET,)
)
MISSED_TURNS: Final = Instrument(
    "gateway.targets.missed_turns",
    _SUM,
    "{turn}",
    "Changes of a circuit that could not wait for another process to end its own.",
)

# The processes.
LOOP_LAG: Final = Instrument(
    "gateway.event_loop.lag",
    _HISTOGRAM,
    "s",
    "How late the workers' event loops are, looked at ten times a second.",
    (),
    LAG_SECONDS,
)
LOOP_TASKS: Final = Instrument(
    "gateway.event_loop.tasks", _GAUGE, "{task}", "Tasks in the workers' event loops."
)
OPEN_CALLS: Final = Instrument("gateway.calls.open", _GAUGE, "{request}", "Calls in flight in the workers.")
INPUT_BYTES: Final = Instrument("gateway.input.held", _GAUGE, "By", "Request bodies that the workers hold.")
OVERLOAD_REFUSALS: Final = Instrument(
    "gateway.overload.refusals",
    _SUM,
    "{request}",
    "Calls refused as a worker had too much to do.",
    ("gateway.priority", "reason"),
)
MEMORY: Final = Instrument(
    "process.memory.usage", _GAUGE, "By", "Resident memory.", ("gateway.process", "process.pid")
)
CPU_TIME: Final = Instrument("process.cpu.time", _SUM, "s", "CPU time used.", ("gateway.process",))
WORKERS: Final = Instrument("gateway.workers", _GAUGE, "{process}", "Workers that are there.")
BUILD: Final = Instrument(
    "gateway.build.info", _GAUGE, "1", "Always 1; what runs.", ("service.version", "gateway.config.version")
)
REPLICAS: Final = Instrument(
    "gateway.replicas",
    _GAUGE,
    "{replica}",
    "Gateways that this one has heard of, itself among them.",
    ("gateway.config.version", "gateway.state"),
)
OVERFLOWS: Final = Instrument(
    "gateway.metrics.overflows",
    _SUM,
    "{recording}",
    "Recordings that went to the label set `other`, since there were too many.",
    ("gateway.metrics.family",),
)

INSTRUMENTS: Final[dict[str, Instrument]] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Instrument)
}
"""All of them by name."""


def with_old_names(points: Iterable[MetricPoint]) -> Iterator[MetricPoint]:
    """The *points*, and those with an older twin under its name too."""
    for point in points:
        yield point
        twin = _OLD_NAMES.get(point.name)
        if twin is not None:
            name, more_labels = twin
            yield MetricPoint(name, (*point.labels, *more_labels), point.kind, point.values)
