"""What `check-config` prints for people."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from gateway.config.check import Checked
from gateway.config.config import Config
from gateway.config.manifests.otel_config import HttpTracesExporter
from gateway.config.problem import Severity


def report(checked: Checked) -> str:
    """Errors first, then warnings, then what there is, or how much is wrong."""
    warnings = [problem for problem in checked.problems if problem.severity is Severity.WARNING]
    lines = [str(problem) for problem in checked.errors]
    if warnings:
        lines += ["warnings:", *(str(problem) for problem in warnings)]
    if checked.not_in_force:
        lines.append(f"not in force yet: {', '.join(checked.not_in_force)}")
    lines.append(
        _counted(len(checked.errors), "error") if checked.config is None else summarize(checked.config)
    )
    return "\n".join(lines)


def summarize(config: Config) -> str:
    """One line on a configuration that is right."""
    models = sum(len(account.integrations) for account in config.provider_accounts)
    virtual = sum(len(group.integrations) for group in config.virtual_models)
    users = {token.user for token in config.access_tokens}
    parts = [
        f"{_counted(len(config.provider_accounts), 'provider account')} with {_counted(models, 'model')}",
        *([_counted(virtual, "virtual model")] if virtual else []),
        _counted(len(config.virtual_accounts), "virtual account"),
        *([_counted(len(users), "user")] if users else []),
        *_destinations(config),
    ]
    return f"configuration {config.version} is valid: {', '.join(parts)}"


def _destinations(config: Config) -> Iterator[str]:
    for destination in config.otel_configs:
        traces = destination.otel_traces_exporter_config
        if traces is not None:
            url = traces.url if isinstance(traces, HttpTracesExporter) else traces.endpoint
            # Without its query, which some backends want a key in.
            yield f"traces to {destination.name} at {urlunsplit(urlsplit(url)._replace(query=''))}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
