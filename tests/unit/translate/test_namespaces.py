"""Tools in a namespace, by the names that models know them by."""

from __future__ import annotations

import pytest

from gateway.translate.namespaces import full_name, names_of, tools_within


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("crm", "look", "crm__look"),
        ("mcp__crm__", "look", "mcp__crm__look"),
        ("my crm", "look.up", "my_crm__look_up"),
        ("", "look.up", "look.up"),
        (None, "look", "look"),
        (5, "look", "look"),
    ],
)
def test_name(namespace: object, name: str, expected: str) -> None:
    """What every target takes as a name; one without a namespace is the caller's own."""
    assert full_name(namespace, name) == expected


def test_two_that_would_be_one() -> None:
    """Where one ends and the other begins may be anywhere in names of servers and their tools."""
    pairs = [("a", "b__c__d"), ("a__b", "c__d"), ("a__b__c", "d"), ("mcp__a__", "b__c"), ("mcp__a__b__", "c")]
    tools = [{"type": "namespace", "name": group, "tools": [{"name": name}]} for group, name in pairs]
    assert list(names_of(tools).values()) == pairs
    assert full_name("a__b__c", "d") == "a__b__c__d"


def test_long_name() -> None:
    """It is cut, and still another for each tool."""
    names = {full_name("n" * 60, f"tool{number}") for number in range(3)}
    assert len(names) == 3
    assert {len(name) for name in names} == {64}


def test_names() -> None:
    """They lead back to the caller's two."""
    tools = [
        {"type": "function", "name": "look"},
        {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "look"}, {}, 5]},
        {"type": "namespace", "name": 5, "tools": [{"name": "x"}]},
        {"type": "namespace", "name": "none"},
        "x",
    ]
    assert names_of(tools) == {"crm__look": ("crm", "look")}
    assert [namespace for namespace, _ in tools_within(tools)] == ["", "crm", "crm"]
    assert names_of("tools") == {}
