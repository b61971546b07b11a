"""What a rule is about, which limits it has for whom, and where they are counted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.rules import Limit, Meter, Mode, Names, Override, Rule, Values, When, meters
from gateway.limits.windows import CALENDAR, PARALLEL_WINDOW, ROLLING
from gateway.model import PARALLEL, TABLE_KEY_BYTES

MINUTE = Limit("requests", ROLLING["minute"], 10)
MONTH = Limit("cost", CALENDAR["month"], 400)
DAY = Limit("cost", CALENDAR["day"], 20)
EVER = Limit("cost", CALENDAR["lifetime"], 1000)


def rule(
    *limits: Limit, name: str = "r", per: tuple[str, ...] = (), mode: Mode = "enforce", **other: object
) -> Rule:
    return Rule(name, "some-config", When(), limits, per, mode, **other)  # type: ignore[arg-type]  # as written


def meter(limit: Limit, entity: tuple[str, ...] = (), **other: object) -> Meter:
    return Meter(rule(limit, **other), limit, entity, is_enforced=True)  # type: ignore[arg-type]  # as written


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("names", "of_call", "expected"),
    [
        (Names(), ["a"], True),
        (Names(), [], True),
        (Names(("main/*",)), ["main/a"], True),
        (Names(("main/*",)), ["other/a"], False),
        (Names(("main/*",)), ["vm/chat", "main/a"], True),
        (Names(("main/*",)), ["MAIN/a"], False),
        (Names((), ()), ["a"], False),
        (Names(None, ("main/a",)), ["main/a"], False),
        (Names(None, ("main/a",)), ["vm/chat", "main/a"], False),
        (Names(("*",), ("main/a",)), ["main/b"], True),
    ],
)
def test_names(names: Names, of_call: list[str], *, expected: bool) -> None:
    """One of a call's names is wanted, and none is unwanted."""
    assert names.passes(of_call) is expected


@pytest.mark.parametrize(
    ("values", "value", "expected"),
    [
        (Values(), None, True),
        (Values(frozenset({"a"})), "a", True),
        (Values(frozenset({"a"})), None, False),
        (Values(frozenset({"*"})), "a", False),
        (Values(None, frozenset({"a"})), "a", False),
        (Values(None, frozenset({"a"})), None, True),
    ],
)
def test_values(values: Values, value: str | None, *, expected: bool) -> None:
    """Values are compared as they are; a call without the key is in no list."""
    assert values.passes(value) is expected


def test_callers() -> None:
    """Subjects, and a team beside them."""
    when = When(Names(("user:*",), ("user:b",)), team="ml")
    assert when.matches_caller(frozenset({"user:a", "team:ml"}))
    assert not when.matches_caller(frozenset({"user:b", "team:ml"}))
    assert not when.matches_caller(frozenset({"user:a", "team:other"}))
    assert not when.matches_caller(frozenset({"virtualaccount:a", "team:ml"}))


def test_models_and_their_accounts() -> None:
    """Both must match, each by any name of the call."""
    when = When(models=Names(("vm/chat",)), accounts=Names(("main",)))
    assert when.matches_models(["vm/chat", "main/a"])
    assert not when.matches_models(["vm/chat"])
    assert not when.matches_models(["main/a"])
    assert not when.excludes_models
    assert When(models=Names(None, ("main/a",))).excludes_models
    assert When(accounts=Names(None, ("main",))).excludes_models


def test_metadata() -> None:
    """Every key must match."""
    when = When(metadata={"env": Values(frozenset({"dev"})), "app": Values(None, frozenset({"bot"}))})
    assert when.matches_metadata({"env": "dev"})
    assert not when.matches_metadata({"env": "dev", "app": "bot"})
    assert not when.matches_metadata({})


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (MINUTE, "requests_per_minute"),
        (MONTH, "cost_per_month"),
        (EVER, "cost_per_lifetime"),
        (Limit("parallel", PARALLEL_WINDOW, 3), "parallel_requests"),
    ],
)
def test_names_of_limits(limit: Limit, name: str) -> None:
    """Limits are called as manifests call them."""
    assert limit.name == name


def test_overrides() -> None:
    """They stand in place of all limits of the rule; who is not named has the rule's own."""
    raised = Limit("cost", CALENDAR["month"], 900)
    one = rule(DAY, MONTH, per=("user",), overrides=(Override(frozenset({"a"}), (raised,)),))
    assert one.limits_of(("a",)) == (raised,)
    assert one.limits_of(("b",)) == (DAY, MONTH)
    assert rule(DAY).limits_of(()) == (DAY,)


def test_what_needs_metadata() -> None:
    """Conditions on it, and counting by it."""
    assert rule(MINUTE, per=("user", "metadata.a.b")).metadata_keys == ("a.b",)
    assert Rule("r", "t", When(metadata={"a": Values()}), (MINUTE,)).metadata_keys == ("a",)
    assert rule(MINUTE, per=("user", "model")).metadata_keys == ()


def test_a_rolling_charge() -> None:
    """Its counter is always the same one."""
    one = meter(MINUTE)
    first, later = one.charge(1, 100.0), one.charge(2, 1e9)
    assert first.key == later.key
    assert len(first.key) == TABLE_KEY_BYTES
    assert (later.amount, later.limit, later.window_s, later.expires_s) == (2, 10, 60, 0)
    assert later.is_enforced
    assert meter(Limit("parallel", PARALLEL_WINDOW, 3)).charge(1, 0.0).window_s == PARALLEL


def test_a_calendar_charge() -> None:
    """A new month has a new counter, also when the clock goes back; others of the same month the same one."""
    one = meter(MONTH)
    november, end = one.charge(5, at("2026-11-26")), one.charge(5, at("2026-11-30T23:59:59"))
    december, back = one.charge(5, at("2026-12-01")), one.charge(5, at("2026-11-30T23:59:59"))
    assert november.key == end.key == back.key == meter(MONTH).charge(1, at("2026-11-01")).key
    assert december.key != november.key
    assert (november.window_s, november.expires_s) == (0, at("2026-12-01"))
    assert december.expires_s == at("2027-01-01")


def test_a_charge_for_ever() -> None:
    """It never expires, and is the same one after years."""
    one = meter(EVER)
    assert one.charge(1, at("2026-11-26")) == one.charge(1, at("2036-11-26"))
    assert one.charge(1, 0.0).expires_s == 0


def test_audit_never_refuses() -> None:
    """What only watches is charged so, as is what another rule decides on."""
    assert not meter(MINUTE, mode="audit").charge(1, 0.0).is_enforced
    one = rule(MINUTE)
    assert not Meter(one, MINUTE, (), is_enforced=False).charge(1, 0.0).is_enforced


def test_the_amount_is_no_part_of_the_key() -> None:
    """A limit that is raised goes on from what was counted."""
    raised = Limit("requests", ROLLING["minute"], 99)
    assert meter(MINUTE).charge(1, 0.0).key == meter(raised).charge(1, 0.0).key


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, max_size=2, unique=True))
def test_no_two_entities_share_a_counter(entities: list[tuple[str, str]]) -> None:
    """Whatever is in their names: who calls may choose metadata."""
    one, other = (meter(MINUTE, entity, per=("metadata.a", "metadata.b")) for entity in entities)
    assert one.charge(1, 0.0).key != other.charge(1, 0.0).key


def test_no_two_rules_share_a_counter() -> None:
    """Nor two limits of one, nor rules of two types with one id."""
    limits = (MINUTE, Limit("tokens", ROLLING["minute"], 5), DAY, MONTH)
    rules = [
        rule(*limits),
        rule(*limits, name="s"),
        rule(*limits, per=("user",)),
        Rule("r", "other", When(), limits),
    ]
    keys = [
        one.charge(1, 0.0).key
        for each in rules
        for one in meters(each, ("a",) * len(each.per), is_enforced=True)
    ]
    assert len(set(keys)) == len(keys) == len(rules) * len(limits)


def test_shown_without_secrets() -> None:
    """A meter says what it counts."""
    assert repr(meter(MINUTE, ("a",), per=("user",))) == "Meter('r', requests_per_minute, a)"


def test_thresholds() -> None:
    """Each is reached once in a window, by whatever goes over it, however what is counted falls and rises."""
    watched = meter(Limit("tokens", CALENDAR["day"], 1000), thresholds=(50.0, 75.0, 100.0))
    steps = [(0, 499), (499, 500), (480, 510), (510, 749), (740, 1000), (990, 2000), (0, 2000)]
    told = [watched.reached(b"monday", before, after) for before, after in steps]
    assert told == [(), (50.0,), (), (), (75.0, 100.0), (), ()]
    assert watched.reached(b"tuesday", 500, 760) == (75.0,), "somebody else has reached 50"
    assert watched.reached(b"tuesday", 0, 600) == ()


def test_thresholds_of_nothing() -> None:
    """A limit of 0 that is unused has reached none, nor has one without thresholds."""
    empty = meter(Limit("cost", CALENDAR["day"], 0), thresholds=(0.0, 100.0))
    assert (empty.reached(b"k", 0, 0), empty.reached(b"k", 0, 1)) == ((), (0.0, 100.0))
    assert meter(MINUTE).reached(b"k", 0, 99) == ()
