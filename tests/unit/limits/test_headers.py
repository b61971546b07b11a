"""What a caller is told of its limits with every answer."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.headers import format_duration, limit_headers
from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking
from gateway.model import LimitNote, Plan
from gateway.store.counter_table import counters_in_memory
from tests.unit.limits.limits import NOW_S, FixedNeed, admit, limit_of, policy_of
from tests.unit.makers import make_caller, make_target


def note(**changes: Any) -> LimitNote:
    fields: dict[str, Any] = {
        "rule": "r",
        "kind": "requests",
        "is_budget": False,
        "outcome": "allowed",
        "target": "",
        "limit": 10,
        "used": 3,
        "reset_s": 60.0,
    }
    return LimitNote(**fields | changes)


def shown(*notes: LimitNote) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in limit_headers(notes)}


def test_of_each_kind() -> None:
    """Requests and tokens, each of the limit with the least left."""
    tokens = note(kind="tokens", limit=1000, used=1200, reset_s=0.02)
    assert shown(note(), note(limit=100, used=99, reset_s=2.0), tokens) == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "20ms",
    }


def test_what_refuses_is_told() -> None:
    """Of a refusal the limit that refuses, whatever else has less left."""
    full = note(limit=5, used=5, outcome="allowed")
    assert shown(full, note(outcome="refused", kind="requests"))["x-ratelimit-limit-requests"] == "10"


@pytest.mark.parametrize(
    "changes",
    [{"is_budget": True}, {"is_enforced": False}, {"kind": "parallel"}, {"kind": "cost"}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_not_told(changes: dict[str, Any]) -> None:
    """Budgets, limits that only watch, and what is neither requests nor tokens."""
    assert shown(note(**changes)) == {}


def test_what_is_in_the_way_as_well() -> None:
    """Of a refusal also another limit that has no room for the call."""
    tokens = note(kind="tokens", limit=1000, used=995, outcome="exceeded")
    assert shown(note(outcome="refused"), tokens)["x-ratelimit-remaining-tokens"] == "5"


async def test_what_only_watches_is_never_told() -> None:
    """Also while it has room, and of all limits the least: callers would slow down for it."""
    limiter = Limiter(counters_in_memory(places=64, now_s=lambda: NOW_S), now_s=lambda: NOW_S)
    watched = [limit_of(kind, 3, id=f"watched-{kind}", mode="audit") for kind in ("requests", "tokens")]
    policy = policy_of(*watched, limit_of("requests", 100))
    asking = Asking(make_caller("one/m"), TARGET.name, {}, FixedNeed(1))
    permit = await admit(limiter, policy, asking, Plan((TARGET,), (TARGET.name,)))
    assert {name.decode(): value.decode() for name, value in permit.headers()} == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "1m5s",
    }


def test_without_end() -> None:
    """What never resets has no time for it."""
    assert "x-ratelimit-reset-requests" not in shown(note(reset_s=inf))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1.0, "0ms"),
        (0.0201, "21ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (59.9995, "1m0s"),
        (60.0, "1m0s"),
        (119.5, "2m0s"),
        (361.0, "6m1s"),
        (3600.0, "1h0m0s"),
        (86_399.2, "24h0m0s"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """Written as OpenAI does, rounded up: who waits that long waits long enough."""
    assert format_duration(seconds).decode() == text


WATCHED = limit_of("requests", 3, id="watched", mode="audit")
POLICY = policy_of(
    limit_of("requests", 5, window="hour"),
    limit_of("requests", 4, id="minute"),
    WATCHED,
    limit_of("tokens", 99),
)
TARGET = make_target("one/m")


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.3, 1.0, 4.9, 61.0, 3700.0]), st.integers(1, 40)), max_size=30)
)
async def test_one_after_another(calls: list[tuple[float, int]]) -> None:
    """A call that was admitted at once is told what its limits said one by one, whatever was told before."""
    now_s = [NOW_S]
    limiter = Limiter(counters_in_memory(places=64, now_s=lambda: now_s[0]), now_s=lambda: now_s[0])
    for passed_s, tokens in calls:
        now_s[0] += passed_s
        asking = Asking(make_caller("one/m"), TARGET.name, {}, FixedNeed(tokens))
        permit = await admit(limiter, POLICY, asking, Plan((TARGET,), (TARGET.name,)))
        assert dict(permit.headers()) == dict(limit_headers(permit.notes))
