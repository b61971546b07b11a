"""Who uses the control plane."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.control.operator import Operator, Role, find_operator, is_still_in, operator_of, put_operator


def test_the_guard_notes_who_asks() -> None:
    """Once for everything behind it."""
    scope: dict[str, object] = {"type": "http"}
    assert find_operator(scope) is None
    with pytest.raises(LookupError):
        operator_of(Request(scope))
    ada = Operator("ada", Role.VIEWER, "csrf")
    put_operator(scope, ada)
    assert operator_of(Request(scope)) is ada
    assert is_still_in(scope)
    put_operator(scope, ada, lambda: False)
    assert not is_still_in(scope)


def test_a_viewer_is_no_admin() -> None:
    """Only one of the roles changes things."""
    assert Operator("ada", Role.ADMIN).is_admin
    assert not Operator("ada", Role.VIEWER).is_admin


def test_the_csrf_token_is_not_in_the_repr() -> None:
    """What is logged shows no secret."""
    assert "csrf-secret" not in repr(Operator("ada", Role.ADMIN, "csrf-secret"))
