"""What differs between two configurations, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config import Document
from gateway.config.changes import MAX_PATHS, changes_between, shown

SECRET = "sk-very-secret"


def document(body: dict[str, Any], kind: str = "virtual-account", name: str = "app") -> Document:
    return Document(kind, name, {"type": kind, "name": name, **body}, Path("m.yaml"), 1)


def test_created_changed_removed() -> None:
    """By type and name, whatever their order; what is the same is not named."""
    same, gone = document({}, name="same"), document({}, name="gone")
    was, now = document({"models": ["a"], "tags": {"x": "y"}}), document({"models": ["b"]})
    fresh = document({}, name="fresh")
    found = list(changes_between([same, was, gone], [fresh, now, same]))
    assert [(change.action, change.document.name, change.paths) for change in found] == [
        ("changed", "app", ["models.0", "tags"]),
        ("created", "fresh", []),
        ("removed", "gone", []),
    ]


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a"]),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 2}, 2]}, ["a.0.b"]),
        ({"a": None}, {}, ["a"]),
        ({"a": {}}, {"a": []}, ["a"]),
    ],
)
def test_paths(before: dict[str, Any], after: dict[str, Any], paths: list[str]) -> None:
    """As near to the change as lists let us say."""
    [change] = changes_between([document(before)], [document(after)])
    assert change.paths == paths


def test_many_paths() -> None:
    """Bounded."""
    [change] = changes_between([document({})], [document({f"k{n}": 1 for n in range(MAX_PATHS + 5)})])
    assert len(change.paths) == MAX_PATHS


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("virtual-account", {"tokens": [SECRET]}),
        ("virtual-account", {"tokens": ["sha256:" + SECRET]}),
        ("pat", {"user_fqn": "a@x.io", "tokens": [SECRET]}),
        ("pat", {"tokens": [SECRET]}),
        ("virtual-account", {"notification_target": {"type": "slack", "webhook_url": f"https://x/{SECRET}"}}),
        ("virtual-account", {"notification_target": {"api_key": SECRET}, "tags": {"a": "b"}}),
        ("virtual-account", {"secret_store_config": {"a": [SECRET]}}),
        (
            "provider-account/openai",
            {"auth_data": {"type": "api-key", "api_key": SECRET}, "base_url": f"https://u:{SECRET}@host/v1"},
        ),
        ("provider-account/openai", {"auth_data": SECRET, "integrations": 7}),
        (
            "gateway-otel-config",
            {
                "otel_traces_exporter_config": {
                    "type": "http",
                    "endpoint": f"https://host/v1?k={SECRET}",
                    "headers": {"x-team": SECRET},
                }
            },
        ),
        ("mcp-server/remote", {"auth_data": {"type": "header", "headers": {"x": SECRET}}}),
        ("provider-account/slack", {"integrations": [{"webhook": SECRET, "deep": {"password": [SECRET]}}]}),
        ("provider-account/webhook", {"client_secret": {"value": SECRET}}),
    ],
)
def test_no_secret_is_shown(kind: str, body: dict[str, Any]) -> None:
    """Wherever it stands, in manifests that are built, are wrong, or are not known."""
    found = shown(document(body, kind))
    assert SECRET not in str(found)
    assert "***" in str(found)
    assert found["type"] == kind


def test_references_and_the_rest_are_shown() -> None:
    """A reference says where to look; what is called like a secret and is none stays."""
    body = {
        "tokens": ["env:A", "file:x"],
        "models": ["main/*"],
        "token_type": "jwt",
        "tags": {"team": "ml"},
        "expiration_date": "2027-01-31",
    }
    assert shown(document(body)) == {"type": "virtual-account", "name": "app", **body}
    account = {"auth_data": {"type": "api-key", "api_key": "tfy-secret://a:b:c"}, "integrations": []}
    assert shown(document(account, "provider-account/openai"))["auth_data"] == account["auth_data"]


def test_what_is_shown_is_a_copy() -> None:
    """The configuration in force keeps its secrets."""
    one = document({"tokens": [SECRET]})
    shown(one)
    assert one.body["tokens"] == [SECRET]


def test_issued_tokens() -> None:
    """Which one was made, and until when it works; neither its hash nor what else was written there."""
    issued = {"id": "t1", "hash": f"sha256:{'a' * 64}", "created_at": "2026-11-26T10:00:00Z"}
    found = shown(document({"tokens": ["env:A", {**issued, "value": SECRET}]}))
    assert found["tokens"] == ["env:A", {**issued, "hash": "***", "value": "***"}]
