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
    """

    title: str
    path: str
    icon: str


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
            Entry("Models", "/models", "model"),
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
            Entry("Dashboard access", "/access/dashboard", "shield"),
        ),
    ),
    Group(
        "Controls",
        (
            Entry("Rate limits", "/controls/rate-limits", "gauge"),
            Entry("Budgets", "/controls/budgets", "budget"),
            Entry("Logging", "/controls/logging", "log"),
            Entry("Metadata rules", "/controls/metadata", "tag"),
            Entry("Settings", "/controls/settings", "sliders"),
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
