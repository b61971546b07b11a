"""What the names mean that calls give for a model: one target, or a route with several."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from gateway.errors import ModelNotAllowed, ModelNotFound, SecretMissingError
from gateway.model import Caller, CallFacts, ListedModel, Plan, Target
from gateway.routing.route import Route

_MAX_COMPARED: Final = 2000
"""Names looked through for close ones: a mistake is answered in milliseconds, however many models there are.
"""

_SHOWN: Final = 3
_SHOWN_CHARACTERS: Final = 200


class Rules(Protocol):
    """Rules that give calls of a model other targets; see `gateway.routing.load_balancing`."""

    def find(self, model: str, facts: CallFacts) -> Route | None:
        """The route of the first rule that a call of *model* matches."""


class Routing:
    """Every name of a model."""

    def __init__(
        self,
        targets: Iterable[Target],
        routes: Mapping[str, Route] = MappingProxyType({}),
        rules: Rules | None = None,
        virtual: Iterable[ListedModel] = (),
    ) -> None:
        """Prepare.

        Args:
            targets: Every target, each found by its own name.
            routes: Virtual models by each of their names, slugs and aliases among them.
            rules: What may give a call of a target others; None: nothing.
            virtual: The virtual models as they are listed.
        """
        self._plans = {target.name: Plan((target,), (target.name,)) for target in targets}
        self._routes = routes
        self._groups = frozenset(name.partition("/")[0] for name in routes if "/" in name)
        self._rules = rules
        self._virtual = {model.name: model for model in virtual}

    def plan(self, model: str, facts: CallFacts) -> Plan:
        """What to try for *model*.

        Raises:
            ModelNotFound: No such name.
            ModelNotAllowed: It exists, not for this caller.
            SecretMissingError: Its account has no credential.
            NoTargetAvailable, UnsupportedParameter: None of several targets can be asked.
        """
        plan = self._plans.get(model)
        route = None if plan is not None else self._routes.get(model)
        # Rights are to full names: a slug or an alias may look like a model of another account.
        name = model if route is None else route.name
        if (plan is None and route is None) or name not in facts.caller.models:
            self.check_right(model, facts.caller)
        if self._rules is not None and (ruled := self._rules.find(name, facts)) is not None:
            route = ruled
        if route is not None:
            return route.plan(facts)
        assert plan is not None, "found, or there is a route"  # noqa: S101 - says it to the type checker
        if plan.targets[0].missing_secret:
            raise _without_credential(plan.targets[0])
        return plan

    def find_route(self, model: str) -> Route | None:
        """The virtual model that has *model* for a name, None when none has."""
        return None if model in self._plans else self._routes.get(model)

    def has_group(self, name: str) -> bool:
        """Whether there are virtual models of a group *name*."""
        return name in self._groups

    def show_virtual(self, model: str, caller: Caller) -> ListedModel:
        """The virtual model that has *model* for a name, as it is listed.

        Raises:
            ModelNotFound: No virtual model has.
            ModelNotAllowed: There is one, not for *caller*.
        """
        route = self.find_route(model)
        if route is None:
            raise _not_found(model, caller)
        self.check_right(model, caller)
        return self._virtual[route.name]

    def plan_itself(self, model: str, caller: Caller) -> Plan:
        """As `plan` for a model of an account, whatever rules say: what is asked is told of that model alone.

        Raises:
            As `plan`; ModelNotFound for a virtual model too.
        """
        plan = self._plans.get(model)
        if plan is None:
            raise _not_found(model, caller)
        self.check_right(model, caller)
        if plan.targets[0].missing_secret:
            raise _without_credential(plan.targets[0])
        return plan

    def check_right(self, model: str, caller: Caller) -> None:
        """Check that there is *model*, and that *caller* may use it.

        Raises:
            ModelNotFound: No such name.
            ModelNotAllowed: It exists, not for this caller.
        """
        route = self.find_route(model)
        if route is None and model not in self._plans:
            raise _not_found(model, caller)
        if (model if route is None else route.name) not in caller.models:
            message = f"{caller.name} may not use {model}. Ask the gateway's operator for the right to it."
            raise ModelNotAllowed(message, param="model")

    def available_to(self, caller: Caller) -> list[Target]:
        """The targets that *caller* may use by their names and that can be used, sorted by name."""
        targets = [self._plans[name].targets[0] for name in sorted(caller.models) if name in self._plans]
        return [target for target in targets if not target.missing_secret]

    def models_of(self, caller: Caller) -> list[Target | ListedModel]:
        """What *caller* may call and can be called, virtual models among it, sorted by name."""
        virtual = [
            model
            for name, model in self._virtual.items()
            if name in caller.models and self._routes[name].is_available
        ]
        found: list[Target | ListedModel] = [*self.available_to(caller), *virtual]
        return sorted(found, key=lambda model: model.name)


def _without_credential(target: Target) -> SecretMissingError:
    message = f"{target.name} is not available: its account has no credential. The operator must act."
    return SecretMissingError(message, param="model", detail=target.missing_secret)


def _not_found(model: str, caller: Caller) -> ModelNotFound:
    shown = model[:_SHOWN_CHARACTERS]
    close = difflib.get_close_matches(shown, _comparable(shown, caller.models), _SHOWN, cutoff=0.4)
    advice = f"Close names: {', '.join(close)}." if close else "GET /v1/models lists yours."
    message = f"There is no model {shown}. Model names are <account>/<model>. {advice}"
    return ModelNotFound(message, param="model")


def _comparable(model: str, names: Collection[str]) -> list[str]:
    """A few names worth comparing letter by letter: of that account if it exists, of about this length."""
    account, _, _ = model.partition("/")
    of_account = [name for name in names if name.startswith(account + "/")]
    return heapq.nsmallest(
        _MAX_COMPARED, of_account or names, key=lambda name: (abs(len(name) - len(model)), name)
    )
