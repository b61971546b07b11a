"""Whom rules count for, as far as they are known."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.limits.entities import Known, entities_of, meters_of
from gateway.limits.rules import Limit, Names, Override, Rule, Values, When
from gateway.limits.windows import ROLLING
from gateway.model import Caller
from tests.unit.limits.limits import limit_of

KNOWN = Known(
    callers=[
        Caller("app", frozenset()),
        Caller("job", frozenset()),
        Caller("a@x.io", frozenset(), kind="user", teams=("ml",)),
        Caller("b@x.io", frozenset(), kind="user"),
    ],
    models=[("fake/a",), ("fake/b",), ("vm/chat", "chat")],
    metadata={"topic": ["maps", "news"]},
)


def found(per: tuple[str, ...], when: When | None = None, **more: Any) -> list[tuple[str, ...]]:
    rule = Rule("r", "t", when or When(), limit_of("requests", 1).limits, per, **more)
    return list(entities_of(rule, KNOWN))


@pytest.mark.parametrize(
    ("per", "when", "expected"),
    [
        ((), When(), [()]),
        (("virtualaccount",), When(), [("app",), ("job",)]),
        (("user",), When(), [("a@x.io",), ("b@x.io",)]),
        (("user",), When(team="ml"), [("a@x.io",)]),
        (("virtualaccount",), When(subjects=Names(("virtualaccount:j*",))), [("job",)]),
        (("model",), When(), [("fake/a",), ("fake/b",), ("vm/chat",)]),
        (("model",), When(models=Names(("chat", "fake/b"))), [("fake/b",), ("vm/chat",)]),
        (("model",), When(accounts=Names(never=("vm",))), [("fake/a",), ("fake/b",)]),
        (("metadata.topic",), When(), [("",), ("maps",), ("news",)]),
        (("metadata.topic",), When(metadata={"topic": Values(frozenset({"new"}))}), [("new",)]),
        (
            ("metadata.topic",),
            When(metadata={"topic": Values(never=frozenset({"maps"}))}),
            [("",), ("news",)],
        ),
        (("metadata.other",), When(), [("",)]),
    ],
)
def test_who_is_counted_apart(per: tuple[str, ...], when: When, expected: list[tuple[str, ...]]) -> None:
    """Those whom the rule is about, and no other."""
    assert found(per, when) == expected


def test_two_things_apart() -> None:
    """Each with each, in the order of the rule; a caller is a user or a virtual account."""
    assert found(("metadata.topic", "user"), When(team="ml")) == [
        ("", "a@x.io"),
        ("maps", "a@x.io"),
        ("news", "a@x.io"),
    ]
    callers = found(("user", "virtualaccount"))
    assert callers == [("", "app"), ("", "job"), ("a@x.io", ""), ("b@x.io", "")]


def test_values_that_overrides_name() -> None:
    """They are known, whether anybody has called with them or not."""
    override = Override(frozenset({"beta"}), (Limit("requests", ROLLING["minute"], 9),))
    assert found(("metadata.other",), overrides=(override,)) == [("",), ("beta",)]
    rule = Rule("r", "t", When(), limit_of("requests", 1).limits, ("metadata.other",), overrides=(override,))
    assert [(meter.entity, meter.limit.amount) for meter in meters_of([rule], KNOWN)] == [
        (("",), 1),
        (("beta",), 9),
    ]
