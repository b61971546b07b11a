"""The `OTEL_*` variables that operators of other services know, in place of a `gateway-otel-config`.

They count only when no such manifest is there, so that a variable left in the environment never adds a second
destination to a configuration that says where telemetry goes. Pure: the environment is passed in. No message
quotes a header's value.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and .../protocol/exporter/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from pydantic import ValidationError

from gateway.config.config import Config
from gateway.config.manifests.otel_config import OtelConfig
from gateway.config.manifests.part import Source
from gateway.config.problem import Problem, Severity

NAME: Final = "environment"
"""The name of the destination that the variables describe."""

_SIGNALS: Final = ("traces", "metrics")
_PATHS: Final = tuple(f"/v1/{signal}" for signal in _SIGNALS)
_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_PROTOCOLS: Final = {
    "http/protobuf": {"type": "http", "encoding": "proto"},
    "http/json": {"type": "http", "encoding": "json"},
    "grpc": {"type": "grpc"},
}
_SAMPLERS: Final = {
    "always_on": (1.0, False),
    "always_off": (0.0, False),
    "traceidratio": (None, False),
    "parentbased_always_on": (1.0, True),
    "parentbased_always_off": (0.0, True),
    "parentbased_traceidratio": (None, True),
}
_COMPRESSIONS: Final = frozenset({"gzip", "none"})
_TLS: Final = {"CERTIFICATE": "ca_file", "CLIENT_CERTIFICATE": "cert_file", "CLIENT_KEY": "key_file"}
_EXPORTERS: Final = frozenset({"otlp", "none"})
_TEMPORALITIES: Final = {"cumulative": False, "delta": True}
_PROPAGATORS: Final = frozenset({"tracecontext", "baggage"})
_OF_A_SIGNAL: Final = (
    *("ENDPOINT", "HEADERS", "PROTOCOL", "COMPRESSION", "TIMEOUT", "INSECURE"),
    *_TLS,
)
_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_ACTED_ON: Final = frozenset(
    {
        "OTEL_SDK_DISABLED",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_TRACES_EXPORTER",
        "OTEL_METRICS_EXPORTER",
        _INTERVAL,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_PROPAGATORS",
        *(f"{_PREFIX}{part}{suffix}" for part in ("", "TRACES_", "METRICS_") for suffix in _OF_A_SIGNAL),
    }
)
# Attributes of the resource that each process has of its own. What else of them a variable gives, workers and
# control read for themselves.
_OF_A_PROCESS: Final = ("service.instance.id", "process.", "telemetry.")
# Signals that are not sent, so that their variables ask for no destination.
_OTHER_SIGNALS: Final = (f"{_PREFIX}LOGS_", f"{_PREFIX}PROFILES_")
# Eleven days in milliseconds.
_MOST_DIGITS: Final = 9
# The specification counts milliseconds, Python's SDK seconds; who writes so few means the latter.
_LEAST_TIMEOUT_MS: Final = 100


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """What the variables say.

    Attributes:
        manifest: None when they name no destination.
        problems: What in them is not understood and has no effect.
    """

    manifest: OtelConfig | None
    problems: tuple[Problem, ...]


def with_environment(config: Config, environ: Mapping[str, str]) -> tuple[Config, tuple[Problem, ...]]:
    """*config*, if it has no destination with that of the environment, and what is wrong with the latter."""
    if config.otel_configs:
        reader = _Reader(_of_otel(environ))
        reader.check_what_counts_beside_manifests(
            has_metrics=any(one.otel_metrics_exporter_config is not None for one in config.otel_configs)
        )
        return config, tuple(reader.problems)
    found = read_environment(environ)
    if found.manifest is None:
        return config, found.problems
    return replace(config, otel_configs=(found.manifest,)), found.problems


def asks_for_export(environ: Mapping[str, str]) -> bool:
    """Whether some variable is about where telemetry goes, be it enough or not."""
    return any(value for name, value in _of_otel(environ).items() if name.startswith(_PREFIX))


def metrics_period_s(environ: Mapping[str, str]) -> float | None:
    """Between two exports of metrics, also where there are manifests; None: nothing is said of it."""
    period_ms = _whole_number(environ.get(_INTERVAL, "").strip())
    return None if period_ms is None else period_ms / 1000


def _of_otel(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_")}


def read_environment(environ: Mapping[str, str]) -> FromEnvironment:
    """The manifest that the variables stand for."""
    reader = _Reader(_of_otel(environ))
    body = reader.manifest()
    if body is None:
        return FromEnvironment(None, tuple(reader.problems))
    try:
        manifest = OtelConfig.model_validate(body)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            where = ".".join(str(step) for step in detail["loc"])
            reader.warn(f"{_PREFIX}*", f"{where}: {detail['msg']}", "Mend it; nothing is exported until then")
        return FromEnvironment(None, tuple(reader.problems))
    manifest.written_in(Source(Path(NAME), 1))
    for signal in _SIGNALS:
        exporter = getattr(manifest, f"otel_{signal}_exporter_config")
        timeout_s = reader.timeout_s(signal)
        if exporter is not None and timeout_s is not None:
            exporter.limit_time(timeout_s)
    return FromEnvironment(manifest, tuple(reader.problems))


class _Reader:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[Problem] = []

    def warn(self, variable: str, what: str, fix: str) -> None:
        problem = Problem(Path(NAME), 1, variable, Severity.WARNING, what, fix)
        if problem not in self.problems:  # one variable may serve both signals
            self.problems.append(problem)

    def manifest(self) -> dict[str, Any] | None:
        if self._is_true("OTEL_SDK_DISABLED"):
            return None
        exporters = {signal: self._exporter(signal) for signal in _SIGNALS}
        if not any(exporters.values()):
            self._warn_of_no_endpoint()
            return None
        resource = self._resource()
        if exporters["traces"]:
            exporters["traces"] |= resource | self._sampling() | self._batch()
        if exporters["metrics"]:
            exporters["metrics"] |= self._temporality()
            self._number(_INTERVAL)  # whoever sends reads it, without a word
        self._warn_of_the_rest()
        return {
            "type": "gateway-otel-config",
            "name": NAME,
            **{f"otel_{signal}_exporter_config": exporters[signal] or None for signal in _SIGNALS},
        }

    def check_what_counts_beside_manifests(self, *, has_metrics: bool) -> None:
        """Of variables that have an effect all the same."""
        self._resource()
        if has_metrics:
            self._number(_INTERVAL)

    def timeout_s(self, signal: str) -> float | None:
        name, text = self._find(signal, "TIMEOUT")
        if not text:
            return None
        timeout_ms = _whole_number(text)
        if timeout_ms is None:
            self.warn(name, "not a number of milliseconds", "It is ignored; write one such as 10000")
            return None
        if timeout_ms < _LEAST_TIMEOUT_MS:
            self.warn(name, f"{text} are milliseconds here", f"Write {text}000 if you mean seconds")
        return timeout_ms / 1000

    def _exporter(self, signal: str) -> dict[str, Any]:
        endpoint = self._endpoint(signal)
        if not endpoint or not self._is_exported(signal):
            return {}
        protocol = self._one_of(signal, "PROTOCOL", _PROTOCOLS.keys(), "http/protobuf")
        is_own = bool(self._variables.get(f"{_PREFIX}{signal.upper()}_ENDPOINT"))
        exporter: dict[str, Any] = {
            **_PROTOCOLS[protocol],
            "endpoint": _complete(endpoint, "" if is_own or protocol == "grpc" else f"v1/{signal}"),
            "compression": self._one_of(signal, "COMPRESSION", _COMPRESSIONS, "gzip"),
            "headers": self._headers(*self._find(signal, "HEADERS")),
            "tls": {field: path for suffix, field in _TLS.items() if (path := self._find(signal, suffix)[1])},
        }
        return exporter

    def _headers(self, name: str, text: str) -> dict[str, str]:
        headers = dict(self._pairs(name, text))
        for header in [header for header, value in headers.items() if not value]:
            self.warn(name, f"'{header}' has no value", "It is not sent; see that what it refers to is set")
            del headers[header]
        return headers

    def _exporters(self, signal: str) -> set[str]:
        wishes = self._variables.get(_exporter_of(signal), "")
        return {word.strip().lower() for word in wishes.split(",")} - {""}

    def _is_exported(self, signal: str) -> bool:
        chosen = self._exporters(signal)
        for word in sorted(chosen - _EXPORTERS):
            self.warn(
                _exporter_of(signal), f"'{word}' is no exporter that is known here", "Write otlp or none"
            )
        return "otlp" in chosen or not chosen

    def _endpoint(self, signal: str) -> str:
        name, endpoint = self._find(signal, "ENDPOINT")
        is_base = name == f"{_PREFIX}ENDPOINT" and self._find(signal, "PROTOCOL")[1].lower() != "grpc"
        if is_base and endpoint.partition("?")[0].rstrip("/").endswith(_PATHS):
            self.warn(
                name,
                "the path of each signal is added to it, so it is there twice",
                f"Leave it out here, or write {_PREFIX}TRACES_ENDPOINT",
            )
        if endpoint and "://" not in endpoint:
            # As SDKs take it for gRPC.
            is_insecure = self._find(signal, "INSECURE")[1].lower() == "true"
            endpoint = f"{'http' if is_insecure else 'https'}://{endpoint}"
        return endpoint

    def _resource(self) -> dict[str, Any]:
        name = "OTEL_RESOURCE_ATTRIBUTES"
        attributes = dict(self._pairs(name, self._variables.get(name, "")))
        if service := self._variables.get("OTEL_SERVICE_NAME"):
            attributes["service.name"] = service
        attributes = {key: value for key, value in attributes.items() if not key.startswith(_OF_A_PROCESS)}
        return {"additional_resource_attributes": attributes}

    def _sampling(self) -> dict[str, Any]:
        name = "OTEL_TRACES_SAMPLER"
        sampler = self._variables.get(name, "").lower()
        if self._variables.get("OTEL_TRACES_SAMPLER_ARG") and not sampler.endswith("traceidratio"):
            self.warn(
                "OTEL_TRACES_SAMPLER_ARG",
                "it has no effect with this sampler",
                f"Set {name}=parentbased_traceidratio to sample by it",
            )
        if not sampler:
            return {}
        if sampler not in _SAMPLERS:
            self.warn(
                name, "not a sampler that is known here", f"It is ignored; known: {', '.join(_SAMPLERS)}"
            )
            return {}
        ratio, is_parent_based = _SAMPLERS[sampler]
        return {
            "sampling": {"ratio": self._ratio() if ratio is None else ratio, "parent_based": is_parent_based}
        }

    def _batch(self) -> dict[str, Any]:
        numbers = {
            "max_delay_ms": self._number("OTEL_BSP_SCHEDULE_DELAY"),
            "max_spans": self._number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
        }
        return {"batch": {field: number for field, number in numbers.items() if number is not None}}

    def _temporality(self) -> dict[str, Any]:
        name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
        wish = self._variables.get(name, "").lower() or "cumulative"
        if wish not in _TEMPORALITIES:
            self.warn(
                name,
                "not a value that is known here",
                f"cumulative is used; known: {', '.join(_TEMPORALITIES)}",
            )
        return {"export_delta_metrics": _TEMPORALITIES.get(wish, False)}

    def _warn_of_the_rest(self) -> None:
        name = "OTEL_PROPAGATORS"
        wishes = {word.strip().lower() for word in self._variables.get(name, "").split(",")} - {""}
        if wishes - _PROPAGATORS:
            self.warn(name, "only tracecontext and baggage are read", "Have callers send traceparent")
        self._warn_of_unknown(name for name, value in self._variables.items() if value)

    def _warn_of_no_endpoint(self) -> None:
        """Who names an exporter, or something that only one with an endpoint has, expects that one sends."""
        asks = [name for name, value in self._variables.items() if value and name.startswith(_PREFIX)]
        is_wanted = any(not name.startswith(_OTHER_SIGNALS) for name in asks) or any(
            self._exporters(signal) - {"none"} for signal in _SIGNALS
        )
        if is_wanted and any(self._is_exported(signal) for signal in _SIGNALS):
            self.warn(
                f"{_PREFIX}ENDPOINT",
                "it is not set, so nothing is exported",
                "Set it, such as http://localhost:4318, where SDKs would send by themselves",
            )
            self._warn_of_unknown(asks)

    def _warn_of_unknown(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            if name not in _ACTED_ON:
                self.warn(
                    name, "it has no effect here", "docs/configuration.md lists the variables that have"
                )

    def _number(self, name: str) -> int | None:
        text = self._variables.get(name, "")
        if not text:
            return None
        number = _whole_number(text)
        if number is None:
            most = 10**_MOST_DIGITS - 1
            self.warn(name, f"not a whole number from 1 to {most}", "It is ignored; write one such as 500")
        return number

    def _ratio(self) -> float:
        name = "OTEL_TRACES_SAMPLER_ARG"
        try:
            ratio = float(self._variables.get(name) or 1.0)
        except ValueError:
            ratio = -1.0
        if not 0.0 <= ratio <= 1.0:
            self.warn(name, "not a number from 0 to 1", "It is ignored, and everything is sampled")
            return 1.0
        return ratio

    def _find(self, signal: str, suffix: str) -> tuple[str, str]:
        """The variable of a signal, else that of all: its name and value, "" when neither is set."""
        own = f"{_PREFIX}{signal.upper()}_{suffix}"
        name = own if self._variables.get(own) else f"{_PREFIX}{suffix}"
        return name, self._variables.get(name, "")

    def _one_of(self, signal: str, suffix: str, known: Any, default: str) -> str:
        name, value = self._find(signal, suffix)
        if not value:
            return default
        if value.lower() not in known:
            self.warn(
                name,
                "not a value that is known here",
                f"{default} is used; known: {', '.join(sorted(known))}",
            )
            return default
        return value.lower()

    def _pairs(self, name: str, text: str) -> Iterator[tuple[str, str]]:
        """`k=v,k2=v2`, percent-encoded as in the W3C's baggage; blanks, as many write them, are kept."""
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = part.partition("=")
            key = unquote(key.strip())
            if not equals or not key.strip():
                self.warn(name, "holds a part that is not KEY=VALUE", "That part is ignored")
                continue
            yield key, unquote(value.strip())

    def _is_true(self, name: str) -> bool:
        value = self._variables.get(name, "").lower()
        if value not in ("", "true", "false"):
            self.warn(name, "neither true nor false", "It is taken for false")
        return value == "true"


def _whole_number(text: str) -> int | None:
    """A positive one of bounded size, None for anything else."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) or None if is_number else None


def _exporter_of(signal: str) -> str:
    return f"OTEL_{signal.upper()}_EXPORTER"


def _complete(endpoint: str, path: str) -> str:
    if not path:
        return endpoint
    base, mark, query = endpoint.partition("?")
    return f"{base.rstrip('/')}/{path}{mark}{query}"
