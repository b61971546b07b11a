"""What the configuration says of telemetry, worked out once for every call: a part of the `Snapshot`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from gateway.config import Config
from gateway.config.manifests.global_settings import AlwaysLog, HeaderControlledLog
from gateway.config.manifests.logging_config import LoggingConfig, ValueFilter
from gateway.endpoints.bedrock_catalogue import CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM
from gateway.endpoints.catalogue import CHAT, COMPLETION, MESSAGES, RESPONSE
from gateway.endpoints.gemini_catalogue import GENERATE, STREAM
from gateway.model import Call, Caller, Plan, TraceContext
from gateway.redaction import may_hold_secret
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.redaction_presets import Pattern, preset
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.sampling import Sampling
from gateway.telemetry.secrets_in_spans import NOTHING_KNOWN, KnownSecrets

MAX_CAPTURED: Final = 16


@dataclass(frozen=True, slots=True)
class ContentRule:
    """One `gateway-logging-config`.

    Attributes:
        forbids: Calls that match are not recorded.
    """

    name: str
    subjects: ValueFilter
    models: ValueFilter
    metadata: Mapping[str, str]
    forbids: bool
    patterns: tuple[Pattern, ...]
    are_bounded: bool

    def matches(self, caller: Caller, models: Sequence[frozenset[str]], notes: CallNotes) -> bool:
        """Whether it is about a call.

        Args:
            models: For each target the names that stand for it: as asked, a virtual model's own, as resolved.
        """
        if any(notes.metadata.get(key) != value for key, value in self.metadata.items()):
            return False
        return _passes(self.subjects, caller.subjects) and any(
            _passes(self.models, names) for names in models
        )


_NO_REDACTOR: Final = Redactor()
"""Masks nothing, so it can never be spent."""


class Redaction:
    """What is masked in the words of which call."""

    def __init__(
        self,
        rules: Iterable[ContentRule] = (),
        names: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        """Prepare.

        Args:
            rules: All of them.
            names: All names of what has several, by each of them; a rule may be written with any.
        """
        self._rules = tuple(rules)
        self._names = names
        self._redactors: dict[tuple[int, ...], Redactor] = {}

    def redactor(self, caller: Caller, call: Call, plan: Plan, notes: CallNotes) -> Redactor | None:
        """What masks the words of a call; None when they must not be recorded."""
        if not self._rules:
            return _NO_REDACTOR
        asked = self._names.get(call.model, (call.model,))
        models = [frozenset((*asked, target.name)) for target in plan.targets]
        matching = tuple(
            [index for index, rule in enumerate(self._rules) if rule.matches(caller, models, notes)]
        )
        if any(self._rules[index].forbids for index in matching):
            return None
        redactor = self._redactor(matching)
        return None if redactor.is_spent else redactor

    def _redactor(self, matching: tuple[int, ...]) -> Redactor:
        found = self._redactors.get(matching)
        if found is None:
            rules = [self._rules[index] for index in matching]
            found = Redactor(
                [pattern for rule in rules for pattern in rule.patterns],
                rules=[rule.name for rule in rules],
                are_bounded=all(rule.are_bounded for rule in rules),
            )
            self._redactors[matching] = found
        return found


_WITH_CONTENT: Final = frozenset(
    endpoint.route
    for endpoint in (
        *(CHAT, COMPLETION, MESSAGES, RESPONSE, GENERATE, STREAM),
        *(CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM),
    )
)


class ContentRules:
    """Which calls are recorded with prompt and reply."""

    def __init__(self, redaction: Redaction, *, by_default: bool, obeys_header: bool, max_bytes: int) -> None:
        """Take the rules.

        Args:
            redaction: What is masked, and which calls must not be recorded.
            by_default: Whether a call is recorded whose caller did not say, or has no say.
            obeys_header: Whether callers have a say.
            max_bytes: Longest content of one span.
        """
        self._redaction = redaction
        self._by_default = by_default
        self._obeys_header = obeys_header
        self._max_bytes = max_bytes

    def capture(self, caller: Caller, call: Call, plan: Plan, notes: CallNotes) -> ContentCapture | None:
        """What takes the content of a call; None when it must not be recorded."""
        # What the others say has no shape in the conventions, or none that is read here.
        if call.endpoint.route not in _WITH_CONTENT:
            return None
        wish = notes.wants_content if self._obeys_header else None
        if not (self._by_default if wish is None else wish):
            return None
        redactor = self._redaction.redactor(caller, call, plan, notes)
        return None if redactor is None else ContentCapture(redactor, max_bytes=self._max_bytes)


@dataclass(frozen=True, slots=True)
class TelemetryPlan:
    """How calls are traced.

    Attributes:
        makes_spans: Calls are traced; else they are only counted, and nobody gets a span.
        has_old_names: The older names of `gen_ai.*` attributes are written too.
        has_tfy_names: The `tfy.*` attributes are written too.
        captured_headers: Request headers that go on the SERVER span, by lower-case name.
        captured_baggage: Members of the caller's baggage that go on every span of its call.
        content: None when no call is recorded with its content.
        redaction: Of the words of calls, also where those are not recorded as content.
        known: Credentials of whomever, to be kept off spans.
    """

    sampling: Sampling = field(default_factory=Sampling)
    makes_spans: bool = True
    has_old_names: bool = False
    has_tfy_names: bool = False
    captured_headers: tuple[str, ...] = ()
    captured_baggage: tuple[str, ...] = ()
    content: ContentRules | None = None
    redaction: Redaction = field(default_factory=Redaction)
    known: KnownSecrets = NOTHING_KNOWN

    def head_flags(self, trace_id: bytes, parent: TraceContext | None) -> int:
        """The trace flags that the caller and providers are told, before anything is known of the outcome."""
        if self.makes_spans:
            return self.sampling.head_flags(trace_id, parent)
        return 0 if parent is None else parent.flags

    def head_state(self, trace_id: bytes, parent: TraceContext | None) -> str:
        """The trace state that providers are told with them."""
        if self.makes_spans:
            return self.sampling.head_state(trace_id, parent)
        return "" if parent is None else parent.state

    def capture(self, caller: Caller, call: Call, plan: Plan, notes: CallNotes) -> ContentCapture | None:
        """What takes the content of a call; None when it must not be recorded."""
        return None if self.content is None else self.content.capture(caller, call, plan, notes)


PLAIN: Final = TelemetryPlan()
"""What holds without any setting."""


def compile_telemetry(config: Config, known: KnownSecrets = NOTHING_KNOWN) -> TelemetryPlan:
    """Work out the plan of a configuration, whose credentials are *known*."""
    settings = config.global_settings.telemetry_settings
    redaction = Redaction([_rule(manifest) for manifest in config.logging_configs], config.virtual_names())
    return TelemetryPlan(
        sampling=Sampling(config.otel_configs),
        makes_spans=settings.traces,
        has_old_names=settings.semconv == "latest+old",
        has_tfy_names=settings.tfy_attributes,
        captured_headers=usable_names(header.lower() for header in settings.capture_headers),
        captured_baggage=usable_names(settings.capture_baggage),
        content=_content_rules(config, redaction),
        redaction=redaction,
        known=known,
    )


def usable_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of *names* that may be captured: no credentials, and not too many."""
    usable = [name for name in names if not may_hold_secret(name)]
    return tuple(dict.fromkeys(usable))[:MAX_CAPTURED]


def _content_rules(config: Config, redaction: Redaction) -> ContentRules | None:
    logging = config.global_settings.logging_settings
    settings = config.global_settings.telemetry_settings
    match logging:
        case AlwaysLog():
            by_default, obeys_header = True, False
        case HeaderControlledLog(log_body_by_default=by_default):
            obeys_header = True
        case _:
            return None
    if not settings.max_content_bytes or not settings.traces:
        return None
    return ContentRules(
        redaction, by_default=by_default, obeys_header=obeys_header, max_bytes=settings.max_content_bytes
    )


def _rule(manifest: LoggingConfig) -> ContentRule:
    redaction, when = manifest.redact_with, manifest.when
    custom = [Pattern(re.compile(one.pattern), one.redaction_text) for one in redaction.custom_patterns]
    presets = [preset(name) for name in redaction.presets]
    return ContentRule(
        name=manifest.name,
        subjects=when.subjects,
        models=when.models,
        metadata=when.metadata,
        forbids=not manifest.log,
        patterns=(*custom, *presets),
        are_bounded=not custom,
    )


def _passes(wanted: ValueFilter, names: frozenset[str]) -> bool:
    if any(fnmatchcase(name, pattern) for pattern in wanted.not_in for name in names):
        return False
    return wanted.in_ is None or any(fnmatchcase(name, pattern) for pattern in wanted.in_ for name in names)
