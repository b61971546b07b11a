"""Roles."""

from __future__ import annotations

from gateway.control.sign_in.roles import Role


def test_there_are_two() -> None:
    """Their names are in files and answers."""
    assert [str(role) for role in Role] == ["viewer", "admin"]
