"""A call that goes on from stored state stays with the account that has it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints.catalogue import RESPONSE
from gateway.errors import AccountNotAllowed, InvalidBody
from gateway.model import Caller, Classification, Plan, Skipped
from gateway.routing.accounts import Accounts
from gateway.routing.sticking import stick
from gateway.routing.stored import StoredObjects
from gateway.store.shared_table import table_in_memory
from tests.unit.makers import make_call, make_caller, make_target

TARGETS = (make_target("acct/small"), make_target("spare/small"), make_target("acct/big"))
ACCOUNTS = Accounts(TARGETS)
APP = make_caller("acct/small", name="app")
OTHER = make_caller("acct/small", name="other")


def planned(*names: str, caller: Caller = APP, gone: bool = False, **members: Any) -> Plan:
    """The plan of a call with these members, after `resp_1` and `conv_1` were made through acct."""
    stored = StoredObjects(table_in_memory(buckets=4))
    for object_id in ("resp_1", "conv_1"):
        stored.made(object_id, make_target("gone/x" if gone else "acct/small"), APP)
    plan = Plan(tuple(target for target in TARGETS if target.name in names), names)
    return stick(plan, make_call(RESPONSE, **members), caller, stored, ACCOUNTS)


@pytest.mark.parametrize(
    "members",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1", "x": 1}},
    ],
)
def test_state_of_one_account(members: dict[str, Any]) -> None:
    """The targets of its account stay, the others are skipped, and with none left the call cannot go on."""
    plan = planned("acct/small", "spare/small", "acct/big", **members)
    assert [target.name for target in plan.targets] == ["acct/small", "acct/big"]
    assert plan.skipped == (Skipped("spare/small", "stored_elsewhere"),)
    assert planned("acct/big", **members).skipped == ()
    with pytest.raises(InvalidBody) as caught:
        planned("spare/small", **members)
    assert caught.value.param in members
    assert "acct" in caught.value.message


def test_nobody_is_asked_how_hard_it_is() -> None:
    """Where the call goes is settled, whatever a model would say."""
    stored = StoredObjects(table_in_memory(buckets=4))
    stored.made("resp_1", make_target("acct/small"), APP)
    then = Plan((TARGETS[1],), ("spare/small",))
    asked = Classification(make_target("acct/judge"), 1.0, "?", {"simple": then})
    plan = Plan(TARGETS, tuple(target.name for target in TARGETS), classification=asked)
    stuck = stick(plan, make_call(RESPONSE, previous_response_id="resp_1"), APP, stored, ACCOUNTS)
    assert stuck.classification is None
    assert stick(plan, make_call(RESPONSE), APP, stored, ACCOUNTS) is plan


@pytest.mark.parametrize("members", [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}])
def test_another_callers_state(members: dict[str, Any]) -> None:
    """It is nobody else's, whatever model is asked, but for who may use the whole account."""
    for name in ("acct/small", "spare/small"):
        with pytest.raises(AccountNotAllowed):
            planned(name, caller=OTHER, **members)
    whole = Caller("whole", frozenset(), frozenset({"acct"}))
    assert planned("acct/small", caller=whole, **members).targets


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"previous_response_id": "resp_2"},
        {"previous_response_id": None},
        {"previous_response_id": 7},
        {"conversation": {}},
        {"conversation": [1]},
    ],
)
def test_what_is_not_known(members: dict[str, Any]) -> None:
    """It goes where it would have gone; a wrong value is the provider's to refuse."""
    assert len(planned("spare/small", **members).targets) == 1


def test_account_that_is_gone() -> None:
    """Its objects are anywhere or nowhere, and still their maker's alone."""
    assert planned("spare/small", gone=True, previous_response_id="resp_1").targets
    with pytest.raises(AccountNotAllowed):
        planned("spare/small", caller=OTHER, gone=True, previous_response_id="resp_1")
