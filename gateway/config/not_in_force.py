"""What loads and has no effect yet. The one table of it: an issue that builds a feature deletes its line.

A field counts when it is written with another value than its default. What the table names is left out of the
`Config`, so that no consumer acts on half a feature.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.document import STRICT, Document, FieldPath
from gateway.config.manifests.alerts import RESOURCE_NAMES, UNBUILT_TARGETS
from gateway.config.manifests.part import Manifest
from gateway.config.manifests.role import USE
from gateway.config.manifests.vendors import VENDOR_ACCOUNTS
from gateway.config.problem import Problem, Severity
from gateway.config.shape import attribute_of

_ACCOUNT: Final = ("ownedBy",)

_PROMPT_OF_A_TARGET: Final = "load_balance_targets.*.override_params.prompt_version_fqn"

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(VENDOR_ACCOUNTS, _ACCOUNT),
    **dict.fromkeys(
        (
            "provider-account/anthropic",
            "provider-account/aws-bedrock",
            "provider-account/aws-sagemaker",
            "provider-account/azure-foundry",
            "provider-account/azure-openai",
            "provider-account/cloudera",
            "provider-account/databricks",
            "provider-account/google-gemini",
            "provider-account/google-vertex",
            "provider-account/microsoft-foundry",
            "provider-account/nomic",
            "provider-account/ollama",
            "provider-account/openai",
            "provider-account/snowflake-cortex",
        ),
        _ACCOUNT,
    ),
    "provider-account/self-hosted-model": (
        *_ACCOUNT,
        "integrations.*.tfy_application_id",
        "integrations.*.tls_settings",
    ),
    "provider-account/virtual-model": (
        "ownedBy",
        f"integrations.*.routing_config.{_PROMPT_OF_A_TARGET}",
    ),
    "gateway-load-balancing-config": (f"rules.*.{_PROMPT_OF_A_TARGET}",),
    "virtual-account": (
        "notification_target",
        "secret_store_config",
        "ownedBy",
    ),
    "team": ("managers", "ownedBy", "tags"),
    "pat": ("ownedBy",),
    "tenant-rate-limit-config/model": ("log_request_body_on_block",),
    "gateway-otel-config": ("otel_metrics_exporter_config.batch.max_delay_ms",),
    "gateway-global-settings": (
        "semantic_cache_settings",
        "guardrail_settings",
    ),
}


@dataclass(frozen=True, slots=True)
class UnbuiltValue:
    """A part of a manifest that has no effect as a whole while its *key* has one of *values*.

    It is left in what is in force: what depends on it must not work as if it were not there.
    """

    part: str
    key: str
    values: Container[str]


_ALERTS: Final = "alerts.notification_target.*"


def _unbuilt_alerts(part: str) -> tuple[UnbuiltValue, ...]:
    return (
        UnbuiltValue(part, "type", UNBUILT_TARGETS),
        UnbuiltValue(part, "notification_channel", RESOURCE_NAMES),
    )


@dataclass(frozen=True, slots=True)
class UnbuiltItems:
    """The items of a list of texts that have no effect: all but those of *built*. They are left in it."""

    part: str
    built: frozenset[str]


ITEMS: Final[Mapping[str, UnbuiltItems]] = {"role": UnbuiltItems("permissions", frozenset({USE}))}

VALUES: Final[Mapping[str, tuple[UnbuiltValue, ...]]] = {
    "gateway-budget-config": _unbuilt_alerts(f"rules.*.{_ALERTS}"),
    "tenant-budget-config": _unbuilt_alerts(_ALERTS),
    "team-budget-config": _unbuilt_alerts(_ALERTS),
    "provider-account/cloudera": (UnbuiltValue("auth_data", "type", frozenset({"workload-auth-token"})),),
}


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """One thing that has no effect yet.

    Attributes:
        label: As `GET /api/config` lists it, such as `virtual-account: tags`.
        paths: Everywhere that it is written in one manifest; () means the whole manifest.
        stays: It is left in what is in force, as an `UnbuiltValue` and `UnbuiltItems` are.
    """

    label: str
    paths: tuple[FieldPath, ...]
    stays: bool = False

    @property
    def left_out(self) -> tuple[FieldPath, ...]:
        """What is taken out of the manifest that is in force."""
        return () if self.stays else self.paths

    def to_problem(self, document: Document, severity: Severity) -> Problem:
        """How the operator is told, once per manifest however often it is written there."""
        refused = f", and {STRICT}: take it out, or switch that off"
        stays = refused if severity is Severity.ERROR else "; it may stay"
        if self.paths == ((),):
            message = f"{document.type} is not in force yet"
            return document.problem(severity, ("type",), message, f"Nothing in it has an effect{stays}")
        others = len(self.paths) - 1
        more = f" (and {others} more in this manifest)" if others else ""
        message = f"not in force yet{more}"
        return document.problem(severity, self.paths[0], message, f"It has no effect{stays}")


def unbuilt_document(document: Document) -> Unbuilt:
    """A manifest of a type that is known and not built."""
    return Unbuilt(document.type, ((),))


def unbuilt_fields(document: Document, manifest: Manifest) -> Iterator[Unbuilt]:
    """What *document*, read as *manifest*, asks for and does not get."""
    body = document.body
    for pattern in FIELDS.get(document.type, ()):
        if pattern.partition(".")[0] not in body:
            continue
        paths = tuple(
            path for path in _matches(document.body, pattern) if _differs_from_default(manifest, path)
        )
        if paths:
            yield Unbuilt(f"{document.type}: {pattern.replace('.*', '')}", paths)
    items = ITEMS.get(document.type)
    if items is not None:
        found = tuple(
            path
            for path in _matches(document.body, f"{items.part}.*")
            if _plain_at(document.body, path) not in items.built
        )
        if found:
            yield Unbuilt(f"{document.type}: {items.part}", found, stays=True)
    for row in VALUES.get(document.type, ()):
        yield from _unbuilt_values(document, row)


def without(body: Mapping[str, Any], paths: list[FieldPath]) -> dict[str, Any]:
    """A copy of *body* that has nothing at *paths*."""
    pruned = copy.deepcopy(dict(body))
    # From the end, so that taking an item out of a list does not move those still to be taken out.
    for path in sorted(
        paths, key=lambda path: tuple((isinstance(step, str), step) for step in path), reverse=True
    ):
        *parents, last = path
        holder: Any = pruned
        for step in parents:
            holder = holder[step]
        del holder[last]
    return pruned


def _unbuilt_values(document: Document, row: UnbuiltValue) -> Iterator[Unbuilt]:
    by_value: dict[str, list[FieldPath]] = {}
    for path in _matches(document.body, f"{row.part}.{row.key}"):
        value = _plain_at(document.body, path)
        if value in row.values:
            by_value.setdefault(value, []).append(path[:-1])
    for value, paths in sorted(by_value.items()):
        label = f"{document.type}: {row.part.replace('.*', '')}.{row.key} {value}"
        yield Unbuilt(label, tuple(paths), stays=True)


def _matches(value: Any, pattern: str) -> Iterator[FieldPath]:
    """Paths in *value* of what *pattern* names and is written; `*` stands for every item of a list."""
    step, _, rest = pattern.partition(".")
    found: list[tuple[str | int, Any]] = []
    if step == "*" and isinstance(value, list):
        found = list(enumerate(value))
    elif isinstance(value, Mapping) and value.get(step) is not None:
        found = [(step, value[step])]
    for key, inner in found:
        for path in _matches(inner, rest) if rest else [()]:
            yield (key, *path)


def _plain_at(value: Any, path: FieldPath) -> Any:
    for step in path:
        value = value[step]
    return value


def _differs_from_default(manifest: Manifest, path: FieldPath) -> bool:
    part: Any = manifest
    *parents, last = path
    for step in parents:
        part = part[step] if isinstance(step, int) else getattr(part, attribute_of(type(part), step))
    if isinstance(part, dict):
        # A member of what takes any has no default.
        return True
    name = attribute_of(type(part), str(last))
    return bool(getattr(part, name) != type(part).model_fields[name].get_default(call_default_factory=True))
