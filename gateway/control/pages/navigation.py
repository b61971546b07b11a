"""What the navigation shows, and where each page is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation.

    Attributes:
        icon: The name of a symbol in `static/icons.svg`.
        words: By which it is found too.
    """

    title: str
    path: str
    icon: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading."""

    title: str
    entries: Sequence[Entry]


NAVIGATION: Final = (
    Group(
        "AI Gateway",
        (
            Entry("Monitor", "/monitor", "monitor"),
            Entry("Traces", "/traces", "traces"),
            Entry(
                "Models",
                "/models",
                "model",
                "provider account key virtual routing targets health OpenAI Anthropic",
            ),
            Entry("Playground", "/playground", "playground"),
        ),
    ),
    Group(
        "Access",
        (
            Entry("Tokens", "/access/tokens", "key"),
            Entry("Callers", "/access/callers", "users"),
            Entry("Permissions", "/access/permissions", "lock"),
            Entry("Identity providers", "/access/identity-providers", "server"),
            Entry(
                "Dashboard access", "/access/dashboard", "shield", "password admin viewer operator sign in"
            ),
        ),
    ),
    Group(
        "Controls",
        (
            Entry("Rate limits", "/controls/rate-limits", "gauge"),
            Entry("Budgets", "/controls/budgets", "budget"),
            Entry("Logging", "/controls/logging", "log", "prompts replies content masking redaction"),
            Entry("Metadata rules", "/controls/metadata", "tag"),
            Entry(
                "Settings",
                "/controls/settings",
                "sliders",
                "OTEL Config OpenTelemetry Elastic telemetry export traces metrics destination",
            ),
        ),
    ),
    Group(
        "Configuration",
        (
            Entry("Manifests", "/configuration/manifests", "folder"),
            Entry("History", "/configuration/history", "history"),
            Entry("Audit log", "/audit", "eye"),
            Entry("Admin API", "/configuration/api", "code"),
        ),
    ),
)


def current_entry(path: str) -> Entry | None:
    """The line that *path* belongs to: its own, or that of the nearest page above it."""
    entries = (entry for group in NAVIGATION for entry in group.entries)
    above = [entry for entry in entries if path == entry.path or path.startswith(entry.path + "/")]
    return max(above, key=lambda entry: len(entry.path), default=None)
