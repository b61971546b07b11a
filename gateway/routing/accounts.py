"""Provider accounts as wholes: for calls that are for an account, whatever model they are about.

Who may do that is asked more strictly than for a model: a file, a batch or a path of the provider's own can
reach every model of the account and what others stored there, so the right to single models is not enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Final

from gateway.errors import (
    AccountNotAllowed,
    AccountNotFound,
    AccountRequired,
    ModelNotAllowed,
    SecretMissingError,
)
from gateway.model import Caller, Dialect, Plan, Price, Target
from gateway.pricing.target_prices import without_day
from gateway.routing.stored import Origin, fingerprint

_SHOWN: Final = 10
_SHOWN_CHARACTERS: Final = 100
_WHOSE: Final[dict[Dialect, str]] = {
    "openai": "OpenAI's",
    "anthropic": "Anthropic's",
    "gemini": "Google's",
    "converse": "Bedrock's",
    "cohere": "Cohere's",
    "nomic": "Nomic's",
}
HOW_TO_NAME: Final = "Name one with the header x-tfy-provider-name, or with ?tfyProviderName= in the query."


class Accounts:
    """Every account, and where it is."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._by_name = {target.name: target for target in targets}
        self._doors: dict[str, list[Target]] = {}
        for target in self._by_name.values():
            doors = self._doors.setdefault(target.account, [])
            if all(_way_in(door) != _way_in(target) for door in doors):
                doors.append(target)
        self._by_id: dict[str, list[Target]] = {}
        self._speaking: dict[tuple[str, Dialect], Target] = {}
        self._prices: dict[tuple[str, str], Price | None] = {}
        for target in self._by_name.values():
            self._by_id.setdefault(target.model_id, []).append(target)
            self._speaking.setdefault((target.account, target.dialect), target)
            key = target.account, target.model_id
            self._prices[key] = self._prices.get(key) or target.price
        self._by_print = {fingerprint(name): name for name in (*self._by_name, *self._doors)}

    def __contains__(self, account: str) -> bool:
        """Whether there is such an account."""
        return account in self._doors

    def account_of(self, model: str) -> str:
        """The account of a model's name, "" when there is no such model."""
        target = self._by_name.get(model)
        return "" if target is None else target.account

    def model_id(self, model: str) -> str:
        """What the provider calls a model of that name, "" when there is none."""
        target = self._by_name.get(model)
        return "" if target is None else target.model_id

    def price_of(self, account: str, told: str) -> Price | None:
        """The price of the model of *account* that a reply tells, by its id or one of a day."""
        if (account, told) in self._prices:
            return self._prices[account, told]
        # `gpt-4o-2024-08-06` is `gpt-4o`, and `gpt-4o-mini` is not.
        return self._prices.get((account, without_day(told)))

    def find_model(self, account: str, words: Iterable[str], caller: Caller) -> str:
        """The model of *account* that the first of *words* names, or is the provider's id of; "" for none.

        Of several with one id the first is taken that *caller* may use.
        """
        words = tuple(words)
        for word in words:
            if f"{account}/{word}" in self._by_name:
                return f"{account}/{word}"
        for word in words:
            found = [target.name for target in self._by_id.get(word, ()) if target.account == account]
            if found:
                return next((name for name in found if name in caller.models), found[0])
        return ""

    def check_named(self, account: str, model_id: str, field: str, caller: Caller) -> None:
        """Check that *caller* may use the model that the provider of *account* knows by *model_id*.

        Raises:
            ModelNotAllowed: Neither that, nor the account as a whole.
        """
        if account in caller.accounts:
            return
        if any(
            target.account == account and target.name in caller.models
            for target in self._by_id.get(model_id, ())
        ):
            return
        message = (
            f'{caller.name} may not use {model_id[:_SHOWN_CHARACTERS]} of {account}, which "{field}" names. '
            "Leave it out, or ask the gateway's operator for the right to it."
        )
        raise ModelNotAllowed(message, param=field)

    def door(self, account: str, dialect: Dialect) -> Target | None:
        """A server of *account*, one that speaks *dialect* if it has one; None when there is no such account.

        For what its servers share, and for what any of them can be asked.
        """
        doors = self._doors.get(account)
        return self._speaking.get((account, dialect)) or (doors[0] if doors else None)

    def with_id(self, model_id: str, dialect: Dialect) -> list[Target]:
        """Every model that its provider knows by *model_id*, of the accounts that speak *dialect*."""
        return [target for target in self._by_id.get(model_id, ()) if target.dialect == dialect]

    def made_through(self, origin: Origin) -> tuple[str, str]:
        """Account and model that an object was made through, "" for what is not configured any more."""
        account = self._by_print.get(origin.account, "")
        return account, self._by_print.get(origin.model, "") if account else ""

    def only_account(self, caller: Caller, dialect: Dialect | None, *, by_model: bool) -> str:
        """The one account that *caller* may use; one without its credential counts only if there is no other.

        Args:
            caller: Who calls.
            dialect: What it must speak, None for whatever it does.
            by_model: The right to one of its models counts too.

        Raises:
            AccountRequired: There are several.
            AccountNotAllowed: There is none.
        """
        mine = sorted(
            name
            for name, doors in self._doors.items()
            if _has_paths(doors[0], dialect) and self._may_use(caller, name, by_model=by_model)
        )
        mine = [name for name in mine if self._is_available(name)] or mine
        if len(mine) == 1:
            return mine[0]
        if not mine:
            spoken = "" if dialect is None else f" that speaks {_WHOSE[dialect]} API"
            message = (
                f"{caller.name} has no right to a provider account{spoken} as a whole, which this path needs."
            )
            raise AccountNotAllowed(message)
        shown = ", ".join(mine[:_SHOWN])
        message = f"This call does not say which provider account it is for. {HOW_TO_NAME} Yours: {shown}."
        raise AccountRequired(message, param="x-tfy-provider-name")

    def plan(self, account: str, model: str, caller: Caller, *, by_model: bool) -> Plan:
        """Where a call for *account* goes.

        Args:
            account: Its name.
            model: A model of it whose server is meant, "" for none.
            caller: Who calls.
            by_model: The right to one of its models is enough.

        Raises:
            AccountNotFound: There is no such account.
            AccountNotAllowed: *caller* may not use it as a whole.
            AccountRequired: Its models are on several servers, and the call names none.
            SecretMissingError: It has no credential.
        """
        return self._plan_at_door(account, model, self._check_right(account, caller, by_model=by_model))

    def plan_for_maker(self, account: str, model: str) -> Plan:
        """As `plan`, for what its caller made through *account*: that may have been by a virtual model.

        Raises:
            AccountNotFound: There is no such account.
            AccountRequired: Its models are on several servers, and the call names none.
            SecretMissingError: It has no credential.
        """
        doors = self._doors.get(account)
        if doors is None:
            raise _not_found(account)
        return self._plan_at_door(account, model, doors)

    def _plan_at_door(self, account: str, model: str, doors: list[Target]) -> Plan:
        target = self._by_name.get(model)
        if target is None or target.account != account:
            if len(doors) > 1:
                message = (
                    f"The models of {account} are on several servers. Name one of its models with the header "
                    "x-tfy-model-name."
                )
                raise AccountRequired(message, param="x-tfy-model-name")
            # Of the account, not of the model whose address and credentials happen to be the same.
            target = dataclasses.replace(doors[0], name=account, model_id="", price=None)
        return _plan_for(account, target)

    def plan_at(self, door: Target, caller: Caller) -> Plan:
        """As `plan`, for a server that `door` gave: what it is asked is the account's, and no model's.

        Raises:
            AccountNotAllowed: *caller* may not use the account as a whole.
            SecretMissingError: It has no credential.
        """
        self._check_right(door.account, caller, by_model=False)
        return _plan_for(door.account, dataclasses.replace(door, name=door.account, model_id="", price=None))

    def _check_right(self, account: str, caller: Caller, *, by_model: bool) -> list[Target]:
        """The servers of *account*; raises as `plan`."""
        doors = self._doors.get(account)
        if doors is None:
            raise _not_found(account)
        if not self._may_use(caller, account, by_model=by_model):
            message = (
                f"{caller.name} has no right to the account {account} as a whole, which this path needs. "
                "Ask the gateway's operator for it."
            )
            raise AccountNotAllowed(message, param="x-tfy-provider-name")
        return doors

    def _is_available(self, account: str) -> bool:
        return any(not door.missing_secret for door in self._doors[account])

    def _may_use(self, caller: Caller, account: str, *, by_model: bool) -> bool:
        if account in caller.accounts:
            return True
        return by_model and any(name.startswith(account + "/") for name in caller.models)


def _has_paths(door: Target, dialect: Dialect | None) -> bool:
    """Whether the paths of an API are there; of Anthropic's at Vertex are those of its models alone."""
    return dialect is None or (door.dialect == dialect and not door.is_predicted)


def _way_in(target: Target) -> tuple[object, ...]:
    """What two models share that are behind the same door."""
    return (target.account_url or target.base_url, target.headers, target.token, target.signing)


def _plan_for(account: str, target: Target) -> Plan:
    if target.missing_secret:
        message = f"{account} is not available: it has no credential. The operator must act."
        raise SecretMissingError(message, detail=target.missing_secret)
    return Plan((target,), (target.name,))


def _not_found(account: str) -> AccountNotFound:
    shown = account[:_SHOWN_CHARACTERS]
    message = f"There is no provider account {shown}. {HOW_TO_NAME}"
    return AccountNotFound(message, param="x-tfy-provider-name")
