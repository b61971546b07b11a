"""A call that goes on from stored state stays with the account that has it."""

from __future__ import annotations

import dataclasses
import json
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.endpoints.catalogue import CHAT, RESPONSE
from gateway.endpoints.stored_state import state_made
from gateway.errors import AccountNotAllowed, InvalidBody, NoTargetAvailable, SecretMissingError
from gateway.model import Call, Caller, FallbackPolicy, Plan, Skipped, Tier
from gateway.routing.accounts import Accounts
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.direct import Routing
from gateway.routing.load_balancing import LoadBalancing, Rule
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route
from gateway.routing.sticking import Sticking, within_one_account
from gateway.routing.stored import StoredObjects
from gateway.store.shared_table import table_in_memory
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_call, make_facts, make_target

SEALED = "gAAAA-sealed"
ITEM = {"type": "reasoning", "id": "rs_1", "encrypted_content": SEALED}
TARGETS = (make_target("acct/small"), make_target("spare/small"), make_target("acct/big"))
NAMES = ("acct/small", "spare/small", "acct/big", "vm/chat")
APP = Caller("app", frozenset(NAMES))
OTHER = Caller("other", frozenset(NAMES))


def memory(target: str = "acct/small") -> StoredObjects:
    """Of `resp_1` and the like, made through a target for `APP`."""
    stored = StoredObjects(table_in_memory(buckets=4))
    made = make_target(target)
    for object_id in ("resp_1", "conv_1", "file-1"):
        stored.made(object_id, made, APP)
    for name in state_made(json.dumps({"output": [ITEM]}).encode(), is_kept=True):
        stored.made_part(name, made, APP)
    return stored


class Stage:
    """Targets, a virtual model of some of them, and what was made before."""

    def __init__(self, *names: str, stored: StoredObjects | None = None, **changes: Any) -> None:
        """*names* in their order, each of its priority; *changes* to the first of them."""
        found = [make_target(name) for name in names or ("spare/small", "acct/small", "acct/big")]
        found[0] = dataclasses.replace(found[0], **changes)
        self.health = FakeHealth()
        candidates = [Candidate(target, priority=place) for place, target in enumerate(found)]
        route = Route("vm/chat", candidates, Priority(Random(1)), self.health)
        self.routing = Routing(TARGETS, {"vm/chat": route})
        self.sticking = Sticking(stored or memory(), Accounts(TARGETS), self.routing)

    def plan(
        self, model: str = "vm/chat", *, caller: Caller = APP, call: Call | None = None, **members: Any
    ) -> Plan:
        """That of a call with these members."""
        call = call or make_call(RESPONSE, model=model, **members)
        facts = make_facts(caller, endpoint=call.endpoint, call=call)
        return self.sticking.stick(self.routing.plan(model, facts), facts, call)

    def names(self, **members: Any) -> list[str]:
        """Of the targets of a call of the virtual model with these members, in order."""
        return [target.name for target in self.plan(**members).targets]


GOING_ON = [
    pytest.param({"previous_response_id": "resp_1"}, id="response"),
    pytest.param({"conversation": {"id": "conv_1"}}, id="conversation"),
    pytest.param({"input": [{"type": "item_reference", "id": "rs_1"}]}, id="reference"),
    pytest.param({"input": [ITEM, {"role": "user", "content": "x"}]}, id="item"),
    pytest.param({"input": [{"encrypted_content": SEALED}]}, id="sealed"),
    pytest.param({"input": [{"content": [{"file_id": "file-1"}]}]}, id="file"),
]


@pytest.mark.parametrize("members", GOING_ON)
def test_goes_where_it_was_made(members: dict[str, Any]) -> None:
    """Of a virtual model the targets of that account are left, and the others told as skipped."""
    plan = Stage().plan(**members)
    assert [target.name for target in plan.targets] == ["acct/small", "acct/big"]
    assert plan.skipped == (Skipped("spare/small", "stored_elsewhere"),)
    assert plan.candidates == ("spare/small", "acct/small", "acct/big")
    assert Stage().names() == ["spare/small", "acct/small", "acct/big"]


@pytest.mark.parametrize("members", GOING_ON)
def test_nowhere_else(members: dict[str, Any]) -> None:
    """While its account cannot be asked the call fails: no other target is tried for it."""
    stage = Stage("spare/small", "acct/small")
    stage.health.reasons["acct/small"] = "circuit"
    stage.health.waits_s = {"acct/small": 7.0, "spare/small": 1.0}
    assert stage.names() == ["spare/small"]
    with pytest.raises(NoTargetAvailable) as caught:
        stage.plan(**members)
    assert caught.value.headers == (("retry-after", "7"),)
    assert "acct/small (circuit)" in caught.value.message


@pytest.mark.parametrize("members", GOING_ON)
def test_not_among_the_targets(members: dict[str, Any]) -> None:
    """No target has it: the error says at once where it is, and which field names it."""
    with pytest.raises(InvalidBody) as caught:
        Stage("spare/small", "extra/small").plan(**members)
    assert caught.value.param in members
    assert "acct" in caught.value.message


def test_one_that_is_no_fallback() -> None:
    """A target that is only ever tried first is found all the same."""
    stage = Stage("spare/small", "acct/small")
    kept = FallbackPolicy(is_candidate=False)
    candidates = [
        Candidate(make_target("spare/small"), priority=0),
        Candidate(make_target("acct/small", fallback=kept), priority=1),
    ]
    route = Route("vm/chat", candidates, Priority(Random(1)), stage.health)
    stage.routing = Routing(TARGETS, {"vm/chat": route})
    stage.sticking = Sticking(memory(), Accounts(TARGETS), stage.routing)
    assert stage.names() == ["spare/small"]
    assert stage.names(previous_response_id="resp_1") == ["acct/small"]


def test_account_without_its_credential() -> None:
    """The error is of that account, whatever the others lack."""
    stage = Stage("acct/small", "spare/small", missing_secret="no KEY")
    with pytest.raises(SecretMissingError) as caught:
        stage.plan(previous_response_id="resp_1")
    assert caught.value.detail == "no KEY"


@pytest.mark.parametrize(
    ("members", "is_within"),
    [
        ({"previous_response_id": "resp_2"}, True),
        ({"input": [{"encrypted_content": "of before"}]}, True),
        ({"input": [{"type": "item_reference", "id": "rs_2"}]}, True),
        ({"input": [{"content": [{"file_id": "file-2"}]}]}, True),
        ({"input": [{"role": "user", "id": "my-own", "content": "x"}]}, False),
        ({"previous_response_id": 7, "conversation": [1]}, False),
        ({}, False),
    ],
)
def test_somewhere_unknown(members: dict[str, Any], *, is_within: bool) -> None:
    """What is not known to be anywhere is in one account at most: the call does not go on to another."""
    names = Stage("acct/small", "spare/small", "acct/big").names(**members)
    assert names == (["acct/small", "acct/big"] if is_within else ["acct/small", "spare/small", "acct/big"])


def test_sealed_parts_where_they_are_left_out() -> None:
    """Targets without a Responses API get none of another provider's, so they can go on without."""
    items: dict[str, Any] = {"input": [ITEM | {"id": "x"}]}
    stage = Stage("spare/small", "extra/small", has_responses=False)
    with pytest.raises(InvalidBody):
        stage.plan(**items)
    assert Stage("spare/small", has_responses=False).names(**items) == ["spare/small"]


@pytest.mark.parametrize("members", GOING_ON)
def test_another_callers_state(members: dict[str, Any]) -> None:
    """What was said is its maker's and the account's; files and what is sealed are whoever's has them."""
    whole = Caller("whole", frozenset(NAMES), frozenset({"acct"}))
    assert Stage().plan(caller=whole, **members).targets[0].account == "acct"
    if members in (
        {"input": [{"encrypted_content": SEALED}]},
        {"input": [{"content": [{"file_id": "file-1"}]}]},
    ):
        assert Stage().plan(caller=OTHER, **members).targets[0].account == "acct"
    else:
        with pytest.raises(AccountNotAllowed):
            Stage().plan(caller=OTHER, **members)


def test_another_callers_state_beside_ones_own() -> None:
    """What is one's own opens no way to what is not."""
    stored = memory()
    stored.made("resp_own", make_target("acct/small"), OTHER)
    stage = Stage(stored=stored)
    assert stage.plan(caller=OTHER, previous_response_id="resp_own").targets
    with pytest.raises(AccountNotAllowed):
        stage.plan(caller=OTHER, previous_response_id="resp_own", input=[{"id": "rs_1"}])


def test_chats_with_files() -> None:
    """A file is where it was uploaded, whatever the dialect."""
    part = {"type": "file", "file": {"file_id": "file-1"}}
    call = make_call(CHAT, model="vm/chat", messages=[{"role": "user", "content": [part]}])
    assert Stage().plan(call=call).targets[0].name == "acct/small"


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1", "x": 1}},
    ],
)
def test_model_named_itself(members: dict[str, Any]) -> None:
    """It goes on with what its account has, and not with what another account or another caller has."""
    stage = Stage()
    for name in ("acct/small", "acct/big"):
        assert stage.plan(name, **members).skipped == ()
    with pytest.raises(InvalidBody) as caught:
        stage.plan("spare/small", **members)
    assert caught.value.param in members
    assert "acct" in caught.value.message
    for name in ("acct/small", "spare/small"):
        with pytest.raises(AccountNotAllowed):
            stage.plan(name, caller=OTHER, **members)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"previous_response_id": "resp_2"},
        {"previous_response_id": None},
        {"conversation": {}},
        {"input": [ITEM]},
    ],
)
def test_model_named_itself_is_not_looked_into(members: dict[str, Any]) -> None:
    """What is not known, and what its parts hold, is the provider's to judge."""
    assert Stage().plan("spare/small", **members).targets == (TARGETS[1],)


def test_account_that_is_gone() -> None:
    """Its objects are anywhere or nowhere, and still their maker's alone."""
    stage = Stage("acct/small", "spare/small", stored=memory("gone/x"))
    assert stage.plan("spare/small", previous_response_id="resp_1").targets
    assert stage.names(previous_response_id="resp_1") == ["acct/small"]
    with pytest.raises(AccountNotAllowed):
        stage.plan("spare/small", caller=OTHER, previous_response_id="resp_1")


def test_virtual_model_of_one_account() -> None:
    """It goes on with what that has, and says so where it has not; what is not known is for it to judge."""
    stage = Stage("acct/small", "acct/big")
    for response in ("resp_1", "resp_2"):
        assert stage.names(previous_response_id=response) == ["acct/small", "acct/big"]
    for members in ({"previous_response_id": "resp_1"}, {"input": [ITEM]}):
        call = make_call(RESPONSE, model="vm/chat", **members)
        with pytest.raises(InvalidBody):
            Stage("spare/small").plan(call=call)


def test_rule_that_leads_away_from_where_it_is() -> None:
    """Who names a model of the account that has it goes on there; only what is new goes by the rule."""
    stage = Stage()
    rule = Route(
        "away", [Candidate(make_target("spare/small"))], Priority(Random(1)), stage.health, is_rule=True
    )
    stage.routing = Routing(TARGETS, rules=LoadBalancing([Rule(rule, None, None, {})], {}))
    stage.sticking = Sticking(memory(), Accounts(TARGETS), stage.routing)

    def named(model: str, **members: Any) -> list[str]:
        return [target.name for target in stage.plan(model, **members).targets]

    assert named("acct/big") == ["spare/small"]
    for members in ({"previous_response_id": "resp_1"}, {"input": [ITEM]}):
        assert named("acct/big", **members) == ["acct/big"]
    with pytest.raises(InvalidBody):
        named("spare/small", previous_response_id="resp_1")
    with pytest.raises(AccountNotAllowed):
        named("acct/big", caller=OTHER, previous_response_id="resp_1")
    # What is one's own opens no way to what is not, here either.
    memory_of_both = memory()
    memory_of_both.made("resp_2", TARGETS[0], OTHER)
    stage.sticking = Sticking(memory_of_both, Accounts(TARGETS), stage.routing)
    with pytest.raises(AccountNotAllowed):
        named("acct/big", previous_response_id="resp_1", conversation="resp_2")


def hard_or_easy(*kinds: tuple[str, Tier], judge: Judge | None = None) -> Stage:
    """A virtual model by complexity, of targets that stand in for no other."""
    stage = Stage()
    alone = FallbackPolicy(is_candidate=False)
    candidates = [Candidate(make_target(name, fallback=alone), tier=tier) for name, tier in kinds]
    stage.routing = Routing(
        TARGETS, {"vm/chat": Route("vm/chat", candidates, Complexity(judge), stage.health)}
    )
    stage.sticking = Sticking(memory(), Accounts(TARGETS), stage.routing)
    return stage


def test_where_it_is_matters_more_than_how_hard_it_is() -> None:
    """A simple word in a hard conversation goes where that is."""
    stage = hard_or_easy(("spare/small", "simple"), ("acct/big", "complex"))
    assert stage.names(input="thanks") == ["spare/small"]
    assert stage.names(input="thanks", previous_response_id="resp_1") == ["acct/big"]


def test_nobody_is_asked_how_hard_it_is() -> None:
    """Where one target is left; where several are it is asked which of them."""
    stage = hard_or_easy(
        ("spare/small", "simple"),
        ("acct/small", "simple"),
        ("acct/big", "complex"),
        judge=Judge(make_target("judge/small")),
    )
    words = {"input": "x", "model": "vm/chat"}
    asked = stage.plan(call=make_call(RESPONSE, **words)).classification
    assert asked is not None
    assert {one.name for plan in asked.plans.values() for one in plan.targets} == {
        "spare/small",
        "acct/big",
    }
    asked = stage.plan(call=make_call(RESPONSE, **words, previous_response_id="resp_1")).classification
    assert asked is not None
    assert {one.account for plan in asked.plans.values() for one in plan.targets} == {"acct"}
    # Nobody there is for medium calls; it goes on there all the same.
    assert set(asked.plans) == {"simple", "medium", "complex"}
    call = make_call(RESPONSE, **words, previous_response_id="resp_2")
    assert stage.plan(call=call).classification is None


def test_within_one_account() -> None:
    """Nothing is asked beside a target that is alone; beside one of several it is."""
    plan = msgspec.structs.replace(Stage().plan(), hedge_after_s=0.5)
    assert within_one_account(plan).hedge_after_s is None
    own = msgspec.structs.replace(Stage("acct/small", "spare/small", "acct/big").plan(), hedge_after_s=0.5)
    assert within_one_account(own).hedge_after_s == 0.5
