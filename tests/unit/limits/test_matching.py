"""Which rules hold for a call, and in which order."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.matching import Rules
from gateway.limits.rules import Limit, Meter, Names, Order, Rule, RuleSet, Values, When
from gateway.limits.windows import ROLLING
from gateway.model import Caller

LIMIT = Limit("requests", ROLLING["minute"], 10)
APP = Caller("app", frozenset())
ANN = Caller("ann@x.io", frozenset(), kind="user", teams=("ml",))


def rule(
    name: str,
    *,
    models: tuple[str, ...] | None = None,
    not_models: tuple[str, ...] = (),
    subjects: tuple[str, ...] | None = None,
    metadata: Mapping[str, Values] | None = None,
    accounts: tuple[str, ...] | None = None,
    per: tuple[str, ...] = (),
) -> Rule:
    when = When(Names(subjects), "", Names(models, not_models), Names(accounts), metadata or {})
    return Rule(name, "t", when, (LIMIT,), per)


def rules(*each: Rule, order: Order = "all") -> Rules:
    names = ("vm/chat", "chat", "old/name")
    return Rules([RuleSet(order, each)], dict.fromkeys(names, names))


def shown(found: tuple[Meter, ...]) -> list[str]:
    """`name` of each, with `?` when it only counts."""
    return [meter.rule.id + ("" if meter.is_enforced else "?") for meter in found]


def test_nothing() -> None:
    """Without rules there is nothing to do, and it can be seen at once."""
    assert not Rules()
    assert not Rules([RuleSet("all", ())])
    assert rules(rule("a"))
    assert Rules().of_call(APP, "main/a", {}) == Rules().of_target(APP, "main/a", "main/a", {}) == ()


@pytest.mark.parametrize(
    ("asked", "target", "of_call", "of_target"),
    [
        pytest.param("main/a", "main/a", ["all", "main", "a"], [], id="named directly, counted once"),
        pytest.param("vm/chat", "main/a", ["all", "vm"], ["main", "a"], id="virtual"),
        pytest.param("chat", "main/a", ["all", "vm"], ["main", "a"], id="by its slug"),
        pytest.param("old/name", "lab/q", ["all", "vm"], [], id="by its alias"),
        pytest.param("lab/q", "lab/q", ["all"], [], id="another"),
    ],
)
def test_asked_and_resolved(asked: str, target: str, of_call: list[str], of_target: list[str]) -> None:
    """A rule on models means what is asked, by any of its names, or what answers; each counts once."""
    found = rules(
        rule("all"),
        rule("main", accounts=("main",)),
        rule("a", models=("main/a",)),
        rule("vm", models=("chat",)),
    )
    assert shown(found.of_call(APP, asked, {})) == of_call
    assert shown(found.of_target(APP, asked, target, {})) == of_target


def test_both_at_once() -> None:
    """What is asked and what answers may each fulfil a part."""
    found = rules(rule("r", models=("vm/chat",), accounts=("main",)))
    assert found.of_call(APP, "chat", {}) == ()
    assert shown(found.of_target(APP, "chat", "main/a", {})) == ["r"]
    assert found.of_target(APP, "chat", "lab/q", {}) == ()


def test_exclusions_wait_for_the_target() -> None:
    """A rule for all models but one cannot be got around by a virtual model, nor hit who is excluded."""
    found = rules(rule("r", not_models=("main/a",)))
    assert found.of_call(APP, "vm/chat", {}) == ()
    assert found.of_target(APP, "vm/chat", "main/a", {}) == ()
    assert shown(found.of_target(APP, "vm/chat", "lab/q", {})) == ["r"]
    assert found.of_target(APP, "main/a", "main/a", {}) == ()
    no_chat = rules(rule("r", not_models=("chat",)))
    assert no_chat.of_target(APP, "vm/chat", "lab/q", {}) == ()


@pytest.mark.parametrize(
    ("caller", "expected"),
    [(APP, ["app"]), (ANN, ["ann", "ml", "everyone"])],
    ids=["virtual account", "user"],
)
def test_subjects(caller: Caller, expected: list[str]) -> None:
    """Virtual accounts, users, teams, and all users together."""
    found = rules(
        rule("app", subjects=("virtualaccount:app",)),
        rule("ann", subjects=("user:*@x.io",)),
        rule("ml", subjects=("team:ml",)),
        rule("everyone", subjects=("team:everyone",)),
        rule("nobody", subjects=()),
    )
    assert shown(found.of_call(caller, "main/a", {})) == expected


def test_one_name_two_kinds() -> None:
    """A user is not the virtual account of that name, however often either was seen."""
    found = rules(rule("r", subjects=("user:app",)), rule("per", per=("virtualaccount",)))
    user = Caller("app", frozenset(), kind="user")
    for _ in range(2):
        assert shown(found.of_call(APP, "main/a", {})) == ["per"]
        assert shown(found.of_call(user, "main/a", {})) == ["r"]


@pytest.mark.parametrize(
    ("per", "caller", "entity"),
    [
        (("user",), ANN, ("ann@x.io",)),
        (("user",), APP, None),
        (("virtualaccount",), APP, ("app",)),
        (("virtualaccount",), ANN, None),
        (("user", "virtualaccount"), APP, ("", "app")),
        (("user", "model"), ANN, ("ann@x.io", "vm/chat")),
        (("metadata.app",), APP, ("bot",)),
        (("metadata.other", "model"), APP, ("", "vm/chat")),
        ((), APP, ()),
    ],
)
def test_whom_it_counts_for(per: tuple[str, ...], caller: Caller, entity: tuple[str, ...] | None) -> None:
    """A rule for each user is about users only; calls without the metadata count together."""
    found = rules(rule("r", per=per)).of_call(caller, "chat", {"app": "bot"})
    assert [meter.entity for meter in found] == ([] if entity is None else [entity])


def test_the_model_of_a_target() -> None:
    """What was found by the target counts for the target."""
    found = rules(rule("r", models=("main/*",), per=("model",)))
    assert found.of_target(APP, "vm/chat", "main/a", {})[0].entity == ("main/a",)


METADATA = {"env": Values(frozenset({"dev"}))}


@pytest.mark.parametrize(
    ("order", "metadata", "of_call", "of_target"),
    [
        ("all", {}, ["any", "chat"], ["a"]),
        ("all", {"env": "dev"}, ["dev", "any", "chat"], ["a"]),
        ("first", {}, ["any"], ["a"]),
        ("first", {"env": "dev"}, ["dev"], []),
        ("first_blocks", {}, ["any", "chat?"], ["a"]),
        ("first_blocks", {"env": "dev"}, ["dev", "any?", "chat?"], ["a?"]),
    ],
)
def test_order(order: Order, metadata: dict[str, str], of_call: list[str], of_target: list[str]) -> None:
    """All hold; or the first; or the first, while the others count. A target's come in only before it."""
    found = rules(
        rule("dev", metadata=METADATA),
        rule("a", models=("main/a",)),
        rule("any"),
        rule("chat", models=("vm/chat",)),
        order=order,
    )
    assert shown(found.of_call(APP, "chat", metadata)) == of_call
    assert shown(found.of_target(APP, "chat", "main/a", metadata)) == of_target


def test_the_first_of_a_targets_own() -> None:
    """Where nothing held for what was asked the first for the target decides."""
    each = [rule("a", models=("main/a",)), rule("main", models=("main/*",))]
    assert shown(rules(*each, order="first").of_target(APP, "chat", "main/a", {})) == ["a"]
    assert shown(rules(*each, order="first_blocks").of_target(APP, "chat", "main/a", {})) == ["a", "main?"]


def test_sets_are_apart() -> None:
    """The first of one set decides for that set alone."""
    found = Rules([RuleSet("first", (rule("a"), rule("b"))), RuleSet("all", (rule("c"), rule("d")))])
    assert shown(found.of_call(APP, "main/a", {})) == ["a", "c", "d"]


def test_what_is_known_is_not_worked_out_again() -> None:
    """The same call has the very same meters, so their keys are kept; only what rules look at matters."""
    found = rules(rule("r", per=("metadata.app",), metadata=METADATA))
    dev = {"env": "dev", "app": "bot"}
    assert found.of_call(APP, "chat", dev) is found.of_call(APP, "chat", {**dev, "a": "b"})
    assert found.of_call(APP, "chat", dev)[0].entity == ("bot",)
    assert found.of_call(APP, "chat", {"env": "dev"})[0].entity == ("",)
    assert found.of_call(APP, "chat", {"app": "bot"}) == ()
    assert found.of_target(APP, "chat", "main/a", {}) is found.of_target(APP, "chat", "main/a", {})


def test_users_without_end() -> None:
    """What is kept of callers is bounded, and throwing it away changes nothing."""
    found = rules(rule("r", per=("user",)))
    for number in range(8_193):
        user = Caller(f"u{number}", frozenset(), kind="user")
        assert [meter.entity for meter in found.of_call(user, "main/a", {})] == [(user.name,)]
    # What is kept shows nowhere else.
    assert len(found._of_call) <= 4_096
    assert len(found._kept) <= 4_096


def test_who_called_lately_is_still_known() -> None:
    """Too many callers let the oldest go, and not all at once."""
    found = rules(rule("r", per=("user",)))
    users = [Caller(f"u{number}", frozenset(), kind="user") for number in range(4_097)]
    had = [found.of_call(user, "main/a", {}) for user in users]
    assert found.of_call(users[2_000], "main/a", {}) is had[2_000]
    assert found.of_call(users[0], "main/a", {}) is not had[0]


def test_metadata_without_end() -> None:
    """The same of what callers write."""
    found = rules(rule("r", per=("metadata.app",)))
    for number in range(4_097):
        assert found.of_call(APP, "main/a", {"app": str(number)})[0].entity == (str(number),)
    assert len(found._kept) <= 4_096


@st.composite
def _rules_and_call(draw: st.DrawFn) -> tuple[list[Rule], str, str, dict[str, str]]:
    choice = random.Random(draw(st.integers(0, 10_000)))
    patterns = [None, ("main/*",), ("main/a",), ("vm/chat",), ("*",), ("lab/q", "chat")]
    each = [
        rule(
            str(number),
            models=choice.choice(patterns),
            metadata=choice.choice([None, METADATA]),
            subjects=choice.choice([None, ("virtualaccount:app",), ("team:ml",)]),
        )
        for number in range(choice.randint(1, 8))
    ]
    asked = choice.choice(["vm/chat", "main/a", "lab/q"])
    target = asked if asked != "vm/chat" else choice.choice(["main/a", "lab/q"])
    return each, asked, target, choice.choice([{}, {"env": "dev"}])


def _matching(each: list[Rule], names: set[str], metadata: dict[str, str]) -> list[Rule]:
    return [
        one
        for one in each
        if one.when.matches_caller(APP.subjects)
        and one.when.matches_models(names)
        and one.when.matches_metadata(metadata)
    ]


@given(_rules_and_call())
def test_by_the_definition(given_: tuple[list[Rule], str, str, dict[str, str]]) -> None:
    """Of every set of rules: together the stages find what a look at the whole call finds, and once."""
    each, asked, target, metadata = given_
    asked_names = {"vm/chat", "chat", "old/name"} if asked == "vm/chat" else {asked}
    every = _matching(each, asked_names | {target}, metadata)
    for order in ("all", "first", "first_blocks"):
        found = rules(*each, order=order)
        stages = [found.of_call(APP, asked, metadata), found.of_target(APP, asked, target, metadata)]
        ids = [meter.rule.id for stage in stages for meter in stage]
        assert len(set(ids)) == len(ids)
        enforced = {meter.rule.id for stage in stages for meter in stage if meter.is_enforced}
        if order == "first":
            assert set(ids) == enforced
        else:
            assert sorted(ids) == sorted(one.id for one in every)
        if order == "all":
            assert enforced == set(ids)
        elif every:
            # Whatever else: the first that the whole call matches may refuse it.
            assert every[0].id in enforced
            assert len(enforced) <= len(stages)
