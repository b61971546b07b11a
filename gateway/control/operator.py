"""Who uses the control plane, and from where: a person at the dashboard, or a program with a token.

An operator is not a `Caller`: callers use models, operators see and change the gateway itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

from gateway.control.sign_in.roles import Role

__all__ = ["Operator", "Role", "address_in", "find_operator", "is_still_in", "operator_of", "put_operator"]

_KEY: Final = "gateway.operator"
_STILL_KEY: Final = "gateway.operator.still"


@dataclass(frozen=True, slots=True)
class Operator:
    """One signed-in user or one token.

    Attributes:
        name: As the audit log tells it.
        role: A viewer changes nothing.
        csrf_token: What the pages of this session send with each change; "" for tokens, which no browser
            sends by itself.
        is_user: They signed in as a user, who has a password; not with a token.
    """

    name: str
    role: Role
    csrf_token: str = field(default="", repr=False)
    is_user: bool = False

    @property
    def is_admin(self) -> bool:
        """Whether they may change things."""
        return self.role is Role.ADMIN


def address_in(scope: Scope) -> str:
    """Where a request comes from."""
    return scope["client"][0] if scope.get("client") else "unknown"


def put_operator(scope: Scope, operator: Operator, is_still_in: Callable[[], bool] = lambda: True) -> None:
    """Note who asks, and how it is known whether they still may; done once, by the guard."""
    scope[_KEY] = operator
    scope[_STILL_KEY] = is_still_in


def is_still_in(scope: Scope) -> bool:
    """Whether who asked may ask still: for an answer that goes on when its question was long ago."""
    still: Callable[[], bool] = scope[_STILL_KEY]
    return still()


def find_operator(scope: Scope) -> Operator | None:
    """Who asks, None where nobody has signed in (which only the open paths see)."""
    found = scope.get(_KEY)
    return found if isinstance(found, Operator) else None


def operator_of(request: Request) -> Operator:
    """Who asks.

    Raises:
        LookupError: Nobody: the path is one of those that are open.
    """
    found = find_operator(request.scope)
    if found is None:
        raise LookupError("this path is open to everybody, so there is no operator")
    return found
