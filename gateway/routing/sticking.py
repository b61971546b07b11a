"""A call that goes on from stored state stays with the account that has it."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.errors import InvalidBody
from gateway.model import Call, Caller, Plan, Skipped
from gateway.routing.accounts import Accounts
from gateway.routing.stored import StoredObjects

_FIELDS: Final = ("previous_response_id", "conversation")
_ELSEWHERE: Final = "stored_elsewhere"


class _Named(msgspec.Struct):
    """An object that is named by its id."""

    id: str = ""


_decoder: Final = msgspec.json.Decoder(str | _Named | None)


def stick(plan: Plan, call: Call, caller: Caller, stored: StoredObjects, accounts: Accounts) -> Plan:
    """*plan* with the targets alone that have what *call* goes on from, as far as that is known.

    Raises:
        AccountNotAllowed: It goes on from what another caller made.
        InvalidBody: No target has it.
    """
    for field in _FIELDS:
        if field not in call.fields:
            continue
        origin = stored.find((_id_in(call.fields[field]),))
        if origin is None:
            continue
        account = accounts.made_through(origin)[0]
        origin.check_maker(caller, account)
        if not account:
            continue
        others = [target for target in plan.targets if target.account != account]
        if len(others) == len(plan.targets):
            message = (
                f'"{field}" was made through the account {account}, which {call.model} is not of. Name a '
                f"model of {account}."
            )
            raise InvalidBody(message, param=field)
        if others:
            plan = msgspec.structs.replace(
                plan,
                targets=tuple(target for target in plan.targets if target.account == account),
                skipped=(*plan.skipped, *(Skipped(target.name, _ELSEWHERE) for target in others)),
                classification=None,
            )
    return plan


def _id_in(raw: msgspec.Raw) -> str:
    try:
        named = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        # What it is instead is the provider's to judge.
        return ""
    return named.id if isinstance(named, _Named) else named or ""
