"""A call that goes on from stored state stays with the account that has it.

Of a model that was named itself that is only checked, and only for what the call as a whole goes on from. Of
a name with targets of its own, those of other accounts are left out: one that has not got the state could
answer nothing but an error, or as if nothing had been said before.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import msgspec

from gateway.endpoints.stored_state import State, id_in, state_named
from gateway.errors import InvalidBody
from gateway.model import Call, CallFacts, Plan, Skipped
from gateway.routing.accounts import Accounts
from gateway.routing.direct import Routing
from gateway.routing.stored import StoredObjects

_FIELDS: Final = ("previous_response_id", "conversation")
_RESPONSES: Final = "responses"
_ELSEWHERE: Final = "stored_elsewhere"


class Sticking:
    """Finds where the state of calls is."""

    def __init__(self, stored: StoredObjects, accounts: Accounts, routing: Routing) -> None:
        """Prepare.

        Args:
            stored: What was made through this host.
            accounts: Those that it was made through.
            routing: Plans a call again for the account that has what it goes on from.
        """
        self._stored = stored
        self._accounts = accounts
        self._routing = routing

    def stick(self, plan: Plan, facts: CallFacts, call: Call) -> Plan:
        """*plan*, or another for the one account that has what *call* goes on from.

        Also where *plan* has no targets, since none is for calls of this tier, or none is well.

        Raises:
            AccountNotAllowed: It goes on from what another caller made.
            InvalidBody: No target has it, nor has the account whose model is named.
            NoTargetAvailable, SecretMissingError, UnsupportedParameter: Those that have it cannot be asked.
        """
        if plan.route is not None:
            return self._stuck(plan, facts, call)
        if call.endpoint.name == _RESPONSES:
            self._check(plan, facts, call)
        return plan

    def _check(self, plan: Plan, facts: CallFacts, call: Call) -> None:
        """Check that what *call* as a whole goes on from is not known to be of another account."""
        for field in _FIELDS:
            if field not in call.fields:
                continue
            state = State(id_in(call.fields[field]), field)
            account = self._home(state, facts)
            if account and account != plan.targets[0].account:
                raise _elsewhere(account, state, call)

    def _stuck(self, plan: Plan, facts: CallFacts, call: Call) -> Plan:
        states = state_named(call)
        first = next(states, None)
        if first is None:
            return plan
        accounts = {name.partition("/")[0] for name in plan.candidates}
        home, is_somewhere = "", False
        for state in chain((first,), states):
            if home and state.is_shared:
                break
            # Also when it is known where the call goes: who made the rest has to be looked at.
            account = self._home(state, facts)
            if not account:
                is_somewhere = is_somewhere or state.is_certain
            elif account in accounts:
                home = home or account
            elif not state.is_sealed or any(target.has_responses for target in plan.targets):
                # A rule may lead elsewhere now, and what its caller names be where this was made.
                if (home and home != account) or not self._is_of(account, call.model):
                    raise _elsewhere(account, state, call)
                home = account
            # Targets without a Responses API get no sealed parts that are not their own.
        if home and home not in accounts:
            return self._routing.plan_itself(call.model, facts.caller)
        if home:
            return self._routing.plan(call.model, msgspec.structs.replace(facts, account=home))
        return within_one_account(plan) if is_somewhere and plan.targets else plan

    def _is_of(self, account: str, model: str) -> bool:
        """Whether *model* is one of *account*, and no name with targets of its own."""
        return self._accounts.account_of(model) == account and self._routing.find_route(model) is None

    def _home(self, state: State, facts: CallFacts) -> str:
        """The account that has it, "" where that is not known, or not configured any more."""
        origin = self._stored.find((state.name,))
        if origin is None:
            return ""
        account = self._accounts.made_through(origin)[0]
        if not state.is_shared:
            origin.check_maker(facts.caller, account)
        return account


def within_one_account(plan: Plan) -> Plan:
    """*plan* without the targets of other accounts than that of the first.

    For a call that goes on from something that is in one account, nobody knows in which. If it is in that of
    the first, it is not in the others.
    """
    account = plan.targets[0].account
    others = [target for target in plan.targets if target.account != account]
    if not others and plan.classification is None:
        return plan
    targets = tuple(target for target in plan.targets if target.account == account)
    return msgspec.structs.replace(
        plan,
        targets=targets,
        skipped=(*plan.skipped, *(Skipped(target.name, _ELSEWHERE) for target in others)),
        hedge_after_s=plan.hedge_after_s if len(targets) > 1 else None,
        # That could lead to another account.
        classification=None,
    )


def _elsewhere(account: str, state: State, call: Call) -> InvalidBody:
    what = "has something that" if state.is_sealed else "names what"
    message = (
        f'"{state.field}" {what} was made through the account {account}, which {call.model} is not of. '
        f"Name a model of {account}."
    )
    return InvalidBody(message, param=state.field)
